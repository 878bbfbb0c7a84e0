//! Runs the vectors against the rules and against the simulator on the wire.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http_body_util::BodyExt as _;
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

use super::super::{
    rules::{
        limits::{self, LifetimeExtension},
        principal::{Identity, Member},
        provider::{Provider, ProviderName, ProviderSettings},
        token::{self, Expected},
        trust::Trust,
    },
    sim::{Availability, GcpSim},
};
use crate::{
    clock::{Clock as _, FakeClock, rfc3339, unix_seconds},
    secret::{NoRandomness, Random},
    sim::{Documents, IssuerDocuments, Unavailable},
};

pub(in crate::exchange::gcp_sts) const NOW: &str = "2026-01-16T14:40:00Z";
pub(in crate::exchange::gcp_sts) const ISSUER: &str = "https://id.acme.example";
pub(in crate::exchange::gcp_sts) const PROVIDER: &str =
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/prod/providers/cambio";
pub(in crate::exchange::gcp_sts) const SUBJECT: &str = "spiffe://prod.acme.example/ci/acme/shop/deploy";
pub(in crate::exchange::gcp_sts) const EMAIL: &str = "deploy@acme-prod.iam.gserviceaccount.com";
pub(in crate::exchange::gcp_sts) const UNIQUE_ID: &str = "104857600000000000001";
pub(in crate::exchange::gcp_sts) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const DELEGATE: &str = "delegate@acme-prod.iam.gserviceaccount.com";
const PROJECT: u64 = 123_456_789_012;

static KEYS: LazyLock<Keys> = LazyLock::new(Keys::generate);

struct Keys {
    elliptic: EncodingKey,
    rsa: EncodingKey,
    stranger: EncodingKey,
}

impl Keys {
    fn generate() -> Self {
        let elliptic = || {
            let document =
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
            EncodingKey::from_ec_der(document.as_ref())
        };
        let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
        let pkcs8 = STANDARD.encode(pair.as_der().unwrap().as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{pkcs8}\n-----END PRIVATE KEY-----\n");
        Self {
            elliptic: elliptic(),
            rsa: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
            stranger: elliptic(),
        }
    }
}

/// The issuer's key set: `k1` (EC) and `r1` (RSA).
pub(in crate::exchange::gcp_sts) fn jwks() -> Value {
    let key = |key: &EncodingKey, algorithm, id: &str| {
        let mut value = serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
        value["kid"] = json!(id);
        value["use"] = json!("sig");
        value
    };
    json!({"keys": [key(&KEYS.elliptic, Algorithm::ES256, "k1"), key(&KEYS.rsa, Algorithm::RS256, "r1")]})
}

/// The claims of a real token of ours at `now`.
pub(in crate::exchange::gcp_sts) fn claims(now: u64) -> Value {
    json!({
        "iss": ISSUER, "sub": SUBJECT, "aud": PROVIDER,
        "iat": now, "nbf": now, "exp": now + 300, "jti": "0b9c2e3f4a5d6978",
    })
}

/// Signs as the header says; what is neither RS256 nor ES256 gets a signature of zeros.
pub(in crate::exchange::gcp_sts) fn sign(header: &Value, claims: &Value, stranger: bool) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signed = |key, algorithm| jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    let signature = match header["alg"].as_str() {
        Some("ES256") if stranger => signed(&KEYS.stranger, Algorithm::ES256),
        Some("ES256") => signed(&KEYS.elliptic, Algorithm::ES256),
        Some("RS256") => signed(&KEYS.rsa, Algorithm::RS256),
        _ => URL_SAFE_NO_PAD.encode([0; 64]),
    };
    format!("{message}.{signature}")
}

#[derive(Debug, Default)]
pub(in crate::exchange::gcp_sts) struct FakeDocuments {
    pub(in crate::exchange::gcp_sts) unreachable: AtomicBool,
    pub(in crate::exchange::gcp_sts) fetched: AtomicU64,
}

impl IssuerDocuments for FakeDocuments {
    fn fetch<'a>(
        &'a self,
        issuer: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Documents, Unavailable>> + Send + 'a>> {
        self.fetched.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if self.unreachable.load(Ordering::Relaxed) {
                return Err(Unavailable {
                    issuer: issuer.to_owned(),
                    reason: "connection refused".to_owned(),
                });
            }
            Ok(Documents {
                discovery: json!({"issuer": issuer}),
                jwks: jwks(),
            })
        })
    }
}

