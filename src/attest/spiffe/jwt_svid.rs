//! What a verified JWT-SVID must say before it attests anything (JWT-SVID sections 3 and 4).
//!
//! It must never be asked about claims whose signature was not checked.

use std::time::SystemTime;

use crate::{
    attest::{
        AttestRefusal,
        token_claims::{MAX_LIFE, refuse_early, refuse_expired, refuse_other_audience, refused, token_id, wrong},
    },
    jose::{Claims, NumericDate},
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
    Ok(Accepted {
        id,
        token_id: token_id(claims)?,
        expires,
    })
}

/// A workload's ID has a path, and is of the trust domain whose keys verified it (JWT-SVID-9).
fn subject(claims: &Claims, trust_domain: &TrustDomain) -> Result<SpiffeId, AttestRefusal> {
    let found = claims.required_text("sub").map_err(refused)?;
    let wrong = |expected: String| wrong("sub", found, &expected);
    let id = SpiffeId::parse(found).map_err(|why| wrong(format!("a SPIFFE ID: {why}")))?;
    if id.trust_domain() != trust_domain || id.path().is_empty() {
        return Err(wrong(format!("a workload's SPIFFE ID in `{trust_domain}`")));
    }
    Ok(id)
}

/// `exp` is required (T-08); `iat` and `nbf` are not (JWT-SVID section 3), and bound the life where they are.
fn in_time(claims: &Claims, now: SystemTime) -> Result<SystemTime, AttestRefusal> {
    let expires = claims.required_numeric_date("exp").map_err(refused)?.moment();
    let date = |name| claims.numeric_date(name).map(|date| date.map(NumericDate::moment));
    let (issued, not_before) = (date("iat").map_err(refused)?, date("nbf").map_err(refused)?);
    for begins in [issued, not_before].into_iter().flatten() {
        refuse_early(begins, now)?;
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
    refuse_expired(expires, now)?;
    Ok(expires)
}
