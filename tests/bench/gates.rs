//! The gates of speed and size: each figure stands beside its raw limit of the same minute and the same core.
//!
//! `cargo bench --bench gates -- --binary PATH [--short] [--directory PATH] [--only PART]`: the program runs on core 0, the load on core 1;
//! rounds alternate between the parts and the whole; medians are judged. Ends with 1 if a gate fails by more than noise. PART is
//! `attestors`, `certificates`, `decisions`, `exchanges`, `keyids`, `memory`, `starts` or `stores`.
#![cfg(test)]

mod attestors;
mod authorities;
mod certificates;
mod cloud;
mod decision;
mod evidence;
mod ground;
mod hanging;
mod keyids;
mod load;
mod memory;
mod parts;
mod plan;
mod report;
#[path = "../../src/store/postgres/tests/server.rs"]
#[expect(dead_code, reason = "the store's own tests use the rest")]
mod server;
mod stores;

use std::process::{Command, ExitCode};

use cambio::{
    exchange::aws_sts::sim::AwsSim,
    store::{Store as _, sqlite::SqliteStore},
};

use self::{
    ground::{Ground, Server, cpu_micros, resident_megabytes},
    keyids::Storm,
    load::{Client, Run, exchange_request, get, token_request},
    parts::{Bare, alone, shared},
    plan::{CONNECTIONS, Plan},
    report::{Verdicts, fdatasync_millis, machine, median, millis},
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let Some(("--part", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        let (part, rest) = rest.split_first().expect("a part");
        parts::run(part, rest);
        return ExitCode::SUCCESS;
    }
    let Some(plan) = Plan::read(&arguments) else {
        println!("usage: gates --binary PATH [--short] [--directory PATH] [--only PART]");
        return ExitCode::from(2);
    };
    machine();
    pin_to_core_1();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let verdicts = runtime.expect("a runtime").block_on(all(&plan));
    if verdicts.failed().is_empty() {
        match verdicts.left_out() {
            0 => println!("every gate holds"),
            count => println!("every gate that was measured holds; {count} measurement(s) LEFT OUT, see above"),
        }
        return ExitCode::SUCCESS;
    }
    println!("gates that fail: {}", verdicts.failed().join("; "));
    ExitCode::FAILURE
}

async fn all(plan: &Plan) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let ground = Ground::new(&plan.directory);
    if plan.wants("memory") {
        memory::at_rest((&plan.binary, plan.settle), &ground, &mut verdicts).await;
    }
    if plan.wants("decisions") {
        decisions(plan, &mut verdicts);
    }
    let (aws, tables) = cloud::aws(&ground).await;
    ground.configure(1_000, &format!("{tables}{}", certificates::MESH));
    let _gone = std::fs::remove_dir_all(ground.path("store"));
    let (server, first) = ground.start(&plan.binary, true);
    println!("first start with 1,000 grants, making keys: {:.0} ms", millis(first));
    if plan.wants("exchanges") {
        let per_second = exchanges(plan, &ground, &server, &mut verdicts).await;
        under_load(plan, &ground, &server, per_second).await;
        others(plan, &ground, &server).await;
        held(plan, &ground, &server, &aws).await;
    }
    let load = plan.load();
    if plan.wants("certificates") {
        certificates::all((plan.rounds, load), (&ground, &server), &mut verdicts).await;
    }
    if plan.wants("stores") {
        stores::sqlite(load, (&ground, &server), &mut verdicts).await;
    }
    println!(
        "RSS with 1,000 grants after the load: {:.1} MB",
        resident_megabytes(server.id())
    );
    server.stop();
    if plan.wants("starts") {
        starts(plan, &ground, &mut verdicts);
    }
    if plan.wants("stores") {
        stores::postgres(load, (&ground, &plan.binary), &mut verdicts).await;
    }
    strangers(plan, &ground, &mut verdicts).await;
    let _gone = std::fs::remove_dir_all(&plan.directory);
    verdicts
}

/// Gate 7, and what it costs to attest: the half minute that the one must wait passes with the other.
async fn strangers(plan: &Plan, ground: &Ground, verdicts: &mut Verdicts) {
    let mut storm = None;
    if plan.wants("keyids") {
        storm = Some(Storm::gather(ground, &plan.binary, plan.key_ids).await);
    }
    if plan.wants("attestors") {
        attestors::all(plan.rounds - 2, ground).await;
    }
    if let Some(storm) = storm {
        storm.judge(verdicts).await;
    }
}

