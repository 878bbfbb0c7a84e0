use std::time::Duration;

use serde_json::json;

use super::*;

fn answered(results: &[(&str, &str)]) -> Answer {
    let credential = |kind: &str| {
        let native = json!({ "AccessKeyId": "a", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "e", "access_token": "b" });
        crate::cli::answer::Credential::new(kind, "credential", None, &native)
    };
    Answer {
        exchange_id: None,
        spiffe_id: None,
        results: results
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), Ok(credential(kind))))
            .collect(),
    }
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[tokio::test]
async fn passes_on_the_exit_code_of_the_command() {
    for code in [0, 1, 7, 255] {
        let exit = launched(shell(&format!("exit {code}"))).await.unwrap();
        assert_eq!(exit.number(), code);
    }
}

#[tokio::test]
async fn a_command_that_a_signal_ends_gives_128_and_its_number() {
    assert_eq!(launched(shell("kill -TERM $$")).await.unwrap().number(), 128 + 15);
    assert_eq!(launched(shell("kill -KILL $$")).await.unwrap().number(), 128 + 9);
}

#[tokio::test]
async fn a_command_that_is_not_there_is_127() {
    let failure = launched(Command::new("/no/such/command")).await.unwrap_err();

    assert_eq!(failure.exit().number(), 127);
}

#[tokio::test]
async fn a_command_that_cannot_be_executed_is_126() {
    let directory = tempfile::tempdir().unwrap();
    let (plain, garbage) = (directory.path().join("plain"), directory.path().join("garbage"));
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    std::fs::write(&garbage, "\u{0}\u{1}").unwrap();
    std::fs::set_permissions(&garbage, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();

    for program in [plain.as_path(), garbage.as_path(), directory.path()] {
        let failure = launched(Command::new(program)).await.unwrap_err();
        assert_eq!(failure.exit().number(), 126, "{}", program.display());
    }
}

#[tokio::test]
async fn a_signal_reaches_the_command() {
    let directory = tempfile::tempdir().unwrap();
    let ready = directory.path().join("ready");
    let script = format!(
        "trap 'exit 7' TERM; : > {}; while :; do sleep 0.02; done",
        ready.display()
    );
    let mut child = started(shell(&script)).unwrap();
    while !ready.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    forward(&child, Signal::TERM);

    assert_eq!(exit_of(child.wait().await.unwrap()).number(), 7);
    forward(&child, Signal::TERM); // An ended command is sent nothing.
}

#[test]
fn several_clouds_give_all_their_variables() {
    let all = variables(&answered(&[
        ("aws", "aws_sts"),
        ("gcp", "gcp_sts"),
        ("azure", "azure_entra"),
    ]))
    .unwrap();

    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_CREDENTIAL_EXPIRATION",
            "CLOUDSDK_AUTH_ACCESS_TOKEN",
            "GOOGLE_OAUTH_ACCESS_TOKEN",
            "AZURE_ACCESS_TOKEN"
        ]
    );
}

#[test]
fn two_relying_parties_of_one_cloud_are_refused_by_name() {
    let refused = variables(&answered(&[("one", "aws_sts"), ("two", "aws_roles_anywhere")])).unwrap_err();

    let shown = format!("{refused:?}");
    assert!(shown.contains("`one` and `two` both set AWS_ACCESS_KEY_ID"), "{shown}");
}

#[cfg(feature = "dev")]
mod in_a_world {
    use crate::cli::fixture::{FILTERS, Surroundings, transcript};

    fn script(world: &Surroundings, line: &str) -> String {
        format!("{line} > {}", world.directory.path().join("seen").display())
    }

