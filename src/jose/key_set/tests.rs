use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    jose::tests::{es256, rs256},
    mutated::mutated,
};

fn rsa(kid: &str) -> Value {
    serde_json::to_value(rs256().public_jwk(kid)).unwrap()
}

fn ec(kid: &str) -> Value {
    serde_json::to_value(es256().public_jwk(kid)).unwrap()
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

fn with(mut jwk: Value, name: &str, value: impl Into<Value>) -> Value {
    jwk[name] = value.into();
    jwk
}

fn read(keys: impl Into<Value>) -> Result<KeySet, KeySetRefused> {
    KeySet::parse(json!({ "keys": keys.into() }).to_string().as_bytes())
}

#[test]
fn finds_a_key_by_its_id() {
    let set = read(vec![rsa("a"), ec("b")]).unwrap();

    assert_eq!(set.find(Some("a"), Algorithm::Rs256).unwrap().kid(), Some("a"));
    assert_eq!(set.find(Some("b"), Algorithm::Es256).unwrap().kid(), Some("b"));
    assert_eq!(set.keys().len(), 2);
}

#[test]
fn t_26_an_unknown_key_id_is_refused_and_named() {
    let set = read(vec![rsa("a")]).unwrap();

    for kid in ["b", "A", "a ", "a\0", "", "../a", "' OR 1=1 --"] {
        let refused = set.find(Some(kid), Algorithm::Rs256).unwrap_err();
        assert!(matches!(refused, KeyNotFound::UnknownKeyId { known: 1, .. }), "{kid:?}");
    }
}

#[test]
fn t_26_an_algorithm_that_the_key_is_not_for_is_refused() {
    let set = read(vec![rsa("a"), ec("b")]).unwrap();

    assert_eq!(
        set.find(Some("a"), Algorithm::Es256).unwrap_err(),
        KeyNotFound::Algorithm {
            found: Algorithm::Es256,
            expected: "RS256".to_owned()
        }
    );
}

#[test]
fn without_a_key_id_exactly_one_key_must_come_into_question() {
    let set = read(vec![rsa("a"), ec("b"), ec("c")]).unwrap();

    assert_eq!(set.find(None, Algorithm::Rs256).unwrap().kid(), Some("a"));
    assert_eq!(
        set.find(None, Algorithm::Es256).unwrap_err(),
        KeyNotFound::NoKeyId { candidates: 2 }
    );
    assert_eq!(
        set.find(None, Algorithm::Ps512).unwrap_err(),
        KeyNotFound::NoKeyId { candidates: 0 }
    );
}

#[test]
fn tm_11_takes_1_to_100_keys_and_refuses_none_and_101() {
    let keys = |count: usize| (0..count).map(|n| ec(&n.to_string())).collect::<Vec<_>>();

    assert_eq!(read(keys(1)).unwrap().keys().len(), 1);
    assert_eq!(read(keys(100)).unwrap().keys().len(), 100);
    assert!(matches!(read(keys(0)), Err(KeySetRefused::Count { found: 0 })));
    assert!(matches!(read(keys(101)), Err(KeySetRefused::Count { found: 101 })));
}

#[test]
fn jwk_7_one_symmetric_key_refuses_the_whole_set() {
    let refused = read(vec![rsa("a"), json!({"kty": "oct", "k": "AAAA", "kid": "b"})]).unwrap_err();

    assert!(matches!(
        refused,
        KeySetRefused::Secret {
            position: 1,
            reason: KeyRefused::Symmetric
        }
    ));
}

#[test]
fn jwk_7_a_private_key_whose_type_is_no_text_refuses_the_whole_set() {
    for kind in [Value::Null, json!(1), json!(["EC"]), json!({})] {
        let refused = read(vec![ec("a"), json!({"kty": kind, "d": "AQAB"})]).unwrap_err();
        assert!(matches!(refused, KeySetRefused::Secret { position: 1, .. }), "{kind}");
    }
}

#[test]
fn jwk_7_one_private_member_refuses_the_whole_set() {
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let refused = read(vec![ec("a"), with(rsa("b"), name, "AQAB")]).unwrap_err();
        assert!(
            matches!(refused, KeySetRefused::Secret { position: 1, .. }),
            "{name}: {refused}"
        );
    }
}

#[test]
fn jwk_7_a_key_id_that_stands_twice_refuses_the_whole_set() {
    assert!(matches!(
        read(vec![rsa("a"), ec("a")]),
        Err(KeySetRefused::DuplicateKeyId { .. })
    ));
    // Also where one of the two could not be used anyway: which one is meant depends on the reader.
    assert!(matches!(
        read(vec![rsa("a"), with(ec("a"), "use", "enc")]),
        Err(KeySetRefused::DuplicateKeyId { .. })
    ));
}

#[test]
fn several_keys_may_have_no_id() {
    let set = read(vec![without(rsa("a"), "kid"), without(ec("b"), "kid")]).unwrap();

    assert_eq!(set.find(None, Algorithm::Rs256).unwrap().kid(), None);
}