/// Gives the bytes 1, 2, 3, ... so that every token differs and every run is the same.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoRandomness> {
        let next = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        for (byte, value) in out.iter_mut().zip(next.to_be_bytes()) {
            *byte = value;
        }
        Ok(())
    }
}

/// A simulated Google with one pool, one provider and one service account.
pub(in crate::exchange::gcp_sts) struct World {
    pub(in crate::exchange::gcp_sts) sim: Arc<GcpSim>,
    pub(in crate::exchange::gcp_sts) documents: Arc<FakeDocuments>,
    pub(in crate::exchange::gcp_sts) clock: Arc<FakeClock>,
}

impl World {
    pub(in crate::exchange::gcp_sts) fn new() -> Self {
        let documents = Arc::new(FakeDocuments::default());
        let clock = FakeClock::at(NOW);
        let sim = Arc::new(GcpSim::new(
            documents.clone(),
            clock.clone(),
            Arc::new(Counting::default()),
        ));
        sim.create_pool(PROJECT, "prod").unwrap();
        sim.create_service_account(EMAIL, UNIQUE_ID).unwrap();
        Self { sim, documents, clock }
    }

    pub(in crate::exchange::gcp_sts) fn with_provider(settings: Value) -> Self {
        let world = Self::new();
        let settings = serde_json::from_value(settings).unwrap();
        world.sim.create_provider(provider_name(), settings).unwrap();
        world
    }

    pub(in crate::exchange::gcp_sts) fn now(&self) -> u64 {
        unix_seconds(self.clock.now())
    }

    /// Exchanges a good token and returns the federated one.
    pub(in crate::exchange::gcp_sts) async fn federated_token(&self) -> String {
        let token = sign(&header_of("ES256", "k1"), &extended_claims(self.now()), false);
        let (status, body) = self.exchange(&form(&request(&token))).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    pub(in crate::exchange::gcp_sts) async fn exchange(&self, body: &str) -> (StatusCode, Value) {
        let request = Request::post("/v1/token")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body.to_owned()))
            .unwrap();
        send(self.sim.clone().sts_router(), request).await
    }

    pub(in crate::exchange::gcp_sts) async fn impersonate(
        &self,
        bearer: &str,
        target: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let request = Request::post(format!("/v1/projects/-/serviceAccounts/{target}:generateAccessToken"))
            .header(header::AUTHORIZATION, format!("Bearer {bearer}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        send(self.sim.clone().iamcredentials_router(), request).await
    }

    pub(in crate::exchange::gcp_sts) async fn token_info(&self, bearer: Option<&str>) -> (StatusCode, Value) {
        let mut request = Request::get("/v1/tokeninfo");
        if let Some(bearer) = bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        }
        send(
            self.sim.clone().iamcredentials_router(),
            request.body(Body::empty()).unwrap(),
        )
        .await
    }
}

pub(in crate::exchange::gcp_sts) async fn send(router: Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

pub(in crate::exchange::gcp_sts) fn provider_name() -> ProviderName {
    ProviderName::parse(PROVIDER).unwrap()
}

pub(in crate::exchange::gcp_sts) fn header_of(algorithm: &str, key_id: &str) -> Value {
    json!({"alg": algorithm, "kid": key_id, "typ": "JWT"})
}

/// The settings of a provider that maps the subject, groups and one attribute.
pub(in crate::exchange::gcp_sts) fn settings() -> Value {
    json!({"issuerUri": ISSUER, "attributeMapping": {"google.subject": "assertion.sub"}})
}

pub(in crate::exchange::gcp_sts) fn mapped_settings() -> Value {
    json!({"issuerUri": ISSUER, "attributeMapping": {
        "google.subject": "assertion.sub",
        "google.groups": "assertion.groups",
        "attribute.repository": "assertion.repository",
    }})
}

fn extended_claims(now: u64) -> Value {
    overlay(
        claims(now),
        &json!({"groups": ["deployers"], "repository": "acme/shop"}),
        now,
    )
}

pub(in crate::exchange::gcp_sts) fn request(token: &str) -> Value {
    json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": PROVIDER,
        "scope": SCOPE,
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": token,
    })
}

pub(in crate::exchange::gcp_sts) fn form(fields: &Value) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields.as_object().unwrap() {
        form.append_pair(name, value.as_str().unwrap());
    }
    form.finish()
}

