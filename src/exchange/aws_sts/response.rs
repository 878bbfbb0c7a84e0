//! What STS answers: credentials, or one of its errors in our words with its own code.
//!
//! Never passes on credentials of another role or session than was asked for, nor longer ones.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use aws_sdk_sts::{
    error::{DisplayErrorContext, ProvideErrorMetadata},
    operation::assume_role_with_web_identity::{AssumeRoleWithWebIdentityError, AssumeRoleWithWebIdentityOutput},
};
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::{DateTime, body::SdkBody};
use http_body_util::LengthLimitError;

use super::request::{ANSWER_BYTES, Failure, TOTAL};
use crate::{
    clock,
    exchange::{CloudCredential, CloudRefusal, credential::Field},
    secret::Secret,
};

const CLOUD: &str = "AWS STS";
/// LIMITS.md: an audit field has at most 512 bytes.
const MESSAGE_BYTES: usize = 512;
/// How much longer than asked credentials may seem, for clocks that differ. Ours; clouds.md 1.2 has 5 min.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(5);
/// Codes by which AWS services ask to be called less often. Source: clouds.md 1.3 `[S]` and the SDK's own list.
const THROTTLING: [&str; 9] = [
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];
/// The one client error that is the identity provider's unavailability. Source: clouds.md 1.3 `[D]`.
const PROVIDER_UNREACHABLE: &str = "IDPCommunicationError";

/// What the answer must be about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    /// `arn:<partition>:sts::<account>:assumed-role/<role>/<session>`.
    pub(super) assumed_role_arn: &'a str,
    /// How long the credentials were to last.
    pub(super) duration: Duration,
}

/// Takes the credentials out of an answer, in the shape that AWS SDKs read from a `credential_process`.
///
/// # Errors
/// `Garbage` where a part is missing, or for another role or session, or longer than asked.
pub(super) fn credential(
    output: &AssumeRoleWithWebIdentityOutput,
    expected: Expected<'_>,
    now: SystemTime,
) -> Result<CloudCredential, CloudRefusal> {
    let credentials = output
        .credentials()
        .ok_or_else(|| garbage("no credentials", "credentials"))?;
    let arn = output
        .assumed_role_user()
        .map_or("none", aws_sdk_sts::types::AssumedRoleUser::arn);
    if arn != expected.assumed_role_arn {
        return Err(garbage(
            &format!("credentials of `{}`", excerpt(arn)),
            "credentials of the role asked for",
        ));
    }
    let key = credentials.access_key_id();
    let is_key =
        (16..=128).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_key || credentials.secret_access_key().is_empty() || credentials.session_token().is_empty() {
        return Err(garbage(
            "an incomplete credential",
            "access key, secret key and session token",
        ));
    }
    let expires = moment(credentials.expiration())
        .filter(|expires| *expires > now)
        .ok_or_else(|| garbage("credentials that have expired", "an expiration in the future"))?;
    if expires > now + expected.duration + CLOCK_TOLERANCE {
        let found = format!("credentials until {}", clock::rfc3339(expires));
        return Err(garbage(&found, "credentials no longer than asked for"));
    }
    let secret = |text: &str| Field::Secret(Secret::new(text));
    let fields = vec![
        ("Version", Field::Number(1)),
        ("AccessKeyId", secret(key)),
        ("SecretAccessKey", secret(credentials.secret_access_key())),
        ("SessionToken", secret(credentials.session_token())),
        ("Expiration", Field::Text(clock::rfc3339(expires))),
    ];
    Ok(CloudCredential::new(fields, expires))
}

fn moment(date: &DateTime) -> Option<SystemTime> {
    clock::from_unix_seconds(u64::try_from(date.secs()).ok()?)
}

/// Puts a failed call into our words.
pub(super) fn refusal(failure: &Failure) -> CloudRefusal {
    match failure {
        Failure::ServiceError(error) => answered(error.err(), error.raw()),
        Failure::ResponseError(_) if is_oversized(failure) => CloudRefusal::Oversized {
            cloud: CLOUD,
            limit_bytes: ANSWER_BYTES,
        },
        Failure::ResponseError(error) if error.raw().status().is_success() => garbage(
            "an answer that breaks off or is not XML",
            "AssumeRoleWithWebIdentityResponse",
        ),
        Failure::TimeoutError(_) => unavailable(&format!("no answer within {} s", TOTAL.as_secs())),
        Failure::ConstructionFailure(_) => CloudRefusal::Preflight {
            cloud: CLOUD,
            code: "ValidationError".to_owned(),
            problem: excerpt(&DisplayErrorContext(failure).to_string()),
        },
        // `DispatchFailure`, a broken error answer, and what a newer SDK may add.
        _ => unavailable(&DisplayErrorContext(failure).to_string()),
    }
}

fn answered(error: &AssumeRoleWithWebIdentityError, raw: &Response<SdkBody>) -> CloudRefusal {
    let status = raw.status().as_u16();
    let message = excerpt(error.message().unwrap_or_default());
    match error.code() {
        _ if raw.status().is_success() => garbage("an answer that is not XML", "AssumeRoleWithWebIdentityResponse"),
        Some(code) if status == 429 || THROTTLING.contains(&code) => CloudRefusal::Throttled {
            cloud: CLOUD,
            code: excerpt(code),
            retry_after: retry_after(raw),
        },
        Some(code) if status >= 500 || code == PROVIDER_UNREACHABLE => {
            unavailable(&format!("{code} (HTTP {status}): {message}"))
        }
        Some(code) => CloudRefusal::Refused {
            cloud: CLOUD,
            code: excerpt(code),
            message,
            status,
        },
        None if status == 429 => CloudRefusal::Throttled {
            cloud: CLOUD,
            code: "429".to_owned(),
            retry_after: retry_after(raw),
        },
        None if status >= 500 => unavailable(&format!("HTTP {status}")),
        None => garbage(&format!("HTTP {status} without an error code"), "ErrorResponse"),
    }
}

fn retry_after(raw: &Response<SdkBody>) -> Option<Duration> {
    raw.headers().get("retry-after")?.parse().ok().map(Duration::from_secs)
}

fn is_oversized(failure: &Failure) -> bool {
    let mut cause = failure.source();
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn garbage(found: &str, expected: &'static str) -> CloudRefusal {
    CloudRefusal::Garbage {
        cloud: CLOUD,
        found: found.to_owned(),
        expected,
    }
}

fn unavailable(reason: &str) -> CloudRefusal {
    CloudRefusal::Unavailable {
        cloud: CLOUD,
        reason: excerpt(reason),
    }
}

/// Cuts to 512 bytes and escapes what could forge a line of a log (TM-36).
fn excerpt(text: &str) -> String {
    let mut excerpt = String::new();
    for character in text.chars() {
        let is_bidi = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let written: String = if character.is_control() || is_bidi {
            character.escape_unicode().collect()
        } else {
            character.into()
        };
        if excerpt.len() + written.len() > MESSAGE_BYTES {
            break;
        }
        excerpt.push_str(&written);
    }
    excerpt
}