#[test]
fn jwk_2_leaves_out_a_key_it_cannot_use_and_keeps_why() {
    let set = read(vec![
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "ed"}),
        with(rsa("enc"), "use", "enc"),
        json!(7),
        with(rsa("weak"), "n", "AQAB"),
        ec("good"),
    ])
    .unwrap();

    let ignored: Vec<_> = set.ignored().iter().map(|key| (key.position(), key.kid())).collect();
    assert_eq!(
        ignored,
        [(0, Some("ed")), (1, Some("enc")), (2, None), (3, Some("weak"))]
    );
    assert!(matches!(set.ignored()[0].reason(), KeyRefused::Unknown { .. }));
    assert!(matches!(set.ignored()[1].reason(), KeyRefused::Use { .. }));
    assert!(matches!(set.ignored()[2].reason(), KeyRefused::WrongType { .. }));
    assert!(matches!(set.ignored()[3].reason(), KeyRefused::Size { found: 17 }));
    assert_eq!(set.keys().len(), 1);
}

#[test]
fn a_set_without_a_usable_key_is_refused_with_every_reason() {
    let refused = read(vec![with(rsa("enc"), "use", "enc")]).unwrap_err();

    assert!(
        matches!(refused, KeySetRefused::NoUsableKey { ref ignored } if ignored.len() == 1),
        "{refused}"
    );
}

#[test]
fn only_the_algorithms_that_are_allowed_can_be_found() {
    let document = json!({ "keys": [without(rsa("a"), "alg"), ec("b")] }).to_string();
    let set = KeySet::parse_allowing(document.as_bytes(), &[Algorithm::Rs256]).unwrap();

    assert!(set.find(Some("a"), Algorithm::Rs256).is_ok());
    assert!(set.find(Some("a"), Algorithm::Rs512).is_err());
    assert!(set.find(Some("b"), Algorithm::Es256).is_err());
}

#[test]
fn t_48_a_key_that_says_that_it_is_another_issuers_is_left_out() {
    let issuer = "https://login.example/7d1c2b3a/v2.0";
    let named = |named: Value| {
        let mut key = rsa("a");
        key["issuer"] = named;
        let document = json!({ "keys": [key, rsa("b")] }).to_string();
        KeySet::parse_issued(document.as_bytes(), &[Algorithm::Rs256], issuer).unwrap()
    };

    for own in [issuer, "https://login.example/{tenantid}/v2.0"] {
        let set = named(json!(own));
        assert!(set.find(Some("a"), Algorithm::Rs256).is_ok(), "{own}");
    }
    for other in [
        json!("https://login.example/9188040d/v2.0"),
        json!("https://login.example/{tenantid}/v1.0"),
        json!("https://evil.example/{tenantid}/v2.0"),
        json!("https://login.example/{tenantid}"),
        json!("https://{tenantid}/v2.0"),
        json!("https://login.example/7d1c2b3a{tenantid}/v2.0"),
        json!(""),
        json!(7),
    ] {
        let set = named(other.clone());
        assert!(set.find(Some("a"), Algorithm::Rs256).is_err(), "{other}");
        assert!(set.find(Some("b"), Algorithm::Rs256).is_ok(), "{other}");
        let reason = set.ignored()[0].reason();
        assert!(matches!(reason, KeyRefused::OtherIssuer { .. }), "{other}: {reason}");
    }
}

#[test]
fn refuses_what_is_no_set() {
    for document in [
        "{}",
        "[]",
        "7",
        "null",
        "\"keys\"",
        "{\"keys\":7}",
        "{\"keys\":{}}",
        "{\"Keys\":[]}",
    ] {
        let refused = KeySet::parse(document.as_bytes()).unwrap_err();
        assert!(
            matches!(refused, KeySetRefused::NotAKeySet { .. }),
            "{document}: {refused}"
        );
    }
    assert!(matches!(KeySet::parse(b"<html>"), Err(KeySetRefused::Json(_))));
}

#[test]
fn jwk_1_refuses_a_set_with_a_member_that_stands_twice() {
    let key = ec("a").to_string();
    let document = format!("{{\"keys\":[{key}],\"keys\":[{key}]}}");

    assert!(matches!(
        KeySet::parse(document.as_bytes()),
        Err(KeySetRefused::Json(_))
    ));
}

proptest! {
    #[test]
    fn keys_of_a_changed_set_read_the_same_when_they_are_written_again(
        changed in mutated(json!({ "keys": [rsa("a"), ec("b")] }).to_string().into_bytes()),
    ) {
        if let Ok(set) = KeySet::parse(&changed) {
            prop_assert!(set.keys().len() + set.ignored().len() <= MAX_KEYS);
            for key in set.keys() {
                // A number that changed is refused where it is a point's, and another key where it is a modulus.
                let known = [rs256().thumbprint(), es256().thumbprint()];
                let is_rsa = matches!(key.material(), crate::jose::KeyMaterial::Rsa { .. });
                prop_assert!(is_rsa || known.contains(&key.thumbprint()));
            }
        }
    }

    #[test]
    fn jwk_7_any_set_with_a_private_member_is_refused_whole(
        kind in prop_oneof![
            Just(Value::Null),
            any::<u8>().prop_map(Value::from),
            "(EC|RSA|OKP|oct|AKP|.{0,4})".prop_map(Value::from),
            Just(json!(["EC"])),
        ],
        name in "(d|p|q|dp|dq|qi|oth|k)",
    ) {
        let mut private = json!({ "kty": kind });
        private[name.as_str()] = "AAAA".into();
        let refused = read(vec![ec("b"), private]);
        prop_assert!(matches!(refused, Err(KeySetRefused::Secret { position: 1, .. })), "{:?}", refused);
    }

    #[test]
    fn never_panics_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(KeySet::parse(&bytes).is_err());
    }
}
