//! What Roles Anywhere answers: credentials, or one of its exceptions in our words with its own code.
//!
//! Never passes on credentials of another role or session than was asked for, nor longer ones.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::CLOUD;
use crate::{
    clock,
    exchange::{CloudCredential, CloudRefusal, aws::arn::RoleArn, credential::Field},
    secret::Secret,
};

/// LIMITS.md: an audit field has at most 512 bytes.
const SHOWN_BYTES: usize = 512;
/// How much longer than asked credentials may seem, for clocks that differ. Ours; the skew of a signature is 5 min `[M]`.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(5);
/// Codes by which AWS services ask to be called less often.
const THROTTLING: [&str; 4] = [
    "RequestThrottled",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `X-Amzn-ErrorType`.
    pub(super) error_type: Option<String>,
    /// Seconds of Retry-After; a date is not read.
    pub(super) retry_after: Option<u64>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Tells whether a second try may help.
    pub(super) fn is_transient(&self) -> bool {
        (500..=599).contains(&self.status) && self.pause().is_none()
    }

    fn error(&self) -> ErrorBody {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns how long the service asks to be left alone: in the header, or in the body (clouds.md 2.5 [D botocore]).
    fn pause(&self) -> Option<Duration> {
        let seconds = self.retry_after.or_else(|| self.error().retry_after_seconds);
        seconds.map(Duration::from_secs)
    }
}

/// What the answer must be about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) role_arn: &'a str,
    pub(super) role: &'a RoleArn,
    /// What the session is called; without a name the service calls it by the serial number.
    pub(super) session_name: &'a str,
    /// How long the credentials were to last.
    pub(super) duration: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionResponse {
    credential_set: Vec<CredentialSet>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CredentialSet {
    assumed_role_user: AssumedRoleUser,
    credentials: Credentials,
    role_arn: String,
}

#[derive(Deserialize)]
struct AssumedRoleUser {
    arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: String,
}

/// restJson1: the code stands in the header, else in `__type` or `code` (clouds.md 2.5 [S deserializers.go]).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ErrorBody {
    #[serde(rename = "__type")]
    kind: Option<String>,
    code: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
    retry_after_seconds: Option<u64>,
}

/// Takes the credentials out of an answer, in the shape that AWS SDKs read from a `credential_process`.
///
/// # Errors
/// The service's refusal; `Garbage` where a part is missing, or for another role or session, or longer than asked.
pub(super) fn credential(
    answer: &Answer,
    expected: Expected<'_>,
    now: SystemTime,
) -> Result<CloudCredential, CloudRefusal> {
    let response: SessionResponse = serde_json::from_slice(success(answer)?)
        .map_err(|why| garbage(format!("status 201 with {:?} JSON", why.classify()), "a credentialSet"))?;
    let [set] = <[CredentialSet; 1]>::try_from(response.credential_set)
        .map_err(|sets| garbage(format!("{} credentials", sets.len()), "exactly one credential"))?;
    let Expected {
        role_arn,
        role: RoleArn {
            partition,
            account,
            name,
        },
        session_name,
        duration,
    } = expected;
    let arn = format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session_name}");
    if set.role_arn != role_arn || set.assumed_role_user.arn != arn {
        let found = format!("credentials of `{}`", shown(&set.assumed_role_user.arn));
        return Err(garbage(found, "credentials of the role and session asked for"));
    }
    let Credentials {
        access_key_id: key,
        secret_access_key,
        session_token,
        expiration,
    } = set.credentials;
    let is_key =
        (16..=128).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_key || secret_access_key.is_empty() || session_token.is_empty() {
        return Err(garbage(
            "an incomplete credential".to_owned(),
            "access key, secret key and session token",
        ));
    }
    let expires = clock::parse_rfc3339(&expiration)
        .ok_or_else(|| garbage(format!("the expiration `{}`", shown(&expiration)), "an RFC 3339 moment"))?;
    if expires <= now || expires > now + duration + CLOCK_TOLERANCE {
        let found = format!("credentials until {}", clock::rfc3339(expires));
        return Err(garbage(found, "credentials that end within what was asked for"));
    }
    let fields = vec![
        ("Version", Field::Number(1)),
        ("AccessKeyId", Field::Secret(Secret::new(key))),
        ("SecretAccessKey", Field::Secret(Secret::new(secret_access_key))),
        ("SessionToken", Field::Secret(Secret::new(session_token))),
        ("Expiration", Field::Text(clock::rfc3339(expires))),
    ];
    Ok(CloudCredential::new(fields, expires))
}

/// Returns the body of a success, else the service's refusal.
fn success(answer: &Answer) -> Result<&[u8], CloudRefusal> {
    let status = answer.status;
    let error = answer.error();
    // A header may carry a URL behind the code; a body's type may carry a namespace before it.
    let written = answer.error_type.clone().or(error.kind).or(error.code);
    let code = written.map(|code| {
        let code = code.split(':').next().unwrap_or_default();
        shown(code.rsplit('#').next().unwrap_or_default())
    });
    let message = shown(&error.message.unwrap_or_default());
    match (status, code) {
        (201, _) => Ok(&answer.body),
        (429, code) => Err(throttled(code.unwrap_or_else(|| "429".to_owned()), answer)),
        (_, Some(code)) if THROTTLING.contains(&&*code) => Err(throttled(code, answer)),
        (500..=599, code) if answer.pause().is_some() => {
            Err(throttled(code.unwrap_or_else(|| status.to_string()), answer))
        }
        (500..=599, code) => Err(CloudRefusal::Unavailable {
            cloud: CLOUD,
            reason: match code {
                Some(code) => format!("{code} (HTTP {status}): {message}"),
                None => format!("HTTP {status}"),
            },
        }),
        (400..=499, Some(code)) => Err(CloudRefusal::Refused {
            cloud: CLOUD,
            code,
            message,
            status,
        }),
        (_, _) => Err(garbage(
            format!("HTTP {status} without an error code"),
            "HTTP 201 or an exception",
        )),
    }
}

/// Returns foreign text with control and bidirectional characters escaped, cut to an audit field (TM-36).
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

fn throttled(code: String, answer: &Answer) -> CloudRefusal {
    CloudRefusal::Throttled {
        cloud: CLOUD,
        code,
        retry_after: answer.pause(),
    }
}

fn garbage(found: String, expected: &'static str) -> CloudRefusal {
    CloudRefusal::Garbage {
        cloud: CLOUD,
        found,
        expected,
    }
}
