//! A memory copy of the locks, with the time it was read.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, SystemTime},
};

use crate::{
    authorize::{Denial, RelyingPartyName},
    identify::Workload,
    store::LockRow,
};

/// What kind of thing a lock shuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockTarget {
    /// Everything that one attestor attests.
    Attestor,
    /// Every workload of one registration entry.
    Entry,
    /// Every credential of one relying party.
    RelyingParty,
    /// One CI run, by `ci.run_id`.
    Run,
    /// One workload, by its own SPIFFE ID and never by a shaped subject.
    SpiffeId,
}

impl LockTarget {
    /// Returns what the store's row says.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attestor => "attestor",
            Self::Entry => "entry",
            Self::RelyingParty => "relying_party",
            Self::Run => "run",
            Self::SpiffeId => "spiffe_id",
        }
    }

    /// Reads what the store's row says.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.as_str() == text)
    }

    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Attestor,
        Self::Entry,
        Self::RelyingParty,
        Self::Run,
        Self::SpiffeId,
    ];
}

impl fmt::Display for LockTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// LIMITS.md: a memory copy of the locks that is older denies.
pub const MAX_AGE: Duration = Duration::from_secs(10);

/// The locks as they were read at one moment.
#[derive(Clone, Debug)]
pub struct LockSet {
    read: SystemTime,
    attestors: HashMap<String, String>,
    entries: HashMap<String, String>,
    relying_parties: HashMap<String, String>,
    runs: HashMap<String, String>,
    spiffe_ids: HashMap<String, String>,
    /// A row with a target that this program does not know.
    unreadable: Option<LockRow>,
}

impl LockSet {
    /// Takes the rows that were read at `read`, the moment before the store was asked.
    pub fn new(rows: impl IntoIterator<Item = LockRow>, read: SystemTime) -> Self {
        let mut set = Self {
            read,
            attestors: HashMap::new(),
            entries: HashMap::new(),
            relying_parties: HashMap::new(),
            runs: HashMap::new(),
            spiffe_ids: HashMap::new(),
            unreadable: None,
        };
        for row in rows {
            set.insert(row);
        }
        set
    }

    /// Returns the copy with one more lock; it is not younger for that.
    pub(super) fn with(&self, row: LockRow) -> Self {
        let mut set = self.clone();
        set.insert(row);
        set
    }

    fn insert(&mut self, row: LockRow) {
        match LockTarget::parse(&row.target) {
            Some(target) => {
                self.of_mut(target).insert(row.value, row.reason);
            }
            None => self.unreadable = Some(row),
        }
    }

    /// Tells whether the copy is young enough to decide on.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        self.age(now) <= MAX_AGE
    }

    /// A clock that was set back makes the age as unknown as a store that does not answer.
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.read)
            .unwrap_or_else(|earlier| earlier.duration())
    }

    /// Refuses what is locked, and everything where the copy is too old to tell.
    ///
    /// # Errors
    /// [`Denial::LocksStale`] and [`Denial::Locked`].
    pub(in crate::authorize) fn refuse(
        &self,
        workload: &Workload,
        relying_party: &RelyingPartyName,
        now: SystemTime,
    ) -> Result<(), Denial> {
        let age = self.age(now);
        if age > MAX_AGE {
            return Err(Denial::LocksStale {
                age_seconds: age.as_secs(),
            });
        }
        if let Some(row) = &self.unreadable {
            return Err(Denial::Locked {
                target: row.target.clone(),
                value: row.value.clone(),
                reason: format!(
                    "this program does not know the target, so it locks everything: {}",
                    row.reason
                ),
            });
        }
        let attestation = workload.attestation();
        self.shut(LockTarget::SpiffeId, workload.spiffe_id().as_str())?;
        self.shut(LockTarget::Entry, workload.entry().as_str())?;
        self.shut(LockTarget::Attestor, attestation.attestor().as_str())?;
        self.shut(LockTarget::RelyingParty, relying_party.as_str())?;
        if let Some(run) = attestation.attributes().get(RUN) {
            self.shut(LockTarget::Run, run)?;
        }
        for actor in workload.actors() {
            self.shut(LockTarget::SpiffeId, actor.as_str())?;
        }
        // What an actor does for another is shut with the actor.
        workload
            .actor()
            .map_or(Ok(()), |actor| self.refuse(actor, relying_party, now))
    }

    fn shut(&self, target: LockTarget, value: &str) -> Result<(), Denial> {
        let locks = self.of(target);
        if locks.is_empty() {
            return Ok(());
        }
        match locks.get(value) {
            None => Ok(()),
            Some(reason) => Err(Denial::Locked {
                target: target.to_string(),
                value: value.to_owned(),
                reason: reason.clone(),
            }),
        }
    }

    fn of(&self, target: LockTarget) -> &HashMap<String, String> {
        match target {
            LockTarget::Attestor => &self.attestors,
            LockTarget::Entry => &self.entries,
            LockTarget::RelyingParty => &self.relying_parties,
            LockTarget::Run => &self.runs,
            LockTarget::SpiffeId => &self.spiffe_ids,
        }
    }

    fn of_mut(&mut self, target: LockTarget) -> &mut HashMap<String, String> {
        match target {
            LockTarget::Attestor => &mut self.attestors,
            LockTarget::Entry => &mut self.entries,
            LockTarget::RelyingParty => &mut self.relying_parties,
            LockTarget::Run => &mut self.runs,
            LockTarget::SpiffeId => &mut self.spiffe_ids,
        }
    }
}

/// The attribute that names a CI run.
const RUN: &str = "ci.run_id";
