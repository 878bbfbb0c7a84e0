//! What every attestor of signed tokens does before it reads a claim: form, algorithm, key, signature.
//!
//! It must never hand out claims that no key vouches for, and never look for a key on behalf of a token that it cannot
//! read.

use std::time::SystemTime;

use super::{AttestRefusal, Delegation, Evidence, Verdict, issuer_keys::Keys, token_claims::refuse_algorithm};
use crate::jose::{Algorithm, Claims, MAX_TOKEN_BYTES, Unverified, Verified};

/// Reads evidence as a token of `kind`.
///
/// # Errors
/// Returns what is said of evidence that is of another kind, too long, or no compact JWS.
pub(in crate::attest) fn read<'e>(evidence: &'e Evidence, kind: &str) -> Result<Unverified<'e>, Verdict> {
    if evidence.kind().is_some_and(|claimed| claimed != kind) {
        return Err(Verdict::NotMine);
    }
    let token = evidence.token_unverified().expose();
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Verdict::Refused(AttestRefusal::Oversized {
            found_bytes: token.len(),
        }));
    }
    // No compact JWS: some other attestor's kind, or nobody's.
    Unverified::parse(token).map_err(|_unreadable| Verdict::NotMine)
}

/// Returns the claims of a token that one of `keys` signed with one of `algorithms`, and what they say about who acts.
///
/// # Errors
/// Refuses another algorithm, an unknown key and a wrong signature, as unverifiable; and claims about who acts that are
/// not its issuer's to make.
pub(in crate::attest) async fn verified(
    unverified: &Unverified<'_>,
    keys: &Keys,
    algorithms: &[Algorithm],
    now: SystemTime,
) -> Result<(Verified<Claims>, Delegation), AttestRefusal> {
    refuse_algorithm(unverified.algorithm(), algorithms)?;
    let key = keys.find(unverified.kid(), unverified.algorithm(), now).await?;
    let verified = unverified.verify(&key).map_err(|refused| AttestRefusal::Unverifiable {
        reason: refused.to_string(),
    })?;
    let delegation = Delegation::of_another(verified.get())?;
    Ok((verified, delegation))
}
