//! `POST /v1/token`: OAuth token exchange (RFC 8693) for exactly one relying party.
//!
//! The subject token is the only credential, with an actor token beside it where somebody acts for the subject; there is
//! no client registry (TX-8).

use std::time::SystemTime;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    attest::Evidence,
    gateway::{Answer, Ask, Asked, Granted, Request, answer::Form as Granting},
    http::{
        body::{self, Form},
        error::Refusal,
        request_refusal::RequestRefusal,
        state::{Caller, ExchangeState, Unproven},
    },
    secret::Secret,
    store::Released,
};

/// The path, which is also part of the DPoP `htu`.
pub const PATH: &str = "/v1/token";

/// A successful answer (RFC 8693 section 2.2.1).
#[derive(Serialize, utoipa::ToSchema)]
pub struct TokenResponse {
    /// The token: a cloud's access token, or the JWT-SVID.
    access_token: String,
    /// What it is.
    issued_token_type: &'static str,
    /// `Bearer` for a cloud's access token, `N_A` for an SVID.
    token_type: &'static str,
    /// How many seconds are left of it.
    expires_in: u64,
    /// The scope of a cloud's access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Exchanges a subject token for one relying party's token.
#[utoipa::path(
    post,
    path = PATH,
    request_body(content = String, content_type = "application/x-www-form-urlencoded",
        description = "RFC 8693: `grant_type`, `subject_token`, `subject_token_type`, `audience` (a relying party's name), `requested_token_type`, `scope`; `actor_token` and `actor_token_type` where somebody acts for the subject"),
    responses(
        (status = 200, description = "the token", body = TokenResponse),
        (status = 400, description = "RFC 6749 error: the request or the evidence is not in order"),
        (status = 403, description = "RFC 6749 error: not permitted"),
        (status = 413, description = "RFC 6749 error: too large"),
        (status = 429, description = "RFC 6749 error: too often"),
        (status = 502, description = "RFC 6749 error: the relying party refused"),
        (status = 503, description = "RFC 6749 error: not available at the moment"),
    )
)]
pub async fn post(State(state): State<ExchangeState>, caller: Caller, body: Body) -> Response {
    let answer = answer(&state, &caller, body);
    let counted = state.counted("token", caller.began, answer, |refusal| refusal.into_oauth(None));
    counted.await
}

async fn answer(state: &ExchangeState, caller: &Caller, body: Body) -> Result<Response, Refusal> {
    let refused = |refusal: RequestRefusal| Refusal::from(&refusal);
    let source = state.admit(caller).map_err(refused)?;
    let form = body::read(body)
        .await
        .and_then(|body| Form::parse(&body))
        .map_err(refused)?;
    let asked = Parameters::read(form).map_err(refused)?;
    let possession = state
        .possession(caller, PATH, &asked.token)
        .map_err(|unproven| match unproven {
            Unproven::Attest(refusal) => Refusal::from(&refusal),
            Unproven::Request(refusal) => Refusal::from(&refusal),
        })?;
    let evidence = Evidence::new(asked.token, None, possession);
    let answer = state
        .exchange(Request {
            evidence,
            actor: asked.actor.map(Evidence::of_actor),
            wanted: vec![asked.ask],
            subject_key: None,
            source: Some(source),
        })
        .await
        .map_err(refused)?;
    Ok(respond(state, answer))
}

/// What a request asks for, once its parameters are in order.
///
/// Nothing here looks at what is configured: whether the relying party exists and what it has is told only to a
/// workload that was permitted.
#[derive(Debug)]
struct Parameters {
    token: Secret,
    actor: Option<Secret>,
    ask: Ask,
}

