//! The public vectors of Project Wycheproof, all of them.
//!
//! Their payloads are mostly no JSON objects, so they run against the layer below the claims.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::jose::{Algorithm, KeySet, PublicKey, compact::Parts, header::HeaderRule, strict_json};

#[derive(Deserialize)]
struct File {
    #[serde(rename = "testGroups")]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    comment: String,
    public: Option<Value>,
    secret: Option<Value>,
    tests: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(rename = "tcId")]
    id: u32,
    comment: String,
    jws: Option<Value>,
    jwe: Option<Value>,
    result: String,
}

fn read(text: &str) -> Vec<Group> {
    serde_json::from_str::<File>(text).unwrap().groups
}

/// Returns a token as it would arrive: JSON serialisation stands as an object in the file.
fn text(token: &Value) -> String {
    token.as_str().map_or_else(|| token.to_string(), str::to_owned)
}

/// Judges a token with a single key or a key set, as the vector gives it.
fn accepts(token: &str, key: &Value) -> bool {
    let Ok(parts) = Parts::split(token, 16 * 1024, HeaderRule::Evidence) else {
        return false;
    };
    if key.get("keys").is_some() {
        let Ok(set) = KeySet::parse(key.to_string().as_bytes()) else {
            return false;
        };
        let key = set.find(parts.header.key_id.as_deref(), parts.header.algorithm);
        return key.is_ok_and(|key| parts.verify(key).is_ok());
    }
    let jwk: &Map<String, Value> = key.as_object().unwrap();
    PublicKey::from_jwk(jwk, &Algorithm::ALL).is_ok_and(|key| parts.verify(&key).is_ok())
}

/// Tells why we refuse what the file calls valid.
fn stricter(group: &Group, vector: &Vector) -> Option<&'static str> {
    let key = group.public.as_ref().or(group.secret.as_ref());
    let algorithm = key.and_then(|key| key["alg"].as_str());
    if group.secret.is_some() {
        return Some("symmetric keys are never accepted");
    }
    if algorithm == Some("ES521") {
        return Some("P-521 is not of the list");
    }
    if [346, 350].contains(&vector.id) && algorithm == Some("PS256") {
        return Some("signed with PS384 while the key is for PS256");
    }
    if vector.jwe.is_some() {
        return Some("encrypted tokens are never accepted");
    }
    None
}

/// Runs a file; returns how many vectors were accepted and how many refused.
fn run(file: &str) -> (usize, usize) {
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for group in read(file) {
        for vector in &group.tests {
            let token = text(vector.jws.as_ref().or(vector.jwe.as_ref()).unwrap());
            let key = group.public.as_ref().or(group.secret.as_ref());
            let found = key.is_some_and(|key| accepts(&token, key));
            let expected = vector.result == "valid" && stricter(&group, vector).is_none();
            if found != expected {
                wrong.push(format!(
                    "{} {} {}: expected {expected}",
                    vector.id, group.comment, vector.comment
                ));
            }
            if found {
                accepted += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    (accepted, refused)
}

#[test]
fn tm_01_signatures_are_judged_as_the_public_vectors_say() {
    let counts = run(include_str!("../../../tests/vectors/jose/json_web_signature.json"));

    assert_eq!(counts, (32, 369));
}

#[test]
fn jwk_7_keys_are_judged_as_the_public_vectors_say() {
    let counts = run(include_str!("../../../tests/vectors/jose/json_web_key.json"));

    assert_eq!(counts, (1, 25));
}

#[test]
fn t_52_signed_and_encrypted_tokens_are_judged_as_the_public_vectors_say() {
    let counts = run(include_str!("../../../tests/vectors/jose/json_web_crypto.json"));

    assert_eq!(counts, (2, 81));
}

#[test]
fn the_vectors_hold_no_private_rsa_or_ec_key() {
    for file in [
        include_str!("../../../tests/vectors/jose/json_web_signature.json"),
        include_str!("../../../tests/vectors/jose/json_web_key.json"),
        include_str!("../../../tests/vectors/jose/json_web_crypto.json"),
    ] {
        let limits = strict_json::Limits {
            depth: 16,
            strings: usize::MAX,
        };
        assert!(strict_json::parse(file.as_bytes(), &limits).is_ok());
        for group in read(file) {
            assert!(group.public.is_none_or(|key| key.get("d").is_none()));
        }
    }
}
