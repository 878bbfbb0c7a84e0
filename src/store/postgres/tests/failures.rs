//! What becomes of a commit when the database is slow, gone, or another one than before.

use std::time::Instant;

use super::{proxy::Proxy, *};

async fn through(database: &Database) -> (Proxy, PostgresStore) {
    let proxy = Proxy::start(database.server.port()).await;
    let options = PostgresOptions::new(Secret::new(proxy.url(database.name())));
    let store = PostgresStore::open_within(&options, exact(1_000)).await.unwrap();
    (proxy, store)
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_durable_and_its_place_is_not_given_again() {
    let database = database!();
    let (proxy, store) = through(&database).await;
    store.begin_chain("w").await.unwrap();
    commit(&store, &[], vec![row("w", 1)]).await.unwrap();
    proxy.lose_the_next_answer();

    let lost = commit(&store, &[bearer("token")], vec![row("w", 2)]).await;

    assert!(matches!(lost, Err(StoreError::Unavailable { .. })), "{lost:?}");
    let found = store.trail(TrailFilter::default()).await.unwrap();
    assert_eq!(found, [row("w", 1), row("w", 2)]);
    assert!(commit(&store, &[], vec![row("w", 2)]).await.is_err());
    let next = commit(&store, &[bearer("token")], vec![row("w", 3)]).await.unwrap();
    assert_eq!(next.verdicts, [LedgerVerdict::Replayed]);
}

#[tokio::test]
async fn nothing_waits_longer_than_its_deadline_for_a_server_that_does_not_answer() {
    let database = database!();
    let (proxy, store) = through(&database).await;
    store.locks().await.unwrap();
    proxy.stall(true);

    let began = Instant::now();
    let locks = store.locks().await;
    let fact = store.fact("colour").await;
    let waited = began.elapsed();
    proxy.stall(false);

    assert!(locks.is_err() && fact.is_err());
    assert!(waited < QUICK * 2 + Duration::from_secs(1), "{waited:?}");
    assert_eq!(store.locks().await.unwrap(), []);
}

#[tokio::test]
async fn connections_that_the_server_ended_are_replaced() {
    let database = database!();
    let store = database.open(exact(1_000)).await;
    store.begin_chain("w").await.unwrap();
    commit(&store, &[], vec![row("w", 1)]).await.unwrap();
    let mut changes = listening(&store).await;
    database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
    // Idle for longer than that, a connection is asked before it is used.
    tokio::time::sleep(Duration::from_millis(1_100)).await;

    commit(&store, &[bearer("token")], vec![row("w", 2)]).await.unwrap();

    assert_eq!(store.heads().await.unwrap(), [row("w", 2)]);
    // Nobody knows what was missed while nothing was heard.
    tokio::time::timeout(Duration::from_secs(5), changes.locks())
        .await
        .unwrap();
    let other = database.open(Bounds::default()).await;
    let mut changes = listening(&store).await;
    other.remove_lock("1").await.unwrap();
    tokio::time::timeout(Duration::from_secs(2), changes.locks())
        .await
        .unwrap();
}

#[tokio::test]
async fn evidence_that_another_process_holds_for_too_long_fails_the_commit_and_nothing_else() {
    let database = database!();
    let store = database.open(exact(1_000)).await;
    let place = place::at(&database.options());
    let mut other = place.connect().await.unwrap();
    sqlx::raw_sql("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0")
        .execute(&mut other)
        .await
        .unwrap();
    ledger::reserve(&mut other, &[bearer("token").key], &[]).await.unwrap();

    let began = Instant::now();
    let refused = commit(&store, &[bearer("token")], Vec::new()).await;
    let waited = began.elapsed();

    assert!(matches!(refused, Err(StoreError::Unavailable { .. })));
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    commit(&store, &[bearer("another")], Vec::new()).await.unwrap();
    drop(other);
    let after = commit(&store, &[bearer("token")], Vec::new()).await.unwrap();
    assert_eq!(after.verdicts, [LedgerVerdict::First]);
}

/// A process that is paused in the middle of a commit keeps the others waiting no longer than the server allows.
#[tokio::test]
async fn a_transaction_that_was_left_open_is_ended_by_the_server() {
    let database = database!();
    let store = database.open(exact(1_000)).await;
    let place = place::at(&database.options());
    let mut paused = place.connect().await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut paused).await.unwrap();
    ledger::reserve(&mut paused, &[bearer("token").key], &[]).await.unwrap();

    tokio::time::sleep(Duration::from_millis(2_500)).await;

    let after = commit(&store, &[bearer("token")], Vec::new()).await.unwrap();
    assert_eq!(after.verdicts, [LedgerVerdict::First]);
}

