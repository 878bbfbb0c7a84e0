//! What a token of an instance must say, each time wrong in one point.

use super::*;
use crate::attest::suite::claims as every;

#[tokio::test]
async fn attests_an_instance_by_discovery_and_by_pinned_keys() {
    let stage = Stage::start();
    for table in [stage.table(), stage.pinning()] {
        let attestation = stage.attested(&attestor(&table)).await;

        let expected = [
            ("gcp.instance_id", "1529866622329384490"),
            ("gcp.instance_name", "deploy-1"),
            ("gcp.project_id", "acme-prod"),
            ("gcp.project_number", "123456789012"),
            ("gcp.service_account", "deploy@acme-prod.iam.gserviceaccount.com"),
            ("gcp.service_account_id", "110347582393847293847"),
            ("gcp.zone", "europe-west3-a"),
        ];
        assert_eq!(attestation.attributes().iter().collect::<Vec<_>>(), expected, "{table}");
        assert_eq!(attestation.subject(), "110347582393847293847");
        assert_eq!(attestation.issuer(), stage.gce.issuer());
    }
}

#[tokio::test]
async fn gives_no_attribute_that_it_did_not_announce() {
    let stage = Stage::start();
    let attestor = attestor(&stage.pinning());

    every::gives_no_attribute_that_it_did_not_announce(&stage, &attestor).await;
    every::pins_no_attribute_that_it_did_not_announce(&attestor);
    for ids in &attestor.pins().unwrap().ids {
        let fast = ids.iter().any(|id| attestor.immutable().contains(id));
        assert!(fast, "{ids:?} can pass to another");
    }
}

#[tokio::test]
async fn a_token_serves_until_it_expires_and_what_comes_of_it_stands_no_longer() {
    every::a_token_serves_until_it_expires(&Stage::start(), 3600, &[0, 1800, 3599]).await;
}

#[tokio::test]
async fn an_attestation_stands_an_hour_although_the_token_lives_longer() {
    every::an_attestation_stands_an_hour_although_the_token_lives_longer(&Stage::start()).await;
}

#[tokio::test]
async fn tm_54_a_token_lives_24_h_and_not_a_second_more() {
    every::a_token_lives_so_long_and_not_a_second_more(&Stage::start(), 86_400).await;
}

#[tokio::test]
async fn expiry_and_beginning_have_a_leeway_of_30_s() {
    let stage = Stage::start();
    let token = stage.token(|_| {});

    every::expiry_and_beginning_have_a_leeway_of_30_s(&stage, &token, 3600).await;
}

#[tokio::test]
async fn wimse_wip_1_a_token_for_anybody_else_as_well_is_refused() {
    let stage = Stage::start();
    let audiences = [
        json!([AUDIENCE, "https://vault.acme.example"]),
        json!("https://vault.acme.example"),
        json!(format!("{AUDIENCE}/")),
        json!(AUDIENCE.strip_suffix('e').unwrap()),
        json!("//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p"),
    ];

    every::refuses_each_audience(&stage, &audiences).await;
    let nobody = stage.refused(|claims| claims["aud"] = json!([])).await;
    assert_eq!(nobody.code(), "attest.claim_invalid", "{nobody}");
}

#[tokio::test]
async fn wimse_wip_8_an_instance_of_a_project_that_is_not_listed_is_refused() {
    let stage = Stage::start();
    for project in [
        json!(123_456_789_013_u64),
        json!(12_345_678_901_u64),
        json!(0),
        json!(u64::MAX),
    ] {
        let refusal = stage
            .refused(|claims| engine(claims, |engine| engine["project_number"] = project.clone()))
            .await;

        assert_eq!(
            refusal.to_string(),
            format!(
                "claim `google.compute_engine.project_number` is `{project}`, expected a project of the attestor's \
                 `projects`"
            )
        );
    }
}

#[tokio::test]
async fn a_project_of_the_listed_name_and_another_number_is_refused() {
    let stage = Stage::start();
    let mut stranger = stage.gce.instance();
    stranger.project_number = 999_999_999_999;
    stage.gce.serve(stranger);

    let refusal = stage.refused(|_| {}).await;

    assert_eq!(refusal.code(), "attest.claim_invalid");
}

#[tokio::test]
async fn a_token_that_names_no_instance_is_refused_with_what_to_do() {
    type Change = fn(&mut Map<String, Value>);
    let stage = Stage::start();
    // The format `standard`; GKE and Cloud Run; and a Google account's id token.
    let rows: &[Change] = &[
        |claims| drop(claims.remove("google")),
        |claims| claims["google"] = json!({}),
        |claims| {
            claims.remove("google");
            claims["azp"] = json!("764086051850-6qr4p6gpi6hn506pt8ejuq83di341hur.apps.googleusercontent.com");
        },
    ];
    for change in rows {
        let refusal = stage.refused(change).await;

        assert_eq!(
            refusal.to_string(),
            "claim `google.compute_engine` is missing, expected the instance, which the metadata server names with \
             `format=full`; tokens of GKE and Cloud Run have none"
        );
    }
}

