//! The one persistence trait, and the types that only a commit can open.
//!
//! Nothing signed leaves the process before an entry about it is durable: [`Unrecorded`] and [`Unreleased`] give their
//! content only to a [`Committed`] that lists its digest, and only a store makes a `Committed`.

mod bound_key;
mod changes;
#[cfg(any(test, feature = "dev"))]
pub mod forgetful;
mod ledger;
pub mod postgres;
mod release;
mod rows;
pub mod sqlite;

#[cfg(test)]
mod suite;

pub use bound_key::{BoundKeyChange, BoundKeyRow, BoundKeyState};
pub use changes::Changes;
pub use ledger::{Binding, LedgerRow, LedgerUse, LedgerVerdict, UseRule};
pub use release::{Committed, NotCommitted, Released, Unrecorded, Unreleased};
pub use rows::{
    Authorities, AuthorityRow, JoinTokenRow, Lease, LockRow, RevocationRow, Revocations, TrailFilter, TrailRow,
};

use std::{
    fmt,
    future::Future,
    pin::Pin,
    time::{Duration, SystemTime},
};

use crate::secret::Digest;

/// A boxed future, so that the trait can be used as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps the ledger, the trail, the locks and the sealed authorities; durable once a method has returned.
pub trait Store: Send + Sync + fmt::Debug {
    /// Begins the chain `writer` for this process alone, for as long as the process lives and reaches the store.
    ///
    /// A row is committed only to a chain that this handle began, and only while nobody ended it: where several processes
    /// share a store, one that was silent for longer than its lease is ended by the others ([`Self::lost_intents`]), and
    /// every later commit of it fails with [`StoreError::Fenced`].
    ///
    /// # Errors
    /// Refuses a chain that was begun before, and fails where the store does.
    fn begin_chain<'a>(&'a self, writer: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Ends the chains of processes that are gone, and returns open intents of ended chains, at most `limit`, which nobody
    /// but the asking chain `writer` closes as long as it is not ended itself.
    ///
    /// # Errors
    /// Fails where the store does, and with [`StoreError::Fenced`] where `writer` itself was ended.
    fn lost_intents<'a>(&'a self, writer: &'a str, limit: u32) -> BoxFuture<'a, Result<Vec<TrailRow>, StoreError>>;

    /// Compares the ledger uses in order, lets `compose` turn the verdicts into trail rows, and commits all at once.
    ///
    /// # Errors
    /// Nothing of the batch is known to be durable where this fails: an answer may have got lost on its way.
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
    /// This comparison alone makes a change safe: whoever decides from one [`Self::authorities`] and replaces what it read
    /// can never undo what another process did in between, lease or not.
    ///
    /// # Errors
    /// Fails where the store does.
    fn replace_authorities<'a>(
        &'a self,
        expected: u64,
        rows: &'a [AuthorityRow],
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Returns the certificates that are revoked.
    ///
    /// # Errors
    /// Fails where the store does.
    fn revocations(&self) -> BoxFuture<'_, Result<Revocations, StoreError>>;

    /// Forgets rows that may be forgotten at `now`, then adds `rows`, all or none; a serial that is there keeps its row.
    ///
    /// Returns whether they were added: not where more than [`RevocationRow::MAX_ROWS`] would stand.
    ///
    /// # Errors
    /// Fails where the store does; nothing is added then.
    fn revoke<'a>(&'a self, rows: &'a [RevocationRow], now: SystemTime) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Returns the join tokens, oldest first.
    ///
    /// # Errors
    /// Fails where the store does.
    fn join_tokens(&self) -> BoxFuture<'_, Result<Vec<JoinTokenRow>, StoreError>>;

    /// Returns the join token with this SHA-256.
    ///
    /// # Errors
    /// Fails where the store does.
    fn join_token(&self, sha256: Digest) -> BoxFuture<'_, Result<Option<JoinTokenRow>, StoreError>>;

    /// Forgets rows that ended long before `now`, then adds `rows`, all or none; returns whether they were added.
    ///
    /// Where more than [`JoinTokenRow::MAX_ROWS`] would stand, used ones make room; where that is not enough they are not.
    ///
    /// # Errors
    /// Fails where the store does, and where an id or a digest is there already.
    fn add_join_tokens<'a>(
        &'a self,
        rows: &'a [JoinTokenRow],
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Removes a join token by its id; returns whether there was one.
    ///
    /// # Errors
    /// Fails where the store does.
    fn remove_join_token<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Returns the machines' keys that are current or locked, oldest registration first.
    ///
    /// # Errors
    /// Fails where the store does.
    fn bound_keys(&self) -> BoxFuture<'_, Result<Vec<BoundKeyRow>, StoreError>>;

    /// Returns a machine's key, also one that was replaced and is remembered.
    ///
    /// # Errors
    /// Fails where the store does.
    fn bound_key(&self, thumbprint: Digest) -> BoxFuture<'_, Result<Option<BoundKeyRow>, StoreError>>;

    /// Removes all keys of a registration; returns whether there were any.
    ///
    /// # Errors
    /// Fails where the store does.
    fn remove_bound_key<'a>(&'a self, registration: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Takes the lease `name` for `holder`, or keeps it, for the time `hold`; `None` while another holder has it.
    ///
    /// It spares double work and never makes anything safe: a holder that was paused may believe in it for too long. Its
    /// fence grows with every change of the holder, so that a log tells who acted after whom.
    ///
    /// # Errors
    /// Fails where the store does.
    fn lease<'a>(
        &'a self,
        name: &'a str,
        holder: &'a str,
        hold: Duration,
    ) -> BoxFuture<'a, Result<Option<Lease>, StoreError>>;

    /// Returns word of changes from now on, in this process and others.
    fn changes(&self) -> Changes;

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

    /// Ends the chains of this handle and all connections; what was committed stays.
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
    /// The chain was ended by another process because its lease had run out; nothing can be added to it any more.
    #[error(
        "chain {writer} was ended by another process, since this one had not reached the store for longer than its lease"
    )]
    Fenced {
        /// The chain.
        writer: String,
    },
    /// The store holds a newer format than this program writes.
    #[error("the store has format {found}, this program writes {expected}")]
    Format {
        /// The version found.
        found: String,
        /// The version this program writes.
        expected: u32,
    },
    /// The store is open in another process that writes to it.
    #[error("the store `{place}` is locked by another process, expected to be the only one that writes")]
    Locked {
        /// Where.
        place: String,
    },
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
