//! Drives the simulated cloud through its router, against the vectors and each behaviour.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http_body_util::BodyExt as _;
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::{
    clock::FakeClock,
    exchange::azure_entra::tests::vectors,
    secret::SystemRandom,
    sim::{Mutation, Unavailable},
};

pub(in crate::exchange::azure_entra) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(in crate::exchange::azure_entra) const CLIENT: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
const PUBLIC: &str = "https://login.test";

struct Keys {
    published: EncodingKey,
    other: EncodingKey,
    elliptic: EncodingKey,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let elliptic = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Keys {
            published: rsa_key(),
            other: rsa_key(),
            elliptic: EncodingKey::from_ec_der(elliptic.to_pkcs8v1().unwrap().as_ref()),
        }
    })
}

fn rsa_key() -> EncodingKey {
    let der: Pkcs8V1Der<'_> = KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    let body = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
}

pub(in crate::exchange::azure_entra) fn published() -> Value {
    let jwk = |key: &EncodingKey, algorithm, key_id: &str| {
        let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
        jwk.common.key_id = Some(key_id.to_owned());
        serde_json::to_value(jwk).unwrap()
    };
    json!({"keys": [
        jwk(&keys().published, Algorithm::RS256, "key-1"),
        jwk(&keys().elliptic, Algorithm::ES256, "key-ec"),
    ]})
}

#[derive(Debug)]
pub(in crate::exchange::azure_entra) struct FakeDocuments(
    pub(in crate::exchange::azure_entra) Mutex<Option<Value>>,
    pub(in crate::exchange::azure_entra) AtomicU64,
);

impl IssuerDocuments for FakeDocuments {
    fn fetch<'a>(
        &'a self,
        issuer: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Documents, Unavailable>> + Send + 'a>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let jwks = self.0.lock().unwrap().clone();
        Box::pin(async move {
            jwks.map(|jwks| Documents {
                discovery: json!({"issuer": issuer}),
                jwks,
            })
            .ok_or_else(|| Unavailable {
                issuer: issuer.to_owned(),
                reason: "connection refused".to_owned(),
            })
        })
    }
}

pub(in crate::exchange::azure_entra) struct Cloud {
    pub(in crate::exchange::azure_entra) sim: Arc<EntraSim>,
    pub(in crate::exchange::azure_entra) clock: Arc<FakeClock>,
    pub(in crate::exchange::azure_entra) documents: Arc<FakeDocuments>,
    pub(in crate::exchange::azure_entra) router: Router,
}

impl Cloud {
    /// A tenant with one application and the credentials of a row.
    pub(in crate::exchange::azure_entra) fn given(given: &Value) -> Self {
        let clock = FakeClock::at(vectors::load()["good"]["now"].as_str().unwrap());
        let jwks = (given["issuer"] != "unreachable").then(published);
        let documents = Arc::new(FakeDocuments(Mutex::new(jwks), AtomicU64::new(0)));
        let sim = Arc::new(EntraSim::new(documents.clone(), clock.clone(), Arc::new(SystemRandom)));
        let kind = match given["application"].as_str() {
            Some("public") => ApplicationKind::Public,
            Some("blocked") => ApplicationKind::Blocked,
            Some(other) => panic!("unknown application {other}"),
            None => ApplicationKind::Confidential,
        };
        sim.add_application(TENANT, CLIENT, kind);
        for new in vectors::credentials(given) {
            sim.add_credential(TENANT, CLIENT, new).unwrap();
        }
        sim.behave(Behaviour {
            propagation: Duration::from_secs(given["propagation_seconds"].as_u64().unwrap_or(0)),
            ..Behaviour::default()
        });
        clock.advance(Duration::from_secs(given["seconds_after"].as_u64().unwrap_or(0)));
        let router = Arc::clone(&sim).router(PUBLIC.to_owned());
        Self {
            sim,
            clock,
            documents,
            router,
        }
    }

    pub(in crate::exchange::azure_entra) fn good() -> Self {
        Self::given(&Value::Null)
    }

