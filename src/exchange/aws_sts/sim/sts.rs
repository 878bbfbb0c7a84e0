//! The STS endpoint: Query protocol over POST form and GET.
//!
//! AssumeRoleWithWebIdentity is unauthenticated and ignores any `Authorization`; GetCallerIdentity must be signed.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::Response,
    routing::get,
};

use super::{AwsSim, assume, push_bounded};
use crate::{
    exchange::aws::{
        Code, Refusal,
        sim::{credentials, form::Form, identity, xml::Xml},
    },
    sim::Mutation,
};

/// Bytes of a request body: a token of 20,000 and a policy of 2,048 characters, percent-encoded.
const BODY_BYTES: usize = 128 * 1024;
/// Bytes of an answer that no client should read whole.
const OVERSIZED_BYTES: usize = 4 * 1024 * 1024;

impl AwsSim {
    /// Returns the STS endpoint.
    pub fn sts_router(self: Arc<Self>) -> Router {
        Router::new().route("/", get(serve).post(serve)).with_state(self)
    }
}

async fn serve(State(sim): State<Arc<AwsSim>>, request: Request) -> Response {
    let request_id = request_id(&sim);
    match respond(&sim, request, &request_id).await {
        Ok((status, body)) => response(status, body, &request_id),
        Err(refusal) => {
            tracing::debug!(
                code = refusal.code.name(),
                detail = refusal.detail.as_deref(),
                "simulated STS refuses"
            );
            let body = Xml::error(&refusal, &request_id);
            let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            push_bounded(&mut sim.lock().refusals, refusal);
            response(status, body, &request_id)
        }
    }
}

async fn respond(sim: &AwsSim, request: Request, request_id: &str) -> Result<(StatusCode, String), Refusal> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES)
        .await
        .map_err(|why| Refusal::unverified(Code::MalformedQueryString, format!("The body cannot be read: {why}")))?;
    let query = parts.uri.query().unwrap_or_default();
    let form = Form::parse(if parts.method == Method::GET {
        query.as_bytes()
    } else {
        &body
    })?;
    let action = form.get("Action");
    if action == Some("AssumeRoleWithWebIdentity") {
        sim.calls.fetch_add(1, Ordering::Relaxed);
    }
    if let Some(answer) = mutate(sim).await {
        return answer;
    }
    let action = match (action, form.get("Version")) {
        (Some(action @ ("AssumeRoleWithWebIdentity" | "GetCallerIdentity")), Some("2011-06-15")) => action,
        (action, version) => {
            let (action, version) = (action.unwrap_or("null"), version.unwrap_or("null"));
            let text = format!("Could not find operation {action} for version {version}");
            return Err(Refusal::unverified(Code::InvalidAction, text));
        }
    };
    let result = if action == "GetCallerIdentity" {
        let issued = |id: &str| sim.lock().credentials.get(id).cloned();
        identity::answer(issued, sim.clock.now(), (&parts, &body))?
    } else {
        assume::answer(sim, &form).await?
    };
    Ok((StatusCode::OK, Xml::answer(action, &result, request_id)))
}

async fn mutate(sim: &AwsSim) -> Option<Result<(StatusCode, String), Refusal>> {
    match sim.mutations.take()? {
        Mutation::Delay(time) => {
            tokio::time::sleep(time).await;
            None
        }
        Mutation::Garbage => Some(Ok((StatusCode::OK, "<html>not what was asked for".to_owned()))),
        Mutation::Oversized => Some(Ok((StatusCode::OK, " ".repeat(OVERSIZED_BYTES)))),
        Mutation::ServerError => Some(Err(Refusal::unverified(Code::InternalFailure, "Internal failure"))),
        Mutation::Throttle => Some(Err(Refusal::throttled())),
    }
}

fn response(status: StatusCode, body: String, request_id: &str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", value);
    }
    response
}

fn request_id(sim: &AwsSim) -> String {
    credentials::uuid(&*sim.random).unwrap_or_else(|why| format!("none: {why}"))
}
