//! `POST /v1/whoami`: what evidence attests, whom it names, and what that workload may have.
//!
//! Tells a caller nothing but about itself: attributes of its own evidence, and grants that name its own entry.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::exchange::{Presented, read_actor};
use crate::{
    attest::{Attestation, ExchangeId},
    clock::rfc3339,
    gateway::{Answer, Refused, Request, answer::Cause, whoami::Portrait},
    http::{
        body,
        error::Refusal,
        request_refusal::RequestRefusal,
        state::{Caller, ExchangeState},
    },
    spiffe::SpiffeId,
};

/// The path, which is also part of the DPoP `htu`.
pub const PATH: &str = "/v1/whoami";

/// What the endpoint takes; documentation only, the body is read strictly by hand so that no value is ever repeated.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub struct WhoamiRequest {
    /// What the workload presents.
    evidence: super::exchange::ExchangeEvidence,
    /// What somebody presents who acts for the workload.
    actor: Option<super::exchange::ActorEvidence>,
}

/// Who the workload is.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub struct WhoamiResponse {
    /// The SPIFFE IDs of those who act for the workload, the current actor first; absent where it acts itself.
    actors: Option<Vec<String>>,
    /// The attestor that took the evidence.
    attestor: String,
    /// The canonical attributes.
    attributes: Map<String, Value>,
    /// The registration entry; absent where none matches.
    entry: Option<String>,
    /// The request's id.
    exchange_id: String,
    /// The issuer of the evidence.
    issuer: String,
    /// Why no entry matches, as problem details; absent where one does.
    refusal: Option<crate::http::error::Problem>,
    /// By relying party that a grant names for the entry: `permitted`, with `lifetime_seconds`, `rule` and `subject`, or the
    /// refusal as problem details.
    relying_parties: Map<String, Value>,
    /// The workload's SPIFFE ID; absent where no entry matches.
    spiffe_id: Option<String>,
    /// When the attestation ends.
    stands_until: String,
    /// The issuer's own name for the workload.
    subject: String,
}

/// Says who the workload is and what it may have; the evidence is used as by an exchange.
#[utoipa::path(
    post,
    path = PATH,
    request_body = WhoamiRequest,
    responses(
        (status = 200, description = "what was attested", body = WhoamiResponse),
        (status = 400, description = "the request or the evidence is not in order", body = crate::http::error::Problem),
        (status = 413, description = "too large", body = crate::http::error::Problem),
        (status = 429, description = "too often", body = crate::http::error::Problem),
        (status = 503, description = "not available at the moment", body = crate::http::error::Problem),
    )
)]
pub async fn post(State(state): State<ExchangeState>, caller: Caller, body: Body) -> Response {
    let answer = answer(&state, &caller, body);
    let counted = state.counted("whoami", caller.began, answer, |refusal| refusal.into_problem(None));
    counted.await
}

async fn answer(state: &ExchangeState, caller: &Caller, body: Body) -> Result<Response, Refusal> {
    let refused = |refusal: RequestRefusal| Refusal::from(&refusal);
    let source = state.admit(caller).map_err(refused)?;
    let presented = body::read(body).await.and_then(|body| {
        let mut object = body::json_object(&body, &["actor", "evidence"])?;
        Ok((Presented::read(&mut object)?, read_actor(&mut object)?))
    });
    let (presented, actor) = presented.map_err(refused)?;
    let request = Request {
        evidence: presented.evidence(state, caller, PATH)?,
        actor,
        wanted: Vec::new(),
        subject_key: None,
        source: Some(source),
    };
    let mut response = match state.whoami(request).await.map_err(refused)? {
        Ok(portrait) => Json(identified(&portrait.into_inner())).into_response(),
        Err(answer) => unidentified(state, *answer),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn identified(portrait: &Portrait) -> Value {
    let id = &portrait.exchange_id;
    let mut body = attested(id, portrait.attestation());
    let prospects = portrait.prospects.iter().map(|(name, prospect)| {
        let told = match prospect {
            Ok(permission) => json!({
                "permitted": true,
                "lifetime_seconds": permission.lifetime().as_secs(),
                "rule": permission.rule().iter().map(ToString::to_string).collect::<Vec<_>>(),
                "subject": permission.subject().as_str(),
            }),
            Err(denial) => json!({ "permitted": false, "refusal": Refusal::from(denial).problem(Some(id)) }),
        };
        (name.clone(), told)
    });
    body.insert("relying_parties".to_owned(), prospects.collect::<Map<_, _>>().into());
    let actors: Vec<&str> = portrait.workload.actors().iter().map(SpiffeId::as_str).collect();
    if !actors.is_empty() {
        body.insert("actors".to_owned(), actors.into());
    }
    body.insert("entry".to_owned(), portrait.workload.entry().to_string().into());
    body.insert("spiffe_id".to_owned(), portrait.workload.spiffe_id().as_str().into());
    body.into()
}

/// Evidence that attests something and names nobody is told what it attests: that is what the caller came to see.
fn unidentified(state: &ExchangeState, answer: Answer) -> Response {
    let id = answer.exchange_id.as_ref();
    let Some((_, Err(refused))) = answer.results.into_iter().next() else {
        return Refusal::from(&RequestRefusal::Overloaded).into_problem(id);
    };
    state.metrics().refused(refused.cause().code());
    let refusal = Refusal::from(refused.cause());
    let (Some(id), Refused::Recorded(cause)) = (id, &refused) else {
        return refusal.into_problem(id);
    };
    let Cause::Identify(unidentified) = cause.get() else {
        return refusal.into_problem(Some(id));
    };
    let mut body = attested(id, unidentified.attestation());
    body.insert("refusal".to_owned(), json!(refusal.problem(Some(id))));
    body.insert("relying_parties".to_owned(), json!({}));
    Json(body).into_response()
}

fn attested(id: &ExchangeId, attestation: &Attestation) -> Map<String, Value> {
    let attributes = attestation.attributes().iter();
    let attributes: Map<_, _> = attributes
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    [
        ("attestor", attestation.attestor().to_string().into()),
        ("attributes", attributes.into()),
        ("exchange_id", id.as_str().into()),
        ("issuer", attestation.issuer().into()),
        ("stands_until", rfc3339(attestation.stands_until()).into()),
        ("subject", attestation.subject().into()),
    ]
    .map(|(name, value): (&str, Value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}
