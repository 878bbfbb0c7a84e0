//! The one persistence trait, and the types that only a commit can open.
//!
//! Nothing signed leaves the process before an entry about it is durable: [`Unrecorded`] and [`Unreleased`] give their
//! content only to a [`Committed`] that lists its digest, and only a store makes a `Committed`.

#[cfg(any(test, feature = "dev"))]
pub mod forgetful;
mod ledger;
mod release;
mod rows;
pub mod sqlite;

#[cfg(test)]
mod suite;

pub use ledger::{Binding, LedgerRow, LedgerUse, LedgerVerdict, UseRule};
pub use release::{Committed, NotCommitted, Released, Unrecorded, Unreleased};
pub use rows::{Authorities, AuthorityRow, LockRow, TrailFilter, TrailRow};

use std::{fmt, future::Future, pin::Pin, time::SystemTime};

use crate::secret::Digest;

/// A boxed future, so that the trait can be used as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps the ledger, the trail, the locks and the sealed authorities; durable once a method has returned.
pub trait Store: Send + Sync + fmt::Debug {
    /// Compares the ledger uses in order, lets `compose` turn the verdicts into trail rows, and commits all at once.
    ///
    /// # Errors
    /// Nothing of the batch is durable where this fails.
    fn commit<'a>(
        &'a self,
        uses: &'a [LedgerUse],
        compose: Compose<'a>,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Commit, StoreError>>;

    /// Returns what the ledger knows about `key`.
    ///
    /// # Errors
    /// Fails where the store does.
    fn ledger_row(&self, key: Digest) -> BoxFuture<'_, Result<Option<LedgerRow>, StoreError>>;

    /// Forgets ledger rows whose memory has ended; returns how many.
    ///
    /// # Errors
    /// Fails where the store does.
    fn forget(&self, now: SystemTime) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Returns trail rows that match `filter`, in chain order, at most `filter.limit`.
    ///
    /// # Errors
    /// Fails where the store does.
    fn trail(&self, filter: TrailFilter) -> BoxFuture<'_, Result<Vec<TrailRow>, StoreError>>;

    /// Returns the last row of each chain.
    ///
    /// # Errors
    /// Fails where the store does.
    fn heads(&self) -> BoxFuture<'_, Result<Vec<TrailRow>, StoreError>>;

    /// Returns the locks.
    ///
    /// # Errors
    /// Fails where the store does.
    fn locks(&self) -> BoxFuture<'_, Result<Vec<LockRow>, StoreError>>;

    /// Adds a lock, or replaces the one with its id.
    ///
    /// # Errors
    /// Fails where the store does.
    fn add_lock(&self, lock: LockRow) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Removes a lock; returns whether there was one.
    ///
    /// # Errors
    /// Fails where the store does.
    fn remove_lock<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Returns all authorities with the generation they stand at.
    ///
    /// # Errors
    /// Fails where the store does.
    fn authorities(&self) -> BoxFuture<'_, Result<Authorities, StoreError>>;

    /// Replaces all authorities if the generation is still `expected`; returns whether it was.
    ///
    /// # Errors
    /// Fails where the store does.
    fn replace_authorities<'a>(
        &'a self,
        expected: u64,
        rows: &'a [AuthorityRow],
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Returns a named fact about the store itself, such as its format version or the last checkpoint.
    ///
    /// # Errors
    /// Fails where the store does.
    fn fact<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>>;

    /// Sets a named fact.
    ///
    /// # Errors
    /// Fails where the store does.
    fn set_fact<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Ends all connections; what was committed stays.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Turns the ledger's verdicts, one for each use and in order, into the rows to commit.
pub type Compose<'a> = Box<dyn FnOnce(&[LedgerVerdict]) -> Vec<TrailRow> + Send + 'a>;

/// What a commit made durable.
#[derive(Debug)]
pub struct Commit {
    /// The proof that opens what was recorded.
    pub committed: Committed,
    /// What the ledger said of each use, in order.
    pub verdicts: Vec<LedgerVerdict>,
}

/// The store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store holds a newer format than this program writes.
    #[error("the store has format {found}, this program writes {expected}")]
    Format {
        /// The version found.
        found: String,
        /// The version this program writes.
        expected: u32,
    },
    /// The store is open in another process that writes to it.
    #[error("the store is locked by another process")]
    Locked,
    /// The place cannot be opened or has the wrong mode.
    #[error("the store at `{place}` cannot be opened: {reason}")]
    Open {
        /// Where.
        place: String,
        /// Why.
        reason: String,
    },
    /// A setting that durability rests on was not accepted.
    #[error("the store has `{setting}` = `{found}`, durability needs `{expected}`")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What was read back.
        found: String,
        /// What is needed.
        expected: &'static str,
    },
    /// The store did not answer or refused.
    #[error("the store is unavailable while {doing}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
