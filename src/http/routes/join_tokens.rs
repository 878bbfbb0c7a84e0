//! `/v1/join-tokens` of the admin socket: makes, shows and removes the tokens by which machines join.
//!
//! A token leaves the process once, in the answer to whoever asked for it, and only after the entry about it is durable.

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::admin::{AdminState, invalid, record, unavailable};
use crate::{
    attest::{
        AttestRefusal, AttestorName,
        joining::{self, Described, Joins, Labels, MachineName, Ordered},
    },
    audit::{Draft, Group, Recorded, TrailError},
    clock::{from_unix_seconds, rfc3339, unix_seconds},
    gateway::answer::Cause,
    http::{body, error::Refusal, listener::LocalUser, request_refusal::RequestRefusal},
    store::JoinTokenRow,
};

/// Shows the tokens that stand, and what became of them.
pub(super) async fn list(State(state): State<AdminState>) -> Response {
    let now_seconds = unix_seconds(state.gateway().clock.now());
    match state.gateway().store.join_tokens().await {
        Ok(rows) => {
            let rows: Vec<_> = rows.iter().map(|row| shown(row, now_seconds)).collect();
            Json(json!({ "join_tokens": rows })).into_response()
        }
        Err(failed) => unavailable(failed),
    }
}

fn shown(row: &JoinTokenRow, now_seconds: u64) -> Value {
    let status = match (row.used, row.expires_seconds <= now_seconds) {
        (true, _) => "used",
        (false, true) => "expired",
        (false, false) => "outstanding",
    };
    json!({
        "id": row.id,
        "attestor": row.attestor,
        "machine": row.machine,
        "labels": serde_json::from_str::<Value>(&row.labels).unwrap_or_default(),
        "made_by": row.made_by,
        "created_seconds": row.created_seconds,
        "expires_seconds": row.expires_seconds,
        "sha256": row.sha256.to_string(),
        "status": status,
    })
}

/// Makes a token.
pub(super) async fn create(
    State(state): State<AdminState>,
    user: Option<Extension<LocalUser>>,
    body: Body,
) -> Response {
    let user = user.map(|Extension(user)| user);
    let asked = body::read(body).await.and_then(|body| Asked::read(&body));
    let ordered = match asked.and_then(|asked| asked.ordered(&state, user)) {
        Ok(ordered) => ordered,
        Err(refusal) => return Refusal::from(&refusal).into_problem(None),
    };
    let now = state.gateway().clock.now();
    let (token, row) = match ordered.make(&*state.gateway().random, now) {
        Ok(made) => made,
        Err(failed) => return Refusal::from(&Cause::from(TrailError::from(failed))).into_problem(None),
    };
    match state
        .gateway()
        .store
        .add_join_tokens(std::slice::from_ref(&row), now)
        .await
    {
        Ok(true) => {}
        Ok(false) => {
            let problem = format!(
                "cannot have a token more: {} are outstanding, remove some or let them expire",
                JoinTokenRow::MAX_ROWS
            );
            return Refusal::from(&invalid("machine", &problem)).into_problem(None);
        }
        Err(failed) => return unavailable(failed),
    }
    // Until this is durable nobody has the token, so what was stored opens nothing.
    match record(&state, &made(&row)).await {
        Ok(()) => {
            let mut answer = shown(&row, unix_seconds(now));
            if let Some(answer) = answer.as_object_mut() {
                answer.insert("token".to_owned(), token.secret().expose().into());
            }
            (StatusCode::CREATED, Json(answer)).into_response()
        }
        Err(failed) => Refusal::from(&Cause::from(failed)).into_problem(None),
    }
}

/// Labels come last: an entry's field is cut where it is too long.
fn made(row: &JoinTokenRow) -> String {
    let until = from_unix_seconds(row.expires_seconds).map(rfc3339).unwrap_or_default();
    format!(
        "join token {} made by {} for attestor `{}`, machine `{}`, until {until}, sha256 {}, labels {}",
        row.id, row.made_by, row.attestor, row.machine, row.sha256, row.labels
    )
}

