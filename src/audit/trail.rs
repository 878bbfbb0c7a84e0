//! The trail as the six steps see it: what is recorded together, and what became of it.
//!
//! Never says that something is recorded before the store has committed it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot, watch,
    },
    task::JoinHandle,
    time::timeout,
};

use super::{
    checkpoint::{CheckpointSigner, Head},
    clock_trust::ClockTrust,
    sinks::{Sink, SinkHealth, Spool},
    writer::{self, Writer},
};
use crate::{
    attest::AttestRefusal,
    audit::entry::Draft,
    clock::Clock,
    secret::{NoRandomness, Random},
    store::{Committed, LedgerUse, Store, StoreError},
};

/// The handle to the writer task; cheap to clone.
#[derive(Clone, Debug)]
pub struct Trail {
    queue: mpsc::Sender<Queued>,
    shared: Arc<Shared>,
    answer_within: Duration,
}

/// What is recorded together: the use of the evidence and the entries about it.
#[derive(Debug)]
pub struct Group {
    /// The use to hold against the ledger; `None` for evidence that may be used until it expires, and for outcomes.
    pub ledger: Option<LedgerUse>,
    /// The entries; if the ledger refuses, each becomes a denial.
    pub entries: Vec<Draft>,
}

/// What became of a group.
#[derive(Debug)]
pub enum Recorded {
    /// The entries are durable as given.
    Committed(Committed),
    /// The ledger remembers an earlier end of the attestation; nothing was recorded, decide again.
    Earlier(SystemTime),
    /// The ledger refused; the entries are durable as denials.
    Refused {
        /// Lists the digests of the denials (`entry::denial_digest`).
        committed: Committed,
        /// Why.
        refusal: AttestRefusal,
    },
}

/// How the trail is started.
#[derive(Debug, Default)]
pub struct TrailOptions {
    /// Signs checkpoints; without one there are none.
    pub signer: Option<Arc<dyn CheckpointSigner>>,
    /// Where copies go after each commit.
    pub sinks: Vec<Arc<dyn Sink>>,
    /// The heads of a checkpoint kept elsewhere, which the store must not lie before (TM-42).
    pub known_heads: Vec<Head>,
    /// What to do about a store that lies before a checkpoint.
    pub rollback: Rollback,
    /// How long things may take.
    pub pace: Pace,
}

/// How long the trail waits, and how often it does what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long one commit may take before it is given up; its fate is then looked up.
    pub commit_within: Duration,
    /// How long a request waits for its answer.
    pub answer_within: Duration,
    /// How often a checkpoint is made where fewer than 1,000 entries came.
    pub checkpoint_every: Duration,
    /// How often used evidence is forgotten whose memory has ended.
    pub forget_every: Duration,
    /// How often intents of processes that are gone are looked for.
    pub close_lost_every: Duration,
    /// How long nothing is recorded after another process ended this one's chain, before it begins a new one.
    pub fenced_for: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            // TM-41: the store's deadline is 2 s, and a request is answered within 3 s even when the store is not.
            commit_within: Duration::from_secs(2),
            answer_within: Duration::from_secs(3),
            checkpoint_every: Duration::from_mins(1), // LIMITS.md
            // Often enough that expired rows are a small part of the ledger, seldom enough to cost nothing.
            forget_every: Duration::from_secs(10),
            // A lease is three times as long; nobody waits for an `unknown`.
            close_lost_every: Duration::from_secs(5),
            // LIMITS.md: a whole request takes 30 s at most. What was under way when the chain ended, and whose intents were
            // closed as unknown, is over by then: no outcome can follow an `unknown`.
            fenced_for: Duration::from_secs(30),
        }
    }
}

/// What to do about a store that lies before a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rollback {
    /// Goes on, because an operator restored the store on purpose.
    Accept,
    /// Refuses to start.
    #[default]
    Refuse,
}

