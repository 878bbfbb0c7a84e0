//! The admin socket's view of the keys: where each stands, who sees it, and what an operator may do about it.
//!
//! It never shows a private key, and every change is in the trail before it is made.

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::admin::{AdminState, invalid};
use crate::{
    authorize::RelyingPartyName,
    clock::{rfc3339, unix_seconds},
    gateway::answer::Cause,
    http::{body, error::Refusal, request_refusal::RequestRefusal},
    mint::{
        MintRefusal,
        authority::{OUTSIDE, Purpose, State as Standing},
        rotation::{
            Alarm, RotationFailed, Standing as Key, Waits,
            forced::{NotForced, Selection, earliest_activation},
        },
    },
    secret::Digest,
};

/// Shows all keys, what is seen of them, and what somebody should look at.
pub(super) async fn list(State(state): State<AdminState>) -> Json<Value> {
    Json(shown(&state))
}

/// Makes successors due at once; answers how far each has come.
pub(super) async fn rotate(State(state): State<AdminState>, body: Body) -> Response {
    let selection = match body::read(body).await.and_then(|body| selection(&body)) {
        Ok(selection) => selection,
        Err(refusal) => return Refusal::from(&refusal).into_problem(None),
    };
    match state.engine.rotate(&selection).await {
        Ok(()) => Json(shown(&state)).into_response(),
        Err(failed) => refused(&failed),
    }
}

fn selection(body: &[u8]) -> Result<Selection, RequestRefusal> {
    let mut object = body::json_object(body, &["algorithm", "purpose"])?;
    let mut text = |name: &'static str| match object.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(name, "is no text")),
    };
    let (purpose, algorithm) = (text("purpose")?, text("algorithm")?);
    let purpose = purpose
        .map(|word| {
            let known = Purpose::ALL.into_iter().find(|one| one.as_str() == word);
            known.ok_or_else(|| invalid("purpose", "is none of audit, jwt, x509_intermediate, x509_root"))
        })
        .transpose()?;
    Ok(Selection { purpose, algorithm })
}

/// Drops a compromised key; answers who breaks until when.
pub(super) async fn revoke(State(state): State<AdminState>, body: Body) -> Response {
    let kid = match body::read(body).await.and_then(|body| kid(&body)) {
        Ok(kid) => kid,
        Err(refusal) => return Refusal::from(&refusal).into_problem(None),
    };
    let revoked = match state.engine.revoke(&kid).await {
        Ok(revoked) => revoked,
        Err(failed) => return refused(&failed),
    };
    let rules = state.gateway().rules.load();
    let mut parties: Vec<&str> = rules.relying_parties.keys().map(RelyingPartyName::as_str).collect();
    parties.sort_unstable();
    let signed = matches!(revoked.was, Standing::Active | Standing::Retired);
    Json(json!({
        "kid": revoked.id,
        "purpose": revoked.purpose.as_str(),
        "was": revoked.was.as_str(),
        "successor": revoked.successor,
        "refused": signed.then(|| json!({
            "what": "SVIDs that the key signed, wherever they are held",
            "until": rfc3339(revoked.signed_until),
        })),
        "unknown": revoked.unknown_until.map(|until| json!({
            "what": "SVIDs of the successor, at relying parties that still hold an older key set",
            "relying_parties": parties,
            "until": rfc3339(until),
        })),
    }))
    .into_response()
}

/// The word `compromised` stands for having read what this does.
fn kid(body: &[u8]) -> Result<String, RequestRefusal> {
    let mut object = body::json_object(body, &["compromised", "kid"])?;
    if object.remove("compromised") != Some(Value::Bool(true)) {
        return Err(invalid(
            "compromised",
            "is not `true`: only a compromised key is dropped without a lead",
        ));
    }
    match object.remove("kid") {
        Some(Value::String(kid)) if !kid.is_empty() => Ok(kid),
        Some(_) | None => Err(invalid("kid", "is missing or no text")),
    }
}

pub(super) fn refused(failed: &RotationFailed) -> Response {
    if let RotationFailed::Chain(why) = failed {
        return Refusal::from(why).into_problem(None);
    }
    if let RotationFailed::Forced(why) = failed {
        let name = match why {
            NotForced::KeyUnknown { .. } => Some("kid"),
            NotForced::NoRoom { .. } | NotForced::NothingActive | NotForced::RootInStore => Some("purpose"),
            NotForced::Unreadable(_) => None,
        };
        if let Some(name) = name {
            return Refusal::from(&invalid(name, &format!("cannot be served: {why}"))).into_problem(None);
        }
    }
    tracing::error!(
        error = failed as &dyn std::error::Error,
        "what was asked of the keys was not done"
    );
    let cause = Cause::from(MintRefusal::KeyUnavailable {
        algorithm: "rotation",
        reason: failed.to_string(),
    });
    Refusal::from(&cause).into_problem(None)
}

