//! Acting for somebody from outside (RFC 8693): an actor token beside the subject's, what is permitted to the pair, and what
//! is said of it in SVIDs and in the trail.

use cambio::clock;
use serde_json::{Value, json};

use crate::world::{Answer, EXCHANGE, GRANT_TYPE, JWT, WHOAMI, WORKLOAD, World, part, unique};

const AGENT: &str = "spiffe://dev.cambio.test/agent/triage";

/// Two agents, jobs of other repositories, and the job for which they may act; each keeps its name as the holder of an SVID.
const TABLES: &str = r#"
[[attestor]]
name = "svids"
kind = "spiffe"
trust_domains = [{ name = "dev.cambio.test" }]

[[entry]]
name = "triage-job"
attestor = "github"
match = { "ci.repo_id" = "75", "ci.ref" = "refs/heads/main" }
spiffe_id = "/agent/triage"

[[entry]]
name = "build-job"
attestor = "github"
match = { "ci.repo_id" = "76", "ci.ref" = "refs/heads/main" }
spiffe_id = "/agent/build"

[[entry]]
name = "shop"
attestor = "svids"
match = { "spiffe.path" = "/ci/acme/shop/deploy", "spiffe.svid_type" = "jwt_svid" }
spiffe_id = "/ci/acme/shop/deploy"

[[entry]]
name = "triage"
attestor = "svids"
match = { "spiffe.path" = "/agent/triage", "spiffe.svid_type" = "jwt_svid" }
spiffe_id = "/agent/triage"

[[entry]]
name = "build"
attestor = "svids"
match = { "spiffe.path" = "/agent/build", "spiffe.svid_type" = "jwt_svid" }
spiffe_id = "/agent/build"

[[relying_party]]
name = "cambio"
kind = "svid"
audience = "ISSUER"

[[relying_party]]
name = "inner"
kind = "svid"
audience = "https://inner.test"

[[relying_party]]
name = "only-build"
kind = "svid"
audience = "https://only-build.test"

[[grant]]
name = "itself"
entries = ["triage-job", "build-job"]
relying_parties = ["cambio"]
ttl = "20m"
release = ["svid"]

[[grant]]
name = "acted"
entries = ["shop-deploy", "shop"]
relying_parties = ["cambio", "gcp-dev", "inner"]
actors = ["/agent/triage", "/agent/build"]
ttl = "20m"
release = ["svid"]

[[grant]]
name = "acted-by-certificate"
entries = ["shop-deploy"]
relying_parties = ["aws-x509-dev"]
actors = ["/agent/triage"]
ttl = "20m"

[[grant]]
name = "only-build"
entries = ["shop"]
relying_parties = ["only-build"]
actors = ["/agent/build"]
ttl = "20m"
release = ["svid"]

"#;

async fn world() -> World {
    World::start_with(|configuration| {
        let issuer = configuration
            .lines()
            .find_map(|line| line.strip_prefix("issuer = \""))
            .unwrap();
        let tables = TABLES.replace("ISSUER", issuer.trim_end_matches('"'));
        configuration.replacen("[[grant]]", &format!("{tables}[[grant]]"), 1)
    })
    .await
}

impl World {
    /// Gets the own SVID of the agent [`AGENT`], which is its actor token.
    async fn agent(&self) -> String {
        self.agent_of("75").await
    }

