//! The shapes in which Google's services answer, and what a mutation makes of the next answer.
//!
//! Holds no rule: a caller decides what is refused.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::sim::Mutation;

/// Bytes of an oversized answer: 16 times what a client of these services should read.
const OVERSIZED: usize = 1024 * 1024;

/// A refusal of the token service: RFC 6749 members, status 400 unless Google is known to use another.
#[derive(Debug)]
pub(super) struct OauthRefusal {
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    pub(super) description: String,
}

impl OauthRefusal {
    pub(super) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error,
            description: description.into(),
        }
    }
}

impl IntoResponse for OauthRefusal {
    fn into_response(self) -> Response {
        let body = json!({"error": self.error, "error_description": self.description});
        (self.status, Json(body)).into_response()
    }
}

/// A refusal in the shape of `google.rpc.Status`.
#[derive(Debug)]
pub(super) struct RpcRefusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl RpcRefusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }
}

impl IntoResponse for RpcRefusal {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.status.as_u16(), "message": self.message, "status": self.code}});
        (self.status, Json(body)).into_response()
    }
}

/// Does what `mutation` says; `None` where the request is answered as usual, perhaps later.
///
/// The shapes of Google's own failures are unverified: both services are taken to answer `google.rpc.Status`.
pub(super) async fn mutate(mutation: Mutation) -> Option<Response> {
    match mutation {
        Mutation::Delay(time) => {
            tokio::time::sleep(time).await;
            None
        }
        Mutation::Garbage => Some(html("<html><title>Sign in</title></html>".to_owned())),
        Mutation::Oversized => Some(html("x".repeat(OVERSIZED))),
        Mutation::ServerError => Some(
            RpcRefusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "INTERNAL",
                "Internal error encountered.",
            )
            .into_response(),
        ),
        Mutation::Throttle => Some(
            RpcRefusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "RESOURCE_EXHAUSTED",
                "Resource has been exhausted (e.g. check quota).",
            )
            .into_response(),
        ),
    }
}

fn html(body: String) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=UTF-8"),
    );
    response
}
