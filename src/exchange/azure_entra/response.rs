//! What comes back from Entra: a token, or a refusal with the cloud's own code and text.
//!
//! Never branches on a text, and never shows more of an answer than a refusal's text.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::{
    clock,
    exchange::{CloudCredential, CloudRefusal, azure_entra::CLOUD, credential::Field},
    secret::Secret,
};

/// The shortest life of an access token: 60 minutes. From memory: unverified.
pub(super) const SHORTEST_LIFE: Duration = Duration::from_hours(1);

/// The longest life of an access token that we take: 90 minutes. From memory: unverified.
pub(super) const LONGEST_LIFE: Duration = Duration::from_mins(90);

/// Most bytes of a text that is shown: an audit field (TM-36).
const SHOWN_BYTES: usize = 512;

/// An answer as it came.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) body: Vec<u8>,
}

/// A token response without its token, which azure_identity reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) life: Duration,
}

#[derive(Deserialize)]
struct TokenResponse {
    token_type: String,
    expires_in: u64,
    #[expect(dead_code, reason = "azure_identity reads it; here it must only be there")]
    access_token: String,
}

#[derive(Deserialize)]
struct ErrorResponse {
    error: String,
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u32>,
}

impl ErrorResponse {
    /// `AADSTS700213`; the OAuth `error` where there is no number.
    fn code(&self) -> String {
        match self.error_codes.first() {
            Some(number) => format!("AADSTS{number}"),
            None => shown(&self.error),
        }
    }

    /// The description without its code and without trace, correlation and time, which blanks or line breaks separate.
    fn message(&self) -> String {
        let prefix = format!("{}: ", self.code());
        let text = self.error_description.as_str();
        let text = text.strip_prefix(prefix.as_str()).unwrap_or(text);
        let text = text.split_once("Trace ID: ").map_or(text, |(before, _trace)| before);
        shown(text.trim())
    }
}

/// Reads an answer.
pub(super) fn read(answer: &Answer, now: SystemTime) -> Result<Granted, CloudRefusal> {
    match answer.status {
        200 => granted(&answer.body),
        429 => Err(throttled(answer, now)),
        503 if answer.retry_after.is_some() => Err(throttled(answer, now)),
        500..=599 => Err(CloudRefusal::Unavailable {
            cloud: CLOUD,
            reason: match error(&answer.body) {
                Some(error) => format!("status {} with {}", answer.status, error.code()),
                None => format!("status {}", answer.status),
            },
        }),
        400..=499 => Err(refused(answer)),
        status => Err(garbage(format!("status {status}"), "status 200 or an OAuth error")),
    }
}

/// Makes the credential of a token that was granted `now`.
pub(super) fn credential(token: &str, granted: Granted, now: SystemTime) -> Result<CloudCredential, CloudRefusal> {
    if token.is_empty() {
        return Err(garbage("an empty access token".to_owned(), "a token response"));
    }
    let expires = now
        .checked_add(granted.life)
        .ok_or_else(|| garbage(format!("a token of {:?}", granted.life), "at most 90 minutes"))?;
    let token = Secret::new(token);
    let fields = vec![
        ("access_token", Field::Secret(token.clone())),
        ("token_type", Field::Text("Bearer".to_owned())),
        ("expires_in", Field::SecondsLeft),
        ("expires_on", Field::Number(clock::unix_seconds(expires))),
    ];
    Ok(CloudCredential::new(fields, expires).with_bearer(token))
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

fn granted(body: &[u8]) -> Result<Granted, CloudRefusal> {
    let token: TokenResponse = serde_json::from_slice(body).map_err(|why| {
        garbage(
            format!("status 200 without a token response ({:?})", why.classify()),
            "a token response",
        )
    })?;
    if !token.token_type.eq_ignore_ascii_case("Bearer") {
        return Err(garbage(
            format!("token type `{}`", shown(&token.token_type)),
            "`Bearer`",
        ));
    }
    let life = Duration::from_secs(token.expires_in);
    // A longer token would outlive what was permitted.
    if life.is_zero() || life > LONGEST_LIFE {
        return Err(garbage(format!("a token of {} s", token.expires_in), "1 to 5400 s"));
    }
    Ok(Granted { life })
}

fn throttled(answer: &Answer, now: SystemTime) -> CloudRefusal {
    let status = || format!("status {}", answer.status);
    CloudRefusal::Throttled {
        cloud: CLOUD,
        code: error(&answer.body).map_or_else(status, |error| error.code()),
        retry_after: answer.retry_after.as_deref().and_then(|text| pause(text, now)),
    }
}

fn refused(answer: &Answer) -> CloudRefusal {
    match error(&answer.body) {
        Some(error) => CloudRefusal::Refused {
            cloud: CLOUD,
            code: error.code(),
            message: error.message(),
            status: answer.status,
        },
        None => garbage(
            format!("status {} without an OAuth error", answer.status),
            "an OAuth error",
        ),
    }
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn pause(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = azure_core::time::parse_rfc7231(text).ok()?;
    let until = clock::from_unix_seconds(u64::try_from(until.unix_timestamp()).ok()?)?;
    Some(until.duration_since(now).unwrap_or_default())
}

fn error(body: &[u8]) -> Option<ErrorResponse> {
    serde_json::from_slice(body).ok()
}

fn garbage(found: String, expected: &'static str) -> CloudRefusal {
    CloudRefusal::Garbage {
        cloud: CLOUD,
        found,
        expected,
    }
}
