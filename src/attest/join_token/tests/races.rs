//! T-03: of all who come with one token, one joins.

use super::*;
use crate::{
    secret::Digest,
    store::{LedgerUse, LedgerVerdict, sqlite::SqliteStore},
};

/// Judges the token and uses it, as a gateway does for one request.
async fn redeem(stage: &Stage, text: &str) -> LedgerVerdict {
    let attestation = attested(stage.judge(text).await);
    let uses: Vec<LedgerUse> = attestation.ledger().cloned().into_iter().collect();
    used(&*stage.store, &uses, stage).await
}

async fn used(store: &dyn Store, uses: &[LedgerUse], stage: &Stage) -> LedgerVerdict {
    let committed = store
        .commit(uses, Box::new(|_verdicts| Vec::new()), stage.clock.now())
        .await
        .unwrap();
    committed.verdicts[0]
}

async fn race(stage: &Arc<Stage>, text: &str) -> usize {
    let tasks: Vec<_> = (0..64)
        .map(|_task| {
            let (stage, text) = (Arc::clone(stage), text.to_owned());
            tokio::spawn(async move { redeem(&stage, &text).await })
        })
        .collect();
    let mut firsts = 0;
    for task in tasks {
        match task.await.unwrap() {
            LedgerVerdict::First => firsts += 1,
            verdict => assert_eq!(verdict, LedgerVerdict::Replayed),
        }
    }
    firsts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_03_one_of_64_tasks_joins_by_one_token_in_1000_rounds() {
    let stage = Arc::new(Stage::new());
    for round in 0..1_000 {
        let (token, _) = stage.made().await;

        assert_eq!(race(&stage, token.secret().expose()).await, 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_03_one_of_64_tasks_joins_by_one_token_and_nobody_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("cambio.db").display());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&url).await.unwrap());
    let stage = Arc::new(Stage::with("plant", TABLE, Arc::clone(&store)));
    let mut last = String::new();
    for round in 0..20 {
        let (token, _) = stage.made().await;
        token.secret().expose().clone_into(&mut last);

        assert_eq!(race(&stage, &last).await, 1, "round {round}");
    }
    store.close().await;
    drop((stage, store));

    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&url).await.unwrap());
    let stage = Stage::with("plant", TABLE, store);

    assert_eq!(redeem(&stage, &last).await, LedgerVerdict::Replayed);
    let row = stage.store.join_token(Digest::of(last.as_bytes())).await.unwrap();
    assert!(row.unwrap().used);
}

#[tokio::test]
async fn a_machine_that_was_judged_before_a_removal_and_comes_after_it_does_not_join() {
    let stage = Stage::new();
    let (token, row) = stage.made().await;
    let attestation = attested(stage.judge(token.secret().expose()).await);

    let removal = used(&*stage.store, &[joining::removal(&row)], &stage).await;
    let late: Vec<LedgerUse> = attestation.ledger().cloned().into_iter().collect();

    assert_eq!(removal, LedgerVerdict::First);
    assert_eq!(used(&*stage.store, &late, &stage).await, LedgerVerdict::Replayed);
}

#[tokio::test]
async fn what_a_machine_used_cannot_be_removed_any_more() {
    let stage = Stage::new();
    let (token, row) = stage.made().await;

    assert_eq!(redeem(&stage, token.secret().expose()).await, LedgerVerdict::First);

    let removal = used(&*stage.store, &[joining::removal(&row)], &stage).await;
    assert_eq!(removal, LedgerVerdict::Replayed);
}
