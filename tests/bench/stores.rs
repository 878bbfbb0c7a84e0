//! The full exchange of kind `svid` on SQLite and on PostgreSQL, in one run, and each store made to hang.
//!
//! Nothing is judged across the two: one is a file in the gateway's process, the other a server that commits for it.

use std::{fs, path::Path};

use crate::{
    ground::{Ground, Server, cpu_micros},
    hanging::{self, Stored},
    load::token_request,
    parts::shared,
    report::{Verdicts, fdatasync_millis},
    server,
};

/// How much is sent: requests, and over how many connections.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) requests: usize,
    pub(crate) connections: usize,
}

/// The gateway that runs already, whose store is a file.
pub(crate) async fn sqlite(load: Load, (ground, server): (&Ground, &Server), verdicts: &mut Verdicts) {
    println!("\n-- full exchange of kind svid by store, and metadata while the store hangs");
    exchanged("SQLite", load, (ground, server), &ground.directory).await;
    let path = ground.path("store").join("cambio.db");
    hanging::metadata(ground, Stored::Sqlite(&path), verdicts).await;
}

/// The same configuration on a server of this run's own, which runs on the load's core.
pub(crate) async fn postgres(load: Load, (ground, binary): (&Ground, &Path), verdicts: &mut Verdicts) {
    // On a disk, as SQLite is, and where the server's own user can reach it.
    let place = std::env::temp_dir();
    let server = match server::Server::start_in(&place, "on", true) {
        Ok(server) => server,
        Err(reason) => {
            let needed = std::env::vars().any(|(name, _)| name == "TESTS_NEED_POSTGRES");
            assert!(!needed, "PostgreSQL is needed: {reason}");
            verdicts.leave_out("full exchange on PostgreSQL", &reason);
            verdicts.leave_out("6 metadata latency while PostgreSQL hangs", &reason);
            return;
        }
    };
    let file = ground.path("cambio.toml");
    let text = fs::read_to_string(&file).expect("the configuration");
    assert!(text.contains(&ground.store()), "the configuration has no SQLite store");
    fs::write(&file, text.replace(&ground.store(), &server.database())).expect("the configuration");
    let (gateway, _took) = ground.start(binary, true);
    println!(
        "PostgreSQL {} with its files in {}",
        server.sql("postgres", "SHOW server_version"),
        place.display()
    );
    exchanged("PostgreSQL", load, (ground, &gateway), server.directory()).await;
    hanging::metadata(ground, Stored::Postgres(&server), verdicts).await;
    gateway.stop();
    fs::write(&file, text).expect("the configuration");
}

async fn exchanged(name: &str, load: Load, (ground, server): (&Ground, &Server), disk: &Path) {
    let client = ground.client();
    let run = async |count: usize| {
        let requests = (0..count).map(|_nth| token_request(&ground.token(), "svid", ""));
        let requests = shared(requests.collect());
        let before = cpu_micros(server.id());
        let run = client.closed_loop(requests, load.connections).await.must_all_succeed();
        (cpu_micros(server.id()) - before, run)
    };
    drop(run(load.requests / 4).await);
    let (spent, run) = run(load.requests).await;
    let (flush, slow_flush) = fdatasync_millis(disk);
    println!(
        "REPORT full exchange on {name}, {} connections: {:.0}/s, {:.1} us of the gateway's CPU per request, p50 {:.1} ms, p99 {:.1} ms; \
         fdatasync on its disk p50 {flush:.2} ms, p99 {slow_flush:.2} ms",
        load.connections,
        run.per_second(),
        spent / run.count(),
        run.percentile_millis(50),
        run.percentile_millis(99),
    );
}
