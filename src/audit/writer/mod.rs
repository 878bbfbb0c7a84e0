//! The writer task: one a process, batching commits; a batch is what queued during the last one.
//!
//! Never gives a sequence number twice: after a commit of unknown fate it first looks what the store holds.

mod batch;
mod start;

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::{mpsc, watch},
    task::{self, JoinHandle, JoinSet},
    time::{self, MissedTickBehavior},
};

use self::batch::{Composed, GroupFate, Part, answer};
use super::{
    chain::Chain,
    checkpoint::{self, CheckpointSigner, Head},
    trail::{Pace, Queued, Shared, TrailError},
};
use crate::store::{Commit, LedgerUse, LedgerVerdict, Store, StoreError};

/// The state of the writer task.
#[derive(Debug)]
pub(in crate::audit) struct Writer {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    ended: watch::Sender<bool>,
    signer: Option<Arc<dyn CheckpointSigner>>,
    chain: Chain,
    /// The heads of all chains as far as they were seen.
    heads: Vec<Head>,
    fate: Fate,
    lost: Lost,
    since_checkpoint: u64,
    pace: Pace,
    tasks: JoinSet<()>,
}

/// What is known of the chain's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Another process ended the chain, as was found out then.
    Fenced(Instant),
    Known,
    /// The last commit may have become durable or not.
    Unknown,
}

/// Whether intents of processes that are gone still wait for their `unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Closed,
    Pending,
}

impl Writer {
    /// Starts the task.
    pub(in crate::audit) fn spawn(self, queue: mpsc::Receiver<Queued>) -> JoinHandle<()> {
        tokio::spawn(self.run(queue))
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Queued>) {
        let mut forgetting = JoinSet::new();
        forgetting.spawn(forget(Arc::clone(&self.store), Arc::clone(&self.shared), self.pace));
        let every = self.pace.checkpoint_every;
        let mut tick = time::interval_at(time::Instant::now() + every, every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut closing = self.shared.closing.subscribe();
        let mut look = time::interval_at(
            time::Instant::now() + self.pace.close_lost_every,
            self.pace.close_lost_every,
        );
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                taken = queue.recv_many(&mut batch, QUEUE_MAX) => {
                    if taken == 0 {
                        break;
                    }
                    gather(&mut queue, &mut batch).await;
                    self.write(mem::take(&mut batch)).await;
                    if self.since_checkpoint >= CHECKPOINT_ENTRIES {
                        self.checkpoint().await;
                        tick.reset();
                    }
                }
                _now = tick.tick() => self.checkpoint().await,
                _now = look.tick() => self.look_for_lost().await,
                () = asked_to_close(&mut closing), if !queue.is_closed() => queue.close(),
            }
        }
        self.checkpoint().await;
        drop(forgetting);
        for sink in &self.shared.sinks {
            sink.end();
        }
        if time::timeout(DRAIN_SINKS, async { while self.tasks.join_next().await.is_some() {} })
            .await
            .is_err()
        {
            tracing::warn!("a sink did not take its last entries in time; the store holds them");
        }
        self.ended.send_replace(true);
    }

    /// Commits one batch and answers each of its groups.
    async fn write(&mut self, mut batch: Vec<Queued>) {
        // Whoever waited too long was told that nothing is recorded; then nothing should be.
        batch.retain(|queued| !queued.reply.is_closed());
        if batch.is_empty() {
            return;
        }
        let now = match self.ready().await {
            Ok(now) => now,
            Err(error) => return fail(batch, &error),
        };
        let mut uses = Vec::new();
        let mut parts = Vec::with_capacity(batch.len());
        let mut replies = Vec::with_capacity(batch.len());
        for Queued { group, reply } in batch {
            parts.push(Part {
                has_use: group.ledger.is_some(),
                entries: group.entries,
            });
            uses.extend(group.ledger);
            replies.push(reply);
        }
        match self.commit(&uses, parts, now).await {
            Ok((commit, fates)) => answer(replies, &commit, fates),
            Err(error) => {
                for reply in replies {
                    let _gone = reply.send(Err(TrailError::Store(Arc::clone(&error))));
                }
            }
        }
    }

    /// Returns the moment to record at, once the clock is believed and the end of the chain is known.
    async fn ready(&mut self) -> Result<SystemTime, TrailError> {
        self.shared.clock.now()?;
        match self.fate {
            Fate::Fenced(since) => self.begin_again(since).await?,
            Fate::Known => {}
            Fate::Unknown => self.resume().await?,
        }
        if self.lost == Lost::Pending {
            self.close_lost().await?;
        }
        self.shared.clock.now()
    }

    async fn commit(
        &mut self,
        uses: &[LedgerUse],
        parts: Vec<Part>,
        now: SystemTime,
    ) -> Result<(Commit, Vec<GroupFate>), Arc<StoreError>> {
        let started = Instant::now();
        let lines = self.shared.sinks.first().map(|_| Vec::new());
        let mut composed = Composed::new(self.chain.clone(), parts.len(), lines);
        let result = {
            let composed = &mut composed;
            let compose = Box::new(move |verdicts: &[LedgerVerdict]| composed.compose(parts, verdicts, now));
            time::timeout(self.pace.commit_within, self.store.commit(uses, compose, now)).await
        };
        let result = match (result, composed.broken.take()) {
            (Err(elapsed), _) => Err(unavailable(Box::new(elapsed))),
            (Ok(Err(error)), _) => Err(error),
            (Ok(Ok(_)), Some(broken)) => Err(unavailable(Box::new(broken))),
            (Ok(Ok(commit)), None) => Ok(commit),
        };
        let latency = started.elapsed();
        match result {
            Ok(commit) => {
                self.committed(composed.chain, composed.lines, (now, latency));
                Ok((commit, composed.fates))
            }
            Err(error) => {
                self.fate = if matches!(error, StoreError::Fenced { .. }) {
                    Fate::Fenced(Instant::now())
                } else {
                    Fate::Unknown
                };
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the audit trail was not committed"
                );
                let mut progress = self.shared.progress();
                progress.failures += 1;
                progress.last_error = Some(format!("{error}"));
                Err(Arc::new(error))
            }
        }
    }

    fn committed(&mut self, chain: Chain, lines: Option<Vec<String>>, at: (SystemTime, Duration)) {
        let entries = chain.sequence() - self.chain.sequence();
        self.chain = chain;
        self.since_checkpoint += entries;
        self.copy(lines.unwrap_or_default());
        let mut progress = self.shared.progress();
        progress.entries += entries;
        progress.commits += 1;
        progress.last_commit = Some(at.0);
        progress.last_latency = at.1;
        progress.last_error = None;
    }

    fn copy(&self, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        let lines: Arc<[String]> = lines.into();
        for sink in &self.shared.sinks {
            sink.offer(Arc::clone(&lines));
        }
    }

    /// Signs the heads of all chains, if anything was recorded since the last time.
    async fn checkpoint(&mut self) {
        if self.since_checkpoint == 0 || self.fate != Fate::Known {
            return;
        }
        let Some(signer) = self.signer.clone() else {
            return;
        };
        let Ok(now) = self.shared.clock.now() else {
            return;
        };
        let within = self.pace.commit_within;
        let result = match time::timeout(within, self.sign_heads(signer.as_ref(), now)).await {
            Ok(result) => result,
            Err(elapsed) => Err(unavailable(Box::new(elapsed)).into()),
        };
        let mut progress = self.shared.progress();
        match result {
            Ok(()) => {
                progress.last_checkpoint = Some(now);
                progress.checkpoint_error = None;
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "no checkpoint was made");
                progress.checkpoint_error = Some(error.to_string());
            }
        }
    }

    async fn sign_heads(
        &mut self,
        signer: &dyn CheckpointSigner,
        now: SystemTime,
    ) -> Result<(), checkpoint::CheckpointFailed> {
        let seen = self.store.heads().await?;
        checkpoint::advance(&mut self.heads, seen.iter().map(Head::of))?;
        checkpoint::advance(&mut self.heads, [Head::end_of(&self.chain)])?;
        let line = checkpoint::sign(signer, &self.heads, now).await?;
        self.store.set_fact(checkpoint::FACT, &line).await?;
        self.since_checkpoint = 0;
        self.shared.clock.checkpointed(now);
        self.copy(vec![line]);
        Ok(())
    }
}

