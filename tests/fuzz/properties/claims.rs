//! Tokens and proofs, and the strict JSON in them.

use std::sync::LazyLock;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use cambio::{
    jose::{Claims, EmbeddedKeyProof, KeySet, MAX_PROOF_BYTES, MAX_TOKEN_BYTES, Unverified},
    secret::Digest,
    spiffe::SpiffeId,
};
use serde_json::{Map, Value};

use super::can_be_logged;

/// Takes the input for a token, for a proof, for claims; and for header and payload on two lines, because nothing that
/// changes one bit would get through base64.
pub fn hold(input: &[u8]) {
    claims(input);
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    token(text);
    proof(text);
    if let Some((header, payload)) = text.split_once('\n') {
        let made = format!("{}.{}.AAAA", encoded(header.as_bytes()), encoded(payload.as_bytes()));
        token(&made);
        proof(&made);
    }
}

/// What is read strictly is what everybody reads, and reads the same when it is written again.
fn claims(bytes: &[u8]) {
    let claims = match Claims::parse(bytes) {
        Ok(claims) => claims,
        Err(refused) => return can_be_logged(&refused),
    };
    let members: Map<String, Value> = claims
        .iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    let whole = Value::Object(members);
    let everybodys: Value = serde_json::from_slice(bytes).expect("strict JSON is JSON");
    assert_eq!(whole, everybodys);
    // Reading a fraction rounds it, and the rounded one may have another neighbour.
    if !has_fraction(&whole) {
        let again = Claims::parse(whole.to_string().as_bytes()).expect("what was written from strict JSON is strict");
        assert_eq!(again, claims);
    }
    typed(&claims);
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => false,
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
    }
}

/// A claim of the wrong type never passes for an absent one (T-49).
fn typed(claims: &Claims) {
    for name in ["iss", "sub", "jti"] {
        match claims.text(name) {
            Ok(found) => assert_eq!(found, claims.get(name).and_then(Value::as_str)),
            Err(refused) => {
                assert!(claims.get(name).is_some());
                can_be_logged(&refused);
            }
        }
    }
    for name in ["exp", "nbf", "iat"] {
        match claims.numeric_date(name) {
            Ok(found) => {
                assert_eq!(found.is_none(), claims.get(name).is_none());
                assert!(found.is_none_or(|date| date.seconds() <= YEAR_9999));
            }
            Err(refused) => can_be_logged(&refused),
        }
    }
    match claims.audience() {
        Ok(audience) => {
            assert!(audience.iter().count() > 0 && audience.iter().all(|one| !one.is_empty()));
            assert!(audience.sole().is_none_or(|sole| audience.contains(sole)));
        }
        Err(refused) => can_be_logged(&refused),
    }
    if let Ok(Some(subject)) = claims.text("sub")
        && let Ok(id) = SpiffeId::parse(subject)
    {
        assert_eq!(id.as_str(), subject);
    }
}

/// A token has one spelling, and only one that was really signed verifies.
fn token(text: &str) {
    let read = Unverified::parse(text);
    match &read {
        Ok(token) => {
            let parts = parts(text, MAX_TOKEN_BYTES);
            let [header, payload, _] = parts.each_ref().map(Vec::as_slice);
            let header: Value = serde_json::from_slice(header).expect("a header of JSON");
            assert_eq!(header["alg"], token.algorithm().as_str());
            assert_eq!(header.get("kid").and_then(Value::as_str), token.kid());
            let stated = Claims::parse(payload).expect("a payload of claims");
            assert_eq!(*token.claims_unverified(), stated);
            assert_eq!(stated.get("iss").and_then(Value::as_str), token.issuer_unverified());
            verified(token, &stated);
        }
        Err(refused) => can_be_logged(refused),
    }
    match Unverified::parse_jwt_svid(text) {
        Ok(svid) => {
            let token = read.expect("what may be a JWT-SVID may be a token");
            assert_eq!(svid.claims_unverified(), token.claims_unverified());
            assert!(svid.kid().is_some() && matches!(svid.typ(), None | Some("JWT" | "JOSE")));
        }
        Err(refused) => can_be_logged(&refused),
    }
}

fn verified(token: &Unverified<'_>, stated: &Claims) {
    for key in KEYS.keys().iter().filter(|key| key.allows(token.algorithm())) {
        if let Ok(verified) = token.verify(key) {
            assert_eq!(verified.get(), stated);
            assert!(
                SIGNED.contains(&token.signing_input_sha256()),
                "nobody signed this token"
            );
        }
    }
}

/// A proof counts for the key that it brings along, and for what that key signed.
fn proof(text: &str) {
    let proof = match EmbeddedKeyProof::parse(text) {
        Ok(proof) => proof,
        Err(refused) => return can_be_logged(&refused),
    };
    let [header, payload, _] = parts(text, MAX_PROOF_BYTES);
    let header: Value = serde_json::from_slice(&header).expect("a header of JSON");
    assert_eq!((&header["alg"], &header["typ"]), (&"ES256".into(), &"dpop+jwt".into()));
    assert_eq!(header.as_object().map(Map::len), Some(3));
    if let Ok(verified) = proof.verify() {
        assert_eq!(
            *verified.get().claims(),
            Claims::parse(&payload).expect("a payload of claims")
        );
        let (signed, _) = text.rsplit_once('.').expect("three parts");
        assert!(
            SIGNED.contains(&Digest::of(signed.as_bytes())),
            "nobody signed this proof"
        );
    }
}

/// Returns the parts of a token that was read, each of which has no other spelling.
fn parts(text: &str, limit: usize) -> [Vec<u8>; 3] {
    assert!(text.len() <= limit);
    let parts: Vec<Vec<u8>> = text
        .split('.')
        .map(|part| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url");
            assert_eq!(encoded(&bytes), part);
            bytes
        })
        .collect();
    parts.try_into().expect("three parts")
}

fn encoded(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The last second that RFC 3339 can write.
const YEAR_9999: u64 = 253_402_300_799;

/// The keys that signed the tokens below. Their private halves were thrown away.
static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::parse(include_bytes!("../signed/keys.json")).expect("a set of keys"));

/// What was signed, ever.
static SIGNED: LazyLock<Vec<Digest>> = LazyLock::new(|| {
    let all = include_str!("../signed/tokens.txt");
    let inputs = all.lines().filter_map(|token| token.rsplit_once('.'));
    inputs.map(|(input, _)| Digest::of(input.as_bytes())).collect()
});
