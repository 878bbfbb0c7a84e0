//! What a store that hangs does to the metadata listener, which is to depend on nothing.
//!
//! The stores hang for real: another connection holds SQLite's write lock, and every process of PostgreSQL is stopped.

use std::{
    fs,
    io::BufRead as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use crate::{
    ground::{Ground, HOST},
    load::{Client, get, token_request},
    parts::shared,
    report::Verdicts,
    server,
};

/// As many exchanges wait for the store at once.
const WAITING: usize = 32;

/// Each of them is asked again when the gateway gives the store up after 2 s, so that there are always some that wait.
const WAITS: usize = 3;

/// Requests a second and in all; two seconds of them.
const PACE: f64 = 500.0;
const ASKED: usize = 1_000;

/// So much of a difference is the load's and the machine's own.
const SLACK_MILLIS: f64 = 5.0;

/// One store, and what can be done to it.
pub(crate) enum Stored<'s> {
    Postgres(&'s server::Server),
    Sqlite(&'s Path),
}

/// What lets a store go on when it is dropped.
enum Hanging {
    /// Its input's end is the word to continue, so that nothing stays stopped, however this process ends.
    Stopped(Child),
    Locked(SqliteConnection),
}

impl Stored<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::Sqlite(_) => "SQLite",
        }
    }

    async fn hang(&self) -> Hanging {
        match self {
            Self::Postgres(server) => Hanging::Stopped(stop(server)),
            Self::Sqlite(path) => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                let mut connection = options.connect().await.expect("the gateway's store");
                let locked = sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await;
                locked.expect("the write lock");
                Hanging::Locked(connection)
            }
        }
    }
}

impl Hanging {
    async fn release(self) {
        match self {
            Self::Locked(connection) => drop(connection.close().await),
            Self::Stopped(mut stopper) => {
                drop(stopper.stdin.take());
                assert!(
                    stopper.wait().is_ok_and(|status| status.success()),
                    "processes that go on"
                );
            }
        }
    }
}

/// Stops the server's first process and then all that it started.
fn stop(server: &server::Server) -> Child {
    let file = fs::read_to_string(server.data().join("postmaster.pid")).expect("the server's process");
    let first: u32 = file.lines().next().and_then(|line| line.parse().ok()).expect("its id");
    let script = format!(
        "kill -STOP {first} && all=\"{first} $(cat /proc/{first}/task/*/children)\" && kill -STOP $all; echo stopped; read _; \
         kill -CONT $all"
    );
    let mut stopper = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    let output = stopper.stdout.take().expect("its output");
    std::io::BufReader::new(output).read_line(&mut line).expect("its word");
    assert_eq!(line, "stopped\n", "PostgreSQL was not stopped");
    stopper
}

/// Gate 6: the metadata listener, idle and while the store hangs under exchanges that wait for it.
pub(crate) async fn metadata(ground: &Ground, stored: Stored<'_>, verdicts: &mut Verdicts) {
    let (listener, exchange) = (
        Client::new(&ground.path("ca.pem"), ground.metadata_port),
        ground.client(),
    );
    let asked = async || {
        let requests = shared(vec![get(HOST, "/.well-known/jwks.json"); ASKED]);
        listener.open_loop(requests, 8, PACE).await.must_all_succeed()
    };
    drop(asked().await);
    let idle = asked().await;
    let requests = (0..WAITING * WAITS).map(|_nth| token_request(&ground.token(), "svid", ""));
    let requests = shared(requests.collect());
    let hanging = stored.hang().await;
    let waiting = tokio::spawn(async move { exchange.closed_loop(requests, WAITING).await });
    let hung = asked().await;
    hanging.release().await;
    let waited = waiting.await.expect("exchanges that were answered");
    let name = stored.name();
    let long = waited.micros.iter().filter(|micros| **micros > HANGS_MICROS).count();
    assert!(long >= WAITING, "{name} did not hang: only {long} exchanges waited");
    println!(
        "{name}: JWKS idle p50 {:.2} ms, p99 {:.2} ms; while it hangs p50 {:.2} ms, p99 {:.2} ms; {long} exchanges waited, by status {:?}",
        idle.percentile_millis(50),
        idle.percentile_millis(99),
        hung.percentile_millis(50),
        hung.percentile_millis(99),
        waited.statuses,
    );
    let calm = idle.percentile_millis(99);
    verdicts.at_most(
        &format!(
            "6 metadata latency unaffected while {name} hangs, p99 in ms (goal: twice the idle one, or 5 ms more)"
        ),
        hung.percentile_millis(99),
        (2.0 * calm).max(calm + SLACK_MILLIS),
    );
}

/// No exchange takes so long while the store answers.
const HANGS_MICROS: u64 = 1_000_000;