fn camel_case(fields: &Value) -> Value {
    let camel = |name: &str| match name {
        "grant_type" => "grantType",
        "requested_token_type" => "requestedTokenType",
        "subject_token_type" => "subjectTokenType",
        "subject_token" => "subjectToken",
        "audience" => "audience",
        "scope" => "scope",
        other => panic!("no camelCase name for {other}"),
    };
    let fields = fields.as_object().unwrap();
    fields
        .iter()
        .map(|(name, value)| (camel(name).to_owned(), value.clone()))
        .collect()
}

/// Expands `$repeat` and `$now`.
fn expand(value: &Value, now: u64) -> Value {
    match value {
        Value::Object(fields) if fields.contains_key("$repeat") => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            let times = usize::try_from(fields["times"].as_u64().unwrap()).unwrap();
            json!(format!(
                "{}{}{}",
                text("before"),
                text("$repeat").repeat(times),
                text("after")
            ))
        }
        Value::Object(fields) if fields.contains_key("$now") => {
            json!(now.checked_add_signed(fields["$now"].as_i64().unwrap()).unwrap())
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), expand(value, now)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(|item| expand(item, now)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Replaces the members of `base` by those of `change`; a null removes one.
fn overlay(base: Value, change: &Value, now: u64) -> Value {
    let Value::Object(mut base) = base else { return base };
    for (name, value) in change.as_object().into_iter().flatten() {
        match value {
            Value::Null => base.remove(name),
            value => base.insert(name.clone(), expand(value, now)),
        };
    }
    Value::Object(base)
}

struct Vector(Value);

impl Vector {
    fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
    }

    fn given(&self, name: &str) -> &Value {
        &self.0["given"][name]
    }

    fn expected(&self, name: &str) -> Option<&str> {
        self.0["expect"][name].as_str()
    }

    fn runs_on(&self, layer: &str) -> bool {
        self.0["only"].as_str().is_none_or(|only| only == layer)
    }

    fn settings(&self, now: u64) -> ProviderSettings {
        let mut settings = overlay(settings(), self.given("provider"), now);
        if self.given("upload_keys") == true {
            settings["jwksJson"] = json!(jwks().to_string());
        }
        serde_json::from_value(settings).unwrap_or_else(|why| panic!("{}: {why}", self.id()))
    }

    fn header(&self, now: u64) -> Value {
        overlay(header_of("ES256", "k1"), self.given("header"), now)
    }

    fn claims(&self, now: u64) -> Value {
        overlay(claims(now), self.given("claims"), now)
    }

    /// Holds `code` and `description` against what is expected; a success has the code "OK".
    fn check(&self, layer: &str, code: &str, description: &str) {
        let id = self.id();
        let refused = self.0["expect"]["status"] != 200;
        assert_eq!(code != "OK", refused, "{id} on {layer}: {code} {description}");
        if let Some(expected) = self.expected("code") {
            assert_eq!(code, expected, "{id} on {layer}: {description}");
        }
        if let Some(expected) = self.expected("description") {
            assert_eq!(description, expected, "{id} on {layer}");
        }
        if let Some(expected) = self.expected("description_prefix") {
            assert!(description.starts_with(expected), "{id} on {layer}: {description}");
        }
    }
}

fn vectors(kind: &str) -> Vec<Vector> {
    let file: Value = serde_json::from_str(include_str!("../../../../tests/vectors/clouds/gcp_sts.json")).unwrap();
    let chosen: Vec<Vector> = file["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|vector| vector["kind"] == kind)
        .map(|vector| Vector(vector.clone()))
        .collect();
    assert!(!chosen.is_empty(), "no vectors of the kind {kind}");
    chosen
}

fn creation_code(result: Result<(), super::super::sim::CreationRefused>) -> &'static str {
    result.map_or_else(|why| why.code(), |()| "OK")
}

#[test]
fn every_vector_is_named_marked_and_sourced() {
    let file: Value = serde_json::from_str(include_str!("../../../../tests/vectors/clouds/gcp_sts.json")).unwrap();
    let mut ids = BTreeSet::new();

    for vector in file["vectors"].as_array().unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap_or_default();
        assert!(["D", "O", "M"].contains(&text("mark")), "{vector}");
        assert!(!text("row").is_empty() && !text("source").is_empty(), "{vector}");
        assert!(
            ["pool", "provider", "exchange", "impersonate", "member"].contains(&text("kind")),
            "{vector}"
        );
        assert!(ids.insert(text("id").to_owned()), "twice: {vector}");
    }
}

