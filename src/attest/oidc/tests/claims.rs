//! What a token must say, and what becomes of it.

use serde_json::{Value, json};

use super::*;
use crate::{
    attest::{
        ClientCertificate, Freshness,
        oidc::fixture::{generic_job, gitlab_job, hcp_terraform_run},
    },
    store::{Binding, UseRule},
};

#[tokio::test]
async fn attests_a_github_job() {
    let stage = Stage::github("").await;

    let attestation = stage.attested(fresh()).await;

    let attributes: Vec<_> = attestation.attributes().iter().collect();
    insta::assert_debug_snapshot!(attributes);
    assert_eq!(attestation.issuer(), stage.site.url);
    assert_eq!(attestation.subject(), "repo:octo-org/octo-repo:ref:refs/heads/main");
    assert_eq!(attestation.freshness(), Freshness::Fresh);
    assert_eq!(attestation.stands_until(), now() + seconds(3_600));
    let ledger = attestation.ledger().unwrap();
    assert_eq!((ledger.rule, ledger.binding), (UseRule::Keyed, Binding::Bearer));
    assert_eq!(ledger.remember_until, now() + seconds(300 + 35));
}

#[tokio::test]
async fn attests_a_gitlab_job() {
    let stage = Stage::of("gitlab", "owners = [{ name = \"my-group\", id = \"72\" }]").await;

    let attestation = stage.attested(gitlab_job().issued_at(now())).await;

    let attributes: Vec<_> = attestation.attributes().iter().collect();
    insta::assert_debug_snapshot!(attributes);
}

#[tokio::test]
async fn attests_an_hcp_terraform_run() {
    let owner = "owners = [{ name = \"my-org\", id = \"org-GRNbCjYNpBB6NEH9\" }]";
    let stage = Stage::of("hcp_terraform", owner).await;

    let attestation = stage.attested(hcp_terraform_run().issued_at(now())).await;

    let attributes: Vec<_> = attestation.attributes().iter().collect();
    insta::assert_debug_snapshot!(attributes);
}

#[tokio::test]
async fn attests_a_token_of_any_issuer_by_its_own_claims() {
    let extra = "claims = { project_id = \"ci.repo_id\", sub = \"oidc.subject\", tries = \"ci.run_attempt\", fork = \"ci.from_fork\" }\n\
                 immutable = [\"ci.repo_id\"]";
    let stage = Stage::of("generic", extra).await;
    let job = generic_job().issued_at(now()).with("tries", 3).with("fork", false);

    let attestation = stage.attested(job).await;

    let attributes: Vec<_> = attestation.attributes().iter().collect();
    assert_eq!(
        attributes,
        [
            ("ci.from_fork", "false"),
            ("ci.repo_id", "42"),
            ("ci.run_attempt", "3"),
            ("oidc.subject", "project/42/pipeline/7")
        ]
    );
    assert_eq!(stage.attestor.immutable(), ["ci.repo_id"]);
}

#[tokio::test]
async fn a_claim_that_is_absent_null_or_empty_gives_no_attribute() {
    let stage = Stage::github("").await;
    for job in [
        fresh().without("environment"),
        fresh().with("environment", Value::Null),
        fresh().with("environment", ""),
    ] {
        assert_eq!(stage.attested(job).await.attributes().get("ci.environment"), None);
    }
}

#[tokio::test]
async fn t_49_refuses_a_claim_of_another_type_instead_of_taking_it_for_absent() {
    let stage = Stage::github("").await;
    for (claim, value) in [
        ("environment", json!(["production"])),
        ("environment", json!(true)),
        ("repository_id", json!(74)),
        ("repository_id", json!("74a")),
        ("repository_id", json!("-74")),
        ("repository_id", json!("")),
        ("repository_id", Value::Null),
        ("repository_id", json!("123456789012345678901")),
        ("ref_protected", json!("yes")),
        ("repository_owner_id", json!(65)),
        ("event_name", json!(["push"])),
        ("sub", json!(7)),
        ("jti", json!(7)),
    ] {
        let refusal = stage.refused(fresh().with(claim, value.clone())).await;

        assert!(
            matches!(&refusal, AttestRefusal::Claim { claim: found, .. } if found == claim),
            "{claim} = {value}: {refusal:?}"
        );
    }
}

