//! Certificates at the mTLS token endpoint: rules, and the simulator as a client meets it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tower::ServiceExt as _;

use super::vectors::FakeDocuments;
use crate::{
    clock::{self, FakeClock},
    exchange::gcp_sts::{
        rules::{
            certificate::{CertificateRefusal, TOKEN_TYPE, assertion, judge, subject_token},
            limits::{INTERMEDIATES, TRUST_ANCHORS},
            provider::{Provider, ProviderName, ProviderSettings, TrustStore},
        },
        sim::GcpSim,
    },
    secret::SystemRandom,
    sim::PeerCertificates,
};

const NOW: &str = "2026-01-16T14:40:00Z";
const SUBJECT: &str = "spiffe://prod.acme.example/rp/gcp/shop";

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn moment(text: &str) -> OffsetDateTime {
    OffsetDateTime::from(clock::parse_rfc3339(text).unwrap())
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (moment("2026-01-01T00:00:00Z"), moment("2036-01-01T00:00:00Z"));
    params
}

fn leaf() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "shop");
    params.subject_alt_names = vec![
        SanType::URI(SUBJECT.try_into().unwrap()),
        SanType::DnsName("shop.acme.example".try_into().unwrap()),
    ];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    (params.not_before, params.not_after) = (moment("2026-01-16T14:39:30Z"), moment("2026-01-16T14:45:00Z"));
    params
}

struct World {
    sim: Arc<GcpSim>,
    root: Issuer,
    intermediate: Issuer,
    provider: ProviderName,
}

fn settings(anchors: Vec<String>) -> ProviderSettings {
    ProviderSettings {
        x509: Some(TrustStore {
            trust_anchors: anchors,
            intermediate_cas: Vec::new(),
        }),
        attribute_mapping: BTreeMap::from([("google.subject".to_owned(), "assertion.san.uri[0]".to_owned())]),
        attribute_condition: Some(format!("google.subject == '{SUBJECT}'")),
        ..ProviderSettings::default()
    }
}

impl World {
    fn new() -> Self {
        let root = Issuer::self_signed(authority("root"), KeyPair::generate().unwrap()).unwrap();
        let intermediate = Issuer::signed_by(authority("below"), KeyPair::generate().unwrap(), &root).unwrap();
        let clock = FakeClock::at(NOW);
        let sim = GcpSim::new(Arc::new(FakeDocuments::default()), clock, Arc::new(SystemRandom));
        let provider = ProviderName::new(123_456_789_012, "prod", "x509").unwrap();
        sim.create_pool(123_456_789_012, "prod").unwrap();
        sim.create_provider(provider.clone(), settings(vec![root.pem()]))
            .unwrap();
        Self {
            sim: Arc::new(sim),
            root,
            intermediate,
            provider,
        }
    }

    fn chain(&self, params: &CertificateParams) -> Vec<Vec<u8>> {
        let own = params
            .signed_by(&KeyPair::generate().unwrap(), &self.intermediate)
            .unwrap();
        vec![own.der().to_vec(), self.intermediate.der().to_vec()]
    }

    async fn send(&self, token: &str, kind: &str, peer: Option<Vec<Vec<u8>>>) -> (StatusCode, Value) {
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
            .append_pair("audience", &self.provider.to_string())
            .append_pair("scope", "https://www.googleapis.com/auth/cloud-platform")
            .append_pair("requested_token_type", "urn:ietf:params:oauth:token-type:access_token")
            .append_pair("subject_token_type", kind)
            .append_pair("subject_token", token)
            .finish();
        let mut request = Request::post("/v1/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerCertificates(peer));
        }
        let response = Arc::clone(&self.sim).sts_router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, serde_json::from_slice(&body).unwrap())
    }

    async fn exchange(&self, chain: Vec<Vec<u8>>) -> (StatusCode, Value) {
        self.send(&subject_token(&chain), TOKEN_TYPE, Some(chain)).await
    }
}

fn refused((status, body): (StatusCode, Value), code: &str) {
    assert_eq!(
        (status, &body["error"]),
        (StatusCode::BAD_REQUEST, &json!(code)),
        "{body}"
    );
}

#[tokio::test]
async fn a_certificate_becomes_a_token_that_ends_with_it() {
    let world = World::new();

    let (status, body) = world.exchange(world.chain(&leaf())).await;

    assert_eq!((status, &body["expires_in"]), (StatusCode::OK, &json!(300)), "{body}");
    assert_eq!(body["token_type"], "Bearer");
}

#[tokio::test]
async fn a_token_lives_an_hour_at_most() {
    let world = World::new();
    let mut long = leaf();
    long.not_after = moment("2026-01-17T00:00:00Z");

    let (_, body) = world.exchange(world.chain(&long)).await;

    assert_eq!(body["expires_in"], 3600);
}

#[tokio::test]
async fn the_connections_certificate_must_be_the_tokens_first() {
    let world = World::new();
    let (chain, other) = (world.chain(&leaf()), world.chain(&leaf()));
    let token = subject_token(&chain);

    refused(world.send(&token, TOKEN_TYPE, None).await, "invalid_grant");
    refused(world.send(&token, TOKEN_TYPE, Some(other)).await, "invalid_grant");
    refused(world.send(&token, TOKEN_TYPE, Some(Vec::new())).await, "invalid_grant");
}

