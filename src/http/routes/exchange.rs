//! `POST /v1/exchange`: several relying parties' native credentials in one call.
//!
//! One relying party's refusal never hides another's credential.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use crate::{
    attest::{Evidence, Possession},
    clock,
    exchange::{CloudCredential, credential::Field},
    gateway::{Answer, Ask, Granted, Request, answer::Form},
    http::{
        body,
        error::Refusal,
        request_refusal::RequestRefusal,
        state::{Caller, ExchangeState, Unproven},
    },
    secret::Secret,
};

/// The path, which is also part of the DPoP `htu`.
pub const PATH: &str = "/v1/exchange";

/// LIMITS.md: at most 16 relying parties in one request.
pub const MAX_RELYING_PARTIES: usize = 16;

/// What the endpoint takes; documentation only, the body is read strictly by hand so that no value is ever repeated.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub struct ExchangeRequest {
    /// What the workload presents.
    evidence: ExchangeEvidence,
    /// What somebody presents who acts for the workload.
    actor: Option<ActorEvidence>,
    /// The names of 1 to 16 relying parties.
    relying_parties: Vec<String>,
}

/// What the workload presents.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub struct ExchangeEvidence {
    /// The token; absent where the client certificate of the connection is the evidence.
    token: Option<String>,
    /// The kind of evidence, only where the token does not tell; `spiffe` for a client certificate.
    kind: Option<String>,
}

/// What an actor presents (RFC 8693 section 1.1).
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub struct ActorEvidence {
    /// The actor token, which stands until it expires.
    token: String,
}

/// What came of it.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub struct ExchangeResponse {
    /// The request's id, which the audit trail and the cloud's own log name.
    exchange_id: String,
    /// The workload's SPIFFE ID.
    spiffe_id: String,
    /// The credentials by relying party, each in the shape its SDK wants.
    credentials: Map<String, Value>,
    /// About each credential: the relying party's `kind`, the SVID's `subject`, when it `expires`.
    details: Map<String, Value>,
    /// The refusals by relying party, as problem details.
    refusals: Map<String, Value>,
}

/// Exchanges evidence for the credentials of several relying parties.
#[utoipa::path(
    post,
    path = PATH,
    request_body = ExchangeRequest,
    responses(
        (status = 200, description = "at least one credential", body = ExchangeResponse),
        (status = 400, description = "the request or the evidence is not in order", body = crate::http::error::Problem),
        (status = 403, description = "not permitted", body = crate::http::error::Problem),
        (status = 413, description = "too large", body = crate::http::error::Problem),
        (status = 429, description = "too often", body = crate::http::error::Problem),
        (status = 502, description = "the relying party refused", body = crate::http::error::Problem),
        (status = 503, description = "not available at the moment", body = crate::http::error::Problem),
    )
)]
pub async fn post(State(state): State<ExchangeState>, caller: Caller, body: Body) -> Response {
    let answer = answer(&state, &caller, body);
    let counted = state.counted("exchange", caller.began, answer, |refusal| refusal.into_problem(None));
    counted.await
}

async fn answer(state: &ExchangeState, caller: &Caller, body: Body) -> Result<Response, Refusal> {
    let refused = |refusal: RequestRefusal| Refusal::from(&refusal);
    let source = state.admit(caller).map_err(refused)?;
    let asked = body::read(body)
        .await
        .and_then(|body| Asked::read(&body))
        .map_err(refused)?;
    let request = Request {
        evidence: asked.presented.evidence(state, caller, PATH)?,
        actor: asked.actor,
        wanted: asked.relying_parties.into_iter().map(Ask::credential).collect(),
        subject_key: None,
        source: Some(source),
    };
    let answer = state.exchange(request).await.map_err(refused)?;
    Ok(respond(state, answer))
}

#[derive(Debug)]
struct Asked {
    presented: Presented,
    actor: Option<Evidence>,
    relying_parties: Vec<String>,
}

