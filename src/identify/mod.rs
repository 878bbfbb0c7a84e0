//! Step 2: an attestation becomes a workload with a SPIFFE ID.
//!
//! It must never decide what the workload may have.

pub mod actor;
pub mod condition;
pub mod danger;
pub mod entry;
mod overlap;
pub mod problem;
pub mod registry;
#[cfg(test)]
pub(crate) mod sample;
pub mod template;

use std::{sync::Arc, time::SystemTime};

pub use actor::ActorRefused;
pub use condition::{Condition, Conditions};
pub use entry::{AttestorFacts, Entry, EntryName, EntrySource};
pub use problem::{Place, Problem, Table};
pub use registry::Registry;
pub use template::Template;

use crate::{attest::Attestation, spiffe::SpiffeId};

/// A workload: what was attested, and the SPIFFE ID that a registration entry gives it.
///
/// Only [`Registry::identify`] makes one. A copy costs no more than a counter.
///
/// ```compile_fail,E0451
/// use cambio::identify::Workload;
/// fn forged(workload: Workload) -> Workload {
///     Workload { identity: loop {} }
/// }
/// ```
///
/// That the name itself is right:
///
/// ```
/// use cambio::identify::Workload;
/// fn reads(workload: &Workload) -> &str {
///     workload.spiffe_id().as_str()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Workload {
    identity: Arc<Identity>,
}

#[derive(Clone, Debug)]
struct Identity {
    attestation: Attestation,
    spiffe_id: SpiffeId,
    entry: EntryName,
    /// Who acts for it, the current actor first.
    actors: Vec<SpiffeId>,
    /// The current actor, where it is part of this request.
    actor: Option<Workload>,
}

impl Workload {
    fn new(attestation: Attestation, spiffe_id: SpiffeId, entry: EntryName) -> Self {
        Self {
            identity: Arc::new(Identity {
                actors: attestation.delegation().actors.clone(),
                actor: None,
                attestation,
                spiffe_id,
                entry,
            }),
        }
    }

    /// Returns the SPIFFE ID.
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.identity.spiffe_id
    }

    /// Returns the registration entry that named it.
    pub fn entry(&self) -> &EntryName {
        &self.identity.entry
    }

    /// Returns what was attested.
    pub fn attestation(&self) -> &Attestation {
        &self.identity.attestation
    }

    /// Returns who acts for it, the current actor first; empty where it acts itself.
    pub fn actors(&self) -> &[SpiffeId] {
        &self.identity.actors
    }

    /// Returns the workload that acts for it, where that one presented evidence of its own with this request.
    pub fn actor(&self) -> Option<&Self> {
        self.identity.actor.as_ref()
    }

    /// Puts an actor in front of the others; the standing ends with the actor's.
    fn with_actor(self, actor: Self) -> Self {
        let ends = actor.attestation().stands_until();
        let mut identity = Arc::unwrap_or_clone(self.identity);
        identity.attestation = identity.attestation.standing_until(ends);
        identity.actors.insert(0, actor.spiffe_id().clone());
        identity.actor = Some(actor);
        Self {
            identity: Arc::new(identity),
        }
    }

    /// Shortens the standing to what the ledger remembers of the first use.
    #[must_use]
    pub fn standing_until(self, stands_until: SystemTime) -> Self {
        let identity = Arc::unwrap_or_clone(self.identity);
        Self {
            identity: Arc::new(Identity {
                attestation: identity.attestation.standing_until(stands_until),
                ..identity
            }),
        }
    }
}

/// No registration entry names the attested workload.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unidentified {
    /// The actor cannot act for the workload.
    #[error("{reason}")]
    Actor {
        /// For whom.
        subject: Box<Workload>,
        /// What was attested of the actor.
        actor: Box<Attestation>,
        /// Why not.
        reason: ActorRefused,
    },
    /// No entry of the attestor matches.
    #[error("no entry of attestor `{}` matches{}", attestation.attestor(), closest(closest_entry.as_deref()))]
    NoEntry {
        /// What was attested.
        attestation: Box<Attestation>,
        /// The closest entry and the condition that failed.
        closest_entry: Option<String>,
    },
    /// The entry's template cannot be filled.
    #[error("entry `{entry}` cannot name the workload: {reason}")]
    Template {
        /// What was attested.
        attestation: Box<Attestation>,
        /// The entry.
        entry: EntryName,
        /// The attribute and what is wrong with it.
        reason: String,
    },
}

fn closest(entry: Option<&str>) -> String {
    entry.map_or_else(String::new, |entry| format!("; closest: {entry}"))
}

impl Unidentified {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Actor { reason, .. } => reason.code(),
            Self::NoEntry { .. } => "identify.no_entry",
            Self::Template { .. } => "identify.template_refused",
        }
    }

    /// Returns the subject, where it has a name, and what was attested of the actor that cannot act for it.
    pub fn acted(&self) -> Option<(&Workload, &Attestation)> {
        match self {
            Self::Actor { subject, actor, .. } => Some((subject, actor)),
            Self::NoEntry { .. } | Self::Template { .. } => None,
        }
    }

    /// Returns what was attested of the subject, for the ledger and the trail.
    pub fn attestation(&self) -> &Attestation {
        match self {
            Self::Actor { subject, .. } => subject.attestation(),
            Self::NoEntry { attestation, .. } | Self::Template { attestation, .. } => attestation,
        }
    }
}
