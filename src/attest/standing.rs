//! How long an attestation by a token stands, and who may come again once the token is over.
//!
//! It must never let a token count longer because it is presented again: the first use was in time, or there was none.

use std::time::{Duration, SystemTime};

use super::{
    AttestRefusal, CLOCK_LEEWAY, Freshness,
    evidence::Possession,
    token_claims::{Moments, refuse_expired},
};

/// The rules of one attestor.
#[derive(Clone, Copy, Debug)]
pub(in crate::attest) struct Standing {
    /// How old a token may be, where a new one is free.
    pub(in crate::attest) max_age: Option<Duration>,
    /// How long an attestation stands.
    pub(in crate::attest) session_max: Duration,
    /// Whether a token that is over may resume what it began.
    pub(in crate::attest) resume: Resume,
}

/// Whether a token that is over may resume an attestation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::attest) enum Resume {
    /// By whoever proves the key that its first use was bound to; the ledger knows which.
    ByBoundKey,
    /// By nobody.
    Never,
}

impl Standing {
    /// Tells whether the token still counts, or only what it began.
    ///
    /// # Errors
    /// Refuses a token that is over or too old, and may not be resumed.
    pub(in crate::attest) fn freshness(
        &self,
        moments: &Moments,
        possession: &Possession,
        now: SystemTime,
    ) -> Result<Freshness, AttestRefusal> {
        let Some(refusal) = self.staleness(moments, now) else {
            return Ok(Freshness::Fresh);
        };
        let bound = match possession {
            Possession::Certificate(_) | Possession::Dpop { .. } => self.resume == Resume::ByBoundKey,
            Possession::Bearer | Possession::IdempotencyKey(_) => false,
        };
        if bound && now < self.latest(moments) {
            return Ok(Freshness::Expired);
        }
        Err(refusal)
    }

    /// Returns when an attestation by this token ends.
    pub(in crate::attest) fn until(&self, moments: &Moments, now: SystemTime) -> SystemTime {
        (now + self.session_max).min(self.latest(moments))
    }

    fn staleness(&self, moments: &Moments, now: SystemTime) -> Option<AttestRefusal> {
        if let Err(expired) = refuse_expired(moments.expires, now) {
            return Some(expired);
        }
        let age = now.duration_since(moments.issued).unwrap_or_default();
        self.max_age
            .filter(|max| age > *max)
            .map(|max| AttestRefusal::TooOld { age, max })
    }

    /// Returns the last moment at which an attestation by this token can still stand: its first use was in time.
    fn latest(&self, moments: &Moments) -> SystemTime {
        let by_expiry = moments.expires + CLOCK_LEEWAY;
        let first_use = self
            .max_age
            .map_or(by_expiry, |max| by_expiry.min(moments.issued + max));
        first_use + self.session_max
    }
}