#[tokio::test]
async fn tm_42_a_process_finds_that_the_database_was_put_back_beneath_it() {
    if server().is_none() {
        return;
    }
    let server = Server::start("on", false).unwrap();
    let options = PostgresOptions::new(Secret::new(server.url("postgres")));
    let store = PostgresStore::open_within(&options, exact(1_000)).await.unwrap();
    store.begin_chain("w").await.unwrap();
    commit(&store, &[], vec![row("w", 1)]).await.unwrap();
    let yesterday = server.directory().join("yesterday");
    let copied = |from: &std::path::Path, to: &std::path::Path| {
        let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(done.unwrap().success());
    };
    server.ctl(&["-m", "fast", "stop"]).unwrap();
    copied(&server.data(), &yesterday);
    server.ctl(&["start"]).unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    commit(&store, &[], vec![row("w", 2)]).await.unwrap();
    server.ctl(&["-m", "fast", "stop"]).unwrap();
    std::fs::remove_dir_all(server.data()).unwrap();
    copied(&yesterday, &server.data());
    server.ctl(&["start"]).unwrap();
    tokio::time::sleep(Duration::from_millis(1_100)).await;

    let refused = commit(&store, &[], vec![row("w", 3)]).await;

    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert_eq!(store.trail(TrailFilter::default()).await.unwrap(), [row("w", 1)]);
}

/// Sorted keys keep replicas from each other's way; whatever else locks rows may still be in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_the_database_gave_up_for_anothers_sake_is_done_again() {
    let database = database!();
    let store = Arc::new(database.open(exact(1_000)).await);
    let mut uses = [bearer("one"), bearer("two")];
    uses.sort_by_key(|one| one.key);
    let [low, high] = uses.clone().map(|one| one.key);
    let mut other = place::at(&database.options()).connect().await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut other).await.unwrap();
    ledger::reserve(&mut other, &[high], &[]).await.unwrap();
    let committing = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { commit(store.as_ref(), &uses, Vec::new()).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;

    // Each now waits for the other, until the server ends the one that waited longer.
    ledger::reserve(&mut other, &[low], &[]).await.unwrap();
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();

    let recorded = committing.await.unwrap().unwrap();
    assert_eq!(recorded.verdicts, [LedgerVerdict::First, LedgerVerdict::First]);
}

/// A pair with synchronous replication, as the manual asks for: what was acknowledged is on the standby too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_takes_a_lost_servers_place_has_all_that_was_acknowledged() {
    if server().is_none() {
        return;
    }
    let mut server = Server::start("on", false).unwrap();
    let options = PostgresOptions::new(Secret::new(server.url("postgres")));
    let store = PostgresStore::open_within(&options, exact(1_000)).await.unwrap();
    store.begin_chain("w").await.unwrap();
    let standby = server.standby().unwrap();
    for sequence in 1..=20 {
        let one = bearer(&format!("token {sequence}"));
        commit(&store, &[one], vec![row("w", sequence)]).await.unwrap();
    }

    server.lose_to(&standby).unwrap();

    let acknowledged: Vec<TrailRow> = (1..=20).map(|sequence| row("w", sequence)).collect();
    // Idle for longer than that, a connection is asked before it is used: all of them died with the old server.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let next = commit(&store, &[bearer("token 20")], vec![row("w", 21)]).await.unwrap();
    assert_eq!(next.verdicts, [LedgerVerdict::Replayed]);
    let found = store.trail(TrailFilter::default()).await.unwrap();
    assert_eq!(found, [acknowledged, vec![row("w", 21)]].concat());
}
