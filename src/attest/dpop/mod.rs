//! What a caller proves besides its evidence: a DPoP key (RFC 9449), or knowledge of an Idempotency-Key.
//!
//! It must never take a proof that is not about this request and this very token, and never keep the Idempotency-Key.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use super::{AttestRefusal, Possession};
use crate::{
    clock::unix_seconds,
    jose::{Claims, EmbeddedKeyProof, KeyMaterial, MAX_PROOF_BYTES, SigningFailed, SigningKey, excerpt, sign},
    secret::{Digest, NoRandomness, Random, Secret, hex},
};

/// Verifies a DPoP proof over `evidence` for a request with `method` to `htu`, our URL without query and fragment.
///
/// The proof's `jti` is not looked up here: it goes into the same ledger commit as the evidence.
///
/// # Errors
/// Refuses whatever is not an ES256 proof of at most 4 KiB, made within -60/+5 s, for this request and this token.
pub fn verify(
    proof: &str,
    method: &str,
    htu: &str,
    evidence: &Secret,
    now: SystemTime,
) -> Result<Possession, AttestRefusal> {
    if proof.len() > MAX_PROOF_BYTES {
        let found = proof.len();
        return Err(refused(format!(
            "found {found} bytes, expected at most {MAX_PROOF_BYTES}"
        )));
    }
    let parsed = EmbeddedKeyProof::parse(proof).map_err(|error| refused(chain(&error)))?;
    let verified = parsed.verify().map_err(|error| refused(chain(&error)))?;
    let claims = verified.get().claims();
    equal(claims, "htm", method)?;
    equal(claims, "htu", htu)?;
    equal(claims, "ath", &ath(evidence))?;
    let token_id = token_id(claims)?;
    let issued = issued(claims, now)?;
    let thumbprint = verified.get().thumbprint().digest();
    Ok(Possession::Dpop {
        thumbprint,
        proof: Digest::of_parts(&[thumbprint.as_bytes(), token_id.as_bytes()]),
        // As long as it would be accepted, and 5 s for commits that are under way.
        remember_until: issued + PAST + FUTURE,
    })
}

/// Makes a proof over `evidence` for a POST to `htu`, our URL without query and fragment.
///
/// # Errors
/// Fails where the platform gives no randomness, or for a key that is not on P-256.
pub fn prove(
    key: &SigningKey,
    htu: &str,
    evidence: &Secret,
    random: &dyn Random,
    now: SystemTime,
) -> Result<Secret, ProofNotMade> {
    let public = key.public_jwk("proof");
    let KeyMaterial::Ec { curve, x, y } = public.material() else {
        return Err(ProofNotMade::Key {
            found: key.algorithm().as_str(),
        });
    };
    let mut token_id = [0; 16];
    random.fill(&mut token_id).map_err(ProofNotMade::Random)?;
    let header = json!({
        "typ": "dpop+jwt",
        "alg": "ES256",
        "jwk": { "kty": "EC", "crv": curve.as_str(), "x": x, "y": y },
    });
    let claims = json!({
        "jti": hex(&token_id),
        "htm": "POST",
        "htu": htu,
        "iat": unix_seconds(now),
        "ath": ath(evidence),
    });
    let encode = |part: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let input = format!("{}.{}", encode(&header), encode(&claims));
    let signature = key.sign(input.as_bytes()).map_err(ProofNotMade::Sign)?;
    Ok(Secret::new(sign::assemble(input, &signature)))
}

/// Takes an Idempotency-Key as what binds evidence to its first sender; only its SHA-256 is kept.
///
/// # Errors
/// Refuses what cannot hold 128 random bits: other than visible ASCII, too short for its alphabet, over 255 characters,
/// or fewer than 8 distinct characters.
pub fn idempotency_key(value: &str) -> Result<Possession, AttestRefusal> {
    let weak = AttestRefusal::IdempotencyKeyWeak {
        found_bytes: value.len(),
    };
    if !(MIN_KEY_BYTES..=MAX_KEY_BYTES).contains(&value.len()) || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(weak);
    }
    if capacity_millibits(value) < REQUIRED_MILLIBITS || distinct(value) < MIN_DISTINCT {
        return Err(weak);
    }
    Ok(Possession::IdempotencyKey(Digest::of(value.as_bytes())))
}

