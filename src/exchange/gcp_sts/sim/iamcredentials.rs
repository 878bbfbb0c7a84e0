//! The simulated IAM Credentials API: `generateAccessToken`, and a small endpoint that proves a token is accepted.
//!
//! `GET /v1/tokeninfo` is the simulator's own: it answers whom a bearer token stands for, 401 where it stands for nobody.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    GcpSim, Holder, Issued,
    answer::{RpcRefusal, mutate},
    sts::unknown_path,
};
use crate::{
    clock,
    exchange::gcp_sts::rules::limits::{ACCESS_TOKEN_SECONDS, judge_lifetime},
};

/// Scopes with which the API may be called.
const CALLER_SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/iam",
];

impl GcpSim {
    /// Returns the service at `iamcredentials.googleapis.com`, and `GET /v1/tokeninfo`.
    pub fn iamcredentials_router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/v1/projects/-/serviceAccounts/{call}", post(impersonate))
            .route("/v1/tokeninfo", get(token_info))
            // `.../allowedLocations` is answered 404, which Google's libraries take for "no boundary".
            .fallback(unknown_path)
            .with_state(self)
    }
}

async fn impersonate(
    State(sim): State<Arc<GcpSim>>,
    Path(call): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    sim.count();
    if let Some(mutation) = sim.mutations.take()
        && let Some(response) = mutate(mutation).await
    {
        return response;
    }
    match generate(&sim, &call, &headers, &body) {
        Ok(body) => Json(body).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn token_info(State(sim): State<Arc<GcpSim>>, headers: HeaderMap) -> Response {
    match authenticate(&sim, &headers) {
        Ok(issued) => Json(json!({
            "principal": issued.holder.name(),
            "scope": issued.scopes.join(" "),
            "expireTime": clock::rfc3339(issued.expires),
        }))
        .into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Google's JSON takes `null` for a field that is not given; google-auth sends `"delegates": null`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    scope: Option<Vec<String>>,
    delegates: Option<Vec<String>>,
    lifetime: Option<String>,
}

fn generate(sim: &GcpSim, call: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, RpcRefusal> {
    let caller = authenticate(sim, headers)?;
    if !caller
        .scopes
        .iter()
        .any(|scope| CALLER_SCOPES.contains(&scope.as_str()))
    {
        return Err(denied("Request had insufficient authentication scopes."));
    }
    let Some((target, "generateAccessToken")) = call.rsplit_once(':') else {
        return Err(RpcRefusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "UNIMPLEMENTED",
            "This simulator supports generateAccessToken only.",
        ));
    };
    let body: Body = serde_json::from_slice(body).ok().ok_or_else(invalid_argument)?;
    let scopes = body.scope.unwrap_or_default();
    if scopes.is_empty() || scopes.iter().any(String::is_empty) {
        return Err(invalid_argument());
    }
    let seconds = match &body.lifetime {
        None => ACCESS_TOKEN_SECONDS,
        Some(text) => read_seconds(text).ok_or_else(invalid_argument)?,
    };
    let email = reach(sim, &caller.holder, &body.delegates.unwrap_or_default(), target)?;
    let extension = sim
        .state()
        .find(&email)
        .map(|(_, account)| account.extension)
        .ok_or_else(permission_denied)?;
    judge_lifetime(seconds, extension)
        .map_err(|why| RpcRefusal::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", why.to_string()))?;
    let expires = sim.clock.now() + Duration::from_secs(seconds);
    let issued = Issued {
        holder: Holder::Account(email),
        scopes,
        expires,
    };
    let access_token = sim
        .issue(issued)
        .map_err(|why| RpcRefusal::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", why.to_string()))?;
    // Whole seconds with `Z`: google-auth reads no fraction.
    Ok(json!({"accessToken": access_token, "expireTime": clock::rfc3339(expires)}))
}

/// Follows the delegation chain from the caller to the target, whose email it returns.
fn reach(sim: &GcpSim, caller: &Holder, delegates: &[String], target: &str) -> Result<String, RpcRefusal> {
    let state = sim.state();
    let mut holder = caller.clone();
    let mut names = Vec::with_capacity(delegates.len() + 1);
    for delegate in delegates {
        names.push(
            delegate
                .strip_prefix("projects/-/serviceAccounts/")
                .ok_or_else(invalid_argument)?,
        );
    }
    names.push(target);
    for name in names {
        let (email, account) = state.find(name).ok_or_else(permission_denied)?;
        if !account.admits(&holder) {
            return Err(permission_denied());
        }
        holder = Holder::Account(email.clone());
    }
    match holder {
        Holder::Account(email) => Ok(email),
        Holder::Federated(_) => Err(permission_denied()),
    }
}

/// Reads a `google.protobuf.Duration` of whole seconds; `None` for anything else.
fn read_seconds(text: &str) -> Option<u64> {
    text.strip_suffix('s')?.parse().ok()
}

/// Returns whom the bearer token stands for; texts of the refusals are unverified.
fn authenticate(sim: &GcpSim, headers: &HeaderMap) -> Result<Issued, RpcRefusal> {
    let unauthenticated = |text| RpcRefusal::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", text);
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| unauthenticated("Request is missing required authentication credential."))?;
    sim.bearer(token)
        .ok_or_else(|| unauthenticated("Request had invalid authentication credentials."))
}

fn invalid_argument() -> RpcRefusal {
    RpcRefusal::new(
        StatusCode::BAD_REQUEST,
        "INVALID_ARGUMENT",
        "Request contains an invalid argument.",
    )
}

fn permission_denied() -> RpcRefusal {
    denied("Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).")
}

fn denied(message: &str) -> RpcRefusal {
    RpcRefusal::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", message)
}
