//! The suite on PostgreSQL, and what only a database that others share can do.

mod failures;
mod place;
mod proxy;
mod server;

use std::collections::BTreeMap;

use self::server::{Server, server};
use super::*;
use crate::{
    secret::Secret,
    store::{
        Binding, BoundKeyChange, LedgerVerdict, UseRule,
        suite::{Place as Kept, bearer, bound_key, commit, join_token, keeping, moment, row, suite_for},
    },
};

/// A database of its own.
pub(super) struct Database {
    pub(super) server: &'static Server,
    pub(super) url: String,
}

impl Database {
    pub(super) fn new() -> Option<Self> {
        let server = server()?;
        let url = server.database();
        Some(Self { server, url })
    }

    fn name(&self) -> &str {
        let (_, rest) = self.url.split_once(":///").unwrap();
        rest.split_once('?').unwrap().0
    }

    pub(super) fn options(&self) -> PostgresOptions {
        PostgresOptions::new(Secret::new(self.url.as_str()))
    }

    pub(super) async fn open(&self, bounds: Bounds) -> PostgresStore {
        PostgresStore::open_within(&self.options(), bounds).await.unwrap()
    }

    pub(super) fn sql(&self, statements: &str) -> String {
        self.server.sql(self.name(), statements)
    }
}

pub(super) fn exact(ledger_rows: u64) -> Bounds {
    Bounds {
        ledger_rows,
        skew: Duration::ZERO,
        ..Bounds::default()
    }
}

/// A lease that a test can wait for.
pub(super) fn short() -> Bounds {
    Bounds {
        lease: LEASE,
        ..Bounds::default()
    }
}

/// Long enough for a busy machine to renew it three times.
const LEASE: Duration = Duration::from_millis(1_500);

impl Kept for Database {
    fn open(&self, ledger_rows: u64) -> BoxFuture<'_, Arc<dyn Store>> {
        Box::pin(async move { Arc::new(self.open(exact(ledger_rows)).await) as Arc<dyn Store> })
    }
}

suite_for!(try Database::new());

/// Lets the test go on only where there is a server.
macro_rules! database {
    () => {
        match Database::new() {
            Some(database) => database,
            None => return,
        }
    };
}
pub(super) use database;

fn keyed(evidence: &str, key: &str) -> LedgerUse {
    LedgerUse {
        binding: Binding::Dpop(Digest::of(key.as_bytes())),
        rule: UseRule::Keyed,
        ..bearer(evidence)
    }
}

fn intent(writer: &str, sequence: u64) -> TrailRow {
    TrailRow {
        kind: "intent".to_owned(),
        exchange_id: format!("{writer}-{sequence}"),
        ..row(writer, sequence)
    }
}

fn closing(intent: &TrailRow, kind: &str, (writer, sequence): (&str, u64)) -> TrailRow {
    TrailRow {
        kind: kind.to_owned(),
        exchange_id: intent.exchange_id.clone(),
        ..row(writer, sequence)
    }
}

async fn two(database: &Database, bounds: Bounds) -> [Arc<PostgresStore>; 2] {
    [
        Arc::new(database.open(bounds).await),
        Arc::new(database.open(bounds).await),
    ]
}

/// One verdict from each of 64 tasks, half of them on each store.
async fn race(stores: &[Arc<PostgresStore>; 2], one: impl Fn(usize) -> LedgerUse) -> Vec<LedgerVerdict> {
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = Arc::clone(&stores[task % 2]);
            let one = one(task);
            tokio::spawn(async move { commit(store.as_ref(), &[one], Vec::new()).await.unwrap().verdicts[0] })
        })
        .collect();
    let mut found = Vec::new();
    for task in tasks {
        found.push(task.await.unwrap());
    }
    found
}

fn counted(verdicts: &[LedgerVerdict], wanted: LedgerVerdict) -> usize {
    verdicts.iter().filter(|verdict| **verdict == wanted).count()
}

