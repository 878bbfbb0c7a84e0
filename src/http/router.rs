//! Which path leads where, on each listener.

use axum::{
    Router,
    http::{HeaderValue, header},
    response::Response,
    routing::{get, post},
};

use super::{
    error::Refusal,
    request_refusal::RequestRefusal,
    routes::{bound_keys, challenge, exchange, openapi, svid_x509, token, whoami},
    state::ExchangeState,
};

/// Every path of the exchange listener with its method; a test walks them (T-31).
pub const EXCHANGE_ROUTES: [(&str, &str); 7] = [
    ("POST", bound_keys::PATH),
    ("POST", challenge::PATH),
    ("POST", exchange::PATH),
    ("POST", svid_x509::PATH),
    ("POST", token::PATH),
    ("POST", whoami::PATH),
    ("GET", "/openapi.json"),
];

/// Returns the exchange listener's routes.
pub fn exchange(state: ExchangeState) -> Router {
    Router::new()
        .route(
            challenge::PATH,
            post(challenge::post).fallback(|| async { method("POST") }),
        )
        .route(token::PATH, post(token::post).fallback(|| async { method("POST") }))
        .route(
            exchange::PATH,
            post(exchange::post).fallback(|| async { method("POST") }),
        )
        .route(
            svid_x509::PATH,
            post(svid_x509::post).fallback(|| async { method("POST") }),
        )
        .route(whoami::PATH, post(whoami::post).fallback(|| async { method("POST") }))
        .route(
            bound_keys::PATH,
            post(bound_keys::post).fallback(|| async { method("POST") }),
        )
        .route("/openapi.json", get(openapi::get).fallback(|| async { method("GET") }))
        .fallback(|| async { Refusal::from(&RequestRefusal::RouteUnknown).into_problem(None) })
        .with_state(state)
}

fn method(expected: &'static str) -> Response {
    let mut response = Refusal::from(&RequestRefusal::MethodNotAllowed { expected }).into_problem(None);
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(expected));
    response
}
