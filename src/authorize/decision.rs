//! What authorize decides.

use crate::authorize::Permission;

/// What authorize decides.
#[derive(Debug)]
pub enum Decision {
    /// Not permitted.
    Denied(Denial),
    /// Permitted.
    Permitted(Box<Permission>),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denial {
    /// There are grants, but none for whoever acts.
    #[error("there are grants for entry `{entry}` and `{relying_party}`, but {actor}")]
    ActorNotGranted {
        /// Who none of them is for, in words.
        actor: String,
        /// The workload's entry.
        entry: String,
        /// What was asked for.
        relying_party: String,
    },
    /// A condition of the closest grant for whoever acts failed.
    #[error("grant `{grant}` names this entry and relying party, but {condition}")]
    ConditionFailed {
        /// The closest grant.
        grant: String,
        /// The condition that failed: attribute, found, expected.
        condition: String,
    },
    /// A forbid rule applies.
    #[error("policy `{policy}` forbids it")]
    Forbidden {
        /// The raw policy.
        policy: String,
    },
    /// What may still be permitted is shorter than the relying party gives.
    #[error("{permitted_seconds} s may be permitted, `{relying_party}` gives at least {minimum_seconds} s")]
    LifetimeBelowMinimum {
        /// The relying party.
        relying_party: String,
        /// What could be permitted.
        permitted_seconds: u64,
        /// The least the relying party gives.
        minimum_seconds: u64,
    },
    /// A lock applies.
    #[error("locked: {target} `{value}` ({reason})")]
    Locked {
        /// What kind of thing is locked.
        target: String,
        /// Which.
        value: String,
        /// Why.
        reason: String,
    },
    /// The memory copy of the locks is too old to decide on.
    #[error("the locks were last read {age_seconds} s ago, at most 10 s is trusted")]
    LocksStale {
        /// Its age.
        age_seconds: u64,
    },
    /// No grant names this entry and relying party.
    #[error("no grant lets entry `{entry}` hold credentials of `{relying_party}`")]
    NoGrant {
        /// The workload's entry.
        entry: String,
        /// What was asked for.
        relying_party: String,
    },
    /// A policy could not be evaluated; errors deny.
    #[error("a policy cannot be evaluated: {reason}")]
    PolicyError {
        /// What Cedar said.
        reason: String,
    },
    /// No relying party has this name.
    #[error("no relying party is called `{found}`")]
    RelyingPartyUnknown {
        /// What was asked for.
        found: String,
    },
    /// The SVID's subject cannot be shaped.
    #[error("the subject for `{relying_party}` cannot be made: {reason}")]
    SubjectRefused {
        /// The relying party.
        relying_party: String,
        /// What is wrong.
        reason: String,
    },
    /// The grant releases credentials only.
    #[error(
        "grant `{grant}` releases credentials of `{relying_party}`, not the SVID itself (no `release = [\"svid\"]`)"
    )]
    SvidNotReleased {
        /// The grant.
        grant: String,
        /// The relying party.
        relying_party: String,
    },
}

impl Denial {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ActorNotGranted { .. } => "authorize.actor_not_granted",
            Self::ConditionFailed { .. } => "authorize.condition_failed",
            Self::Forbidden { .. } => "authorize.forbidden",
            Self::LifetimeBelowMinimum { .. } => "authorize.lifetime_below_minimum",
            Self::Locked { .. } => "authorize.locked",
            Self::LocksStale { .. } => "authorize.locks_stale",
            Self::NoGrant { .. } => "authorize.no_grant",
            Self::PolicyError { .. } => "authorize.policy_error",
            Self::RelyingPartyUnknown { .. } => "authorize.relying_party_unknown",
            Self::SubjectRefused { .. } => "authorize.subject_refused",
            Self::SvidNotReleased { .. } => "authorize.svid_not_released",
        }
    }
}
