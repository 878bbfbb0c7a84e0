//! `POST /v1/challenge`: what a workload has its platform sign before it presents that as evidence.
//!
//! Nobody is asked who it is, and nothing is remembered: whoever asks often only spends its own rate.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    attest::challenge::CHALLENGE_LIFE,
    http::{
        body,
        error::Refusal,
        request_refusal::RequestRefusal,
        state::{Caller, ExchangeState},
    },
};

/// The path.
pub const PATH: &str = "/v1/challenge";

/// A challenge.
#[derive(Serialize, utoipa::ToSchema)]
pub struct ChallengeResponse {
    /// What the platform must sign: 75 characters of base64url. It serves once.
    challenge: String,
    /// For how many seconds it stands.
    expires_in: u64,
}

/// Makes a challenge for evidence that is signed on demand.
#[utoipa::path(
    post,
    path = PATH,
    responses(
        (status = 200, description = "a challenge", body = ChallengeResponse),
        (status = 400, description = "the request is not in order", body = crate::http::error::Problem),
        (status = 413, description = "too large", body = crate::http::error::Problem),
        (status = 429, description = "too often", body = crate::http::error::Problem),
        (status = 503, description = "not available at the moment", body = crate::http::error::Problem),
    )
)]
pub async fn post(State(state): State<ExchangeState>, caller: Caller, body: Body) -> Response {
    let answer = answer(&state, &caller, body);
    let counted = state.counted("challenge", caller.began, answer, |refusal| refusal.into_problem(None));
    counted.await
}

async fn answer(state: &ExchangeState, caller: &Caller, body: Body) -> Result<Response, Refusal> {
    let refused = |refusal: RequestRefusal| Refusal::from(&refusal);
    state.admit(caller).map_err(refused)?;
    let body = body::read(body).await.map_err(refused)?;
    if !body.is_empty() {
        body::json_object(&body, &[]).map_err(refused)?;
    }
    let gateway = state.gateway();
    let made = state.challenges().issue(&*gateway.random, gateway.clock.now());
    let challenge = made.map_err(|failed| Refusal::from(&failed))?;
    let body = ChallengeResponse {
        challenge: challenge.as_str().to_owned(),
        expires_in: CHALLENGE_LIFE.as_secs(),
    };
    let mut response = Json(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
