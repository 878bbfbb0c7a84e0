//! How the writer begins, and how it finds its place again.
//!
//! Never goes on from a store that lies before what a checkpoint or this process has seen.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::{Instant, UNIX_EPOCH},
};

use tokio::{sync::watch, task::JoinSet, time};

use super::{Fate, Lost, Writer, batch::Part, unavailable};
use crate::{
    audit::{
        chain::{Chain, line},
        checkpoint::{self, Checkpoint, Head},
        clock_trust::ClockTrust,
        entry::Draft,
        sinks::Spool,
        trail::{Health, Rollback, Shared, TrailError, TrailOptions},
    },
    clock::{self, Clock},
    secret::{Random, hex},
    store::{Store, StoreError, TrailFilter},
};

impl Writer {
    /// Names the chain, holds the store against its checkpoint, and closes what earlier processes left open.
    pub(in crate::audit) async fn prepare(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        random: &dyn Random,
        options: TrailOptions,
    ) -> Result<(Self, Arc<Shared>), TrailError> {
        let chain = Chain::new(name(store.as_ref(), random).await?);
        store.begin_chain(chain.writer()).await?;
        let rows = store.heads().await?;
        let heads = rows.iter().map(Head::of).collect::<Vec<_>>();
        let last = checkpoint::stored(store.as_ref()).await?;
        if options.rollback == Rollback::Refuse {
            let kept = last.as_ref().map(Checkpoint::heads).unwrap_or_default();
            checkpoint::hold_against(store.as_ref(), &heads, kept).await?;
            checkpoint::hold_against(store.as_ref(), &heads, &options.known_heads).await?;
        }
        let last_row = rows.iter().map(|row| row.time_seconds).max();
        let last_row = last_row.and_then(clock::from_unix_seconds).unwrap_or(UNIX_EPOCH);
        let floor = last.map_or(UNIX_EPOCH, |last| last.time()).max(last_row);
        let (ended, has_ended) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let shared = Arc::new(Shared {
            clock: ClockTrust::new(clock, floor),
            closing: watch::Sender::new(false),
            ended: has_ended,
            sinks: options
                .sinks
                .into_iter()
                .map(|sink| Spool::start(sink, &mut tasks))
                .collect(),
            progress: Mutex::new(Health {
                writer: chain.writer().to_owned(),
                ..Health::default()
            }),
        });
        let mut writer = Self {
            store,
            shared: Arc::clone(&shared),
            ended,
            signer: options.signer,
            chain,
            heads,
            fate: Fate::Known,
            lost: Lost::Pending,
            since_checkpoint: 0,
            pace: options.pace,
            tasks,
        };
        if shared.clock.now().is_ok() {
            writer.close_lost().await?;
        }
        Ok((writer, shared))
    }

    /// Closes the intents whose outcome was lost with their process, a few hundred a commit.
    pub(super) async fn close_lost(&mut self) -> Result<(), TrailError> {
        let mut before = None;
        loop {
            let lost = self.store.lost_intents(self.chain.writer(), CLOSED_AT_ONCE);
            let lost = time::timeout(self.pace.commit_within, lost)
                .await
                .map_err(|elapsed| unavailable(Box::new(elapsed)))??;
            let first = lost.first().map(|row| (row.writer.clone(), row.sequence));
            if lost.is_empty() || first == before {
                self.lost = Lost::Closed;
                return Ok(());
            }
            before = first;
            let entries = lost.iter().map(Draft::lost).collect();
            let now = self.shared.clock.now()?;
            self.commit(
                &[],
                vec![Part {
                    has_use: false,
                    entries,
                }],
                now,
            )
            .await?;
        }
    }

