//! What a verified JWT-SVID must say before it attests anything (JWT-SVID sections 3 and 4).
//!
//! It must never be asked about claims whose signature was not checked.

use std::time::{Duration, SystemTime};

use crate::{
    attest::{AttestRefusal, CLOCK_LEEWAY},
    jose::{ClaimRefused, Claims, NumericDate, excerpt},
    spiffe::{SpiffeId, TrustDomain},
};

/// What was found in order.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) id: SpiffeId,
    pub(super) token_id: Option<String>,
    pub(super) expires: SystemTime,
}

/// Judges claims that were verified with the keys of `trust_domain`.
pub(super) fn accept(
    claims: &Claims,
    trust_domain: &TrustDomain,
    audience: &str,
    now: SystemTime,
) -> Result<Accepted, AttestRefusal> {
    let id = subject(claims, trust_domain)?;
    refuse_other_audience(claims, audience)?;
    let expires = in_time(claims, now)?;
    let token_id = claims.text("jti").map_err(refused)?;
    match token_id {
        Some(found) if found.is_empty() || found.len() > MAX_TOKEN_ID_BYTES => Err(AttestRefusal::Claim {
            claim: "jti".to_owned(),
            found: format!("{} bytes long", found.len()),
            expected: format!("1 to {MAX_TOKEN_ID_BYTES} bytes"),
        }),
        Some(_) | None => Ok(Accepted {
            id,
            token_id: token_id.map(str::to_owned),
            expires,
        }),
    }
}

/// A workload's ID has a path, and is of the trust domain whose keys verified it (JWT-SVID-9).
fn subject(claims: &Claims, trust_domain: &TrustDomain) -> Result<SpiffeId, AttestRefusal> {
    let found = claims.required_text("sub").map_err(refused)?;
    let wrong = |expected: String| AttestRefusal::Claim {
        claim: "sub".to_owned(),
        found: format!("`{}`", excerpt(found)),
        expected,
    };
    let id = SpiffeId::parse(found).map_err(|why| wrong(format!("a SPIFFE ID: {why}")))?;
    if id.trust_domain() != trust_domain || id.path().is_empty() {
        return Err(wrong(format!("a workload's SPIFFE ID in `{trust_domain}`")));
    }
    Ok(id)
}

/// Takes our audience only as the sole one: whoever else is named could present the SVID too (T-37).
fn refuse_other_audience(claims: &Claims, audience: &str) -> Result<(), AttestRefusal> {
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

/// `exp` is required (T-08); `iat` and `nbf` are not (JWT-SVID section 3), and bound the life where they are.
fn in_time(claims: &Claims, now: SystemTime) -> Result<SystemTime, AttestRefusal> {
    let expires = claims.required_numeric_date("exp").map_err(refused)?.moment();
    let date = |name| claims.numeric_date(name).map(|date| date.map(NumericDate::moment));
    let (issued, not_before) = (date("iat").map_err(refused)?, date("nbf").map_err(refused)?);
    for begins in [issued, not_before].into_iter().flatten() {
        match begins.duration_since(now) {
            Ok(ahead) if ahead > CLOCK_LEEWAY => return Err(AttestRefusal::NotYetValid { ahead }),
            Ok(_) | Err(_) => {}
        }
    }
    let begins = issued.unwrap_or(now);
    let life = expires.duration_since(begins).unwrap_or_default();
    if life > MAX_LIFE {
        return Err(AttestRefusal::Claim {
            claim: "exp".to_owned(),
            found: format!("{} s ahead", life.as_secs()),
            expected: format!("at most {} s", MAX_LIFE.as_secs()),
        });
    }
    if now >= expires + CLOCK_LEEWAY {
        let ago = now.duration_since(expires).unwrap_or_default();
        return Err(AttestRefusal::Expired { ago });
    }
    Ok(expires)
}

fn refused(refused: ClaimRefused) -> AttestRefusal {
    let (claim, found, expected) = match refused {
        ClaimRefused::Date { name, source } => (name, source.to_string(), "a date".to_owned()),
        ClaimRefused::Empty { name } => (name, "empty".to_owned(), "a value".to_owned()),
        ClaimRefused::Missing { name } => (name, "missing".to_owned(), "it".to_owned()),
        ClaimRefused::WrongType { name, found, expected } => (name, found.to_owned(), expected.to_owned()),
    };
    AttestRefusal::Claim {
        claim: claim.to_owned(),
        found,
        expected,
    }
}

// TM-54: nobody has a reason to vouch for longer than a day.
const MAX_LIFE: Duration = Duration::from_hours(24);
// T-07.
const MAX_TOKEN_ID_BYTES: usize = 255;
/// How many audiences an error shows.
const SHOWN: usize = 3;
