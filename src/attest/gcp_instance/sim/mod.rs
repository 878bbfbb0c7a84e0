//! Simulated instances of Compute Engine: Google's issuer, and the metadata server that gets an instance its tokens.
//!
//! It signs with another library than the attestor verifies with. Paths and headers of the metadata server are documented;
//! the texts of its errors are from memory, and nothing depends on them.

mod seed;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Map, Value, json};

pub(super) use seed::SEED;

use crate::{
    clock::{Clock, unix_seconds},
    sim::{
        Listen,
        token_signer::{SignerError, TokenSigner},
    },
};

/// An issuer with one key, and the metadata server of one instance.
#[derive(Debug)]
pub struct GceSim {
    issuer: String,
    metadata: String,
    signer: TokenSigner,
    clock: Arc<dyn Clock>,
    instance: Mutex<Instance>,
}

/// The instance that the metadata server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The project's id.
    pub project_id: String,
    /// The project's number.
    pub project_number: u64,
    /// Where it runs.
    pub zone: String,
    /// Its id, digits.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// When it was made.
    pub created: SystemTime,
    /// The e-mail address of its service account.
    pub service_account: String,
    /// The unique id of its service account, digits.
    pub service_account_id: String,
}

impl Instance {
    /// Returns the instance `deploy-1` of the project `acme-prod`, made a day before `now`.
    pub fn example(now: SystemTime) -> Self {
        Self {
            project_id: "acme-prod".to_owned(),
            project_number: 123_456_789_012,
            zone: "europe-west3-a".to_owned(),
            id: "1529866622329384490".to_owned(),
            name: "deploy-1".to_owned(),
            created: now.checked_sub(Duration::from_hours(24)).unwrap_or(now),
            service_account: "deploy@acme-prod.iam.gserviceaccount.com".to_owned(),
            service_account_id: "110347582393847293847".to_owned(),
        }
    }
}

impl GceSim {
    /// Starts the issuer over TLS and the metadata server in plain HTTP, each on a free port of loopback.
    ///
    /// # Errors
    /// Fails where no key can be made or no port can be bound.
    pub fn start(listen: &dyn Listen, instance: Instance, clock: Arc<dyn Clock>) -> Result<Arc<Self>, SignerError> {
        let (issuer, metadata) = (listen.bind()?, listen.bind_plain()?);
        let simulated = Arc::new(Self {
            issuer: issuer.url,
            metadata: metadata.url,
            signer: TokenSigner::rs256("gce-1")?,
            clock,
            instance: Mutex::new(instance),
        });
        (issuer.serve)(Arc::clone(&simulated).issuer_router());
        (metadata.serve)(Arc::clone(&simulated).metadata_router());
        Ok(simulated)
    }

    /// Returns the issuer's URL.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the metadata server's URL; SDKs take what follows `http://` in `GCE_METADATA_HOST`.
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// Returns the instance that is served.
    pub fn instance(&self) -> Instance {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves another instance from now on.
    pub fn serve(&self, instance: Instance) {
        *self.instance.lock().unwrap_or_else(PoisonError::into_inner) = instance;
    }

    /// Returns the issuer's key set.
    pub fn jwks(&self) -> Value {
        self.signer.jwks()
    }

    /// Returns the claims of a token for `audience` in the format `full`.
    pub fn claims(&self, audience: &str) -> Map<String, Value> {
        let instance = self.instance();
        let mut claims = self.standard_claims(&instance, audience);
        claims.insert("email".to_owned(), json!(instance.service_account));
        claims.insert("email_verified".to_owned(), json!(true));
        claims.insert(
            "google".to_owned(),
            json!({ "compute_engine": {
                "instance_creation_timestamp": unix_seconds(instance.created),
                "instance_id": instance.id,
                "instance_name": instance.name,
                "project_id": instance.project_id,
                "project_number": instance.project_number,
                "zone": instance.zone,
            } }),
        );
        claims
    }

    /// Returns what the issuer signs with.
    pub fn signer(&self) -> &TokenSigner {
        &self.signer
    }

    /// Signs claims as the issuer does.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, SignerError> {
        self.signer.sign(claims)
    }

