//! The numbers that rotation goes by, and which keys there are to be.
//!
//! Every number is LIMITS.md's or derived from it here; nothing else of rotation holds one.

use std::time::Duration;

use crate::mint::{
    MAX_RELEASED_SVID_LIFE, MAX_X509_SVID_LIFE,
    authority::{OUTSIDE, Purpose, life},
    outside::RootPlace,
};

/// One place in the key set: exactly one authority of it signs at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// What it signs.
    pub purpose: Purpose,
    /// With what, as the store writes it.
    pub algorithm: String,
}

impl Lane {
    /// Returns the lane of a purpose and an algorithm.
    pub fn new(purpose: Purpose, algorithm: &str) -> Self {
        Self {
            purpose,
            algorithm: algorithm.to_owned(),
        }
    }
}

/// How long an authority and what it signs live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The authority.
    pub authority: Duration,
    /// The longest that anything it signs lives.
    pub signed: Duration,
}

/// What the life of authorities is held against.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The keys that there are to be; one that is not in here any more is retired once the others sign.
    pub lanes: Vec<Lane>,
    /// How long a key was to be seen everywhere before it signs.
    pub lead: Duration,
    /// How long a cache that keeps to our `max-age` may still show the documents from before.
    pub cached: Duration,
    /// How long a place or a replica may be silent before what was seen there counts no longer.
    pub silence: Duration,
    /// How long a replica may go on with what it last read from the store.
    pub lag: Duration,
    /// How long a key stays published after the last thing it signed has expired.
    pub kept: Duration,
    /// JWT authorities.
    pub jwt: Life,
    /// X.509 intermediates.
    pub x509_intermediate: Life,
    /// X.509 roots.
    pub x509_root: Life,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            lanes: vec![
                Lane::new(Purpose::Jwt, "RS256"),
                Lane::new(Purpose::Jwt, "ES256"),
                Lane::new(Purpose::X509Root, "ES256"),
                Lane::new(Purpose::X509Intermediate, "ES256"),
            ],
            lead: UNVERIFIED_LEAD,
            cached: MAX_AGE,
            silence: SILENCE,
            lag: LAG,
            kept: LEEWAY + MAX_AGE + STALE_WHILE_REVALIDATE,
            jwt: Life {
                authority: life(Purpose::Jwt),
                signed: MAX_RELEASED_SVID_LIFE,
            },
            x509_intermediate: Life {
                authority: life(Purpose::X509Intermediate),
                signed: MAX_X509_SVID_LIFE,
            },
            x509_root: Life {
                authority: life(Purpose::X509Root),
                // The last intermediate, and the last that it signs.
                signed: life(Purpose::X509Intermediate) + MAX_X509_SVID_LIFE,
            },
        }
    }
}

impl Rules {
    /// Returns how long authorities of `purpose` and what they sign live; `None` for those that are not rotated.
    ///
    /// Checkpoints are verified by people with a copy of the key kept elsewhere, so that key stays.
    pub fn life(&self, purpose: Purpose) -> Option<Life> {
        match purpose {
            Purpose::Audit => None,
            Purpose::Jwt => Some(self.jwt),
            Purpose::X509Intermediate => Some(self.x509_intermediate),
            Purpose::X509Root => Some(self.x509_root),
        }
    }

    /// Returns how long before an authority's end its successor is made.
    pub fn prepares_before(&self, purpose: Purpose) -> Duration {
        let half = |life: Life| (life.authority / 2).min(MOST_PREPARED_BEFORE);
        self.life(purpose).map_or(Duration::ZERO, half)
    }

    /// Returns how long before an authority's end its successor signs in its place.
    pub fn activates_before(&self, purpose: Purpose) -> Duration {
        let sixth = |life: Life| (life.authority / 6).min(MOST_ACTIVATED_BEFORE);
        self.life(purpose).map_or(Duration::ZERO, sixth)
    }

    /// Returns how long after it was seen everywhere a key may sign.
    ///
    /// The lead begins when no cache that keeps to `max-age` can show an older document any more. An intermediate travels
    /// with what it signs: nobody has to find it beforehand.
    pub fn signs_after_seen(&self, purpose: Purpose) -> Duration {
        if must_be_found(purpose) {
            self.cached + self.lead
        } else {
            Duration::ZERO
        }
    }

    /// Returns how long after an authority stopped signing its key may go: some replica may still have signed within
    /// `lag`, that must have expired, and the documents with the key must have left every cache.
    ///
    /// Until then the change could be undone without anybody noticing, and afterwards nobody holds the key. Verifying alone
    /// would be content with the expiry and the verifiers' leeway.
    pub fn removed_after_retired(&self, purpose: Purpose) -> Duration {
        self.life(purpose)
            .map_or(Duration::ZERO, |life| self.lag + life.signed + self.kept)
    }

