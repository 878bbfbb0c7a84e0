//! A simulated CI system's token issuer.
//!
//! `POST /token` signs whatever claims it is given: it stands for a CI system that says what its jobs are, truthfully or not. The
//! requests by which jobs of GitHub, Buildkite and Azure DevOps get tokens sign the claims of the example job alone, and only for
//! its bearer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Map, Value, json};

use super::token_signer::TokenSigner;
use crate::{
    clock::{Clock, unix_seconds},
    secret::{Random, hex},
};

/// The issuer.
pub struct CiIssuer {
    issuer: String,
    audience: String,
    signer: TokenSigner,
    example: Map<String, Value>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for CiIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CiIssuer")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl CiIssuer {
    /// Makes an issuer with one fresh RSA key, whose tokens are for `audience` unless their claims say otherwise; `example` are
    /// the claims of its job.
    ///
    /// # Errors
    /// Fails where no key can be made.
    pub fn new(
        (issuer, audience): (String, String),
        example: Map<String, Value>,
        (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let signer = TokenSigner::rs256(KEY_ID)?;
        Ok(Self {
            issuer,
            audience,
            signer,
            example,
            clock,
            random,
        })
    }

    /// Signs `claims`; adds `iss`, `iat`, `nbf`, `exp`, `jti` and `aud` where they are missing.
    ///
    /// # Errors
    /// Fails where no id can be drawn or the claims cannot be signed.
    pub fn token(&self, mut claims: Map<String, Value>) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let now = unix_seconds(self.clock.now());
        let mut id = [0; 16];
        self.random.fill(&mut id)?;
        for (claim, value) in [
            ("iss", json!(self.issuer)),
            ("aud", json!(self.audience)),
            ("iat", json!(now)),
            ("nbf", json!(now)),
            ("exp", json!(now + LIFE.as_secs())),
            ("jti", json!(hex(&id))),
        ] {
            claims.entry(claim).or_insert(value);
        }
        self.signer.sign(&claims)
    }

    /// Signs the claims of the example job.
    ///
    /// # Errors
    /// As [`Self::token`].
    pub fn example_token(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        self.token(self.example.clone())
    }

    /// Returns the claims of the example job.
    pub fn example(&self) -> &Map<String, Value> {
        &self.example
    }

    /// Returns the issuer's routes.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/.well-known/jwks", get(jwks))
            .route("/token", post(token))
            .route(GITHUB_REQUEST_PATH, get(github_request))
            .route("/v3/jobs/{job}/oidc/tokens", post(buildkite_request))
            .route(AZURE_DEVOPS_REQUEST_PATH, post(azure_devops_request))
            .with_state(self)
    }
}

const KEY_ID: &str = "development-ci";
/// GitHub's tokens live about five minutes.
const LIFE: Duration = Duration::from_mins(5);

/// As GitHub's: no `authorization_endpoint`.
async fn discovery(State(issuer): State<Arc<CiIssuer>>) -> Json<Value> {
    Json(json!({
        "issuer": issuer.issuer,
        "jwks_uri": format!("{}/.well-known/jwks", issuer.issuer),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public", "pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
    }))
}

async fn jwks(State(issuer): State<Arc<CiIssuer>>) -> Json<Value> {
    Json(issuer.signer.jwks())
}

async fn token(State(issuer): State<Arc<CiIssuer>>, Json(claims): Json<Map<String, Value>>) -> Response {
    match issuer.token(claims) {
        Ok(token) => Json(json!({ "token": token })).into_response(),
        Err(failed) => (StatusCode::INTERNAL_SERVER_ERROR, failed.to_string()).into_response(),
    }
}

/// GitHub's answer to a job that asks for an ID token: `GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=..` with its bearer.
async fn github_request(
    State(issuer): State<Arc<CiIssuer>>,
    headers: HeaderMap,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Response {
    if bearer(&headers) != Some(format!("Bearer {BEARER}")) || !asked.contains_key("api-version") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut claims = issuer.example.clone();
    claims.extend(
        asked
            .get("audience")
            .map(|audience| ("aud".to_owned(), json!(audience))),
    );
    match issuer.token(claims) {
        Ok(token) => Json(json!({ "value": token, "count": token.len() })).into_response(),
        Err(failed) => (StatusCode::INTERNAL_SERVER_ERROR, failed.to_string()).into_response(),
    }
}

/// Buildkite's answer to the agent of a job; a claim that is optional there is in the token only if it was asked for.
async fn buildkite_request(
    State(issuer): State<Arc<CiIssuer>>,
    Path(job): Path<String>,
    headers: HeaderMap,
    Json(asked): Json<Map<String, Value>>,
) -> Response {
    let known = issuer.example.get("job_id").and_then(Value::as_str) == Some(job.as_str());
    if !known || bearer(&headers) != Some(format!("Token {BEARER}")) {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "message": "Unauthorized" }))).into_response();
    }
    let mut claims = issuer.example.clone();
    let wanted = asked
        .get("claims")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    claims.retain(|name, _| !OPTIONAL.contains(&name.as_str()) || wanted.contains(&json!(name)));
    claims.extend(
        asked
            .get("audience")
            .map(|audience| ("aud".to_owned(), audience.clone())),
    );
    match issuer.token(claims) {
        Ok(token) => (StatusCode::CREATED, Json(json!({ "token": token }))).into_response(),
        Err(failed) => (StatusCode::INTERNAL_SERVER_ERROR, failed.to_string()).into_response(),
    }
}

/// Azure DevOps' answer to a job; nobody chooses the audience, and only a service connection would change the subject.
async fn azure_devops_request(
    State(issuer): State<Arc<CiIssuer>>,
    headers: HeaderMap,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Response {
    if bearer(&headers) != Some(format!("Bearer {BEARER}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if asked.get("api-version").map(String::as_str) != Some("7.1") || asked.len() > 1 {
        return StatusCode::BAD_REQUEST.into_response();
    }
    match issuer.example_token() {
        Ok(token) => Json(json!({ "oidcToken": token })).into_response(),
        Err(failed) => (StatusCode::INTERNAL_SERVER_ERROR, failed.to_string()).into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?;
    value.to_str().ok().map(str::to_owned)
}

/// What a job asks with.
pub const BEARER: &str = "development-job";
/// Where a job of GitHub asks; the audience is added to it.
pub const GITHUB_REQUEST: &str = "/_apis/pipelines/1/idtoken?api-version=2.0";
const GITHUB_REQUEST_PATH: &str = "/_apis/pipelines/1/idtoken";
const AZURE_DEVOPS_REQUEST_PATH: &str =
    "/{organization}/{project}/_apis/distributedtask/hubs/build/plans/{plan}/jobs/{job}/oidctoken";
/// Buildkite's optional claims that presets read.
const OPTIONAL: [&str; 2] = ["organization_id", "pipeline_id"];
