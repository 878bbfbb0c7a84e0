//! Sets of keys: of issuers of tokens, and of trust domains.

use std::{collections::HashSet, time::Duration};

use cambio::{
    jose::{Algorithm, KeyMaterial, KeySet, PublicKey, Thumbprint},
    spiffe::{Bundle, TrustDomain},
};
use serde_json::{Value, json};

use super::can_be_logged;

/// Takes the input for the set of an issuer, for one that names its issuers, and for a bundle.
pub fn hold(input: &[u8]) {
    let set = KeySet::parse(input);
    match &set {
        Ok(set) => whole(set, input),
        Err(refused) => can_be_logged(refused),
    }
    match KeySet::parse_issued(input, &Algorithm::ALL, ISSUER) {
        Ok(issued) => {
            let all: HashSet<Thumbprint> =
                thumbprints(set.as_ref().expect("more keys are left out, never less")).collect();
            assert!(thumbprints(&issued).all(|one| all.contains(&one)));
        }
        Err(refused) => can_be_logged(&refused),
    }
    bundle(input);
}

fn whole(set: &KeySet, input: &[u8]) {
    let entries = entries(input);
    assert!((1..=100).contains(&entries.len()) && !set.keys().is_empty());
    assert_eq!(set.keys().len() + set.ignored().len(), entries.len());
    sound(set, &entries);
}

/// What was taken holds no secret, no key id twice, and each key reads the same when it is written again.
fn sound(set: &KeySet, entries: &[Value]) {
    shows_no_secret(entries);
    let ids: Vec<&str> = set.keys().iter().filter_map(PublicKey::kid).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    for ignored in set.ignored() {
        assert!(ignored.position() < entries.len());
        can_be_logged(ignored.reason());
    }
    for key in set.keys() {
        assert!(key.algorithms().count() > 0);
        for algorithm in key.algorithms() {
            if let Some(kid) = key.kid() {
                let found = set.find(Some(kid), algorithm).expect("the key of this id");
                assert_eq!(found.thumbprint(), key.thumbprint());
            }
        }
        let alone = json!({ "keys": [written(key)] }).to_string();
        let again = KeySet::parse(alone.as_bytes()).expect("a key that was taken");
        assert!(thumbprints(&again).eq([key.thumbprint()]));
        assert!(again.keys().iter().all(|again| again.kid() == key.kid()));
    }
}

/// Whoever reads a set with a private or symmetric key can sign: such a set is refused whole.
fn shows_no_secret(entries: &[Value]) {
    for entry in entries {
        assert_ne!(entry["kty"], "oct");
        for name in ["d", "dp", "dq", "k", "oth", "p", "q", "qi"] {
            assert!(entry.get(name).is_none(), "`{name}` in {entry}");
        }
    }
}

fn bundle(input: &[u8]) {
    let ours = TrustDomain::parse("acme.example").expect("a trust domain");
    let bundle = match Bundle::parse(ours.clone(), input) {
        Ok(bundle) => bundle,
        Err(refused) => return can_be_logged(&refused),
    };
    let entries = entries(input);
    sound(bundle.jwt_authorities(), &entries);
    assert_eq!(*bundle.trust_domain(), ours);
    assert!((Duration::from_mins(1)..=Duration::from_hours(24)).contains(&bundle.refresh_hint()));
    let (jwt, x509) = (bundle.jwt_authorities().keys(), bundle.x509_authorities());
    assert_eq!(jwt.len() + x509.len() + bundle.ignored().len(), entries.len());
    assert!(jwt.iter().all(|key| key.kid().is_some()));
    assert!(x509.iter().all(|der| der.first() == Some(&0x30)));
    for ignored in bundle.ignored() {
        can_be_logged(ignored.reason());
    }
    if let Err((place, refused)) = bundle.check_roots() {
        assert!(place < x509.len());
        can_be_logged(&refused);
    }
}

fn entries(input: &[u8]) -> Vec<Value> {
    let document: Value = serde_json::from_slice(input).expect("JSON");
    document["keys"].as_array().expect("a list of keys").clone()
}

fn thumbprints(set: &KeySet) -> impl Iterator<Item = Thumbprint> {
    set.keys().iter().map(PublicKey::thumbprint)
}

fn written(key: &PublicKey) -> Value {
    let mut jwk = match key.material() {
        KeyMaterial::Ec { curve, x, y } => json!({ "kty": "EC", "crv": curve.as_str(), "x": x, "y": y }),
        KeyMaterial::Rsa { n, e } => json!({ "kty": "RSA", "n": n, "e": e }),
        other => panic!("another kind of key: {other:?}"),
    };
    if let Some(kid) = key.kid() {
        jwk["kid"] = kid.into();
    }
    jwk
}

const ISSUER: &str = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0";
