//! The how-to pages, run: each page's own configuration admits the job or machine that it is about, and its commands work there.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use cambio::{
    attest::oidc::fixture::{self, Job},
    cli::{
        dev::{development::Development, place::Place},
        environment::Environment,
    },
    clock,
    config::{self, Profile},
    secret::SystemRandom,
    sim::{
        Listen as _,
        ci_issuer::{BEARER, CiIssuer},
        server::Loopback,
        world::WORKLOAD_PATH,
    },
};
use serde::Deserialize;

use crate::guides::{blocks, command_lines, named_as_in_the_pages, page};

/// The job of a page, from the vendor's fixture.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Guide {
    /// What its token says otherwise than the preset's sample.
    #[serde(default)]
    claims: toml::Table,
    /// What the CI system puts into its environment, with `{url}`, `{bearer}` and `{token}`.
    #[serde(default)]
    variables: BTreeMap<String, String>,
    /// Programs of the CI system, by what they print.
    #[serde(default)]
    programs: BTreeMap<String, String>,
    /// Files that it writes.
    #[serde(default)]
    files: BTreeMap<String, String>,
}

/// A gateway whose configuration is that of one page after the other.
struct Reader {
    development: Development,
    /// The development configuration, without whom it admits to what.
    base: toml::Table,
    loopback: Loopback,
    ca_file: PathBuf,
    directory: tempfile::TempDir,
    _stop: tokio::sync::watch::Sender<bool>,
}

impl Reader {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (loopback, files, stop) = Loopback::throw_away(directory.path(), clock::system().now()).unwrap();
        let place = Place::open(Some(directory.path().join("world")), &SystemRandom).unwrap();
        let environment = Environment::new(clock::system(), Arc::new(SystemRandom), std::iter::empty());
        let development = Development::start_with(&place, &environment, |text| text).await;
        let development = development.unwrap_or_else(|unready| panic!("{unready:?}"));
        let text = fs::read_to_string(place.configuration()).unwrap();
        let mut base: toml::Table = toml::from_str(&named_as_in_the_pages(&text)).unwrap();
        for section in OF_THE_PAGE {
            base.remove(section);
        }
        for user in USERS {
            stand_in(&directory.path().join("programs").join(user));
        }
        Self {
            development,
            base,
            loopback,
            ca_file: files.ca,
            directory,
            _stop: stop,
        }
    }

    /// Makes the gateway's configuration that of a page, whose issuer's keys are at `keys`.
    ///
    /// The simulated clouds trust one SPIFFE ID; the page's workload has it.
    async fn configure(&self, guide: &str, keys: Option<&str>) {
        let mut own: toml::Table = toml::from_str(&blocks(&page(guide), "toml")[0]).unwrap();
        if let Some(keys) = keys {
            let attestor = own["attestor"][0].as_table_mut().unwrap();
            attestor.insert("jwks_uri".to_owned(), keys.into());
            attestor.insert("ca_file".to_owned(), self.ca_file.display().to_string().into());
            attestor.insert("allow_addresses".to_owned(), vec!["127.0.0.0/8"].into());
        }
        let admitted = own["grant"][0]["entries"].as_array().unwrap().clone();
        for entry in own["entry"].as_array_mut().unwrap() {
            if admitted.contains(&entry["name"]) {
                entry["spiffe_id"] = WORKLOAD_PATH.into();
            }
        }
        assert!(
            own.keys().all(|section| OF_THE_PAGE.contains(&section.as_str())),
            "{guide}"
        );
        own.extend(self.base.clone());
        let file = self.development.place.configuration();
        fs::write(&file, toml::to_string(&own).unwrap()).unwrap();
        let loaded = config::load(&file, std::iter::empty(), Profile::Development);
        assert!(loaded.is_ok(), "{guide}: {:?}", loaded.err());
        self.development.reload().await;
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.path("programs").join(name)
    }

    /// Runs lines of a shell as the page's reader does, with nothing but these variables and what every page says to set.
    async fn shell(&self, lines: &str, variables: &BTreeMap<String, String>) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_cambio")).parent().unwrap().to_owned();
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(
            [self.path("programs"), program]
                .into_iter()
                .chain(std::env::split_paths(&usual)),
        );
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", lines])
            .current_dir(self.path("programs"))
            .env_clear()
            .env("PATH", path.unwrap())
            .env("CAMBIO_GATEWAY", &self.development.exchange_url)
            .env("CAMBIO_CA_FILE", &self.development.world.files.ca)
            .env("CAMBIO_AUDIENCE", &self.development.issuer)
            .env("CAMBIO_ADMIN", self.development.place.admin())
            .env("CAMBIO_STATE_DIR", self.path("state"))
            .env("SSL_CERT_FILE", &self.ca_file)
            .envs(variables);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }
}