/// Lets requests that are ready to run reach the queue first: one flush then serves them all.
///
/// Without it the first to sign wakes the writer, which would commit for that one alone while the rest wait for the core.
/// A lone request loses one turn of the scheduler and nothing else.
async fn gather(queue: &mut mpsc::Receiver<Queued>, batch: &mut Vec<Queued>) {
    let began = Instant::now();
    loop {
        task::yield_now().await;
        let before = batch.len();
        let room = QUEUE_MAX.saturating_sub(before);
        while batch.len() - before < room
            && let Ok(queued) = queue.try_recv()
        {
            batch.push(queued);
        }
        if batch.len() == before || began.elapsed() >= GATHER {
            return;
        }
    }
}

fn fail(batch: Vec<Queued>, error: &TrailError) {
    for queued in batch {
        let _gone = queued.reply.send(Err(error.clone()));
    }
}

async fn asked_to_close(closing: &mut watch::Receiver<bool>) {
    // An error means that every handle is gone, and with them the queue's senders: that ends the task as well.
    let _gone = closing.wait_for(|closing| *closing).await.is_ok();
}

fn unavailable(source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::Unavailable {
        doing: "recording",
        source,
    }
}

/// Forgets used evidence whose memory has ended, but only by a clock that is believed: one that jumped ahead would
/// forget what can still be replayed.
async fn forget(store: Arc<dyn Store>, shared: Arc<Shared>, pace: Pace) {
    let mut tick = time::interval(pace.forget_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Ok(now) = shared.clock.now()
            && let Err(error) = store.forget(now).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "used evidence was not forgotten"
            );
        }
    }
}

/// LIMITS.md: requests in flight; also the largest batch.
pub(in crate::audit) const QUEUE_MAX: usize = 1_024;

/// How long a batch may grow while requests still arrive: about a dozen RSA signatures of one core.
const GATHER: Duration = Duration::from_millis(4);

/// LIMITS.md: a checkpoint each 1,000 entries or 60 s ([`Pace`]).
const CHECKPOINT_ENTRIES: u64 = 1_000;

/// A quarter of the shutdown's drain (LIMITS.md: 20 s).
const DRAIN_SINKS: Duration = Duration::from_secs(5);
