//! The admin socket's part of a root that stays outside: the request that goes out, and the chain that comes in.
//!
//! It never answers a private key, and what was installed is in the trail before it is.

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    admin::{AdminState, invalid},
    keys::refused,
};
use crate::{
    clock::rfc3339,
    http::{body, error::Refusal, request_refusal::RequestRefusal},
    mint::{authority::Purpose, outside::chain::UnverifiedChain, rotation::OtherRoot},
};

/// Answers the request for the intermediate that waits for a chain; makes its key where none waits.
pub(super) async fn request(State(state): State<AdminState>, body: Body) -> Response {
    if let Err(refusal) = body::read(body).await.and_then(|body| purpose(&body)) {
        return Refusal::from(&refusal).into_problem(None);
    }
    match state.engine.request().await {
        Ok(request) => Json(json!({
            "kid": request.id,
            "csr": request.pem,
            "wanted": {
                "subject": format!("CN={}", request.common_name),
                "basic_constraints": "critical, CA:true, pathLen 0",
                "key_usage": "critical, keyCertSign, cRLSign",
                "uri": request.trust_domain.id().as_str(),
                "most_seconds": request.most.as_secs(),
                "least_seconds": state.engine.rules().least_certified().as_secs(),
            },
        }))
        .into_response(),
        Err(failed) => refused(&failed),
    }
}

/// Only intermediates are certified by others.
fn purpose(body: &[u8]) -> Result<(), RequestRefusal> {
    let mut object = body::json_object(body, &["purpose"])?;
    match object.remove("purpose") {
        Some(Value::String(word)) if word == Purpose::X509Intermediate.as_str() => Ok(()),
        Some(_) | None => Err(invalid(
            "purpose",
            "is not `x509_intermediate`: no other key is certified outside",
        )),
    }
}

/// Takes a chain for the request that waits.
pub(super) async fn install(State(state): State<AdminState>, body: Body) -> Response {
    let (text, other) = match body::read(body).await.and_then(|body| brought(&body)) {
        Ok(brought) => brought,
        Err(refusal) => return Refusal::from(&refusal).into_problem(None),
    };
    let chain = match UnverifiedChain::from_text(&text) {
        Ok(chain) => chain,
        Err(refusal) => return Refusal::from(&refusal).into_problem(None),
    };
    let installed = match state.engine.install(&chain, other).await {
        Ok(installed) => installed,
        Err(failed) => return refused(&failed),
    };
    // Whoever is told that it signs finds its list of revoked certificates.
    if let Err(failed) = state.revoker.refresh().await {
        tracing::error!(
            error = &failed as &dyn std::error::Error,
            "the list of revoked certificates of a new intermediate is not published yet"
        );
    }
    Json(json!({
        "kid": installed.id,
        "root": installed.root,
        "expires": rfc3339(installed.ends),
    }))
    .into_response()
}

fn brought(body: &[u8]) -> Result<(String, OtherRoot), RequestRefusal> {
    let mut object = body::json_object(body, &["chain", "new_root"])?;
    let other = match object.remove("new_root") {
        None | Some(Value::Bool(false)) => OtherRoot::Refuse,
        Some(Value::Bool(true)) => OtherRoot::Pin,
        Some(_) => return Err(invalid("new_root", "is neither `true` nor `false`")),
    };
    match object.remove("chain") {
        Some(Value::String(text)) => Ok((text, other)),
        Some(_) | None => Err(invalid("chain", "is missing or no text")),
    }
}
