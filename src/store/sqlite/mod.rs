//! The embedded store: one SQLite file, one process that writes.
//!
//! Never answers a commit before SQLite has flushed it: WAL with `synchronous=FULL`, both read back on every connection.

mod authorities;
mod batched;
mod bound_keys;
mod commit;
mod join_tokens;
mod ledger;
mod place;
mod revocations;
mod schema;
mod small;
mod trail;

#[cfg(test)]
mod tests;

use std::{
    fs::File,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use sqlx::SqlitePool;
use tokio::sync::Mutex;

use self::place::{Access, Held, Ready};
use super::{
    Authorities, AuthorityRow, BoundKeyRow, BoxFuture, Changes, Commit, Compose, JoinTokenRow, Lease, LedgerRow,
    LedgerUse, LockRow, RevocationRow, Revocations, Store, StoreError, TrailFilter, TrailRow, changes::Notices,
    ledger::MAX_ROWS,
};
use crate::secret::Digest;

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    bounds: Bounds,
    readers: SqlitePool,
    writer: Writer,
    notices: Notices,
    /// Whether no process of before has left an intent open.
    none_lost: AtomicBool,
}

/// What the store may grow to.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Bounds {
    /// Rows of the ledger.
    pub(in crate::store) ledger_rows: u64,
    /// Pages of the file, where the operator's disk is not the bound.
    pub(in crate::store) pages: Option<u32>,
}

#[derive(Debug)]
enum Writer {
    /// Another process may write.
    Elsewhere,
    /// This process writes; the lock ends with the file.
    Here {
        connection: Mutex<Option<Ready>>,
        _lock: File,
    },
}

impl SqliteStore {
    /// Opens or creates the store at `url` (`sqlite:///absolute/path`) as the one process that writes to it.
    ///
    /// # Errors
    /// Refuses a file that others may read, a newer format, a file that another process writes to, and a file system
    /// that does not take the settings that durability rests on.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let bounds = Bounds {
            ledger_rows: MAX_ROWS,
            pages: None,
        };
        Self::open_within(url, bounds).await
    }

    pub(in crate::store) async fn open_within(url: &str, bounds: Bounds) -> Result<Self, StoreError> {
        let path = place::path_of(url)?;
        place::create(&path)?;
        let lock = place::lock(&path)?;
        let mut ready = place::connect(&path, Access::Write(bounds)).await?;
        schema::migrate(&mut ready).await?;
        ready.count_ledger().await?;
        Ok(Self {
            readers: place::readers(&path),
            path,
            bounds,
            writer: Writer::Here {
                connection: Mutex::new(Some(ready)),
                _lock: lock,
            },
            notices: Notices::default(),
            none_lost: AtomicBool::new(false),
        })
    }

    /// Opens the store at `url` to read it, whoever writes to it.
    ///
    /// # Errors
    /// Refuses what is not there, and another format than this program's.
    pub async fn open_read_only(url: &str) -> Result<Self, StoreError> {
        let path = place::path_of(url)?;
        place::check(&path)?;
        let mut ready = place::connect(&path, Access::Read).await?;
        schema::check(&mut ready).await?;
        Ok(Self {
            readers: place::readers(&path),
            path,
            bounds: Bounds {
                ledger_rows: 0,
                pages: None,
            },
            writer: Writer::Elsewhere,
            notices: Notices::default(),
            none_lost: AtomicBool::new(false),
        })
    }

    /// Takes the one connection that writes.
    ///
    /// Whoever fails or is cancelled before [`Held::keep`] has dropped it: SQLite then rolls back, and the next one
    /// connects anew. Nothing can go on in a transaction of unknown state.
    async fn hold(&self) -> Result<Held<'_>, StoreError> {
        let Writer::Here { connection, .. } = &self.writer else {
            return Err(StoreError::Unavailable {
                doing: "writing",
                source: Box::new(OpenedToRead),
            });
        };
        let mut slot = connection.lock().await;
        let ready = if let Some(ready) = slot.take() {
            ready
        } else {
            let mut ready = place::connect(&self.path, Access::Write(self.bounds)).await?;
            ready.count_ledger().await?;
            ready
        };
        Ok(Held::new(slot, ready))
    }
}

/// The store was opened to be read.
#[derive(Debug, thiserror::Error)]
#[error("the store was opened to be read, another process may write to it")]
struct OpenedToRead;

