//! The simulated metadata service: what a machine asks, and what the gateway makes of the answer.

use super::*;

const APPLICATION: &str = "3f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f";
const METADATA: (&str, &str) = ("Metadata", "true");

async fn get(stage: &Stage, query: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/metadata/identity/oauth2/token?{query}", stage.azure.metadata());
    let mut request = client.get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn query(more: &str) -> String {
    format!("api-version=2018-02-01&resource={AUDIENCE}{more}")
}

#[tokio::test]
async fn what_a_machine_gets_attests_it_in_both_versions() {
    for (version, audience) in [(TokenVersion::One, AUDIENCE), (TokenVersion::Two, APPLICATION)] {
        let stage = Stage::start();
        stage.azure.register(AUDIENCE, APPLICATION, version);
        let table = stage.table().replace(AUDIENCE, audience);

        let (status, answer) = get(&stage, &query(""), &[METADATA]).await;
        let token = answer["access_token"].as_str().unwrap();
        let attestation = attested(stage.judge(&attestor(&table), token).await);

        assert_eq!(status, 200, "{version:?}");
        assert_eq!(answer["token_type"], "Bearer");
        assert_eq!(answer["expires_in"], "86400");
        assert_eq!(attestation.attributes().get("azure.vm_name"), Some("deploy-1"));
    }
}

#[tokio::test]
async fn an_identity_that_the_machine_was_given_is_asked_for_by_each_of_its_names() {
    let stage = Stage::start();
    stage.azure.register(AUDIENCE, APPLICATION, TokenVersion::One);
    let attestor = attestor(&stage.table());
    let resource = "/subscriptions/7d1c2b3a-4e5f-4a6b-8c7d-9e0f1a2b3c4d/resourceGroups/shop-rg/providers/\
                    Microsoft.ManagedIdentity/userAssignedIdentities/deploy";
    for by in [
        "&client_id=2f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f".to_owned(),
        "&object_id=2a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d".to_owned(),
        format!("&mi_res_id={resource}"),
        format!("&msi_res_id={resource}"),
    ] {
        let (_, answer) = get(&stage, &query(&by), &[METADATA]).await;
        let token = answer["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("{by}: {answer}"));

        let attestation = attested(stage.judge(&attestor, token).await);

        assert_eq!(
            attestation.attributes().get("azure.identity_name"),
            Some("deploy"),
            "{by}"
        );
    }
}

#[tokio::test]
async fn wimse_wip_10_the_metadata_service_answers_nobody_who_was_sent_by_another() {
    let stage = Stage::start();
    stage.azure.register(AUDIENCE, APPLICATION, TokenVersion::One);
    for headers in [
        &[][..],
        &[("Metadata", "yes")],
        &[METADATA, ("X-Forwarded-For", "192.0.2.1")],
    ] {
        let (status, answer) = get(&stage, &query(""), headers).await;

        assert_eq!(
            (status, &answer["error"]),
            (400, &json!("invalid_request")),
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn the_metadata_service_refuses_what_it_cannot_answer() {
    let stage = Stage::start();
    stage.azure.register(AUDIENCE, APPLICATION, TokenVersion::One);
    for (asked, error) in [
        (format!("resource={AUDIENCE}"), "invalid_request"),
        (format!("api-version=2017-01-01&resource={AUDIENCE}"), "invalid_request"),
        ("api-version=2018-02-01".to_owned(), "invalid_request"),
        (query("&client_id=unknown"), "invalid_request"),
        (
            query("&client_id=2f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f&object_id=x"),
            "invalid_request",
        ),
        (
            "api-version=2018-02-01&resource=api://other".to_owned(),
            "invalid_resource",
        ),
    ] {
        let (status, answer) = get(&stage, &asked, &[METADATA]).await;

        assert_eq!((status, &answer["error"]), (400, &json!(error)), "{asked}");
    }
}
