//! A store in memory that forgets, when told to crash, all that no commit has acknowledged.
//!
//! For tests and `cambio dev` only: never what a gateway is started with, for nothing in it survives the process.

mod durable;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use self::durable::Durable;
use super::{
    Authorities, AuthorityRow, BoundKeyRow, BoundKeyState, BoxFuture, Changes, Commit, Committed, Compose,
    JoinTokenRow, Lease, LedgerRow, LedgerUse, LockRow, RevocationRow, Revocations, Store, StoreError, TrailFilter,
    TrailRow, changes::Notices, ledger::MAX_ROWS,
};
use crate::{clock::unix_seconds, secret::Digest};

/// A store in memory with faults to inject.
pub struct ForgetfulStore {
    world: Arc<World>,
    /// Which process this handle stands for; after a crash it is one of the past.
    process: u64,
    ledger_rows: u64,
    /// Held from the first look at the ledger to the end of the commit: one writer at a time.
    writing: tokio::sync::Mutex<()>,
}

/// A fault that the next commit meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It becomes durable, but nobody is told.
    AnswerLost,
    /// It fails and nothing is durable.
    Fails,
    /// It never ends.
    Hangs,
    /// It takes this long.
    Slow(Duration),
}

#[derive(Default)]
struct World {
    durable: Mutex<Durable>,
    notices: Notices,
}

impl ForgetfulStore {
    /// Returns an empty store.
    pub fn new() -> Arc<Self> {
        Self::within(MAX_ROWS)
    }

    /// Returns an empty store whose ledger holds `ledger_rows`.
    pub fn within(ledger_rows: u64) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::default(),
            process: 0,
            ledger_rows,
            writing: tokio::sync::Mutex::default(),
        })
    }

    /// Ends the process: all that was not acknowledged is forgotten, and this handle fails from now on.
    ///
    /// Returns the store as the next process finds it.
    #[must_use]
    pub fn crash(&self) -> Arc<Self> {
        let mut durable = self.world.durable();
        durable.process += 1;
        durable.faults.clear();
        Arc::new(Self {
            world: Arc::clone(&self.world),
            process: durable.process,
            ledger_rows: self.ledger_rows,
            writing: tokio::sync::Mutex::default(),
        })
    }

    /// Lets a coming commit meet `fault`; several faults meet one commit each.
    pub fn inject(&self, fault: Fault) {
        self.world.durable().faults.push_back(fault);
    }

    /// Lets another process be faster at each of the next `swaps` changes of the authorities.
    pub fn lose_swaps(&self, swaps: usize) {
        self.world.durable().swaps_to_lose = swaps;
    }

    /// Changes the trail behind everybody's back.
    pub fn tamper(&self, change: impl FnOnce(&mut Vec<TrailRow>)) {
        change(&mut self.world.durable().trail);
    }

    fn durable(&self) -> Result<MutexGuard<'_, Durable>, StoreError> {
        let durable = self.world.durable();
        if durable.process == self.process {
            Ok(durable)
        } else {
            Err(broken("the process has crashed"))
        }
    }

    fn read<T>(&self, look: impl FnOnce(&mut Durable) -> T) -> BoxFuture<'_, Result<T, StoreError>>
    where
        T: Send + 'static,
    {
        let answer = self.durable().map(|mut durable| look(&mut durable));
        Box::pin(std::future::ready(answer))
    }

    async fn commit_batch(
        &self,
        uses: &[LedgerUse],
        compose: Compose<'_>,
        now: SystemTime,
    ) -> Result<Commit, StoreError> {
        let _one_writer = self.writing.lock().await;
        let fault = self.durable()?.faults.pop_front();
        match fault {
            Some(Fault::Fails) => return Err(broken("the commit was made to fail")),
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::Slow(by)) => tokio::time::sleep(by).await,
            Some(Fault::AnswerLost) | None => {}
        }
        let judged = {
            let mut durable = self.durable()?;
            durable.judge(uses, self.ledger_rows, now)
        };
        let rows = compose(&judged.verdicts);
        let verdicts = judged.verdicts.clone();
        // Whoever crashes or cancels here has written, and was not told: it is forgotten.
        tokio::task::yield_now().await;
        let digests = rows.iter().flat_map(|row| row.opens.iter().copied()).collect();
        self.durable()?.apply(judged, rows)?;
        if fault == Some(Fault::AnswerLost) {
            return Err(broken("the answer was made to get lost"));
        }
        Ok(Commit {
            committed: Committed::new(digests),
            verdicts,
        })
    }
}

