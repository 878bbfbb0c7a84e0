use serde_json::{Value, json};

use crate::{
    cli::fixture::{FILTERS, Surroundings, transcript},
    sim::world,
};

macro_rules! snapshot {
    ($ran:expr) => {
        insta::with_settings!({ filters => FILTERS.to_vec() }, { insta::assert_snapshot!(transcript(&$ran)) })
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn says_who_it_is_and_what_it_may_have() {
    let world = Surroundings::new().await;

    let told = world.job_runs(&world.token(), &["whoami"]).await;

    snapshot!(told);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_no_entry_names_sees_attributes_and_the_closest_entry() {
    let world = Surroundings::new().await;
    let mut claims = world::example_job();
    claims.insert("repository_id".to_owned(), json!("75"));

    let told = world.job_runs(&world.token_of(claims), &["whoami"]).await;

    assert_eq!(told.exit, 0, "{}", told.stderr);
    let entry = told.stdout.lines().find(|line| line.starts_with("entry")).unwrap();
    assert_eq!(
        entry,
        "entry                    no, identify.no_entry: no entry of attestor `github` matches; closest: entry \
         `shop-deploy`: `ci.repo_id` is `75`, expected `74`"
    );
    assert!(told.stdout.contains("  ci.repo_id             75\n"), "{}", told.stdout);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_claims_are_shown_where_the_gateway_refuses_them_and_the_signature_never_is() {
    let world = Surroundings::new().await;
    let mut claims = world::example_job();
    claims.insert("aud".to_owned(), json!("https://other.example"));
    let token = world.token_of(claims);

    let told = world.job_runs(&token, &["whoami", "--claims"]).await;

    assert_eq!(told.exit, 4, "{}", told.stderr);
    assert!(
        told.stdout
            .contains("  aud                    \"https://other.example\"\n"),
        "{}",
        told.stdout
    );
    assert!(told.stderr.contains("attest.audience_mismatch"), "{}", told.stderr);
    let signature = token.rsplit('.').next().unwrap();
    assert!(!told.stdout.contains(signature) && !told.stderr.contains(signature));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn for_programs_it_is_one_json_object() {
    let world = Surroundings::new().await;

    let told = world
        .job_runs(&world.token(), &["whoami", "--claims", "--output", "json"])
        .await;

    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told["claims"]["repository_id"], "74");
    assert_eq!(told["attributes"]["ci.repo_id"], "74");
    assert_eq!(told["entry"], "shop-deploy");
    assert_eq!(told["relying_parties"]["aws-dev"]["permitted"], true);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_can_still_use_its_evidence() {
    let world = Surroundings::new().await;
    let token = world.token();

    let told = world.job_runs(&token, &["whoami"]).await;
    let given = world.job_runs(&token, &["creds", "gcp-dev"]).await;

    assert_eq!((told.exit, given.exit), (0, 0), "{}{}", told.stderr, given.stderr);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_is_no_jwt_has_no_claims() {
    let world = Surroundings::new().await;

    let told = world.job_runs("canary", &["whoami", "--claims"]).await;

    assert_eq!(told.exit, 4);
    assert_eq!(told.stdout, "claims                   the evidence is no JWT\n");
    assert!(!told.stderr.contains("canary"), "{}", told.stderr);
    world.stop().await;
}
