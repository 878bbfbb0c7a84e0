//! Two replicas on one PostgreSQL: the program as it is started in production, twice.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use cambio::{
    clock,
    exchange::aws_sts::sim::AwsSim,
    jose::Seal,
    mint::{
        KeyRing,
        authority::{Certification, KeyRingRefused},
        keys::store::StoreKeys,
        outside::RootPlace,
    },
    secret::{Secret, SystemRandom},
    sim::Mutation,
    spiffe::TrustDomain,
    store::{
        Store as _, TrailFilter, TrailRow,
        postgres::{PostgresOptions, PostgresStore},
    },
};
use serde_json::{Value, json};

use crate::{
    cloud,
    ground::{Ground, HOST},
    load::{self, Answer, Client, exchange_request, get, token_request},
    server::{Server, server},
};

/// One process.
struct Replica {
    child: Child,
    place: PathBuf,
    exchange: Client,
    metadata: Client,
}

/// What both replicas stand on.
struct World {
    ground: Ground,
    aws: Arc<AwsSim>,
    aws_tables: String,
    store: String,
    _directory: tempfile::TempDir,
}

impl World {
    async fn start(server: &Server) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ground = Ground::new(&directory.path().join("ground"));
        let (aws, aws_tables) = cloud::aws(&ground).await;
        Self {
            ground,
            aws,
            aws_tables,
            store: server.database(),
            _directory: directory,
        }
    }

    /// Starts a replica; the first one serves the metadata that the simulated cloud fetches.
    fn replica(&self, name: &str) -> Replica {
        let place = self.ground.path(name);
        fs::create_dir_all(&place).unwrap();
        self.ground.configure(1, &self.aws_tables);
        let text = fs::read_to_string(self.ground.path("cambio.toml")).unwrap();
        let (exchange, metadata) = if name == "first" {
            (self.ground.exchange_port, self.ground.metadata_port)
        } else {
            (free_port(), free_port())
        };
        let text = text
            .replace(
                &format!("metadata = \"127.0.0.1:{}\"", self.ground.metadata_port),
                &format!("metadata = \"127.0.0.1:{metadata}\""),
            )
            .replace(
                &format!("exchange = \"127.0.0.1:{}\"", self.ground.exchange_port),
                &format!("exchange = \"127.0.0.1:{exchange}\""),
            )
            .replace(
                &format!("{}/admin.sock", self.ground.directory.display()),
                &format!("{}/admin.sock", place.display()),
            )
            .replace(&self.ground.store(), &self.store);
        fs::write(place.join("cambio.toml"), format!("replicas = 2\n{text}")).unwrap();
        let log = fs::File::create(place.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cambio"))
            .args(["serve", "--accept-new-issuer-keys", "--config"])
            .arg(place.join("cambio.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let ca = self.ground.path("ca.pem");
        let mut replica = Replica {
            child,
            place,
            exchange: Client::new(&ca, exchange),
            metadata: Client::new(&ca, metadata),
        };
        replica.until_ready();
        replica
    }

    async fn trail(&self, filter: TrailFilter) -> Vec<TrailRow> {
        let options = PostgresOptions::new(Secret::new(self.store.as_str()));
        let store = PostgresStore::open_read_only(&options).await.unwrap();
        let rows = store.trail(filter).await.unwrap();
        store.close().await;
        rows
    }

    async fn of_kind(&self, kind: &str) -> Vec<TrailRow> {
        self.trail(TrailFilter {
            kind: Some(kind.to_owned()),
            ..TrailFilter::default()
        })
        .await
    }

    /// Asks a replica for AWS credentials while the cloud does not answer, and waits for the intent to stand.
    async fn hang(&self, replica: &Replica) -> tokio::task::JoinHandle<Option<Answer>> {
        for _tries in 0..2 {
            self.aws.mutations().push(Mutation::Delay(Duration::from_mins(5)));
        }
        let request = exchange_request(&self.ground.token(), "aws", "");
        let exchange = replica.exchange.clone();
        let asked = tokio::spawn(async move {
            let mut connection = exchange.connect().await.ok()?;
            connection.ask(&request).await.ok()
        });
        eventually(async || {
            let open = TrailFilter {
                open: true,
                ..TrailFilter::default()
            };
            !self.trail(open).await.is_empty()
        })
        .await;
        asked
    }
}

impl Replica {
    fn until_ready(&mut self) {
        let began = Instant::now();
        while self.admin("/ready").is_none_or(|(status, _)| status != 200) {
            let log = || fs::read_to_string(self.place.join("log")).unwrap_or_default();
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the replica ended with {status}: {}", log());
            }
            assert!(began.elapsed() < Duration::from_mins(1), "not ready: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn admin(&self, path: &str) -> Option<(u16, Vec<u8>)> {
        load::admin(&self.place.join("admin.sock"), path)
    }

    async fn exchange(&self, request: &[u8]) -> Answer {
        let mut connection = self.exchange.connect().await.unwrap();
        connection.ask(request).await.unwrap()
    }

    async fn document(&self, path: &str) -> Value {
        let mut connection = self.metadata.connect().await.unwrap();
        let answer = connection.ask(&get(HOST, path)).await.unwrap();
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    fn lock(&self, arguments: &[&str]) {
        let done = Command::new(env!("CARGO_BIN_EXE_cambio"))
            .args(["lock", "--config"])
            .arg(self.place.join("cambio.toml"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Opens the keys as a process that starts does: on a thread of its own, where nobody else's keys are made.
fn start(store: String) -> std::thread::JoinHandle<Result<KeyRing, KeyRingRefused>> {
    std::thread::spawn(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(keys(store))
    })
}

async fn keys(store: String) -> Result<KeyRing, KeyRingRefused> {
    let options = PostgresOptions::new(Secret::new(store));
    let store = PostgresStore::open(&options).await.unwrap();
    let source = StoreKeys::new(Seal::new(&[1; 32]).unwrap(), Arc::new(SystemRandom));
    let trust_domain = TrustDomain::parse("prod.acme.example").unwrap();
    let certification = Certification {
        trust_domain: &trust_domain,
        random: &SystemRandom,
        root: RootPlace::Store,
    };
    let opened = KeyRing::open(&store, &source, certification, clock::system().now()).await;
    store.close().await;
    opened
}

#[test]
fn processes_that_start_at_once_on_an_empty_database_have_one_key_set() {
    let Some(server) = server() else { return };
    let store = server.database();

    let starts: Vec<_> = (0..6).map(|_| start(store.clone())).collect();

    let mut seen = Vec::new();
    for started in starts {
        let set = started.join().unwrap().unwrap().load();
        let ids: Vec<_> = set.authorities().iter().map(|one| one.id().to_owned()).collect();
        seen.push((set.generation(), ids));
    }
    seen.dedup();
    assert!(seen.len() == 1 && seen[0].0 == 1 && seen[0].1.len() == 5, "{seen:?}");
}

/// Waits for what takes a lease and a look to happen, with room for a busy machine.
async fn eventually(mut reached: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if reached().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("it never happened");
}

fn code(answer: &Answer) -> String {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|_| json!({}));
    let whole = json.get("code").and_then(Value::as_str).map(str::to_owned);
    whole
        .or_else(|| {
            let refusals = json.get("refusals")?.as_object()?;
            Some(refusals.values().next()?.get("code")?.as_str()?.to_owned())
        })
        .unwrap_or_default()
}

async fn verified(config: &Path) -> bool {
    let config = config.to_owned();
    let verify = move || {
        Command::new(env!("CARGO_BIN_EXE_cambio"))
            .args(["audit", "verify", "--config"])
            .arg(config)
            .output()
            .unwrap()
    };
    tokio::task::spawn_blocking(verify).await.unwrap().status.success()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_keys_evidence_and_locks() {
    let Some(server) = server() else { return };
    let world = World::start(server).await;
    let (first, second) = (world.replica("first"), world.replica("second"));

    for path in ["/.well-known/jwks.json", "/.well-known/spiffe/bundle.json"] {
        assert_eq!(first.document(path).await, second.document(path).await, "{path}");
    }

    let request = token_request(&world.ground.token(), "svid", "");
    assert_eq!(first.exchange(&request).await.status, 200);
    for replica in [&second, &first] {
        let replayed = replica.exchange(&request).await;
        assert_ne!(replayed.status, 200);
        assert!(String::from_utf8_lossy(&replayed.body).contains("attest.evidence_replayed"));
    }

    first.lock(&["add", "entry", "shop-deploy", "--reason", "a test"]);
    let set = Instant::now();
    while code(
        &second
            .exchange(&exchange_request(&world.ground.token(), "aws", ""))
            .await,
    ) != "authorize.locked"
    {
        assert!(
            set.elapsed() < Duration::from_secs(5),
            "the lock is not obeyed within 5 s"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(verified(&second.place.join("cambio.toml")).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_replica_left_open_the_other_one_closes_once() {
    let Some(server) = server() else { return };
    let world = World::start(server).await;
    let (mut first, second) = (world.replica("first"), world.replica("second"));
    let asked = world.hang(&first).await;
    let intent = world.of_kind("intent").await.remove(0);

    first.child.kill().unwrap();
    first.child.wait().unwrap();

    eventually(async || !world.of_kind("unknown").await.is_empty()).await;
    // Long enough for another look.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let closed = world.of_kind("unknown").await;
    assert_eq!(closed.len(), 1, "{closed:?}");
    assert_eq!(closed[0].exchange_id, intent.exchange_id);
    assert_ne!(closed[0].writer, intent.writer);
    assert!(asked.await.unwrap().is_none_or(|answer| answer.status != 200));
    assert!(verified(&second.place.join("cambio.toml")).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tm_20_a_replica_that_was_paused_beyond_its_lease_releases_nothing_and_goes_on_in_another_chain() {
    let Some(server) = server() else { return };
    let world = World::start(server).await;
    let (first, second) = (world.replica("first"), world.replica("second"));
    let asked = world.hang(&first).await;
    let intent = world.of_kind("intent").await.remove(0);

    first.signal("-STOP");
    eventually(async || !world.of_kind("unknown").await.is_empty()).await;
    first.signal("-CONT");

    let answer = asked.await.unwrap();
    assert!(
        answer.is_none_or(|answer| answer.status != 200),
        "something was released"
    );
    let request = || token_request(&world.ground.token(), "svid", "");
    assert_eq!(first.exchange(&request()).await.status, 503);
    assert_eq!(second.exchange(&request()).await.status, 200);
    eventually(async || first.exchange(&request()).await.status == 200).await;
    let after = TrailFilter {
        exchange_id: Some(intent.exchange_id.clone()),
        ..TrailFilter::default()
    };
    let kinds: Vec<String> = world.trail(after).await.into_iter().map(|row| row.kind).collect();
    assert_eq!(kinds, ["intent", "unknown"]);
    let newest = world.of_kind("mint").await.pop().unwrap();
    assert_eq!(newest.writer, format!("{}.2", intent.writer));
    assert!(verified(&second.place.join("cambio.toml")).await);
}

/// TM-42: the copy of the trail knows more than a database that was put back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tm_42_a_database_of_yesterday_is_refused_where_a_sink_knows_a_later_checkpoint() {
    let Some(server) = server() else { return };
    let mut world = World::start(server).await;
    let sink = world.ground.path("trail.jsonl");
    let sink = sink.display().to_string();
    world.aws_tables.extend([
        "[[sink]]
kind = \"file\"
path = \"",
        &sink,
        "\"
",
    ]);
    let request = || token_request(&world.ground.token(), "svid", "");
    let mut first = world.replica("first");
    assert_eq!(first.exchange(&request()).await.status, 200);
    first.signal("-TERM");
    first.child.wait().unwrap();
    let (_, name) = world.store.split_once(":///").unwrap();
    let name = name.split_once('?').unwrap().0.to_owned();
    server.sql("postgres", &format!("CREATE DATABASE {name}_yesterday TEMPLATE {name}"));
    let mut first = world.replica("first");
    assert_eq!(first.exchange(&request()).await.status, 200);
    first.signal("-TERM");
    first.child.wait().unwrap();

    let config = first.place.join("cambio.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace(&format!(":///{name}?"), &format!(":///{name}_yesterday?")),
    )
    .unwrap();
    let start = |more: &'static [&'static str]| {
        let config = config.clone();
        let mut command = Command::new("timeout");
        command.args(["-s", "TERM", "10", env!("CARGO_BIN_EXE_cambio"), "serve", "--config"]);
        command.arg(config).args(more).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };

    let refused = start(&[]).await.unwrap();
    let accepted = start(&["--accept-rollback"]).await.unwrap();

    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("a checkpoint knows it up to"), "{told}");
    let told = String::from_utf8_lossy(&accepted.stderr).into_owned();
    assert!(told.contains("cambio serves"), "{told}");
}
