//! The API server's review: asked with our audience, believed only where it says everything that it must.

use axum::{Json, Router, http::StatusCode, routing::post};

use super::*;
use crate::sim::Mutation;

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// Returns an attestor whose API server gives one answer to everything.
fn answering(stage: &Stage, answer: &Value) -> KubernetesAttestor {
    let bound = stage.place.loopback.bind().unwrap();
    let answer = answer.clone();
    let route = post(move || {
        let answer = answer.clone();
        async move { (StatusCode::CREATED, Json(answer)) }
    });
    (bound.serve)(Router::new().route(REVIEWS, route));
    let review = stage.reviewing().replace(&stage.url, &bound.url);
    attestor(&format!("{}{review}", stage.table()))
}

/// Returns the answer that confirms the stage's pod.
fn good(stage: &Stage) -> Value {
    json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "status": {
            "authenticated": true,
            "user": {
                "username": stage.pod.subject(),
                "uid": stage.pod.service_account_uid,
                "extra": {
                    "authentication.kubernetes.io/pod-name": [stage.pod.name],
                    "authentication.kubernetes.io/pod-uid": [stage.pod.uid],
                },
            },
            "audiences": [AUDIENCE],
        },
    })
}

#[tokio::test]
async fn a_reviewed_pod_is_attested_and_the_question_names_our_audience() {
    let stage = Stage::start();

    stage.attested(&stage.reviewed()).await;

    let questions = stage.cluster.questions();
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0]["spec"]["audiences"], json!([AUDIENCE]));
    assert_eq!(questions[0]["kind"], json!("TokenReview"));
}

#[tokio::test]
async fn t_68_a_deleted_pod_or_account_or_one_that_was_replaced_is_refused() {
    type Change = fn(&Stage);
    let rows: [(&str, Change); 4] = [
        ("the pod is deleted", |stage| stage.cluster.delete_pod(&stage.pod)),
        ("the account is deleted", |stage| {
            stage.cluster.delete_account(&stage.pod);
        }),
        ("the pod was replaced", |stage| {
            stage.cluster.run("shop", "deploy", "deploy-7d9f");
        }),
        ("the account was replaced", |stage| {
            stage.cluster.delete_account(&stage.pod);
            stage.cluster.run("shop", "deploy", "other");
        }),
    ];
    for (what, change) in rows {
        let stage = Stage::start();
        let (reviewed, by_keys) = (stage.reviewed(), attestor(&stage.table()));
        let token = stage.token(|_| {});
        attested(stage.judge(&reviewed, &token).await);
        change(&stage);

        let refusal = refused(stage.judge(&reviewed, &token).await);

        assert_eq!(refusal.code(), "attest.review_refused", "{what}: {refusal}");
        attested(stage.judge(&by_keys, &token).await); // the keys alone do not know, and the manual says so
    }
}

#[tokio::test]
async fn t_68_an_answer_without_exactly_our_audience_is_refused() {
    let stage = Stage::start();
    attested(
        stage
            .judge(&answering(&stage, &good(&stage)), &stage.token(|_| {}))
            .await,
    );
    for audiences in [
        None,
        Some(json!(null)),
        Some(json!([])),
        Some(json!([""])),
        Some(json!(AUDIENCE)),
        Some(json!(["https://other.example"])),
        Some(json!([AUDIENCE.strip_suffix('e').unwrap()])),
        Some(json!([format!("{AUDIENCE}/")])),
        Some(json!([AUDIENCE.to_uppercase()])),
        Some(json!([[AUDIENCE]])),
    ] {
        let mut answer = good(&stage);
        let status = answer["status"].as_object_mut().unwrap();
        match &audiences {
            None => drop(status.remove("audiences")),
            Some(audiences) => status["audiences"] = audiences.clone(),
        }

        let refusal = refused(stage.judge(&answering(&stage, &answer), &stage.token(|_| {})).await);

        assert_eq!(refusal.code(), "attest.review_refused", "{audiences:?}");
        assert!(refusal.to_string().contains("audiences without ours"), "{refusal}");
    }
}

