//! What the tests stand on: an authority, workloads with certificates and keys, and an account that trusts them.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom as Random,
    rsa,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256},
};
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tower::ServiceExt as _;

use super::super::{
    request::signature::{Algorithm, Signed, Signer, Unsigned},
    sim::{NewProfile, NewTrustAnchor, Place, RolesAnywhereSim},
};
use crate::{
    clock::{self, FakeClock},
    mint::NotSigned,
    secret::SystemRandom,
};

pub(super) const NOW: &str = "2026-01-16T14:40:00Z";
pub(super) const REGION: &str = "eu-central-1";
pub(super) const ACCOUNT: &str = "123456789012";
pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/deploy";
pub(super) const SUBJECT: &str = "spiffe://prod.acme.example/rp/aws/shop-deploy";
pub(super) const HOST: &str = "rolesanywhere.eu-central-1.amazonaws.com";
pub(super) const SERIAL: [u8; 16] = [0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A root and an intermediate.
pub(super) struct Authority {
    pub(super) root: Issuer,
    pub(super) intermediate: Issuer,
}

pub(super) static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
/// Making RSA keys takes long.
pub(super) static RSA: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap());

/// A certificate with its key.
pub(super) struct Workload {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) serial: Vec<u8>,
    pub(super) algorithm: Algorithm,
    key: Vec<u8>,
}

pub(super) fn moment(text: &str) -> OffsetDateTime {
    OffsetDateTime::from(clock::parse_rfc3339(text).unwrap())
}

pub(super) fn authority_params(name: &str, path_length: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = moment("2026-01-01T00:00:00Z");
    params.not_after = moment("2036-01-01T00:00:00Z");
    params
}

/// A certificate as the mint makes it.
pub(super) fn leaf() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&SERIAL));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Acme");
    params
        .distinguished_name
        .push(DnType::CommonName, "shop-deploy.d2a3512a");
    params.subject_alt_names = vec![SanType::URI(SUBJECT.try_into().unwrap())];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.not_before = moment("2026-01-16T14:39:30Z");
    params.not_after = moment("2026-01-16T14:45:00Z");
    params
}

impl Authority {
    pub(super) fn new() -> Self {
        let root = authority_params("root", 1);
        let root = Issuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let intermediate = authority_params("intermediate", 0);
        let intermediate = Issuer::signed_by(intermediate, KeyPair::generate().unwrap(), &root).unwrap();
        Self { root, intermediate }
    }

    /// Certifies a fresh P-256 key.
    pub(super) fn certify(&self, params: &CertificateParams) -> Workload {
        self.certify_key(params, &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    pub(super) fn certify_key(&self, params: &CertificateParams, key: &KeyPair) -> Workload {
        let certificate = params.signed_by(key, &self.intermediate).unwrap();
        let is_rsa = key.is_compatible(&PKCS_RSA_SHA256);
        Workload {
            chain: vec![certificate.der().clone(), self.intermediate.der().clone()],
            serial: params.serial_number.as_ref().unwrap().to_bytes(),
            algorithm: if is_rsa { Algorithm::Rsa } else { Algorithm::Ecdsa },
            key: key.serialize_der(),
        }
    }

    /// Makes the intermediate's revocation list.
    pub(super) fn revocations(&self, serials: &[&[u8]], next_update: &str) -> Vec<u8> {
        let revoked = |serial: &&[u8]| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: moment("2026-01-16T00:00:00Z"),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: moment("2026-01-16T00:00:00Z"),
            next_update: moment(next_update),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.intermediate).unwrap().der().to_vec()
    }
}

impl Workload {
    pub(super) fn signer(&self) -> Signer<'_> {
        Signer {
            chain: &self.chain,
            serial: &self.serial,
            algorithm: self.algorithm,
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self.algorithm {
            Algorithm::Ecdsa => {
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.key).unwrap();
                key.sign(&Random::new(), message).unwrap().as_ref().to_vec()
            }
            Algorithm::Rsa => {
                let key = rsa::KeyPair::from_pkcs8(&self.key).unwrap();
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &Random::new(), message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }
}

/// An account with a trust anchor, a profile and a role.
pub(super) struct Account {
    pub(super) sim: Arc<RolesAnywhereSim>,
    pub(super) clock: Arc<FakeClock>,
    pub(super) anchor: String,
    pub(super) profile: String,
}

pub(super) fn empty() -> (Arc<RolesAnywhereSim>, Arc<FakeClock>) {
    let clock = FakeClock::at(NOW);
    let place = Place {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
    };
    let sim = RolesAnywhereSim::new(
        place,
        Arc::clone(&clock) as Arc<dyn clock::Clock>,
        Arc::new(SystemRandom),
    );
    (Arc::new(sim.unwrap()), clock)
}

pub(super) fn profile() -> NewProfile {
    NewProfile {
        name: "cambio".to_owned(),
        role_arns: vec![ROLE.to_owned()],
        accept_role_session_name: true,
        enabled: true,
        ..NewProfile::default()
    }
}

pub(super) fn trust_policy(anchor: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "Cambio",
            "Effect": "Allow",
            "Principal": {"Service": "rolesanywhere.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Condition": {
                "ArnEquals": {"aws:SourceArn": anchor},
                "StringEquals": {"aws:PrincipalTag/x509SAN/URI": SUBJECT},
            },
        }],
    })
}