impl Store for SqliteStore {
    /// The lock file is the lease: no other process writes as long as this one lives.
    fn begin_chain<'a>(&'a self, _writer: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn lost_intents<'a>(&'a self, writer: &'a str, limit: u32) -> BoxFuture<'a, Result<Vec<TrailRow>, StoreError>> {
        let filter = TrailFilter {
            open: true,
            limit,
            ..TrailFilter::default()
        };
        Box::pin(async move {
            // Nobody else writes: once there was none, there never is one again.
            if self.none_lost.load(Ordering::Acquire) {
                return Ok(Vec::new());
            }
            let mut rows = trail::rows(&self.readers, filter).await?;
            rows.retain(|row| row.writer != writer);
            self.none_lost.store(rows.is_empty(), Ordering::Release);
            Ok(rows)
        })
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
        Box::pin(ledger::row(&self.readers, key))
    }

    fn forget(&self, now: SystemTime) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.forget_expired(now))
    }

    fn trail(&self, filter: TrailFilter) -> BoxFuture<'_, Result<Vec<TrailRow>, StoreError>> {
        Box::pin(trail::rows(&self.readers, filter))
    }

    fn heads(&self) -> BoxFuture<'_, Result<Vec<TrailRow>, StoreError>> {
        Box::pin(trail::heads(&self.readers))
    }

    fn locks(&self) -> BoxFuture<'_, Result<Vec<LockRow>, StoreError>> {
        Box::pin(small::locks(&self.readers))
    }

    fn add_lock(&self, lock: LockRow) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            self.put_lock(lock).await?;
            self.notices.locks();
            Ok(())
        })
    }

    fn remove_lock<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let removed = self.delete_lock(id).await?;
            self.notices.locks();
            Ok(removed)
        })
    }

    fn authorities(&self) -> BoxFuture<'_, Result<Authorities, StoreError>> {
        Box::pin(authorities::all(&self.readers))
    }

    fn replace_authorities<'a>(
        &'a self,
        expected: u64,
        rows: &'a [AuthorityRow],
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let swapped = self.swap_authorities(expected, rows).await?;
            if swapped {
                self.notices.authorities();
            }
            Ok(swapped)
        })
    }

    /// The one process that writes has every lease.
    fn lease<'a>(
        &'a self,
        _name: &'a str,
        _holder: &'a str,
        _hold: Duration,
    ) -> BoxFuture<'a, Result<Option<Lease>, StoreError>> {
        Box::pin(std::future::ready(Ok(Some(Lease { fence: 1 }))))
    }

    fn changes(&self) -> Changes {
        self.notices.subscribe()
    }

    fn revocations(&self) -> BoxFuture<'_, Result<Revocations, StoreError>> {
        Box::pin(revocations::all(&self.readers))
    }

    fn revoke<'a>(&'a self, rows: &'a [RevocationRow], now: SystemTime) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let added = self.add_revocations(rows, now).await?;
            if added {
                self.notices.revocations();
            }
            Ok(added)
        })
    }

    fn bound_keys(&self) -> BoxFuture<'_, Result<Vec<BoundKeyRow>, StoreError>> {
        Box::pin(bound_keys::all(&self.readers))
    }

    fn bound_key(&self, thumbprint: Digest) -> BoxFuture<'_, Result<Option<BoundKeyRow>, StoreError>> {
        Box::pin(bound_keys::one(&self.readers, thumbprint))
    }

    fn remove_bound_key<'a>(&'a self, registration: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.delete_bound_key(registration))
    }

    fn join_tokens(&self) -> BoxFuture<'_, Result<Vec<JoinTokenRow>, StoreError>> {
        Box::pin(join_tokens::all(&self.readers))
    }

    fn join_token(&self, sha256: Digest) -> BoxFuture<'_, Result<Option<JoinTokenRow>, StoreError>> {
        Box::pin(join_tokens::one(&self.readers, sha256))
    }

    fn add_join_tokens<'a>(
        &'a self,
        rows: &'a [JoinTokenRow],
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.put_join_tokens(rows, now))
    }

    fn remove_join_token<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(self.delete_join_token(id))
    }

    fn fact<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(small::fact(&self.readers, name))
    }

    fn set_fact<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.put_fact(name, value))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.readers.close().await;
            if let Writer::Here { connection, .. } = &self.writer
                && let Some(ready) = connection.lock().await.take()
            {
                ready.close().await;
            }
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

/// Writes an unsigned number as SQLite's signed one; nothing here comes near the bound.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads what [`signed`] wrote; a tampered negative number reads as 0.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
