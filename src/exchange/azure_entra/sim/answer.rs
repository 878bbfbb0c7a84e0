//! What the simulated cloud writes on the wire.
//!
//! Decides nothing.

use std::time::{Duration, SystemTime};

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    clock,
    exchange::azure_entra::{
        rules::refusal::Refusal,
        sim::{EntraSim, Separator, directory::Issued},
    },
    secret::NoRandomness,
};

/// How long a throttled client is told to wait: 60 s, as documented for client credentials.
const RETRY_AFTER_SECONDS: u16 = 60;

/// How many bytes [`oversized`] answers with.
const OVERSIZED_BYTES: usize = 2 * 1024 * 1024;

/// A request that was granted.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) tenant: String,
    pub(super) application: String,
    pub(super) resource: String,
    pub(super) now: SystemTime,
}

/// An error in the cloud's own shape.
struct Failure<'a> {
    status: StatusCode,
    number: u32,
    error: &'a str,
    text: String,
}

impl EntraSim {
    /// Refuses; that `invalid_client` has status 401 and the rest 400 is unverified.
    pub(super) fn refused(&self, refusal: &Refusal, headers: &HeaderMap) -> Response {
        let (status, error) = match refusal.error() {
            "invalid_client" => (StatusCode::UNAUTHORIZED, "invalid_client"),
            // Nothing is known of the `error` of 53003; clients must not depend on it.
            "" => (StatusCode::BAD_REQUEST, "access_denied"),
            error => (StatusCode::BAD_REQUEST, error),
        };
        let failure = Failure {
            status,
            number: refusal.number(),
            error,
            text: refusal.to_string(),
        };
        self.failure(&failure, headers)
    }

    /// Fails with the cloud's own shape; its number and text are unverified.
    pub(super) fn server_error(&self, headers: &HeaderMap) -> Response {
        let failure = Failure {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            number: 50_000,
            error: "server_error",
            text: "There was an error issuing a token or an issue with our sign-in service.".to_owned(),
        };
        self.failure(&failure, headers)
    }

    /// Throttles; its `error` and text are unverified.
    pub(super) fn throttled(&self, headers: &HeaderMap) -> Response {
        let failure = Failure {
            status: StatusCode::TOO_MANY_REQUESTS,
            number: 50_196,
            error: "temporarily_unavailable",
            text:
                "The server terminated an operation because it encountered a client request loop. Please contact your \
                   app vendor."
                    .to_owned(),
        };
        let mut response = self.failure(&failure, headers);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        response
    }

    fn failure(&self, failure: &Failure<'_>, headers: &HeaderMap) -> Response {
        match self.body(failure, headers) {
            Ok(body) => uncached((failure.status, Json(body)).into_response()),
            Err(why) => failed(why),
        }
    }

    fn body(&self, failure: &Failure<'_>, headers: &HeaderMap) -> Result<Value, NoRandomness> {
        let trace = self.guid()?;
        let correlation = match headers.get("client-request-id").and_then(|id| id.to_str().ok()) {
            Some(id) => id.to_owned(),
            None => self.guid()?,
        };
        let timestamp = clock::rfc3339(self.clock.now()).replace('T', " ");
        let separator = match self.state().behaviour.separator {
            Separator::Blanks => " ",
            Separator::Lines => "\r\n",
        };
        let number = failure.number;
        let description = [
            format!("AADSTS{number}: {}", failure.text),
            format!("Trace ID: {trace}"),
            format!("Correlation ID: {correlation}"),
            format!("Timestamp: {timestamp}"),
        ];
        Ok(json!({
            "error": failure.error,
            "error_description": description.join(separator),
            "error_codes": [number],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
        }))
    }
}

/// Hands out an access token.
pub(super) fn token(token: &str, life: Duration) -> Response {
    let body = json!({
        "token_type": "Bearer",
        "expires_in": life.as_secs(),
        "ext_expires_in": life.as_secs(),
        "access_token": token,
    });
    uncached(Json(body).into_response())
}

/// Tells whose an access token is.
pub(super) fn accepted(issued: &Issued) -> Response {
    let body = json!({
        "appid": issued.application,
        "tid": issued.tenant,
        "resource": issued.resource,
        "expires_on": clock::unix_seconds(issued.expires),
    });
    uncached(Json(body).into_response())
}

/// Refuses an access token.
pub(super) fn unauthorized(reason: &str) -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")];
    let body = json!({"error": "invalid_token", "error_description": reason});
    (StatusCode::UNAUTHORIZED, challenge, Json(body)).into_response()
}

/// Answers 200 with what is no token response.
pub(super) fn garbage() -> Response {
    "<html><body>Sign in to your account</body></html>".into_response()
}

/// Answers 200 with a token response that no client should read to its end.
pub(super) fn oversized() -> Response {
    let body = json!({
        "token_type": "Bearer",
        "expires_in": 3_599,
        "access_token": "a".repeat(OVERSIZED_BYTES),
    });
    Json(body).into_response()
}

/// Fails where the simulator itself cannot go on.
pub(super) fn failed(why: NoRandomness) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response()
}

fn uncached(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache"));
    response
}
