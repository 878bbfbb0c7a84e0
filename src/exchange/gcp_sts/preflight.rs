//! Holds our own SVID against Google's rules before anything is sent.
//!
//! Reads the token without verifying it: we signed it ourselves, and Google will verify it.

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::{
    exchange::{
        CloudRefusal,
        gcp_sts::{
            CLOUD,
            rules::{
                certificate, limits,
                provider::ProviderName,
                token::{self, Expected},
            },
        },
    },
    secret::Secret,
};

/// Refuses a subject that Google cannot map to `google.subject`.
pub(super) fn subject(subject: &str) -> Result<(), CloudRefusal> {
    // The code that Google gives for it is unverified.
    limits::judge_subject(subject).map_err(|why| refused("invalid_request", why.to_string()))
}

/// Refuses an SVID that Google would refuse whatever the provider maps.
pub(super) fn check(svid: &Secret, issuer: &str, provider: &ProviderName, now: SystemTime) -> Result<(), CloudRefusal> {
    let mut parts = svid.expose().split('.').map(read);
    let header = parts.next().flatten().unwrap_or_default();
    let claims = parts.next().flatten().unwrap_or_default();
    let expected = Expected {
        issuer,
        allowed_audiences: &[],
        provider,
    };
    token::judge(&header, &claims, &expected, now).map_err(|why| refused(why.code(), why.to_string()))?;
    subject(claims.get("sub").and_then(Value::as_str).unwrap_or_default())
}

/// Refuses a certificate that Google would refuse whatever the provider maps.
pub(super) fn certificate(der: &[u8], subject: &str, now: SystemTime) -> Result<(), CloudRefusal> {
    certificate::judge(der, now).map_err(|why| refused(why.code(), why.to_string()))?;
    self::subject(subject)
}

fn refused(code: &str, problem: String) -> CloudRefusal {
    CloudRefusal::Preflight {
        cloud: CLOUD,
        code: code.to_owned(),
        problem,
    }
}

fn read(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