#[test]
fn pool_vectors_hold_for_the_rules_and_the_simulator() {
    for vector in vectors("pool") {
        let id = vector.given("id").as_str().unwrap();

        let rules = limits::judge_id("workloadIdentityPoolId", id).map_or_else(|why| why.code(), |_| "OK");
        let sim = creation_code(World::new().sim.create_pool(7, id));

        assert_eq!(Some(rules), vector.expected("code"), "{} on rules", vector.id());
        assert_eq!(Some(sim), vector.expected("code"), "{} on the simulator", vector.id());
    }
}

#[test]
fn provider_vectors_hold_for_the_rules_and_the_simulator() {
    for vector in vectors("provider") {
        let settings: ProviderSettings = serde_json::from_value(overlay(settings(), &vector.0["given"], 0)).unwrap();

        let rules = match Provider::new(provider_name(), settings.clone()) {
            Err(why) => why.code(),
            Ok(provider) => Trust::compile(&provider).map_or_else(|why| why.code(), |_| "OK"),
        };
        let sim = creation_code(World::new().sim.create_provider(provider_name(), settings));

        assert_eq!(Some(rules), vector.expected("code"), "{} on rules", vector.id());
        if vector.runs_on("wire") {
            assert_eq!(Some(sim), vector.expected("code"), "{} on the simulator", vector.id());
        } else {
            assert_eq!(sim, "UNIMPLEMENTED", "{} on the simulator", vector.id());
        }
    }
}

#[test]
fn exchange_vectors_hold_for_the_rules() {
    let clock = FakeClock::at(NOW);
    let now = unix_seconds(clock.now());
    for vector in vectors("exchange").iter().filter(|vector| vector.runs_on("rules")) {
        let request = overlay(request("x"), vector.given("request"), now);
        let provider = Provider::new(provider_name(), vector.settings(now)).unwrap();
        let trust = Trust::compile(&provider).unwrap();
        let claims = vector.claims(now);
        let expected = Expected {
            issuer: &provider.settings().issuer_uri,
            allowed_audiences: &provider.settings().allowed_audiences,
            provider: provider.name(),
        };

        let name = ProviderName::parse(request["audience"].as_str().unwrap());
        let (code, description) = match name {
            Err(why) => (why.code(), why.to_string()),
            Ok(_) => match token::judge(&vector.header(now), &claims, &expected, clock.now()) {
                Err(why) => (why.code(), why.to_string()),
                Ok(()) => match trust.evaluate(&claims) {
                    Err(why) => (why.code(), why.to_string()),
                    Ok(_) => ("OK", String::new()),
                },
            },
        };

        vector.check("rules", code, &description);
        if let Some(life) = vector.0["expect"]["expires_in"].as_u64() {
            let expires = claims["exp"].as_u64().unwrap();
            assert_eq!(
                token::federated_life_seconds(expires, clock.now()),
                life,
                "{}",
                vector.id()
            );
        }
    }
}

#[tokio::test]
async fn exchange_vectors_hold_on_the_wire() {
    for vector in vectors("exchange").iter().filter(|vector| vector.runs_on("wire")) {
        let world = World::new();
        let now = world.now();
        world
            .sim
            .create_provider(provider_name(), vector.settings(now))
            .unwrap();
        if vector.given("pool") == "disabled" {
            world.sim.set_pool(PROJECT, "prod", Availability::Disabled).unwrap();
        }
        if vector.given("provider_state") == "disabled" {
            world
                .sim
                .set_provider(&provider_name(), Availability::Disabled)
                .unwrap();
        }
        let unreachable = vector.given("issuer_unreachable") == true;
        world.documents.unreachable.store(unreachable, Ordering::Relaxed);
        let token = sign(
            &vector.header(now),
            &vector.claims(now),
            vector.given("signer") == "stranger",
        );
        let fields = overlay(request(&token), vector.given("request"), now);

        let (status, body) = if vector.given("encoding") == "json" {
            let request = Request::post("/v1/token")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(camel_case(&fields).to_string()))
                .unwrap();
            send(world.sim.clone().sts_router(), request).await
        } else {
            world.exchange(&form(&fields)).await
        };

        let expected = &vector.0["expect"];
        assert_eq!(json!(status.as_u16()), expected["status"], "{}: {body}", vector.id());
        let code = body["error"].as_str().unwrap_or("OK");
        vector.check("the wire", code, body["error_description"].as_str().unwrap_or_default());
        if status == StatusCode::OK {
            assert_eq!(body["token_type"], "Bearer", "{}", vector.id());
            assert_eq!(
                body["issued_token_type"],
                "urn:ietf:params:oauth:token-type:access_token"
            );
        }
        if let Some(life) = expected["expires_in"].as_u64() {
            assert_eq!(body["expires_in"], life, "{}", vector.id());
        }
    }
}

