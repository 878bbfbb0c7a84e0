//! `cambio exec` as a process: what its command inherits, and the signals that reach it.

use std::{
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use cambio::{
    cli::{
        dev::{development::Development, place::Place},
        environment::Environment,
    },
    clock,
    secret::SystemRandom,
    sim::world,
};
use rustix::process::{Pid, Signal, kill_process};

struct Job {
    development: Development,
    directory: tempfile::TempDir,
}

impl Job {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::open(Some(directory.path().join("world")), &SystemRandom).unwrap();
        let environment = Environment::new(clock::system(), Arc::new(SystemRandom), std::iter::empty());
        let development = Development::start_with(&place, &environment, |configuration| configuration).await;
        Self {
            development: development.unwrap_or_else(|unready| panic!("{unready:?}")),
            directory,
        }
    }

    /// Returns `cambio exec` of a shell script, in a process group that no terminal sends signals to.
    fn exec(&self, options: &[&str], script: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cambio"));
        command
            .arg("exec")
            .args(options)
            .args(["aws-dev", "--", "sh", "-c", script]);
        command
            .env("CAMBIO_GATEWAY", &self.development.exchange_url)
            .env("CAMBIO_CA_FILE", &self.development.world.files.ca)
            .env("CAMBIO_STATE_DIR", self.directory.path().join("state"))
            .env(
                "CAMBIO_ID_TOKEN",
                self.development.world.ci.token(world::example_job()).unwrap(),
            )
            .env("ACTIONS_ID_TOKEN_REQUEST_URL", "https://127.0.0.1:1")
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer")
            .env("TFC_WORKLOAD_IDENTITY_TOKEN", "token")
            .env("AWS_SECURITY_TOKEN", "stale")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    }

    fn seen(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a command off the threads that serve the world.
    async fn output(&self, mut command: Command) -> Output {
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    async fn signalled(&self, signal: Signal) -> Output {
        let ready = self.seen("ready");
        let script = format!(
            "trap 'exit 7' TERM; trap 'exit 8' INT; : > '{}'; while :; do sleep 0.02; done",
            ready.display()
        );
        let child = self.exec(&[], &script).spawn().unwrap();
        let began = Instant::now();
        while !ready.exists() {
            assert!(began.elapsed() < Duration::from_mins(1), "the command did not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
        tokio::task::spawn_blocking(move || child.wait_with_output().unwrap())
            .await
            .unwrap()
    }
}

const ALL: &str = "echo ${AWS_SECRET_ACCESS_KEY:+key} ${AWS_SECURITY_TOKEN:-none} ${CAMBIO_ID_TOKEN:+a} \
                   ${ACTIONS_ID_TOKEN_REQUEST_URL:+b} ${ACTIONS_ID_TOKEN_REQUEST_TOKEN:+c} ${TFC_WORKLOAD_IDENTITY_TOKEN:+d}";

#[tokio::test(flavor = "multi_thread")]
async fn the_command_inherits_no_evidence_unless_it_is_told_to() {
    let job = Job::new().await;

    let without = job.output(job.exec(&[], ALL)).await;
    let with = job.output(job.exec(&["--keep-evidence"], ALL)).await;

    assert_eq!(String::from_utf8_lossy(&without.stdout), "key none\n");
    assert_eq!(String::from_utf8_lossy(&with.stdout), "key none a b c d\n");
    assert_eq!((without.status.code(), with.status.code()), (Some(0), Some(0)));
    job.development.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reaches_the_command_whose_exit_code_comes_back() {
    let job = Job::new().await;

    let terminated = job.signalled(Signal::TERM).await;
    std::fs::remove_file(job.seen("ready")).unwrap();
    let interrupted = job.signalled(Signal::INT).await;

    assert_eq!(
        (terminated.status.code(), interrupted.status.code()),
        (Some(7), Some(8))
    );
    job.development.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_evidence_at_all_is_125_and_says_where_it_was_looked_for() {
    let job = Job::new().await;
    let mut command = job.exec(&[], "true");
    for name in [
        "CAMBIO_ID_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "TFC_WORKLOAD_IDENTITY_TOKEN",
    ] {
        command.env_remove(name);
    }

    let refused = job.output(command).await;

    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(125), "{said}");
    assert!(said.contains("looked for --token-file (not given)"), "{said}");
    job.development.stop().await;
}
