//! What a role's token must say, each time wrong in one point.

use super::*;
use crate::attest::suite::claims as every;

#[tokio::test]
async fn attests_a_role_by_both_of_its_issuers_keys() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());
    for token in [
        stage.aws.sign(&stage.claims()).unwrap(),
        stage.aws.sign_es384(&stage.claims()).unwrap(),
    ] {
        let attestation = attested(stage.judge(&attestor, &token).await);

        let expected = [
            ("aws.account", "123456789012"),
            (
                "aws.ec2_instance_arn",
                "arn:aws:ec2:eu-central-1:123456789012:instance/i-0123456789abcdef0",
            ),
            ("aws.ec2_instance_id", "i-0123456789abcdef0"),
            ("aws.org_id", "o-a1b2c3d4e5"),
            ("aws.ou_path", "o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/"),
            ("aws.principal_arn", "arn:aws:iam::123456789012:role/deploy"),
            ("aws.role_arn", "arn:aws:iam::123456789012:role/deploy"),
            ("aws.role_name", "deploy"),
            ("aws.source_region", "eu-central-1"),
        ];
        assert_eq!(attestation.attributes().iter().collect::<Vec<_>>(), expected);
        assert_eq!(attestation.subject(), "arn:aws:iam::123456789012:role/deploy");
        assert_eq!(attestation.issuer(), stage.aws.issuer());
    }
}

#[tokio::test]
async fn gives_no_attribute_that_it_did_not_announce() {
    let stage = Stage::start();
    let table = format!("{}principal_tags = {{ team = \"CostCenter\" }}\n", stage.table());
    let attestor = attestor(&table);

    every::gives_no_attribute_that_it_did_not_announce(&stage, &attestor).await;
    every::pins_no_attribute_that_it_did_not_announce(&attestor);
}

#[tokio::test]
async fn a_session_and_a_path_name_the_role_that_they_are_of() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());
    for (subject, session) in [
        (
            "arn:aws:sts::123456789012:assumed-role/deploy/i-0123456789abcdef0",
            Some("i-0123456789abcdef0"),
        ),
        ("arn:aws:iam::123456789012:role/ci/shop/deploy", None),
    ] {
        let token = stage.token(|claims| {
            claims["sub"] = json!(subject);
            own(claims, "principal_id", json!(subject));
        });

        let attestation = attested(stage.judge(&attestor, &token).await);

        let attributes = attestation.attributes();
        assert_eq!(
            attributes.get("aws.role_arn"),
            Some("arn:aws:iam::123456789012:role/deploy"),
            "{subject}"
        );
        assert_eq!(attributes.get("aws.principal_arn"), Some(subject));
        assert_eq!(attributes.get("aws.session_name"), session);
    }
}

#[tokio::test]
async fn t_46_a_role_of_the_same_name_in_another_account_is_refused() {
    let stage = Stage::start();
    for subject in [
        "arn:aws:iam::999999999999:role/deploy",
        "arn:aws:sts::999999999999:assumed-role/deploy/s1",
    ] {
        let refusal = stage
            .refused(|claims| {
                claims["sub"] = json!(subject);
                own(claims, "principal_id", json!(subject));
            })
            .await;

        assert_eq!(
            refusal.to_string(),
            format!(
                "claim `sub` is `{subject}`, expected a role of account `123456789012` (shop), which this issuer is \
                 configured for"
            )
        );
    }
}

#[tokio::test]
async fn t_46_an_issuer_counts_for_its_own_account_alone() {
    let stage = Stage::start();
    let mut stranger = Ec2Instance::example();
    stranger.account = "999999999999".to_owned();
    let other = started(&stage.place, stranger);
    let both = attestor(&stage.table_of(&[("123456789012", stage.aws.issuer()), ("999999999999", other.issuer())]));
    let swapped = attestor(&stage.table_of(&[("999999999999", stage.aws.issuer()), ("123456789012", other.issuer())]));
    // The other account says that it is ours.
    let mut claims = stage.aws.claims(AUDIENCE);
    claims["iss"] = json!(other.issuer());
    let posing = other.sign(&claims).unwrap();

    let own_word = attested(stage.judge(&both, &stage.token(|_| {})).await);
    let posed = refused(stage.judge(&both, &posing).await);
    let mistaken = refused(stage.judge(&swapped, &stage.token(|_| {})).await);

    assert_eq!(own_word.attributes().get("aws.account"), Some("123456789012"));
    for refusal in [posed, mistaken] {
        assert!(
            refusal
                .to_string()
                .starts_with("claim `https://sts.amazonaws.com/.aws_account` is "),
            "{refusal}"
        );
    }
}

