//! Which JWTs Google's token service takes as a subject token, and the words it refuses the others with.
//!
//! Judges decoded parts only: it never verifies a signature, and nothing it accepts is thereby authentic.

use std::time::SystemTime;

use serde_json::Value;

use super::{Mark, Origin, part, provider::ProviderName};
use crate::clock;

/// The signature algorithms Google takes: RS256 and ES256, nothing else (documented).
pub const ALGORITHMS: [&str; 2] = ["RS256", "ES256"];

/// How old `iat` may be, in seconds: 24 h (documented).
///
/// Refusals of younger cached tokens were observed, so tokens of ours live under an hour.
pub const OLDEST_SECONDS: u64 = 24 * 60 * 60;

/// The longest life Google advises, in seconds: `exp` less than 6 h away (documented as advice, not as a refusal).
pub const ADVISED_LIFE_SECONDS: u64 = 6 * 60 * 60;

/// What a provider expects of a token.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The provider's `issuerUri`.
    pub issuer: &'a str,
    /// The provider's `allowedAudiences`; empty means the provider's own name.
    pub allowed_audiences: &'a [String],
    /// The provider.
    pub provider: &'a ProviderName,
}

impl Expected<'_> {
    /// Returns the audiences of which a token must name one.
    ///
    /// Without `allowedAudiences` these are the provider's resource name and the same with `https:` before it (documented).
    pub fn audiences(&self) -> Vec<String> {
        if self.allowed_audiences.is_empty() {
            vec![self.provider.to_string(), self.provider.https_form()]
        } else {
            self.allowed_audiences.to_vec()
        }
    }
}

/// The header fields by which Google finds the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyReference<'a> {
    /// `alg`, one of [`ALGORITHMS`].
    pub algorithm: &'a str,
    /// `kid`.
    pub key_id: &'a str,
}

/// Reads the header; `alg` and `kid` are required (documented).
///
/// # Errors
/// [`Refusal::Algorithm`] or [`Refusal::KeyIdMissing`].
pub fn judge_header(header: &Value) -> Result<KeyReference<'_>, Refusal> {
    let found = header.get("alg").and_then(Value::as_str).unwrap_or("none");
    if !ALGORITHMS.contains(&found) {
        return Err(Refusal::Algorithm {
            found: found.to_owned(),
        });
    }
    match header.get("kid").and_then(Value::as_str) {
        Some(key_id) if !key_id.is_empty() => Ok(KeyReference {
            algorithm: found,
            key_id,
        }),
        Some(_) | None => Err(Refusal::KeyIdMissing),
    }
}

/// Holds `iss` against the provider's `issuerUri`, byte for byte (documented).
///
/// # Errors
/// [`Refusal::ClaimMissing`] or [`Refusal::IssuerMismatch`].
pub fn judge_issuer(claims: &Value, expected: &str) -> Result<(), Refusal> {
    let found = text_claim(claims, "iss")?;
    if found == expected {
        Ok(())
    } else {
        Err(Refusal::IssuerMismatch {
            found: found.to_owned(),
            expected: expected.to_owned(),
        })
    }
}

/// Judges all claims at `now`, in the order issuer, required claims, times, audience.
///
/// # Errors
/// The first rule that the claims break.
pub fn judge_claims(claims: &Value, expected: &Expected<'_>, now: SystemTime) -> Result<(), Refusal> {
    judge_issuer(claims, expected.issuer)?;
    text_claim(claims, "sub")?;
    judge_times(claims, clock::unix_seconds(now))?;
    judge_audience(claims, expected)
}

/// Judges header and claims.
///
/// # Errors
/// The first rule that the token breaks.
pub fn judge(header: &Value, claims: &Value, expected: &Expected<'_>, now: SystemTime) -> Result<(), Refusal> {
    judge_header(header)?;
    judge_claims(claims, expected, now)
}

/// Returns what Google advises against without refusing it, or `None`.
pub fn advice(claims: &Value) -> Option<String> {
    let issued = claims.get("iat").and_then(Value::as_u64)?;
    let life = claims.get("exp").and_then(Value::as_u64)?.saturating_sub(issued);
    (life >= ADVISED_LIFE_SECONDS).then(|| {
        format!("the token lives {life} s, Google advises an `exp` less than {ADVISED_LIFE_SECONDS} s after `iat`")
    })
}

