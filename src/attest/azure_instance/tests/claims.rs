//! What a token of a managed identity must say, each time wrong in one point.

use super::*;
use crate::attest::suite::claims as every;

const OTHER_TENANT: &str = "1f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f";

#[tokio::test]
async fn attests_a_machine_by_tokens_of_both_versions() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());
    for version in [TokenVersion::One, TokenVersion::Two] {
        let token = stage.azure.sign(&stage.azure.claims(AUDIENCE, version)).unwrap();

        let attestation = attested(stage.judge(&attestor, &token).await);

        let expected = [
            ("azure.client_id", "1f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f"),
            ("azure.principal_id", "1a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"),
            ("azure.resource_group", "shop-rg"),
            (
                "azure.resource_id",
                "/subscriptions/7d1c2b3a-4e5f-4a6b-8c7d-9e0f1a2b3c4d/resourcegroups/shop-rg/providers/\
                 microsoft.compute/virtualmachines/deploy-1",
            ),
            ("azure.subscription_id", "7d1c2b3a-4e5f-4a6b-8c7d-9e0f1a2b3c4d"),
            ("azure.tenant_id", TENANT),
            ("azure.vm_name", "deploy-1"),
        ];
        assert_eq!(
            attestation.attributes().iter().collect::<Vec<_>>(),
            expected,
            "{version:?}"
        );
        assert_eq!(attestation.subject(), "1a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d");
        assert_eq!(attestation.issuer(), stage.azure.issuer(version));
    }
}

#[tokio::test]
async fn an_identity_that_was_given_to_a_machine_names_itself_and_no_machine() {
    let stage = Stage::start();
    let token = stage.token(|claims| {
        claims["xms_mirid"] = json!(
            "/subscriptions/7d1c2b3a-4e5f-4a6b-8c7d-9e0f1a2b3c4d/resourcegroups/shop/providers/\
             Microsoft.ManagedIdentity/userAssignedIdentities/deploy"
        );
    });

    let attestation = attested(stage.judge(&attestor(&stage.table()), &token).await);

    assert_eq!(attestation.attributes().get("azure.identity_name"), Some("deploy"));
    assert_eq!(attestation.attributes().get("azure.vm_name"), None);
}

#[tokio::test]
async fn gives_no_attribute_that_it_did_not_announce() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());

    every::gives_no_attribute_that_it_did_not_announce(&stage, &attestor).await;
    every::pins_no_attribute_that_it_did_not_announce(&attestor);
}

#[tokio::test]
async fn t_48_the_issuer_of_another_tenant_is_nobodys_with_the_right_audience_too() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());
    for issuer in [
        format!("https://sts.windows.net/{OTHER_TENANT}/"),
        format!("{}/{OTHER_TENANT}/v2.0", stage.azure.authority()),
        format!("{}/common/v2.0", stage.azure.authority()),
        format!("{}/{{tenantid}}/v2.0", stage.azure.authority()),
        "https://sts.windows.net/{tenantid}/".to_owned(),
    ] {
        let token = stage.token(|claims| claims["iss"] = json!(issuer));

        let verdict = stage.judge(&attestor, &token).await;

        assert!(matches!(verdict, Verdict::NotMine), "{issuer}: {verdict:?}");
    }
}

#[tokio::test]
async fn t_48_an_issuer_speaks_for_its_own_tenant_alone() {
    let stage = Stage::start();
    let both = format!("tenants = [\"{TENANT}\", \"{OTHER_TENANT}\"]");
    let table = stage.table().replace(&format!("tenants = [\"{TENANT}\"]"), &both);
    let token = stage.token(|claims| claims["tid"] = json!(OTHER_TENANT));

    let refusal = refused(stage.judge(&attestor(&table), &token).await);

    assert_eq!(
        refusal.to_string(),
        format!("claim `tid` is `{OTHER_TENANT}`, expected `{TENANT}`, as `iss` says")
    );
}

#[tokio::test]
async fn t_48_the_key_for_private_accounts_opens_no_tenant() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());
    stage.attested(&attestor).await;
    let token = stage.azure.sign_for_private_accounts(&stage.claims()).unwrap();

    let refusal = refused(stage.judge(&attestor, &token).await);

    assert_eq!(refusal.code(), "attest.evidence_unverifiable", "{refusal}");
    assert!(refusal.to_string().contains("`entra-2`"), "{refusal}");
}

#[tokio::test]
async fn t_48_a_token_of_a_user_is_refused_whatever_its_e_mail_address_says() {
    type Change = fn(&mut Map<String, Value>);
    let stage = Stage::start();
    let rows: &[(&str, Change)] = &[
        ("xms_mirid", |claims| {
            claims.remove("xms_mirid");
            claims.insert("email".to_owned(), json!("admin@acme.example"));
            claims.insert("upn".to_owned(), json!("admin@acme.example"));
        }),
        ("idtyp", |claims| claims["idtyp"] = json!("user")),
        ("sub", |claims| {
            claims["sub"] = json!("AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ");
        }),
    ];
    for (claim, change) in rows {
        let refusal = stage.refused(change).await;

        assert!(
            refusal.to_string().starts_with(&format!("claim `{claim}` is ")),
            "{claim}: {refusal}"
        );
    }
}