/// T-03 at its full size, for join tokens and whatever else serves once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_03_one_of_64_tasks_on_two_replicas_uses_an_evidence_that_serves_once_in_each_of_1000_rounds() {
    let database = database!();
    let stores = two(&database, Bounds::default()).await;

    for round in 0..1_000 {
        let found = race(&stores, |_task| bearer(&format!("evidence {round}"))).await;

        let firsts = counted(&found, LedgerVerdict::First);
        assert_eq!(
            (firsts, counted(&found, LedgerVerdict::Replayed)),
            (1, 63),
            "round {round}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_03_the_key_that_comes_first_on_either_replica_is_the_one_that_goes_on() {
    let database = database!();
    let stores = two(&database, Bounds::default()).await;

    for round in 0..10 {
        let found = race(&stores, |task| {
            keyed(&format!("evidence {round}"), &format!("key {}", task / 32))
        })
        .await;

        let firsts = counted(&found, LedgerVerdict::First);
        let (same, stolen) = (
            counted(&found, LedgerVerdict::Same),
            counted(&found, LedgerVerdict::Stolen),
        );
        assert_eq!((firsts, same, stolen), (1, 31, 32), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_03_one_of_64_rotations_of_a_machines_key_on_two_replicas_is_made() {
    let database = database!();
    let stores = two(&database, Bounds::default()).await;
    let first = bound_key(1);
    let registers = keeping("token", BoundKeyChange::Register(Box::new(first.clone())));
    commit(stores[0].as_ref(), &[registers], Vec::new()).await.unwrap();

    let found = race(&stores, |task| {
        let to = BoundKeyRow {
            thumbprint: Digest::of(format!("next {task}").as_bytes()),
            generation: 2,
            ..first.clone()
        };
        let change = BoundKeyChange::Rotate {
            from: first.thumbprint,
            to: Box::new(to),
        };
        LedgerUse {
            proof: Some((Digest::of(b"the first key ends"), moment(600))),
            ..keeping(&format!("evidence {task}"), change)
        }
    })
    .await;

    let firsts = counted(&found, LedgerVerdict::First);
    assert_eq!((firsts, counted(&found, LedgerVerdict::ProofReused)), (1, 63));
    let winner = found
        .iter()
        .position(|verdict| *verdict == LedgerVerdict::First)
        .unwrap();
    let standing = stores[1].bound_keys().await.unwrap();
    assert_eq!(standing.len(), 1);
    assert_eq!(standing[0].thumbprint, Digest::of(format!("next {winner}").as_bytes()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_serves_one_of_two_replicas() {
    let database = database!();
    let stores = two(&database, Bounds::default()).await;
    commit(stores[0].as_ref(), &[keyed("evidence", "key")], Vec::new())
        .await
        .unwrap();
    let proven = LedgerUse {
        proof: Some((Digest::of(b"proof"), moment(60))),
        ..keyed("evidence", "key")
    };

    let found = race(&stores, |_task| proven.clone()).await;

    let same = counted(&found, LedgerVerdict::Same);
    assert_eq!((same, counted(&found, LedgerVerdict::ProofReused)), (1, 63));
}

/// Batches that want the same evidence in opposite orders: neither waits for the other for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_in_opposite_orders_never_deadlock_and_agree_on_each_evidence() {
    let database = database!();
    let stores = two(&database, Bounds::default()).await;
    let all: Vec<String> = (0..50).map(|one| format!("evidence {one}")).collect();
    let mut firsts: BTreeMap<(usize, String), usize> = BTreeMap::new();

    for round in 0..10 {
        let mut tasks = Vec::new();
        for (place, store) in stores.iter().enumerate() {
            let mut evidence = all.clone();
            if place == 1 {
                evidence.reverse();
            }
            let store = Arc::clone(store);
            tasks.push(tokio::spawn(async move {
                let uses: Vec<_> = evidence.iter().map(|one| bearer(&format!("{round} {one}"))).collect();
                let verdicts = commit(store.as_ref(), &uses, Vec::new()).await.unwrap().verdicts;
                evidence.into_iter().zip(verdicts).collect::<Vec<_>>()
            }));
        }
        for task in tasks {
            for (evidence, verdict) in task.await.unwrap() {
                *firsts.entry((round, evidence)).or_default() += usize::from(verdict == LedgerVerdict::First);
            }
        }
    }

    assert!(
        firsts.len() == 500 && firsts.values().all(|firsts| *firsts == 1),
        "{firsts:?}"
    );
    let deadlocks = database.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    assert_eq!(deadlocks, "0");
}

#[tokio::test]
async fn a_use_that_another_replica_gives_up_is_free_again() {
    let database = database!();
    let stores = two(&database, exact(2)).await;
    commit(stores[0].as_ref(), &[bearer("1"), bearer("2")], Vec::new())
        .await
        .unwrap();
    stores[1].count_ledger().await.unwrap();

    let full = commit(stores[1].as_ref(), &[bearer("3")], Vec::new()).await.unwrap();

    assert_eq!(full.verdicts, [LedgerVerdict::Full]);
    assert_eq!(database.sql("SELECT count(*) FROM cambio.ledger"), "2");
}

#[tokio::test]
async fn a_row_is_remembered_for_as_long_as_another_replicas_clock_may_lag() {
    let database = database!();
    let store = database.open(Bounds::default()).await;
    commit(&store, &[bearer("token")], Vec::new()).await.unwrap();

    assert_eq!(store.forget(moment(600 + 59)).await.unwrap(), 0);
    assert_eq!(store.forget(moment(600 + 60)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_chain_is_begun_once_and_only_its_process_adds_to_it() {
    let database = database!();
    let [here, there] = two(&database, Bounds::default()).await;
    here.begin_chain("w").await.unwrap();

    assert!(there.begin_chain("w").await.is_err());
    let elsewhere = commit(there.as_ref(), &[bearer("token")], vec![row("w", 1)]).await;

    assert!(matches!(elsewhere, Err(StoreError::Unavailable { .. })));
    let recorded = commit(here.as_ref(), &[bearer("token")], vec![row("w", 1)])
        .await
        .unwrap();
    assert_eq!(recorded.verdicts, [LedgerVerdict::First]);
}

/// Opens a store with an open intent, and lets it fall silent as a paused process does.
async fn silent(database: &Database, writer: &str) -> (PostgresStore, TrailRow) {
    let store = database.open(short()).await;
    store.begin_chain(writer).await.unwrap();
    let lost = intent(writer, 1);
    commit(&store, &[], vec![lost.clone()]).await.unwrap();
    for task in &store.tasks {
        task.abort();
    }
    (store, lost)
}

async fn lost_to(store: &PostgresStore, writer: &str) -> Vec<TrailRow> {
    for _ in 0..100 {
        let lost = store.lost_intents(writer, 10).await.unwrap();
        if !lost.is_empty() {
            return lost;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no intent was ever lost");
}

#[tokio::test]
async fn tm_20_a_process_that_was_paused_beyond_its_lease_adds_nothing_more() {
    let database = database!();
    let (paused, lost) = silent(&database, "paused").await;
    let other = database.open(short()).await;
    other.begin_chain("other").await.unwrap();

    assert_eq!(lost_to(&other, "other").await, std::slice::from_ref(&lost));
    let closed = closing(&lost, "unknown", ("other", 1));
    commit(&other, &[], vec![closed.clone()]).await.unwrap();

    let outcome = closing(&lost, "outcome", ("paused", 2));
    for _ in 0..2 {
        let refused = commit(&paused, &[bearer("token")], vec![outcome.clone()]).await;
        assert!(matches!(refused, Err(StoreError::Fenced { writer }) if writer == "paused"));
    }
    assert!(matches!(
        paused.lost_intents("paused", 1).await,
        Err(StoreError::Fenced { .. })
    ));
    assert_eq!(paused.ledger_row(bearer("token").key).await.unwrap(), None);
    assert_eq!(other.trail(TrailFilter::default()).await.unwrap(), [lost, closed]);
    // The same process may go on in another chain.
    paused.begin_chain("paused.2").await.unwrap();
    commit(&paused, &[], vec![row("paused.2", 1)]).await.unwrap();
}

#[tokio::test]
async fn an_intent_of_a_process_that_is_gone_is_closed_once() {
    let database = database!();
    let (_paused, lost) = silent(&database, "paused").await;
    let [first, second] = two(&database, short()).await;
    first.begin_chain("first").await.unwrap();
    second.begin_chain("second").await.unwrap();

    assert_eq!(lost_to(&first, "first").await.len(), 1);
    assert_eq!(second.lost_intents("second", 10).await.unwrap(), []);
    // Asked again before it is closed, it is still the first one's to close.
    assert_eq!(first.lost_intents("first", 10).await.unwrap().len(), 1);
    commit(first.as_ref(), &[], vec![closing(&lost, "unknown", ("first", 1))])
        .await
        .unwrap();

    let again = commit(first.as_ref(), &[], vec![closing(&lost, "unknown", ("first", 2))]).await;
    assert!(matches!(again, Err(StoreError::Unavailable { .. })));
    assert_eq!(first.lost_intents("first", 10).await.unwrap(), []);
    assert_eq!(
        database.sql("SELECT count(*) FROM cambio.trail WHERE kind = 'unknown'"),
        "1"
    );
}

#[tokio::test]
async fn what_a_closer_left_open_when_it_ended_itself_another_one_closes() {
    let database = database!();
    let (_paused, lost) = silent(&database, "paused").await;
    let [first, second] = two(&database, short()).await;
    first.begin_chain("first").await.unwrap();
    second.begin_chain("second").await.unwrap();
    assert_eq!(lost_to(&first, "first").await.len(), 1);

    first.close().await;

    assert_eq!(second.lost_intents("second", 10).await.unwrap(), [lost]);
}

#[tokio::test]
async fn a_process_that_stops_leaves_its_intents_at_once() {
    let database = database!();
    let [first, second] = two(&database, Bounds::default()).await;
    first.begin_chain("first").await.unwrap();
    second.begin_chain("second").await.unwrap();
    commit(first.as_ref(), &[], vec![intent("first", 1)]).await.unwrap();
    assert_eq!(second.lost_intents("second", 10).await.unwrap(), []);

    first.close().await;

    assert_eq!(second.lost_intents("second", 10).await.unwrap(), [intent("first", 1)]);
}

#[tokio::test]
async fn a_chain_that_is_just_added_to_is_not_ended() {
    let database = database!();
    let (_paused, _lost) = silent(&database, "paused").await;
    let other = database.open(short()).await;
    other.begin_chain("other").await.unwrap();
    let holding = database.options();
    let place = place::at(&holding);
    let mut connection = place.connect().await.unwrap();
    sqlx::raw_sql("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0; SELECT FROM writer WHERE writer = 'paused' FOR UPDATE")
        .execute(&mut connection)
        .await
        .unwrap();
    tokio::time::sleep(LEASE * 3).await;
    assert_eq!(other.lost_intents("other", 10).await.unwrap(), []);

    drop(connection);

    assert_eq!(lost_to(&other, "other").await.len(), 1);
}

#[tokio::test]
async fn after_the_database_was_away_nobody_ends_anybody_before_all_had_time_to_come_back() {
    let database = database!();
    let (_paused, _lost) = silent(&database, "paused").await;
    let other = database.open(short()).await;
    other.begin_chain("other").await.unwrap();
    tokio::time::sleep(LEASE * 3).await;
    for task in &other.tasks {
        task.abort();
    }
    // Cut off for longer than a lease, and back: the first renewal starts the count anew.
    tokio::time::sleep(LEASE * 2).await;
    let renewing = tokio::spawn(Arc::clone(&other.chains).keep_renewed(Arc::clone(&other.others)));
    tokio::time::sleep(LEASE / 3).await;

    assert_eq!(other.lost_intents("other", 10).await.unwrap(), []);

    assert_eq!(lost_to(&other, "other").await.len(), 1);
    renewing.abort();
}

#[tokio::test]
async fn a_lease_is_had_by_one_until_it_ends_and_its_fence_counts_the_holders() {
    let database = database!();
    let store = database.open(Bounds::default()).await;
    let hour = Duration::from_hours(1);
    let lease = async |holder, hold| store.lease("rotation", holder, hold).await.unwrap();

    assert_eq!(lease("a", hour).await, Some(Lease { fence: 1 }));
    assert_eq!(lease("b", hour).await, None);
    assert_eq!(lease("a", Duration::from_millis(1)).await, Some(Lease { fence: 1 }));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(lease("b", hour).await, Some(Lease { fence: 2 }));
    assert_eq!(lease("a", hour).await, None);
}

#[tokio::test]
async fn word_of_a_change_reaches_the_other_replica_at_once() {
    let database = database!();
    let [here, there] = two(&database, Bounds::default()).await;
    let mut changes = listening(&there).await;
    let lock = LockRow {
        id: "1".to_owned(),
        target: "entry".to_owned(),
        value: "shop-deploy".to_owned(),
        reason: String::new(),
        created_seconds: 7,
    };
    let soon = Duration::from_secs(2);

    here.add_lock(lock).await.unwrap();
    tokio::time::timeout(soon, changes.locks()).await.unwrap();
    here.remove_lock("1").await.unwrap();
    tokio::time::timeout(soon, changes.locks()).await.unwrap();
    here.replace_authorities(0, &[]).await.unwrap();
    tokio::time::timeout(soon, changes.authorities()).await.unwrap();
    here.revoke(&[], moment(0)).await.unwrap();
    tokio::time::timeout(soon, changes.revocations()).await.unwrap();
}

/// Returns the changes of a store that hears others from now on.
pub(super) async fn listening(store: &PostgresStore) -> Changes {
    let mut changes = store.changes();
    // Once it listens, it says that anything may have changed.
    let heard = async {
        changes.locks().await;
        changes.authorities().await;
        changes.revocations().await;
    };
    let _heard_before = tokio::time::timeout(Duration::from_secs(2), heard).await;
    store.changes()
}

#[tokio::test]
async fn a_process_has_no_more_connections_than_it_may() {
    let database = database!();
    let options = PostgresOptions {
        connections: 3,
        ..database.options()
    };
    let store = Arc::new(PostgresStore::open_within(&options, Bounds::default()).await.unwrap());
    store.begin_chain("w").await.unwrap();
    listening(&store).await;

    let tasks: Vec<_> = (0..20)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                store.trail(TrailFilter::default()).await.unwrap();
                commit(store.as_ref(), &[bearer(&task.to_string())], Vec::new())
                    .await
                    .unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }

    let connected =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'cambio'";
    assert_eq!(database.sql(connected), "3");
}

#[tokio::test]
async fn a_reader_sees_the_trail_and_writes_nothing() {
    let database = database!();
    let writer = database.open(Bounds::default()).await;
    writer.begin_chain("w").await.unwrap();
    let reader = PostgresStore::open_read_only(&database.options()).await.unwrap();

    commit(&writer, &[], vec![row("w", 1)]).await.unwrap();

    assert_eq!(reader.trail(TrailFilter::default()).await.unwrap(), [row("w", 1)]);
    assert_eq!(reader.heads().await.unwrap(), [row("w", 1)]);
    assert!(reader.set_fact("colour", "red").await.is_err());
    assert!(reader.begin_chain("v").await.is_err());
}

#[tokio::test]
async fn a_row_that_was_tampered_with_is_an_error_and_never_a_permission() {
    let database = database!();
    let store = database.open(Bounds::default()).await;
    store.begin_chain("w").await.unwrap();
    commit(&store, &[bearer("token")], vec![row("w", 1)]).await.unwrap();
    database.sql("UPDATE cambio.ledger SET binding_kind = 7; UPDATE cambio.trail SET hash = '\\x00'");

    assert!(commit(&store, &[bearer("token")], Vec::new()).await.is_err());
    assert!(store.ledger_row(bearer("token").key).await.is_err());
    assert!(store.trail(TrailFilter::default()).await.is_err());
}

#[tokio::test]
async fn the_questions_of_every_commit_and_query_use_an_index() {
    let database = database!();
    database.open(Bounds::default()).await.close().await;
    let questions = [
        "SELECT * FROM ledger WHERE key = ANY(ARRAY['\\x00'::bytea])",
        "SELECT key FROM ledger WHERE remember_until <= 1 ORDER BY remember_until LIMIT 2 FOR UPDATE SKIP LOCKED",
        "SELECT * FROM trail WHERE exchange_id = 'a' AND exchange_id <> '' ORDER BY id LIMIT 1",
        "SELECT * FROM trail WHERE spiffe_id = 'a' AND spiffe_id <> '' ORDER BY id DESC LIMIT 1",
        "SELECT * FROM trail WHERE code = 'a' AND code <> '' ORDER BY id DESC LIMIT 1",
        "SELECT * FROM trail WHERE writer = 'a' AND sequence > 1 ORDER BY sequence LIMIT 1",
        "SELECT min(writer) FROM trail WHERE writer > 'a'",
        "DELETE FROM open_intent USING unnest(ARRAY['a'], ARRAY['b']) AS done (exchange_id, relying_party) \
         WHERE open_intent.exchange_id = done.exchange_id AND open_intent.relying_party = done.relying_party",
        "SELECT writer FROM writer WHERE ended_at IS NULL AND lease_until < clock_timestamp()",
    ];

    for question in questions {
        // Tables of a few rows would be read whole, whatever indexes they have.
        let plan = database.sql(&format!(
            "SET search_path = cambio; SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN {question}"
        ));
        assert!(
            !plan.contains("Seq Scan") && plan.contains("Index"),
            "{question}: {plan}"
        );
    }
}