    /// Gets the own SVID of the agent that is the job of a repository.
    async fn agent_of(&self, repository: &str) -> String {
        let job = self.sign(self.job().with("repository_id", repository));
        let answer = self.exchange(&job, &["cambio"]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.text_at("/credentials/cambio/svid")
    }

    async fn acted(&self, subject: &str, actor: &str, party: &str, headers: &[(&str, &str)]) -> Answer {
        let body = json!({
            "evidence": { "token": subject }, "actor": { "token": actor }, "relying_parties": [party],
        });
        self.post(EXCHANGE, "application/json", body.to_string(), headers).await
    }

    fn job_that_lets_act(&self, may_act: &Value) -> String {
        self.sign(self.job().with("may_act", may_act.clone()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_20_an_agent_acts_for_a_job_and_both_are_named_everywhere() {
    let world = world().await;
    let agent = world.agent().await;

    let acted = world.acted(&world.good(), &agent, "inner", &[]).await;

    assert_eq!(acted.status, 200, "{}", acted.text);
    assert_eq!(acted.text_at("/spiffe_id"), WORKLOAD);
    let claims = part(&acted.text_at("/credentials/inner/svid"), 1);
    assert_eq!(
        (&claims["sub"], &claims["act"]),
        (&json!(WORKLOAD), &json!({ "sub": AGENT }))
    );
    let entries = world.trail_of(&acted.text_at("/exchange_id")).await;
    let [entry] = &entries[..] else {
        panic!("{entries:?}");
    };
    assert_eq!(
        (&entry["kind"], &entry["spiffe_id"]),
        (&json!("mint"), &json!(WORKLOAD))
    );
    assert_eq!(entry["actor"]["spiffe_ids"], json!([AGENT]));
    assert_eq!(
        (&entry["actor"]["entry"], &entry["actor"]["evidence"]["attestor"]),
        (&json!("triage"), &json!("svids"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_of_a_clouds_credential_names_the_actor() {
    let world = world().await;
    let agent = world.agent().await;

    let acted = world.acted(&world.good(), &agent, "gcp-dev", &[]).await;

    assert_eq!(acted.status, 200, "{}", acted.text);
    let entries = world.trail_of(&acted.text_at("/exchange_id")).await;
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry["kind"].as_str().unwrap(), entry["actor"]["spiffe_ids"].clone()))
        .collect();
    assert_eq!(told, [("intent", json!([AGENT])), ("outcome", json!([AGENT]))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_17_tx_18_a_second_agent_stands_in_front_of_the_first_and_is_the_one_that_counts() {
    let world = world().await;
    let (triage, build) = (world.agent().await, world.agent_of("76").await);
    let first = world.acted(&world.good(), &triage, "cambio", &[]).await;
    let by_triage = first.text_at("/credentials/cambio/svid");

    let second = world.acted(&by_triage, &build, "cambio", &[]).await;

    assert_eq!(second.status, 200, "{}", second.text);
    let both = second.text_at("/credentials/cambio/svid");
    let claims = part(&both, 1);
    assert_eq!(claims["sub"], json!(WORKLOAD));
    let build_id = "spiffe://dev.cambio.test/agent/build";
    assert_eq!(claims["act"], json!({ "sub": build_id, "act": { "sub": AGENT } }));
    let entries = world.trail_of(&second.text_at("/exchange_id")).await;
    assert_eq!(entries[0]["actor"]["spiffe_ids"], json!([build_id, AGENT]));
    let current = world.exchange(&both, &["only-build"]).await;
    assert_eq!(current.status, 200, "{}", current.text);
    let other_way = world.acted(&world.good(), &build, "cambio", &[]).await;
    let by_build = other_way.text_at("/credentials/cambio/svid");
    let behind = world.acted(&by_build, &triage, "only-build", &[]).await;
    assert_eq!(behind.code(), "authorize.actor_not_granted", "{}", behind.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_without_a_name_is_told_as_such_and_leaves_its_evidence_beside_the_subjects() {
    let world = world().await;
    let stranger = || world.sign(world.job().with("repository_id", "99"));
    let stranger_token = stranger();

    let refused = world.acted(&world.good(), &stranger_token, "inner", &[]).await;

    assert_eq!((refused.status, refused.code().as_str()), (403, "identify.no_entry"));
    assert!(refused.text.contains("the actor token: no entry"), "{}", refused.text);
    let entries = world.trail_of(&refused.text_at("/exchange_id")).await;
    let [entry] = &entries[..] else {
        panic!("{entries:?}");
    };
    assert_eq!(
        (&entry["kind"], &entry["spiffe_id"]),
        (&json!("denial"), &json!(WORKLOAD))
    );
    assert_eq!(entry["evidence"]["attributes"]["ci.repo_id"], json!("74"));
    assert_eq!(entry["actor"]["evidence"]["attributes"]["ci.repo_id"], json!("99"));
    // It was not used: as its own subject it is refused for its name, not as replayed.
    let again = world.exchange(&stranger_token, &["inner"]).await;
    assert_eq!(again.code(), "identify.no_entry", "{}", again.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_actor_token_leaves_whose_it_was_beside_what_the_subject_proved() {
    let world = world().await;
    let token = world.sign(world.job().with("event_name", "pull_request"));

    let refused = world.acted(&world.good(), &token, "inner", &[]).await;

    assert_eq!(refused.code(), "attest.event_forbidden", "{}", refused.text);
    let entries = world.trail_of(&refused.text_at("/exchange_id")).await;
    let (subject, actor) = (&entries[0]["evidence"], &entries[0]["actor"]["evidence"]);
    assert_eq!(subject["attributes"]["ci.repo_id"], json!("74"), "{entries:?}");
    assert_eq!((&actor["attestor"], actor.get("attributes")), (&json!("github"), None));
    let sha256 = cambio::secret::Digest::of(token.as_bytes()).to_string();
    assert_eq!(actor["sha256"], json!(sha256));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_not_held_for_another_actor_token_of_the_same_agent() {
    let world = world().await;
    let (one, two) = (world.agent().await, world.agent().await);
    let token = world.good();
    let headers = [("idempotency-key", &*format!("{}{}", unique(), unique()))];

    let first = world.acted(&token, &one, "gcp-dev", &headers).await;
    let same = world.acted(&token, &one, "gcp-dev", &headers).await;
    let other = world.acted(&token, &two, "gcp-dev", &headers).await;

    let credential = |answer: &Answer| answer.text_at("/credentials/gcp-dev/access_token");
    assert_eq!(credential(&first), credential(&same));
    assert_ne!(credential(&first), credential(&other), "it may outlive the other token");
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_3_the_token_endpoint_takes_an_actor_token_with_its_type() {
    let world = world().await;
    let agent = world.agent().await;
    let form = |subject: String, more: Vec<(&'static str, String)>| {
        let mut form = vec![
            ("grant_type", GRANT_TYPE.to_owned()),
            ("subject_token", subject),
            ("subject_token_type", JWT.to_owned()),
            ("audience", "inner".to_owned()),
            ("actor_token", agent.clone()),
        ];
        form.extend(more);
        form
    };
    let send = async |form: Vec<(&'static str, String)>| {
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        world.form(&form, &[]).await
    };

    let acted = send(form(world.good(), vec![("actor_token_type", JWT.to_owned())])).await;
    let untyped = send(form(world.good(), Vec::new())).await;
    let other = send(form(world.good(), vec![("actor_token_type", "urn:x".to_owned())])).await;

    assert_eq!(acted.status, 200, "{}", acted.text);
    assert_eq!(part(&acted.text_at("/access_token"), 1)["act"], json!({ "sub": AGENT }));
    for refused in [untyped, other] {
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "request.parameter_invalid")
        );
        assert!(refused.text.contains("actor_token_type"), "{}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_18_a_grant_is_for_the_actors_that_it_names_and_for_nobody_else() {
    let world = world().await;
    let agent = world.agent().await;

    let not_for_it = world.acted(&world.good(), &agent, "aws-dev", &[]).await;
    let not_alone = world.exchange(&world.good(), &["inner"]).await;

    for refused in [not_for_it, not_alone] {
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "authorize.actor_not_granted"),
            "{}",
            refused.text
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_of_the_job_itself_is_not_held_for_whoever_acts_for_it() {
    let world = world().await;
    let agent = world.agent().await;
    let token = world.good();
    let headers = [("idempotency-key", &*format!("{}{}", unique(), unique()))];

    let own = world.exchange_with(&token, &["gcp-dev"], &headers).await;
    let acted = world.acted(&token, &agent, "gcp-dev", &headers).await;

    assert_eq!((own.status, acted.status), (200, 200), "{} {}", own.text, acted.text);
    let credential = |answer: &Answer| answer.text_at("/credentials/gcp-dev/access_token");
    assert_ne!(credential(&own), credential(&acted));
}

#[tokio::test(flavor = "multi_thread")]
async fn tm_31_a_chain_grows_to_three_actors_and_never_outlives_its_beginning() {
    let world = world().await;
    let agent = world.agent().await;
    let mut subject = world.good();
    let mut ends = u64::MAX;

    for depth in 1..=3 {
        let acted = world.acted(&subject, &agent, "cambio", &[]).await;
        assert_eq!(acted.status, 200, "{depth}: {}", acted.text);
        subject = acted.text_at("/credentials/cambio/svid");
        let claims = part(&subject, 1);
        let mut chain = 0;
        let mut act = claims.get("act");
        while let Some(inner) = act {
            assert_eq!(inner["sub"], json!(AGENT));
            (chain, act) = (chain + 1, inner.get("act"));
        }
        let expires = claims["exp"].as_u64().unwrap();
        assert_eq!(chain, depth);
        assert!(expires <= ends, "{depth}: {expires} after {ends}");
        ends = expires;
        world.clock.advance(std::time::Duration::from_secs(5));
    }
    let refused = world.acted(&subject, &agent, "cambio", &[]).await;

    assert_eq!(refused.code(), "identify.actor_chain_too_long", "{}", refused.text);
    assert!(ends <= clock::unix_seconds(world.now()) + 20 * 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_svid_that_says_who_acts_keeps_saying_it() {
    let world = world().await;
    let agent = world.agent().await;
    let acted = world.acted(&world.good(), &agent, "cambio", &[]).await;
    let delegated = acted.text_at("/credentials/cambio/svid");

    let again = world.exchange(&delegated, &["inner"]).await;
    let body = json!({ "evidence": { "token": delegated } }).to_string();
    let told = world.post(WHOAMI, "application/json", body, &[]).await;

    assert_eq!(again.status, 200, "{}", again.text);
    let claims = part(&again.text_at("/credentials/inner/svid"), 1);
    assert_eq!(
        (&claims["sub"], &claims["act"]),
        (&json!(WORKLOAD), &json!({ "sub": AGENT }))
    );
    assert_eq!(told.json()["actors"], json!([AGENT]), "{}", told.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_actor_token_may_not_be() {
    let world = world().await;
    let agent = world.agent().await;
    let acted = world.acted(&world.good(), &agent, "cambio", &[]).await;
    let delegated = acted.text_at("/credentials/cambio/svid");

    let signature = |token: &str| token.rsplit_once('.').unwrap().1.to_owned();
    let input = agent.rsplit_once('.').unwrap().0;
    let forged = format!("{input}.{}", signature(&world.agent().await));

    for (actor, status, code) in [
        (world.good(), 403, "identify.actor_unfit"),
        (delegated, 403, "identify.actor_unfit"),
        ("no token".to_owned(), 400, "attest.evidence_malformed"),
        (forged, 400, "attest.evidence_unverifiable"),
    ] {
        let refused = world.acted(&world.good(), &actor, "inner", &[]).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (status, code),
            "{}",
            refused.text
        );
        assert!(refused.text.contains("actor token"), "{}", refused.text);
    }
    for actor in [
        json!("x"),
        json!({}),
        json!({ "token": 1 }),
        json!({ "token": "x", "kind": "spiffe" }),
    ] {
        let body = json!({ "evidence": { "token": "t" }, "actor": actor, "relying_parties": ["inner"] });
        let refused = world.post(EXCHANGE, "application/json", body.to_string(), &[]).await;
        assert_eq!(refused.code(), "request.body_invalid", "{actor}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_19_a_subject_token_says_who_may_act() {
    let world = world().await;
    let agent = world.agent().await;
    let named = world.job_that_lets_act(&json!({ "sub": AGENT }));
    let by_issuer = json!({ "iss": "spiffe://dev.cambio.test", "sub": AGENT });
    let by_issuer = world.job_that_lets_act(&by_issuer);
    let another = world.job_that_lets_act(&json!({ "sub": "spiffe://dev.cambio.test/agent/other" }));
    let elsewhere = world.job_that_lets_act(&json!({ "iss": "https://elsewhere.test", "sub": WORKLOAD }));

    for token in [named, by_issuer] {
        let acted = world.acted(&token, &agent, "inner", &[]).await;
        assert_eq!(acted.status, 200, "{}", acted.text);
    }
    for token in [another, elsewhere] {
        let refused = world.acted(&token, &agent, "inner", &[]).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (403, "identify.actor_not_allowed"),
            "{}",
            refused.text
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ci_token_that_says_somebody_acts_is_not_the_jobs_own() {
    let world = world().await;
    let token = world.sign(world.job().with("act", json!({ "sub": "agent" })));

    let refused = world.exchange(&token, &["aws-dev"]).await;

    assert_eq!(refused.code(), "attest.claim_invalid", "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_agent_acts_for_nobody() {
    let world = world().await;
    let agent = world.agent().await;

    for (target, value) in [("spiffe_id", AGENT), ("entry", "triage"), ("attestor", "svids")] {
        let lock = world.lock(target, value).await;
        let refused = world.acted(&world.good(), &agent, "inner", &[]).await;
        assert_eq!(refused.code(), "authorize.locked", "{target}: {}", refused.text);
        world.unlock(&lock).await;
    }
    // What it was handed before says by itself who acts.
    let acted = world.acted(&world.good(), &agent, "cambio", &[]).await;
    let delegated = acted.text_at("/credentials/cambio/svid");
    let lock = world.lock("spiffe_id", AGENT).await;
    let refused = world.exchange(&delegated, &["inner"]).await;
    assert_eq!(refused.code(), "authorize.locked", "{}", refused.text);
    world.unlock(&lock).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_not_given_to_whoever_is_acted_for() {
    let world = world().await;
    let agent = world.agent().await;

    let refused = world.acted(&world.good(), &agent, "aws-x509-dev", &[]).await;

    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "mint.actor_in_certificate"),
        "{}",
        refused.text
    );
}
