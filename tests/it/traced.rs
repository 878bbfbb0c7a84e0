//! Canaries at trace level: a gateway that logs all it can, and none of what passed through it in anything it wrote (TM-52).

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use cambio::{
    attest::dpop,
    clock,
    jose::{Seal, SigningKey},
    secret::{Secret, SystemRandom},
    store::{Store as _, sqlite::SqliteStore},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    secrets::{collect, hits, spelled},
    world::{ACCESS_TOKEN, EXCHANGE, GRANT_TYPE, JWT, TOKEN, key, unique},
};

/// All that can be said, and again by name for the crates that are cut off.
const LOUDEST: &str = "trace,h2::codec=trace,h2::hpack=trace,h2::proto=trace,hyper::proto=trace,hyper_util::client=trace,\
                       reqwest::connect=trace,reqwest::async_impl=trace,rustls::client=trace,rustls::server=trace,\
                       aws_smithy_runtime::client=trace,aws_smithy_runtime_api::client=trace,aws_sdk_sts::operation=trace,\
                       azure_core::http=trace,azure_identity::client=trace,typespec_client_core::http=trace,\
                       gcp_auth::types=trace,sqlx::query=trace,sqlx_core::logger=trace";

/// `cambio dev` as a process of its own, with the real telemetry.
struct Traced {
    child: Child,
    directory: tempfile::TempDir,
    ready: Value,
    client: reqwest::Client,
    secrets: Vec<String>,
}

