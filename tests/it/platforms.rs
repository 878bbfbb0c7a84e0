//! `cambio exec` on each simulated platform, with nothing but what that platform gives its workloads.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use cambio::{
    cli::{
        dev::{development::Development, place::Place},
        environment::Environment,
    },
    clock,
    secret::SystemRandom,
    sim::Platform,
};
use serde_json::Value;

use crate::{
    guides::{calls, named_as_in_the_pages, page},
    jobs::{has_credentials, stand_in},
};

struct Platforms {
    development: Development,
    directory: tempfile::TempDir,
}

impl Platforms {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::open(Some(directory.path().join("world")), &SystemRandom).unwrap();
        let environment = Environment::new(clock::system(), Arc::new(SystemRandom), std::iter::empty());
        let development = Development::start(&place, &environment).await;
        Self {
            development: development.unwrap_or_else(|unready| panic!("{unready:?}")),
            directory,
        }
    }

    fn all(&self) -> &[Platform] {
        &self.development.world.platforms
    }

    fn state(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns a command of `cambio` that finds what the platform gives, and the token of the moment.
    fn cambio(&self, platform: &Platform, token: Option<&str>, state: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cambio"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("CAMBIO_GATEWAY", &self.development.exchange_url)
            .env("CAMBIO_CA_FILE", &self.development.world.files.ca)
            .env("CAMBIO_AUDIENCE", &self.development.issuer)
            .env("CAMBIO_STATE_DIR", state)
            .env("SSL_CERT_FILE", &self.development.world.files.ca)
            .envs(platform.variables.iter().map(|(name, value)| (*name, value)));
        if let (Some((variable, _)), Some(token)) = (&platform.token, token) {
            command.env(variable, token);
        }
        command
    }

    /// Runs `cambio exec aws-dev` and returns what its command saw.
    async fn exec(&self, platform: &Platform, token: Option<&str>, state: &Path) -> Output {
        Self::run(self.cambio(platform, token, state)).await
    }

    /// Returns how many exchanges of the platform's workload the trail tells of, once there are two.
    async fn exchanges_of(&self, platform: &Platform) -> usize {
        let mut found = BTreeSet::new();
        for _ in 0..100 {
            let text = std::fs::read_to_string(self.development.place.audit()).unwrap();
            let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let name = platform.name.replace('_', "-");
            found = entries
                .filter(|entry| entry["entry"] == format!("shop-deploy-{name}") && entry["relying_party"] == "aws-dev")
                .map(|entry| entry["exchange_id"].to_string())
                .collect();
            if found.len() >= 2 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        found.len()
    }

    /// Reloads the configuration with `aws-prod` for `aws-dev`, and so on.
    async fn call_relying_parties_as_the_guides_do(&self) {
        let file = self.development.place.configuration();
        let text = named_as_in_the_pages(&std::fs::read_to_string(&file).unwrap());
        std::fs::write(&file, text).unwrap();
        self.development.reload().await;
    }

    async fn run(mut command: Command) -> Output {
        command.args([
            "exec",
            "aws-dev",
            "--",
            "sh",
            "-c",
            "echo \"found ${AWS_SESSION_TOKEN:+credentials}\"",
        ]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }
}

fn issued(platform: &Platform) -> Option<String> {
    platform.token.as_ref().map(|(_, issue)| issue().unwrap())
}

fn succeeded(platform: &Platform, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", platform.name);
    assert_eq!(output.stdout, b"found credentials\n", "{}", platform.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_platforms_workload_gets_credentials_with_what_it_finds() {
    let platforms = Platforms::start().await;

    for platform in platforms.all() {
        let token = issued(platform);
        let output = platforms
            .exec(platform, token.as_deref(), &platforms.state(platform.name))
            .await;
        succeeded(platform, &output);
    }

    let names: Vec<&str> = platforms.all().iter().map(|platform| platform.name).collect();
    assert_eq!(
        names,
        [
            "github_actions",
            "aws_iam",
            "azure_instance",
            "gcp_instance",
            "kubernetes",
            "gitlab",
            "hcp_terraform",
            "buildkite"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_one_token_runs_twice_and_a_thief_of_the_token_does_not() {
    let platforms = Platforms::start().await;
    let mut tried = Vec::new();

    for platform in platforms.all().iter().filter(|platform| platform.token.is_some()) {
        let token = issued(platform);
        let (job, thief) = (platforms.state(platform.name), platforms.state("thief"));
        for _process in 0..2 {
            succeeded(platform, &platforms.exec(platform, token.as_deref(), &job).await);
        }
        let stolen = platforms.exec(platform, token.as_deref(), &thief).await;
        let said = String::from_utf8_lossy(&stolen.stderr);
        assert_eq!(stolen.status.code(), Some(125), "{}: {said}", platform.name);
        assert!(said.contains("attest.evidence_stolen"), "{}: {said}", platform.name);
        tried.push(platform.name);
    }

    assert_eq!(tried, ["gitlab", "hcp_terraform"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_one_token_tries_again_after_its_connection_was_cut() {
    let platforms = Platforms::start().await;
    let mut tried = Vec::new();

    for platform in platforms.all().iter().filter(|platform| platform.token.is_some()) {
        let token = issued(platform);
        let state = platforms.state(platform.name);
        let mut command = platforms.cambio(platform, token.as_deref(), &state);
        command.env("HTTPS_PROXY", cutting_proxy());
        let cut = Platforms::run(command).await;
        let said = String::from_utf8_lossy(&cut.stderr);
        assert_eq!(cut.status.code(), Some(125), "{}: {said}", platform.name);
        assert!(said.contains("cannot be reached"), "{}: {said}", platform.name);

        let again = platforms.exec(platform, token.as_deref(), &state).await;
        succeeded(platform, &again);
        // The first request did reach the gateway.
        assert_eq!(platforms.exchanges_of(platform).await, 2, "{}", platform.name);
        tried.push(platform.name);
    }

    assert_eq!(tried, ["gitlab", "hcp_terraform"]);
}

/// A proxy (`CONNECT`, RFC 9110 section 9.3.6) that lets a whole request through, and cuts the connection instead of its answer.
fn cutting_proxy() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let target = first.split(' ').nth(1).unwrap().to_owned();
        assert!(lines.any(|line| line.unwrap().is_empty()), "the request has no end");
        let gateway = TcpStream::connect(target).unwrap();
        let mut answer = client.try_clone().unwrap();
        answer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), gateway.try_clone().unwrap());
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        thread::spawn(move || {
            let mut bytes = [0; 16 * 1024];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                counted.fetch_add(read, Ordering::Relaxed);
                to.write_all(&bytes[..read]).unwrap();
            }
        });
        let (mut gateway, mut bytes) = (gateway, [0; 16 * 1024]);
        loop {
            let read = gateway.read(&mut bytes).unwrap();
            if read == 0 || sent.load(Ordering::Relaxed) > HANDSHAKE {
                break;
            }
            answer.write_all(&bytes[..read]).unwrap();
        }
        // What the gateway says first need not be its answer: it may read the request still, which comes in parts.
        gateway.set_read_timeout(Some(SILENCE)).unwrap();
        while let Ok(1..) = gateway.read(&mut bytes) {}
        client.shutdown(Shutdown::Both).unwrap();
    });
    url
}

/// A client says at most so many bytes until its request, which holds a token and a proof and so is longer than what is left.
const HANDSHAKE: usize = 2_500;
/// A gateway that says nothing for so long has answered.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_machines_guides_runs_there() {
    let platforms = Platforms::start().await;
    platforms.call_relying_parties_as_the_guides_do().await;
    let programs = platforms.directory.path().join("programs");
    for program in ["aws", "deploy", "terraform"] {
        stand_in(&programs.join(program));
    }
    let path = std::env::join_paths(
        std::iter::once(programs.clone()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let path = path.unwrap();

    for (guide, platform) in [
        ("ec2-role.md", "aws_iam"),
        ("azure-vm.md", "azure_instance"),
        ("gce.md", "gcp_instance"),
        ("kubernetes.md", "kubernetes"),
    ] {
        let platform = platforms.all().iter().find(|one| one.name == platform).unwrap();
        let token = issued(platform);
        let calls = calls(&page(guide));
        assert!(!calls.is_empty(), "{guide}");
        for mut words in calls {
            // The page's audience is that of its own gateway.
            if let Some(at) = words.iter().position(|word| word == "--audience") {
                words[at + 1].clone_from(&platforms.development.issuer);
            }
            let mut command = platforms.cambio(platform, token.as_deref(), &platforms.state(platform.name));
            command.args(&words[1..]).current_dir(&programs).env("PATH", &path);
            let output = tokio::task::spawn_blocking(move || command.output().unwrap())
                .await
                .unwrap();

            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{guide}: {words:?}: {said}");
            let printed = String::from_utf8_lossy(&output.stdout);
            has_credentials(guide, &words.join(" "), &printed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_was_deleted_gets_nothing_more() {
    let platforms = Platforms::start().await;
    let cluster = platforms
        .all()
        .iter()
        .find(|platform| platform.name == "kubernetes")
        .unwrap();
    let simulated = Arc::clone(&cluster.simulator)
        .downcast::<cambio::attest::kubernetes::sim::ClusterSim>()
        .unwrap();

    // Another pod of that name takes its place.
    simulated.run("shop", "deploy", "deploy-7d4b9");
    let output = platforms.exec(cluster, None, &platforms.state("pod")).await;

    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("attest.review_refused"), "{said}");
}
