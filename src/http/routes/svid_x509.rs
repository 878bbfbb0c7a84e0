//! `POST /v1/svid/x509`: an X.509-SVID for a key that the workload made.
//!
//! The private key never comes here: the certificate request's own signature proves that the workload holds it. Nothing
//! else of the request gets into the certificate.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;

use super::exchange::{ExchangeEvidence, Presented};
use crate::{
    clock::rfc3339,
    gateway::{Answer, Ask, Request, answer::Form},
    http::{
        body,
        error::Refusal,
        request_refusal::RequestRefusal,
        state::{Caller, ExchangeState},
    },
    mint::{MintRefusal, csr::SubjectPublicKey, pem},
    secret::hex,
};

/// The path, which is also part of the DPoP `htu`.
pub const PATH: &str = "/v1/svid/x509";

/// What the endpoint takes; documentation only, the body is read strictly by hand.
#[derive(Debug, utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
pub struct SvidX509Request {
    /// A PKCS#10 certificate request as PEM, or as base64 of its DER, at most 8 KiB. Only its public key is taken; a
    /// request that asks for anything else is refused.
    csr: String,
    /// What the workload presents.
    evidence: ExchangeEvidence,
    /// The name of a relying party of kind `svid` with `x509 = true`.
    relying_party: String,
}

/// An X.509-SVID and what verifies it.
#[derive(Serialize, utoipa::ToSchema)]
pub struct SvidX509Response {
    /// The roots of our trust domain as PEM, to verify others with.
    bundle: String,
    /// The SVID and the intermediates as PEM, the SVID first, without the root.
    chain: String,
    /// The request's id, which the audit trail names.
    exchange_id: String,
    /// When the SVID ends, RFC 3339.
    expires: String,
    /// The SVID's serial number in hex, for `cambio revoke`.
    serial: String,
    /// The SPIFFE ID in the SVID.
    spiffe_id: String,
}

/// Issues an X.509-SVID for the key of a certificate request.
#[utoipa::path(
    post,
    path = PATH,
    request_body = SvidX509Request,
    responses(
        (status = 200, description = "the SVID", body = SvidX509Response),
        (status = 400, description = "the request, the CSR or the evidence is not in order", body = crate::http::error::Problem),
        (status = 403, description = "not permitted", body = crate::http::error::Problem),
        (status = 413, description = "too large", body = crate::http::error::Problem),
        (status = 429, description = "too often", body = crate::http::error::Problem),
        (status = 503, description = "not available at the moment", body = crate::http::error::Problem),
    )
)]
pub async fn post(State(state): State<ExchangeState>, caller: Caller, body: Body) -> Response {
    let answer = answer(&state, &caller, body);
    let counted = state.counted("svid_x509", caller.began, answer, |refusal| refusal.into_problem(None));
    counted.await
}

async fn answer(state: &ExchangeState, caller: &Caller, body: Body) -> Result<Response, Refusal> {
    let refused = |refusal: RequestRefusal| Refusal::from(&refusal);
    let source = state.admit(caller).map_err(refused)?;
    let asked = body::read(body)
        .await
        .and_then(|body| Asked::read(&body))
        .map_err(refused)?;
    let subject_key = SubjectPublicKey::from_text(&asked.csr).map_err(|refusal| Refusal::from(&refusal))?;
    let request = Request {
        evidence: asked.presented.evidence(state, caller, PATH)?,
        actor: None,
        wanted: vec![Ask::svid(asked.relying_party)],
        subject_key: Some(subject_key),
        source: Some(source),
    };
    let answer = state.exchange(request).await.map_err(refused)?;
    Ok(respond(state, answer))
}

struct Asked {
    csr: String,
    presented: Presented,
    relying_party: String,
}

impl Asked {
    fn read(bytes: &[u8]) -> Result<Self, RequestRefusal> {
        let mut object = body::json_object(bytes, &["csr", "evidence", "relying_party"])?;
        let presented = Presented::read(&mut object)?;
        let mut text = |name: &str| match object.remove(name) {
            Some(Value::String(text)) => Ok(text),
            Some(_) | None => Err(RequestRefusal::BodyInvalid {
                problem: format!("`{name}` is missing or no string"),
            }),
        };
        Ok(Self {
            csr: text("csr")?,
            relying_party: text("relying_party")?,
            presented,
        })
    }
}

fn respond(state: &ExchangeState, answer: Answer) -> Response {
    let id = answer.exchange_id.as_ref();
    let Some((_, result)) = answer.results.into_iter().next() else {
        return Refusal::from(&RequestRefusal::Overloaded).into_problem(id);
    };
    let refused = |refusal: Refusal| {
        state.metrics().refused(refusal.code);
        refusal.into_problem(id)
    };
    let granted = match result {
        Ok(granted) => granted.into_inner(),
        Err(cause) => return refused(Refusal::from(cause.cause())),
    };
    let svid = match granted.form {
        Form::X509Svid(svid) => svid,
        // The gateway refuses these before: the request brought a key.
        Form::Credential(_) | Form::Svid { .. } => return refused(Refusal::from(&MintRefusal::CsrUnexpected)),
    };
    state.metrics().granted(granted.kind, "x509_svid");
    let roots = state.gateway().minter.keys().load().published_roots();
    let body = SvidX509Response {
        bundle: certificates(roots.iter().map(|root| root.certificate.as_ref())),
        chain: certificates(svid.chain.iter().map(AsRef::as_ref)),
        exchange_id: id.map(ToString::to_string).unwrap_or_default(),
        expires: rfc3339(svid.expires),
        serial: hex(&svid.serial),
        spiffe_id: granted.subject,
    };
    let mut response = Json(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn certificates<'a>(ders: impl Iterator<Item = &'a [u8]>) -> String {
    ders.map(|der| pem::written(pem::CERTIFICATE, der)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_body_is_not_repeated() {
        for body in [
            r#"{"evidence":{"token":"canary"}}"#,
            r#"{"evidence":{"token":"canary"},"csr":"canary"}"#,
            r#"{"evidence":{"token":"canary"},"csr":["canary"],"relying_party":"a"}"#,
            r#"{"evidence":{"token":"canary"},"csr":"a","relying_party":"a","key":"canary"}"#,
        ] {
            let Err(refused) = Asked::read(body.as_bytes()) else {
                panic!("{body}");
            };
            assert!(!refused.to_string().contains("canary"), "{body}: {refused}");
        }
    }
}
