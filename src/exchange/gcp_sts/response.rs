//! What comes back from Google: a token, or a refusal with Google's own code and text.
//!
//! Never branches on a text, and never shows more of an answer than a refusal's text.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    clock,
    exchange::{
        CloudCredential, CloudRefusal,
        credential::Field,
        gcp_sts::{
            CLOUD,
            rules::limits::{ACCESS_TOKEN_BYTES, ACCESS_TOKEN_SECONDS},
        },
    },
    secret::Secret,
};

/// LIMITS.md: the clock leeway, here between Google and us.
const LEEWAY: Duration = Duration::from_secs(30);
/// Most bytes of a text that is shown: an audit field (TM-36).
const SHOWN_BYTES: usize = 512;

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Seconds of Retry-After; a date is not read, the budget then waits as long as it does without.
    pub(super) retry_after: Option<u64>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Tells whether a second try may help.
    pub(super) fn is_transient(&self) -> bool {
        (500..=599).contains(&self.status) && self.retry_after.is_none()
    }
}

/// A token that Google gave.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) token: Secret,
    pub(super) expires: SystemTime,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    token_type: String,
    expires_in: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImpersonationResponse {
    access_token: String,
    expire_time: String,
}

/// The two shapes of Google's errors: OAuth, and `google.rpc.Status`.
#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorResponse {
    Oauth {
        error: String,
        #[serde(default)]
        error_description: String,
    },
    Rpc {
        error: RpcStatus,
    },
}

#[derive(Deserialize)]
struct RpcStatus {
    #[serde(default)]
    message: String,
    status: String,
}

impl ErrorResponse {
    fn code(&self) -> String {
        match self {
            Self::Oauth { error, .. } => shown(error),
            Self::Rpc { error } => shown(&error.status),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Oauth { error_description, .. } => shown(error_description),
            Self::Rpc { error } => shown(&error.message),
        }
    }
}

/// Reads the answer to a token exchange that was sent `now`.
pub(super) fn federated(answer: &Answer, now: SystemTime) -> Result<Granted, CloudRefusal> {
    let body = success(answer)?;
    let response: TokenResponse = read(body, "a token response")?;
    if !response.token_type.eq_ignore_ascii_case("Bearer") {
        let found = format!("the token type `{}`", shown(&response.token_type));
        return Err(garbage(found, "the token type `Bearer`"));
    }
    // google-auth takes the number also as a text.
    let seconds = match &response.expires_in {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match seconds {
        Some(seconds @ 1..=ACCESS_TOKEN_SECONDS) => granted(response.access_token, now + Duration::from_secs(seconds)),
        Some(_) | None => Err(garbage(
            format!("a token of {} s", shown(&response.expires_in.to_string())),
            "a token of 1 to 3600 s",
        )),
    }
}

/// Reads the answer to an impersonation.
pub(super) fn impersonated(answer: &Answer) -> Result<Granted, CloudRefusal> {
    let body = success(answer)?;
    let response: ImpersonationResponse = read(body, "accessToken and expireTime")?;
    let expires = clock::parse_rfc3339(&response.expire_time).ok_or_else(|| {
        let found = format!("the expireTime `{}`", shown(&response.expire_time));
        garbage(found, "an RFC 3339 moment")
    })?;
    granted(response.access_token, expires)
}

/// Makes the credential of a token that may live until `permitted`, give or take the two clocks' difference.
pub(super) fn credential(
    granted: Granted,
    permitted: SystemTime,
    now: SystemTime,
) -> Result<CloudCredential, CloudRefusal> {
    if granted.expires <= now || granted.expires > permitted + LEEWAY {
        let found = format!("a token until {}", clock::rfc3339(granted.expires));
        return Err(garbage(found, "a token that ends within what was asked for"));
    }
    let expires = granted.expires.min(permitted);
    let fields = vec![
        ("access_token", Field::Secret(granted.token.clone())),
        ("token_type", Field::Text("Bearer".to_owned())),
        ("expires_in", Field::SecondsLeft),
        ("expires_on", Field::Number(clock::unix_seconds(expires))),
    ];
    Ok(CloudCredential::new(fields, expires).with_bearer(granted.token))
}

/// Returns foreign text with control and bidirectional characters escaped, cut to an audit field.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        let plain = character == ' ' || character.is_ascii_graphic() || character.is_alphanumeric();
        let piece: String = if plain {
            character.to_string()
        } else {
            character.escape_unicode().collect()
        };
        if shown.len() + piece.len() > SHOWN_BYTES {
            break;
        }
        shown.push_str(&piece);
    }
    shown
}

pub(super) fn garbage(found: String, expected: &'static str) -> CloudRefusal {
    CloudRefusal::Garbage {
        cloud: CLOUD,
        found,
        expected,
    }
}

fn granted(token: String, expires: SystemTime) -> Result<Granted, CloudRefusal> {
    let legal = (1..=ACCESS_TOKEN_BYTES).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !legal {
        let found = format!("a token of {} bytes", token.len());
        return Err(garbage(found, "1 to 12288 bytes of printable ASCII"));
    }
    Ok(Granted {
        token: Secret::new(token),
        expires,
    })
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8], expected: &'static str) -> Result<T, CloudRefusal> {
    serde_json::from_slice(body).map_err(|why| garbage(format!("status 200 with {:?} JSON", why.classify()), expected))
}

/// Returns the body of a success, else Google's refusal.
fn success(answer: &Answer) -> Result<&[u8], CloudRefusal> {
    let error = || serde_json::from_slice::<ErrorResponse>(&answer.body).ok();
    let code = || error().map_or_else(|| format!("status {}", answer.status), |error| error.code());
    match answer.status {
        200 => Ok(&answer.body),
        429 => Err(throttled(code(), answer)),
        503 if answer.retry_after.is_some() => Err(throttled(code(), answer)),
        500..=599 => Err(CloudRefusal::Unavailable {
            cloud: CLOUD,
            reason: match error() {
                Some(error) => format!("status {} with {}", answer.status, error.code()),
                None => format!("status {}", answer.status),
            },
        }),
        400..=499 => Err(match error() {
            Some(error) => CloudRefusal::Refused {
                cloud: CLOUD,
                code: error.code(),
                message: error.message(),
                status: answer.status,
            },
            None => garbage(
                format!("status {} without an error", answer.status),
                "an error of Google's",
            ),
        }),
        status => Err(garbage(
            format!("status {status}"),
            "status 200 or an error of Google's",
        )),
    }
}

fn throttled(code: String, answer: &Answer) -> CloudRefusal {
    CloudRefusal::Throttled {
        cloud: CLOUD,
        code,
        retry_after: answer.retry_after.map(Duration::from_secs),
    }
}
