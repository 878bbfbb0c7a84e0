//! The metadata service of a simulated EC2 instance (IMDSv2), and the region that signs its identity document.
//!
//! The document is written and signed by hand, in the form that EC2 has: an envelope with open ends, no certificate.
//! The texts of its errors are from memory and marked so; nothing depends on them.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::sim::{
    imds::Sessions,
    signed_data::{Signer, SignerError, SignerParts, algorithm},
};

/// A region's signer.
#[derive(Debug)]
pub struct RegionSim {
    name: String,
    signer: Signer,
}

impl RegionSim {
    /// Makes a region with a fresh key.
    ///
    /// # Errors
    /// Fails where no key can be made.
    pub fn new(name: &str, serial: u64) -> Result<Self, SignerError> {
        Ok(Self {
            name: name.to_owned(),
            signer: Signer::new("Amazon Web Services LLC", serial)?,
        })
    }

    /// Returns the signer.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Returns the certificate that the region's documents are verified with, as PEM.
    pub fn certificate_pem(&self) -> String {
        let body = BASE64_STANDARD.encode(self.signer.certificate());
        format!(
            "-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n",
            in_lines(&body)
        )
    }

    /// Returns what the metadata service serves as `rsa2048` for this document.
    pub fn rsa2048(&self, document: &[u8]) -> String {
        in_lines(&BASE64_STANDARD.encode(self.signer.document(document).written()))
    }
}

/// An instance that was started.
#[derive(Debug)]
pub struct InstanceSim {
    region: Arc<RegionSim>,
    document: Mutex<Value>,
}

impl InstanceSim {
    /// Starts an instance at `pending_time` (RFC 3339).
    pub fn start(region: Arc<RegionSim>, account: &str, instance_id: &str, pending_time: &str) -> Self {
        let document = json!({
            "accountId": account,
            "architecture": "x86_64",
            "availabilityZone": format!("{}a", region.name),
            "billingProducts": null,
            "devpayProductCodes": null,
            "marketplaceProductCodes": null,
            "imageId": "ami-0123456789abcdef0",
            "instanceId": instance_id,
            "instanceType": "t3.micro",
            "kernelId": null,
            "pendingTime": pending_time,
            "privateIp": "10.0.0.7",
            "ramdiskId": null,
            "region": region.name,
            "version": "2017-09-30",
        });
        Self {
            region,
            document: Mutex::new(document),
        }
    }

    /// Stops the instance and starts it again: the document then has another `pendingTime`.
    pub fn restart(&self, pending_time: &str) {
        let mut document = self.document.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(member) = document.get_mut("pendingTime") {
            *member = json!(pending_time);
        }
    }

    /// Returns the document.
    pub fn document(&self) -> Value {
        self.document.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns what the metadata service serves as `rsa2048`.
    pub fn rsa2048(&self) -> String {
        self.region.rsa2048(pretty(&self.document()).as_bytes())
    }

    /// Returns what the metadata service serves as `pkcs7`: DSA over SHA-1, whose signature is none here.
    pub fn pkcs7(&self) -> String {
        let document = pretty(&self.document());
        let signer = &self.region.signer;
        let mut whole = signer.document(document.as_bytes());
        let parts = SignerParts {
            digest_algorithm: algorithm(b"\x2b\x0e\x03\x02\x1a"),
            signature_algorithm: algorithm(b"\x2a\x86\x48\xce\x38\x04\x03"),
            ..signer.parts(document.as_bytes())
        };
        whole.signers = vec![parts.written()];
        in_lines(&BASE64_STANDARD.encode(whole.written()))
    }

    /// Returns the metadata service.
    pub fn router(self: Arc<Self>, sessions: Arc<Sessions>) -> Router {
        Router::new()
            .route("/latest/api/token", put(token))
            .route("/latest/dynamic/instance-identity/{part}", get(part))
            .with_state((self, sessions))
    }
}

type Metadata = State<(Arc<InstanceSim>, Arc<Sessions>)>;

async fn token(State((_, sessions)): Metadata, headers: HeaderMap) -> Response {
    sessions.opened(&headers)
}

async fn part(State((instance, sessions)): Metadata, Path(part): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refused) = sessions.refused(&headers) {
        return refused;
    }
    match part.as_str() {
        "document" => pretty(&instance.document()).into_response(),
        "signature" => {
            let signature = instance.region.signer.parts(pretty(&instance.document()).as_bytes());
            in_lines(&BASE64_STANDARD.encode(signature.signature)).into_response()
        }
        "rsa2048" => instance.rsa2048().into_response(),
        "pkcs7" => instance.pkcs7().into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The document's own spelling: what is signed.
fn pretty(document: &Value) -> String {
    format!("{document:#}")
}

fn in_lines(text: &str) -> String {
    let mut out = String::new();
    for (at, character) in text.chars().enumerate() {
        if at % 64 == 0 && at > 0 {
            out.push('\n');
        }
        out.push(character);
    }
    out.push('\n');
    out
}