impl Asked {
    fn read(bytes: &[u8]) -> Result<Self, RequestRefusal> {
        let mut object = body::json_object(bytes, &["actor", "evidence", "relying_parties"])?;
        let presented = Presented::read(&mut object)?;
        let actor = read_actor(&mut object)?;
        let Some(Value::Array(names)) = object.remove("relying_parties") else {
            return Err(invalid("`relying_parties` is missing or no array"));
        };
        if names.is_empty() || names.len() > MAX_RELYING_PARTIES {
            let problem = format!(
                "`relying_parties` has {} names, expected 1 to {MAX_RELYING_PARTIES}",
                names.len()
            );
            return Err(invalid(&problem));
        }
        let mut relying_parties = Vec::with_capacity(names.len());
        for name in names {
            let Value::String(name) = name else {
                return Err(invalid("`relying_parties` holds something that is no string"));
            };
            if relying_parties.contains(&name) {
                return Err(invalid("`relying_parties` names one twice"));
            }
            relying_parties.push(name);
        }
        Ok(Self {
            presented,
            actor,
            relying_parties,
        })
    }
}

/// Takes the actor's evidence out of a body.
pub(super) fn read_actor(object: &mut Map<String, Value>) -> Result<Option<Evidence>, RequestRefusal> {
    let mut actor = match object.remove("actor") {
        None => return Ok(None),
        Some(Value::Object(actor)) => actor,
        Some(_) => return Err(invalid("`actor` is no object, expected {\"token\": \"..\"}")),
    };
    body::refuse_unknown(&actor, &["token"])?;
    let Some(Value::String(token)) = actor.remove("token") else {
        return Err(invalid("`actor.token` is missing or no string"));
    };
    Ok(Some(Evidence::of_actor(Secret::new(token))))
}

/// The evidence of a body, not yet joined with what the connection and the headers prove.
#[derive(Debug)]
pub(super) struct Presented {
    token: Option<Secret>,
    kind: Option<String>,
}

impl Presented {
    /// Takes the evidence out of a body: the token, and its kind where it is told; one of them is there.
    pub(super) fn read(object: &mut Map<String, Value>) -> Result<Self, RequestRefusal> {
        let Some(Value::Object(mut evidence)) = object.remove("evidence") else {
            return Err(invalid(
                "`evidence` is missing or no object, expected {\"token\": \"..\"}",
            ));
        };
        body::refuse_unknown(&evidence, &["kind", "token"])?;
        let kind = match evidence.remove("kind") {
            None => None,
            Some(Value::String(kind)) if kind.len() <= MAX_KIND_BYTES => Some(kind),
            Some(_) => return Err(invalid("`evidence.kind` is no string of at most 64 bytes")),
        };
        let token = match evidence.remove("token") {
            None if kind.is_some() => None,
            Some(Value::String(token)) => Some(Secret::new(token)),
            None | Some(_) => return Err(invalid("`evidence.token` is missing or no string")),
        };
        Ok(Self { token, kind })
    }

    /// Joins the evidence with what the caller proves; without a token the connection's certificate is the evidence.
    pub(super) fn evidence(self, state: &ExchangeState, caller: &Caller, path: &str) -> Result<Evidence, Refusal> {
        match (self.token, self.kind, caller.certificate.clone()) {
            (Some(token), kind, _) => {
                let possession = state
                    .possession(caller, path, &token)
                    .map_err(|unproven| match unproven {
                        Unproven::Attest(refusal) => Refusal::from(&refusal),
                        Unproven::Request(refusal) => Refusal::from(&refusal),
                    })?;
                Ok(Evidence::new(token, kind, possession))
            }
            // The handshake proved who holds the certificate's key, so that there is nothing for a header to prove.
            (None, Some(kind), Some(certificate)) => {
                Ok(Evidence::of_certificate(certificate, kind, Possession::Bearer))
            }
            (None, Some(_) | None, _) => Err(Refusal::from(&invalid(
                "`evidence.token` is missing, and the connection has no client certificate",
            ))),
        }
    }
}

fn invalid(problem: &str) -> RequestRefusal {
    RequestRefusal::BodyInvalid {
        problem: problem.to_owned(),
    }
}

const MAX_KIND_BYTES: usize = 64;

