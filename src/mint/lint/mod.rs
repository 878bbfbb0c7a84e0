//! The check of a signed SVID before it is released, independent of the builder.
//!
//! It reads the token as a relying party would, and must never take anything from the builder but what was asked for.

pub(in crate::mint) mod chain;
pub(in crate::mint) mod x509;

use serde_json::{Map, Value};

use crate::{
    jose::{Claims, PublicKey, Unverified},
    mint::{MintRefusal, keys::SignatureCheck},
    spiffe::SpiffeId,
};

/// Holds a signed token against what was asked for and against what every cloud accepts (clouds.md section 0).
///
/// # Errors
/// Names the first difference.
pub fn check(
    token: &str,
    (key, signature): (&PublicKey, SignatureCheck),
    wanted: &Map<String, Value>,
) -> Result<(), MintRefusal> {
    let failed = |reason: String| MintRefusal::Lint { reason };
    if token.len() > MAX_SVID_BYTES {
        return Err(failed(format!(
            "the token has {} bytes, at most {MAX_SVID_BYTES} are allowed",
            token.len()
        )));
    }
    let parsed = Unverified::parse_jwt_svid(token).map_err(|refusal| failed(refusal.to_string()))?;
    if parsed.kid() != key.kid() {
        return Err(failed(format!(
            "`kid` is {:?}, the key is {:?}",
            parsed.kid(),
            key.kid()
        )));
    }
    match signature {
        SignatureCheck::Lint => drop(parsed.verify(key).map_err(|refusal| failed(refusal.to_string()))?),
        SignatureCheck::Source if key.allows(parsed.algorithm()) => {}
        SignatureCheck::Source => {
            let found = parsed.algorithm();
            return Err(failed(format!("`alg` is {found}, which the key is not for")));
        }
    }
    compare(parsed.claims_unverified(), wanted)
}

/// Holds the claims that a reader finds against those asked for, and against what every cloud accepts.
fn compare(claims: &Claims, wanted: &Map<String, Value>) -> Result<(), MintRefusal> {
    let failed = |reason: String| MintRefusal::Lint { reason };
    if claims.iter().count() != wanted.len() || wanted.iter().any(|(name, value)| claims.get(name) != Some(value)) {
        return Err(failed("the claims are not those asked for".to_owned()));
    }
    let text = |name| {
        claims
            .required_text(name)
            .map_err(|refusal| failed(refusal.to_string()))
    };
    SpiffeId::parse(text("sub")?).map_err(|refusal| failed(refusal.to_string()))?;
    let (by, audience) = (text("iss")?, text("aud")?);
    if by.is_empty() || audience.is_empty() {
        return Err(failed("`iss` and `aud` must not be empty".to_owned()));
    }
    let date = |name| {
        claims
            .required_numeric_date(name)
            .map_err(|refusal| failed(refusal.to_string()))
    };
    let (issued, not_before, expires) = (date("iat")?.seconds(), date("nbf")?.seconds(), date("exp")?.seconds());
    let life = expires.saturating_sub(issued);
    if not_before != issued || life == 0 || life > MAX_LIFE_SECONDS {
        return Err(failed(format!(
            "the token lives {life} s from {issued}, expected 1 to {MAX_LIFE_SECONDS} s"
        )));
    }
    Ok(())
}

/// clouds.md section 0: below every cloud's limit and header size.
const MAX_SVID_BYTES: usize = 8 * 1024;
/// LIMITS.md: a JWT-SVID lives at most 60 minutes.
const MAX_LIFE_SECONDS: u64 = 3600;

#[cfg(test)]
mod tests;
