//! The store that several replicas share: one PostgreSQL database.
//!
//! Never answers a commit before PostgreSQL has flushed it, and never adds to a chain that another process has ended: the
//! lease is compared in the transaction that adds, so that a process which was paused for any time does no harm.

mod authorities;
mod bound_keys;
mod chains;
mod commit;
mod connections;
mod join_tokens;
mod ledger;
mod listen;
mod place;
mod record;
mod revocations;
mod schema;
mod small;
mod trail;

#[cfg(test)]
mod tests;

pub use place::{Encryption, PostgresOptions};

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, SystemTime},
};

use tokio::task::AbortHandle;

use self::{
    chains::Chains,
    connections::{Connections, within},
    place::{Access, Place},
};
use super::{
    Authorities, AuthorityRow, BoundKeyRow, BoxFuture, Changes, Commit, Compose, JoinTokenRow, Lease, LedgerRow,
    LedgerUse, LockRow, RevocationRow, Revocations, Store, StoreError, TrailFilter, TrailRow, changes::Notices,
    ledger::MAX_ROWS,
};
use crate::secret::Digest;

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    bounds: Bounds,
    /// The one connection that commits: the next commit waits for the last.
    committing: Connections,
    /// Everything else.
    others: Arc<Connections>,
    chains: Arc<Chains>,
    /// How many rows the ledger had when they were counted last, and what this process added since.
    ledger_rows: AtomicU64,
    notices: Arc<Notices>,
    tasks: Vec<AbortHandle>,
}

/// What the store may grow to, and how long things last.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Bounds {
    /// Rows of the ledger.
    pub(in crate::store) ledger_rows: u64,
    /// How long a process may be silent before the others end its chains.
    pub(in crate::store) lease: Duration,
    /// How much longer than its memory a row of the ledger is kept: the clocks of two replicas may be so far apart.
    pub(in crate::store) skew: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            ledger_rows: MAX_ROWS,
            // Half of what a whole request may take (LIMITS.md), three times what a renewal waits.
            lease: Duration::from_secs(15),
            // FLOWS.md: a clock is believed that lies 60 s before the last checkpoint, which may be another replica's.
            skew: Duration::from_mins(1),
        }
    }
}

impl PostgresStore {
    /// Opens the store, and makes its tables in a database that has none.
    ///
    /// # Errors
    /// Refuses a server on another machine that is not verified, a newer format, a standby, and a server that does not
    /// flush what it commits.
    pub async fn open(options: &PostgresOptions) -> Result<Self, StoreError> {
        Self::open_within(options, Bounds::default()).await
    }

    pub(in crate::store) async fn open_within(options: &PostgresOptions, bounds: Bounds) -> Result<Self, StoreError> {
        let place = Place::new(options, Access::Write)?;
        let mut connection = place.connect().await?;
        schema::migrate(&mut connection).await?;
        drop(connection);
        let mut store = Self::over(&place, options, bounds);
        store.count_ledger().await?;
        store.tasks = vec![
            tokio::spawn(listen::listen(place, Arc::clone(&store.notices))).abort_handle(),
            tokio::spawn(Arc::clone(&store.chains).keep_renewed(Arc::clone(&store.others))).abort_handle(),
        ];
        Ok(store)
    }

    /// Opens the store to read it, whoever writes to it; a standby will do.
    ///
    /// # Errors
    /// Refuses what [`Self::open`] refuses of the way to the server, and another format than this program's.
    pub async fn open_read_only(options: &PostgresOptions) -> Result<Self, StoreError> {
        let place = Place::new(options, Access::Read)?;
        let mut connection = place.connect().await?;
        schema::check(&mut connection).await?;
        Ok(Self::over(&place, options, Bounds::default()))
    }

    fn over(place: &Place, options: &PostgresOptions, bounds: Bounds) -> Self {
        // One commits, one listens.
        let others = options.connections.max(PostgresOptions::MIN_CONNECTIONS) - 2;
        Self {
            bounds,
            committing: Connections::new(place.clone(), 1),
            others: Arc::new(Connections::new(place.clone(), others)),
            chains: Arc::new(Chains::new(bounds.lease)),
            ledger_rows: AtomicU64::new(0),
            notices: Arc::default(),
            tasks: Vec::new(),
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("connections", &self.others)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Store for PostgresStore {
    fn begin_chain<'a>(&'a self, writer: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        let doing = "beginning a chain";
        Box::pin(within(QUICK, doing, self.chains.begin(&self.others, writer)))
    }

    fn lost_intents<'a>(&'a self, writer: &'a str, limit: u32) -> BoxFuture<'a, Result<Vec<TrailRow>, StoreError>> {
        let doing = "looking for lost intents";
        Box::pin(within(LONG, doing, self.chains.lost(&self.others, writer, limit)))
    }

    fn commit<'a>(
        &'a self,
        uses: &'a [LedgerUse],
        compose: Compose<'a>,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        Box::pin(self.commit_batch(uses, compose, now))
    }

    fn ledger_row(&self, key: Digest) -> BoxFuture<'_, Result<Option<LedgerRow>, StoreError>> {
        Box::pin(within(QUICK, "reading the ledger", ledger::row(&self.others, key)))
    }

