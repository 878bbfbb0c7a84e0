//! Which chains this process may add to, and which ones nobody does any more.
//!
//! Never judges by the clock of a process: a lease runs out by the database's clock, and only a process that itself reached
//! the database all the while may end the chain of another.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::{self, MissedTickBehavior};

use super::{
    QUICK, StoreError, TrailRow,
    connections::{Connections, within},
    trail, unavailable,
};

/// The chains of this process.
#[derive(Debug)]
pub(super) struct Chains {
    lease: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Where each chain ends as far as this process knows; `None` for one that another process ended.
    ends: HashMap<String, Option<End>>,
    /// Since when every renewal came in time.
    steady: Option<Steady>,
}

/// Where a chain ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    At(u64),
    /// There was a commit whose fate is not known.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Steady {
    since: Instant,
    last: Instant,
}

impl Chains {
    pub(super) fn new(lease: Duration) -> Self {
        let state = State {
            ends: HashMap::new(),
            steady: None,
        };
        Self {
            lease,
            state: Mutex::new(state),
        }
    }

    /// Returns how long a renewal lasts, in seconds.
    pub(super) fn lease_seconds(&self) -> f64 {
        self.lease.as_secs_f64()
    }

    /// Begins a chain.
    pub(super) async fn begin(&self, connections: &Connections, writer: &str) -> Result<(), StoreError> {
        let doing = "beginning a chain";
        let mut lent = connections.lend(doing).await?;
        let begun = sqlx::query(
            "INSERT INTO writer (writer, sequence, lease_until) VALUES ($1, 0, clock_timestamp() + make_interval(secs => $2)) \
             ON CONFLICT DO NOTHING",
        )
        .bind(writer)
        .bind(self.lease_seconds())
        .execute(lent.connection())
        .await
        .map_err(unavailable(doing))?;
        lent.keep();
        if begun.rows_affected() == 0 {
            return Err(StoreError::Unavailable {
                doing,
                source: Box::new(BegunBefore {
                    writer: writer.to_owned(),
                }),
            });
        }
        let mut state = self.state();
        state.ends.insert(writer.to_owned(), Some(End::At(0)));
        state.renewed(self.lease);
        Ok(())
    }

    /// Returns where `writer` must end in the database; until [`Self::moved`] says so, its end is not known any more.
    pub(super) fn take_end(&self, writer: &str) -> Result<End, StoreError> {
        match self.state().ends.get_mut(writer) {
            Some(Some(end)) => Ok(std::mem::replace(end, End::Unknown)),
            Some(None) => Err(StoreError::Fenced {
                writer: writer.to_owned(),
            }),
            None => Err(StoreError::Unavailable {
                doing: "committing",
                source: Box::new(NotBegun {
                    writer: writer.to_owned(),
                }),
            }),
        }
    }

    /// Notes that a commit took `writer` to `end`.
    pub(super) fn moved(&self, writer: &str, end: u64) {
        if let Some(Some(known)) = self.state().ends.get_mut(writer) {
            *known = End::At(end);
        }
    }

    /// Notes that another process ended `writer`.
    pub(super) fn fenced(&self, writer: &str) {
        if let Some(end) = self.state().ends.get_mut(writer) {
            *end = None;
        }
    }