fn shown(state: &AdminState) -> Value {
    let condition = state.engine.condition();
    let set = state.gateway().minter.keys().load();
    let here = set.authorities().iter().map(|one| {
        let mut shown = json!({
            "kid": one.id(),
            "purpose": one.purpose().as_str(),
            "algorithm": one.public_jwk().algorithm().as_str(),
            "state": one.state().as_str(),
            "expires": rfc3339(one.expires()),
            "public_jwk": one.public_jwk(),
        });
        more(state, one.id(), &mut shown);
        shown
    });
    let outside = set.outside_roots().iter().map(|one| {
        let mut shown = json!({
            "kid": one.id(),
            "purpose": Purpose::X509Root.as_str(),
            "algorithm": OUTSIDE,
            "state": one.state().as_str(),
            "expires": rfc3339(one.expires()),
            "sha256": Digest::of(one.certificate()).to_string(),
        });
        more(state, one.id(), &mut shown);
        shown
    });
    let keys: Vec<Value> = here.chain(outside).collect();
    let alarms: Vec<String> = condition.alarms.iter().map(ToString::to_string).collect();
    let replicas = condition.seen.replicas.iter().map(
        |report| json!({ "name": report.replica, "generation": report.generation, "at_seconds": report.at_seconds }),
    );
    json!({
        "generation": set.generation(),
        "keys": keys,
        "alarms": alarms,
        "failure": condition.failure,
        "replicas": replicas.collect::<Vec<_>>(),
        "unreachable": condition.unreachable,
    })
}

fn more(state: &AdminState, id: &str, shown: &mut Value) {
    let condition = state.engine.condition();
    let standing = condition.keys.iter().find(|key| key.id == id);
    if let (Some(key), Value::Object(members)) = (standing, shown) {
        members.extend(progress(state, key));
    }
}

/// How far a key has come: what is seen of it where, and when it may sign at the earliest.
fn progress(state: &AdminState, key: &Key) -> serde_json::Map<String, Value> {
    let condition = state.engine.condition();
    let rules = state.engine.rules();
    let now = state.gateway().clock.now();
    let mut members = serde_json::Map::new();
    let mut add = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    add("created", rfc3339(key.created).into());
    match key.state {
        Standing::Active => {
            add("active_since", rfc3339(key.activates).into());
            if rules.life(key.purpose()).is_some() {
                add("successor_signs", rfc3339(key.yields(rules)).into());
            }
        }
        Standing::Retired => add("removed_after", rfc3339(key.removes).into()),
        Standing::Observed | Standing::Prepared | Standing::Published => {
            let waits = key.waits.map(|waits| match waits {
                Waits::Chain => "chain",
                Waits::Root => "root",
            });
            add("waits_for", waits.into());
            let earliest = earliest_activation(key, now, rules).map(rfc3339);
            add("earliest_activation", earliest.into());
            let places = condition.seen.places.iter().map(|place| {
                let found = place.look.as_ref().filter(|look| look.keys.contains(&key.id));
                json!({ "place": place.name, "seen": found.map(|look| rfc3339(look.at)) })
            });
            add("places", places.collect());
            let live = condition
                .seen
                .replicas
                .iter()
                .filter(|one| one.is_live(now, rules.silence));
            let replicas = live.map(|one| json!({ "replica": one.replica, "publishes": one.keys.contains(&key.id) }));
            add("replicas", replicas.collect());
        }
        Standing::Removed => {}
    }
    members
}

/// Sets the gauges of keys.
pub(super) fn measure(state: &AdminState) {
    let gauges = state.exchange.metrics().gauges();
    let condition = state.engine.condition();
    let rules = state.engine.rules();
    let now = state.gateway().clock.now();
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let rotated = || {
        let all = condition.keys.iter();
        all.filter(|key| key.state == Standing::Active && rules.life(key.purpose()).is_some())
    };
    if let Some(oldest) = rotated().map(|key| key.activates).min() {
        let age = now.duration_since(oldest).unwrap_or_default();
        gauges.authority_age_seconds.set(count(age.as_secs()));
    }
    if let Some(next) = rotated().map(|key| key.yields(rules)).min() {
        gauges.authority_next_rotation.set(count(unix_seconds(next)));
    }
    if let Some(first) = rotated().map(|key| key.expires).min() {
        gauges.authority_expires.set(count(unix_seconds(first)));
    }
    gauges
        .authority_generation
        .set(count(state.gateway().minter.keys().load().generation()));
    gauges
        .authorities_published
        .set(count(state.engine.replica().published().load().ids().len() as u64));
    state
        .exchange
        .metrics()
        .key_alarms(&Alarm::KINDS, condition.alarms.iter().map(Alarm::kind));
}

/// Returns whether keys can be signed with, and what somebody should look at.
pub(super) fn readiness(state: &AdminState) -> (bool, Option<String>) {
    let replica = state.engine.replica();
    let rules = state.engine.rules();
    let condition = state.engine.condition();
    let is_old = replica.age() > rules.silence;
    let publishes = !replica.set().published().is_empty();
    let reason = if is_old {
        let age = replica.age().as_secs();
        Some(format!(
            "the keys were last compared with the store {age} s ago: others may publish more by now"
        ))
    } else if let Some(failure) = &condition.failure {
        Some(failure.clone())
    } else {
        let alarms: Vec<String> = condition.alarms.iter().map(ToString::to_string).collect();
        (!alarms.is_empty()).then(|| alarms.join("; "))
    };
    (publishes && !is_old, reason)
}
