//! A development world, and commands that are run against it as a shell would.

use std::{process::ExitCode, sync::Arc};

use clap::Parser as _;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::{
    Arguments,
    dev::{
        development::{Development, Unready},
        place::Place,
    },
    environment::Environment,
    output::Output,
};
use crate::{
    clock::{self, FakeClock},
    secret::SystemRandom,
    sim::world,
};

/// A running world; its clock stands near the present, because certificates are held against the host's.
pub(super) struct Surroundings {
    pub(super) development: Development,
    pub(super) clock: Arc<FakeClock>,
    pub(super) directory: TempDir,
}

/// How a command ended and what it wrote.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) exit: u8,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Surroundings {
    pub(super) async fn new() -> Self {
        Self::with(|configuration| configuration).await
    }

    pub(super) async fn with(change: impl FnOnce(String) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = FakeClock::at(&clock::rfc3339(clock::system().now()));
        let environment = Environment::new(clock.clone(), Arc::new(SystemRandom), std::iter::empty());
        let place = Place::open(Some(directory.path().join("world")), &SystemRandom).unwrap();
        let development = match Development::start_with(&place, &environment, change).await {
            Ok(development) => development,
            Err(Unready::Configuration(diagnostics)) => panic!("{}", crate::config::render::text(&diagnostics)),
            Err(Unready::Other(failed)) => panic!("{failed:#}"),
        };
        Self {
            development,
            clock,
            directory,
        }
    }

    /// Returns a token of the job that is admitted.
    pub(super) fn token(&self) -> String {
        self.token_of(world::example_job())
    }

    pub(super) fn token_of(&self, claims: Map<String, Value>) -> String {
        self.development.world.ci.token(claims).unwrap()
    }

    /// Returns the variables of a job with this token.
    pub(super) fn job(&self, token: &str) -> Vec<(String, String)> {
        let path = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
        [
            ("CAMBIO_GATEWAY", self.development.exchange_url.clone()),
            ("CAMBIO_CA_FILE", path(self.development.world.files.ca.clone())),
            ("CAMBIO_ADMIN", path(self.development.place.admin())),
            ("CAMBIO_STATE_DIR", path(self.directory.path().join("state"))),
            ("CAMBIO_ID_TOKEN", token.to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// Runs `cambio` as a process of a job with `token`.
    pub(super) async fn job_runs(&self, token: &str, words: &[&str]) -> Ran {
        ran(self.clock.clone(), self.job(token), words).await
    }

    /// Runs `cambio` where the operator sits.
    pub(super) async fn runs(&self, words: &[&str]) -> Ran {
        self.job_runs("", words).await
    }

    /// Lets time pass, for the memory copy of the locks as well.
    pub(super) async fn wait(&self, time: std::time::Duration) {
        self.clock.advance(time);
        self.development.running.gateway().locks.remove("none").await.unwrap();
    }

    /// Ends the world.
    pub(super) async fn stop(self) {
        self.development.stop().await;
    }
}

/// Runs `cambio` with these words and variables.
pub(super) async fn ran(clock: Arc<FakeClock>, variables: Vec<(String, String)>, words: &[&str]) -> Ran {
    let environment = Environment::new(clock, Arc::new(SystemRandom), variables.into_iter());
    let words = ["cambio"].iter().chain(words);
    let arguments = Arguments::try_parse_from(words).unwrap_or_else(|why| panic!("{why}"));
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let code = super::run(arguments, &environment, &mut Output::new(&mut stdout, &mut stderr)).await;
    Ran {
        exit: number(code),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

fn number(code: ExitCode) -> u8 {
    let same = |number: &u8| format!("{:?}", ExitCode::from(*number)) == format!("{code:?}");
    (0..=u8::MAX).find(same).unwrap()
}

/// Returns a transcript without what differs from run to run.
pub(super) fn transcript(ran: &Ran) -> String {
    let Ran { exit, stdout, stderr } = ran;
    format!("exit {exit}\n--- stdout\n{stdout}--- stderr\n{stderr}")
}

/// What differs from run to run, for `insta`.
pub(super) const FILTERS: [(&str, &str); 7] = [
    (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
    (r"exchange [A-Za-z0-9_-]{16,}", "exchange <id>"),
    (r"--exchange-id [A-Za-z0-9_-]+", "--exchange-id <id>"),
    (r"/[^\s`]*/world/", "<world>/"),
    (r"'[^']{16,}'", "'<secret>'"),
    (r"\b[0-9a-f]{16,}\b", "<hex>"),
];