#[tokio::test]
async fn t_46_a_principal_that_is_no_role_is_refused() {
    let stage = Stage::start();
    for subject in [
        "arn:aws:sts::123456789012:assumed-role/admin/../x",
        "arn:aws:iam::123456789012:role/../admin",
        "arn:aws:iam::123456789012:role/*",
        "arn:aws:iam::*:role/deploy",
        "arn:aws:iam::123456789012:user/deploy",
        "arn:aws:iam::123456789012:root",
        "arn:aws:sts::123456789012:federated-user/deploy",
        "deploy",
    ] {
        let refusal = stage.refused(|claims| claims["sub"] = json!(subject)).await;

        assert_eq!(refusal.code(), "attest.claim_invalid", "{subject}");
        assert!(refusal.to_string().starts_with("claim `sub` is "), "{refusal}");
    }
}

#[test]
fn t_69_no_name_that_can_be_given_again_counts_as_an_id() {
    // A role that is made anew under a deleted one's name has its ARN, and a token has nothing else of it.
    let immutable = super::super::IMMUTABLE;

    for name in [
        "aws.role_arn",
        "aws.role_name",
        "aws.principal_arn",
        "aws.lambda_function_arn",
        "aws.session_name",
        "aws.ou_path",
    ] {
        assert!(!immutable.contains(&name), "{name}");
    }
}

#[tokio::test]
async fn tags_that_the_caller_chose_are_no_attributes() {
    let stage = Stage::start();
    let table = format!("{}principal_tags = {{ team = \"CostCenter\" }}\n", stage.table());
    let attestor = attestor(&table);
    let both = stage.token(|claims| own(claims, "request_tags", json!({ "CostCenter": "admin" })));
    let chosen = stage.token(|claims| {
        own(claims, "request_tags", json!({ "CostCenter": "admin" }));
        own(claims, "principal_tags", json!({ "Team": "shop" }));
    });

    let both = attested(stage.judge(&attestor, &both).await);
    let chosen = attested(stage.judge(&attestor, &chosen).await);

    assert_eq!(both.attributes().get("aws.tag_team"), Some("shop"));
    assert_eq!(chosen.attributes().get("aws.tag_team"), None);
}

#[tokio::test]
async fn a_tag_that_the_table_does_not_name_is_no_attribute() {
    let stage = Stage::start();

    let attestation = stage.attested(&attestor(&stage.table())).await;

    assert!(
        attestation
            .attributes()
            .iter()
            .all(|(name, _)| !name.starts_with("aws.tag_"))
    );
}

#[tokio::test]
async fn what_runs_elsewhere_gives_no_attribute_of_an_instance() {
    let stage = Stage::start();
    let function = "arn:aws:lambda:eu-central-1:123456789012:function:shop";
    let token = stage.token(|claims| {
        own(claims, "ec2_source_instance_arn", json!(""));
        own(claims, "lambda_source_function_arn", json!(function));
        own(claims, "ou_path", json!("o-a1b2c3d4e5/r-ab12/"));
    });

    let attestation = attested(stage.judge(&attestor(&stage.table()), &token).await);

    let attributes = attestation.attributes();
    assert_eq!(attributes.get("aws.ec2_instance_id"), None);
    assert_eq!(attributes.get("aws.lambda_function_arn"), Some(function));
    assert_eq!(attributes.get("aws.ou_path"), Some("o-a1b2c3d4e5/r-ab12/"));
}

#[tokio::test]
async fn tm_54_a_token_lives_an_hour_and_not_a_second_more() {
    every::a_token_lives_so_long_and_not_a_second_more(&Stage::start(), 3600).await;
}