#[tokio::test]
async fn t_68_an_answer_that_does_not_say_true_about_this_very_pod_is_refused() {
    let stage = Stage::start();
    let other = "00000000-0000-4000-8000-0000000000ff";
    let extra = "/status/user/extra";
    let rows = [
        ("/status/authenticated", json!(false)),
        ("/status/authenticated", json!("true")),
        ("/status/authenticated", json!(1)),
        ("/status/authenticated", json!(null)),
        ("/status/error", json!("[invalid bearer token]")),
        ("/status/user", json!({})),
        ("/status/user", json!(null)),
        ("/status/user/username", json!("system:serviceaccount:shop:admin")),
        ("/status/user/username", json!("system:serviceaccount:shop:deploy ")),
        ("/status/user/username", json!("system:anonymous")),
        ("/status/user/username", json!("")),
        ("/status/user/uid", json!(other)),
        ("/status/user/uid", json!("")),
        (extra, json!({})),
        (
            extra,
            json!({ "authentication.kubernetes.io/pod-name": [stage.pod.name] }),
        ),
        (
            extra,
            json!({
                "authentication.kubernetes.io/pod-name": [stage.pod.name],
                "authentication.kubernetes.io/pod-uid": [other],
            }),
        ),
        (
            extra,
            json!({
                "authentication.kubernetes.io/pod-name": [stage.pod.name],
                "authentication.kubernetes.io/pod-uid": [stage.pod.uid, other],
            }),
        ),
    ];
    for (pointer, value) in rows {
        let mut answer = good(&stage);
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        answer.pointer_mut(parent).unwrap()[member] = value.clone();

        let refusal = refused(stage.judge(&answering(&stage, &answer), &stage.token(|_| {})).await);

        assert_eq!(refusal.code(), "attest.review_refused", "{pointer} {value}: {refusal}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_review_counts_as_none() {
    let stage = Stage::start();
    for answer in [
        json!(null),
        json!([]),
        json!("TokenReview"),
        json!({}),
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" }),
        json!({ "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1beta1", "status": {} }),
        json!({ "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1" }),
        json!({ "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": "ok" }),
    ] {
        let refusal = refused(stage.judge(&answering(&stage, &answer), &stage.token(|_| {})).await);

        assert_eq!(refusal.code(), "attest.review_unavailable", "{answer}: {refusal}");
    }
}

#[tokio::test]
async fn a_cluster_that_fails_attests_nobody_and_recovers() {
    let stage = Stage::start();
    let attestor = stage.reviewed();
    for mutation in [
        Mutation::ServerError,
        Mutation::Throttle,
        Mutation::Garbage,
        Mutation::Oversized,
        Mutation::Delay(seconds(8)),
    ] {
        stage.cluster.mutations().push(mutation.clone());
        let started = std::time::Instant::now();

        let refusal = refused(stage.judge(&attestor, &stage.token(|_| {})).await);

        assert_eq!(refusal.code(), "attest.review_unavailable", "{mutation:?}: {refusal}");
        assert!(started.elapsed() < seconds(7), "{mutation:?}");
    }
    stage.attested(&attestor).await;
}

#[tokio::test]
async fn a_reviewer_that_may_not_review_attests_nobody_and_the_file_is_read_anew() {
    let stage = Stage::start();
    let attestor = stage.reviewed();
    stage.cluster.know("another-token");
    for content in ["expired-token", "another-token", "", "two tokens", "caf\u{e9}"] {
        std::fs::write(stage.file("reviewer"), content).unwrap();

        let refusal = refused(stage.judge(&attestor, &stage.token(|_| {})).await);

        assert_eq!(refusal.code(), "attest.review_unavailable", "{content:?}: {refusal}");
        assert!(!format!("{refusal:?}").contains("another-token"), "{refusal:?}");
    }
    std::fs::remove_file(stage.file("reviewer")).unwrap();
    let without = refused(stage.judge(&attestor, &stage.token(|_| {})).await);
    assert_eq!(without.code(), "attest.review_unavailable");

    std::fs::write(stage.file("reviewer"), "rotated-token").unwrap();
    stage.cluster.let_review("rotated-token");
    stage.attested(&attestor).await;
}

#[tokio::test]
async fn t_17_nobody_is_asked_about_a_token_that_was_not_found_in_order_here() {
    let stage = Stage::start();
    let attestor = stage.reviewed();
    let (other, _) = started(&stage.place, "kid-1");
    for token in [
        other.sign(&stage.claims()).unwrap(),
        stage.token(|claims| claims["aud"] = json!(["https://other.example"])),
        stage.token(|claims| claims["exp"] = claims["iat"].clone()),
        stage.token(|claims| claims["sub"] = json!("system:serviceaccount:shop:admin")),
    ] {
        stage.place.clock.advance(seconds(31));

        refused(stage.judge(&attestor, &token).await);
    }

    assert_eq!(stage.cluster.questions(), Vec::<Value>::new());
}

#[tokio::test]
async fn t_17_a_redirect_is_not_followed_with_the_credential() {
    let stage = Stage::start();
    for status in [301, 302, 303, 307, 308] {
        let bound = stage.place.loopback.bind().unwrap();
        let to = format!("{}{REVIEWS}", stage.url);
        let route = post(move || {
            let to = to.clone();
            async move { (StatusCode::from_u16(status).unwrap(), [("location", to)]) }
        });
        (bound.serve)(Router::new().route(REVIEWS, route));
        let review = stage.reviewing().replace(&stage.url, &bound.url);
        let attestor = attestor(&format!("{}{review}", stage.table()));

        let refusal = refused(stage.judge(&attestor, &stage.token(|_| {})).await);

        assert_eq!(refusal.code(), "attest.review_unavailable", "{status}");
    }
    assert_eq!(stage.cluster.questions(), Vec::<Value>::new());
}

#[tokio::test]
async fn t_68_the_simulated_api_server_names_no_audience_where_none_was_asked_for() {
    let stage = Stage::start();
    let certificate = reqwest::Certificate::from_pem(&std::fs::read(stage.file("ca.pem")).unwrap()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([certificate])
        .build()
        .unwrap();
    let own = stage
        .cluster
        .sign(&stage.cluster.claims(&stage.pod, &stage.url))
        .unwrap();
    let ask = |token: String| {
        let question = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": { "token": token },
        });
        let request = client
            .post(format!("{}{REVIEWS}", stage.url))
            .bearer_auth(REVIEWER)
            .json(&question);
        async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };

    let for_the_server = ask(own).await;
    let for_us = ask(stage.token(|_| {})).await;

    assert_eq!(for_the_server["status"]["authenticated"], json!(true));
    assert_eq!(for_the_server["status"]["audiences"], json!(null));
    assert_eq!(for_us["status"]["authenticated"], json!(null), "{for_us}");
}
