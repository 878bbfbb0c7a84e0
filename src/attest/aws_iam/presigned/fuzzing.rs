//! What must hold of every question that may be sent, and of every answer that is believed.
//!
//! It exists in tests and in builds for fuzzing only, because the two readers are nobody else's to call.

use std::{error::Error, time::SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use super::{
    answer::Answer,
    endpoint,
    request::{Request, parted},
};
use crate::clock::parse_rfc3339;

/// Takes the input for evidence, for the URL in it, and for an answer.
///
/// # Panics
/// Panics where a property does not hold.
pub fn hold(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        question(text);
    }
    // Nothing that changes one bit would get through base64.
    question(&evidence(input));
    for partition in ["aws", "aws-cn"] {
        answer(input, partition);
    }
}

/// Returns evidence for a URL, by a challenge that nobody looks at here.
pub(super) fn evidence(url: &[u8]) -> String {
    format!("cambio-aws-v1.challenge.{}", BASE64_URL_SAFE_NO_PAD.encode(url))
}

/// The moment at which the samples are fresh.
pub(super) fn now() -> SystemTime {
    parse_rfc3339("2026-01-16T14:40:00Z").unwrap_or(SystemTime::UNIX_EPOCH)
}

/// What is sent is written anew, in one spelling, to a host that is known; and it reads the same as what came in.
fn question(text: &str) {
    let read = match Request::read(text, now()) {
        Ok(read) => read,
        Err(refused) => {
            assert_eq!(refused.is_of_form(), parted(text).is_err());
            return can_be_logged(&refused);
        }
    };
    assert!(text.len() <= 4096);
    let host = &read.endpoint.host;
    assert_eq!(endpoint::of_host(host).as_ref(), Some(&read.endpoint));
    let sent = &read.path_and_query;
    assert!(sent.starts_with("/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&"));
    assert!(sent.ends_with("&X-Amz-SignedHeaders=host%3Bx-cambio-challenge"));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/?&=%-._~".contains(&byte);
    assert!(sent.bytes().all(plain), "{sent}");
    assert!(sent.matches('&').count() <= 8 && sent.matches('?').count() == 1);

    let again = evidence(format!("https://{host}{sent}").as_bytes());
    // Written anew, each sign may take three bytes where one came in.
    if again.len() <= 4096 {
        let again = Request::read(&again, now());
        assert!(
            again.as_ref().is_ok_and(|again| again.path_and_query == *sent),
            "{again:?}"
        );
    }
}

/// An answer is believed as it stands, and only where it does not contradict itself.
fn answer(bytes: &[u8], partition: &str) {
    let read = match Answer::read(bytes, partition) {
        Ok(read) => read,
        Err(refused) => return can_be_logged(&refused),
    };
    let whole: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = |name: &str| whole.pointer(&format!("/GetCallerIdentityResponse/GetCallerIdentityResult/{name}"));
    let text = |name: &str| text(name).and_then(Value::as_str).unwrap_or_default();
    assert_eq!(read.arn.to_string(), text("Arn"));
    assert_eq!(read.arn.account(), text("Account"));
    assert_eq!(read.arn.partition(), partition);
    assert!(text("UserId").starts_with(&read.unique_id));
    assert!(read.unique_id.len() <= 128 && !read.unique_id.is_empty());
}

/// Demands that an error, with all that it stems from, is bounded, and breaks no line of a log (T-13).
fn can_be_logged(error: &dyn Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        assert!(text.len() <= 2048 && !text.contains(char::is_control), "{text:?}");
        next = error.source();
    }
}