    /// Looks whether another process is gone that shared the store, and whether this one is taken for gone.
    pub(super) async fn look_for_lost(&mut self) {
        let before = mem::replace(&mut self.lost, Lost::Pending);
        let looked = self.ready().await;
        if before == Lost::Closed {
            // The next look tries again; no entry has to wait for it.
            self.lost = Lost::Closed;
        }
        let Err(error) = looked else {
            return;
        };
        if let TrailError::Store(found) = &error
            && matches!(**found, StoreError::Fenced { .. })
            && !matches!(self.fate, Fate::Fenced(_))
        {
            self.fate = Fate::Fenced(Instant::now());
            self.shared.progress().last_error = Some(error.to_string());
        }
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "intents of processes that are gone were not closed"
        );
    }

    /// Begins a new chain after another process ended the last one, once nothing of before can be under way any more.
    ///
    /// This process was paused or cut off for longer than its lease, and its intents were closed as unknown.
    pub(super) async fn begin_again(&mut self, since: Instant) -> Result<(), TrailError> {
        let ended = self.chain.writer().to_owned();
        if since.elapsed() < self.pace.fenced_for {
            return Err(StoreError::Fenced { writer: ended }.into());
        }
        let heads: Vec<Head> = self.store.heads().await?.iter().map(Head::of).collect();
        let mut known = self.heads.clone();
        known.retain(|head| head.writer != ended);
        known.extend(Some(Head::end_of(&self.chain)).filter(|head| head.sequence > 0));
        checkpoint::hold_against(self.store.as_ref(), &heads, &known).await?;
        let chain = Chain::new(self.chain.next_writer());
        self.store.begin_chain(chain.writer()).await?;
        chain.writer().clone_into(&mut self.shared.progress().writer);
        self.chain = chain;
        self.fate = Fate::Known;
        let detail = format!(
            "chain {ended} was ended by another process, this one goes on in {}",
            self.chain.writer()
        );
        let entries = vec![Draft::change(&detail)];
        let now = self.shared.clock.now()?;
        self.commit(
            &[],
            vec![Part {
                has_use: false,
                entries,
            }],
            now,
        )
        .await?;
        Ok(())
    }

    /// Finds out whether the commit that failed became durable after all.
    ///
    /// Its groups were told that nothing is recorded, so nothing was released for them; but their places are taken.
    pub(super) async fn resume(&mut self) -> Result<(), TrailError> {
        loop {
            let known = self.chain.sequence();
            let filter = TrailFilter {
                writer: Some(self.chain.writer().to_owned()),
                after_sequence: Some(known.saturating_sub(1)),
                ..TrailFilter::default()
            };
            let rows = time::timeout(self.pace.commit_within, self.store.trail(filter))
                .await
                .map_err(|elapsed| unavailable(Box::new(elapsed)))??;
            let found = rows.last().map_or(0, |row| row.sequence);
            let kept = rows
                .iter()
                .any(|row| row.sequence == known && row.hash == self.chain.hash());
            if known > 0 && !kept {
                return Err(TrailError::RolledBack {
                    writer: self.chain.writer().to_owned(),
                    found,
                    expected: known,
                });
            }
            let mut lines = Vec::new();
            for row in rows.iter().filter(|row| row.sequence > known) {
                self.chain.resume(row);
                lines.push(line(row));
            }
            self.since_checkpoint += self.chain.sequence() - known;
            self.copy(lines);
            if self.chain.sequence() == known {
                self.fate = Fate::Known;
                return Ok(());
            }
        }
    }
}

/// Returns the name of this process's chain: the store's own random name, and one of this start.
async fn name(store: &dyn Store, random: &dyn Random) -> Result<String, TrailError> {
    let mut bytes = [0; 16];
    random.fill(&mut bytes)?;
    let (place, boot) = bytes.split_at(6);
    let place = if let Some(place) = store.fact(NAME_FACT).await? {
        place
    } else {
        let place = hex(place);
        store.set_fact(NAME_FACT, &place).await?;
        place
    };
    Ok(format!("{place}-{}", hex(boot)))
}

/// Few enough for one commit.
const CLOSED_AT_ONCE: u32 = 500;

/// Under which name the store keeps its own random name.
const NAME_FACT: &str = "trail.name";
