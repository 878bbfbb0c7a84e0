//! The battery that every kind of attestor passes: each way in which a token can be forged or broken.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::*;
use crate::sim::Listen as _;

fn encoded(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn payload(token: &str) -> String {
    token.split('.').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn t_26_reads_no_claim_before_the_signature() {
    let stage = Stage::start();
    let other = started(&stage.loopback, &stage.clock, Ec2Instance::example());
    let mut claims = stage.claims();
    claims["aud"] = json!("https://other.example");
    claims["exp"] = json!(1);

    let refusal = refused(
        stage
            .judge(&attestor(&stage.table()), &other.sign(&claims).unwrap())
            .await,
    );

    assert_eq!(refusal.code(), "attest.evidence_unverifiable");
}

#[tokio::test]
async fn t_21_t_54_neither_none_nor_an_hmac_with_the_public_key_is_a_signature() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());
    let good = stage.token(|_| {});
    let jwk = stage.aws.jwks()["keys"][0].clone();
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for algorithm in ["none", "None", "HS256", "HS384", "HS512"] {
        let header = encoded(&json!({ "alg": algorithm, "kid": "RSA_1" }));
        let input = format!("{header}.{}", payload(&good));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &modulus), input.as_bytes());
        for signature in [String::new(), BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref())] {
            let verdict = stage.judge(&attestor, &format!("{input}.{signature}")).await;

            assert!(matches!(verdict, Verdict::NotMine), "{algorithm}: {verdict:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_token_of_the_issuer_is_nobodys() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());
    let good = stage.token(|_| {});
    for token in [
        String::new(),
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        good.replace('.', ".."),
        format!("{good}."),
        format!(" {good}"),
        format!("Bearer {good}"),
        stage.token(|claims| claims["iss"] = json!(format!("{}/", stage.aws.issuer()))),
        stage.token(|claims| claims["iss"] = json!("https://sts.amazonaws.com")),
        stage.token(|claims| claims["iss"] = json!([stage.aws.issuer()])),
        stage.token(|claims| drop(claims.remove("iss"))),
    ] {
        let verdict = stage.judge(&attestor, &token).await;

        assert!(matches!(verdict, Verdict::NotMine), "{token:.60}: {verdict:?}");
    }
    let of_another_kind = Evidence::new(Secret::new(good), Some("oidc".to_owned()), Possession::Bearer);
    let verdict = attestor.judge(&of_another_kind, stage.now()).await;
    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

#[tokio::test]
async fn an_unknown_key_an_algorithm_of_another_kind_and_another_header_are_refused() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());
    let good = stage.token(|_| {});
    let signature = good.rsplit('.').next().unwrap().to_owned();
    for header in [
        json!({ "alg": "RS256", "kid": "RSA_9", "typ": "JWT" }),
        json!({ "alg": "RS384", "kid": "RSA_1", "typ": "JWT" }),
        json!({ "alg": "PS256", "kid": "RSA_1", "typ": "JWT" }),
        json!({ "alg": "ES384", "kid": "RSA_1", "typ": "JWT" }),
        json!({ "alg": "RS256", "kid": "EC384_1", "typ": "JWT" }),
        json!({ "alg": "RS256", "kid": "RSA_1" }), // the signature is over another header
    ] {
        stage.clock.advance(seconds(31));
        let token = format!("{}.{}.{signature}", encoded(&header), payload(&good));

        let refusal = refused(stage.judge(&attestor, &token).await);

        assert_eq!(refusal.code(), "attest.evidence_unverifiable", "{header}: {refusal}");
    }
}

#[tokio::test]
async fn t_14_takes_16_kib_and_refuses_one_byte_more() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());

    let fits = stage.judge(&attestor, &"a".repeat(16_384)).await;
    let over = refused(stage.judge(&attestor, &"a".repeat(16_385)).await);

    assert!(matches!(fits, Verdict::NotMine), "{fits:?}");
    assert_eq!(over.code(), "attest.evidence_oversized");
}

#[tokio::test]
async fn while_the_issuer_is_silent_nobody_is_attested_by_discovery() {
    let stage = Stage::start();
    let bound = stage.loopback.bind().unwrap();
    let table = stage.table().replace(stage.aws.issuer(), &bound.url);
    (bound.serve)(axum::Router::new()); // answers 404 to everything
    let token = stage.token(|claims| claims["iss"] = json!(bound.url));

    let refusal = refused(stage.judge(&attestor(&table), &token).await);

    assert_eq!(refusal.code(), "issuer.unavailable", "{refusal}");
}

#[tokio::test]
async fn tm_09_a_private_address_that_is_not_listed_is_never_asked() {
    let stage = Stage::start();
    let table = stage.table().replace("127.0.0.0/8", "10.0.0.0/8");

    let refusal = refused(stage.judge(&attestor(&table), &stage.token(|_| {})).await);

    assert_eq!(refusal.code(), "issuer.unavailable");
}