#[tokio::test]
async fn a_chain_that_leads_nowhere_is_refused() {
    let world = World::new();
    let stranger = World::new();

    refused(world.exchange(stranger.chain(&leaf())).await, "invalid_grant");
    let alone = world.chain(&leaf()).into_iter().take(1).collect();
    refused(world.exchange(alone).await, "invalid_grant");
}

#[tokio::test]
async fn a_replaced_trust_anchor_is_the_one_that_counts() {
    let world = World::new();
    let next = World::new();

    world
        .sim
        .replace_trust_anchors(&world.provider, vec![next.root.pem()])
        .unwrap();

    refused(world.exchange(world.chain(&leaf())).await, "invalid_grant");
    assert_eq!(world.exchange(next.chain(&leaf())).await.0, StatusCode::OK);
    let absent = ProviderName::new(1, "prod", "other").unwrap();
    assert_eq!(
        world.sim.replace_trust_anchors(&absent, Vec::new()).unwrap_err().code(),
        "NOT_FOUND"
    );
    assert_eq!(
        world
            .sim
            .replace_trust_anchors(&world.provider, Vec::new())
            .unwrap_err()
            .code(),
        "INVALID_ARGUMENT"
    );
}

#[tokio::test]
async fn another_subject_is_refused_by_the_condition() {
    let world = World::new();
    let mut other = leaf();
    other.subject_alt_names = vec![SanType::URI("spiffe://prod.acme.example/other".try_into().unwrap())];

    refused(world.exchange(world.chain(&other)).await, "unauthorized_client");
}

#[tokio::test]
async fn a_certificate_of_another_use_or_time_is_refused() {
    let world = World::new();
    let mut server = leaf();
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let mut expired = leaf();
    expired.not_after = moment("2026-01-16T14:39:59Z");
    let mut ca = leaf();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for params in [server, expired, ca] {
        refused(world.exchange(world.chain(&params)).await, "invalid_grant");
    }
}

#[tokio::test]
async fn a_subject_token_of_another_shape_is_refused() {
    let world = World::new();
    let chain = world.chain(&leaf());
    let eleven = subject_token(&vec![chain[0].clone(); 11]);
    for token in ["x", "[]", "[1]", "[\"*\"]", "{}", &eleven] {
        refused(
            world.send(token, TOKEN_TYPE, Some(chain.clone())).await,
            "invalid_request",
        );
    }
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    refused(world.send("a.b.c", jwt, Some(chain)).await, "invalid_request");
}

#[test]
fn the_subject_token_is_a_list_with_the_own_certificate_first() {
    assert_eq!(
        subject_token(&[vec![1], vec![2]]),
        json!([STANDARD.encode([1]), STANDARD.encode([2])]).to_string()
    );
}

#[test]
fn a_mapping_reads_names_and_fingerprint() {
    let world = World::new();
    let der = &world.chain(&leaf())[0];

    let assertion = assertion(der).unwrap();

    assert_eq!(assertion["subject"]["dn"]["cn"], "shop");
    assert_eq!(
        assertion["san"],
        json!({ "uri": [SUBJECT], "dns": ["shop.acme.example"] })
    );
    assert_eq!(assertion["sha256Fingerprint"].as_str().unwrap().len(), 64);
}

#[test]
fn a_certificate_is_judged_to_the_second() {
    let der = &World::new().chain(&leaf())[0];
    let at = |text: &str| judge(der, clock::parse_rfc3339(text).unwrap());

    assert!(at("2026-01-16T14:45:00Z").is_ok() && at("2026-01-16T14:39:30Z").is_ok());
    for outside in ["2026-01-16T14:45:01Z", "2026-01-16T14:39:29Z"] {
        assert!(
            matches!(at(outside), Err(CertificateRefusal::Untimely { .. })),
            "{outside}"
        );
    }
    let unreadable = judge(b"no", clock::parse_rfc3339(NOW).unwrap()).unwrap_err();
    assert_eq!(
        (unreadable.code(), unreadable.origin().mark),
        ("invalid_grant", crate::exchange::gcp_sts::rules::Mark::Unverified)
    );
}

#[test]
fn a_provider_has_an_issuer_or_a_trust_store_of_limited_size() {
    let name = ProviderName::new(1, "prod", "x509").unwrap();
    let takes = |settings: ProviderSettings| Provider::new(name.clone(), settings).is_ok();
    let with = |anchors: usize, intermediates: usize| {
        let mut settings = settings(vec!["pem".to_owned(); anchors]);
        settings.x509.as_mut().unwrap().intermediate_cas = vec!["pem".to_owned(); intermediates];
        settings
    };

    assert!(takes(with(TRUST_ANCHORS, INTERMEDIATES)));
    assert!(!takes(with(TRUST_ANCHORS + 1, 0)) && !takes(with(1, INTERMEDIATES + 1)) && !takes(with(0, 0)));
    let both = ProviderSettings {
        issuer_uri: "https://id.acme.example".to_owned(),
        ..with(1, 0)
    };
    assert!(!takes(both));
}
