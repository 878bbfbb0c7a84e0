//! What a token of the cluster must say, each time wrong in one point.

use super::*;
use crate::attest::suite::claims as every;

#[tokio::test]
async fn attests_a_pod_by_discovery_and_by_pinned_keys() {
    let stage = Stage::start();
    for table in [stage.table(), stage.pinning()] {
        let attestation = stage.attested(&attestor(&table)).await;

        let expected = [
            ("k8s.cluster", "prod"),
            ("k8s.namespace", "shop"),
            ("k8s.node", "worker-1"),
            ("k8s.pod", "deploy-7d9f"),
            ("k8s.pod_uid", stage.pod.uid.as_str()),
            ("k8s.service_account", "deploy"),
            ("k8s.service_account_uid", stage.pod.service_account_uid.as_str()),
        ];
        assert_eq!(attestation.attributes().iter().collect::<Vec<_>>(), expected, "{table}");
        assert_eq!(attestation.subject(), "system:serviceaccount:shop:deploy");
        assert_eq!(attestation.issuer(), stage.url);
    }
}

#[tokio::test]
async fn gives_no_attribute_that_it_did_not_announce() {
    let stage = Stage::start();
    let attestor = attestor(&stage.pinning());

    every::gives_no_attribute_that_it_did_not_announce(&stage, &attestor).await;
    every::pins_no_attribute_that_it_did_not_announce(&attestor);
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
async fn wimse_wip_2_a_token_that_the_api_server_takes_as_well_is_refused() {
    let stage = Stage::start();
    let audiences = [
        json!([AUDIENCE, stage.url]),
        json!([stage.url, AUDIENCE]),
        json!([stage.url]),
        json!("https://kubernetes.default.svc"),
        json!([AUDIENCE, "sts.amazonaws.com"]),
        json!([format!("{AUDIENCE}/")]),
        json!([AUDIENCE.strip_suffix('e').unwrap()]),
    ];

    every::refuses_each_audience(&stage, &audiences).await;
}

#[tokio::test]
async fn the_subject_and_the_claim_of_kubernetes_must_say_the_same() {
    let stage = Stage::start();
    for subject in [
        "system:serviceaccount:shop:admin",
        "system:serviceaccount:kube-system:deploy",
        "system:serviceaccount:shop:deploy:admin",
        "system:serviceaccount:deploy:shop",
        "system:node:worker-1",
        "deploy",
    ] {
        let refusal = stage.refused(|claims| claims["sub"] = json!(subject)).await;

        assert_eq!(refusal.code(), "attest.claim_invalid", "{subject}");
        assert!(refusal.to_string().starts_with("claim `sub` is "), "{refusal}");
    }
    for (member, value) in [("name", "admin"), ("namespace", "kube-system")] {
        let refusal = stage
            .refused(|claims| {
                private(claims, |object| match member {
                    "name" => object["serviceaccount"]["name"] = json!(value),
                    _namespace => object["namespace"] = json!(value),
                });
            })
            .await;

        assert!(
            refusal.to_string().starts_with("claim `sub` is "),
            "{member}: {refusal}"
        );
    }
}

#[tokio::test]
async fn each_claim_that_is_missing_or_of_another_type_is_named() {
    let stage = Stage::start();
    let rows: &[(&str, every::Change)] = &[
        ("sub", |claims| {
            claims["sub"] = json!(["system:serviceaccount:shop:deploy"]);
        }),
        ("aud", |claims| claims["aud"] = json!([])),
        ("jti", |claims| claims["jti"] = json!("j".repeat(256))),
        ("kubernetes.io", |claims| drop(claims.remove("kubernetes.io"))),
        ("kubernetes.io", |claims| claims["kubernetes.io"] = json!("shop")),
        ("kubernetes.io.namespace", |claims| {
            private(claims, |object| drop(object.remove("namespace")));
        }),
        ("kubernetes.io.serviceaccount", |claims| {
            private(claims, |object| drop(object.remove("serviceaccount")));
        }),
        ("kubernetes.io.serviceaccount.name", |claims| {
            private(claims, |object| object["serviceaccount"]["name"] = json!(""));
        }),
        ("kubernetes.io.serviceaccount.uid", |claims| {
            private(claims, |object| object["serviceaccount"]["uid"] = json!("1"));
        }),
        ("kubernetes.io.pod", |claims| {
            private(claims, |object| object["pod"] = json!("deploy-7d9f"));
        }),
        ("kubernetes.io.pod", |claims| {
            private(claims, |object| object["pod"] = json!(null));
        }),
        ("kubernetes.io.pod.uid", |claims| {
            private(claims, |object| object["pod"]["uid"] = json!("../../admin"));
        }),
        ("kubernetes.io.pod.uid", |claims| {
            private(claims, |object| object["pod"] = json!({ "name": "deploy-7d9f" }));
        }),
        ("kubernetes.io.pod.name", |claims| {
            private(claims, |object| object["pod"]["name"] = json!("Deploy"));
        }),
        ("kubernetes.io.node", |claims| {
            private(claims, |object| object["node"] = json!([]));
        }),
        ("kubernetes.io.node.name", |claims| {
            private(claims, |object| object["node"]["name"] = json!("worker 1"));
        }),
    ];

    every::names_each_claim(&stage, every::OF_ANY_TOKEN).await;
    every::names_each_claim(&stage, rows).await;
}

#[tokio::test]
async fn an_id_of_255_bytes_is_taken() {
    let stage = Stage::start();
    let token = stage.token(|claims| claims["jti"] = json!("j".repeat(255)));

    attested(stage.judge(&attestor(&stage.pinning()), &token).await);
}

#[tokio::test]
async fn clusters_that_name_neither_node_nor_token_are_taken() {
    let stage = Stage::start();
    let token = stage.token(|claims| {
        claims.remove("jti");
        private(claims, |object| drop(object.remove("node")));
    });

    let attestation = attested(stage.judge(&attestor(&stage.pinning()), &token).await);

    assert_eq!(attestation.attributes().get("k8s.node"), None);
}

#[tokio::test]
async fn a_token_that_is_bound_to_no_pod_is_refused_unless_the_danger_is_named() {
    let stage = Stage::start();
    for other in [None, Some("secret"), Some("node")] {
        let token = stage.token(|claims| {
            private(claims, |object| {
                object.remove("pod");
                if let Some(other) = other {
                    object.insert(other.to_owned(), json!({ "name": "worker-1", "uid": stage.pod.uid }));
                }
            });
        });

        let refusal = refused(stage.judge(&attestor(&stage.pinning()), &token).await);
        let named = attestor(&format!("{}dangerous_unbound_tokens = true\n", stage.pinning()));
        let attestation = attested(stage.judge(&named, &token).await);

        assert_eq!(
            refusal.to_string(),
            "claim `kubernetes.io.pod` is missing, expected the pod that the token is bound to"
        );
        assert_eq!(attestation.attributes().get("k8s.pod_uid"), None, "{other:?}");
    }
}

#[tokio::test]
async fn t_08_the_token_of_a_secret_is_nobodys_and_under_the_clusters_issuer_refused() {
    let stage = Stage::start();
    let legacy = |issuer: &str| {
        let claims = json!({
            "iss": issuer,
            "kubernetes.io/serviceaccount/namespace": "shop",
            "kubernetes.io/serviceaccount/secret.name": "deploy-token-x7k2p",
            "kubernetes.io/serviceaccount/service-account.name": "deploy",
            "kubernetes.io/serviceaccount/service-account.uid": stage.pod.service_account_uid,
            "sub": "system:serviceaccount:shop:deploy",
        });
        stage.cluster.sign(claims.as_object().unwrap()).unwrap()
    };
    let attestor = attestor(&stage.pinning());

    let foreign = stage.judge(&attestor, &legacy("kubernetes/serviceaccount")).await;
    let endless = refused(stage.judge(&attestor, &legacy(&stage.url)).await);

    assert!(matches!(foreign, Verdict::NotMine), "{foreign:?}");
    assert_eq!(endless.code(), "attest.claim_invalid", "{endless}");
}

#[tokio::test]
async fn clusters_with_one_issuer_are_told_apart_by_their_pinned_keys() {
    let stage = Stage::start();
    let clock: Arc<dyn clock::Clock> = Arc::<FakeClock>::clone(&stage.place.clock);
    let other = ClusterSim::new(stage.url.clone(), "kid-2", clock).unwrap();
    let token = other
        .sign(&other.claims(&other.run("shop", "deploy", "deploy-1"), AUDIENCE))
        .unwrap();
    let first = attestor(&stage.pinning());
    std::fs::write(stage.file("other.json"), other.jwks().to_string()).unwrap();
    let table = stage
        .pinning()
        .replace("jwks.json", "other.json")
        .replace("\"prod\"", "\"test\"");
    let second = attestor(&table);

    let of_first = stage.judge(&first, &token).await;
    let of_second = attested(stage.judge(&second, &token).await);

    assert!(matches!(of_first, Verdict::NotMine), "{of_first:?}");
    assert_eq!(of_second.attributes().get("k8s.cluster"), Some("test"));
}

#[tokio::test]
async fn a_key_id_that_another_cluster_shares_opens_nothing() {
    let stage = Stage::start();
    let (other, _) = started(&stage.place, "kid-1");
    let token = other.sign(&stage.claims()).unwrap();

    for table in [stage.table(), stage.pinning()] {
        let refusal = refused(stage.judge(&attestor(&table), &token).await);

        assert_eq!(refusal.code(), "attest.evidence_unverifiable", "{table}");
    }
}