impl Traced {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let child = Command::new(env!("CARGO_BIN_EXE_cambio"))
            .args(["dev", "--data-dir"])
            .arg(at("world"))
            .arg("--ready-file")
            .arg(at("ready.json"))
            .env("CAMBIO_LOG", LOUDEST)
            .env("RUST_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(File::create(at("stdout")).unwrap())
            .stderr(File::create(at("stderr")).unwrap())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let ready = loop {
            if let Ok(text) = fs::read(at("ready.json")) {
                break serde_json::from_slice::<Value>(&text).unwrap();
            }
            assert!(began.elapsed() < Duration::from_mins(1), "it did not become ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let authority = fs::read(ready["ca_file"].as_str().unwrap()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
            .no_proxy()
            .build()
            .unwrap();
        Self {
            child,
            directory,
            ready,
            client,
            secrets: Vec::new(),
        }
    }

    fn ready(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A token of the example job with `changes`; it and its signature alone are secrets.
    async fn token(&mut self, changes: Value) -> String {
        let mut claims = self.ready["example"].clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let url = format!("{}/token", self.ready("ci_issuer"));
        let request = self.client.post(url).header("content-type", "application/json");
        let answer = request
            .body(claims.to_string())
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let token = answer["token"].as_str().unwrap().to_owned();
        self.secrets.extend(token.split('.').skip(1).map(str::to_owned));
        self.secrets.push(token.clone());
        token
    }

    /// Sends a request; whatever is secret in its answer is remembered.
    async fn post(&mut self, path: &str, kind: &str, body: String, header: Option<(&str, String)>) -> (u16, Value) {
        let url = format!("{}{path}", self.ready("gateway"));
        let mut request = self.client.post(url).header("content-type", kind).body(body);
        if let Some((name, value)) = header {
            request = request.header(name, &value);
            self.secrets.push(value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let answer = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        collect(&answer, &mut self.secrets);
        (status, answer)
    }

    async fn exchange(&mut self, token: &str, parties: &[&str], header: Option<(&str, String)>) -> u16 {
        let body = json!({ "evidence": { "token": token }, "relying_parties": parties });
        self.post(EXCHANGE, "application/json", body.to_string(), header)
            .await
            .0
    }

    async fn token_for(&mut self, token: &str, party: &str, requested: &str, header: Option<(&str, String)>) -> u16 {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("grant_type", GRANT_TYPE),
                ("subject_token", token),
                ("subject_token_type", JWT),
                ("audience", party),
                ("requested_token_type", requested),
            ])
            .finish();
        let kind = "application/x-www-form-urlencoded";
        self.post(TOKEN, kind, body, header).await.0
    }

    fn proof(&self, key: &SigningKey, path: &str, token: &str) -> String {
        let url = format!("{}{path}", self.ready("gateway"));
        let now = clock::system().now();
        let proof = dpop::prove(key, &url, &Secret::new(token), &SystemRandom, now).unwrap();
        proof.expose().to_owned()
    }

    /// Runs a command of a job as loud as the gateway; returns what it said on stderr.
    fn job(&self, words: &[&str], token: &str) -> Vec<u8> {
        let output = Command::new(env!("CARGO_BIN_EXE_cambio"))
            .args(words)
            .env("CAMBIO_LOG", LOUDEST)
            .env("CAMBIO_GATEWAY", self.ready("gateway"))
            .env("CAMBIO_CA_FILE", self.ready("ca_file"))
            .env("CAMBIO_STATE_DIR", self.at("state"))
            .env("CAMBIO_ID_TOKEN", token)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
        output.stderr
    }

    async fn metrics(&self) -> Vec<u8> {
        let admin = reqwest::Client::builder()
            .unix_socket(self.ready("admin"))
            .build()
            .unwrap();
        let answer = admin.get("http://admin.invalid/metrics").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        answer.bytes().await.unwrap().to_vec()
    }

    /// Ends the gateway in order.
    fn stop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// Returns pieces of every private key that the store holds, and the key that seals them.
    async fn keys(&self) -> Vec<Vec<u8>> {
        let world = self.at("world");
        let kek = fs::read(world.join("kek")).unwrap();
        let seal = Seal::new(&<[u8; 32]>::try_from(kek.as_slice()).unwrap()).unwrap();
        let url = format!("sqlite://{}", world.join("store/cambio.db").display());
        let store = SqliteStore::open_read_only(&url).await.unwrap();
        let rows = store.authorities().await.unwrap().rows;
        store.close().await;
        let mut pieces = vec![kek];
        for row in rows {
            let place = [row.id.as_bytes(), row.purpose.as_bytes()];
            let key = seal.open(&row.sealed, &place).unwrap();
            // The private scalar of an EC key begins at byte 36; the middle of an RSA key is one of its primes.
            for start in [36, key.len() / 2] {
                pieces.push(key[start..start + 24].to_vec());
            }
        }
        pieces
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tm_52_a_gateway_that_logs_all_it_can_writes_no_secret_anywhere() {
    let mut traced = Traced::start().await;
    let seconds = clock::unix_seconds(clock::system().now());

    granted(&mut traced).await;
    refused(&mut traced, seconds).await;
    let job = traced.token(json!({})).await;
    let mut said = traced.job(&["creds", "gcp-dev"], &job);
    said.extend(traced.job(&["exec", "aws-dev", "azure-dev", "--", "true"], &job));
    let metrics = traced.metrics().await;
    traced.stop();

    let mut places = vec![("metrics", metrics), ("stderr of the job", said)];
    for name in ["stdout", "stderr"] {
        places.push((name, fs::read(traced.at(name)).unwrap()));
    }
    places.push(("sink", fs::read(traced.ready("audit_file")).unwrap()));
    places.push(("trail", trail(&traced.at("world/store/cambio.db")).await));
    let log = String::from_utf8_lossy(&places[3].1).into_owned();
    assert!(
        log.contains("DEBUG cambio::"),
        "it did not log more than usual: {log:.400}"
    );
    for (place, bytes) in &places {
        assert!(bytes.len() > 200, "{place} holds {} bytes", bytes.len());
    }

    let mut secrets: Vec<Vec<u8>> = traced.keys().await;
    assert!(secrets.len() >= 7, "the store has at least three keys");
    assert!(
        traced.secrets.len() > 40,
        "only {} secrets passed through",
        traced.secrets.len()
    );
    secrets.extend(
        traced
            .secrets
            .iter()
            .filter(|one| one.len() >= 16)
            .map(|one| one.clone().into_bytes()),
    );
    let mut spellings: Vec<Vec<u8>> = secrets.iter().flat_map(|secret| spelled(secret)).collect();
    spellings.push(b"PRIVATE KEY".to_vec());
    spellings.sort();
    spellings.dedup();
    for (place, bytes) in &places {
        let found = hits(bytes, &spellings);
        assert!(found.is_empty(), "{place} holds {found:?}");
    }
}

/// Exchanges of every kind that is granted.
async fn granted(traced: &mut Traced) {
    let all = ["aws-dev", "azure-dev", "gcp-dev"];
    let token = traced.token(json!({})).await;
    assert_eq!(traced.exchange(&token, &all, None).await, 200);
    for party in all {
        let token = traced.token(json!({})).await;
        assert_eq!(traced.token_for(&token, party, JWT, None).await, 200);
    }
    for party in ["azure-dev", "gcp-dev"] {
        let token = traced.token(json!({})).await;
        let retry = Some(("idempotency-key", unique()));
        assert_eq!(traced.token_for(&token, party, ACCESS_TOKEN, retry).await, 200);
    }
    // Bound by a key: fetched, held, and by the other endpoint.
    let (mine, token) = (key(), traced.token(json!({})).await);
    for _ in 0..2 {
        let proof = traced.proof(&mine, EXCHANGE, &token);
        assert_eq!(traced.exchange(&token, &all, Some(("dpop", proof))).await, 200);
    }
    let proof = traced.proof(&mine, TOKEN, &token);
    assert_eq!(
        traced
            .token_for(&token, "gcp-dev", ACCESS_TOKEN, Some(("dpop", proof)))
            .await,
        200
    );
    let thief = traced.proof(&key(), EXCHANGE, &token);
    assert_eq!(traced.exchange(&token, &all, Some(("dpop", thief))).await, 400);
}

/// Requests of every kind that is refused.
async fn refused(traced: &mut Traced, seconds: u64) {
    for changes in [
        json!({ "aud": "https://other.test" }),
        json!({ "exp": seconds - 600, "iat": seconds - 900, "nbf": seconds - 900 }),
        json!({ "event_name": "pull_request" }),
        json!({ "repository_id": "75" }),
        json!({ "iss": "https://unknown-issuer.test" }),
    ] {
        let token = traced.token(changes).await;
        assert!(traced.exchange(&token, &["aws-dev"], None).await >= 400);
        assert!(traced.token_for(&token, "aws-dev", JWT, None).await >= 400);
    }
    let token = traced.token(json!({})).await;
    // The last character of 256 bytes is one of `A`, `Q`, `g` and `w`.
    let last = if token.ends_with('A') { 'Q' } else { 'A' };
    let forged = format!("{}{last}", token.split_at(token.len() - 1).0);
    let garbage = format!("canary-{}", unique());
    traced.secrets.extend([forged.clone(), garbage.clone()]);
    for token in [&forged, &garbage] {
        assert_eq!(traced.exchange(token, &["aws-dev"], None).await, 400);
    }
    for party in ["no-such-party", "aws-dev"] {
        let token = traced.token(json!({})).await;
        assert!(traced.token_for(&token, party, ACCESS_TOKEN, None).await >= 400);
    }
    for header in [
        ("dpop", format!("canary-{}", unique())),
        ("idempotency-key", "weak-canary-4711".to_owned()),
    ] {
        assert_eq!(traced.exchange(&token, &["aws-dev"], Some(header)).await, 400);
    }
}

/// The bodies of all entries, straight from the store.
async fn trail(file: &Path) -> Vec<u8> {
    let store = SqliteStore::open_read_only(&format!("sqlite://{}", file.display()))
        .await
        .unwrap();
    let filter = cambio::store::TrailFilter {
        limit: 1_000,
        ..cambio::store::TrailFilter::default()
    };
    let rows = store.trail(filter).await.unwrap();
    store.close().await;
    rows.iter().flat_map(|row| row.body.bytes()).collect()
}
