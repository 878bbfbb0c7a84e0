//! GetWebIdentityToken in STS's query protocol, and GetCallerIdentity, for whoever signs with credentials given out here.
//!
//! It never signs a token for a question whose signature does not hold.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

use super::{AwsAccountSim, Credentials, Federation, OWN};
use crate::{
    clock,
    sim::sigv4::{SignatureRefused, Signed},
};

/// Returns the service's routes.
pub(super) fn router(account: Arc<AwsAccountSim>) -> Router {
    Router::new().route("/", post(answer)).with_state(account)
}

/// What STS refuses with.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

type Form = BTreeMap<String, String>;

async fn answer(State(account): State<Arc<AwsAccountSim>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match axum::body::to_bytes(body, MAX_BODY_BYTES).await {
        Ok(body) => body,
        Err(failed) => return refusal("ValidationError", StatusCode::BAD_REQUEST, failed.to_string()).into_response(),
    };
    match acted(&account, &parts, &body) {
        Ok((action, result)) => {
            let namespace = "https://sts.amazonaws.com/doc/2011-06-15/";
            let answer = format!(
                "<{action}Response xmlns=\"{namespace}\"><{action}Result>{result}</{action}Result>\
                 <ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata></{action}Response>"
            );
            ([(header::CONTENT_TYPE, "text/xml")], answer).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn acted(account: &AwsAccountSim, parts: &Parts, body: &Bytes) -> Result<(&'static str, String), Refusal> {
    let form: Form = url::form_urlencoded::parse(body).into_owned().collect();
    let caller = caller(account, parts, body)?;
    match form.get("Action").map(String::as_str) {
        Some("GetWebIdentityToken") => token(account, &caller, &form).map(|result| ("GetWebIdentityToken", result)),
        Some("GetCallerIdentity") => {
            let instance = &caller.instance;
            let arn = format!(
                "arn:aws:sts::{}:assumed-role/{}/{}",
                instance.account, instance.role, instance.id
            );
            let (id, number) = (format!("AROAEXAMPLE0123456789:{}", instance.id), &instance.account);
            let result = format!("<Arn>{arn}</Arn><UserId>{id}</UserId><Account>{number}</Account>");
            Ok(("GetCallerIdentity", result))
        }
        other => Err(refusal(
            "InvalidAction",
            StatusCode::BAD_REQUEST,
            format!("Could not find operation {}", other.unwrap_or_default()),
        )),
    }
}

/// Returns whose credentials signed the question.
fn caller(account: &AwsAccountSim, parts: &Parts, body: &[u8]) -> Result<Credentials, Refusal> {
    let forbidden = |code: &'static str, text: &str| refusal(code, StatusCode::FORBIDDEN, text.to_owned());
    let signed = Signed::read(parts, body, "sts")?;
    let held = account.state().credentials.get(signed.access_key_id()).cloned();
    let held = held.filter(|held| signed.session_token() == Some(&held.session_token));
    let held = held.ok_or_else(|| {
        let text = "The security token included in the request is invalid.";
        forbidden("InvalidClientTokenId", text)
    })?;
    signed.verify(&held.secret_key)?;
    let now = account.clock.now();
    if now >= held.expires {
        let text = "The security token included in the request is expired";
        return Err(forbidden("ExpiredToken", text));
    }
    let (from, until) = signed.valid_within(SKEW);
    if now < from || now > until {
        let text = "Signature expired or not yet current";
        return Err(forbidden("SignatureDoesNotMatch", text));
    }
    Ok(held)
}

fn token(account: &AwsAccountSim, caller: &Credentials, form: &Form) -> Result<String, Refusal> {
    if account.state().federation == Federation::Disabled {
        let text = "Outbound web identity federation is not enabled for this account.".to_owned();
        let code = "OutboundWebIdentityFederationDisabledException";
        return Err(refusal(code, StatusCode::FORBIDDEN, text));
    }
    let audiences = members(form, "Audience.member.", "");
    if audiences.is_empty() || audiences.len() > MAX_AUDIENCES || audiences.iter().any(String::is_empty) {
        return Err(invalid("Audience", "expected 1 to 10 values"));
    }
    let life = life(account, caller, form)?;
    let audience = match audiences.as_slice() {
        [one] => json!(one),
        several => json!(several),
    };
    let mut claims = account.claims_of(&caller.instance, &audience, life);
    let tags = request_tags(form)?;
    if let Some(own) = claims.get_mut(OWN).and_then(Value::as_object_mut)
        && !tags.is_empty()
    {
        own.insert("request_tags".to_owned(), json!(tags));
    }
    let signed = match form.get("SigningAlgorithm").map(String::as_str) {
        Some("RS256") => account.sign(&claims),
        Some("ES384") => account.sign_es384(&claims),
        _other => return Err(invalid("SigningAlgorithm", "expected RS256 or ES384")),
    };
    let signed =
        signed.map_err(|failed| refusal("InternalFailure", StatusCode::INTERNAL_SERVER_ERROR, failed.to_string()))?;
    let expires = clock::rfc3339(account.clock.now() + life);
    Ok(format!(
        "<WebIdentityToken>{signed}</WebIdentityToken><Expiration>{expires}</Expiration>"
    ))
}

fn life(account: &AwsAccountSim, caller: &Credentials, form: &Form) -> Result<Duration, Refusal> {
    let seconds = match form.get("DurationSeconds") {
        None => super::LIFE.as_secs(),
        Some(text) => text.parse().unwrap_or_default(),
    };
    if !(60..=3600).contains(&seconds) {
        return Err(invalid("DurationSeconds", "expected 60 to 3600"));
    }
    let life = Duration::from_secs(seconds);
    if account.clock.now() + life > caller.expires {
        let text = "The requested token duration would extend the session beyond its original expiration.".to_owned();
        let code = "SessionDurationEscalationException";
        return Err(refusal(code, StatusCode::FORBIDDEN, text));
    }
    Ok(life)
}

fn request_tags(form: &Form) -> Result<BTreeMap<String, String>, Refusal> {
    let keys = members(form, "Tags.member.", ".Key");
    let values = members(form, "Tags.member.", ".Value");
    if keys.len() > MAX_TAGS || keys.len() != values.len() {
        return Err(invalid("Tags", "expected at most 50 keys, each with its value"));
    }
    Ok(keys.into_iter().zip(values).collect())
}

/// Returns the members of a list in the order of their numbers, up to the first that is missing.
fn members(form: &Form, before: &str, after: &str) -> Vec<String> {
    (1..=form.len())
        .map_while(|number| form.get(&format!("{before}{number}{after}")).cloned())
        .collect()
}

fn invalid(parameter: &str, expected: &str) -> Refusal {
    let text = format!("1 validation error detected: Value at '{parameter}' failed to satisfy constraint: {expected}");
    refusal("ValidationError", StatusCode::BAD_REQUEST, text)
}

fn refusal(code: &'static str, status: StatusCode, message: String) -> Refusal {
    Refusal { status, code, message }
}

impl From<SignatureRefused> for Refusal {
    fn from(refused: SignatureRefused) -> Self {
        let (code, status) = match refused {
            SignatureRefused::Incomplete(_) => ("IncompleteSignature", StatusCode::BAD_REQUEST),
            SignatureRefused::Mismatch(_) => ("SignatureDoesNotMatch", StatusCode::FORBIDDEN),
            SignatureRefused::Missing => ("MissingAuthenticationToken", StatusCode::FORBIDDEN),
        };
        refusal(code, status, refused.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let message = self.message.replace('&', "&amp;").replace('<', "&lt;");
        let body = format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>{}</Code><Message>{message}</Message></Error><RequestId>{REQUEST_ID}</RequestId></ErrorResponse>",
            self.code
        );
        (self.status, [(header::CONTENT_TYPE, "text/xml")], body).into_response()
    }
}

const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000001";
const MAX_BODY_BYTES: usize = 64 * 1024;
const SKEW: Duration = Duration::from_mins(15);

// STS API Reference, GetWebIdentityToken.
const MAX_AUDIENCES: usize = 10;
const MAX_TAGS: usize = 50;