/// Gate 1: the whole against the sum of its parts, round by round.
#[expect(clippy::too_many_lines, reason = "one measured sequence, read from top to bottom")]
async fn exchanges(plan: &Plan, ground: &Ground, server: &Server, verdicts: &mut Verdicts) -> f64 {
    println!(
        "\n-- full exchange of kind svid: RS256 evidence, 1,000 grants, RS256 mint, one durable commit, {CONNECTIONS} connections"
    );
    let (p50, p99) = fdatasync_millis(&plan.directory);
    println!("fdatasync of 400 B appended: p50 {p50:.2} ms, p99 {p99:.2} ms");
    let bare = Bare::start(&plan.directory);
    let bare_client = Client::new(&ground.path("ca.pem"), bare.port);
    let client = ground.client();
    drop(burst(plan.requests / 3, ground, &client, "svid").await);
    let database = schema(plan).await;
    let (mut cost_ratios, mut rate_ratios, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        let (early, verify, cedar) = (alone("sign", &[]), alone("verify", &[]), alone("cedar", &[]));
        let sqlite = alone("sqlite", &[&database]);
        let requests = shared(
            (0..plan.requests)
                .map(|_nth| token_request(&ground.token(), "svid", ""))
                .collect(),
        );
        let before = cpu_micros(bare.id());
        let run = bare_client
            .closed_loop(requests.clone(), CONNECTIONS)
            .await
            .must_all_succeed();
        let post = (cpu_micros(bare.id()) - before) / run.count();
        let before = cpu_micros(server.id());
        let run = client.closed_loop(requests, CONNECTIONS).await.must_all_succeed();
        let whole = (cpu_micros(server.id()) - before) / run.count();
        // The largest part, on both sides of the whole: a machine's speed changes within seconds.
        let sign = early.between(alone("sign", &[]));
        let sum = sign.cpu + verify.cpu + cedar.cpu + sqlite.cpu + post;
        let (cost, rate) = (whole / sum, run.per_second() * sign.wall / 1e6);
        println!(
            "round {round}: sign {:.1} + verify {:.1} + cedar {:.1} + sqlite {:.1} + post {post:.1} = {sum:.1} us; whole {whole:.1} us CPU ({cost:.3}); \
             {:.0}/s of {:.0} raw signatures/s ({rate:.3}); p50 {:.1} ms, p99 {:.1} ms",
            sign.cpu,
            verify.cpu,
            cedar.cpu,
            sqlite.cpu,
            run.per_second(),
            1e6 / sign.wall,
            run.percentile_millis(50),
            run.percentile_millis(99),
        );
        cost_ratios.push(cost);
        rate_ratios.push(rate);
        rates.push(run.per_second());
    }
    verdicts.at_most(
        "1a full exchange, CPU per request / sum of its parts",
        median(cost_ratios),
        1.25,
    );
    if p50 <= 1.0 {
        verdicts.at_least(
            "1b full exchange, throughput / raw signatures",
            median(rate_ratios),
            0.65,
        );
    } else {
        println!(
            "GATE 1b is not judged: fdatasync p50 is {p50:.2} ms, above 1 ms; the ratio is {:.3}",
            median(rate_ratios)
        );
    }
    median(rates)
}

/// Returns the path of an empty store with the product's schema.
async fn schema(plan: &Plan) -> String {
    let path = plan.directory.join("raw").join("raw.db");
    let store = SqliteStore::open(&format!("sqlite://{}", path.display()))
        .await
        .expect("a store");
    store.close().await;
    path.display().to_string()
}

async fn burst(count: usize, ground: &Ground, client: &Client, relying_party: &str) -> Run {
    let requests = (0..count)
        .map(|_nth| token_request(&ground.token(), relying_party, ""))
        .collect();
    client
        .closed_loop(shared(requests), CONNECTIONS)
        .await
        .must_all_succeed()
}

/// Latency at 80 % of what was reached, at fixed moments.
async fn under_load(plan: &Plan, ground: &Ground, server: &Server, per_second: f64) {
    println!("\n-- open loop at 80 % of {per_second:.0}/s");
    let _running = server.id();
    let requests = (0..plan.requests)
        .map(|_nth| token_request(&ground.token(), "svid", ""))
        .collect();
    let run = ground
        .client()
        .open_loop(shared(requests), 4 * CONNECTIONS, per_second * 0.8)
        .await
        .must_all_succeed();
    let (p50, p99) = fdatasync_millis(&plan.directory);
    println!(
        "REPORT {:.0}/s: p50 {:.1} ms, p99 {:.1} ms; fdatasync p50 {p50:.2} ms, p99 {p99:.2} ms",
        run.per_second(),
        run.percentile_millis(50),
        run.percentile_millis(99)
    );
}