    fn forget(&self, now: SystemTime) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.forget_expired(now))
    }

    fn trail(&self, filter: TrailFilter) -> BoxFuture<'_, Result<Vec<TrailRow>, StoreError>> {
        Box::pin(within(LONG, "reading the trail", trail::rows(&self.others, filter)))
    }

    fn heads(&self) -> BoxFuture<'_, Result<Vec<TrailRow>, StoreError>> {
        let doing = "reading the heads of the trail";
        Box::pin(within(LONG, doing, trail::heads(&self.others)))
    }

    fn locks(&self) -> BoxFuture<'_, Result<Vec<LockRow>, StoreError>> {
        Box::pin(within(QUICK, "reading the locks", small::locks(&self.others)))
    }

    fn add_lock(&self, lock: LockRow) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            within(QUICK, "adding a lock", small::put_lock(&self.others, lock)).await?;
            self.notices.locks();
            Ok(())
        })
    }

    fn remove_lock<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let removed = within(QUICK, "removing a lock", small::delete_lock(&self.others, id)).await?;
            self.notices.locks();
            Ok(removed)
        })
    }

    fn authorities(&self) -> BoxFuture<'_, Result<Authorities, StoreError>> {
        Box::pin(within(QUICK, "reading the authorities", authorities::all(&self.others)))
    }

    fn replace_authorities<'a>(
        &'a self,
        expected: u64,
        rows: &'a [AuthorityRow],
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let swap = authorities::swap(&self.others, expected, rows);
            let swapped = within(QUICK, "replacing the authorities", swap).await?;
            if swapped {
                self.notices.authorities();
            }
            Ok(swapped)
        })
    }

    fn revocations(&self) -> BoxFuture<'_, Result<Revocations, StoreError>> {
        Box::pin(within(QUICK, "reading the revocations", revocations::all(&self.others)))
    }

    fn revoke<'a>(&'a self, rows: &'a [RevocationRow], now: SystemTime) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let add = revocations::add(&self.others, rows, now);
            let added = within(QUICK, "adding revocations", add).await?;
            if added {
                self.notices.revocations();
            }
            Ok(added)
        })
    }

    fn bound_keys(&self) -> BoxFuture<'_, Result<Vec<BoundKeyRow>, StoreError>> {
        Box::pin(within(
            LONG,
            "reading the machines' keys",
            bound_keys::all(&self.others),
        ))
    }

    fn bound_key(&self, thumbprint: Digest) -> BoxFuture<'_, Result<Option<BoundKeyRow>, StoreError>> {
        let one = bound_keys::one(&self.others, thumbprint);
        Box::pin(within(QUICK, "looking up a machine's key", one))
    }

    fn remove_bound_key<'a>(&'a self, registration: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        let delete = bound_keys::delete(&self.others, registration);
        Box::pin(within(QUICK, "removing a machine's keys", delete))
    }

    fn join_tokens(&self) -> BoxFuture<'_, Result<Vec<JoinTokenRow>, StoreError>> {
        Box::pin(within(LONG, "reading the join tokens", join_tokens::all(&self.others)))
    }

    fn join_token(&self, sha256: Digest) -> BoxFuture<'_, Result<Option<JoinTokenRow>, StoreError>> {
        let one = join_tokens::one(&self.others, sha256);
        Box::pin(within(QUICK, "looking up a join token", one))
    }

    fn add_join_tokens<'a>(
        &'a self,
        rows: &'a [JoinTokenRow],
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let add = join_tokens::add(&self.others, rows, now);
        Box::pin(within(QUICK, "adding join tokens", add))
    }

    fn remove_join_token<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        let delete = join_tokens::delete(&self.others, id);
        Box::pin(within(QUICK, "removing a join token", delete))
    }

    fn lease<'a>(
        &'a self,
        name: &'a str,
        holder: &'a str,
        hold: Duration,
    ) -> BoxFuture<'a, Result<Option<Lease>, StoreError>> {
        let take = small::lease(&self.others, (name, holder), hold);
        Box::pin(within(QUICK, "taking a lease", take))
    }

    fn changes(&self) -> Changes {
        self.notices.subscribe()
    }

    fn fact<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(within(QUICK, "reading a fact", small::fact(&self.others, name)))
    }

    fn set_fact<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(within(
            QUICK,
            "setting a fact",
            small::put_fact(&self.others, name, value),
        ))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            for task in &self.tasks {
                task.abort();
            }
            self.committing.close().await;
            if let Err(error) = within(QUICK, "ending its chains", self.chains.end(&self.others)).await {
                // The others find out when the lease runs out.
                tracing::warn!(error = &error as &dyn std::error::Error, "the chains were not ended");
            }
            self.others.close().await;
        })
    }
}

/// Names what the store was doing when the database failed.
fn unavailable(doing: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Unavailable {
        doing,
        source: Box::new(source),
    }
}

/// Writes an unsigned number as PostgreSQL's signed one; nothing here comes near the bound.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads what [`signed`] wrote; a tampered negative number reads as 0.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// TM-41: the store's deadline.
const QUICK: Duration = Duration::from_secs(2);

/// For what reads many rows; no request waits for it.
const LONG: Duration = Duration::from_secs(10);
