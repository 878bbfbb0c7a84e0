//! What is asked of every token that is a JWT, whoever issued it; a kind of attestor adds its own rules.
//!
//! It must never be asked about claims whose signature was not checked.

use std::time::{Duration, SystemTime};

use super::{AttestRefusal, CLOCK_LEEWAY};
use crate::jose::{Algorithm, ClaimRefused, Claims, NumericDate, excerpt};

/// The dates of a token that must say when it was issued.
#[derive(Debug)]
pub(in crate::attest) struct Moments {
    pub(in crate::attest) issued: SystemTime,
    not_before: Option<SystemTime>,
    pub(in crate::attest) expires: SystemTime,
}

impl Moments {
    /// Reads the dates; a token without an end is refused (T-08).
    pub(in crate::attest) fn read(claims: &Claims) -> Result<Self, AttestRefusal> {
        Self::read_within(claims, MAX_LIFE)
    }

    /// Reads the dates of a token that lives no longer than `max_life`.
    pub(in crate::attest) fn read_within(claims: &Claims, max_life: Duration) -> Result<Self, AttestRefusal> {
        let moments = Self {
            issued: claims.required_numeric_date("iat").map_err(refused)?.moment(),
            not_before: claims.numeric_date("nbf").map_err(refused)?.map(NumericDate::moment),
            expires: claims.required_numeric_date("exp").map_err(refused)?.moment(),
        };
        let life = moments.expires.duration_since(moments.issued).unwrap_or_default();
        if life > max_life {
            return Err(AttestRefusal::Claim {
                claim: "exp".to_owned(),
                found: format!("{} s after `iat`", life.as_secs()),
                expected: format!("at most {} s", max_life.as_secs()),
            });
        }
        Ok(moments)
    }

    /// Refuses a token that does not count yet.
    pub(in crate::attest) fn refuse_early(&self, now: SystemTime) -> Result<(), AttestRefusal> {
        let begins = self
            .not_before
            .map_or(self.issued, |not_before| not_before.max(self.issued));
        refuse_early(begins, now)
    }
}

/// Refuses what begins later than a clock may be wrong.
pub(in crate::attest) fn refuse_early(begins: SystemTime, now: SystemTime) -> Result<(), AttestRefusal> {
    match begins.duration_since(now) {
        Ok(ahead) if ahead > CLOCK_LEEWAY => Err(AttestRefusal::NotYetValid { ahead }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Refuses what ended longer ago than a clock may be wrong.
pub(in crate::attest) fn refuse_expired(expires: SystemTime, now: SystemTime) -> Result<(), AttestRefusal> {
    if now < expires + CLOCK_LEEWAY {
        return Ok(());
    }
    let ago = now.duration_since(expires).unwrap_or_default();
    Err(AttestRefusal::Expired { ago })
}

/// Refuses signatures of other algorithms than those that the attestor takes.
pub(in crate::attest) fn refuse_algorithm(found: Algorithm, taken: &[Algorithm]) -> Result<(), AttestRefusal> {
    if taken.contains(&found) {
        return Ok(());
    }
    let expected: Vec<&str> = taken.iter().map(|algorithm| algorithm.as_str()).collect();
    Err(AttestRefusal::Unverifiable {
        reason: format!("token is signed with {found}, expected one of: {}", expected.join(", ")),
    })
}

/// Refuses tokens of other kinds, such as access tokens: `typ` is `JWT` or absent (JWT-BCP-11).
pub(in crate::attest) fn refuse_other_kind(typ: Option<&str>) -> Result<(), AttestRefusal> {
    match typ {
        None => Ok(()),
        Some(typ) if typ.eq_ignore_ascii_case("JWT") => Ok(()),
        Some(other) => Err(wrong("typ", other, "`JWT` or nothing")),
    }
}

/// Refuses another issuer's tokens, byte for byte.
pub(in crate::attest) fn refuse_other_issuer(claims: &Claims, issuer: &str) -> Result<(), AttestRefusal> {
    let found = claims.required_text("iss").map_err(refused)?;
    if found == issuer {
        return Ok(());
    }
    Err(wrong("iss", found, &format!("`{issuer}`")))
}

/// Takes our audience only as the sole one: whoever else is named could present the token too (T-37, TM-03), and one for
/// an API server as well could be played back to it (WIMSE-WIP-2).
pub(in crate::attest) fn refuse_other_audience(claims: &Claims, audience: &str) -> Result<(), AttestRefusal> {
    let found = claims.audience().map_err(refused)?;
    if found.sole() == Some(audience) {
        return Ok(());
    }
    let shown: Vec<String> = found
        .iter()
        .take(SHOWN)
        .map(|one| format!("`{}`", excerpt(one)))
        .collect();
    Err(AttestRefusal::AudienceMismatch {
        expected: audience.to_owned(),
        found: shown.join(", "),
    })
}

/// Reads the token's own id, if it has one.
pub(in crate::attest) fn token_id(claims: &Claims) -> Result<Option<String>, AttestRefusal> {
    match claims.text("jti").map_err(refused)? {
        Some(id) if id.is_empty() || id.len() > MAX_TOKEN_ID_BYTES => Err(AttestRefusal::Claim {
            claim: "jti".to_owned(),
            found: format!("{} bytes long", id.len()),
            expected: format!("1 to {MAX_TOKEN_ID_BYTES} bytes"),
        }),
        id => Ok(id.map(str::to_owned)),
    }
}

/// Returns the refusal of a claim with another value than it should have.
pub(in crate::attest) fn wrong(claim: &str, found: &str, expected: &str) -> AttestRefusal {
    AttestRefusal::Claim {
        claim: claim.to_owned(),
        found: format!("`{}`", excerpt(found)),
        expected: expected.to_owned(),
    }
}

/// Returns the refusal of a claim that is missing or of another type.
pub(in crate::attest) fn refused(refused: ClaimRefused) -> AttestRefusal {
    let name = match &refused {
        ClaimRefused::Date { name, .. }
        | ClaimRefused::Empty { name }
        | ClaimRefused::Missing { name }
        | ClaimRefused::WrongType { name, .. } => *name,
    };
    refused_at(name, refused)
}

/// Returns the same of a member that `path` leads to.
pub(in crate::attest) fn refused_at(path: &str, refused: ClaimRefused) -> AttestRefusal {
    let (found, expected) = match refused {
        ClaimRefused::Date { source, .. } => (source.to_string(), "a date".to_owned()),
        ClaimRefused::Empty { .. } => ("empty".to_owned(), "a value".to_owned()),
        ClaimRefused::Missing { .. } => ("missing".to_owned(), "it".to_owned()),
        ClaimRefused::WrongType { found, expected, .. } => (found.to_owned(), expected.to_owned()),
    };
    AttestRefusal::Claim {
        claim: path.to_owned(),
        found,
        expected,
    }
}

/// TM-54: nobody has a reason to vouch for longer than a day.
pub(in crate::attest) const MAX_LIFE: Duration = Duration::from_hours(24);

/// T-07.
pub(in crate::attest) const MAX_TOKEN_ID_BYTES: usize = 255;

/// How many audiences an error shows.
const SHOWN: usize = 3;