    fn seen(world: &Surroundings) -> String {
        std::fs::read_to_string(world.directory.path().join("seen")).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_command_has_the_credentials_in_its_environment() {
        let world = Surroundings::new().await;
        let line = script(&world, "echo ${AWS_ACCESS_KEY_ID:+key} ${AZURE_ACCESS_TOKEN:+token}") + "; exit 3";

        let ran = world
            .job_runs(
                &world.token(),
                &["exec", "aws-dev", "azure-dev", "--", "sh", "-c", &line],
            )
            .await;

        assert_eq!((ran.exit, ran.stdout.as_str()), (3, ""), "{}", ran.stderr);
        assert_eq!(seen(&world), "key token\n");
        insta::with_settings!({ filters => FILTERS.to_vec() }, { insta::assert_snapshot!(transcript(&ran)) });
        world.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_second_command_of_the_job_finds_the_key_of_the_first() {
        let world = Surroundings::new().await;
        let token = world.token();

        let first = world.job_runs(&token, &["exec", "aws-dev", "--", "true"]).await;
        let second = world.job_runs(&token, &["exec", "aws-dev", "--", "true"]).await;

        assert_eq!((first.exit, second.exit), (0, 0), "{}", second.stderr);
        world.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_denial_is_125_and_runs_nothing() {
        let world = Surroundings::new().await;
        let line = script(&world, "echo ran");

        let ran = world
            .job_runs(
                &world.token(),
                &["exec", "aws-dev", "aws-other", "--", "sh", "-c", &line],
            )
            .await;

        assert_eq!(ran.exit, 125);
        assert!(
            ran.stderr.contains("the gateway gave no credential for `aws-other`"),
            "{}",
            ran.stderr
        );
        assert!(!world.directory.path().join("seen").exists());
        world.stop().await;
    }
}

fn surroundings(path: Option<&str>) -> Environment {
    use std::sync::Arc;

    let clock = crate::clock::FakeClock::at("2026-01-16T14:40:00Z");
    let path = path.map(|path| ("PATH".to_owned(), path.to_owned()));
    Environment::new(clock, Arc::new(crate::secret::SystemRandom), path.into_iter())
}

#[test]
fn a_command_that_cannot_be_run_is_found_out_before_credentials_are_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_str().unwrap();
    std::fs::write(directory.path().join("plain"), "#!/bin/sh\n").unwrap();
    let looked = |program: &str, path: Option<&str>| {
        let found = found(Some(&program.into()), &surroundings(path));
        found.map_or_else(|failure| failure.exit().number(), |()| 0)
    };
    let both = format!("{place}:/bin:/usr/bin");

    assert_eq!(looked("sh", Some(&both)), 0);
    assert_eq!(looked("/bin/sh", Some(place)), 0);
    assert_eq!(looked("sh", Some(place)), 127);
    assert_eq!(looked("/no/such/command", Some(&both)), 127);
    assert_eq!(looked("plain", Some(&both)), 126);
    assert_eq!(looked(place, Some(&both)), 126);
    assert_eq!(
        looked("no-such-command", None),
        0,
        "the system looks where we cannot see"
    );
}

#[test]
fn every_refusal_is_told() {
    let refused = |code: &str| Refusal {
        code: code.to_owned(),
        sentence: "no".to_owned(),
        cloud_code: None,
        exchange_id: None,
        status: 403,
    };
    let mut answer = answered(&[("aws", "aws_sts")]);
    for (name, code) in [("gcp", "authorize.no_grant"), ("azure", "authorize.locked")] {
        answer.results.push((name.to_owned(), Err(refused(code))));
    }
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());

    let mut output = Output::new(&mut stdout, &mut stderr);
    granted(&answer, &mut output).unwrap_err().report(&mut output);

    insta::assert_snapshot!(String::from_utf8(stderr).unwrap(), @r"
    error: the gateway gave no credential for `gcp`

    Caused by:
      authorize.no_grant: no

    hint: what it means: cambio check --explain authorize.no_grant

    error: the gateway gave no credential for `azure`

    Caused by:
      authorize.locked: no

    hint: what it means: cambio check --explain authorize.locked
    ");
}
