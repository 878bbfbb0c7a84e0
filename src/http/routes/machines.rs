//! `/v1/machines` of the admin socket: shows and removes the machines that registered a key.
//!
//! Nobody adds one here: a machine proves that it holds its key, on the exchange listener.

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    admin::{AdminState, record, unavailable},
    join_tokens::named,
};
use crate::{
    gateway::answer::Cause,
    http::{error::Refusal, listener::LocalUser, request_refusal::RequestRefusal},
    store::BoundKeyRow,
};

/// Shows the machines.
pub(super) async fn list(State(state): State<AdminState>) -> Response {
    match state.gateway().store.bound_keys().await {
        Ok(rows) => {
            let rows: Vec<_> = rows.iter().map(shown).collect();
            Json(json!({ "machines": rows })).into_response()
        }
        Err(failed) => unavailable(failed),
    }
}

fn shown(row: &BoundKeyRow) -> Value {
    json!({
        "registration": row.registration,
        "attestor": row.attestor,
        "machine": row.machine,
        "labels": serde_json::from_str::<Value>(&row.labels).unwrap_or_default(),
        "generation": row.generation,
        "thumbprint": BASE64_URL_SAFE_NO_PAD.encode(row.thumbprint.as_bytes()),
        "registered_seconds": row.registered_seconds,
        "since_seconds": row.since_seconds,
        "state": row.state.as_str(),
    })
}

/// Removes a machine with all its keys.
pub(super) async fn remove(
    State(state): State<AdminState>,
    user: Option<Extension<LocalUser>>,
    Path(id): Path<String>,
) -> Response {
    match state.gateway().store.remove_bound_key(&id).await {
        Ok(true) => {
            let user = named(user.map(|Extension(user)| user));
            match record(&state, &format!("machine of registration {id} removed by {user}")).await {
                Ok(()) => StatusCode::NO_CONTENT.into_response(),
                Err(failed) => Refusal::from(&Cause::from(failed)).into_problem(None),
            }
        }
        Ok(false) => Refusal::from(&RequestRefusal::RouteUnknown).into_problem(None),
        Err(failed) => unavailable(failed),
    }
}