const OF_THE_PAGE: [&str; 3] = ["attestor", "entry", "grant"];

/// Writes a program that says whether it has credentials of AWS.
pub(crate) fn stand_in(path: &Path) {
    program(path, "with ${AWS_SESSION_TOKEN:+credentials}");
}

fn program(path: &Path, says: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\necho \"{says}\"\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The programs that the pages give credentials to.
const USERS: [&str; 3] = ["aws", "set-up", "terraform"];

/// Returns what a command printed, or says what went wrong.
fn succeeded(guide: &str, line: &str, output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{guide}: {line}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asserts that a command that asks for credentials got some.
pub(crate) fn has_credentials(guide: &str, line: &str, printed: &str) {
    let found = if line.contains("exec ") {
        printed.contains("with credentials")
    } else {
        SECRETS.iter().any(|name| printed.contains(name))
    };
    assert!(found, "{guide}: {line}: {printed}");
}

/// What every shape of AWS's or Google's credentials has one of.
const SECRETS: [&str; 3] = ["AWS_SECRET_ACCESS_KEY", "SecretAccessKey", "access_token"];

#[tokio::test(flavor = "multi_thread")]
async fn every_ci_systems_page_admits_its_job_whose_commands_run() {
    let reader = Reader::start().await;
    let mut read = 0;
    for (preset, job) in jobs() {
        let guide = format!("{}.md", preset.replace('_', "-"));
        let (url, token) = issuer(&reader, &preset, &job.claims);
        reader.configure(&guide, Some(&format!("{url}/.well-known/jwks"))).await;
        let filled = |text: &String| {
            text.replace("{url}", &url)
                .replace("{bearer}", BEARER)
                .replace("{token}", &token)
        };
        let mut variables: BTreeMap<String, String> = job
            .variables
            .iter()
            .map(|(name, text)| (name.clone(), filled(text)))
            .collect();
        variables.insert(
            "CAMBIO_STATE_DIR".to_owned(),
            reader.path(&preset).display().to_string(),
        );
        for (name, text) in &job.programs {
            program(&reader.program(name), &filled(text));
        }
        let mut page = page(&guide);
        for (name, text) in &job.files {
            let file = reader.path("token");
            fs::write(&file, filled(text)).unwrap();
            page = page.replace(name, &file.display().to_string());
        }
        let lines = command_lines(&page);
        assert!(!lines.is_empty(), "{guide}");
        // What a page sets by a program of its CI system.
        let set = page
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with("export ") && line.contains("$("));
        for line in lines {
            let whole = format!("{}\n{line}", set.unwrap_or_default());
            let printed = succeeded(&guide, &line, &reader.shell(&whole, &variables).await);
            has_credentials(&guide, &line, &printed);
        }
        read += 1;
    }
    assert!(read >= 12, "only {read} pages");
}

/// Returns the job of every vendor's page, by preset.
fn jobs() -> BTreeMap<String, Guide> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/attest/oidc/tests/vendors");
    let jobs = fs::read_dir(folder).unwrap().map(|file| {
        let file = file.unwrap().path();
        let mut fixture: toml::Table = toml::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let preset = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let guide = fixture
            .remove("guide")
            .unwrap_or_else(|| panic!("{preset} has no `guide`"));
        (preset, guide.try_into().unwrap())
    });
    jobs.collect()
}