#[test]
fn impersonation_lifetimes_hold_for_the_rules() {
    for vector in vectors("impersonate") {
        let Some(seconds) = vector.given("body")["lifetime"].as_str() else {
            continue;
        };
        let extension = match vector.given("extension").as_str() {
            Some("allowed") => LifetimeExtension::Allowed,
            _ => LifetimeExtension::Refused,
        };

        let judged = limits::judge_lifetime(seconds.trim_end_matches('s').parse().unwrap(), extension);

        assert_eq!(judged.is_ok(), vector.0["expect"]["status"] == 200, "{}", vector.id());
        if let (Err(why), Some(expected)) = (judged, vector.expected("description")) {
            assert_eq!(why.to_string(), expected, "{}", vector.id());
        }
    }
}

#[tokio::test]
async fn impersonation_vectors_hold_on_the_wire() {
    for vector in vectors("impersonate") {
        let world = World::with_provider(settings());
        if vector.given("extension") == "allowed" {
            world
                .sim
                .set_lifetime_extension(EMAIL, LifetimeExtension::Allowed)
                .unwrap();
        }
        let everyone = format!(
            "principalSet://iam.googleapis.com/projects/{PROJECT}/locations/global/workloadIdentityPools/prod/*"
        );
        let mut body = json!({"scope": [SCOPE]});
        if vector.given("delegates") == true {
            world
                .sim
                .create_service_account(DELEGATE, "104857600000000000002")
                .unwrap();
            world.sim.bind(DELEGATE, &everyone).unwrap();
            world.sim.bind(EMAIL, &format!("serviceAccount:{DELEGATE}")).unwrap();
            body["delegates"] = json!([format!("projects/-/serviceAccounts/{DELEGATE}")]);
        } else if vector.given("members").is_null() {
            world.sim.bind(EMAIL, &everyone).unwrap();
        }
        let federated = world.federated_token().await;
        match vector.given("then").as_str() {
            Some("pool_disabled") => world.sim.set_pool(PROJECT, "prod", Availability::Disabled).unwrap(),
            Some("provider_disabled") => {
                world
                    .sim
                    .set_provider(&provider_name(), Availability::Disabled)
                    .unwrap();
            }
            _ => {}
        }

        let bearer = vector.given("bearer").as_str().unwrap_or(&federated);
        let target = vector.given("target").as_str().unwrap_or(EMAIL);
        let body = overlay(body, vector.given("body"), 0);
        let (status, answer) = world.impersonate(bearer, target, &body).await;

        let expected = &vector.0["expect"];
        assert_eq!(json!(status.as_u16()), expected["status"], "{}: {answer}", vector.id());
        let code = answer["error"]["status"].as_str().unwrap_or("OK");
        vector.check(
            "the wire",
            code,
            answer["error"]["message"].as_str().unwrap_or_default(),
        );
        if let Some(life) = expected["lifetime"].as_u64() {
            let expires = crate::clock::from_unix_seconds(world.now() + life).unwrap();
            assert_eq!(answer["expireTime"], rfc3339(expires), "{}", vector.id());
        }
    }
}

#[tokio::test]
async fn member_vectors_hold_for_the_rules_and_on_the_wire() {
    let identity = Identity {
        project: PROJECT,
        pool: "prod".to_owned(),
        subject: SUBJECT.to_owned(),
        groups: vec!["deployers".to_owned()],
        attributes: BTreeMap::from([("repository".to_owned(), "acme/shop".to_owned())]),
    };
    for vector in vectors("member") {
        let member = vector.given("member").as_str().unwrap();
        let expected = vector.0["expect"]["admits"].as_bool();

        let rules = Member::parse(member).ok().map(|member| member.admits(&identity));
        assert_eq!(rules, expected, "{} on rules", vector.id());

        let world = World::with_provider(mapped_settings());
        let bound = world.sim.bind(EMAIL, member);
        assert_eq!(bound.is_ok(), expected.is_some(), "{} on the simulator", vector.id());
        let federated = world.federated_token().await;
        let (status, body) = world.impersonate(&federated, EMAIL, &json!({"scope": [SCOPE]})).await;
        assert_eq!(
            status == StatusCode::OK,
            expected == Some(true),
            "{}: {body}",
            vector.id()
        );
    }
}
