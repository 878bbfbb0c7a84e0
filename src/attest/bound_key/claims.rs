//! What a machine's own token must say before it attests anything.
//!
//! It must never be asked about claims whose signature was not checked.

use std::time::SystemTime;

use crate::{
    attest::{
        AttestRefusal,
        bound_key::evidence::MAX_LIFE,
        token_claims::{Moments, refuse_expired, refuse_other_audience, refuse_other_issuer, token_id},
    },
    jose::Claims,
};

/// The rules of one attestor.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) issuer: String,
    pub(super) audience: String,
}

/// What the rules found in order.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) token_id: String,
    pub(super) expires: SystemTime,
}

impl Rules {
    /// Judges verified claims.
    pub(super) fn accept(&self, claims: &Claims, now: SystemTime) -> Result<Accepted, AttestRefusal> {
        refuse_other_issuer(claims, &self.issuer)?;
        let moments = Moments::read(claims)?;
        let life = moments.expires.duration_since(moments.issued).unwrap_or_default();
        if life > MAX_LIFE {
            return Err(AttestRefusal::Claim {
                claim: "exp".to_owned(),
                found: format!("{} s after `iat`", life.as_secs()),
                expected: format!("at most {} s", MAX_LIFE.as_secs()),
            });
        }
        moments.refuse_early(now)?;
        refuse_other_audience(claims, &self.audience)?;
        let token_id = token_id(claims)?.ok_or_else(|| AttestRefusal::Claim {
            claim: "jti".to_owned(),
            found: "missing".to_owned(),
            expected: "it".to_owned(),
        })?;
        refuse_expired(moments.expires, now)?;
        Ok(Accepted {
            token_id,
            expires: moments.expires,
        })
    }
}
