//! The authorities behind evidence that is no token of an issuer: AWS's for questions, Azure's for documents, a trust domain's for SVIDs.

use std::time::Duration;

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use cambio::{
    attest::aws_iam::presigned::sim::Principal,
    clock::unix_seconds,
    jose::{SigningAlgorithm, SigningKey, sign},
    secret::SystemRandom,
    sim::signed_data::{RSA_WITH_SHA256, Signer, SignerParts, algorithm, parameters},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use serde_json::{Value, json};

use crate::attestors::{AUDIENCE, challenges, now};

/// Azure's authorities, and the signer of its metadata service.
pub(crate) struct Azure {
    root: Signer,
    intermediate: Signer,
    signer: Signer,
}

impl Azure {
    pub(crate) fn new() -> Self {
        let authority = |name: &str, serial| {
            let mut own = parameters(name, serial);
            own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            own
        };
        let issuer = |name: &str, serial, signer: &Signer| {
            let key = KeyPair::from_pem(&signer.pair().serialize_pem()).expect("a key");
            Issuer::new(authority(name, serial), key)
        };
        let root = Signer::with(&authority("root", 1), None).expect("a root");
        let above = issuer("root", 1, &root);
        let intermediate = Signer::with(&authority("intermediate", 2), Some(&above)).expect("an intermediate");
        let above = issuer("intermediate", 2, &intermediate);
        let mut own = parameters("Azure", 3);
        own.subject_alt_names = vec![SanType::DnsName("metadata.azure.com".try_into().expect("a name"))];
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let signer = Signer::with(&own, Some(&above)).expect("a signer");
        Self {
            root,
            intermediate,
            signer,
        }
    }

    /// Returns the certificate of the root, in DER.
    pub(crate) fn root(&self) -> &[u8] {
        self.root.certificate()
    }

    /// Returns the certificate that Azure leaves out of its documents.
    pub(crate) fn intermediate(&self) -> &[u8] {
        self.intermediate.certificate()
    }

    /// As Azure signs: over the content alone, with its odd name for the digest, and its own certificate.
    pub(crate) fn evidence(&self) -> String {
        let challenge = challenges().issue(&SystemRandom, now()).expect("a challenge");
        let content = json!({
            "nonce": challenge.nonce(),
            "plan": { "name": "", "product": "", "publisher": "" },
            "sku": "22_04-lts-gen2",
            "subscriptionId": "8d10da13-8125-4ba9-a717-bf7490507b3d",
            "timeStamp": { "createdOn": "01/16/26 14:40:00 -0000", "expiresOn": "01/16/26 20:40:00 -0000" },
            "vmId": "13f56399-bd52-4150-9748-7190aae1ff21",
        });
        let content = content.to_string().into_bytes();
        let parts = SignerParts {
            digest_algorithm: algorithm(RSA_WITH_SHA256),
            ..self.signer.parts(&content)
        };
        let mut document = self.signer.document(&content);
        document.open = false;
        document.certificates = vec![self.signer.certificate().to_vec()];
        document.signers = vec![parts.written()];
        let document = BASE64_STANDARD.encode(document.written());
        format!("cambio-azure-v1.{}.{document}", challenge.as_str())
    }
}

pub(crate) fn pem(der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

/// A trust domain whose bundle is pinned: one key for tokens, a root for certificates.
pub(crate) struct Domain {
    token_key: SigningKey,
    root: CertificateParams,
    root_key: KeyPair,
}

impl Domain {
    pub(crate) fn new() -> Self {
        let mut root = authority("root");
        let name = "spiffe://partner.example".try_into().expect("a name");
        root.subject_alt_names = vec![SanType::URI(name)];
        Self {
            token_key: SigningKey::generate(SigningAlgorithm::Es256).expect("a key"),
            root,
            root_key: KeyPair::generate().expect("a key"),
        }
    }

    pub(crate) fn bundle(&self) -> Value {
        let mut token = serde_json::to_value(self.token_key.public_jwk("k1")).expect("a key");
        token["use"] = json!("jwt-svid");
        let certificate = self.root.self_signed(&self.root_key).expect("a root");
        // SEC 1 section 2.3.3: 4, then both coordinates.
        let (x, y) = self.root_key.public_key_raw()[1..].split_at(32);
        let root = json!({
            "use": "x509-svid", "kty": "EC", "crv": "P-256",
            "x": BASE64_URL_SAFE_NO_PAD.encode(x), "y": BASE64_URL_SAFE_NO_PAD.encode(y),
            "x5c": [BASE64_STANDARD.encode(certificate.der())],
        });
        json!({ "keys": [token, root], "spiffe_sequence": 1, "spiffe_refresh_hint": 300 })
    }

    pub(crate) fn token(&self, nth: usize) -> String {
        let header = sign::Header {
            algorithm: self.token_key.algorithm(),
            key_id: "k1".to_owned(),
        };
        let issued = unix_seconds(now());
        let claims = json!({
            "sub": "spiffe://partner.example/shop", "aud": [AUDIENCE],
            "exp": issued + 300, "iat": issued, "jti": format!("svid-{nth}"),
        });
        let input = sign::signing_input(&header, &claims).expect("a token");
        let signature = self.token_key.sign(input.as_bytes()).expect("a signature");
        sign::assemble(input, &signature)
    }

    pub(crate) fn chain(&self) -> Vec<Vec<u8>> {
        let root = Issuer::from_params(&self.root, &self.root_key);
        let (above, above_key) = (authority("intermediate"), KeyPair::generate().expect("a key"));
        let intermediate = above.signed_by(&above_key, &root).expect("an intermediate");
        let mut leaf = CertificateParams::default();
        leaf.distinguished_name.push(DnType::CommonName, "workload");
        leaf.not_before = (now() - Duration::from_mins(1)).into();
        leaf.not_after = (now() + Duration::from_hours(1)).into();
        let id = "spiffe://partner.example/shop".try_into().expect("a name");
        leaf.subject_alt_names = vec![SanType::URI(id)];
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().expect("a key");
        let leaf = leaf
            .signed_by(&key, &Issuer::from_params(&above, &above_key))
            .expect("a leaf");
        vec![leaf.der().to_vec(), intermediate.der().to_vec()]
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (now() - Duration::from_hours(24)).into();
    params.not_after = (now() + Duration::from_hours(24 * 365)).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Returns the session of a role that AWS knows.
pub(crate) fn session() -> Principal {
    Principal {
        access_key_id: "ASIAEXAMPLEEXAMPLE01".to_owned(),
        secret_access_key: "secret/of+the=session".to_owned(),
        session_token: Some("FwoGZXIvYXdzEXAMPLE//+/token==".to_owned()),
        arn: "arn:aws:sts::123456789012:assumed-role/deploy/i-0123456789abcdef0".to_owned(),
        user_id: "AROAEXAMPLEEXAMPLEID1:i-0123456789abcdef0".to_owned(),
    }
}