fn respond(state: &ExchangeState, answer: Answer) -> Response {
    let id = answer.exchange_id.as_ref();
    let now = state.gateway().clock.now();
    let (mut credentials, mut details, mut refusals) = (Map::new(), Map::new(), Map::new());
    let mut first_refusal = None;
    for (name, result) in answer.results {
        match (name, result) {
            (Some(name), Ok(granted)) => {
                let granted = granted.into_inner();
                details.insert(name.clone(), about(state, &granted));
                credentials.insert(name, native(&granted, now));
            }
            (name, Err(refused)) => {
                state.metrics().refused(refused.cause().code());
                let refusal = Refusal::from(refused.cause());
                let Some(name) = name else {
                    return refusal.into_problem(id);
                };
                refusals.insert(name, json!(refusal.problem(id)));
                first_refusal.get_or_insert(refusal);
            }
            (None, Ok(_unnamed)) => {}
        }
    }
    let status = match (&first_refusal, credentials.is_empty()) {
        (Some(refusal), true) => refusal.status,
        (Some(_) | None, _) => StatusCode::OK,
    };
    let body = json!({
        "exchange_id": id.map(ToString::to_string),
        "spiffe_id": answer.spiffe_id,
        "credentials": credentials,
        "details": details,
        "refusals": refusals,
    });
    let mut response = (status, Json(body)).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = first_refusal
        .and_then(|refusal| refusal.retry_after_seconds)
        .filter(|_| status != StatusCode::OK)
    {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn about(state: &ExchangeState, granted: &Granted) -> Value {
    let (form, expires) = match &granted.form {
        Form::Credential(credential) => ("credential", credential.expires()),
        Form::Svid { expires, .. } => ("svid", *expires),
        Form::X509Svid(svid) => ("x509_svid", svid.expires),
    };
    state.metrics().granted(granted.kind, form);
    json!({ "kind": granted.kind, "form": form, "subject": granted.subject, "expires": clock::rfc3339(expires) })
}

/// Writes a credential in the shape its SDK wants; `Released` has been opened by then.
fn native(granted: &Granted, now: std::time::SystemTime) -> Value {
    let left = |expires: std::time::SystemTime| expires.duration_since(now).map_or(0, |left| left.as_secs());
    match &granted.form {
        Form::Credential(credential) => Value::Object(fields(credential, left(credential.expires()))),
        Form::Svid { token, expires } => {
            json!({ "svid": token.expose(), "expires_in": left(*expires), "expires_on": clock::unix_seconds(*expires) })
        }
        Form::X509Svid(svid) => json!({
            "serial": crate::secret::hex(&svid.serial),
            "expires_in": left(svid.expires),
            "expires_on": clock::unix_seconds(svid.expires),
        }),
    }
}

fn fields(credential: &CloudCredential, left: u64) -> Map<String, Value> {
    let value = |field: &Field| match field {
        Field::Number(number) => Value::from(*number),
        Field::SecondsLeft => Value::from(left),
        Field::Secret(secret) => Value::from(secret.expose()),
        Field::Text(text) => Value::from(text.as_str()),
    };
    credential
        .fields()
        .iter()
        .map(|(name, field)| ((*name).to_owned(), value(field)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(count: usize) -> Vec<u8> {
        let names: Vec<String> = (0..count).map(|n| format!("rp{n}")).collect();
        serde_json::to_vec(&json!({ "evidence": { "token": "t" }, "relying_parties": names })).unwrap()
    }

    #[test]
    fn takes_16_relying_parties_and_refuses_17() {
        assert_eq!(Asked::read(&asked(16)).unwrap().relying_parties.len(), 16);
        assert!(Asked::read(&asked(17)).is_err());
        assert!(Asked::read(&asked(0)).is_err());
    }

    #[test]
    fn refuses_the_same_relying_party_twice() {
        let body = json!({ "evidence": { "token": "t" }, "relying_parties": ["a", "a"] }).to_string();

        assert!(Asked::read(body.as_bytes()).is_err());
    }

    #[test]
    fn a_refused_body_is_not_repeated() {
        for body in [
            r#"{"evidence":"canary"}"#,
            r#"{"evidence":{"token":["canary"]}}"#,
            r#"{"canary":1}"#,
            "canary",
        ] {
            let refused = Asked::read(body.as_bytes()).unwrap_err();
            assert!(!refused.to_string().contains("canary"), "{body}: {refused}");
        }
    }
}