/// Returns how many seconds a federated token lives: 3600, or what is left of the subject token (observed).
pub fn federated_life_seconds(expires: u64, now: SystemTime) -> u64 {
    expires
        .saturating_sub(clock::unix_seconds(now))
        .min(super::limits::ACCESS_TOKEN_SECONDS)
}

fn judge_times(claims: &Value, now: u64) -> Result<(), Refusal> {
    let issued = time_claim(claims, "iat")?;
    let expires = time_claim(claims, "exp")?;
    if issued > now {
        return Err(Refusal::IssuedInFuture { issued, now });
    }
    if expires <= now || now - issued > OLDEST_SECONDS {
        return Err(Refusal::Stale { issued });
    }
    Ok(())
}

fn judge_audience(claims: &Value, expected: &Expected<'_>) -> Result<(), Refusal> {
    let found: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        // A list is taken if one of it matches: unverified, tokens of ours have one audience.
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    };
    if found.is_empty() {
        return Err(Refusal::ClaimMissing { claim: "aud" });
    }
    let accepted = expected.audiences();
    if found.iter().any(|one| accepted.iter().any(|allowed| allowed == one)) {
        Ok(())
    } else {
        Err(Refusal::AudienceMismatch {
            found: found.join(", "),
            expected: accepted.join(", "),
        })
    }
}

fn text_claim<'a>(claims: &'a Value, claim: &'static str) -> Result<&'a str, Refusal> {
    match claims.get(claim).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text),
        Some(_) | None => Err(Refusal::ClaimMissing { claim }),
    }
}

fn time_claim(claims: &Value, claim: &'static str) -> Result<u64, Refusal> {
    claims
        .get(claim)
        .and_then(Value::as_u64)
        .ok_or(Refusal::ClaimMissing { claim })
}

/// Google's refusal of a subject token; `Display` is Google's `error_description`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The algorithm is neither RS256 nor ES256 (rule documented, text unverified).
    #[error("The algorithm {found} of the ID Token is not supported. Supported algorithms: RS256, ES256.")]
    Algorithm {
        /// The header's `alg`.
        found: String,
    },
    /// No audience of the token is an accepted one (prefix observed, bracket form unverified).
    #[error("The audience in ID Token [{found}] does not match the expected audience [{expected}].")]
    AudienceMismatch {
        /// The token's audiences.
        found: String,
        /// The provider's audiences.
        expected: String,
    },
    /// A required claim is missing, empty or of another type (rule documented, text unverified).
    #[error("The ID Token lacks the claim {claim}, or its value is not of the expected type.")]
    ClaimMissing {
        /// The claim's name.
        claim: &'static str,
    },
    /// `iat` lies in the future (rule documented, text unverified).
    #[error("ID Token issued at {issued} is not valid yet, it is {now}.")]
    IssuedInFuture {
        /// The token's `iat`.
        issued: u64,
        /// The moment of the request.
        now: u64,
    },
    /// `iss` is not the provider's issuer (documented).
    #[error("The issuer in ID Token {found} does not match the expected ones: {expected}")]
    IssuerMismatch {
        /// The token's `iss`.
        found: String,
        /// The provider's `issuerUri`.
        expected: String,
    },
    /// The header names no key (rule documented, text unverified).
    #[error("The header of the ID Token lacks the field kid.")]
    KeyIdMissing,
    /// The token has expired or was issued more than 24 h ago (observed).
    #[error("ID Token issued at {issued} is stale to sign-in.")]
    Stale {
        /// The token's `iat`.
        issued: u64,
    },
}

impl Refusal {
    /// Returns the value of the field `error`.
    pub fn code(&self) -> &'static str {
        "invalid_grant"
    }

    /// Returns where code and text are known from.
    pub fn origin(&self) -> Origin {
        match self {
            Self::AudienceMismatch { .. } | Self::Stale { .. } => Origin::new(part::TOKEN_ENDPOINT, Mark::Observed),
            Self::IssuerMismatch { .. } => Origin::new(part::TOKEN_ENDPOINT, Mark::Documented),
            Self::Algorithm { .. } | Self::ClaimMissing { .. } | Self::IssuedInFuture { .. } | Self::KeyIdMissing => {
                Origin::new(part::SUBJECT_TOKEN, Mark::Unverified)
            }
        }
    }
}
