use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::*;
use crate::{
    authorize::{
        Denial,
        sample::{Ask, ask, sample},
    },
    clock::FakeClock,
    identify::sample::{github_job, now},
    secret::Digest,
    store::{
        Authorities, AuthorityRow, BoundKeyRow, BoxFuture, Changes, Commit, Compose, JoinTokenRow, Lease, LedgerRow,
        LedgerUse, LockRow, RevocationRow, Revocations, Store, StoreError, TrailFilter, TrailRow,
        forgetful::ForgetfulStore,
    },
};

fn row(target: &str, value: &str) -> LockRow {
    LockRow {
        id: "1".to_owned(),
        target: target.to_owned(),
        value: value.to_owned(),
        reason: "leaked key".to_owned(),
        created_seconds: 0,
    }
}

fn decided(rows: Vec<LockRow>, read: SystemTime) -> Result<(), Denial> {
    let asked = Ask {
        locks: LockSet::new(rows, read),
        ..ask()
    };
    sample().decide(asked).map(|_| ())
}

#[test]
fn every_target_locks_what_bears_its_value_and_nothing_else() {
    for (target, value, other) in [
        ("attestor", "github", "gitlab"),
        ("entry", "shop-deploy", "shop"),
        ("relying_party", "aws-prod", "aws-dev"),
        ("run", "9876543210", "987654321"),
        (
            "spiffe_id",
            "spiffe://prod.acme.example/ci/acme/shop/deploy",
            "spiffe://prod.acme.example/ci/acme/shop",
        ),
    ] {
        assert_eq!(
            decided(vec![row(target, value)], now()),
            Err(Denial::Locked {
                target: target.to_owned(),
                value: value.to_owned(),
                reason: "leaked key".to_owned()
            })
        );
        assert_eq!(decided(vec![row(target, other)], now()), Ok(()), "{target}");
    }
}

#[test]
fn a_lock_on_a_run_does_not_touch_workloads_without_one() {
    let asked = Ask {
        job: github_job().without("ci.run_id"),
        locks: LockSet::new(vec![row("run", "9876543210")], now()),
        ..ask()
    };

    assert!(sample().decide(asked).is_ok());
}

#[test]
fn locks_act_on_the_workloads_own_id_and_not_on_a_shaped_subject() {
    let shaped = sample().with_terms(|terms| terms.subject = Some("/rp/aws/shop".to_owned()));
    let with = |id: &str| Ask {
        locks: LockSet::new(vec![row("spiffe_id", id)], now()),
        ..ask()
    };

    assert!(
        shaped
            .decide(with("spiffe://prod.acme.example/ci/acme/shop/deploy"))
            .is_err()
    );
    assert!(shaped.decide(with("spiffe://prod.acme.example/rp/aws/shop")).is_ok());
}

#[test]
fn a_target_that_this_program_does_not_know_locks_everything() {
    let denial = decided(vec![row("region", "eu")], now()).unwrap_err();

    assert_eq!(denial.code(), "authorize.locked");
    assert!(denial.to_string().starts_with("locked: region `eu`"), "{denial}");
}

#[test]
fn a_copy_of_10_seconds_is_decided_on_and_an_older_one_denies() {
    let just = now() - Duration::from_secs(10);

    assert_eq!(decided(vec![], just), Ok(()));
    assert_eq!(
        decided(vec![], just - Duration::from_millis(1)),
        Err(Denial::LocksStale { age_seconds: 10 })
    );
}

#[test]
fn a_copy_from_the_future_is_trusted_no_longer_than_an_old_one() {
    let just = now() + Duration::from_secs(10);

    assert_eq!(decided(vec![], just), Ok(()));
    assert_eq!(
        decided(vec![], just + Duration::from_secs(1)),
        Err(Denial::LocksStale { age_seconds: 11 })
    );
}

/// A store that holds locks only, and can be made to fail.
#[derive(Debug, Default)]
struct LockStore {
    rows: Mutex<Vec<LockRow>>,
    down: AtomicBool,
}

impl LockStore {
    fn answer<T>(&self, value: T) -> Result<T, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(down());
        }
        Ok(value)
    }
}

fn down() -> StoreError {
    StoreError::Unavailable {
        doing: "reading the locks",
        source: "down".into(),
    }
}

/// What the locks never ask for.
fn unasked<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(async { Err(down()) })
}

