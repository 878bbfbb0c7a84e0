//! Step 2: an attestation becomes a workload with a SPIFFE ID.
//!
//! It must never decide what the workload may have.

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
}

impl Workload {
    fn new(attestation: Attestation, spiffe_id: SpiffeId, entry: EntryName) -> Self {
        Self {
            identity: Arc::new(Identity {
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
            Self::NoEntry { .. } => "identify.no_entry",
            Self::Template { .. } => "identify.template_refused",
        }
    }

    /// Returns what was attested, for the ledger and the trail.
    pub fn attestation(&self) -> &Attestation {
        match self {
            Self::NoEntry { attestation, .. } | Self::Template { attestation, .. } => attestation,
        }
    }
}
