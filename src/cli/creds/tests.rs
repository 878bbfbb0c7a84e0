use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::{
    cli::fixture::{FILTERS, Ran, Surroundings, ran, transcript},
    clock::FakeClock,
    sim::world,
};

macro_rules! snapshot {
    ($ran:expr) => {
        insta::with_settings!({ filters => FILTERS.to_vec() }, { insta::assert_snapshot!(transcript(&$ran)) })
    };
}

fn keys(world: &Surroundings) -> Vec<PathBuf> {
    let directory = world.directory.path().join("state").join("cambio");
    let entries = std::fs::read_dir(directory).map(|entries| entries.map(|entry| entry.unwrap().path()).collect());
    entries.unwrap_or_default()
}

fn json_of(ran: &Ran) -> Value {
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn expires_of(ran: &Ran) -> String {
    json_of(ran)["Expiration"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn prints_credentials_on_stdout_and_nothing_secret_elsewhere() {
    let world = Surroundings::new().await;

    let given = world.job_runs(&world.token(), &["creds", "aws-dev"]).await;

    let secret = given
        .stdout
        .lines()
        .find(|line| line.contains("SECRET"))
        .unwrap()
        .split('\'')
        .nth(1)
        .unwrap();
    assert!(secret.len() >= 16 && !given.stderr.contains(secret));
    snapshot!(given);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_gets_what_aws_documents() {
    let world = Surroundings::new().await;

    let given = json_of(
        &world
            .job_runs(&world.token(), &["creds", "aws-dev", "--shape", "credential_process"])
            .await,
    );

    let mut members: Vec<&String> = given.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(
        members,
        [
            "AccessKeyId",
            "Expiration",
            "SecretAccessKey",
            "SessionToken",
            "Version"
        ]
    );
    assert_eq!(given["Version"], 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_svid_itself_is_given_where_the_grant_releases_it() {
    let world = Surroundings::new().await;

    let given = world
        .job_runs(&world.token(), &["creds", "aws-dev", "--svid", "--shape", "json"])
        .await;

    let given = json_of(&given);
    assert_eq!(given["svid"].as_str().unwrap().split('.').count(), 3);
    assert!(given["expires_in"].as_u64().unwrap() > 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_of_a_job_proves_the_same_key() {
    let world = Surroundings::new().await;
    let token = world.token();

    let first = world.job_runs(&token, &["creds", "aws-dev"]).await;
    let second = world.job_runs(&token, &["creds", "aws-dev"]).await;

    assert_eq!((first.exit, second.exit), (0, 0), "{}", second.stderr);
    assert_eq!(keys(&world).len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_job_goes_on_after_its_token_has_expired() {
    let world = Surroundings::new().await;
    let token = world.token();
    let words = ["creds", "aws-dev", "--shape", "json"];
    let first = expires_of(&world.job_runs(&token, &words).await);

    world.wait(Duration::from_mins(20)).await; // The token lives 5 minutes, the credential 20.
    let resumed = world.job_runs(&token, &words).await;

    assert!(expires_of(&resumed) > first, "{}", resumed.stderr);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_refused_without_the_key_that_was_there_first() {
    let world = Surroundings::new().await;
    let token = world.token();
    assert_eq!(world.job_runs(&token, &["creds", "aws-dev"]).await.exit, 0);
    std::fs::remove_file(&keys(&world)[0]).unwrap();

    world.wait(Duration::from_mins(20)).await;
    let refused = world.job_runs(&token, &["creds", "aws-dev"]).await;

    assert_eq!((refused.exit, refused.stdout.as_str()), (4, ""), "{}", refused.stderr);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_another_key_was_bound_to_is_refused() {
    let world = Surroundings::new().await;
    let token = world.token();
    assert_eq!(world.job_runs(&token, &["creds", "aws-dev"]).await.exit, 0);
    std::fs::remove_file(&keys(&world)[0]).unwrap();

    let refused = world.job_runs(&token, &["creds", "aws-dev"]).await;

    snapshot!(refused);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_relying_party_is_a_denial_and_says_how_to_look_it_up() {
    let world = Surroundings::new().await;

    let refused = world.job_runs(&world.token(), &["creds", "aws-other"]).await;

    snapshot!(refused);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_no_entry_names_is_a_denial() {
    let world = Surroundings::new().await;
    let mut job = world::example_job();
    job.insert("ref".to_owned(), json!("refs/heads/other"));

    let refused = world.job_runs(&world.token_of(job), &["creds", "aws-dev"]).await;

    assert_eq!((refused.exit, refused.stdout.as_str()), (3, ""), "{}", refused.stderr);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_as_evidence_fails_the_attestation() {
    let world = Surroundings::new().await;

    let refused = world.job_runs("a.b.c", &["creds", "aws-dev"]).await;

    snapshot!(refused);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_token_that_is_not_there_never_lets_the_workload_act_by_itself() {
    let world = Surroundings::new().await;
    let mut job = world.job(&world.token());
    job.push(("CAMBIO_ACTOR_TOKEN_FILE".to_owned(), String::new()));

    let empty = ran(world.clock.clone(), job, &["creds", "aws-dev"]).await;
    let absent = world
        .job_runs(
            &world.token(),
            &["creds", "aws-dev", "--actor-token-file", "/no/such.jwt"],
        )
        .await;

    assert_eq!((empty.exit, empty.stdout.as_str()), (2, ""), "{}", empty.stderr);
    assert!(
        empty.stderr.contains("CAMBIO_ACTOR_TOKEN_FILE is empty"),
        "{}",
        empty.stderr
    );
    assert_eq!((absent.exit, absent.stdout.as_str()), (4, ""), "{}", absent.stderr);
    assert!(absent.stderr.contains("there is no actor token"), "{}", absent.stderr);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_refuses_ends_with_5() {
    let world = Surroundings::with(|text| text.replace("role/", "role/other-")).await;

    let refused = world.job_runs(&world.token(), &["creds", "aws-dev"]).await;

    assert_eq!((refused.exit, refused.stdout.as_str()), (5, ""), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("the relying party's own code is"),
        "{}",
        refused.stderr
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_directory_the_key_is_not_kept_and_that_is_said() {
    let world = Surroundings::new().await;
    let token = world.token();
    let without = || {
        let mut job = world.job(&token);
        job.retain(|(name, _)| name != "CAMBIO_STATE_DIR");
        job
    };

    let first = ran(world.clock.clone(), without(), &["creds", "aws-dev"]).await;
    let second = ran(world.clock.clone(), without(), &["creds", "aws-dev"]).await;

    assert!(
        first
            .stderr
            .starts_with("note: CAMBIO_STATE_DIR, RUNNER_TEMP and XDG_RUNTIME_DIR")
    );
    assert_eq!((first.exit, second.exit), (0, 4), "{}", second.stderr);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_directory_that_others_can_enter_stops_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = Surroundings::new().await;
    let directory = world.directory.path().join("state").join("cambio");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();

    let refused = world.job_runs(&world.token(), &["creds", "aws-dev"]).await;

    assert_eq!((refused.exit, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("has mode 0755"), "{}", refused.stderr);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_of_another_authority_is_not_given_the_evidence() {
    let world = Surroundings::new().await;
    let mut job = world.job(&world.token());
    job.retain(|(name, _)| name != "CAMBIO_CA_FILE");

    let refused = ran(world.clock.clone(), job, &["creds", "aws-dev"]).await;

    assert_eq!((refused.exit, refused.stdout.as_str()), (6, ""), "{}", refused.stderr);
    assert!(refused.stderr.contains("--ca-file"), "{}", refused.stderr);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_not_there_ends_with_6_and_none_at_all_with_2() {
    let world = Surroundings::new().await;
    let job = world.job(&world.token());
    let nobody = ["creds", "aws-dev", "--gateway", "https://127.0.0.1:1"];
    let mut without = job.clone();
    without.retain(|(name, _)| name != "CAMBIO_GATEWAY");

    let unreachable = ran(world.clock.clone(), job, &nobody).await;
    let unnamed = ran(world.clock.clone(), without, &["creds", "aws-dev"]).await;

    assert_eq!((unreachable.exit, unnamed.exit), (6, 2), "{}", unreachable.stderr);
    snapshot!(unnamed);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_who_answers_is_no_gateway() {
    let world = Surroundings::new().await;
    let job = world.job(&world.token());
    let elsewhere = ["creds", "aws-dev", "--gateway", &world.development.world.ci_url];

    let refused = ran(world.clock.clone(), job, &elsewhere).await;

    snapshot!(refused);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_empty_or_stands_twice_is_refused_before_anything_is_sent() {
    let nowhere = async |words: &[&str]| ran(FakeClock::at("2026-01-16T14:40:00Z"), Vec::new(), words).await;

    let empty = nowhere(&["creds", ""]).await;
    let svid = nowhere(&["creds", "--svid", ""]).await;
    let twice = nowhere(&["exec", "aws-dev", "aws-dev", "--", "/bin/sh"]).await;

    assert_eq!((empty.exit, svid.exit, twice.exit), (2, 2, 125));
    assert!(empty.stderr.contains("found an empty name"), "{}", empty.stderr);
    assert!(twice.stderr.contains("found `aws-dev` twice"), "{}", twice.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_is_not_called_unreachable() {
    let (world, other) = (Surroundings::new().await, Surroundings::new().await);
    let mut variables = world.job(&world.token());
    let foreign = other.development.world.files.ca.to_str().unwrap().to_owned();
    let mut with_ca = async |file: &str| {
        let place = variables.iter_mut().find(|(name, _)| name == "CAMBIO_CA_FILE").unwrap();
        place.1 = file.to_owned();
        ran(world.clock.clone(), variables.clone(), &["creds", "aws-dev"]).await
    };

    let untrusted = with_ca(&foreign).await;
    let missing = with_ca("/nope").await;

    assert_eq!(
        (untrusted.exit, missing.exit),
        (6, 2),
        "{}{}",
        untrusted.stderr,
        missing.stderr
    );
    assert!(untrusted.stderr.contains("is not trusted"), "{}", untrusted.stderr);
    assert!(
        untrusted.stderr.contains("hint: set CAMBIO_CA_FILE"),
        "{}",
        untrusted.stderr
    );
    assert!(
        missing.stderr.contains("CAMBIO_CA_FILE") && missing.stderr.contains("/nope"),
        "{}",
        missing.stderr
    );
    world.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_of_the_gateway_says_which_url_to_use() {
    let world = Surroundings::new().await;
    let mut variables = world.job(&world.token());
    let gateway = variables.iter_mut().find(|(name, _)| name == "CAMBIO_GATEWAY").unwrap();
    gateway.1 = gateway.1.replace("127.0.0.1", "localhost");

    let refused = ran(world.clock.clone(), variables, &["creds", "aws-dev"]).await;

    assert_eq!(refused.exit, 4, "{}", refused.stderr);
    let hint = "hint: set CAMBIO_GATEWAY to exactly the gateway's `exchange_url`";
    assert!(refused.stderr.contains(hint), "{}", refused.stderr);
    world.stop().await;
}