impl Store for LockStore {
    fn begin_chain<'a>(&'a self, _writer: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        unasked()
    }

    fn lost_intents<'a>(&'a self, _writer: &'a str, _limit: u32) -> BoxFuture<'a, Result<Vec<TrailRow>, StoreError>> {
        unasked()
    }

    fn lease<'a>(
        &'a self,
        _name: &'a str,
        _holder: &'a str,
        _hold: Duration,
    ) -> BoxFuture<'a, Result<Option<Lease>, StoreError>> {
        unasked()
    }

    fn changes(&self) -> Changes {
        Changes::default()
    }

    fn commit<'a>(
        &'a self,
        _uses: &'a [LedgerUse],
        _compose: Compose<'a>,
        _now: SystemTime,
    ) -> BoxFuture<'a, Result<Commit, StoreError>> {
        unasked()
    }

    fn ledger_row(&self, _key: Digest) -> BoxFuture<'_, Result<Option<LedgerRow>, StoreError>> {
        unasked()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn forget(&self, _now: SystemTime) -> BoxFuture<'_, Result<u64, StoreError>> {
        unasked()
    }

    fn trail(&self, _filter: TrailFilter) -> BoxFuture<'_, Result<Vec<TrailRow>, StoreError>> {
        unasked()
    }

    fn heads(&self) -> BoxFuture<'_, Result<Vec<TrailRow>, StoreError>> {
        unasked()
    }

    fn locks(&self) -> BoxFuture<'_, Result<Vec<LockRow>, StoreError>> {
        Box::pin(async { self.answer(self.rows.lock().unwrap().clone()) })
    }

    fn add_lock(&self, lock: LockRow) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let mut rows = self.rows.lock().unwrap();
            rows.retain(|row| row.id != lock.id);
            rows.push(lock);
            self.answer(())
        })
    }

    fn remove_lock<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let mut rows = self.rows.lock().unwrap();
            let before = rows.len();
            rows.retain(|row| row.id != id);
            self.answer(rows.len() < before)
        })
    }

    fn authorities(&self) -> BoxFuture<'_, Result<Authorities, StoreError>> {
        unasked()
    }

    fn replace_authorities<'a>(
        &'a self,
        _expected: u64,
        _rows: &'a [AuthorityRow],
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        unasked()
    }

    fn revocations(&self) -> BoxFuture<'_, Result<Revocations, StoreError>> {
        unasked()
    }

    fn revoke<'a>(&'a self, _rows: &'a [RevocationRow], _now: SystemTime) -> BoxFuture<'a, Result<bool, StoreError>> {
        unasked()
    }

    fn bound_keys(&self) -> BoxFuture<'_, Result<Vec<BoundKeyRow>, StoreError>> {
        unasked()
    }

    fn bound_key(&self, _thumbprint: Digest) -> BoxFuture<'_, Result<Option<BoundKeyRow>, StoreError>> {
        unasked()
    }

    fn remove_bound_key<'a>(&'a self, _registration: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        unasked()
    }

    fn join_tokens(&self) -> BoxFuture<'_, Result<Vec<JoinTokenRow>, StoreError>> {
        unasked()
    }

    fn join_token(&self, _sha256: Digest) -> BoxFuture<'_, Result<Option<JoinTokenRow>, StoreError>> {
        unasked()
    }

    fn add_join_tokens<'a>(
        &'a self,
        _rows: &'a [JoinTokenRow],
        _now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        unasked()
    }

    fn remove_join_token<'a>(&'a self, _id: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        unasked()
    }

    fn fact<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        unasked()
    }

    fn set_fact<'a>(&'a self, _name: &'a str, _value: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        unasked()
    }
}

fn clock() -> Arc<FakeClock> {
    FakeClock::at("2026-01-16T14:40:00Z")
}

async fn started(store: &Arc<LockStore>, clock: &Arc<FakeClock>) -> Locks {
    let store: Arc<dyn Store> = Arc::clone(store) as Arc<dyn Store>;
    Locks::start_every(OFTEN, store, Arc::clone(clock) as Arc<dyn crate::clock::Clock>)
        .await
        .unwrap()
}

/// The tests wait for real refreshes, so these come fast.
const OFTEN: Duration = Duration::from_millis(5);

/// Waits for the next refreshes, and gives up long after they were due.
async fn eventually(mut reached: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if reached() {
            return;
        }
        tokio::time::sleep(OFTEN).await;
    }
    panic!("no refresh came");
}

fn decided_on(locks: &Locks) -> Result<(), Denial> {
    let asked = Ask {
        locks: LockSet::clone(&locks.snapshot()),
        ..ask()
    };
    sample().decide(asked).map(|_| ())
}

#[tokio::test]
async fn a_lock_holds_at_once_in_the_process_that_sets_it_and_ends_when_it_is_removed() {
    let store = Arc::new(LockStore::default());
    let locks = started(&store, &clock()).await;

    let lock = locks.add(LockTarget::Entry, "shop-deploy", "leaked key").await.unwrap();
    assert!(matches!(decided_on(&locks), Err(Denial::Locked { .. })));
    assert_eq!(locks.list().await.unwrap(), std::slice::from_ref(&lock));

    assert!(locks.remove(&lock.id).await.unwrap());
    assert_eq!(decided_on(&locks), Ok(()));
    assert!(!locks.remove(&lock.id).await.unwrap());
}