/// Removes a token: takes its one use, so that no machine which comes at the same moment has it as well.
pub(super) async fn remove(
    State(state): State<AdminState>,
    user: Option<Extension<LocalUser>>,
    Path(id): Path<String>,
) -> Response {
    let rows = match state.gateway().store.join_tokens().await {
        Ok(rows) => rows,
        Err(failed) => return unavailable(failed),
    };
    let Some(row) = rows.into_iter().find(|row| row.id == id) else {
        return Refusal::from(&RequestRefusal::RouteUnknown).into_problem(None);
    };
    let user = named(user.map(|Extension(user)| user));
    let detail = format!(
        "join token {} of attestor `{}`, machine `{}`, removed by {user}",
        row.id, row.attestor, row.machine
    );
    let group = Group {
        ledger: Some(joining::removal(&row)),
        entries: vec![Draft::change(&detail)],
    };
    match state.gateway().trail.record(group).await {
        Ok(Recorded::Committed(_)) => {}
        Ok(Recorded::Refused { refusal, .. }) => return Refusal::from(&refusal).into_problem(None),
        Ok(Recorded::Earlier(_)) => return Refusal::from(&AttestRefusal::SessionOver).into_problem(None),
        Err(failed) => return Refusal::from(&Cause::from(failed)).into_problem(None),
    }
    match state.gateway().store.remove_join_token(&row.id).await {
        Ok(_removed) => StatusCode::NO_CONTENT.into_response(),
        Err(failed) => unavailable(failed),
    }
}

struct Asked {
    attestor: AttestorName,
    machine: Described,
    life: std::time::Duration,
}

impl Asked {
    fn read(bytes: &[u8]) -> Result<Self, RequestRefusal> {
        let mut object = body::json_object(bytes, &["attestor", "labels", "machine", "ttl"])?;
        let attestor = AttestorName::parse(&required(&mut object, "attestor")?)
            .map_err(|refused| invalid("attestor", &format!("holds a name that is none: {refused}")))?;
        let name = MachineName::parse(&required(&mut object, "machine")?)
            .map_err(|refused| invalid("machine", &refused.to_string()))?;
        let labels = labels(object.remove("labels"))?;
        let ttl = optional(&mut object, "ttl")?;
        Ok(Self {
            attestor,
            machine: Described { name, labels },
            life: joining::life(ttl.as_deref()).map_err(|problem| invalid("ttl", &problem))?,
        })
    }

    /// Holds what is asked against the attestors of the moment.
    fn ordered(self, state: &AdminState, user: Option<LocalUser>) -> Result<Ordered, RequestRefusal> {
        let rules = state.gateway().rules.load();
        let attestor = rules.attestors.iter().find(|one| *one.name() == self.attestor);
        let joins = attestor
            .and_then(|attestor| attestor.joins())
            .ok_or_else(|| invalid("attestor", "names no configured attestor that takes join tokens"))?;
        refuse_unknown_labels(&self.machine.labels, joins)?;
        Ok(Ordered {
            attestor: self.attestor,
            machine: self.machine,
            life: self.life,
            made_by: named(user),
        })
    }
}

fn refuse_unknown_labels(labels: &Labels, joins: &Joins) -> Result<(), RequestRefusal> {
    let unknown = labels
        .iter()
        .find(|(name, _)| !joins.labels.iter().any(|known| known == name));
    let Some((name, _)) = unknown else { return Ok(()) };
    let problem = format!(
        "holds `{name}`, which the attestor's table does not name: it has [{}]",
        joins.labels.join(", ")
    );
    Err(invalid("labels", &problem))
}

fn labels(value: Option<Value>) -> Result<Labels, RequestRefusal> {
    let object = match value {
        None => Map::new(),
        Some(Value::Object(object)) => object,
        Some(_) => return Err(invalid("labels", "is no object of texts")),
    };
    let texts = object.into_iter().map(|(name, value)| match value {
        Value::String(text) => Ok((name, text)),
        _ => Err(invalid("labels", "is no object of texts")),
    });
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    Labels::new(texts).map_err(|refused| invalid("labels", &refused.to_string()))
}

fn required(object: &mut Map<String, Value>, name: &'static str) -> Result<String, RequestRefusal> {
    optional(object, name)?.ok_or_else(|| invalid(name, "is missing"))
}

fn optional(object: &mut Map<String, Value>, name: &'static str) -> Result<Option<String>, RequestRefusal> {
    match object.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(name, "is no text")),
    }
}

/// Names whoever holds the other end of the socket, as the kernel does.
pub(super) fn named(user: Option<LocalUser>) -> String {
    user.map_or_else(|| "an unknown user".to_owned(), |LocalUser(uid)| format!("uid {uid}"))
}