    /// Lets the root's key be where `root` says.
    #[must_use]
    pub fn with_root(mut self, root: RootPlace) -> Self {
        let algorithm = match root {
            RootPlace::Outside => OUTSIDE,
            RootPlace::Store => "ES256",
        };
        for lane in self.lanes.iter_mut().filter(|lane| lane.purpose == Purpose::X509Root) {
            algorithm.clone_into(&mut lane.algorithm);
        }
        self
    }

    /// Returns where the root's key is.
    pub fn root(&self) -> RootPlace {
        if self.wants(Purpose::X509Root, OUTSIDE) {
            RootPlace::Outside
        } else {
            RootPlace::Store
        }
    }

    /// Returns the shortest life that a certificate for an intermediate is taken with.
    ///
    /// Its successor would be due at once otherwise, and no SVID under it could have its full life.
    pub fn least_certified(&self) -> Duration {
        self.activates_before(Purpose::X509Intermediate) + self.x509_intermediate.signed
    }

    /// Returns whether some lane is `purpose` with `algorithm`.
    pub fn wants(&self, purpose: Purpose, algorithm: &str) -> bool {
        let mut lanes = self.lanes.iter();
        lanes.any(|lane| lane.purpose == purpose && lane.algorithm == algorithm)
    }
}

/// Tells whether verifiers must find keys of `purpose` in our documents.
pub fn must_be_found(purpose: Purpose) -> bool {
    match purpose {
        Purpose::Jwt | Purpose::X509Root => true,
        Purpose::Audit | Purpose::X509Intermediate => false,
    }
}

const DAY: Duration = Duration::from_hours(24);
/// LIMITS.md: the publish lead is 24 h while the rule of any relying party is unverified `[M]`, as Entra's is.
pub const UNVERIFIED_LEAD: Duration = DAY;
/// LIMITS.md: JWKS and bundle are cached for 300 s.
const MAX_AGE: Duration = Duration::from_mins(5);
/// LIMITS.md: and shown for another day while a cache asks again.
const STALE_WHILE_REVALIDATE: Duration = DAY;
/// Entra tolerates clocks that differ by 5 min; what we sign is accepted for so long after its end.
const LEEWAY: Duration = Duration::from_mins(5);
/// Several looks, of which one may fail (a look is taken each minute); far less than any lead.
const SILENCE: Duration = Duration::from_mins(15);
/// As for the memory copy of the locks (LIMITS.md): refreshed within 5 s, older than 10 s does not count.
pub const LAG: Duration = Duration::from_secs(10);
/// LIMITS.md, as SPIRE does: at most 30 days before.
const MOST_PREPARED_BEFORE: Duration = Duration::from_hours(30 * 24);
/// LIMITS.md, as SPIRE does: at most 7 days before.
const MOST_ACTIVATED_BEFORE: Duration = Duration::from_hours(7 * 24);
/// LIMITS.md: the 11th published key is refused (AWS stops finding keys at 100).
pub const MOST_PUBLISHED: usize = 10;
/// LIMITS.md: a Roles Anywhere trust anchor holds 2 certificates `[M]`.
pub const MOST_ROOTS: usize = 2;
/// Removed keys are remembered for a month, at most so many: enough to explain a complaint.
pub(super) const TOMBSTONE_LIFE: Duration = Duration::from_hours(30 * 24);
/// See [`TOMBSTONE_LIFE`].
pub(super) const MOST_TOMBSTONES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prepares_and_activates_as_the_limits_say() {
        let rules = Rules::default();

        assert_eq!(rules.prepares_before(Purpose::Jwt), DAY * 15);
        assert_eq!(rules.activates_before(Purpose::Jwt), DAY * 5);
        assert_eq!(rules.prepares_before(Purpose::X509Intermediate), DAY * 15);
        assert_eq!(rules.activates_before(Purpose::X509Intermediate), DAY * 5);
        assert_eq!(rules.prepares_before(Purpose::X509Root), DAY * 30);
        assert_eq!(rules.activates_before(Purpose::X509Root), DAY * 7);
        assert_eq!(rules.least_certified(), DAY * 6);
    }

    #[test]
    fn tm_18_a_lead_outlasts_every_cache_that_keeps_to_our_headers() {
        let rules = Rules::default();

        assert_eq!(rules.lead, DAY);
        assert_eq!(rules.signs_after_seen(Purpose::Jwt), MAX_AGE + STALE_WHILE_REVALIDATE);
        assert_eq!(rules.signs_after_seen(Purpose::X509Intermediate), Duration::ZERO);
    }

    #[test]
    fn a_successor_is_made_early_enough_for_the_lead() {
        let rules = Rules::default();

        for purpose in [Purpose::Jwt, Purpose::X509Intermediate, Purpose::X509Root] {
            let (made, signs) = (rules.prepares_before(purpose), rules.activates_before(purpose));
            assert!(made > signs + rules.signs_after_seen(purpose) * 2, "{purpose:?}");
        }
    }
}
