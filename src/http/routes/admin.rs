//! The admin socket: health, readiness by subsystem, metrics, locks, keys, audit.
//!
//! Never on a public port: whoever can open the socket's file may use it, and every change is in the trail.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde_json::{Value, json};

use super::{join_tokens, keys, machines, outside_root, revocations};
use crate::{
    audit::{Draft, Group, TrailError},
    authorize::{
        RelyingPartyName,
        lock::{LockRefused, LockTarget},
    },
    gateway::{Gateway, answer::Cause},
    http::{body, error::Refusal, request_refusal::RequestRefusal, state::ExchangeState},
    mint::{crl::Revoker, rotation::Engine},
    name::nearest::nearest,
    store::{LockRow, StoreError, TrailFilter},
};

/// What the admin socket shows.
#[derive(Clone, Debug)]
pub struct AdminState {
    /// The exchange listener, for its gateway, its metrics and its load.
    pub exchange: ExchangeState,
    /// What replaces the keys.
    pub engine: Arc<Engine>,
    /// Keeps the lists of revoked certificates.
    pub revoker: Arc<Revoker>,
    /// How the last reload of the policy ended; `None` for well.
    pub policy_alarm: Arc<ArcSwap<Option<String>>>,
}

impl AdminState {
    pub(super) fn gateway(&self) -> &Arc<Gateway> {
        self.exchange.gateway()
    }
}

/// Returns the admin socket's routes.
pub fn routes(state: AdminState) -> Router {
    Router::new()
        .route("/health", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/audit", get(audit))
        .route("/v1/bundle", get(bundle))
        .route("/v1/clock/confirm", post(confirm_clock))
        .route("/v1/join-tokens", get(join_tokens::list).post(join_tokens::create))
        .route("/v1/join-tokens/{id}", delete(join_tokens::remove))
        .route("/v1/keys", get(keys::list))
        .route("/v1/keys/chain", post(outside_root::install))
        .route("/v1/keys/csr", post(outside_root::request))
        .route("/v1/keys/revoke", post(keys::revoke))
        .route("/v1/keys/rotate", post(keys::rotate))
        .route("/v1/locks", get(locks).post(add_lock))
        .route("/v1/locks/{id}", delete(remove_lock))
        .route("/v1/machines", get(machines::list))
        .route("/v1/machines/{id}", delete(machines::remove))
        .route("/v1/revocations", get(revocations::list).post(revocations::add))
        .fallback(|| async { Refusal::from(&RequestRefusal::RouteUnknown).into_problem(None) })
        .with_state(state)
}

/// Tells subsystem by subsystem what works; 503 where the gateway cannot exchange.
async fn ready(State(state): State<AdminState>) -> Response {
    let now = state.gateway().clock.now();
    let trail = state.gateway().trail.health();
    let writes = trail.last_error.is_none() && trail.clock_trusted;
    let (keys, keys_reason) = keys::readiness(&state);
    let locks = state.gateway().locks.snapshot().is_fresh(now);
    let alarm = state.policy_alarm.load();
    let subsystems = json!({
        "audit": { "ready": trail.last_error.is_none(), "reason": trail.last_error },
        "clock": { "ready": trail.clock_trusted, "reason": (!trail.clock_trusted).then_some("the clock jumped, confirm it") },
        "keys": { "ready": keys, "reason": keys_reason },
        "locks": { "ready": locks, "reason": (!locks).then_some("the memory copy is older than 10 s") },
        "policy": { "ready": true, "reason": alarm.as_deref() },
    });
    let ready = writes && locks && keys;
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "ready": ready, "subsystems": subsystems }))).into_response()
}

async fn metrics(State(state): State<AdminState>) -> Response {
    let metrics = state.exchange.metrics();
    let gauges = metrics.gauges();
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    gauges.in_flight.set(count(state.exchange.in_flight() as u64));
    gauges.held.set(count(state.gateway().held.count()));
    let trail = state.gateway().trail.health();
    gauges.audit_queue.set(count(trail.waiting as u64));
    gauges.audit_commit_seconds.set(trail.last_latency.as_secs_f64());
    keys::measure(&state);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.text()).into_response()
}

/// Shows the bundle as verifiers get it.
async fn bundle(State(state): State<AdminState>) -> Response {
    let body = state.engine.replica().published().load().bundle.body().to_vec();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Believes the clock again after it jumped, and records that somebody said so.
async fn confirm_clock(State(state): State<AdminState>) -> Response {
    match state.gateway().trail.confirm_clock().await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(failed) => Refusal::from(&Cause::from(failed)).into_problem(None),
    }
}

/// Answers entries as JSON lines, exactly as they were hashed, oldest first.
async fn audit(State(state): State<AdminState>, Query(query): Query<HashMap<String, String>>) -> Response {
    let filter = match filter(query) {
        Ok(filter) => filter,
        Err(refusal) => return Refusal::from(&refusal).into_problem(None),
    };
    match state.gateway().store.trail(filter).await {
        Ok(rows) => {
            let lines: String = rows.iter().flat_map(|row| [row.body.as_str(), "\n"]).collect();
            ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
        }
        Err(failed) => unavailable(failed),
    }
}