#[tokio::test]
async fn t_08_t_49_refuses_dates_that_are_no_dates() {
    let stage = Stage::github("").await;
    for claim in ["exp", "iat", "nbf"] {
        for value in [
            json!("1768574400"),
            json!(true),
            json!([1_768_574_400]),
            json!({}),
            json!(-1),
            json!(1e300),
            json!(u64::MAX),
        ] {
            let refusal = stage.refused(fresh().with(claim, value.clone())).await;

            assert!(
                matches!(&refusal, AttestRefusal::Claim { claim: found, .. } if found == claim),
                "{claim} = {value}: {refusal:?}"
            );
        }
    }
    for claim in ["exp", "iat"] {
        for job in [fresh().without(claim), fresh().with(claim, Value::Null)] {
            let refusal = stage.refused(job).await;
            assert!(
                matches!(&refusal, AttestRefusal::Claim { claim: found, .. } if found == claim),
                "{refusal:?}"
            );
        }
    }
}

#[tokio::test]
async fn t_37_takes_our_audience_only_as_the_sole_one() {
    let stage = Stage::github("").await;
    for accepted in [json!(AUDIENCE), json!([AUDIENCE])] {
        stage.attested(fresh().with("aud", accepted)).await;
    }
    for (value, code) in [
        (json!([AUDIENCE, "https://sts.example"]), "attest.audience_mismatch"),
        (json!([AUDIENCE, AUDIENCE]), "attest.audience_mismatch"),
        (json!("https://id.acme.example/"), "attest.audience_mismatch"),
        (json!("https://id.acme.exampl"), "attest.audience_mismatch"),
        (json!("https://ID.acme.example"), "attest.audience_mismatch"),
        (json!("sts.amazonaws.com"), "attest.audience_mismatch"),
        (json!([]), "attest.claim_invalid"),
        (json!(""), "attest.claim_invalid"),
        (json!([[AUDIENCE]]), "attest.claim_invalid"),
        (json!(7), "attest.claim_invalid"),
        (json!({ "aud": AUDIENCE }), "attest.claim_invalid"),
        (Value::Null, "attest.claim_invalid"),
    ] {
        let refusal = stage.refused(fresh().with("aud", value.clone())).await;

        assert_eq!(refusal.code(), code, "{value}: {refusal}");
    }
}

#[tokio::test]
async fn an_audience_refusal_shows_both_sides() {
    let stage = Stage::github("").await;

    let refusal = stage.refused(fresh().for_audience("sts.amazonaws.com")).await;

    assert_eq!(
        refusal.to_string(),
        "the evidence is for `sts.amazonaws.com`, this gateway takes only `https://id.acme.example`"
    );
}

#[tokio::test]
async fn tm_54_grants_30_s_of_leeway_and_not_one_more() {
    let stage = Stage::github("max_age = \"24h\"").await;
    let at = |offset: i64| {
        let offset = offset.unsigned_abs();
        (now() - seconds(offset), now() + seconds(offset))
    };
    let expiring = |exp: SystemTime| {
        fresh()
            .issued_at(now() - seconds(300))
            .with("exp", crate::clock::unix_seconds(exp))
    };
    let beginning = |name: &str, moment: SystemTime| {
        let job = fresh().with("exp", crate::clock::unix_seconds(now() + seconds(600)));
        job.with(name, crate::clock::unix_seconds(moment))
    };

    stage.attested(expiring(at(29).0)).await;
    assert_eq!(
        stage.refused(expiring(at(30).0)).await.code(),
        "attest.evidence_expired"
    );
    for name in ["nbf", "iat"] {
        stage.attested(beginning(name, at(30).1)).await;
        let refusal = stage.refused(beginning(name, at(31).1)).await;
        assert_eq!(refusal.code(), "attest.evidence_not_yet_valid", "{name}");
    }
}

