//! `/v1/revocations` of the admin socket: ends X.509-SVIDs before their time.
//!
//! Finds what to end in the trail, which names each SVID that was signed. Whoever only ends SVIDs has not shut the
//! workload out: it gets the next one unless it is locked as well.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::admin::{AdminState, record, unavailable};
use crate::{
    clock::{parse_rfc3339, unix_seconds},
    gateway::answer::Cause,
    http::{body, error::Refusal, request_refusal::RequestRefusal},
    mint::{
        MAX_X509_SVID_LIFE,
        authority::Purpose,
        crl::{NEXT_UPDATE, RevokeRefused},
    },
    secret::{from_hex, hex},
    store::{RevocationRow, StoreError, TrailFilter, TrailRow},
};

/// Shows what is revoked.
pub(super) async fn list(State(state): State<AdminState>) -> Response {
    match state.revoker.list().await {
        Ok(found) => {
            let rows: Vec<_> = found.rows.iter().map(shown).collect();
            Json(json!({ "generation": found.generation, "revocations": rows })).into_response()
        }
        Err(failed) => unavailable(failed),
    }
}

fn shown(row: &RevocationRow) -> Value {
    json!({
        "serial": hex(&row.serial),
        "spiffe_id": row.spiffe_id,
        "exchange_id": row.exchange_id,
        "reason": row.reason,
        "revoked_seconds": row.revoked_seconds,
    })
}

/// Revokes one SVID, all of an exchange, or all of a workload.
pub(super) async fn add(State(state): State<AdminState>, body: Body) -> Response {
    let asked = match body::read(body).await.and_then(|body| Asked::read(&body)) {
        Ok(asked) => asked,
        Err(refusal) => return Refusal::from(&refusal).into_problem(None),
    };
    let rows = match asked.rows(&state).await {
        Ok(rows) => rows,
        Err(failed) => return unavailable(failed),
    };
    if rows.is_empty() {
        let refusal = invalid("value", "names no X.509-SVID that is still valid");
        return Refusal::from(&refusal).into_problem(None);
    }
    match state.revoker.revoke(&rows).await {
        Ok(()) => {}
        Err(RevokeRefused::Store(failed)) => return unavailable(failed),
        Err(RevokeRefused::TooMany) => {
            let refusal = invalid(
                "value",
                "names more X.509-SVIDs than a list may hold, replace the intermediate",
            );
            return Refusal::from(&refusal).into_problem(None);
        }
        Err(RevokeRefused::NotIssued(failed)) => {
            tracing::error!(error = %failed, "the revocation stands, but no list could be signed");
        }
    }
    let detail = format!(
        "revoked {} X.509-SVIDs: {} `{}` ({})",
        rows.len(),
        asked.target.as_str(),
        asked.value,
        asked.reason
    );
    match record(&state, &detail).await {
        Ok(()) => {
            let rows: Vec<_> = rows.iter().map(shown).collect();
            (StatusCode::CREATED, Json(json!({ "revocations": rows }))).into_response()
        }
        Err(failed) => Refusal::from(&Cause::from(failed)).into_problem(None),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    ExchangeId,
    Serial,
    SpiffeId,
}

impl Target {
    const ALL: [Self; 3] = [Self::ExchangeId, Self::Serial, Self::SpiffeId];

    fn as_str(self) -> &'static str {
        match self {
            Self::ExchangeId => "exchange_id",
            Self::Serial => "serial",
            Self::SpiffeId => "spiffe_id",
        }
    }
}

struct Asked {
    target: Target,
    value: String,
    reason: String,
}