#[tokio::test]
async fn t_48_an_address_that_is_not_verified_names_nobody() {
    type Change = fn(&mut Map<String, Value>);
    let stage = Stage::start();
    let attestor = attestor(&stage.pinning());
    let rows: &[Change] = &[
        |claims| claims["email_verified"] = json!(false),
        |claims| drop(claims.remove("email_verified")),
        |claims| drop(claims.remove("email")),
        |claims| claims["email"] = json!(""),
    ];
    for change in rows {
        let attestation = attested(stage.judge(&attestor, &stage.token(change)).await);

        assert_eq!(attestation.attributes().get("gcp.service_account"), None);
        assert_eq!(
            attestation.attributes().get("gcp.service_account_id"),
            Some("110347582393847293847")
        );
    }
}

#[tokio::test]
async fn each_claim_that_is_missing_or_of_another_type_is_named() {
    let stage = Stage::start();
    let rows: &[(&str, every::Change)] = &[
        ("sub", |claims| {
            claims["sub"] = json!("deploy@acme-prod.iam.gserviceaccount.com");
        }),
        ("sub", |claims| claims["sub"] = json!("1".repeat(33))),
        ("email", |claims| claims["email"] = json!(["a@b.example"])),
        ("email_verified", |claims| claims["email_verified"] = json!("true")),
        ("google", |claims| claims["google"] = json!("compute_engine")),
        ("google.compute_engine", |claims| {
            claims["google"]["compute_engine"] = json!([]);
        }),
        ("google.compute_engine.project_number", |claims| {
            engine(claims, |engine| drop(engine.remove("project_number")));
        }),
        ("google.compute_engine.project_number", |claims| {
            engine(claims, |engine| engine["project_number"] = json!("123456789012"));
        }),
        ("google.compute_engine.project_id", |claims| {
            engine(claims, |engine| engine["project_id"] = json!("acme/prod"));
        }),
        ("google.compute_engine.project_id", |claims| {
            engine(claims, |engine| engine["project_id"] = json!("p".repeat(128)));
        }),
        ("google.compute_engine.instance_id", |claims| {
            engine(claims, |engine| engine["instance_id"] = json!(15));
        }),
        ("google.compute_engine.instance_id", |claims| {
            engine(claims, |engine| engine["instance_id"] = json!("../1"));
        }),
        ("google.compute_engine.instance_name", |claims| {
            engine(claims, |engine| engine["instance_name"] = json!("Deploy 1"));
        }),
        ("google.compute_engine.instance_name", |claims| {
            engine(claims, |engine| engine["instance_name"] = json!("d".repeat(64)));
        }),
        ("google.compute_engine.zone", |claims| {
            engine(claims, |engine| drop(engine.remove("zone")));
        }),
    ];

    every::names_each_claim(&stage, every::OF_ANY_TOKEN).await;
    every::names_each_claim(&stage, rows).await;
}

#[tokio::test]
async fn names_and_ids_have_as_many_bytes_as_google_gives_them() {
    let stage = Stage::start();
    let token = stage.token(|claims| {
        claims["sub"] = json!("1".repeat(32));
        engine(claims, |engine| {
            engine["instance_name"] = json!("d".repeat(63));
            engine["project_id"] = json!(format!("acme.example:{}", "p".repeat(127 - 13)));
        });
    });

    let attestation = attested(stage.judge(&attestor(&stage.pinning()), &token).await);

    assert_eq!(attestation.attributes().get("gcp.project_id").unwrap().len(), 127);
}

#[tokio::test]
async fn t_26_a_token_of_another_kind_is_refused() {
    let stage = Stage::start();
    let token = stage.gce.signer().sign_typed(Some("at+jwt"), &stage.claims()).unwrap();

    every::refuses_an_access_token(&stage, &token).await;
}

#[tokio::test]
async fn an_instance_may_be_as_old_as_it_is_allowed_to_and_not_a_second_more() {
    let stage = Stage::start();
    let table = format!("{}max_instance_age = \"1h\"\n", stage.pinning());
    let attestor = attestor(&table);
    let made = |ago: u64| {
        let created = unix_seconds(stage.now()) - ago;
        stage.token(|claims| engine(claims, |engine| engine["instance_creation_timestamp"] = json!(created)))
    };

    attested(stage.judge(&attestor, &made(3600)).await);
    let old = refused(stage.judge(&attestor, &made(3601)).await);
    let unknown = stage.token(|claims| engine(claims, |engine| drop(engine.remove("instance_creation_timestamp"))));
    let unknown = refused(stage.judge(&attestor, &unknown).await);

    assert_eq!(
        old.to_string(),
        "claim `google.compute_engine.instance_creation_timestamp` is 3601 s ago, expected at most 3600 s ago \
         (`max_instance_age`)"
    );
    assert_eq!(unknown.code(), "attest.claim_invalid");
}