pub(super) fn account() -> Account {
    account_of(&AUTHORITY.root.pem(), profile(), trust_policy)
}

pub(super) fn account_of(bundle: &str, profile: NewProfile, policy: impl FnOnce(&str) -> Value) -> Account {
    let (sim, clock) = empty();
    let anchor = NewTrustAnchor {
        name: "cambio".to_owned(),
        bundle: bundle.to_owned(),
        enabled: true,
    };
    let anchor = sim.create_trust_anchor(anchor).unwrap();
    let profile = sim.create_profile(profile).unwrap();
    let policy = policy(&anchor).to_string();
    sim.create_role(ROLE, &policy, Duration::from_hours(1)).unwrap();
    Account {
        sim,
        clock,
        anchor,
        profile,
    }
}

/// What a test changes about a request before it is signed.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
    pub(super) host: String,
    pub(super) region: String,
    pub(super) at: String,
}

impl Account {
    pub(super) fn wanted(&self) -> Wanted {
        let query = [
            ("profileArn", self.profile.as_str()),
            ("roleArn", ROLE),
            ("trustAnchorArn", &self.anchor),
        ];
        Wanted {
            query: query.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: json!({ "durationSeconds": 1200, "roleSessionName": "shop-deploy@0123456789ab" }),
            host: HOST.to_owned(),
            region: REGION.to_owned(),
            at: NOW.to_owned(),
        }
    }

    /// Signs with our own signer and sends.
    pub(super) async fn create(&self, workload: &Workload, wanted: &Wanted) -> Answer {
        let (signed, body) = wanted.signed(workload);
        self.send(request(&wanted.host, &signed, body)).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = Arc::clone(&self.sim).router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}

impl Wanted {
    pub(super) fn signed(&self, workload: &Workload) -> (Signed, Vec<u8>) {
        let body = self.body.to_string().into_bytes();
        let query: Vec<(&str, &str)> = self.query.iter().map(|(name, value)| (&**name, &**value)).collect();
        let unsigned = Unsigned {
            host: &self.host,
            region: &self.region,
            query: &query,
            body: &body,
            now: clock::parse_rfc3339(&self.at).unwrap(),
        };
        let signed = unsigned
            .sign(workload.signer(), |message| Ok::<_, NotSigned>(workload.sign(message)))
            .unwrap();
        (signed, body)
    }
}

pub(super) fn request(host: &str, signed: &Signed, body: Vec<u8>) -> Request<Body> {
    let mut request = Request::post(format!("/sessions?{}", signed.query)).header("host", host);
    for (name, value) in &signed.headers {
        request = request.header(*name, value);
    }
    request.body(Body::from(body)).unwrap()
}

/// An answer of the simulator.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn code(&self) -> &str {
        self.headers
            .get("x-amzn-errortype")
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}