    /// Renews the leases for ever.
    pub(super) async fn keep_renewed(self: Arc<Self>, connections: Arc<Connections>) {
        let mut tick = time::interval(self.lease / RENEWALS);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let renewed = within(QUICK, "renewing its lease", self.renew(&connections)).await;
            if let Err(error) = renewed {
                tracing::warn!(error = &error as &dyn std::error::Error, "the lease was not renewed");
            }
        }
    }

    async fn renew(&self, connections: &Connections) -> Result<(), StoreError> {
        let doing = "renewing its lease";
        let writers = self.writers();
        let mut lent = connections.lend(doing).await?;
        let renewed: Vec<String> = sqlx::query_scalar(
            "UPDATE writer SET lease_until = clock_timestamp() + make_interval(secs => $2) \
             WHERE writer = ANY($1) AND ended_at IS NULL RETURNING writer",
        )
        .bind(&writers)
        .bind(self.lease_seconds())
        .fetch_all(lent.connection())
        .await
        .map_err(unavailable(doing))?;
        lent.keep();
        for writer in writers.iter().filter(|writer| !renewed.contains(writer)) {
            self.fenced(writer);
            tracing::error!(%writer, "the lease of chain {writer} is lost: this process was paused or cut off for too long");
        }
        self.state().renewed(self.lease);
        Ok(())
    }

    /// Ends chains whose lease ran out, and returns what `writer` has to close of ended ones.
    pub(super) async fn lost(
        &self,
        connections: &Connections,
        writer: &str,
        limit: u32,
    ) -> Result<Vec<TrailRow>, StoreError> {
        let doing = "looking for lost intents";
        if matches!(self.state().ends.get(writer), Some(None)) {
            return Err(StoreError::Fenced {
                writer: writer.to_owned(),
            });
        }
        let mut lent = connections.lend(doing).await?;
        if self.is_steady() {
            sqlx::query(END_SILENT)
                .bind(writer)
                .execute(lent.connection())
                .await
                .map_err(unavailable(doing))?;
        }
        sqlx::query(CLAIM_ENDED)
            .bind(writer)
            .execute(lent.connection())
            .await
            .map_err(unavailable(doing))?;
        let rows = sqlx::query(CLAIMED)
            .bind(writer)
            .bind(i64::from(limit))
            .fetch_all(lent.connection())
            .await
            .and_then(|found| found.iter().map(trail::read).collect())
            .map_err(unavailable(doing))?;
        lent.keep();
        Ok(rows)
    }

    /// Ends the chains of this process: it adds nothing more.
    pub(super) async fn end(&self, connections: &Connections) -> Result<(), StoreError> {
        let doing = "ending its chains";
        let writers = self.writers();
        if writers.is_empty() {
            return Ok(());
        }
        let mut lent = connections.lend(doing).await?;
        sqlx::query("UPDATE writer SET ended_at = clock_timestamp() WHERE writer = ANY($1) AND ended_at IS NULL")
            .bind(&writers)
            .execute(lent.connection())
            .await
            .map_err(unavailable(doing))?;
        lent.keep();
        self.state().ends.clear();
        Ok(())
    }

    /// Returns whether this process reached the database for a whole lease, so that every other one that lives could, too.
    ///
    /// After the database was down, nobody's lease was renewed; without this, the first one to come back would end all others.
    fn is_steady(&self) -> bool {
        let steady = self.state().steady;
        steady.is_some_and(|steady| {
            steady.last.elapsed() < self.lease && steady.last.duration_since(steady.since) >= self.lease
        })
    }

    fn writers(&self) -> Vec<String> {
        let state = self.state();
        let alive = state.ends.iter().filter(|(_writer, end)| end.is_some());
        alive.map(|(writer, _end)| writer.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn renewed(&mut self, lease: Duration) {
        let now = Instant::now();
        let since = match self.steady {
            Some(steady) if steady.last.elapsed() < lease => steady.since,
            Some(_) | None => now,
        };
        self.steady = Some(Steady { since, last: now });
    }
}

/// The name of a chain is taken.
#[derive(Debug, thiserror::Error)]
#[error("chain {writer} was begun before")]
struct BegunBefore {
    writer: String,
}

/// A row for a chain that this process did not begin.
#[derive(Debug, thiserror::Error)]
#[error("chain {writer} is not one that this process began")]
struct NotBegun {
    writer: String,
}

/// A renewal may fail twice before a lease runs out.
const RENEWALS: u32 = 3;

/// A chain whose row is locked is just being added to: it is not silent.
const END_SILENT: &str = "
UPDATE writer SET ended_at = clock_timestamp(), ended_by = $1 WHERE writer IN (
  SELECT writer FROM writer WHERE ended_at IS NULL AND lease_until < clock_timestamp() AND writer <> $1
  FOR UPDATE SKIP LOCKED
)";

/// Whoever ended a chain closes its intents; of a chain that ended itself, or whose closer ended as well, the first to come.
const CLAIM_ENDED: &str = "
UPDATE writer SET ended_by = $1 WHERE writer IN (
  SELECT gone.writer FROM writer AS gone
  WHERE gone.ended_at IS NOT NULL AND gone.writer <> $1
    AND (gone.ended_by IS NULL OR EXISTS (
      SELECT FROM writer AS closer WHERE closer.writer = gone.ended_by AND closer.ended_at IS NOT NULL))
    AND EXISTS (SELECT FROM open_intent WHERE open_intent.writer = gone.writer)
  FOR UPDATE OF gone SKIP LOCKED
)";

const CLAIMED: &str = "
SELECT trail.writer, trail.sequence, time_seconds, kind, trail.exchange_id, spiffe_id, trail.relying_party, code, body, \
hash, opens
FROM open_intent
  JOIN writer ON writer.writer = open_intent.writer
  JOIN trail ON trail.writer = open_intent.writer AND trail.sequence = open_intent.sequence
WHERE writer.ended_at IS NOT NULL AND writer.ended_by = $1
ORDER BY trail.id LIMIT $2";