/// What is reported and not judged.
async fn others(plan: &Plan, ground: &Ground, server: &Server) {
    println!("\n-- mint alone, ES256, repeated evidence, JWKS");
    for algorithm in ["RS256", "ES256"] {
        let (mint, sign) = (alone("mint", &[algorithm]), alone("sign", &[]));
        println!(
            "REPORT mint alone {algorithm}: {:.1} us CPU (raw RSA signature {:.1} us)",
            mint.cpu, sign.cpu
        );
    }
    let before = cpu_micros(server.id());
    let run = burst(plan.requests, ground, &ground.client(), "svid-es").await;
    let cost = (cpu_micros(server.id()) - before) / run.count();
    println!(
        "REPORT full exchange, ES256 out: {:.0}/s, {cost:.1} us CPU per request",
        run.per_second()
    );
    let metadata = Client::new(&ground.path("ca.pem"), ground.metadata_port);
    let requests = vec![get(ground::HOST, "/.well-known/jwks.json"); plan.requests * 10];
    let before = cpu_micros(server.id());
    let run = metadata
        .closed_loop(shared(requests), CONNECTIONS)
        .await
        .must_all_succeed();
    let cost = (cpu_micros(server.id()) - before) / run.count();
    println!(
        "REPORT JWKS over TLS keep-alive: {:.0}/s (bounded by the load's core), {cost:.1} us CPU per request",
        run.per_second()
    );
}

/// The same evidence again and again with its idempotency key: the cloud is called once.
async fn held(plan: &Plan, ground: &Ground, server: &Server, aws: &AwsSim) {
    let key = format!(
        "Idempotency-Key: {}\r\n",
        cambio::secret::Digest::of(ground.token().as_bytes())
    );
    let request = exchange_request(&ground.token(), "aws", &key);
    let client = ground.client();
    drop(
        client
            .closed_loop(shared(vec![request.clone()]), 1)
            .await
            .must_all_succeed(),
    );
    let (calls, before) = (aws.calls(), cpu_micros(server.id()));
    let run = client
        .closed_loop(shared(vec![request; plan.requests]), CONNECTIONS)
        .await
        .must_all_succeed();
    let cost = (cpu_micros(server.id()) - before) / run.count();
    println!(
        "REPORT held credential: {:.0}/s, {cost:.1} us CPU per request, {} calls of the cloud meanwhile",
        run.per_second(),
        aws.calls() - calls
    );
}

/// Gate 2: a decision against one prebuilt Cedar question, at three sizes.
fn decisions(plan: &Plan, verdicts: &mut Verdicts) {
    println!("\n-- policy decision, workload of 12 attributes, grants of 3 conditions, one candidate per pair");
    for (grants, goal) in [("10", 2.0), ("1000", 2.5), ("100000", 5.0)] {
        let mut ratios = Vec::new();
        for _ in 0..plan.rounds {
            let (raw, ours) = (alone("cedar3", &[]), alone("decide", &[grants, "3", "1"]));
            println!(
                "{grants} grants: raw is_authorized {:.2} us, decision {:.2} us",
                raw.cpu, ours.cpu
            );
            ratios.push(ours.cpu / raw.cpu);
        }
        verdicts.at_most(
            &format!("2 decision at {grants} grants / raw Cedar"),
            median(ratios),
            goal,
        );
    }
    for (conditions, candidates) in [("12", "1"), ("3", "10")] {
        let raw = alone(if conditions == "12" { "cedar12" } else { "cedar3" }, &[]);
        let ours = alone("decide", &["1000", conditions, candidates]);
        println!(
            "REPORT 1,000 grants, {conditions} conditions, {candidates} candidate(s) per pair: {:.2} us; raw with one policy {:.2} us ({:.2})",
            ours.cpu,
            raw.cpu,
            ours.cpu / raw.cpu
        );
    }
    for grants in ["1000", "100000"] {
        let cost = alone("rss", &[grants]);
        println!(
            "REPORT a compiled policy of {grants} grants: {:.1} MB of RSS with what it was compiled from, {:.2} s to compile",
            cost.cpu, cost.wall
        );
    }
}

/// Gate 3: from exec to ready with keys and 1,000 grants there.
fn starts(plan: &Plan, ground: &Ground, verdicts: &mut Verdicts) {
    println!("\n-- start with existing keys and 1,000 grants");
    let mut taken = Vec::new();
    for _ in 0..plan.rounds * 2 {
        let (server, took) = ground.start(&plan.binary, false);
        taken.push(millis(took));
        server.stop();
    }
    println!(
        "starts in ms: {}",
        taken
            .iter()
            .map(|one| format!("{one:.0}"))
            .collect::<Vec<_>>()
            .join(" ")
    );
    verdicts.at_most("3 start to ready, ms", median(taken), 100.0);
}

/// The load and the CI issuer stay off the gateway's core.
fn pin_to_core_1() {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset").args(["-a", "-c", "-p", "1", &pid]).output();
    if !pinned.is_ok_and(|output| output.status.success()) {
        println!("this process could not be pinned to core 1: figures are worth less");
    }
}
