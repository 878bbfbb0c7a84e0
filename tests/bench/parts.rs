//! The raw limits: each part of an exchange alone, in a process of its own on the gateway's core.
//!
//! Nothing of the product is in them but the store's schema, so that no slowness of ours can hide in what we compare with.

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256},
};
use axum::{Router, body::Bytes, routing::post};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use sqlx::{Arguments as _, ConnectOptions as _, SqliteConnection, sqlite::SqliteArguments};
use tokio_rustls::TlsAcceptor;

use crate::{attestors, certificates, decision, ground};

/// What one operation costs, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
}

impl Cost {
    /// Returns the mean of both.
    pub(crate) fn between(self, other: Self) -> Self {
        Self {
            cpu: f64::midpoint(self.cpu, other.cpu),
            wall: f64::midpoint(self.wall, other.wall),
        }
    }
}

/// Runs a part in a process of its own on core 0.
pub(crate) fn alone(part: &str, arguments: &[&str]) -> Cost {
    let itself = std::env::current_exe().expect("this program");
    let output = Command::new("taskset")
        .args(["-c", "0"])
        .arg(itself)
        .args(["--part", part])
        .args(arguments)
        .output()
        .expect("the part");
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "part {part}: {text} {error}");
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
    let (cpu, wall) = (numbers.next(), numbers.next());
    Cost {
        cpu: cpu.expect("CPU time"),
        wall: wall.expect("wall time"),
    }
}

/// Repeats `operation` for about a second and prints what one costs.
pub(crate) fn measure(mut operation: impl FnMut()) -> Cost {
    let mut rounds: u32 = 1;
    loop {
        let (cpu, began) = (ground::cpu_micros(std::process::id()), Instant::now());
        for _ in 0..rounds {
            operation();
        }
        let wall = began.elapsed();
        if wall >= LONG_ENOUGH {
            let spent = ground::cpu_micros(std::process::id()) - cpu;
            return Cost {
                cpu: spent / f64::from(rounds),
                wall: wall.as_secs_f64() * 1e6 / f64::from(rounds),
            };
        }
        let grow = (LONG_ENOUGH.as_secs_f64() * 1.1 / wall.as_secs_f64().max(1e-6)).clamp(2.0, 1_000.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a bounded positive number"
        )]
        let factor = grow as u32;
        rounds = rounds.saturating_mul(factor);
    }
}

/// The kernel counts CPU time in ticks of 10 ms: a second makes that one per cent.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

/// A message as long as a signing input.
pub(crate) const INPUT: [u8; 500] = [b'a'; 500];

/// Runs one part in this process.
pub(crate) fn run(part: &str, arguments: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let first = arguments.first().map(String::as_str).unwrap_or_default();
    let cost = match part {
        "sign" => sign(),
        "verify" => verify(),
        "verifyec" => attestors::raw(first),
        "attest" => attestors::ours(&runtime, first),
        "cedar" => decision::raw(2),
        "cedar3" => decision::raw(3),
        "cedar12" => decision::raw(12),
        "decide" => decision::ours(arguments),
        "mint" => runtime.block_on(decision::mint(first)),
        "rss" => decision::resident(first),
        "x509" => runtime.block_on(certificates::ours()),
        "x509raw" => certificates::raw(),
        "sqlite" => runtime.block_on(insert(Path::new(first))),
        "post" => return runtime.block_on(bare(Path::new(first))),
        other => panic!("there is no part `{other}`"),
    };
    println!("{} {}", cost.cpu, cost.wall);
}

fn sign() -> Cost {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let random = SystemRandom::new();
    let mut signature = vec![0; key.public_modulus_len()];
    measure(|| {
        key.sign(&RSA_PKCS1_SHA256, &random, &INPUT, &mut signature)
            .expect("a signature");
    })
}

fn verify() -> Cost {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &INPUT, &mut signature)
        .expect("a signature");
    let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref()).expect("a public key");
    measure(|| public.verify_sig(&INPUT, &signature).expect("a good signature"))
}

