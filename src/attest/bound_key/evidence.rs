//! The evidence that a machine makes with its key: one token for each request.
//!
//! It must never live for longer than it takes to be sent.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    clock::unix_seconds,
    jose::{SigningFailed, SigningKey, sign},
    secret::{NoRandomness, Random, Secret, hex},
};

/// The `typ` of the evidence, so that nothing else that the key signs is taken for it.
pub const TYP: &str = "cambio-bound-key+jwt";

/// The longest that evidence may live.
pub const MAX_LIFE: Duration = Duration::from_mins(5);

/// Returns the issuer of the evidence of an attestor's machines.
pub fn issuer(attestor: &str) -> String {
    format!("urn:cambio:bound-key:{attestor}")
}

/// Makes evidence with a machine's key; `issuer` and `audience` are what the registration answered.
///
/// # Errors
/// Fails where the platform gives no randomness, or the library does not sign.
pub fn make(
    key: &SigningKey,
    (issuer, audience): (&str, &str),
    random: &dyn Random,
    now: SystemTime,
) -> Result<Secret, EvidenceNotMade> {
    let mut token_id = [0; 16];
    random.fill(&mut token_id)?;
    let claims = json!({
        "iss": issuer,
        "aud": audience,
        "iat": unix_seconds(now),
        "exp": unix_seconds(now + LIFE),
        "jti": hex(&token_id),
    });
    signed(key, &claims)
}

/// Signs claims as evidence is signed.
pub(super) fn signed(key: &SigningKey, claims: &Value) -> Result<Secret, EvidenceNotMade> {
    let header = json!({ "alg": "ES256", "kid": key.thumbprint().to_string(), "typ": TYP });
    let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let input = format!("{}.{}", encode(&header), encode(claims));
    let signature = key.sign(input.as_bytes())?;
    Ok(Secret::new(sign::assemble(input, &signature)))
}

/// Evidence could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceNotMade {
    /// The platform gave no randomness.
    #[error("no random id for the evidence")]
    Random(#[from] NoRandomness),
    /// The library failed.
    #[error("the evidence was not signed")]
    Sign(#[from] SigningFailed),
}

/// Enough for a request that waits, and for clocks that differ.
const LIFE: Duration = Duration::from_mins(2);
