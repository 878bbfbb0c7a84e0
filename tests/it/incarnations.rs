//! What the trail says of the gateway itself, and that an older store is not taken for the present one.

use std::{fs, path::Path};

use cambio::{
    audit::verify::{self, Against},
    cli::dev::development::Unready,
    store::{Store as _, sqlite::SqliteStore},
};
use serde_json::{Value, json};

use crate::{
    ground::Ground,
    world::{World, place},
};

fn of_kind(entries: &[Value], kind: &str) -> Vec<Value> {
    entries.iter().filter(|entry| entry["kind"] == kind).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_as_soon_as_it_is_ready_it_ends_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let ground = Ground::new(&directory.path().join("ground"));
    ground.configure(1, "");
    for _again in 0..8 {
        let (server, _took) = ground.start(Path::new(env!("CARGO_BIN_EXE_cambio")), true);
        server.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_an_orderly_stop_and_each_change_between_are_entries() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path());
    let world = World::start_at(&place, |configuration| configuration).await.unwrap();
    let configuration = fs::read_to_string(place.configuration()).unwrap();
    let lock = world.lock("entry", "shop-deploy").await;
    world.unlock(&lock).await;
    world.development.reload().await;
    fs::write(place.configuration(), "no TOML").unwrap();
    world.development.reload().await;
    fs::write(place.configuration(), &configuration).unwrap();
    world.development.stop().await;

    let again = World::start_at(&place, |configuration| configuration).await.unwrap();

    let all = again.trail().await;
    let first = all[0]["writer"].clone();
    let (before, after): (Vec<Value>, Vec<Value>) = all.into_iter().partition(|entry| entry["writer"] == first);
    let kinds: Vec<&str> = before.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    let expected = [&["start"][..], &["change"; 9], &["stop"]].concat();
    assert_eq!(kinds, expected);
    let first_keys = ["one of the first on record"; 5];
    let said = [&first_keys[..], &["added", "removed", "generation 2", "was refused"]].concat();
    for (change, said) in of_kind(&before, "change").iter().zip(said) {
        let detail = change["detail"].as_str().unwrap();
        assert!(detail.contains(said), "{detail}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let format = again.development.running.gateway().store.fact("format").await.unwrap();
    assert!(format.is_some(), "the store says which format it has");
    let gateway =
        |generation: u64| json!({ "version": version, "policy_generation": generation, "store_format": format });
    assert_eq!(before[0]["gateway"], gateway(1));
    assert_eq!(before[10]["gateway"], gateway(2), "the policy in force at the end");
    assert_eq!(after.len(), 1, "{after:?}");
    assert_eq!(
        (&after[0]["kind"], &after[0]["gateway"]),
        (&"start".into(), &gateway(1))
    );

    let filtered = again.admin("GET", "/v1/audit?kind=stop", None).await;
    assert_eq!(filtered.text.lines().count(), 1);
    again.development.stop().await;
    let store = SqliteStore::open_read_only(&format!("sqlite://{}", place.store().display()))
        .await
        .unwrap();
    let report = verify::verify(
        &store,
        Against {
            checkpoint: None,
            key: None,
        },
    )
    .await
    .unwrap();
    store.close().await;
    assert!(report.is_intact(), "{:?}", report.faults);
    assert_eq!((report.chains, report.entries), (2, 13));
}

/// Copies the files of a store.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn refusal(started: Result<World, Unready>) -> String {
    match started {
        Err(Unready::Other(refused)) => format!("{refused:#}"),
        Err(Unready::Configuration(diagnostics)) => panic!("{diagnostics:?}"),
        Ok(_) => panic!("it started"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tm_42_a_store_that_lies_before_a_checkpoint_kept_elsewhere_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let place = place(directory.path());
    let kept = elsewhere.path().join("checkpoints.jsonl");
    let section = format!("\n[audit]\ncheckpoint_file = \"{}\"\n", kept.display());
    let start = || World::start_at(&place, |configuration| configuration + &section);
    let store = place.store();
    let store = store.parent().unwrap();

    // The first start of all: there is nothing to hold the store against, and no entry in it.
    let first = start().await.unwrap_or_else(|unready| panic!("{unready:?}"));
    first.development.stop().await;
    let old = directory.path().join("old");
    copy(store, &old);

    let refused = refusal(start().await);
    assert!(refused.contains("found no checkpoint in"), "{refused}");

    fs::copy(place.audit(), &kept).unwrap();
    let second = start().await.unwrap_or_else(|unready| panic!("{unready:?}"));
    assert_eq!(second.exchange(&second.good(), &["aws-dev"]).await.status, 200);
    second.development.stop().await;
    fs::copy(place.audit(), &kept).unwrap();

    // The old copy has its own, older checkpoint with it and passes for itself, once the sink's copy is gone.
    let new = directory.path().join("new");
    copy(store, &new);
    copy(&old, store);
    fs::remove_file(place.audit()).unwrap();
    let without = World::start_at(&place, |configuration| configuration).await;
    without
        .unwrap_or_else(|unready| panic!("{unready:?}"))
        .development
        .stop()
        .await;
    copy(&old, store);
    fs::remove_file(place.audit()).unwrap();
    let refused = refusal(start().await);
    assert!(refused.contains("a checkpoint knows it up to"), "{refused}");

    copy(&new, store);
    let text = fs::read_to_string(&kept).unwrap();
    fs::write(
        &kept,
        text.replace("\"checkpoint\":{\"jws\":\"e", "\"checkpoint\":{\"jws\":\"f"),
    )
    .unwrap();
    let refused = refusal(start().await);
    assert!(refused.contains("signed by no audit key of the store"), "{refused}");

    fs::write(&kept, text).unwrap();
    let third = start().await.unwrap_or_else(|unready| panic!("{unready:?}"));
    assert_eq!(third.exchange(&third.good(), &["aws-dev"]).await.status, 200);
    third.development.stop().await;
}