    async fn ask(&self, given: &Value) -> Answer {
        let tenant = given["tenant"].as_str().unwrap_or(TENANT);
        let request = Request::post(format!("/{tenant}/oauth2/v2.0/token"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("client-request-id", "8f6b7f3e-0000-4000-8000-000000000000")
            .body(Body::from(form(given)))
            .unwrap();
        self.send(request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub(in crate::exchange::azure_entra) async fn accepts(&self, token: &str) -> Answer {
        let request = Request::get("/_accepted").header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            length: bytes.len(),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }
}

#[derive(Debug)]
pub(in crate::exchange::azure_entra) struct Answer {
    pub(in crate::exchange::azure_entra) status: StatusCode,
    headers: axum::http::HeaderMap,
    length: usize,
    pub(in crate::exchange::azure_entra) body: Value,
}

impl Answer {
    fn token(&self) -> &str {
        self.body["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("no token: {self:?}"))
    }

    fn code(&self) -> &Value {
        &self.body["error_codes"][0]
    }
}

pub(in crate::exchange::azure_entra) fn signed(given: &Value) -> String {
    let header = vectors::changed("header", &given["header"]);
    let key = match (given["signed_by"].as_str(), header["alg"].as_str()) {
        (Some("other"), _any) => &keys().other,
        (None, Some("ES256")) => &keys().elliptic,
        (None, Some("RS256")) => &keys().published,
        (signed_by, algorithm) => panic!("no key for {signed_by:?} {algorithm:?}"),
    };
    let header: jsonwebtoken::Header = serde_json::from_value(header).unwrap();
    let claims = vectors::changed("claims", &given["claims"]);
    jsonwebtoken::encode(&header, &claims, key).unwrap()
}

fn form(given: &Value) -> String {
    let mut change = json!({"client_assertion": signed(given)});
    if let Some(more) = given["form"].as_object() {
        for (name, value) in more {
            change[name] = value.clone();
        }
    }
    let form = vectors::changed("form", &change);
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(
            form.as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name, value.as_str().unwrap())),
        )
        .finish()
}

#[tokio::test]
async fn the_simulator_answers_each_exchange_vector_as_the_cloud_does() {
    for row in vectors::rows("exchange") {
        let cloud = Cloud::given(&row["given"]);

        let answer = cloud.ask(&row["given"]).await;

        let expected = &row["expect"];
        if expected.is_null() {
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}, but: {row}");
            assert_eq!(answer.body["token_type"], "Bearer", "{row}");
            continue;
        }
        assert!(answer.status.is_client_error(), "{answer:?}, but: {row}");
        assert_eq!(answer.code(), &expected["code"], "{answer:?}, but: {row}");
        if !expected["error"].is_null() {
            assert_eq!(answer.body["error"], expected["error"], "{row}");
        }
        let description = answer.body["error_description"].as_str().unwrap();
        let prefix = format!("AADSTS{}: ", expected["code"]);
        let text = description.split("\r\n").next().unwrap().strip_prefix(&prefix).unwrap();
        assert!(vectors::is_text(&expected["text"], text), "{text}, but: {row}");
    }
}

#[test]
fn the_simulator_answers_each_admin_vector_as_the_cloud_does() {
    for row in vectors::rows("admin") {
        let given = &row["given"];
        let clock = FakeClock::at("2026-01-16T14:40:00Z");
        let documents = Arc::new(FakeDocuments(Mutex::new(None), AtomicU64::new(0)));
        let sim = EntraSim::new(documents, clock.clone(), Arc::new(SystemRandom));
        match (given["parent"].as_str(), given["parent"]["region"].as_str()) {
            (Some("missing"), _) => sim.add_tenant(TENANT),
            (None, Some(region)) => {
                let region = region.to_owned();
                sim.add_application(TENANT, CLIENT, ApplicationKind::ManagedIdentity { region });
            }
            (_, None) => sim.add_application(TENANT, CLIENT, ApplicationKind::Confidential),
            (Some(other), _) => panic!("unknown parent {other}"),
        }
        for number in 0..given["existing"].as_u64().unwrap_or(0) {
            let change = json!({"name": format!("existing-{number}"), "subject": format!("existing-{number}")});
            sim.add_credential(TENANT, CLIENT, vectors::credential(&change))
                .unwrap();
        }
        let mut change = given["credential"].clone();
        if !given["beside"].is_null() {
            sim.add_credential(TENANT, CLIENT, vectors::credential(&Value::Null))
                .unwrap();
            clock.advance(Duration::from_secs(given["seconds_after"].as_u64().unwrap_or(0)));
            change = given["beside"].clone();
        }

        let found = sim.add_credential(TENANT, CLIENT, vectors::credential(&change));

        let expected = &row["expect"];
        match found {
            Ok(()) => assert!(expected.is_null(), "admitted, but: {row}"),
            Err(refusal) => {
                assert_eq!(json!(refusal.status()), expected["status"], "{refusal}, but: {row}");
                assert!(
                    vectors::is_text(&expected["text"], &refusal.to_string()),
                    "{refusal}, but: {row}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_access_token_is_accepted_until_it_expires() {
    let cloud = Cloud::good();
    let answer = cloud.ask(&Value::Null).await;
    let life = answer.body["expires_in"].as_u64().unwrap();

    let accepted = cloud.accepts(answer.token()).await;

    assert_eq!(accepted.status, StatusCode::OK);
    assert_eq!(accepted.body["appid"], CLIENT);
    assert_eq!(accepted.body["tid"], TENANT);
    assert_eq!(accepted.body["resource"], "https://management.azure.com");
    assert_eq!(accepted.body["expires_on"], 1_768_574_400 + life);
    cloud.clock.advance(Duration::from_secs(life - 1));
    assert_eq!(cloud.accepts(answer.token()).await.status, StatusCode::OK);
    cloud.clock.advance(Duration::from_secs(1));
    assert_eq!(cloud.accepts(answer.token()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_access_token_lives_60_to_90_minutes() {
    let cloud = Cloud::good();
    for _attempt in 0..20 {
        let life = cloud.ask(&Value::Null).await.body["expires_in"].as_u64().unwrap();

        assert!((3_600..=5_400).contains(&life), "{life}");
    }
}

#[tokio::test]
async fn a_token_that_was_not_issued_is_not_accepted() {
    let cloud = Cloud::good();

    let missing = cloud.get("/_accepted").await;
    let foreign = cloud.accepts("simulated-entra.AAAA").await;

    assert_eq!(missing.status, StatusCode::UNAUTHORIZED);
    assert_eq!(foreign.status, StatusCode::UNAUTHORIZED);
    assert!(foreign.headers.contains_key(header::WWW_AUTHENTICATE));
}

#[tokio::test]
async fn a_refusal_has_every_documented_member() {
    let cloud = Cloud::given(&json!({"credentials": []}));

    let answer = cloud.ask(&Value::Null).await;

    let trace = answer.body["trace_id"].as_str().unwrap();
    let timestamp = answer.body["timestamp"].as_str().unwrap();
    assert_eq!(timestamp, "2026-01-16 14:40:00Z");
    assert_eq!(answer.body["correlation_id"], "8f6b7f3e-0000-4000-8000-000000000000");
    assert_eq!(trace.len(), 36);
    let description = answer.body["error_description"].as_str().unwrap();
    let ending = format!(
        "\r\nTrace ID: {trace}\r\nCorrelation ID: 8f6b7f3e-0000-4000-8000-000000000000\r\nTimestamp: {timestamp}"
    );
    assert!(description.ends_with(&ending), "{description}");
}

#[tokio::test]
async fn descriptions_can_be_separated_by_blanks() {
    let cloud = Cloud::given(&json!({"credentials": []}));
    cloud.sim.behave(Behaviour {
        separator: Separator::Blanks,
        ..Behaviour::default()
    });

    let answer = cloud.ask(&Value::Null).await;

    let description = answer.body["error_description"].as_str().unwrap();
    assert!(description.contains(". Trace ID: "), "{description}");
    assert!(!description.contains('\n'));
}

#[tokio::test]
async fn untested_algorithms_pass_when_the_cloud_is_lenient() {
    let cloud = Cloud::good();
    cloud.sim.behave(Behaviour {
        strictness: Strictness::Untested,
        ..Behaviour::default()
    });

    let answer = cloud.ask(&json!({"header": {"alg": "ES256", "kid": "key-ec"}})).await;

    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

#[tokio::test]
async fn alg_none_and_a_symmetric_algorithm_are_refused() {
    let part = |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = part(vectors::changed("claims", &Value::Null));
    for algorithm in ["none", "HS256"] {
        let cloud = Cloud::good();
        let token = format!("{}.{claims}.AAAA", part(json!({"alg": algorithm, "kid": "key-1"})));

        let answer = cloud.ask(&json!({"form": {"client_assertion": token}})).await;

        assert_eq!(answer.code(), 50_013, "{algorithm}: {answer:?}");
    }
}

#[tokio::test]
async fn nothing_is_fetched_for_an_issuer_that_nobody_configured() {
    let cloud = Cloud::good();

    cloud.ask(&json!({"claims": {"iss": "https://evil.example"}})).await;

    assert_eq!(cloud.documents.1.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn keys_are_fetched_each_time_unless_the_cloud_remembers_them() {
    let cloud = Cloud::good();
    cloud.ask(&Value::Null).await;
    cloud.ask(&Value::Null).await;
    assert_eq!(cloud.documents.1.load(Ordering::SeqCst), 2);

    cloud.sim.behave(Behaviour {
        key_memory: Duration::from_mins(1),
        ..Behaviour::default()
    });
    *cloud.documents.0.lock().unwrap() = None;
    let remembered = cloud.ask(&Value::Null).await;
    cloud.clock.advance(Duration::from_mins(1));
    let forgotten = cloud.ask(&Value::Null).await;

    assert_eq!(remembered.status, StatusCode::OK);
    assert_eq!(forgotten.code(), 50_166);
}

#[tokio::test]
async fn a_missing_parameter_is_named() {
    for name in [
        "grant_type",
        "client_id",
        "scope",
        "client_assertion",
        "client_assertion_type",
    ] {
        let cloud = Cloud::good();

        let answer = cloud.ask(&json!({"form": {name: null}})).await;

        assert_eq!(answer.code(), 900_144, "{name}: {answer:?}");
        assert!(
            answer.body["error_description"].as_str().unwrap().contains(name),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_removed_credential_is_trusted_no_more() {
    let cloud = Cloud::good();
    assert!(cloud.sim.remove_credential(TENANT, CLIENT, "shop"));
    assert!(!cloud.sim.remove_credential(TENANT, CLIENT, "shop"));

    assert_eq!(cloud.ask(&Value::Null).await.code(), 70_025);
}

#[tokio::test]
async fn each_mutation_meets_one_request_and_calls_are_counted() {
    let cloud = Cloud::good();
    for mutation in [
        Mutation::Throttle,
        Mutation::ServerError,
        Mutation::Garbage,
        Mutation::Oversized,
    ] {
        cloud.sim.mutations().push(mutation);
    }

    let throttled = cloud.ask(&Value::Null).await;
    let failed = cloud.ask(&Value::Null).await;
    let garbage = cloud.ask(&Value::Null).await;
    let oversized = cloud.ask(&Value::Null).await;
    let good = cloud.ask(&Value::Null).await;

    assert_eq!(throttled.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(throttled.headers[header::RETRY_AFTER], "60");
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(failed.code(), 50_000);
    assert_eq!((garbage.status, &garbage.body), (StatusCode::OK, &Value::Null));
    assert!(oversized.length > 1024 * 1024);
    assert_eq!(good.status, StatusCode::OK);
    assert_eq!(cloud.sim.calls(), 5);
}

#[tokio::test]
async fn msal_finds_the_token_endpoint() {
    let cloud = Cloud::good();
    let query = format!("api-version=1.1&authorization_endpoint={PUBLIC}%2F{TENANT}%2Foauth2%2Fv2.0%2Fauthorize");

    let instance = cloud.get(&format!("/common/discovery/instance?{query}")).await;
    let found = instance.body["tenant_discovery_endpoint"].as_str().unwrap();
    let configuration = cloud.get(found.strip_prefix(PUBLIC).unwrap()).await;

    assert_eq!(
        configuration.body["token_endpoint"],
        format!("{PUBLIC}/{TENANT}/oauth2/v2.0/token")
    );
    assert_eq!(instance.body["metadata"][0]["aliases"][0], "login.test");
    let keys = configuration.body["jwks_uri"].as_str().unwrap();
    assert_eq!(
        cloud.get(keys.strip_prefix(PUBLIC).unwrap()).await.body,
        json!({"keys": []})
    );
}

#[tokio::test]
async fn an_unknown_tenant_has_no_configuration() {
    let cloud = Cloud::good();

    let answer = cloud.get("/nobody/v2.0/.well-known/openid-configuration").await;

    assert_eq!(answer.code(), 90_002);
}
