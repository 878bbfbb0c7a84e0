//! Step 3: whether a workload may hold a credential of a relying party, for how long, and by which rule.
//!
//! There is one `authorize`; every path goes through it.

mod cedar;
pub mod decision;
pub mod grant;
mod grant_rules;
mod index;
mod lifetime;
pub mod lock;
mod near_miss;
mod pattern;
pub mod policy;
mod raw;
#[cfg(test)]
pub(crate) mod sample;
mod sharing;
mod subject;

pub use decision::{Decision, Denial};
pub use grant::{Grant, GrantName, Release};
pub use lock::{LockSet, LockTarget, Locks};
pub use policy::{AuthorizeRequest, Basis, Policy, PolicySource, RelyingPartySource};
pub use raw::RawPolicyFile;

use std::{sync::Arc, time::Duration};

use crate::{attest::ExchangeId, identify::Workload, name::Name, spiffe::SpiffeId};

/// Marks the names of relying parties.
#[derive(Debug)]
pub enum RelyingPartyNamed {}

/// The name of a configured relying party.
pub type RelyingPartyName = Name<RelyingPartyNamed>;

/// What a relying party lays down about every SVID for it; declared at load, never by a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The one audience of the SVID.
    pub audience: String,
    /// The subject's path under `/rp/` where it is shaped, `None` for the workload's own SPIFFE ID.
    ///
    /// May hold `{attribute}` placeholders.
    pub subject: Option<String>,
    /// The shortest credential that the relying party gives (AWS: 15 minutes).
    pub minimum: Duration,
    /// The longest.
    pub maximum: Duration,
    /// How the credential's life comes about.
    pub lifetime_mode: LifetimeMode,
    /// Whether the credential is narrowed by a session policy, so that the bare SVID would give more.
    pub session_policy: bool,
    /// Whether what the SVID opens is the same as the credential: then handing it out needs no `release`.
    pub svid_is_credential: bool,
}

/// How the life of a relying party's credential comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeMode {
    /// The relying party alone decides (Entra, 60 to 90 minutes).
    Fixed,
    /// The credential dies with the SVID (Google without impersonation).
    FollowsSvid,
    /// We ask for it (AWS, Google impersonation).
    Requested,
}

/// What the caller wants to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// The relying party's credential.
    Credential,
    /// The SVID itself.
    Svid,
}

/// Permission for one workload to hold one credential of one relying party once.
///
/// Only [`Policy::authorize`] makes one, so code that takes a `Permission` needs no check of its own.
///
/// ```compile_fail,E0451
/// use cambio::authorize::Permission;
/// fn forged(permission: Permission) -> Permission {
///     Permission { policy_generation: 0, ..permission }
/// }
/// ```
///
/// That the names are right, so that the above fails for the reason it should:
///
/// ```
/// use cambio::authorize::Permission;
/// fn reads(permission: &Permission) -> u64 {
///     permission.policy_generation()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Permission {
    exchange_id: ExchangeId,
    workload: Workload,
    party: Arc<Party>,
    /// The subject, where it is not the workload's own SPIFFE ID.
    shaped: Option<SpiffeId>,
    lifetime: Duration,
    lifetime_note: LifetimeNote,
    rule: Vec<GrantName>,
    policy_generation: u64,
}

/// A relying party as the policy knows it; shared, so that a permission costs little.
#[derive(Debug)]
struct Party {
    name: RelyingPartyName,
    terms: Terms,
}

/// Whether the permitted lifetime is what the rule alone would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeNote {
    /// It exceeds the attestation's standing, because the relying party fixes it and the grant accepts that.
    ExceedsStanding,
    /// It was raised to the relying party's minimum.
    Raised,
    /// It is the smallest of grant, standing and the relying party's maximum.
    Within,
}

impl Permission {
    /// Returns the request's id.
    pub fn exchange_id(&self) -> &ExchangeId {
        &self.exchange_id
    }

    /// Returns who may.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// Returns whose credential.
    pub fn relying_party(&self) -> &RelyingPartyName {
        &self.party.name
    }

    /// Returns what the relying party lays down.
    pub fn terms(&self) -> &Terms {
        &self.party.terms
    }

    /// Returns the SVID's subject: the workload's SPIFFE ID, or the one the relying party shapes.
    pub fn subject(&self) -> &SpiffeId {
        self.shaped.as_ref().unwrap_or_else(|| self.workload.spiffe_id())
    }

    /// Returns how long the credential may live.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Returns whether the lifetime is out of the ordinary.
    pub fn lifetime_note(&self) -> LifetimeNote {
        self.lifetime_note
    }

    /// Returns the grants that permit it, the decisive one first.
    pub fn rule(&self) -> &[GrantName] {
        &self.rule
    }

    /// Returns the generation of the policy that decided.
    pub fn policy_generation(&self) -> u64 {
        self.policy_generation
    }
}
