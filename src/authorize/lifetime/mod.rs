//! How long a permitted credential may live.
//!
//! Lifetimes only shrink (ARCHITECTURE section 2, invariant 3). The two exceptions are narrow and always noted: the raise to
//! a relying party's minimum, and a relying party that fixes the lifetime itself.

use std::time::Duration;

use crate::authorize::{Basis, LifetimeMode, LifetimeNote, Terms};

/// What the rule, the attestation and the request allow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// The decisive grant's.
    pub(super) ttl: Duration,
    /// Whether that grant lets a fixed lifetime exceed its ttl.
    pub(super) accept_lifetime: bool,
    /// What is left of the attestation's standing.
    pub(super) standing: Duration,
    /// Whether evidence was presented in this request.
    pub(super) basis: Basis,
}

/// The relying party gives nothing as short as what could be permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BelowMinimum {
    pub(super) permitted: Duration,
    pub(super) minimum: Duration,
}

/// ARCHITECTURE section 2, invariant 3: nothing is raised further than this.
pub(super) const MAX_RAISE: Duration = Duration::from_mins(15);

/// Decides the lifetime of a credential.
pub(super) fn permit(terms: &Terms, allowance: Allowance) -> Result<(Duration, LifetimeNote), BelowMinimum> {
    let within = allowance.ttl.min(allowance.standing);
    match terms.lifetime_mode {
        LifetimeMode::Fixed => fixed(terms, within, allowance),
        LifetimeMode::FollowsSvid | LifetimeMode::Requested => requested(terms, within.min(terms.maximum), allowance),
    }
}

fn requested(terms: &Terms, asked: Duration, allowance: Allowance) -> Result<(Duration, LifetimeNote), BelowMinimum> {
    let minimum = terms.minimum.max(SHORTEST);
    if asked >= minimum {
        return Ok((asked, LifetimeNote::Within));
    }
    let raisable = minimum <= MAX_RAISE && minimum <= allowance.ttl && minimum <= terms.maximum;
    match allowance.basis {
        Basis::Presented if raisable && !allowance.standing.is_zero() => Ok((minimum, LifetimeNote::Raised)),
        Basis::Presented | Basis::Resumed => Err(BelowMinimum {
            permitted: asked,
            minimum,
        }),
    }
}

/// The relying party alone decides, so what is permitted is the longest that it may give.
fn fixed(terms: &Terms, within: Duration, allowance: Allowance) -> Result<(Duration, LifetimeNote), BelowMinimum> {
    if within >= terms.maximum && !within.is_zero() {
        return Ok((terms.maximum, LifetimeNote::Within));
    }
    if allowance.accept_lifetime && !allowance.standing.is_zero() {
        return Ok((terms.maximum, LifetimeNote::ExceedsStanding));
    }
    Err(BelowMinimum {
        permitted: within,
        minimum: terms.maximum,
    })
}

/// Nothing shorter is a lifetime: tokens count whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