impl Trail {
    /// Starts the writer task: begins a chain, holds the store against its last checkpoint, and closes the intents that
    /// processes left open which are gone; the last of these it goes on doing, where others share the store.
    ///
    /// With a clock that cannot be believed it starts, but records nothing until [`Self::confirm_clock`].
    ///
    /// # Errors
    /// Fails where the store does, and where the store lies before a checkpoint.
    pub async fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        random: &dyn Random,
        options: TrailOptions,
    ) -> Result<(Self, JoinHandle<()>), TrailError> {
        let (queue, queued) = mpsc::channel(writer::QUEUE_MAX);
        let answer_within = options.pace.answer_within;
        let (writer, shared) = Writer::prepare(store, clock, random, options).await?;
        let task = writer.spawn(queued);
        let trail = Self {
            queue,
            shared,
            answer_within,
        };
        Ok((trail, task))
    }

    /// Records `group`: returns when it is durable, or not at all.
    ///
    /// # Errors
    /// Nothing of the group is known to be durable where this fails; nothing that waits for it may be released.
    pub async fn record(&self, group: Group) -> Result<Recorded, TrailError> {
        let (reply, answer) = oneshot::channel();
        self.queue
            .try_send(Queued { group, reply })
            .map_err(|refused| match refused {
                TrySendError::Closed(_group) => TrailError::Stopped,
                TrySendError::Full(_group) => TrailError::Overloaded {
                    waiting: writer::QUEUE_MAX,
                },
            })?;
        match timeout(self.answer_within, answer).await {
            Err(_elapsed) => Err(TrailError::Late {
                after: self.answer_within,
            }),
            Ok(Err(_dropped)) => Err(TrailError::Stopped),
            Ok(Ok(answer)) => answer,
        }
    }

    /// Believes what the clock shows from now on, and records that an operator said so.
    ///
    /// # Errors
    /// Fails where the entry about it cannot be recorded; the clock is believed all the same.
    pub async fn confirm_clock(&self) -> Result<(), TrailError> {
        let now = self.shared.clock.confirm();
        let detail = format!("the clock was confirmed at {}", crate::clock::rfc3339(now));
        let group = Group {
            ledger: None,
            entries: vec![Draft::change(&detail)],
        };
        self.record(group).await.map(|_recorded| ())
    }

    /// Returns how the writer task is doing.
    pub fn health(&self) -> Health {
        let mut health = self.shared.progress().clone();
        health.waiting = self.queue.max_capacity().saturating_sub(self.queue.capacity());
        health.sinks = self.shared.sinks.iter().map(Spool::health).collect();
        (_, health.clock_trusted) = self.shared.clock.glance();
        health
    }

    /// Takes nothing more, commits what is queued, writes a last checkpoint, and returns when all is done.
    pub async fn close(&self) {
        self.shared.closing.send_replace(true);
        let mut ended = self.shared.ended.clone();
        // An error means that the task is gone without saying so; there is nothing left to wait for either.
        let _gone = ended.wait_for(|ended| *ended).await;
    }
}

/// How the writer task is doing.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// The chain's name.
    pub writer: String,
    /// How many requests wait.
    pub waiting: usize,
    /// How many entries this process recorded.
    pub entries: u64,
    /// How many commits it took.
    pub commits: u64,
    /// How many commits failed.
    pub failures: u64,
    /// When the last commit was made.
    pub last_commit: Option<SystemTime>,
    /// How long the last commit took.
    pub last_latency: Duration,
    /// Why the last commit failed; `None` once one succeeded again.
    pub last_error: Option<String>,
    /// When the last checkpoint was made.
    pub last_checkpoint: Option<SystemTime>,
    /// Why the last checkpoint failed; `None` once one succeeded again.
    pub checkpoint_error: Option<String>,
    /// Whether the clock is believed.
    pub clock_trusted: bool,
    /// How each sink is doing.
    pub sinks: Vec<SinkHealth>,
}

/// Nothing was recorded.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrailError {
    /// The clock lies before the last checkpoint, or jumped.
    #[error("the clock shows {found}, expected about {expected} or later")]
    ClockUntrusted {
        /// What the clock shows.
        found: String,
        /// What the last checkpoint or the time that passed says.
        expected: String,
    },
    /// The store did not answer in time; the entries may become durable yet, but nothing is released for them.
    #[error("the audit writer did not answer within {after:?}")]
    Late {
        /// How long was waited.
        after: Duration,
    },
    /// The ledger of used evidence holds as many rows as it may (TM-05).
    #[error("the ledger of used evidence is full")]
    LedgerFull,
    /// As many requests wait for the writer as may.
    #[error("the audit writer has {waiting} requests waiting")]
    Overloaded {
        /// How many wait.
        waiting: usize,
    },
    /// The platform gave no random bytes for the name of the chain.
    #[error("the chain of this process cannot be named")]
    Random(#[from] NoRandomness),
    /// The store lies before a checkpoint: an old copy was restored, or entries were removed.
    #[error("chain {writer} ends at {found}, a checkpoint knows it up to {expected} with another or later entry")]
    RolledBack {
        /// The chain.
        writer: String,
        /// The last position in the store.
        found: u64,
        /// The position that the checkpoint names.
        expected: u64,
    },
    /// The store did not commit.
    #[error("the audit trail cannot be written")]
    Store(#[from] Arc<StoreError>),
    /// The writer task has ended.
    #[error("the audit writer has stopped")]
    Stopped,
}

impl TrailError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ClockUntrusted { .. } => "clock.untrusted",
            Self::RolledBack { .. } => "store.rolled_back",
            Self::LedgerFull
            | Self::Late { .. }
            | Self::Overloaded { .. }
            | Self::Random(_)
            | Self::Store(_)
            | Self::Stopped => "store.unavailable",
        }
    }
}

impl From<StoreError> for TrailError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// A group on its way to the writer.
#[derive(Debug)]
pub(in crate::audit) struct Queued {
    pub(in crate::audit) group: Group,
    pub(in crate::audit) reply: oneshot::Sender<Result<Recorded, TrailError>>,
}

/// What handle and writer both see.
#[derive(Debug)]
pub(in crate::audit) struct Shared {
    pub(in crate::audit) clock: ClockTrust,
    pub(in crate::audit) closing: watch::Sender<bool>,
    pub(in crate::audit) ended: watch::Receiver<bool>,
    pub(in crate::audit) sinks: Vec<Spool>,
    pub(in crate::audit) progress: Mutex<Health>,
}

impl Shared {
    pub(in crate::audit) fn progress(&self) -> std::sync::MutexGuard<'_, Health> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
