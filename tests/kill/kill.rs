//! G-3: `kill -9` at random moments under load; nothing that a client was given is missing from the trail.
//!
//! `cargo bench --bench kill -- --binary PATH [--kills N] [--seed N] [--directory PATH]`. The program is production's `serve`
//! with a kept data directory; the CI issuer and the simulated AWS outlive it.
#![cfg(test)]

#[path = "../bench/cloud.rs"]
mod cloud;
#[path = "../bench/ground.rs"]
#[expect(dead_code, reason = "the gates measure with the rest")]
mod ground;
#[path = "../bench/load.rs"]
#[expect(dead_code, reason = "the gates measure with the rest")]
mod load;
mod trace;
mod trail;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use cambio::{exchange::aws_sts::sim::AwsSim, secret::Digest, sim::Mutation};
use serde_json::Value;

use self::{
    ground::Ground,
    load::{Client, exchange_request, token_request},
    trail::Seen,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let Some(binary) = after("--binary").map(PathBuf::from) else {
        println!("usage: kill --binary PATH [--kills N] [--seed N] [--directory PATH]");
        return ExitCode::from(2);
    };
    trace::judge_the_judge();
    let number = |name: &str, default: u64| after(name).map_or(default, |text| text.parse().expect("a number"));
    let (kills, seed) = (number("--kills", 200), number("--seed", u64::from(std::process::id())));
    let directory = after("--directory").map_or_else(
        || std::env::temp_dir().join(format!("cambio-kill-{}", std::process::id())),
        PathBuf::from,
    );
    println!("{kills} kills, seed {seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let faults = runtime
        .expect("a runtime")
        .block_on(run(&binary, &directory, kills, seed));
    let _gone = std::fs::remove_dir_all(&directory);
    for fault in &faults {
        println!("FAULT {fault}");
    }
    println!("{}", if faults.is_empty() { "kill: PASS" } else { "kill: FAIL" });
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What a client holds after a 200.
#[derive(Clone, Debug)]
pub(crate) enum Promise {
    /// Credentials of the cloud, by exchange id and access key.
    Credential { exchange_id: String },
    /// An SVID, by its digest.
    Svid { sha256: String },
}

/// Restart to ready, G-3.
const READY_WITHIN: Duration = Duration::from_secs(2);

async fn run(binary: &std::path::Path, directory: &std::path::Path, kills: u64, first: u64) -> Vec<String> {
    let ground = Arc::new(Ground::new(directory));
    let (aws, tables) = cloud::aws(&ground).await;
    ground.configure(1, &tables);
    let mut dice = Dice(first | 1);
    let mut faults = Vec::new();
    let (mut seen, mut given, mut lost_intents, mut slowest) = (Seen::default(), 0, 0, Duration::ZERO);
    let (mut server, _took) = ground.start_behind(&["env"], binary, true);
    for kill in 1..=kills {
        let promises = Arc::new(Mutex::new(Vec::new()));
        let clients = clients(&ground, &aws, &promises);
        tokio::time::sleep(Duration::from_millis(dice.up_to(500))).await;
        server.kill();
        for client in clients {
            client.await.expect("a client without a panic");
        }
        let promises = promises.lock().expect("the promises").clone();
        given += promises.len();
        let lost = seen.after_kill(&ground, &promises, &mut faults).await;
        lost_intents += lost.len();
        let (again, took) = ground.start_behind(&["env"], binary, false);
        server = again;
        slowest = slowest.max(took);
        if took > READY_WITHIN {
            faults.push(format!("kill {kill}: ready after {} ms", took.as_millis()));
        }
        seen.after_restart(&ground, &lost, &mut faults).await;
        if kill % 10 == 0 || kill == kills {
            println!(
                "after {kill} kills: {given} answers kept, {} entries, {lost_intents} intents lost and closed, slowest restart {} ms, {} faults",
                seen.entries(),
                slowest.as_millis(),
                faults.len()
            );
        }
    }
    server.stop();
    if given == 0 || lost_intents == 0 {
        faults.push(format!(
            "the run proves too little: {given} answers kept, {lost_intents} intents lost"
        ));
    }
    seen.cloud(&aws, &mut faults);
    match trace::run(&ground, binary).await {
        None => println!(
            "SKIPPED 1 check: strace is missing or may not trace here; the order of flush and reply was not seen"
        ),
        Some(Ok(replies)) => println!("traced: {replies} replies, each written after its log was flushed"),
        Some(Err(fault)) => faults.push(fault),
    }
    faults
}

/// Eight clients, one request in flight each, until the gateway is gone.
fn clients(
    ground: &Arc<Ground>,
    aws: &Arc<AwsSim>,
    promises: &Arc<Mutex<Vec<Promise>>>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let client = ground.client();
    let start = |nth: usize| {
        tokio::spawn(ask(
            client.clone(),
            (Arc::clone(ground), Arc::clone(aws)),
            Arc::clone(promises),
            nth,
        ))
    };
    (0..8).map(start).collect()
}

async fn ask(
    client: Client,
    (ground, aws): (Arc<Ground>, Arc<AwsSim>),
    promises: Arc<Mutex<Vec<Promise>>>,
    nth: usize,
) {
    let Ok(mut connection) = client.connect().await else {
        return;
    };
    loop {
        let token = ground.token();
        let request = if nth.is_multiple_of(2) {
            token_request(&token, "svid", "")
        } else {
            // Long enough that some kill falls between intent and outcome.
            aws.mutations().push(Mutation::Delay(Duration::from_millis(20)));
            exchange_request(&token, "aws", "")
        };
        let Ok(answer) = connection.ask(&request).await else {
            return;
        };
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        promises.lock().expect("the promises").push(promise(&body));
    }
}

fn promise(body: &Value) -> Promise {
    if let Some(token) = body.get("access_token").and_then(Value::as_str) {
        let sha256 = Digest::of(token.as_bytes()).to_string();
        return Promise::Svid { sha256 };
    }
    let key = body.pointer("/credentials/aws/AccessKeyId").and_then(Value::as_str);
    assert!(key.is_some(), "{body}");
    let exchange_id = body.get("exchange_id").and_then(Value::as_str).expect("an id");
    Promise::Credential {
        exchange_id: exchange_id.to_owned(),
    }
}

/// Xorshift: moments that a seed repeats.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}
