//! Keeps the memory copy of the locks fresh, and changes them.
//!
//! Reads and changes go one after the other, so that a read that began before a change can never undo it in memory.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{sync::Mutex, task::AbortHandle};

use super::set::{LockSet, LockTarget};
use crate::{
    attest::{AttestorName, attribute::MAX_VALUE_BYTES},
    authorize::RelyingPartyName,
    clock::{Clock, unix_seconds},
    identify::EntryName,
    secret::Digest,
    spiffe::SpiffeId,
    store::{LockRow, Store, StoreError},
};

/// LIMITS.md: the copy is refreshed at least every 5 s. It begins earlier, so that a store that takes 2 s still keeps that.
pub const REFRESH: Duration = Duration::from_secs(2);

/// The locks of the store, with a memory copy; dropping it ends the refreshes.
#[derive(Debug)]
pub struct Locks {
    shared: Arc<Shared>,
    refresh: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    set: ArcSwap<LockSet>,
    turn: Mutex<()>,
}

/// A lock was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockRefused {
    /// The store failed, so nothing is known to be locked.
    #[error("the lock could not be stored")]
    Store(#[from] StoreError),
    /// The value could never match.
    #[error("found {found:?}, expected {expected}")]
    Value {
        /// The value.
        found: String,
        /// What the target takes.
        expected: &'static str,
    },
}

impl Locks {
    /// Reads the locks once and then keeps the copy fresh.
    ///
    /// # Errors
    /// Fails where the store does; without its locks nothing may start.
    pub async fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::start_every(REFRESH, store, clock).await
    }

    pub(super) async fn start_every(
        every: Duration,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let read = clock.now();
        let set = LockSet::new(store.locks().await?, read);
        let shared = Arc::new(Shared {
            store,
            clock,
            set: ArcSwap::from_pointee(set),
            turn: Mutex::new(()),
        });
        let refresh = tokio::spawn(Arc::clone(&shared).keep_fresh(every)).abort_handle();
        Ok(Self { shared, refresh })
    }

    /// Returns the present copy; whoever decides on it looks at its age.
    pub fn snapshot(&self) -> Arc<LockSet> {
        self.shared.set.load_full()
    }

    /// Adds a lock, or replaces the one on the same value; it holds in this process when this returns.
    ///
    /// # Errors
    /// Refuses a value that could never match, and fails where the store does.
    pub async fn add(&self, target: LockTarget, value: &str, reason: &str) -> Result<LockRow, LockRefused> {
        refuse_value(target, value)?;
        let lock = LockRow {
            id: id(target, value),
            target: target.to_string(),
            value: value.to_owned(),
            reason: reason.to_owned(),
            created_seconds: unix_seconds(self.shared.clock.now()),
        };
        let _turn = self.shared.turn.lock().await;
        self.shared.store.add_lock(lock.clone()).await?;
        let set = self.shared.set.load().with(lock.clone());
        self.shared.set.store(Arc::new(set));
        Ok(lock)
    }

    /// Removes a lock by its id; returns whether there was one. Until the store answers again, this process keeps it.
    ///
    /// # Errors
    /// Fails where the store does.
    pub async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        let turn = self.shared.turn.lock().await;
        let removed = self.shared.store.remove_lock(id).await?;
        self.shared.read(&turn).await?;
        Ok(removed)
    }

    /// Returns the locks as the store has them now.
    ///
    /// # Errors
    /// Fails where the store does.
    pub async fn list(&self) -> Result<Vec<LockRow>, StoreError> {
        self.shared.store.locks().await
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        self.refresh.abort();
    }
}

impl Shared {
    async fn keep_fresh(self: Arc<Self>, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Word of a change comes before the next tick where the store can give it; it may get lost, the tick does not.
        let mut changes = self.store.changes();
        loop {
            tokio::select! {
                _now = ticks.tick() => {}
                () = changes.locks() => {}
            }
            let turn = self.turn.lock().await;
            if let Err(error) = self.read(&turn).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "locks could not be read; the copy grows old"
                );
            }
        }
    }

    /// Replaces the copy; the guard shows that no other read or change is under way.
    async fn read(&self, _turn: &tokio::sync::MutexGuard<'_, ()>) -> Result<(), StoreError> {
        let read = self.clock.now();
        let rows = self.store.locks().await?;
        self.set.store(Arc::new(LockSet::new(rows, read)));
        Ok(())
    }
}

/// One lock for each target and value, so that setting it twice is setting it once.
fn id(target: LockTarget, value: &str) -> String {
    let digest = Digest::of_parts(&[target.as_str().as_bytes(), value.as_bytes()]).to_string();
    digest.chars().take(ID_DIGITS).collect()
}

/// 64 bits tell apart more locks than anybody sets.
const ID_DIGITS: usize = 16;

/// A lock with a misspelt value would shut nothing and look as if it did (T-39).
fn refuse_value(target: LockTarget, value: &str) -> Result<(), LockRefused> {
    let name = "a configured name: a-z, 0-9, `-`, `_`";
    let (sound, expected) = match target {
        LockTarget::Attestor => (AttestorName::parse(value).is_ok(), name),
        LockTarget::Entry => (EntryName::parse(value).is_ok(), name),
        LockTarget::RelyingParty => (RelyingPartyName::parse(value).is_ok(), name),
        LockTarget::Run => (
            is_run(value),
            "a run's id: 1 to 255 visible characters without white space",
        ),
        LockTarget::SpiffeId => (SpiffeId::parse(value).is_ok(), "a whole SPIFFE ID: `spiffe://..`"),
    };
    if sound {
        return Ok(());
    }
    Err(LockRefused::Value {
        found: value.chars().take(MAX_VALUE_BYTES).collect(),
        expected,
    })
}

fn is_run(value: &str) -> bool {
    !value.is_empty() && value.len() <= MAX_VALUE_BYTES && value.bytes().all(|byte| byte.is_ascii_graphic())
}
