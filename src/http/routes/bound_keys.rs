//! `POST /v1/bound-keys`: keeps a machine's key, the first by a join token, each later one by the key before.
//!
//! The private key never comes here: a DPoP proof by the new key, over the very token that it comes with, proves that the
//! machine holds it.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    attest::{Evidence, Possession, joining::NewKey},
    clock::rfc3339,
    gateway::machine_key::{KeyAnswer, KeyRequest, MachineKey},
    http::{
        body,
        error::Refusal,
        request_refusal::RequestRefusal,
        state::{Caller, ExchangeState},
    },
    secret::Secret,
};

/// The path, which is also part of the DPoP `htu`.
pub const PATH: &str = "/v1/bound-keys";

/// What the endpoint takes; documentation only, the body is read strictly by hand.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub struct BoundKeyRequest {
    /// Evidence by the machine's key, whose place the new one takes; either this or `join_token`.
    evidence: Option<String>,
    /// A join token for an attestor of kind `bound_key`; either this or `evidence`.
    join_token: Option<String>,
    /// The new key, a public JSON Web Key on P-256.
    #[schema(value_type = Object)]
    jwk: Value,
    /// A DPoP proof (RFC 9449) by the new key: `htm` is POST, `htu` this URL, `ath` the SHA-256 of the token or evidence.
    proof: String,
}

/// A key that is kept, and what its holder must know.
#[derive(Serialize, utoipa::ToSchema)]
pub struct BoundKeyResponse {
    /// The `aud` of evidence by this key.
    audience: String,
    /// When the key ends unless another takes its place, RFC 3339.
    ends: String,
    /// The request's id, which the audit trail names.
    exchange_id: String,
    /// Counts the keys of the registration, from 1.
    generation: u64,
    /// The `iss` of evidence by this key.
    issuer: String,
    /// The machine's name.
    machine: String,
    /// What operators call the registration, for `cambio bound-key remove`.
    registration: String,
    /// The key's RFC 7638 thumbprint, the `kid` of evidence by it.
    thumbprint: String,
}

/// Registers a machine's key, or puts one in the place of another.
#[utoipa::path(
    post,
    path = PATH,
    request_body = BoundKeyRequest,
    responses(
        (status = 201, description = "the key is kept", body = BoundKeyResponse),
        (status = 400, description = "the request, the token, the evidence or the key is not in order", body = crate::http::error::Problem),
        (status = 413, description = "too large", body = crate::http::error::Problem),
        (status = 429, description = "too often", body = crate::http::error::Problem),
        (status = 503, description = "not available at the moment", body = crate::http::error::Problem),
    )
)]
pub async fn post(State(state): State<ExchangeState>, caller: Caller, body: Body) -> Response {
    let answer = answer(&state, &caller, body);
    let counted = state.counted("bound_keys", caller.began, answer, |refusal| refusal.into_problem(None));
    counted.await
}

async fn answer(state: &ExchangeState, caller: &Caller, body: Body) -> Result<Response, Refusal> {
    let refused = |refusal: RequestRefusal| Refusal::from(&refusal);
    let source = state.admit(caller).map_err(refused)?;
    let asked = body::read(body)
        .await
        .and_then(|body| Asked::read(&body))
        .map_err(refused)?;
    let proven = state.proven(&asked.proof, PATH, &asked.token);
    let key = proven.and_then(|proven| NewKey::new(&asked.jwk, proven));
    let request = KeyRequest {
        evidence: Evidence::new(asked.token, None, Possession::Bearer),
        key: key.map_err(|refusal| Refusal::from(&refusal))?,
        source: Some(source),
    };
    let answer = state.keep_key(request).await.map_err(refused)?;
    Ok(respond(state, answer))
}

struct Asked {
    token: Secret,
    jwk: Map<String, Value>,
    proof: String,
}

impl Asked {
    fn read(bytes: &[u8]) -> Result<Self, RequestRefusal> {
        let invalid = |problem: &str| RequestRefusal::BodyInvalid {
            problem: problem.to_owned(),
        };
        let mut object = body::json_object(bytes, &["evidence", "join_token", "jwk", "proof"])?;
        let token = match (object.remove("join_token"), object.remove("evidence")) {
            (Some(Value::String(token)), None) | (None, Some(Value::String(token))) => Secret::new(token),
            (Some(_) | None, Some(_) | None) => {
                return Err(invalid("expected either `join_token` or `evidence`, as a string"));
            }
        };
        let Some(Value::Object(jwk)) = object.remove("jwk") else {
            return Err(invalid("`jwk` is missing or no object"));
        };
        let Some(Value::String(proof)) = object.remove("proof") else {
            return Err(invalid("`proof` is missing or no string"));
        };
        Ok(Self { token, jwk, proof })
    }
}

fn respond(state: &ExchangeState, answer: KeyAnswer) -> Response {
    let id = answer.exchange_id.as_ref();
    let key = match answer.result {
        Ok(key) => key.into_inner(),
        Err(refused) => {
            state.metrics().refused(refused.cause().code());
            return Refusal::from(refused.cause()).into_problem(id);
        }
    };
    let MachineKey { row, terms } = key;
    let body = BoundKeyResponse {
        audience: terms.audience,
        ends: rfc3339(terms.ends),
        exchange_id: id.map(ToString::to_string).unwrap_or_default(),
        generation: row.generation,
        issuer: terms.issuer,
        machine: row.machine,
        registration: row.registration,
        thumbprint: BASE64_URL_SAFE_NO_PAD.encode(row.thumbprint.as_bytes()),
    };
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_body_is_not_repeated() {
        for body in [
            r#"{"join_token":"canary"}"#,
            r#"{"join_token":"canary","evidence":"canary","jwk":{},"proof":"a"}"#,
            r#"{"join_token":["canary"],"jwk":{},"proof":"a"}"#,
            r#"{"join_token":"canary","jwk":"canary","proof":"a"}"#,
            r#"{"evidence":"canary","jwk":{},"proof":["canary"]}"#,
            r#"{"evidence":"canary","jwk":{},"proof":"a","key":"canary"}"#,
        ] {
            let Err(refused) = Asked::read(body.as_bytes()) else {
                panic!("{body}");
            };
            assert!(!refused.to_string().contains("canary"), "{body}: {refused}");
        }
    }
}