#[tokio::test]
async fn wimse_wip_1_a_token_for_anybody_else_as_well_is_refused() {
    let audiences = [
        json!([AUDIENCE, "https://vault.acme.example"]),
        json!("https://vault.acme.example"),
        json!("sts.amazonaws.com"),
        json!(format!("{AUDIENCE}/")),
        json!(AUDIENCE.strip_suffix('e').unwrap()),
    ];

    every::refuses_each_audience(&Stage::start(), &audiences).await;
}

#[tokio::test]
async fn each_claim_that_is_missing_or_of_another_type_is_named() {
    let stage = Stage::start();
    let rows: &[(&str, every::Change)] = &[
        ("sub", |claims| {
            claims["sub"] = json!(["arn:aws:iam::123456789012:role/deploy"]);
        }),
        ("jti", |claims| claims["jti"] = json!("j".repeat(256))),
    ];

    every::names_each_claim(&stage, every::OF_ANY_TOKEN).await;
    every::names_each_claim(&stage, rows).await;
}

#[tokio::test]
async fn each_member_of_awss_own_claim_that_is_missing_or_of_another_type_is_named() {
    let stage = Stage::start();
    let rows: &[(&str, every::Change)] = &[
        ("https://sts.amazonaws.com/", |claims| drop(claims.remove(OWN))),
        ("https://sts.amazonaws.com/", |claims| claims[OWN] = json!("deploy")),
        ("https://sts.amazonaws.com/.aws_account", |claims| {
            own(claims, "aws_account", json!(""));
        }),
        ("https://sts.amazonaws.com/.aws_account", |claims| {
            own(claims, "aws_account", json!(123_456_789_012_u64));
        }),
        ("https://sts.amazonaws.com/.principal_id", |claims| {
            own(claims, "principal_id", json!("arn:aws:iam::123456789012:role/admin"));
        }),
        ("https://sts.amazonaws.com/.principal_id", |claims| {
            own(claims, "principal_id", json!("AROAEXAMPLE"));
        }),
        ("https://sts.amazonaws.com/.source_region", |claims| {
            own(claims, "source_region", json!("eu central"));
        }),
        ("https://sts.amazonaws.com/.org_id", |claims| {
            own(claims, "org_id", json!(["o-a1b2c3d4e5"]));
        }),
        ("https://sts.amazonaws.com/.ou_path", |claims| {
            own(claims, "ou_path", json!(["o-a/", "o-b/"]));
        }),
        ("https://sts.amazonaws.com/.ou_path", |claims| {
            own(claims, "ou_path", json!([1]));
        }),
        ("https://sts.amazonaws.com/.ec2_source_instance_arn", |claims| {
            own(
                claims,
                "ec2_source_instance_arn",
                json!("arn:aws:ec2:eu-central-1:999999999999:instance/i-0123456789abcdef0"),
            );
        }),
        ("https://sts.amazonaws.com/.ec2_source_instance_arn", |claims| {
            own(claims, "ec2_source_instance_arn", json!("i-0123456789abcdef0"));
        }),
        ("https://sts.amazonaws.com/.lambda_source_function_arn", |claims| {
            own(
                claims,
                "lambda_source_function_arn",
                json!("arn:aws:lambda:eu-central-1:999999999999:function:shop"),
            );
        }),
        ("https://sts.amazonaws.com/.principal_tags", |claims| {
            own(claims, "principal_tags", json!([]));
        }),
    ];

    every::names_each_claim(&stage, rows).await;
}

#[tokio::test]
async fn a_tag_that_is_no_text_is_refused() {
    let stage = Stage::start();
    let table = format!("{}principal_tags = {{ team = \"CostCenter\" }}\n", stage.table());
    let token = stage.token(|claims| own(claims, "principal_tags", json!({ "CostCenter": 7 })));

    let refusal = refused(stage.judge(&attestor(&table), &token).await);

    assert_eq!(
        refusal.to_string(),
        "claim `https://sts.amazonaws.com/.principal_tags.CostCenter` is no text, expected a text"
    );
}

#[tokio::test]
async fn t_26_a_token_of_another_kind_is_refused() {
    let stage = Stage::start();
    let token = stage.aws.signer().sign_typed(Some("at+jwt"), &stage.claims()).unwrap();

    every::refuses_an_access_token(&stage, &token).await;
}
