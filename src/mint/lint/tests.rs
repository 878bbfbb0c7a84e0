//! Every difference between what was asked for and what was signed is found.

use serde_json::json;

use super::*;
use crate::jose::{
    Algorithm, PublicJwk, SigningAlgorithm, SigningKey,
    sign::{self, Header},
};

const NOW: u64 = 1_768_574_400;

fn key() -> (SigningKey, PublicJwk) {
    let key = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
    let public = key.public_jwk(&key.thumbprint().to_string());
    (key, public)
}

fn claims() -> Map<String, Value> {
    let claims = json!({
        "iss": "https://id.acme.example", "sub": "spiffe://prod.acme.example/ci/shop", "aud": "https://orders.example",
        "iat": NOW, "nbf": NOW, "exp": NOW + 300, "jti": "1",
    });
    claims.as_object().unwrap().clone()
}

fn signed(key: &SigningKey, key_id: &str, claims: &Map<String, Value>) -> String {
    let header = Header {
        algorithm: Algorithm::Es256,
        key_id: key_id.to_owned(),
    };
    let input = sign::signing_input(&header, claims).unwrap();
    let signature = key.sign(input.as_bytes()).unwrap();
    sign::assemble(input, &signature)
}

/// Checks a token of these claims against a wish for the same.
fn checked(change: impl FnOnce(&mut Map<String, Value>)) -> Result<(), MintRefusal> {
    let (key, public) = key();
    let mut claims = claims();
    change(&mut claims);
    let token = signed(&key, public.kid(), &claims);
    check(
        &token,
        (&PublicKey::from_public_jwk(&public).unwrap(), SignatureCheck::Lint),
        &claims,
    )
}

fn set(name: &'static str, value: Value) -> impl FnOnce(&mut Map<String, Value>) {
    move |claims| {
        claims.insert(name.to_owned(), value);
    }
}

#[test]
fn takes_what_was_asked_for() {
    assert!(checked(|_| {}).is_ok());
}

#[test]
fn jwt_svid_7_refuses_more_than_one_audience() {
    assert!(checked(set("aud", json!(["https://a.example", "https://b.example"]))).is_err());
    assert!(checked(set("aud", json!(""))).is_err());
}

#[test]
fn jwt_svid_5_refuses_a_subject_that_is_no_spiffe_id() {
    assert!(checked(set("sub", json!("repo:acme/shop"))).is_err());
}

#[test]
fn jwt_svid_13_takes_3600_s_and_refuses_3601_s() {
    assert!(checked(set("exp", json!(NOW + 3600))).is_ok());
    assert!(checked(set("exp", json!(NOW + 3601))).is_err());
    assert!(checked(set("exp", json!(NOW))).is_err());
}

#[test]
fn refuses_a_not_before_that_is_not_the_time_of_issue() {
    assert!(checked(set("nbf", json!(NOW + 1))).is_err());
}

#[test]
fn takes_8_kib_and_refuses_one_byte_more() {
    let (key, public) = key();
    let verifier = PublicKey::from_public_jwk(&public).unwrap();
    let padded = |bytes: usize| {
        let mut claims = claims();
        claims.insert("pad".to_owned(), json!("a".repeat(bytes)));
        let token = signed(&key, public.kid(), &claims);
        (token.len(), check(&token, (&verifier, SignatureCheck::Lint), &claims))
    };
    let longest = (5000..7000)
        .rev()
        .find(|bytes| padded(*bytes).0 <= MAX_SVID_BYTES)
        .unwrap();

    assert!(padded(longest).1.is_ok());
    assert!(padded(longest + 3).1.is_err());
}

#[test]
fn refuses_claims_that_were_not_asked_for() {
    let (key, public) = key();
    let verifier = PublicKey::from_public_jwk(&public).unwrap();
    let wanted = claims();
    for (name, value) in [
        ("azp", json!("x")),
        ("aud", json!("https://evil.example")),
        ("jti", json!("2")),
    ] {
        let mut signed_claims = wanted.clone();
        signed_claims.insert(name.to_owned(), value);

        assert!(
            check(
                &signed(&key, public.kid(), &signed_claims),
                (&verifier, SignatureCheck::Lint),
                &wanted
            )
            .is_err(),
            "{name}"
        );
    }
}

#[test]
fn refuses_another_key_or_key_id() {
    let (one, public) = key();
    let (other, _) = key();
    let verifier = PublicKey::from_public_jwk(&public).unwrap();

    assert!(
        check(
            &signed(&other, public.kid(), &claims()),
            (&verifier, SignatureCheck::Lint),
            &claims()
        )
        .is_err()
    );
    assert!(
        check(
            &signed(&one, "other", &claims()),
            (&verifier, SignatureCheck::Lint),
            &claims()
        )
        .is_err()
    );
}

/// Even where the source checked its signature, the header must name the key and its algorithm.
#[test]
fn refuses_another_algorithm_than_the_keys_even_from_a_source_that_checks_itself() {
    let ((one, public), rsa) = (key(), SigningKey::generate(SigningAlgorithm::Rs256).unwrap());
    let other = PublicKey::from_public_jwk(&rsa.public_jwk(public.kid())).unwrap();
    let right = PublicKey::from_public_jwk(&public).unwrap();
    let token = signed(&one, public.kid(), &claims());

    assert!(check(&token, (&other, SignatureCheck::Source), &claims()).is_err());
    assert!(check(&token, (&right, SignatureCheck::Source), &claims()).is_ok());
}