#[tokio::test]
async fn tm_54_refuses_a_life_of_more_than_24_h() {
    let stage = Stage::github("").await;
    let living = |life: u64| fresh().with("exp", crate::clock::unix_seconds(now() + seconds(life)));

    stage.attested(living(86_400)).await;

    let refusal = stage.refused(living(86_401)).await;
    assert!(
        matches!(&refusal, AttestRefusal::Claim { claim, .. } if claim == "exp"),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn refuses_a_github_token_older_than_ten_minutes() {
    let stage = Stage::github("").await;
    let aged = |age: u64| {
        let job = fresh().issued_at(now() - seconds(age));
        job.with("exp", crate::clock::unix_seconds(now() + seconds(60)))
    };

    stage.attested(aged(600)).await;

    let refusal = stage.refused(aged(601)).await;
    assert!(matches!(refusal, AttestRefusal::TooOld { .. }), "{refusal:?}");
}

#[tokio::test]
async fn takes_a_gitlab_token_for_as_long_as_it_lives() {
    let stage = Stage::of("gitlab", "owners = [{ name = \"my-group\", id = \"72\" }]").await;

    stage.attested(gitlab_job().issued_at(now() - seconds(3_600))).await;
}

#[tokio::test]
async fn an_expired_token_with_a_dpop_proof_is_expired_and_not_refused() {
    let stage = Stage::github("").await;
    let job = fresh().issued_at(now() - seconds(1_200));

    let attestation = attested(stage.judge_with(job, dpop(), now()).await);

    assert_eq!(attestation.freshness(), Freshness::Expired);
    // It was at most 330 s old at its first use, and stands for an hour from there.
    assert_eq!(
        attestation.stands_until(),
        now() - seconds(1_200) + seconds(330 + 3_600)
    );
}

#[tokio::test]
async fn an_expired_token_on_a_connection_with_a_certificate_is_expired_and_not_refused() {
    let stage = Stage::github("").await;
    let job = fresh().issued_at(now() - seconds(1_200));
    let possession = Possession::Certificate(ClientCertificate::new(&[b"leaf".to_vec().into()]));

    let attestation = attested(stage.judge_with(job, possession, now()).await);

    assert_eq!(attestation.freshness(), Freshness::Expired);
    let ledger = attestation.ledger().unwrap();
    assert_eq!(ledger.binding, Binding::Certificate(Digest::of(b"leaf")));
    assert_eq!(
        ledger.remember_until,
        attestation.stands_until(),
        "as long as it may be resumed"
    );
}

#[tokio::test]
async fn an_expired_token_resumes_only_within_the_standing_it_can_have() {
    let stage = Stage::github("").await;
    let aged = |age: u64| fresh().issued_at(now() - seconds(age));

    attested(stage.judge_with(aged(330 + 3_599), dpop(), now()).await);

    let refusal = refused(stage.judge_with(aged(330 + 3_600), dpop(), now()).await);
    assert_eq!(refusal.code(), "attest.evidence_expired");
}

#[tokio::test]
async fn an_expired_token_never_resumes_by_an_idempotency_key() {
    let stage = Stage::github("").await;
    let possession = Possession::IdempotencyKey(Digest::of(b"key"));

    let refusal = refused(
        stage
            .judge_with(fresh().issued_at(now() - seconds(1_200)), possession, now())
            .await,
    );

    assert_eq!(refusal.code(), "attest.evidence_expired");
}

#[tokio::test]
async fn an_expired_token_with_another_fault_is_refused_for_that_fault_also_with_a_dpop_proof() {
    let stage = Stage::github("").await;
    let old = || fresh().issued_at(now() - seconds(1_200));
    for (job, code) in [
        (old().for_audience("https://other.example"), "attest.audience_mismatch"),
        (old().with("repository_owner_id", "66"), "attest.owner_not_allowed"),
        (old().with("event_name", "pull_request"), "attest.event_forbidden"),
        (old().without("jti"), "attest.claim_invalid"),
    ] {
        let refusal = refused(stage.judge_with(job, dpop(), now()).await);

        assert_eq!(refusal.code(), code);
    }
}

#[tokio::test]
async fn the_standing_ends_with_session_max() {
    let stage = Stage::github("session_max = \"12h\"").await;

    assert_eq!(
        stage.attested(fresh()).await.stands_until(),
        now() + seconds(12 * 3_600)
    );
}

#[tokio::test]
async fn the_standing_ends_with_the_job() {
    let stage = Stage::of("generic", "job_ends = \"deadline\"").await;
    let ending = |moment: SystemTime| {
        let job = generic_job().issued_at(now());
        job.with("deadline", crate::clock::unix_seconds(moment))
    };

    let attestation = stage.attested(ending(now() + seconds(600))).await;
    let over = stage.refused(ending(now())).await;
    let missing = stage.refused(generic_job().issued_at(now())).await;

    assert_eq!(attestation.stands_until(), now() + seconds(600));
    assert!(matches!(over, AttestRefusal::SessionOver), "{over:?}");
    assert!(
        matches!(&missing, AttestRefusal::Claim { claim, .. } if claim == "deadline"),
        "{missing:?}"
    );
}

#[tokio::test]
async fn t_64_pins_the_owner_by_id_and_not_by_name() {
    let stage = Stage::github("").await;
    let renamed = fresh()
        .with("repository_owner", "octo-new")
        .with("repository", "octo-new/octo-repo")
        .with("sub", "repo:octo-new/octo-repo:ref:refs/heads/main");
    let recycled = fresh().with("repository_owner_id", "66");

    stage.attested(renamed).await;

    let refusal = stage.refused(recycled).await;
    assert_eq!(
        refusal.to_string(),
        "the evidence is of owner `octo-org` (id `66`), which is not in `owners`"
    );
}

#[tokio::test]
async fn t_65_takes_both_subject_forms_and_no_mixture() {
    let stage = Stage::github("").await;
    stage.attested(fresh()).await;
    stage.attested(fresh().with_immutable_subject()).await;
    stage.attested(fresh().with_environment("prod")).await;
    stage.attested(fresh().with_environment("a:b")).await;
    stage
        .attested(fresh().with("sub", "repository_id:74:ref:refs/heads/main"))
        .await;
    for subject in [
        "repo:octo-org-65/octo-repo:ref:refs/heads/main",
        "repo:octo-org-65/octo-repo-74:ref:refs/heads/main",
        "repo:octo-org@66/octo-repo@74:ref:refs/heads/main",
        "repo:octo-org@65/octo-repo@75:ref:refs/heads/main",
        "repo:octo-org@65/octo-repo:ref:refs/heads/main",
        "repo:octo-org/octo-repo@74:ref:refs/heads/main",
        "repo:evil/octo-repo:ref:refs/heads/main",
        "repo:octo-org/octo-repo2:ref:refs/heads/main",
        "repo:octo-org/octo-repo/x:ref:refs/heads/main",
        "repo:",
    ] {
        let refusal = stage.refused(fresh().with("sub", subject)).await;

        assert!(
            matches!(&refusal, AttestRefusal::Claim { claim, .. } if claim == "sub"),
            "{subject}: {refusal:?}"
        );
    }
}

#[tokio::test]
async fn t_65_refuses_a_gitlab_subject_of_another_project() {
    let stage = Stage::of("gitlab", "owners = [{ name = \"my-group\", id = \"72\" }]").await;
    let job = gitlab_job().issued_at(now());

    let refusal = stage
        .refused(job.with("sub", "project_path:evil/project:ref_type:branch:ref:main"))
        .await;

    assert!(
        matches!(&refusal, AttestRefusal::Claim { claim, .. } if claim == "sub"),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn t_66_refuses_events_that_anybody_can_cause() {
    let stage = Stage::github("").await;
    for (event, admitted) in [
        ("push", true),
        ("workflow_dispatch", true),
        ("schedule", true),
        ("release", true),
        ("deployment", true),
        ("merge_group", true),
        ("repository_dispatch", true),
        ("pull_request", false),
        ("pull_request_target", false),
        ("pull_request_review", false),
        ("issue_comment", false),
        ("issues", false),
        ("discussion", false),
        ("fork", false),
        ("watch", false),
        ("workflow_run", false),
        ("invented_tomorrow", false),
        ("Push", false),
    ] {
        match stage.judge(fresh().with("event_name", event)).await {
            Verdict::Attested(_) => assert!(admitted, "{event}"),
            Verdict::Refused(AttestRefusal::EventForbidden { found }) => {
                assert!(!admitted && found == event, "{event}");
            }
            other => panic!("{event}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn t_66_takes_an_event_that_is_named() {
    let stage = Stage::github("events = [\"pull_request\"]").await;
    let job = fresh().with("event_name", "pull_request");

    stage
        .attested(job.with("sub", "repo:octo-org/octo-repo:pull_request"))
        .await;
    assert_eq!(
        stage.refused(fresh().with("event_name", "issues")).await.code(),
        "attest.event_forbidden"
    );
}

#[tokio::test]
async fn t_66_refuses_a_pull_requests_subject_whatever_the_event_says() {
    let stage = Stage::github("").await;

    let refusal = stage
        .refused(fresh().with("sub", "repo:octo-org/octo-repo:pull_request"))
        .await;

    assert_eq!(refusal.code(), "attest.event_forbidden");
}

#[tokio::test]
async fn t_66_refuses_merge_request_pipelines_and_their_children() {
    let stage = Stage::of("gitlab", "owners = [{ name = \"my-group\", id = \"72\" }]").await;
    for source in ["merge_request_event", "external_pull_request_event", "parent_pipeline"] {
        let refusal = stage
            .refused(gitlab_job().issued_at(now()).with("pipeline_source", source))
            .await;

        assert_eq!(refusal.code(), "attest.event_forbidden", "{source}");
    }
}

#[tokio::test]
async fn refuses_an_hcp_terraform_phase_that_is_none() {
    let owner = "owners = [{ name = \"my-org\", id = \"org-GRNbCjYNpBB6NEH9\" }]";
    let stage = Stage::of("hcp_terraform", owner).await;
    let run = hcp_terraform_run().issued_at(now());
    let sub = "organization:my-org:project:Default Project:workspace:my-workspace:run_phase:destroy";

    let refusal = stage
        .refused(run.with("terraform_run_phase", "destroy").with("sub", sub))
        .await;

    assert!(
        matches!(&refusal, AttestRefusal::Claim { claim, .. } if claim == "terraform_run_phase"),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn takes_an_attribute_of_255_bytes_and_refuses_256() {
    let stage = Stage::github("").await;

    stage.attested(fresh().with("ref", "r".repeat(255))).await;

    assert_eq!(
        stage.refused(fresh().with("ref", "r".repeat(256))).await.code(),
        "attest.attribute_invalid"
    );
}

#[tokio::test]
async fn takes_a_token_id_of_255_bytes_and_a_subject_of_1024_and_refuses_one_more() {
    let stage = Stage::github("").await;
    stage.attested(fresh().with("jti", "j".repeat(255))).await;
    stage.attested(fresh().with("sub", "s".repeat(1_024))).await;
    for (claim, value) in [
        ("jti", "j".repeat(256)),
        ("jti", String::new()),
        ("jti", "a\nb".to_owned()),
        ("sub", "s".repeat(1_025)),
        ("sub", String::new()),
        ("sub", "a\u{0}b".to_owned()),
    ] {
        let refusal = stage.refused(fresh().with(claim, value)).await;

        assert!(
            matches!(&refusal, AttestRefusal::Claim { claim: found, .. } if found == claim),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn the_signing_input_stands_for_the_id_where_there_is_none() {
    let stage = Stage::of("generic", "").await;
    let job = || generic_job().issued_at(now()).without("jti");

    let one = stage.attested(job()).await;
    let same = stage.attested(job()).await;
    let other = stage.attested(job().with("project_id", "43")).await;

    assert_eq!(one.session(), same.session());
    assert_ne!(one.session(), other.session());
}

#[tokio::test]
async fn two_tokens_of_one_job_are_two_sessions() {
    let stage = Stage::github("").await;

    let one = stage.attested(fresh().with("jti", "one")).await;
    let two = stage.attested(fresh().with("jti", "two")).await;

    assert_ne!(one.session(), two.session());
}
