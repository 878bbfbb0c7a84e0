//! The attested documents of a simulated Azure: who signs them, and the metadata service that hands them out.
//!
//! It signs with another library than the attestor verifies with. The texts of its errors are from memory; nothing depends
//! on them.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use serde_json::{Value, json};

use crate::{
    clock::{Clock, rfc3339},
    sim::signed_data::{RSA_WITH_SHA256, Signer, SignerError, SignerParts, algorithm, parameters},
};

/// A root, an intermediate that documents leave out, and what they certify.
pub struct AttestedSigners {
    root: Signer,
    intermediate: Signer,
    issuer: Issuer<'static, KeyPair>,
    signer: Signer,
}

/// One machine, and the metadata service that signs documents about it.
#[derive(Debug)]
pub struct AttestedSim {
    signers: AttestedSigners,
    subscription_id: String,
    vm_id: String,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for AttestedSigners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AttestedSigners")
    }
}

impl AttestedSigners {
    /// Makes fresh keys; documents are signed under the name of Azure's public cloud.
    ///
    /// # Errors
    /// Fails where no key can be made.
    pub fn new() -> Result<Self, SignerError> {
        let authority = |name: &str, serial| {
            let mut own = parameters(name, serial);
            own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            own
        };
        let key = |signer: &Signer| KeyPair::from_pem(&signer.pair().serialize_pem());
        let root = Signer::with(&authority("root", 1), None)?;
        let above = Issuer::new(authority("root", 1), key(&root)?);
        let intermediate = Signer::with(&authority("intermediate", 2), Some(&above))?;
        let issuer = Issuer::new(authority("intermediate", 2), key(&intermediate)?);
        Ok(Self {
            root,
            intermediate,
            signer: certified("metadata.azure.com", &issuer)?,
            issuer,
        })
    }

    /// Returns the root.
    pub fn root(&self) -> &Signer {
        &self.root
    }

    /// Returns the intermediate.
    pub fn intermediate(&self) -> &Signer {
        &self.intermediate
    }

    /// Returns who signs documents.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Makes another signer of the same authorities, under another name.
    ///
    /// # Errors
    /// Fails where no key can be made, and for what is no name.
    pub fn signer_of(&self, name: &str) -> Result<Signer, SignerError> {
        certified(name, &self.issuer)
    }
}

fn certified(name: &str, issuer: &Issuer<'_, KeyPair>) -> Result<Signer, SignerError> {
    let mut own = parameters("Azure", 3);
    own.subject_alt_names = vec![SanType::DnsName(name.try_into()?)];
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Signer::with(&own, Some(issuer))
}

/// Signs as Azure does: over the content alone, with its odd name for the digest, and its own certificate.
pub fn signed(signer: &Signer, content: &[u8]) -> Vec<u8> {
    let parts = SignerParts {
        digest_algorithm: algorithm(RSA_WITH_SHA256),
        ..signer.parts(content)
    };
    let mut document = signer.document(content);
    document.open = false;
    document.certificates = vec![signer.certificate().to_vec()];
    document.signers = vec![parts.written()];
    document.written()
}

impl AttestedSim {
    /// Makes a machine of a subscription, and fresh keys.
    ///
    /// # Errors
    /// Fails where no key can be made.
    pub fn new(subscription_id: &str, vm_id: &str, clock: Arc<dyn Clock>) -> Result<Self, SignerError> {
        Ok(Self {
            signers: AttestedSigners::new()?,
            subscription_id: subscription_id.to_owned(),
            vm_id: vm_id.to_owned(),
            clock,
        })
    }

    /// Returns who signs.
    pub fn signers(&self) -> &AttestedSigners {
        &self.signers
    }

    /// Returns the document over a nonce.
    pub fn document(&self, nonce: &str) -> Value {
        let now = self.clock.now();
        json!({
            "nonce": nonce,
            "plan": { "name": "", "product": "", "publisher": "" },
            "sku": "22_04-lts-gen2",
            "subscriptionId": self.subscription_id,
            "timeStamp": { "createdOn": moment(now), "expiresOn": moment(now + LIFE) },
            "vmId": self.vm_id,
        })
    }

    /// Returns the metadata service.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/metadata/attested/document", get(attested))
            .with_state(self)
    }
}

async fn attested(
    State(sim): State<Arc<AttestedSim>>,
    headers: HeaderMap,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let refused = |text: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": text }))).into_response();
    if headers.contains_key("x-forwarded-for") || headers.get("metadata").is_none_or(|value| value != "true") {
        return refused("Bad request. Required metadata header not specified");
    }
    if query.get("api-version").is_none_or(|version| version != API_VERSION) {
        return refused("Bad request. api-version is invalid or was not specified in the request.");
    }
    let nonce = query.get("nonce").map(String::as_str).unwrap_or_default();
    if nonce.len() > MAX_NONCE_CHARACTERS || !nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return refused("Bad request. The nonce is not valid");
    }
    let document = sim.document(nonce).to_string();
    let signature = BASE64_STANDARD.encode(signed(sim.signers.signer(), document.as_bytes()));
    Json(json!({ "encoding": "pkcs7", "signature": signature })).into_response()
}

/// `01/16/26 14:40:00 -0000`.
fn moment(at: SystemTime) -> String {
    let text = rfc3339(at);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!("{}/{}/{} {} -0000", part(5, 7), part(8, 10), part(2, 4), part(11, 19))
}

const API_VERSION: &str = "2025-04-07";
// Azure, specification of the instance metadata service's API.
const MAX_NONCE_CHARACTERS: usize = 32;
/// Documents count for six hours.
const LIFE: Duration = Duration::from_hours(6);