/// Two rows an exchange, ledger and trail, in one transaction for 32 exchanges, as 32 connections queue them.
async fn insert(store: &Path) -> Cost {
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(store)
        .pragma("journal_mode", "WAL")
        .pragma("synchronous", "FULL")
        .disable_statement_logging()
        .connect()
        .await
        .expect("the store's schema");
    let pid = std::process::id();
    let mut nth: u32 = 0;
    let (cpu, began) = (ground::cpu_micros(pid), Instant::now());
    while began.elapsed() < LONG_ENOUGH {
        batch(&mut connection, nth).await.expect("a commit");
        nth += BATCH;
    }
    let (spent, wall) = (ground::cpu_micros(pid) - cpu, began.elapsed());
    Cost {
        cpu: spent / f64::from(nth),
        wall: wall.as_secs_f64() * 1e6 / f64::from(nth),
    }
}

const BATCH: u32 = 32;

/// About as long as the entry of a mint.
const BODY_BYTES: usize = 1_400;

async fn batch(connection: &mut SqliteConnection, first: u32) -> sqlx::Result<()> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let mut ledger = SqliteArguments::default();
    let mut trail = SqliteArguments::default();
    let body = "b".repeat(BODY_BYTES);
    let salt = std::process::id();
    for nth in first..first + BATCH {
        // Spread like digests, which keys are.
        let key = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, format!("{salt}/{nth}").as_bytes());
        let id = format!("{salt:08x}{nth:024x}");
        let bound = [
            ledger.add(key.as_ref().to_vec()),
            ledger.add(0_i64),
            ledger.add(Vec::<u8>::new()),
            ledger.add(1_800_000_000_000_000_000_i64),
            ledger.add(1_800_000_000_000_000_000_i64 + i64::from(nth)),
            trail.add(format!("bench-{salt}")),
            trail.add(i64::from(nth) + 1),
            trail.add(1_800_000_000_i64),
            trail.add("mint"),
            trail.add(id),
            trail.add("spiffe://bench.example/ci/acme/shop/deploy"),
            trail.add("svid"),
            trail.add(""),
            trail.add(body.clone()),
            trail.add(key.as_ref().to_vec()),
            trail.add(key.as_ref().to_vec()),
        ];
        for bound in bound {
            bound.map_err(sqlx::Error::Encode)?;
        }
    }
    let many = |row: &str| vec![row; BATCH as usize].join(",");
    let text = format!("INSERT INTO ledger VALUES {}", many("(?,?,?,?,?)"));
    sqlx::query_with(sqlx::AssertSqlSafe(text), ledger)
        .execute(&mut *connection)
        .await?;
    let text = format!(
        "INSERT INTO trail (writer, sequence, time_seconds, kind, exchange_id, spiffe_id, relying_party, code, body, \
         hash, opens) VALUES {}",
        many("(?,?,?,?,?,?,?,?,?,?,?)")
    );
    sqlx::query_with(sqlx::AssertSqlSafe(text), trail)
        .execute(&mut *connection)
        .await?;
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    Ok(())
}

/// Serves a POST that reads its body and answers as many bytes as a token response, over TLS; ends when it is killed.
async fn bare(directory: &Path) {
    let certificate = cambio::http::tls::Certificate::load(&directory.join("tls.crt"), &directory.join("tls.key"));
    let acceptor = TlsAcceptor::from(
        certificate
            .map(|certificate| certificate.server_config().expect("TLS settings"))
            .expect("a certificate"),
    );
    let answer: &'static str = Box::leak("x".repeat(ANSWER_BYTES).into_boxed_str());
    let router = Router::new().route("/v1/token", post(async move |_body: Bytes| answer));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    println!("{}", listener.local_addr().expect("an address").port());
    loop {
        let (stream, _peer) = listener.accept().await.expect("a connection");
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            let _nagle = stream.set_nodelay(true);
            if let Ok(stream) = acceptor.accept(stream).await {
                let service = TowerToHyperService::new(router);
                let connection = auto::Builder::new(TokioExecutor::new());
                let _ended = connection.serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

/// As long as the answer to a token exchange.
const ANSWER_BYTES: usize = 900;

/// The bare server as a process of its own.
pub(crate) struct Bare {
    child: std::process::Child,
    pub(crate) port: u16,
}

impl Bare {
    pub(crate) fn start(directory: &Path) -> Self {
        use std::io::BufRead as _;
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(std::env::current_exe().expect("this program"))
            .args(["--part", "post"])
            .arg(directory)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the bare server");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        std::io::BufReader::new(output).read_line(&mut line).expect("its port");
        let port = line.trim().parse().expect("a port");
        Self { child, port }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Shares requests among tasks.
pub(crate) fn shared(requests: Vec<Vec<u8>>) -> Arc<[Vec<u8>]> {
    requests.into()
}