#[tokio::test]
async fn a_lock_that_another_process_sets_is_read_at_once_where_the_store_gives_word() {
    let store = ForgetfulStore::new();
    let never = Duration::from_hours(1);
    let start = || {
        let clock: Arc<FakeClock> = clock();
        Locks::start_every(never, Arc::clone(&store) as Arc<dyn Store>, clock)
    };
    let (here, there) = (start().await.unwrap(), start().await.unwrap());
    // The first tick of either comes at once and is not what this is about.
    tokio::time::sleep(OFTEN).await;

    here.add(LockTarget::Entry, "shop-deploy", "leaked key").await.unwrap();

    eventually(|| decided_on(&there).is_err()).await;
}

#[tokio::test]
async fn setting_a_lock_twice_is_setting_it_once() {
    let store = Arc::new(LockStore::default());
    let locks = started(&store, &clock()).await;

    locks.add(LockTarget::Run, "1", "first").await.unwrap();
    locks.add(LockTarget::Run, "1", "second").await.unwrap();

    let reasons: Vec<String> = locks.list().await.unwrap().into_iter().map(|row| row.reason).collect();
    assert_eq!(reasons, ["second"]);
}

#[tokio::test]
async fn a_lock_set_elsewhere_holds_after_the_next_refresh() {
    let store = Arc::new(LockStore::default());
    let locks = started(&store, &clock()).await;

    store.rows.lock().unwrap().push(row("entry", "shop-deploy"));

    eventually(|| matches!(decided_on(&locks), Err(Denial::Locked { .. }))).await;
}

#[test]
fn a_refresh_that_takes_2_seconds_still_ends_within_5() {
    assert!(REFRESH + Duration::from_secs(2) < Duration::from_secs(5));
}

#[tokio::test]
async fn a_copy_that_cannot_be_refreshed_denies_after_10_seconds_and_recovers_alone() {
    let (store, clock) = (Arc::new(LockStore::default()), clock());
    let locks = started(&store, &clock).await;
    let later = now() + MAX_AGE + Duration::from_secs(1);
    let decided_later = || {
        let workload = github_job().workload("shop-deploy", "/ci/acme/shop/deploy");
        let name = crate::authorize::RelyingPartyName::parse("aws-prod").unwrap();
        locks.snapshot().refuse(&workload, &name, later)
    };

    store.down.store(true, Ordering::SeqCst);
    tokio::time::sleep(OFTEN * 4).await;
    clock.set(later);
    tokio::time::sleep(OFTEN * 4).await;
    assert_eq!(decided_later(), Err(Denial::LocksStale { age_seconds: 11 }));

    store.down.store(false, Ordering::SeqCst);
    eventually(|| decided_later() == Ok(())).await;
}

#[tokio::test]
async fn nothing_starts_without_its_locks() {
    let store = Arc::new(LockStore::default());
    store.down.store(true, Ordering::SeqCst);

    assert!(Locks::start(store, clock()).await.is_err());
}

#[tokio::test]
async fn a_lock_that_was_not_stored_is_an_error() {
    let store = Arc::new(LockStore::default());
    let locks = started(&store, &clock()).await;
    store.down.store(true, Ordering::SeqCst);

    let refused = locks.add(LockTarget::Entry, "shop-deploy", "leaked key").await;

    assert!(matches!(refused, Err(LockRefused::Store(_))));
}

#[tokio::test]
async fn t_39_refuses_a_value_that_could_never_match() {
    let store = Arc::new(LockStore::default());
    let locks = started(&store, &clock()).await;

    for (target, value) in [
        (LockTarget::Entry, "Shop-Deploy"),
        (LockTarget::Entry, " shop-deploy"),
        (LockTarget::Entry, "shop-deploy\u{a0}"),
        (LockTarget::Attestor, "git hub"),
        (LockTarget::RelyingParty, "aws\u{200b}-prod"),
        (LockTarget::Run, ""),
        (LockTarget::Run, "1 "),
        (LockTarget::SpiffeId, "/ci/acme/shop/deploy"),
        (LockTarget::SpiffeId, "spiffe://Prod.acme.example/ci"),
    ] {
        let refused = locks.add(target, value, "leaked key").await;
        assert!(matches!(refused, Err(LockRefused::Value { .. })), "{target} {value:?}");
    }
    assert!(locks.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn takes_a_run_of_255_characters_and_refuses_256() {
    let store = Arc::new(LockStore::default());
    let locks = started(&store, &clock()).await;

    assert!(locks.add(LockTarget::Run, &"1".repeat(255), "").await.is_ok());
    assert!(locks.add(LockTarget::Run, &"1".repeat(256), "").await.is_err());
}