#[tokio::test]
async fn t_48_no_e_mail_address_becomes_an_attribute() {
    let stage = Stage::start();
    let token = stage.token(|claims| {
        for claim in ["email", "upn", "preferred_username", "unique_name", "name"] {
            claims.insert(claim.to_owned(), json!("admin@acme.example"));
        }
    });

    let attestation = attested(stage.judge(&attestor(&stage.table()), &token).await);

    assert!(attestation.attributes().iter().all(|(_, value)| !value.contains('@')));
}

#[tokio::test]
async fn a_token_without_the_type_of_identity_attests_too() {
    let stage = Stage::start();
    let token = stage.token(|claims| drop(claims.remove("idtyp")));

    attested(stage.judge(&attestor(&stage.table()), &token).await);
}

#[tokio::test]
async fn a_token_serves_until_it_expires_and_what_comes_of_it_stands_an_hour_and_no_longer() {
    every::a_token_serves_until_it_expires(&Stage::start(), 86_400, &[0, 43_200, 82_800, 86_399]).await;
}

#[tokio::test]
async fn tm_54_a_token_lives_25_h_and_not_a_second_more() {
    every::a_token_lives_so_long_and_not_a_second_more(&Stage::start(), 90_000).await;
}

#[tokio::test]
async fn expiry_and_beginning_have_a_leeway_of_30_s() {
    let stage = Stage::start();
    let token = stage.token(|claims| {
        let now = unix_seconds(stage.now());
        claims["iat"] = json!(now);
        claims["nbf"] = json!(now);
    });

    every::expiry_and_beginning_have_a_leeway_of_30_s(&stage, &token, 86_400).await;
}

#[tokio::test]
async fn wimse_wip_1_a_token_for_anybody_else_is_refused() {
    let audiences = [
        json!([AUDIENCE, "https://management.azure.com/"]),
        json!("https://management.azure.com/"),
        json!("api://AzureADTokenExchange"),
        json!("https://id.acme.example"),
        json!(format!("{AUDIENCE}/")),
        json!(AUDIENCE.to_uppercase()),
    ];

    every::refuses_each_audience(&Stage::start(), &audiences).await;
}

#[tokio::test]
async fn each_claim_that_is_missing_or_of_another_type_is_named() {
    let stage = Stage::start();
    let rows: &[(&str, every::Change)] = &[
        ("oid", |claims| drop(claims.remove("oid"))),
        ("oid", |claims| claims["oid"] = json!("admin@acme.example")),
        ("oid", |claims| {
            claims["oid"] = json!("1A1B2C3D-4E5F-4A6B-8C7D-9E0F1A2B3C4D");
        }),
        ("azp", |claims| drop(claims.remove("azp"))),
        ("azp", |claims| claims["azp"] = json!("deploy")),
        // The client of a token of version 1 does not count in one of version 2.
        ("azp", |claims| {
            let client = claims.remove("azp").unwrap();
            claims.insert("appid".to_owned(), client);
        }),
        ("tid", |claims| drop(claims.remove("tid"))),
        ("tid", |claims| claims["tid"] = json!([TENANT])),
        ("idtyp", |claims| claims["idtyp"] = json!(true)),
        ("xms_mirid", |claims| drop(claims.remove("xms_mirid"))),
        ("xms_mirid", |claims| claims["xms_mirid"] = json!(["a"])),
        ("xms_mirid", |claims| claims["xms_mirid"] = json!("deploy-1")),
        ("xms_mirid", |claims| {
            claims["xms_mirid"] = json!(
                "/subscriptions/7d1c2b3a-4e5f-4a6b-8c7d-9e0f1a2b3c4d/resourcegroups/shop/providers/\
                 Microsoft.Web/sites/shop"
            );
        }),
    ];

    every::names_each_claim(&stage, every::OF_ANY_TOKEN).await;
    every::names_each_claim(&stage, rows).await;
}

#[tokio::test]
async fn names_whose_resource_id_is_longer_than_an_attribute_are_refused() {
    let stage = Stage::start();
    let named = |group: usize| {
        stage.token(|claims| {
            claims["xms_mirid"] = json!(format!(
                "/subscriptions/7d1c2b3a-4e5f-4a6b-8c7d-9e0f1a2b3c4d/resourcegroups/{}/providers/\
                 Microsoft.ManagedIdentity/userAssignedIdentities/{}",
                "g".repeat(group),
                "i".repeat(84)
            ));
        })
    };
    let attestor = attestor(&stage.table());

    let fits = attested(stage.judge(&attestor, &named(44)).await);
    let over = refused(stage.judge(&attestor, &named(45)).await);

    assert_eq!(fits.attributes().get("azure.resource_id").map(str::len), Some(255));
    assert_eq!(over.code(), "attest.attribute_invalid");
}

#[tokio::test]
async fn t_26_a_token_of_another_kind_is_refused() {
    let stage = Stage::start();
    let token = stage
        .azure
        .signer()
        .sign_typed(Some("at+jwt"), &stage.claims())
        .unwrap();

    every::refuses_an_access_token(&stage, &token).await;
}