impl Parameters {
    fn read(mut form: Form) -> Result<Self, RequestRefusal> {
        let grant_type = form.required("grant_type")?;
        if grant_type != TOKEN_EXCHANGE {
            let found = grant_type.chars().filter(char::is_ascii_graphic).take(64).collect();
            return Err(RequestRefusal::GrantTypeUnsupported { found });
        }
        if form.take("resource").is_some() {
            return Err(RequestRefusal::ResourceUnsupported);
        }
        let actor = match (form.take("actor_token"), form.take("actor_token_type")) {
            (None, None) => None,
            (None, Some(_)) => return Err(invalid("actor_token_type", "is there without `actor_token`")),
            (Some(_), None) => return Err(invalid("actor_token_type", "is missing beside `actor_token`")), // TX-3
            (Some(token), Some(token_type)) => {
                refuse_other_type("actor_token_type", &token_type)?;
                Some(Secret::new(token))
            }
        };
        let token = Secret::new(form.required("subject_token")?);
        refuse_other_type("subject_token_type", &form.required("subject_token_type")?)?;
        let ask = Ask {
            relying_party: form.required("audience")?,
            form: requested(form.take("requested_token_type").as_deref())?,
            scope: form.take("scope"),
        };
        Ok(Self { token, actor, ask })
    }
}

fn refuse_other_type(name: &'static str, found: &str) -> Result<(), RequestRefusal> {
    if found == JWT || found == ID_TOKEN {
        return Ok(());
    }
    Err(invalid(
        name,
        &format!("is not taken, expected `{JWT}` or `{ID_TOKEN}`"),
    ))
}

fn requested(token_type: Option<&str>) -> Result<Asked, RequestRefusal> {
    match token_type {
        None => Ok(Asked::Any),
        Some(ACCESS_TOKEN) => Ok(Asked::AccessToken),
        Some(JWT) => Ok(Asked::Svid),
        Some(_) => Err(invalid(
            "requested_token_type",
            &format!("is not taken, expected `{JWT}` or `{ACCESS_TOKEN}`"),
        )),
    }
}

fn invalid(name: &'static str, problem: &str) -> RequestRefusal {
    RequestRefusal::ParameterInvalid {
        name,
        problem: problem.to_owned(),
    }
}

fn respond(state: &ExchangeState, answer: Answer) -> Response {
    let Some((_, result)) = answer.results.into_iter().next() else {
        return Refusal::from(&RequestRefusal::Overloaded).into_oauth(answer.exchange_id.as_ref());
    };
    match result {
        Ok(granted) => {
            let now = state.gateway().clock.now();
            let mut response = Json(token_response(state, granted, now)).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store")); // TX-14
            headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
            if let Some(id) = &answer.exchange_id
                && let Ok(id) = HeaderValue::from_str(id.as_str())
            {
                headers.insert("cambio-exchange-id", id);
            }
            response
        }
        Err(refused) => {
            state.metrics().refused(refused.cause().code());
            Refusal::from(refused.cause()).into_oauth(answer.exchange_id.as_ref())
        }
    }
}

fn token_response(state: &ExchangeState, granted: Released<Granted>, now: SystemTime) -> TokenResponse {
    let granted = granted.into_inner();
    let left = |expires: SystemTime| expires.duration_since(now).map_or(0, |left| left.as_secs());
    match granted.form {
        Granting::Credential(credential) => {
            state.metrics().granted(granted.kind, "credential");
            TokenResponse {
                access_token: credential
                    .bearer()
                    .map(|token| token.expose().to_owned())
                    .unwrap_or_default(),
                issued_token_type: ACCESS_TOKEN,
                token_type: "Bearer",
                expires_in: left(credential.expires()),
                scope: granted.scope,
            }
        }
        Granting::Svid { token, expires } => {
            state.metrics().granted(granted.kind, "svid");
            TokenResponse {
                access_token: token.expose().to_owned(),
                issued_token_type: JWT,
                token_type: "N_A", // TX-10: not usable as an access token
                expires_in: left(expires),
                scope: None,
            }
        }
        Granting::X509Svid(svid) => {
            // Not reached: without a certificate request the gateway refuses, and this path takes none.
            TokenResponse {
                access_token: String::new(),
                issued_token_type: JWT,
                token_type: "N_A",
                expires_in: left(svid.expires),
                scope: None,
            }
        }
    }
}

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