/// A proof could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofNotMade {
    /// The key is of another kind.
    #[error("found a key for {found}, expected one for ES256")]
    Key {
        /// What the key signs with.
        found: &'static str,
    },
    /// The platform gave no randomness.
    #[error("no random id for the proof")]
    Random(#[source] NoRandomness),
    /// The library failed.
    #[error("the proof was not signed")]
    Sign(#[source] SigningFailed),
}

fn equal(claims: &Claims, name: &'static str, expected: &str) -> Result<(), AttestRefusal> {
    let found = claims.required_text(name).map_err(|error| refused(error.to_string()))?;
    if found == expected {
        return Ok(());
    }
    Err(refused(format!(
        "`{name}` is `{}`, expected `{expected}`",
        excerpt(found)
    )))
}

fn token_id(claims: &Claims) -> Result<&str, AttestRefusal> {
    let found = claims
        .required_text("jti")
        .map_err(|error| refused(error.to_string()))?;
    if TOKEN_ID_BYTES.contains(&found.len()) {
        return Ok(found);
    }
    let (least, most) = (TOKEN_ID_BYTES.start(), TOKEN_ID_BYTES.end());
    Err(refused(format!(
        "`jti` has {} bytes, expected {least} to {most}",
        found.len()
    )))
}

fn issued(claims: &Claims, now: SystemTime) -> Result<SystemTime, AttestRefusal> {
    let issued = claims
        .required_numeric_date("iat")
        .map_err(|error| refused(chain(&error)))?
        .moment();
    if issued + PAST < now {
        let ago = now.duration_since(issued).unwrap_or_default();
        return Err(refused(format!(
            "made {} s ago, expected at most {} s",
            ago.as_secs(),
            PAST.as_secs()
        )));
    }
    if issued > now + FUTURE {
        let ahead = issued.duration_since(now).unwrap_or_default();
        let most = FUTURE.as_secs();
        return Err(refused(format!(
            "made {} s in the future, expected at most {most} s",
            ahead.as_secs()
        )));
    }
    Ok(issued)
}

fn ath(evidence: &Secret) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(evidence.sha256().as_bytes())
}

fn refused(reason: String) -> AttestRefusal {
    AttestRefusal::Dpop { reason }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

/// Returns how many thousandths of a bit `value` can hold at most, by the smallest alphabet that it fits.
fn capacity_millibits(value: &str) -> usize {
    let symbols = value.bytes().filter(|byte| *byte != b'-'); // a UUID's hyphens stand at fixed places
    let all = |fits: fn(&u8) -> bool| symbols.clone().all(|byte| fits(&byte));
    let each = if all(u8::is_ascii_digit) {
        3_321 // log2 10
    } else if all(u8::is_ascii_hexdigit) {
        4_000 // log2 16
    } else if all(u8::is_ascii_alphanumeric) {
        5_954 // log2 62
    } else {
        6_554 // log2 94
    };
    symbols.count() * each
}

fn distinct(value: &str) -> usize {
    let mut bytes: Vec<u8> = value.bytes().collect();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len()
}

// LIMITS.md, DPoP proof: `iat` -60/+5 s.
const PAST: Duration = Duration::from_mins(1);
const FUTURE: Duration = Duration::from_secs(5);

/// 96 random bits (RFC 9449 section 4.2) are 16 characters of base64; the upper bound keeps the digest cheap.
const TOKEN_ID_BYTES: std::ops::RangeInclusive<usize> = 16..=256;

// LIMITS.md: at least 128 bits.
const REQUIRED_MILLIBITS: usize = 128_000;
const MIN_KEY_BYTES: usize = 16;
const MAX_KEY_BYTES: usize = 255;

/// A random key of 20 characters has fewer than 8 distinct ones with a probability below 2^-40.
const MIN_DISTINCT: usize = 8;

#[cfg(test)]
mod tests;