impl fmt::Debug for ForgetfulStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForgetfulStore")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

impl World {
    fn durable(&self) -> MutexGuard<'_, Durable> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for ForgetfulStore {
    fn begin_chain<'a>(&'a self, _writer: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.read(|_durable| ())
    }

    fn lost_intents<'a>(&'a self, writer: &'a str, limit: u32) -> BoxFuture<'a, Result<Vec<TrailRow>, StoreError>> {
        let filter = TrailFilter {
            open: true,
            limit,
            ..TrailFilter::default()
        };
        self.read(|durable| {
            let mut rows = durable.select(&filter);
            rows.retain(|row| row.writer != writer);
            rows
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
        self.read(|durable| durable.ledger.get(&key).map(|new| new.row))
    }

    fn forget(&self, now: SystemTime) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.read(|durable| durable.forget(now))
    }

    fn trail(&self, filter: TrailFilter) -> BoxFuture<'_, Result<Vec<TrailRow>, StoreError>> {
        self.read(|durable| durable.select(&filter))
    }

    fn heads(&self) -> BoxFuture<'_, Result<Vec<TrailRow>, StoreError>> {
        self.read(|durable| durable.heads())
    }

    fn locks(&self) -> BoxFuture<'_, Result<Vec<LockRow>, StoreError>> {
        self.read(|durable| durable.locks.values().cloned().collect())
    }

    fn add_lock(&self, lock: LockRow) -> BoxFuture<'_, Result<(), StoreError>> {
        self.read(|durable| {
            durable.locks.insert(lock.id.clone(), lock);
            self.world.notices.locks();
        })
    }

    fn remove_lock<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.read(|durable| {
            self.world.notices.locks();
            durable.locks.remove(id).is_some()
        })
    }

    fn authorities(&self) -> BoxFuture<'_, Result<Authorities, StoreError>> {
        self.read(|durable| durable.authorities.clone())
    }

    fn replace_authorities<'a>(
        &'a self,
        expected: u64,
        rows: &'a [AuthorityRow],
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.read(|durable| {
            if let Some(fewer) = durable.swaps_to_lose.checked_sub(1) {
                durable.swaps_to_lose = fewer;
                durable.authorities.generation += 1;
            }
            let current = durable.authorities.generation == expected;
            if current {
                durable.authorities.generation += 1;
                durable.authorities.rows = rows.to_vec();
                self.world.notices.authorities();
            }
            current
        })
    }

    fn lease<'a>(
        &'a self,
        _name: &'a str,
        _holder: &'a str,
        _hold: Duration,
    ) -> BoxFuture<'a, Result<Option<Lease>, StoreError>> {
        self.read(|_durable| Some(Lease { fence: 1 }))
    }

    fn changes(&self) -> Changes {
        self.world.notices.subscribe()
    }

    fn revocations(&self) -> BoxFuture<'_, Result<Revocations, StoreError>> {
        self.read(|durable| durable.revocations.clone())
    }

    fn revoke<'a>(&'a self, rows: &'a [RevocationRow], now: SystemTime) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.read(|durable| {
            let mut next = durable.revocations.rows.clone();
            next.retain(|row| row.forget_seconds > unix_seconds(now));
            for row in rows {
                if next.iter().all(|one| one.serial != row.serial) {
                    next.push(row.clone());
                }
            }
            next.sort_by(|one, other| one.serial.cmp(&other.serial));
            let fits = next.len() <= RevocationRow::MAX_ROWS;
            if fits {
                durable.revocations.generation += 1;
                durable.revocations.rows = next;
                self.world.notices.revocations();
            }
            fits
        })
    }

    fn bound_keys(&self) -> BoxFuture<'_, Result<Vec<BoundKeyRow>, StoreError>> {
        self.read(|durable| {
            let standing = durable.bound_keys.iter();
            let standing = standing.filter(|row| row.state != BoundKeyState::Superseded);
            let mut rows: Vec<_> = standing.cloned().collect();
            rows.sort_by(|one, other| {
                let place = |row: &BoundKeyRow| (row.registered_seconds, row.registration.clone());
                place(one).cmp(&place(other))
            });
            rows
        })
    }

    fn bound_key(&self, thumbprint: Digest) -> BoxFuture<'_, Result<Option<BoundKeyRow>, StoreError>> {
        self.read(|durable| {
            let found = durable.bound_keys.iter().find(|row| row.thumbprint == thumbprint);
            found.cloned()
        })
    }

    fn remove_bound_key<'a>(&'a self, registration: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.read(|durable| {
            let before = durable.bound_keys.len();
            durable.bound_keys.retain(|row| row.registration != registration);
            durable.bound_keys.len() < before
        })
    }

    fn join_tokens(&self) -> BoxFuture<'_, Result<Vec<JoinTokenRow>, StoreError>> {
        self.read(|durable| {
            let mut rows: Vec<_> = durable.join_tokens.values().map(|row| durable.joined(row)).collect();
            rows.sort_by(|one, other| (one.created_seconds, &one.id).cmp(&(other.created_seconds, &other.id)));
            rows
        })
    }

    fn join_token(&self, sha256: Digest) -> BoxFuture<'_, Result<Option<JoinTokenRow>, StoreError>> {
        self.read(|durable| {
            let found = durable.join_tokens.values().find(|row| row.sha256 == sha256);
            found.map(|row| durable.joined(row))
        })
    }

    fn add_join_tokens<'a>(
        &'a self,
        rows: &'a [JoinTokenRow],
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.read(|durable| {
            let ended = unix_seconds(now).saturating_sub(JoinTokenRow::KEPT_SECONDS);
            durable.join_tokens.retain(|_, row| row.expires_seconds > ended);
            let fits = |standing: usize| standing + rows.len() <= JoinTokenRow::MAX_ROWS;
            if !fits(durable.join_tokens.len()) {
                let Durable {
                    join_tokens, ledger, ..
                } = durable;
                join_tokens.retain(|_, row| !ledger.contains_key(&row.ledger_key));
            }
            let fits = fits(durable.join_tokens.len());
            if fits {
                let rows = rows.iter().map(|row| (row.id.clone(), row.clone()));
                durable.join_tokens.extend(rows);
            }
            fits
        })
    }

    fn remove_join_token<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        self.read(|durable| durable.join_tokens.remove(id).is_some())
    }

    fn fact<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        self.read(|durable| durable.facts.get(name).cloned())
    }

    fn set_fact<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        self.read(|durable| {
            durable.facts.insert(name.to_owned(), value.to_owned());
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn broken(why: &'static str) -> StoreError {
    StoreError::Unavailable {
        doing: "committing",
        source: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::{Place, bearer, commit, row, suite_for};

    struct Memory(Mutex<Option<Arc<ForgetfulStore>>>);

    impl Place for Memory {
        fn open(&self, ledger_rows: u64) -> BoxFuture<'_, Arc<dyn Store>> {
            let mut opened = self.0.lock().unwrap();
            let store = match opened.take() {
                None => ForgetfulStore::within(ledger_rows),
                Some(store) => store.crash(),
            };
            *opened = Some(Arc::clone(&store));
            Box::pin(std::future::ready(store as Arc<dyn Store>))
        }
    }

    suite_for!(Memory(Mutex::new(None)));

    #[tokio::test]
    async fn a_crash_forgets_what_was_not_acknowledged_and_nothing_else() {
        let store = ForgetfulStore::new();
        commit(store.as_ref(), &[], vec![row("w", 1)]).await.unwrap();
        let unacknowledged = {
            let store = Arc::clone(&store);
            tokio::spawn(async move { commit(store.as_ref(), &[bearer("token")], vec![row("w", 2)]).await })
        };
        tokio::task::yield_now().await;

        let next = store.crash();

        assert!(unacknowledged.await.unwrap().is_err());
        assert_eq!(next.trail(TrailFilter::default()).await.unwrap(), [row("w", 1)]);
        assert!(store.trail(TrailFilter::default()).await.is_err());
    }

    #[tokio::test]
    async fn an_answer_that_is_lost_leaves_the_commit_durable() {
        let store = ForgetfulStore::new();
        store.inject(Fault::AnswerLost);

        assert!(commit(store.as_ref(), &[], vec![row("w", 1)]).await.is_err());

        assert_eq!(store.trail(TrailFilter::default()).await.unwrap(), [row("w", 1)]);
    }
}
