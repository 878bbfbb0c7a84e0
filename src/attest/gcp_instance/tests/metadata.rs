//! The simulated metadata server: what an instance asks, and what the gateway makes of the answer.

use super::*;

struct Answer {
    status: u16,
    flavor: String,
    text: String,
}

async fn get(url: &str, headers: &[(&str, &str)]) -> Answer {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let flavor = response.headers().get("metadata-flavor");
    Answer {
        status: response.status().as_u16(),
        flavor: flavor
            .map(|flavor| flavor.to_str().unwrap().to_owned())
            .unwrap_or_default(),
        text: response.text().await.unwrap(),
    }
}

const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");

fn identity(stage: &Stage, query: &str) -> String {
    format!(
        "{}/computeMetadata/v1/instance/service-accounts/default/identity?{query}",
        stage.gce.metadata()
    )
}

#[tokio::test]
async fn what_an_instance_gets_in_the_format_full_attests_it() {
    let stage = Stage::start();
    let url = identity(&stage, &format!("audience={AUDIENCE}&format=full"));

    let answer = get(&url, &[FLAVOR]).await;
    let attestation = attested(stage.judge(&attestor(&stage.table()), &answer.text).await);

    assert_eq!((answer.status, answer.flavor.as_str()), (200, "Google"));
    assert_eq!(attestation.attributes().get("gcp.instance_name"), Some("deploy-1"));
}

#[tokio::test]
async fn what_an_instance_gets_in_the_format_standard_attests_nobody() {
    let stage = Stage::start();
    for query in [
        format!("audience={AUDIENCE}"),
        format!("audience={AUDIENCE}&format=standard"),
    ] {
        let answer = get(&identity(&stage, &query), &[FLAVOR]).await;

        let refusal = refused(stage.judge(&attestor(&stage.table()), &answer.text).await);

        assert!(refusal.to_string().contains("`format=full`"), "{query}: {refusal}");
    }
}

#[tokio::test]
async fn wimse_wip_10_the_metadata_server_answers_nobody_who_was_sent_by_another() {
    let stage = Stage::start();
    let url = identity(&stage, &format!("audience={AUDIENCE}&format=full"));
    for headers in [
        &[][..],
        &[("Metadata-Flavor", "google")],
        &[FLAVOR, ("X-Forwarded-For", "192.0.2.1")],
    ] {
        let answer = get(&url, headers).await;

        assert_eq!((answer.status, answer.flavor.as_str()), (403, "Google"), "{headers:?}");
    }
}

#[tokio::test]
async fn the_metadata_server_refuses_what_it_cannot_answer() {
    let stage = Stage::start();
    for (query, status) in [
        ("format=full", 400),
        ("audience=&format=full", 400),
        ("audience=a&format=long", 400),
    ] {
        assert_eq!(get(&identity(&stage, query), &[FLAVOR]).await.status, status, "{query}");
    }
    let other = identity(&stage, "audience=a").replace("default", "other@acme-prod.iam.gserviceaccount.com");
    assert_eq!(get(&other, &[FLAVOR]).await.status, 404);
}

#[tokio::test]
async fn the_metadata_server_says_what_sdks_ask_it_first() {
    let stage = Stage::start();
    let at = |path: &str| format!("{}{path}", stage.gce.metadata());
    let accounts = "/computeMetadata/v1/instance/service-accounts";
    let email = "deploy@acme-prod.iam.gserviceaccount.com";

    let root = get(&at("/"), &[]).await;
    let project = get(&at("/computeMetadata/v1/project/project-id"), &[FLAVOR]).await;
    let number = get(&at("/computeMetadata/v1/project/numeric-project-id"), &[FLAVOR]).await;
    let account = get(&at(&format!("{accounts}/{email}/?recursive=true")), &[FLAVOR]).await;
    let address = get(&at(&format!("{accounts}/default/email")), &[FLAVOR]).await;

    assert_eq!((root.status, root.flavor.as_str()), (200, "Google"));
    assert_eq!(project.text, "acme-prod");
    assert_eq!(number.text, "123456789012");
    assert_eq!(serde_json::from_str::<Value>(&account.text).unwrap()["email"], email);
    assert_eq!(address.text, email);
}
