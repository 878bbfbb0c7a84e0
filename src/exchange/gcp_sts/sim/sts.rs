//! The simulated Security Token Service: `POST /v1/token`.
//!
//! Takes the form of Google's libraries and the JSON of its reference, and refuses in Google's words.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

use super::{
    GcpSim, Holder, Issued, Registered,
    answer::{OauthRefusal, RpcRefusal, mutate},
    certificate, signature,
};
use crate::{
    exchange::gcp_sts::rules::{
        certificate::TOKEN_TYPE,
        limits::USER_PROJECT_CHARACTERS,
        principal::Identity,
        provider::{ProviderName, ProviderSettings},
        token::{self, Expected},
    },
    sim::PeerCertificates,
};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const SUBJECT_TOKEN_TYPES: [&str; 2] = [
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
];

impl GcpSim {
    /// Returns the service at `sts.googleapis.com`.
    pub fn sts_router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/v1/token", post(exchange))
            .fallback(unknown_path)
            .with_state(self)
    }
}

pub(super) async fn unknown_path() -> RpcRefusal {
    RpcRefusal::new(StatusCode::NOT_FOUND, "NOT_FOUND", "Method not found.")
}

async fn exchange(
    State(sim): State<Arc<GcpSim>>,
    peer: Option<Extension<PeerCertificates>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    sim.count();
    if let Some(mutation) = sim.mutations.take()
        && let Some(response) = mutate(mutation).await
    {
        return response;
    }
    let peer = peer.map(|Extension(peer)| peer);
    match answer(&sim, peer.as_ref(), (&headers, &body)).await {
        Ok(body) => Json(body).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn answer(
    sim: &GcpSim,
    peer: Option<&PeerCertificates>,
    (headers, body): (&HeaderMap, &[u8]),
) -> Result<Value, OauthRefusal> {
    let fields = read_fields(headers, body)?;
    let request = Request::read(&fields)?;
    let name = ProviderName::parse(request.audience).map_err(|why| OauthRefusal::new(why.code(), why.to_string()))?;
    let Some(registered) = sim.target(&name) else {
        return Err(OauthRefusal::new(
            "invalid_target",
            "The target service indicated by the \"audience\" parameters is invalid. This might either be because \
             the pool or provider is disabled or deleted or because it doesn't exist.",
        ));
    };
    let now = sim.clock.now();
    let (claims, expires) = match (&registered.provider.settings().x509, request.form) {
        (None, Form::Token) => told_by_a_token(sim, &registered, request.subject_token).await?,
        (Some(store), Form::Certificates) => {
            let certified = certificate::verify(request.subject_token, peer, store, now)?;
            (certified.assertion, certified.ends)
        }
        // The text is unverified.
        (None, Form::Certificates) | (Some(_), Form::Token) => {
            return Err(invalid(
                "The subject token type is not one of the provider's.".to_owned(),
            ));
        }
    };
    let mapped = registered
        .trust
        .evaluate(&claims)
        .map_err(|why| OauthRefusal::new(why.code(), why.to_string()))?;
    let life = token::federated_life_seconds(expires, now);
    let identity = Identity {
        project: name.project(),
        pool: name.pool().to_owned(),
        subject: mapped.subject,
        groups: mapped.groups,
        attributes: mapped.attributes,
    };
    let issued = Issued {
        holder: Holder::Federated(identity),
        scopes: request.scope.split_whitespace().map(str::to_owned).collect(),
        expires: now + Duration::from_secs(life),
    };
    let access_token = sim.issue(issued).map_err(|why| OauthRefusal {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        error: "internal_failure",
        description: why.to_string(),
    })?;
    Ok(json!({
        "access_token": access_token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": life,
    }))
}

/// Returns the claims of a token that is genuine, timely and for this provider, and when it ends.
async fn told_by_a_token(sim: &GcpSim, registered: &Registered, token: &str) -> Result<(Value, u64), OauthRefusal> {
    let claims = verified_claims(sim, registered, token).await?;
    let settings = registered.provider.settings();
    let expected = Expected {
        issuer: &settings.issuer_uri,
        allowed_audiences: &settings.allowed_audiences,
        provider: registered.provider.name(),
    };
    token::judge_claims(&claims, &expected, sim.clock.now())
        .map_err(|why| OauthRefusal::new(why.code(), why.to_string()))?;
    let expires = claims.get("exp").and_then(Value::as_u64).unwrap_or_default();
    Ok((claims, expires))
}

/// Returns the token's claims once its signature is verified with the issuer's keys.
async fn verified_claims(sim: &GcpSim, registered: &Registered, token: &str) -> Result<Value, OauthRefusal> {
    let settings = registered.provider.settings();
    let refuse = |why: token::Refusal| OauthRefusal::new(why.code(), why.to_string());
    // Texts for malformed tokens and failed signatures are unverified.
    let unverified = signature::read_unverified(token)
        .ok_or_else(|| OauthRefusal::new("invalid_grant", "Unable to parse the ID Token."))?;
    let key = token::judge_header(&unverified.header).map_err(refuse)?;
    token::judge_issuer(&unverified.claims, &settings.issuer_uri).map_err(refuse)?;
    let jwks = published_keys(sim, settings).await?;
    signature::verify(token, &jwks, key.key_id, key.algorithm).map_err(|why| match why {
        signature::NotVerified::NoKeySet => unreachable_issuer(),
        signature::NotVerified::UnknownKey
        | signature::NotVerified::Decoding(_)
        | signature::NotVerified::Key(_)
        | signature::NotVerified::Signature => OauthRefusal::new("invalid_grant", "Invalid signature for ID token"),
    })
}

/// Returns the uploaded keys, or fetches the issuer's.
async fn published_keys(sim: &GcpSim, settings: &ProviderSettings) -> Result<Value, OauthRefusal> {
    if let Some(text) = &settings.jwks_json {
        return serde_json::from_str(text).ok().ok_or_else(unreachable_issuer);
    }
    let documents = sim.documents.fetch(&settings.issuer_uri).await;
    let documents = documents.ok().ok_or_else(unreachable_issuer)?;
    if documents.discovery.get("issuer").and_then(Value::as_str) == Some(&settings.issuer_uri) {
        Ok(documents.jwks)
    } else {
        Err(unreachable_issuer())
    }
}

fn unreachable_issuer() -> OauthRefusal {
    OauthRefusal::new("invalid_grant", "Error connecting to the given credential's issuer.")
}

/// Returns the fields in their snake_case names, whichever of the two forms the body has.
fn read_fields(headers: &HeaderMap, body: &[u8]) -> Result<BTreeMap<String, String>, OauthRefusal> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match kind.as_str() {
        "application/x-www-form-urlencoded" => {
            let mut fields = BTreeMap::new();
            for (name, value) in url::form_urlencoded::parse(body) {
                if fields.insert(name.to_string(), value.into_owned()).is_some() {
                    return Err(invalid(format!("The parameter {name} is given more than once.")));
                }
            }
            Ok(fields)
        }
        "application/json" => {
            let document: BTreeMap<String, Value> =
                serde_json::from_slice(body).map_err(|why| invalid(format!("Invalid JSON payload: {why}")))?;
            let text = |value: Value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            Ok(document
                .into_iter()
                .map(|(name, value)| (snake_case(&name), text(value)))
                .collect())
        }
        other => Err(invalid(format!("The content type {other} is not supported."))),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn invalid(description: String) -> OauthRefusal {
    OauthRefusal::new("invalid_request", description)
}

/// The fields of an exchange that the simulator acts on; texts of the refusals here are unverified.
struct Request<'a> {
    audience: &'a str,
    scope: &'a str,
    subject_token: &'a str,
    form: Form,
}

/// What kind of subject token is presented.
#[derive(Clone, Copy)]
enum Form {
    Certificates,
    Token,
}

impl<'a> Request<'a> {
    fn read(fields: &'a BTreeMap<String, String>) -> Result<Self, OauthRefusal> {
        let field = |name: &str| match fields.get(name) {
            Some(value) if !value.is_empty() => Ok(value.as_str()),
            Some(_) | None => Err(invalid(format!("Missing required parameter: {name}"))),
        };
        let found = field("grant_type")?;
        if found != GRANT_TYPE {
            return Err(OauthRefusal::new(
                "unsupported_grant_type",
                format!("Unsupported grant type {found}, expected {GRANT_TYPE}"),
            ));
        }
        let found = field("requested_token_type")?;
        if found != ACCESS_TOKEN {
            return Err(invalid(format!("Unsupported requested token type {found}")));
        }
        let found = field("subject_token_type")?;
        let form = match found {
            TOKEN_TYPE => Form::Certificates,
            token if SUBJECT_TOKEN_TYPES.contains(&token) => Form::Token,
            other => return Err(invalid(format!("Unsupported subject token type {other}"))),
        };
        for name in ["actor_token", "actor_token_type"] {
            if fields.contains_key(name) {
                return Err(invalid(format!("This simulator does not support the parameter {name}")));
            }
        }
        if let Some(options) = fields.get("options") {
            judge_options(options)?;
        }
        Ok(Self {
            audience: field("audience")?,
            scope: field("scope")?,
            subject_token: field("subject_token")?,
            form,
        })
    }
}

/// Takes the JSON plain or percent-encoded once more: Google's Python library does the one, its Rust library the other.
fn judge_options(text: &str) -> Result<(), OauthRefusal> {
    let decoded = || {
        let (name, _) = url::form_urlencoded::parse(text.as_bytes()).next()?;
        serde_json::from_str(&name).ok()
    };
    let options: BTreeMap<String, Value> = serde_json::from_str(text)
        .ok()
        .or_else(decoded)
        .ok_or_else(|| invalid("The parameter options is no JSON object.".to_owned()))?;
    for (name, value) in options {
        let project = value.as_str().filter(|_| name == "userProject");
        match project {
            Some(project) if project.chars().count() <= USER_PROJECT_CHARACTERS => {}
            Some(_) => return Err(invalid("The option userProject is too long.".to_owned())),
            None => return Err(invalid(format!("This simulator does not support the option {name}"))),
        }
    }
    Ok(())
}
