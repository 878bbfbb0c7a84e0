//! Trust domains with roots, intermediates and leaves, for tests of what verifies SVIDs.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use crate::jose::{SigningAlgorithm, SigningKey};

/// A trust domain's authorities: one key for tokens, one root and one intermediate for certificates.
pub(crate) struct Domain {
    pub(crate) name: String,
    pub(crate) token_key: SigningKey,
    pub(crate) root: CertificateDer<'static>,
    root_key: KeyPair,
    root_params: CertificateParams,
    now: SystemTime,
}

/// A leaf under an intermediate.
pub(crate) struct Leaf {
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

impl Domain {
    pub(crate) fn new(name: &str, now: SystemTime) -> Self {
        Self::with_root(name, now, |_| {})
    }

    pub(crate) fn with_root(name: &str, now: SystemTime, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority(&format!("{name} root"), now);
        params.subject_alt_names = vec![SanType::URI(format!("spiffe://{name}").try_into().unwrap())];
        change(&mut params);
        let root_key = KeyPair::generate().unwrap();
        let root = params.self_signed(&root_key).unwrap().der().clone();
        Self {
            name: name.to_owned(),
            token_key: SigningKey::generate(SigningAlgorithm::Es256).unwrap(),
            root,
            root_key,
            root_params: params,
            now,
        }
    }

    /// Returns a good SVID through an intermediate.
    pub(crate) fn svid(&self) -> Leaf {
        self.leaf(|_| {})
    }

    /// Returns an SVID that is changed in one point.
    pub(crate) fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        self.leaf_of(&KeyPair::generate().unwrap(), change)
    }

    pub(crate) fn leaf_of(&self, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let root = Issuer::from_params(&self.root_params, &self.root_key);
        let above = authority(&format!("{} intermediate", self.name), self.now);
        let above_key = KeyPair::generate().unwrap();
        let intermediate = above.signed_by(&above_key, &root).unwrap().der().clone();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "workload");
        params.not_before = (self.now - Duration::from_mins(1)).into();
        params.not_after = (self.now + Duration::from_hours(1)).into();
        params.subject_alt_names = vec![SanType::URI(format!("spiffe://{}/shop", self.name).try_into().unwrap())];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let issuer = Issuer::from_params(&above, &above_key);
        let own = params.signed_by(key, &issuer).unwrap().der().clone();
        Leaf {
            chain: vec![own, intermediate],
        }
    }

    /// Returns the bundle's document, to be changed.
    pub(crate) fn document(&self) -> Value {
        let mut token = serde_json::to_value(self.token_key.public_jwk("k1")).unwrap();
        token["use"] = json!("jwt-svid");
        let mut root = token_of_certificate(&self.root);
        root["use"] = json!("x509-svid");
        root["x5c"] = json!([BASE64_STANDARD.encode(&self.root)]);
        json!({ "keys": [token, root], "spiffe_sequence": 1, "spiffe_refresh_hint": 300 })
    }
}

/// The members that repeat the certificate's P-256 key.
fn token_of_certificate(root: &CertificateDer<'_>) -> Value {
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use x509_parser::{certificate::X509Certificate, der_parser::asn1_rs::FromDer as _};
    let (_, read) = X509Certificate::from_der(root).unwrap();
    let point = read.public_key().subject_public_key.data.to_vec();
    let (x, y) = point[1..].split_at(32);
    json!({
        "kty": "EC", "crv": "P-256",
        "x": BASE64_URL_SAFE_NO_PAD.encode(x), "y": BASE64_URL_SAFE_NO_PAD.encode(y),
    })
}

fn authority(name: &str, now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_before = (now - Duration::from_hours(24)).into();
    params.not_after = (now + Duration::from_hours(24 * 365)).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