    fn standard_claims(&self, instance: &Instance, audience: &str) -> Map<String, Value> {
        let now = unix_seconds(self.clock.now());
        let claims = json!({
            "aud": audience,
            "azp": instance.service_account_id,
            "exp": now + LIFE.as_secs(),
            "iat": now,
            "iss": self.issuer,
            "sub": instance.service_account_id,
        });
        claims.as_object().cloned().unwrap_or_default()
    }

    fn issuer_router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/oauth2/v3/certs", get(jwks))
            .with_state(self)
    }

    fn metadata_router(self: Arc<Self>) -> Router {
        let accounts = "/computeMetadata/v1/instance/service-accounts/{account}";
        Router::new()
            .route("/", get(async || "computeMetadata/\n"))
            .route("/computeMetadata/v1/project/project-id", get(project_id))
            .route("/computeMetadata/v1/project/numeric-project-id", get(project_number))
            .route(&format!("{accounts}/"), get(account))
            .route(&format!("{accounts}/email"), get(email))
            .route(&format!("{accounts}/identity"), get(identity))
            .layer(from_fn(flavored))
            .with_state(self)
    }
}

type Sim = State<Arc<GceSim>>;

async fn discovery(State(sim): Sim) -> Json<Value> {
    Json(json!({
        "issuer": sim.issuer,
        "jwks_uri": format!("{}/oauth2/v3/certs", sim.issuer),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

async fn jwks(State(sim): Sim) -> Json<Value> {
    Json(sim.jwks())
}

/// Answers only those who say that they know whom they ask, and nobody on whose behalf another was asked.
async fn flavored(request: Request, next: Next) -> Response {
    let refused = refused_headers(request.headers(), request.uri().path());
    let mut answer = match refused {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    };
    answer.headers_mut().insert(FLAVOR, HeaderValue::from_static("Google"));
    answer
}

fn refused_headers(headers: &HeaderMap, path: &str) -> Option<&'static str> {
    if headers.contains_key("x-forwarded-for") {
        return Some("Requests with X-Forwarded-For are not answered.\n");
    }
    let flavored = headers.get(FLAVOR).is_some_and(|flavor| flavor == "Google");
    // The root is how SDKs find out whether they run on an instance.
    (!flavored && path != "/").then_some("Missing Metadata-Flavor:Google header.\n")
}

async fn project_id(State(sim): Sim) -> String {
    sim.instance().project_id
}

async fn project_number(State(sim): Sim) -> String {
    sim.instance().project_number.to_string()
}

async fn account(State(sim): Sim, Path(account): Path<String>) -> Response {
    let instance = sim.instance();
    if !is_of(&instance, &account) {
        return unknown();
    }
    Json(json!({
        "aliases": ["default"],
        "email": instance.service_account,
        "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
    }))
    .into_response()
}

async fn email(State(sim): Sim, Path(account): Path<String>) -> Response {
    let instance = sim.instance();
    if !is_of(&instance, &account) {
        return unknown();
    }
    instance.service_account.into_response()
}

async fn identity(
    State(sim): Sim,
    Path(account): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let instance = sim.instance();
    if !is_of(&instance, &account) {
        return unknown();
    }
    let Some(audience) = query.get("audience").filter(|audience| !audience.is_empty()) else {
        return (StatusCode::BAD_REQUEST, "non-empty audience parameter required\n").into_response();
    };
    let claims = match query.get("format").map(String::as_str) {
        None | Some("standard") => sim.standard_claims(&instance, audience),
        Some("full") => {
            let mut claims = sim.claims(audience);
            let engine = claims
                .get_mut("google")
                .and_then(|google| google.get_mut("compute_engine"))
                .and_then(Value::as_object_mut);
            if let Some(engine) = engine.filter(|_| query.get("licenses").is_some_and(|licenses| licenses == "TRUE")) {
                engine.insert("license_id".to_owned(), json!(["1002001"]));
            }
            claims
        }
        Some(_other) => return (StatusCode::BAD_REQUEST, "format must be standard or full\n").into_response(),
    };
    match sim.sign(&claims) {
        Ok(token) => token.into_response(),
        Err(failed) => (StatusCode::INTERNAL_SERVER_ERROR, failed.to_string()).into_response(),
    }
}

fn is_of(instance: &Instance, account: &str) -> bool {
    account == "default" || account == instance.service_account
}

fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "no such service account\n").into_response()
}

const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");

/// Google's identity tokens live an hour.
const LIFE: Duration = Duration::from_hours(1);