impl Asked {
    fn read(bytes: &[u8]) -> Result<Self, RequestRefusal> {
        let mut object = body::json_object(bytes, &["reason", "target", "value"])?;
        let mut text = |name: &'static str| match object.remove(name) {
            Some(Value::String(text)) if (1..=MAX_TEXT_BYTES).contains(&text.len()) => Ok(text),
            Some(_) | None => Err(invalid(name, "is missing or no text of 1 to 512 bytes")),
        };
        let (target, value, reason) = (text("target")?, text("value")?, text("reason")?);
        let target = Target::ALL.into_iter().find(|one| one.as_str() == target);
        let target = target.ok_or_else(|| invalid("target", "is none of exchange_id, serial, spiffe_id"))?;
        if target == Target::Serial && serial(&value).is_none() {
            return Err(invalid("value", "is no serial number of 8 to 20 bytes in hex"));
        }
        Ok(Self { target, value, reason })
    }

    async fn rows(&self, state: &AdminState) -> Result<Vec<RevocationRow>, StoreError> {
        let now = state.gateway().clock.now();
        let row = |serial, (spiffe_id, exchange_id): (&str, &str), ends: SystemTime| RevocationRow {
            serial,
            spiffe_id: spiffe_id.to_owned(),
            exchange_id: exchange_id.to_owned(),
            reason: self.reason.clone(),
            revoked_seconds: unix_seconds(now),
            // RFC 5280 section 3.3: a list names a certificate until one that was made after its end did.
            forget_seconds: unix_seconds(ends + NEXT_UPDATE),
        };
        let mut filter = TrailFilter {
            since_seconds: Some(unix_seconds(now - MAX_X509_SVID_LIFE - CLOCKS_DIFFER)),
            newest: true,
            ..TrailFilter::default()
        };
        match self.target {
            // Taken as it is: whoever has a serial number has the certificate, and its end is not known.
            Target::Serial => {
                let serial = serial(&self.value).unwrap_or_default();
                return Ok(vec![row(serial, ("", ""), now + MAX_X509_SVID_LIFE)]);
            }
            Target::ExchangeId => filter.exchange_id = Some(self.value.clone()),
            Target::SpiffeId => filter.spiffe_id = Some(self.value.clone()),
        }
        let authorities = state.gateway().store.authorities().await?;
        let intermediates: BTreeSet<_> = authorities
            .rows
            .iter()
            .filter(|one| one.purpose == Purpose::X509Intermediate.as_str())
            .map(|one| one.id.as_str())
            .collect();
        let mut rows = Vec::new();
        for kind in ["intent", "mint"] {
            filter.kind = Some(kind.to_owned());
            for entry in state.gateway().store.trail(filter.clone()).await? {
                let found = signed(&entry, &intermediates).filter(|(_, ends)| *ends > now);
                rows.extend(found.map(|(serial, ends)| row(serial, (&entry.spiffe_id, &entry.exchange_id), ends)));
            }
        }
        Ok(rows)
    }
}

/// Returns serial number and end of the X.509-SVID that an entry is about.
fn signed(entry: &TrailRow, intermediates: &BTreeSet<&str>) -> Option<(Vec<u8>, SystemTime)> {
    let body: Value = serde_json::from_str(&entry.body).ok()?;
    let text = |name: &str| body.pointer(&format!("/svid/{name}")).and_then(Value::as_str);
    intermediates.contains(text("key_id")?).then_some(())?;
    Some((serial(text("id")?)?, parse_rfc3339(text("expires")?)?))
}

/// RFC 5280 section 4.1.2.2: at most 20 bytes; ours have 16.
fn serial(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|character| *character != ':').collect();
    from_hex(&text.to_ascii_lowercase()).filter(|serial| (8..=20).contains(&serial.len()))
}

fn invalid(name: &'static str, problem: &str) -> RequestRefusal {
    RequestRefusal::ParameterInvalid {
        name,
        problem: problem.to_owned(),
    }
}

/// LIMITS.md: an audit field has at most 512 bytes.
const MAX_TEXT_BYTES: usize = 512;
/// Replicas' clocks differ by less than this.
const CLOCKS_DIFFER: Duration = Duration::from_mins(1);
