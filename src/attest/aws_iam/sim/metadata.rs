//! The metadata service of an instance, version 2: a session first, then the role's credentials.
//!
//! It answers nobody without a session.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use serde_json::json;

use super::AwsAccountSim;
use crate::clock;

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

async fn session(State(account): Account, headers: HeaderMap) -> Response {
    account.sessions.opened(&headers)
}

async fn role(State(account): Account, headers: HeaderMap) -> Response {
    if let Some(refused) = account.sessions.refused(&headers) {
        return refused;
    }
    account.instance().role.into_response()
}

async fn region(State(account): Account, headers: HeaderMap) -> Response {
    if let Some(refused) = account.sessions.refused(&headers) {
        return refused;
    }
    account.instance().region.into_response()
}

async fn credentials_of(State(account): Account, Path(role): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refused) = account.sessions.refused(&headers) {
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
