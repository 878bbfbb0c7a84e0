//! The server: CreateSession, the control plane, and IAM and STS at `/`.
//!
//! Answers in the shape of the service that was asked: restJson1, or the Query protocol's XML.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use serde_json::{Value, json};

use super::{Refusal, RolesAnywhereSim, control, iam, session};
use crate::{
    exchange::aws::sim::{credentials::uuid, xml::Xml},
    sim::Mutation,
};

/// Bytes of a request body: a bundle of 204,800 characters as JSON.
const BODY_BYTES: usize = 512 * 1024;
/// Bytes of an answer that no client should read whole.
const OVERSIZED_BYTES: usize = 4 * 1024 * 1024;

impl RolesAnywhereSim {
    /// Returns the account's endpoint: Roles Anywhere, IAM and STS.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new().fallback(serve).with_state(self)
    }
}

async fn serve(State(sim): State<Arc<RolesAnywhereSim>>, request: Request) -> Response {
    let id = uuid(&*sim.random).unwrap_or_default();
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, BODY_BYTES).await {
        Ok(body) => body,
        Err(why) => {
            return refused(&sim, Refusal::malformed(format!("the body cannot be read: {why}")), &id);
        }
    };
    if parts.uri.path() == "/" {
        return query_protocol(&sim, &parts, &body, &id);
    }
    match respond(&sim, &parts, &body).await {
        Ok((status, body)) => response(status, ("application/json", body), &id),
        Err(refusal) => refused(&sim, refusal, &id),
    }
}

async fn respond(sim: &RolesAnywhereSim, parts: &Parts, body: &[u8]) -> Result<(StatusCode, String), Refusal> {
    if (parts.method.as_str(), parts.uri.path()) != ("POST", "/sessions") {
        return control::answer(sim, parts, body).map(|(status, value)| (status, value.to_string()));
    }
    sim.calls.fetch_add(1, Ordering::Relaxed);
    match sim.mutations.take() {
        None => {}
        Some(Mutation::Delay(time)) => tokio::time::sleep(time).await,
        Some(Mutation::Garbage) => return Ok((StatusCode::CREATED, "<html>not what was asked for".to_owned())),
        Some(Mutation::Oversized) => return Ok((StatusCode::CREATED, " ".repeat(OVERSIZED_BYTES))),
        Some(Mutation::ServerError) => return Err(Refusal::unavailable()),
        Some(Mutation::Throttle) => return Err(Refusal::throttled()),
    }
    session::answer(sim, parts, body).map(|value: Value| (StatusCode::CREATED, value.to_string()))
}

fn refused(sim: &RolesAnywhereSim, refusal: Refusal, id: &str) -> Response {
    tracing::debug!(
        code = refusal.code.name(),
        detail = refusal.detail.as_deref(),
        "simulated Roles Anywhere refuses"
    );
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({ "message": refusal.message }).to_string();
    let mut response = response(status, ("application/json", body), id);
    let kind = HeaderValue::from_static(refusal.code.name());
    response.headers_mut().insert("x-amzn-errortype", kind);
    sim.lock().note(refusal);
    response
}

fn query_protocol(sim: &RolesAnywhereSim, parts: &Parts, body: &[u8], id: &str) -> Response {
    match iam::answer(sim, parts, body, id) {
        Ok(body) => response(StatusCode::OK, ("text/xml", body), id),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            response(status, ("text/xml", Xml::error(&refusal, id)), id)
        }
    }
}

fn response(status: StatusCode, (content_type, body): (&'static str, String), id: &str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert("x-amzn-requestid", value);
    }
    response
}
