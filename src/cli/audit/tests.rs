use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{
    cli::fixture::{FILTERS, Ran, Surroundings, ran, transcript},
    clock::FakeClock,
};

macro_rules! snapshot {
    ($ran:expr) => {
        insta::with_settings!({ filters => FILTERS.to_vec() }, { insta::assert_snapshot!(transcript(&$ran)) })
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_is_found_by_the_id_that_the_workload_was_told() {
    let world = Surroundings::new().await;
    let denied = world.job_runs(&world.token(), &["creds", "aws-other"]).await;
    let id = denied.stderr.split_whitespace().last().unwrap().to_owned();

    let found = world.runs(&["audit", "query", "--exchange-id", &id]).await;

    assert!(found.stdout.contains(&id), "{}", found.stderr);
    snapshot!(found);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tail_ends_with_the_newest_entry() {
    let world = Surroundings::new().await;
    assert_eq!(world.job_runs(&world.token(), &["creds", "aws-dev"]).await.exit, 0);

    let two = world.runs(&["audit", "tail", "-n", "2", "--output", "json"]).await;

    let kinds: Vec<Value> = two
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone())
        .collect();
    assert_eq!(kinds, ["intent", "outcome"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_reach_the_trail() {
    let world = Surroundings::new().await;
    world.job_runs(&world.token(), &["creds", "aws-dev"]).await;
    world.job_runs(&world.token(), &["creds", "aws-other"]).await;
    let counted = async |words: &[&str]| {
        let mut all = vec!["audit", "query", "--output", "json"];
        all.extend(words);
        let ran = world.runs(&all).await;
        assert_eq!(ran.exit, 0, "{}", ran.stderr);
        ran.stdout.lines().count()
    };

    assert_eq!(counted(&["--kind", "denial"]).await, 1);
    assert_eq!(counted(&["--relying-party", "aws-dev"]).await, 2);
    assert_eq!(counted(&["--code", "authorize.relying_party_unknown"]).await, 1);
    assert_eq!(counted(&["--open"]).await, 0);
    assert_eq!(counted(&["--until", "1h"]).await, 0);
    assert!(counted(&["--since", "1h", "--oldest"]).await >= 3);
    assert_eq!(counted(&["--limit", "1"]).await, 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_not_there_ends_with_6() {
    let variables = vec![("CAMBIO_ADMIN".to_owned(), "/no/such.sock".to_owned())];

    let refused = ran(FakeClock::at("2026-01-16T14:40:00Z"), variables, &["audit", "tail"]).await;

    snapshot!(refused);
}

/// A trail that was written and closed, with what verifies it.
struct Written {
    world: tempfile::TempDir,
    key: PathBuf,
    checkpoint: PathBuf,
    store: String,
}

async fn written() -> Written {
    let world = Surroundings::new().await;
    for _ in 0..3 {
        assert_eq!(world.job_runs(&world.token(), &["creds", "aws-dev"]).await.exit, 0);
    }
    let keys = world.development.running.gateway().minter.keys().load();
    let audit = keys.authorities().iter().find(|one| one.purpose().as_str() == "audit");
    let jwks = json!({ "keys": [audit.unwrap().public_jwk()] });
    let key = world.directory.path().join("audit.jwks");
    std::fs::write(&key, jwks.to_string()).unwrap();
    let socket = reqwest::Client::builder()
        .unix_socket(world.development.place.admin())
        .build();
    let shown = socket
        .unwrap()
        .get("http://admin.invalid/v1/keys")
        .send()
        .await
        .unwrap();
    let shown = shown.text().await.unwrap();
    std::fs::write(world.directory.path().join("keys.json"), shown).unwrap();
    let (checkpoint, store) = (world.development.place.audit(), world.development.place.store());
    let Surroundings {
        development,
        directory: kept,
        clock: _,
    } = world;
    development.stop().await;
    Written {
        world: kept,
        key,
        checkpoint,
        store: format!("sqlite://{}", store.display()),
    }
}

impl Written {
    async fn verify(&self, words: &[&str]) -> Ran {
        let mut all = vec!["audit", "verify", "--store", &self.store];
        all.extend(words);
        ran(FakeClock::at("2026-01-16T14:40:00Z"), Vec::new(), &all).await
    }

    fn text<'a>(&self, path: &'a Path) -> &'a str {
        assert!(self.world.path().exists());
        path.to_str().unwrap()
    }

    async fn change(&self, sql: &str) {
        use sqlx::{ConnectOptions as _, Connection as _};
        let options: sqlx::sqlite::SqliteConnectOptions = self.store.parse().unwrap();
        let mut store = options.connect().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&mut store)
            .await
            .unwrap();
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_as_it_was_written_is_intact() {
    let written = written().await;
    let (key, checkpoint) = (written.text(&written.key), written.text(&written.checkpoint));

    let held = written.verify(&["--key", key, "--checkpoint", checkpoint]).await;
    let bare = written.verify(&["--output", "json"]).await;

    snapshot!(held);
    let report: Value = serde_json::from_str(&bare.stdout).unwrap();
    assert_eq!((bare.exit, &report["faults"]), (0, &json!([])));
    assert!(report["entries"].as_u64().unwrap() >= 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_the_admin_socket_holds_the_key() {
    let written = written().await;
    let keys = written.world.path().join("keys.json");

    let held = written.verify(&["--key", written.text(&keys)]).await;

    assert_eq!(held.exit, 0, "{}", held.stderr);
    assert!(
        held.stdout.contains("held against the store's own checkpoint"),
        "{}",
        held.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t_62_an_edited_entry_ends_with_1() {
    let written = written().await;
    written
        .change("UPDATE trail SET body = replace(body, 'aws-dev', 'aws-dew') WHERE sequence = 7")
        .await;

    let faulty = written.verify(&[]).await;

    assert_eq!(faulty.exit, 1);
    assert!(faulty.stdout.contains("FAULT"), "{}", faulty.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_62_a_trail_that_was_cut_off_ends_with_1_against_a_checkpoint() {
    let written = written().await;
    let (key, checkpoint) = (written.text(&written.key), written.text(&written.checkpoint));
    written
        .change("DELETE FROM trail WHERE sequence = (SELECT max(sequence) FROM trail)")
        .await;

    let faulty = written.verify(&["--key", key, "--checkpoint", checkpoint]).await;

    assert_eq!(faulty.exit, 1);
    assert!(faulty.stdout.contains("ends at"), "{}", faulty.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_62_whatever_cannot_be_read_ends_with_1() {
    let written = written().await;
    let (key, checkpoint) = (written.text(&written.key), written.text(&written.checkpoint));
    let garbage = written.world.path().join("garbage");
    std::fs::write(&garbage, "garbage").unwrap();
    let garbage = garbage.to_str().unwrap();

    for words in [
        vec!["--checkpoint", checkpoint],
        vec!["--key", "/no/such/key"],
        vec!["--key", garbage],
        vec!["--key", key, "--checkpoint", garbage],
        vec!["--key", key, "--checkpoint", "/no/such/checkpoint"],
        vec!["--store", "postgres://db.acme.example/cambio"],
        vec!["--store", "sqlite:///no/such/store.db"],
    ] {
        let mut all = vec!["audit", "verify"];
        if words[0] != "--store" {
            all.extend(["--store", written.store.as_str()]);
        }
        all.extend(&words);
        let refused = ran(FakeClock::at("2026-01-16T14:40:00Z"), Vec::new(), &all).await;
        assert_eq!(
            (refused.exit, refused.stdout.as_str()),
            (1, ""),
            "{words:?} {}",
            refused.stderr
        );
        assert!(refused.stderr.starts_with("error: "), "{words:?}");
    }
}

/// Asserts how a command ended, and that it names the bound where it was refused.
fn bounded(ran: &Ran, exit: u8, bound: &str) {
    assert_eq!(ran.exit, exit, "{}", ran.stderr);
    assert_eq!(ran.stderr.contains(bound), exit == 1, "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_key_set_of_1_mib_and_refuses_one_byte_more() {
    let written = written().await;
    let mut jwks = std::fs::read_to_string(&written.key).unwrap();
    let padded = written.world.path().join("padded.jwks");

    for (bytes, exit) in [(1024 * 1024, 0), (1024 * 1024 + 1, 1)] {
        jwks.extend(std::iter::repeat_n(' ', bytes - jwks.len()));
        std::fs::write(&padded, &jwks).unwrap();

        let ran = written.verify(&["--key", written.text(&padded)]).await;

        bounded(&ran, exit, "more than the 1048576 bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_a_password_of_1_kib_and_refuses_one_byte_more() {
    let written = written().await;
    let file = written.world.path().join("password");
    let variables = vec![("CAMBIO_STORE__PASSWORD_FILE".to_owned(), written.text(&file).to_owned())];

    for (bytes, exit) in [(1024, 0), (1025, 1)] {
        std::fs::write(&file, "p".repeat(bytes)).unwrap();

        let words = ["audit", "verify", "--store", written.store.as_str()];
        let ran = ran(FakeClock::at("2026-01-16T14:40:00Z"), variables.clone(), &words).await;

        bounded(&ran, exit, "more than the 1024 bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_another_key_signed_ends_with_1() {
    let (written, other) = (written().await, written().await);
    let (key, checkpoint) = (written.text(&written.key), other.text(&other.checkpoint));

    let faulty = written.verify(&["--key", key, "--checkpoint", checkpoint]).await;

    assert_eq!(faulty.exit, 1);
    assert!(
        faulty.stdout.contains("the checkpoint cannot be relied on"),
        "{}",
        faulty.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tm_34_a_sink_that_was_given_is_held_against_the_store_entry_by_entry() {
    let written = written().await;
    let (key, sink) = (written.text(&written.key), written.world.path().join("sink.jsonl"));
    let whole = std::fs::read_to_string(&written.checkpoint).unwrap();
    std::fs::write(&sink, whole.replacen("\"aws-dev\"", "\"aws-dew\"", 1)).unwrap();

    let edited = written
        .verify(&["--key", key, "--checkpoint", sink.to_str().unwrap()])
        .await;
    written
        .change("DELETE FROM trail WHERE sequence = (SELECT max(sequence) FROM trail)")
        .await;
    let cut = written
        .verify(&["--key", key, "--checkpoint", written.text(&written.checkpoint)])
        .await;

    assert_eq!((edited.exit, cut.exit), (1, 1));
    assert!(
        edited.stdout.contains("the copy of the entry was edited"),
        "{}",
        edited.stdout
    );
    assert!(cut.stdout.contains("the store has no such entry"), "{}", cut.stdout);
    assert!(cut.stdout.contains("12 copies in the given file"), "{}", cut.stdout);
}
