//! The metadata service of an instance, version 2: a session first, then the role's credentials.
//!
//! It answers nobody without a session's token, and nobody whom another sent.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use serde_json::json;

use super::AwsAccountSim;
use crate::{clock, secret::hex};

type Account = State<Arc<AwsAccountSim>>;

/// Returns the service's routes.
pub(super) fn router(account: Arc<AwsAccountSim>) -> Router {
    let credentials = "/latest/meta-data/iam/security-credentials";
    Router::new()
        .route("/latest/api/token", put(session))
        .route(&format!("{credentials}/"), get(role))
        .route(credentials, get(role))
        .route(&format!("{credentials}/{{role}}"), get(credentials_of))
        .route("/latest/meta-data/placement/region", get(region))
        .with_state(account)
}

/// Opens a session.
async fn session(State(account): Account, headers: HeaderMap) -> Response {
    if headers.contains_key("x-forwarded-for") {
        return (StatusCode::BAD_REQUEST, "").into_response();
    }
    let seconds = headers.get(TTL).and_then(|value| value.to_str().ok());
    let seconds = seconds.and_then(|value| value.parse::<u64>().ok());
    let Some(seconds) = seconds.filter(|seconds| (1..=MAX_TTL_SECONDS).contains(seconds)) else {
        return (StatusCode::BAD_REQUEST, "").into_response();
    };
    let Ok(bytes) = account.drawn(42) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let token = hex(&bytes);
    let ends = account.clock.now() + Duration::from_secs(seconds);
    account.state().sessions.insert(token.clone(), ends);
    ([(TTL, seconds.to_string())], token).into_response()
}

async fn role(State(account): Account, headers: HeaderMap) -> Response {
    if let Some(refused) = refused(&account, &headers) {
        return refused;
    }
    account.instance().role.into_response()
}

async fn region(State(account): Account, headers: HeaderMap) -> Response {
    if let Some(refused) = refused(&account, &headers) {
        return refused;
    }
    account.instance().region.into_response()
}

async fn credentials_of(State(account): Account, Path(role): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refused) = refused(&account, &headers) {
        return refused;
    }
    if role != account.instance().role {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Ok(credentials) = account.credentials() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    // botocore reads whole seconds with `Z` only.
    axum::Json(json!({
        "Code": "Success",
        "Type": "AWS-HMAC",
        "LastUpdated": clock::rfc3339(credentials.issued),
        "AccessKeyId": credentials.key_id,
        "SecretAccessKey": credentials.secret_key.expose(),
        "Token": credentials.session_token.expose(),
        "Expiration": clock::rfc3339(credentials.expires),
    }))
    .into_response()
}

fn refused(account: &AwsAccountSim, headers: &HeaderMap) -> Option<Response> {
    let token = headers.get(TOKEN).and_then(|value| value.to_str().ok());
    let ends = token.and_then(|token| account.state().sessions.get(token).copied());
    let counts = ends.is_some_and(|ends| account.clock.now() < ends);
    (!counts).then(|| StatusCode::UNAUTHORIZED.into_response())
}

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// EC2 User Guide: six hours.
const MAX_TTL_SECONDS: u64 = 21_600;