/// Starts the issuer of a vendor with the page's job; returns where it is, and a token of the job.
fn issuer(reader: &Reader, preset: &str, claims: &toml::Table) -> (String, String) {
    let mut job = Job::of_preset(preset).facts();
    for (name, value) in claims {
        job.insert(name.clone(), serde_json::to_value(value).unwrap());
    }
    let bound = reader.loopback.bind().unwrap();
    let names = (fixture::issuer_of(preset), reader.development.issuer.clone());
    let issuer = CiIssuer::new(names, job, (clock::system(), Arc::new(SystemRandom)));
    let issuer = Arc::new(issuer.unwrap());
    (bound.serve)(Arc::clone(&issuer).router());
    (bound.url, issuer.example_token().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_machines_that_have_nothing_yet_work_from_the_token_on() {
    let reader = Reader::start().await;
    let token = reader.path("join-token");
    let places = [
        (
            "https://exchange.acme.example:9443",
            reader.development.exchange_url.clone(),
        ),
        ("/run/join-token", token.display().to_string()),
        ("/var/lib/machine", reader.path("machine").display().to_string()),
    ];
    for (guide, commands) in [("join-token.md", 2), ("bound-key.md", 4)] {
        reader.configure(guide, None).await;
        let here = places
            .iter()
            .fold(page(guide), |page, (there, here)| page.replace(there, here));
        let lines = command_lines(&here);
        assert_eq!(lines.len(), commands, "{guide}: {lines:?}");
        for line in lines {
            let printed = succeeded(guide, &line, &reader.shell(&line, &BTreeMap::new()).await);
            if line.contains("join-token create") {
                fs::write(&token, printed.trim()).unwrap();
            } else if line.contains("cambio exec ") || line.contains("cambio creds ") {
                has_credentials(guide, &line, &printed);
            }
            if line.contains("bound-key register") {
                let again = reader.shell(&line, &BTreeMap::new()).await;
                let said = String::from_utf8_lossy(&again.stderr);
                assert_eq!(again.status.code(), Some(1), "{guide}: {said}");
                assert!(said.contains("this machine has a key already"), "{guide}: {said}");
                assert!(reader.path("machine/cambio/bound.json").exists(), "{guide}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_join_token_tells_how_to_find_who_used_one() {
    let reader = Reader::start().await;
    reader.configure("join-token.md", None).await;
    let page = page("join-token.md");
    let (_, asked) = page.split_once("`cambio audit query").unwrap();
    let (asked, _) = asked.split_once('`').unwrap();
    assert!(asked.contains("SHA256"), "{asked}");
    let asked = asked.replace("\\|", "|").replace("SHA256", "\"$sha256\"");
    let lines = format!(
        "cambio join-token create --attestor plant --machine press-7 --label role=press > join-token 2> /dev/null
        cambio creds aws-prod --token-file join-token > /dev/null 2>&1
        sha256=$(cambio join-token list --output json | sed 's/.*\"sha256\":\"\\([0-9a-f]*\\)\".*/\\1/')
        cambio audit query{asked}"
    );

    let printed = reader.shell(&lines, &BTreeMap::new()).await;

    let printed = succeeded("join-token.md", &lines, &printed);
    assert!(printed.contains("\"kind\":\"intent\""), "{printed}");
    assert!(printed.contains("\"source_address\":\"127.0.0.1\""), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_bound_key_tells_what_a_copied_disk_does_and_what_undoes_its_lock() {
    let reader = Reader::start().await;
    reader.configure("bound-key.md", None).await;
    let lines = r#"
        joining() {
            cambio join-token create --attestor plant --machine press-7 --label role=press > join-token
            cambio bound-key register --state-dir "$1" --join-token-file join-token $2
        }
        asking() { CAMBIO_STATE_DIR=$1 cambio creds aws-prod --attest bound_key > /dev/null; }
        {
            joining yours
            cp -a yours copy
            asking copy
            cambio bound-key rotate --state-dir yours
            echo == the copy asks for credentials
            asking copy || echo "exit code $?"
            asking yours
            echo == the copy rotates
            cambio bound-key rotate --state-dir copy || echo "exit code $?"
            asking yours || echo "exit code $?"
            cambio bound-key list
            cambio lock list
            echo == undone
            cambio bound-key remove "$(cambio bound-key list | sed -n 's/ .*locked.*//p')"
            joining yours --replace
            asking yours
            cambio bound-key list
        } 2>&1
    "#;

    let printed = reader.shell(lines, &BTreeMap::new()).await;

    let printed = succeeded("bound-key.md", lines, &printed);
    let parts: Vec<&str> = printed.split("== ").collect();
    let [_, asks, rotates, undone] = parts[..] else {
        panic!("{printed}");
    };
    assert!(
        asks.contains("attest.key_superseded") && asks.contains("exit code 4"),
        "{asks}"
    );
    assert!(!asks.contains("attest.key_ended"), "{asks}");
    for expected in [
        "attest.key_superseded",
        "attest.key_ended",
        " locked ",
        "nothing is locked",
    ] {
        assert!(rotates.contains(expected), "no `{expected}` in {rotates}");
    }
    assert!(undone.contains(" current ") && !undone.contains("error:"), "{undone}");
}