fn filter(mut query: HashMap<String, String>) -> Result<TrailFilter, RequestRefusal> {
    let mut number = |name: &'static str| match query.remove(name).map(|text| text.parse::<u64>()) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_not_a_number)) => Err(invalid(name, "is no whole number")),
    };
    let (since_seconds, limit) = (number("since")?, number("limit")?);
    let (until_seconds, after_sequence) = (number("until")?, number("after")?);
    let open = query.remove("open").is_some_and(|text| text == "true");
    let newest = query.remove("newest").is_some_and(|text| text == "true");
    let filter = TrailFilter {
        writer: query.remove("writer"),
        after_sequence,
        exchange_id: query.remove("exchange_id"),
        spiffe_id: query.remove("spiffe_id"),
        relying_party: query.remove("relying_party"),
        kind: query.remove("kind"),
        code: query.remove("code"),
        since_seconds,
        until_seconds,
        open,
        newest,
        limit: limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(100),
    };
    if query.is_empty() {
        Ok(filter)
    } else {
        Err(invalid("query", "holds an unknown filter"))
    }
}

async fn locks(State(state): State<AdminState>) -> Response {
    match state.gateway().locks.list().await {
        Ok(locks) => Json(json!({ "locks": locks.iter().map(lock_json).collect::<Vec<_>>() })).into_response(),
        Err(failed) => unavailable(failed),
    }
}

fn lock_json(lock: &LockRow) -> Value {
    json!({
        "id": lock.id,
        "target": lock.target,
        "value": lock.value,
        "reason": lock.reason,
        "created_seconds": lock.created_seconds,
    })
}

async fn add_lock(State(state): State<AdminState>, body: Body) -> Response {
    let (target, value, reason) = match body::read(body).await.and_then(|body| read_lock(&body)) {
        Ok(lock) => lock,
        Err(refusal) => return Refusal::from(&refusal).into_problem(None),
    };
    let lock = match state.gateway().locks.add(target, &value, &reason).await {
        Ok(lock) => lock,
        Err(LockRefused::Store(failed)) => return unavailable(failed),
        Err(refused) => return Refusal::from(&invalid("value", &refused.to_string())).into_problem(None),
    };
    let detail = format!(
        "lock {} added: {} `{}` ({})",
        lock.id, lock.target, lock.value, lock.reason
    );
    let mut shown = lock_json(&lock);
    if let (Some(warning), Value::Object(members)) = (names_nothing(state.gateway(), target, &value), &mut shown) {
        members.insert("warning".to_owned(), warning.into());
    }
    match record(&state, &detail).await {
        Ok(()) => (StatusCode::CREATED, Json(shown)).into_response(),
        Err(failed) => Refusal::from(&Cause::from(failed)).into_problem(None),
    }
}

/// Says that a lock names nothing that is configured; a misspelt one would give false safety in an incident.
///
/// Runs and workloads are not configured one by one, so nobody can tell.
fn names_nothing(gateway: &Gateway, target: LockTarget, value: &str) -> Option<String> {
    let rules = gateway.rules.load();
    let (kind, known): (&str, Vec<&str>) = match target {
        LockTarget::Attestor => {
            let names = rules.attestors.iter().map(|attestor| attestor.name().as_str());
            ("attestor", names.collect())
        }
        LockTarget::Entry => {
            let names = rules.registry.entries().map(|entry| entry.name().as_str());
            ("entry", names.collect())
        }
        LockTarget::RelyingParty => {
            let names = rules.relying_parties.keys().map(RelyingPartyName::as_str);
            ("relying party", names.collect())
        }
        LockTarget::Run | LockTarget::SpiffeId => return None,
    };
    if known.contains(&value) {
        return None;
    }
    let meant = nearest(value, known).map(|near| format!(", did you mean `{near}`?"));
    let meant = meant.unwrap_or_default();
    Some(format!(
        "no {kind} is called `{value}` (the lock is kept in case one comes){meant}"
    ))
}

fn read_lock(body: &[u8]) -> Result<(LockTarget, String, String), RequestRefusal> {
    let mut object = body::json_object(body, &["reason", "target", "value"])?;
    let mut text = |name: &'static str| match object.remove(name) {
        Some(Value::String(text)) if (1..=MAX_TEXT_BYTES).contains(&text.len()) => Ok(text),
        Some(_) | None => Err(invalid(name, "is missing or no text of 1 to 512 bytes")),
    };
    let (target, value, reason) = (text("target")?, text("value")?, text("reason")?);
    let target = LockTarget::parse(&target)
        .ok_or_else(|| invalid("target", "is none of attestor, entry, relying_party, run, spiffe_id"))?;
    Ok((target, value, reason))
}

/// LIMITS.md: an audit field has at most 512 bytes.
const MAX_TEXT_BYTES: usize = 512;

async fn remove_lock(State(state): State<AdminState>, Path(id): Path<String>) -> Response {
    match state.gateway().locks.remove(&id).await {
        Ok(true) => match record(&state, &format!("lock {id} removed")).await {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(failed) => Refusal::from(&Cause::from(failed)).into_problem(None),
        },
        Ok(false) => Refusal::from(&RequestRefusal::RouteUnknown).into_problem(None),
        Err(failed) => unavailable(failed),
    }
}

pub(super) async fn record(state: &AdminState, detail: &str) -> Result<(), TrailError> {
    state
        .gateway()
        .trail
        .record(Group {
            ledger: None,
            entries: vec![Draft::change(detail)],
        })
        .await
        .map(drop)
}

pub(super) fn unavailable(failed: StoreError) -> Response {
    Refusal::from(&Cause::from(TrailError::Store(Arc::new(failed)))).into_problem(None)
}

pub(super) fn invalid(name: &'static str, problem: &str) -> RequestRefusal {
    RequestRefusal::ParameterInvalid {
        name,
        problem: problem.to_owned(),
    }
}
