use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::jose::{
    Curve,
    tests::{es256, rs256},
};

fn rsa() -> Map<String, Value> {
    object(&serde_json::to_value(rs256().public_jwk("rsa-1")).unwrap())
}

fn ec() -> Map<String, Value> {
    object(&serde_json::to_value(es256().public_jwk("ec-1")).unwrap())
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn with(mut jwk: Map<String, Value>, name: &str, value: impl Into<Value>) -> Map<String, Value> {
    jwk.insert(name.to_owned(), value.into());
    jwk
}

fn without(mut jwk: Map<String, Value>, name: &str) -> Map<String, Value> {
    jwk.remove(name);
    jwk
}

fn read(jwk: &Map<String, Value>) -> Result<PublicKey, KeyRefused> {
    PublicKey::from_jwk(jwk, &Algorithm::ALL)
}

/// An RSA key of our own choosing; only its form is judged.
fn rsa_of(modulus: &[u8], exponent: &[u8]) -> Map<String, Value> {
    let encode = |bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    object(&json!({"kty": "RSA", "n": encode(modulus), "e": encode(exponent)}))
}

/// A modulus of exactly `bits` bits, odd, and without the structure of ROCA.
fn modulus(bits: usize) -> Vec<u8> {
    let mut bytes = vec![0x5b; bits.div_ceil(8)];
    bytes[0] = 1 << ((bits - 1) % 8);
    bytes
}

#[test]
fn jwt_bcp_1_a_key_with_an_algorithm_is_used_with_that_one_only() {
    let key = read(&with(rsa(), "alg", "PS384")).unwrap();

    assert_eq!(key.algorithms().collect::<Vec<_>>(), [Algorithm::Ps384]);
    assert!(!key.allows(Algorithm::Rs256));
}

#[test]
fn jwt_bcp_1_a_key_without_an_algorithm_is_used_with_those_of_its_type_that_are_allowed() {
    let rsa = without(rsa(), "alg");
    let ec = without(ec(), "alg");
    let names = |key: &PublicKey| Algorithm::names(key.algorithms());

    assert_eq!(names(&read(&rsa).unwrap()), "PS256, PS384, PS512, RS256, RS384, RS512");
    assert_eq!(names(&read(&ec).unwrap()), "ES256");
    let only = [Algorithm::Rs256, Algorithm::Es256];
    assert_eq!(names(&PublicKey::from_jwk(&rsa, &only).unwrap()), "RS256");
    assert!(matches!(
        PublicKey::from_jwk(&rsa, &[Algorithm::Es256]),
        Err(KeyRefused::AlgorithmMismatch { .. })
    ));
}

#[test]
fn jwt_bcp_1_refuses_an_algorithm_that_does_not_fit_the_key() {
    for (jwk, algorithm) in [(rsa(), "ES256"), (ec(), "RS256"), (ec(), "ES384"), (ec(), "PS256")] {
        let refused = read(&with(jwk, "alg", algorithm)).unwrap_err();
        assert!(
            matches!(refused, KeyRefused::AlgorithmMismatch { .. }),
            "{algorithm}: {refused}"
        );
    }
    let refused = PublicKey::from_jwk(&rsa(), &[Algorithm::Rs512]).unwrap_err();
    assert_eq!(refused.to_string(), "key is for RS256, expected one of: RS512");
}

#[test]
fn t_21_refuses_a_key_for_an_algorithm_outside_the_list() {
    for algorithm in ["HS256", "none", "EdDSA", "ES521", "RSA-OAEP", ""] {
        let refused = read(&with(rsa(), "alg", algorithm)).unwrap_err();
        assert!(matches!(refused, KeyRefused::Algorithm(_)), "{algorithm}: {refused}");
    }
}

#[test]
fn dpop_2_refuses_every_private_member_of_either_type() {
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for jwk in [rsa(), ec()] {
            let refused = read(&with(jwk, name, "AQAB")).unwrap_err();
            assert!(matches!(refused, KeyRefused::Private { name: found } if found == name));
            assert!(refused.shows_a_secret());
        }
    }
}

#[test]
fn jwk_7_refuses_a_symmetric_key() {
    let refused = read(&object(&json!({"kty": "oct", "k": "AAAA"}))).unwrap_err();

    assert!(matches!(refused, KeyRefused::Symmetric));
    assert!(refused.shows_a_secret());
}

#[test]
fn jwk_2_refuses_a_missing_member_and_names_it() {
    for (jwk, name) in [
        (rsa(), "kty"),
        (rsa(), "n"),
        (rsa(), "e"),
        (ec(), "kty"),
        (ec(), "crv"),
        (ec(), "x"),
        (ec(), "y"),
    ] {
        let refused = read(&without(jwk, name)).unwrap_err();
        assert!(
            matches!(refused, KeyRefused::Missing { name: found } if found == name),
            "{name}: {refused}"
        );
    }
}

#[test]
fn jwk_2_refuses_a_member_of_the_wrong_type() {
    for (jwk, name) in [
        (rsa(), "kty"),
        (rsa(), "n"),
        (rsa(), "alg"),
        (rsa(), "kid"),
        (rsa(), "use"),
        (rsa(), "key_ops"),
        (rsa(), "x5c"),
        (ec(), "crv"),
        (ec(), "x"),
    ] {
        let refused = read(&with(jwk, name, 7)).unwrap_err();
        assert!(
            matches!(refused, KeyRefused::WrongType { name: found, .. } if found == name),
            "{name}: {refused}"
        );
    }
}

#[test]
fn jwk_2_refuses_an_unknown_type_or_curve() {
    for (jwk, name, value) in [
        (rsa(), "kty", "OKP"),
        (rsa(), "kty", "rsa"),
        (ec(), "kty", "AKP"),
        (ec(), "crv", "P-521"),
        (ec(), "crv", "secp256k1"),
    ] {
        let refused = read(&with(jwk, name, value)).unwrap_err();
        assert!(
            matches!(refused, KeyRefused::Unknown { name: found, .. } if found == name),
            "{value}: {refused}"
        );
    }
}

#[test]
fn jwk_2_ignores_unknown_members() {
    assert!(read(&with(with(rsa(), "issuer", "https://x.example"), "x5t", "wrong")).is_ok());
}

#[test]
fn jwk_4_refuses_a_key_that_is_not_for_verifying() {
    for key_use in ["enc", "x509-svid", "SIG", ""] {
        let refused = read(&with(rsa(), "use", key_use)).unwrap_err();
        assert!(matches!(refused, KeyRefused::Use { .. }), "{key_use}: {refused}");
    }
    for operations in [json!(["encrypt"]), json!([]), json!(["sign"]), json!([7])] {
        let refused = read(&with(rsa(), "key_ops", operations.clone())).unwrap_err();
        assert!(matches!(refused, KeyRefused::Use { .. }), "{operations}: {refused}");
    }
    assert!(read(&with(rsa(), "key_ops", json!(["verify"]))).is_ok());
    assert!(read(&without(rsa(), "use")).is_ok());
}

#[test]
fn t_06_takes_rsa_keys_of_2048_to_4096_bits_and_refuses_one_bit_less_or_more() {
    for bits in [2048, 2049, 4096] {
        assert!(read(&rsa_of(&modulus(bits), &[1, 0, 1])).is_ok(), "{bits}");
    }
    for bits in [24, 1024, 2047, 4097, 16_384] {
        let refused = read(&rsa_of(&modulus(bits), &[1, 0, 1])).unwrap_err();
        assert!(
            matches!(refused, KeyRefused::Size { found } if found == bits),
            "{bits}: {refused}"
        );
    }
}

#[test]
fn t_06_refuses_weak_and_burdensome_exponents() {
    for exponent in [&[3][..], &[1, 0, 1], &[1, 0xff, 0xff, 0xff, 0xff]] {
        assert!(read(&rsa_of(&modulus(2048), exponent)).is_ok(), "{exponent:?}");
    }
    for exponent in [&[1][..], &[2], &[1, 0, 0], &[2, 0, 0, 0, 1], &[0xff; 8], &[0xff; 256]] {
        let refused = read(&rsa_of(&modulus(2048), exponent)).unwrap_err();
        assert!(
            matches!(refused, KeyRefused::Exponent { .. }),
            "{exponent:?}: {refused}"
        );
    }
}

#[test]
fn refuses_a_second_encoding_of_one_key() {
    let mut padded = vec![0];
    padded.extend(modulus(2048));

    let refused = read(&rsa_of(&padded, &[1, 0, 1])).unwrap_err();
    assert!(matches!(refused, KeyRefused::Length { name: "n", .. }), "{refused}");
    let refused = read(&rsa_of(&modulus(2048), &[0, 1, 0, 1])).unwrap_err();
    assert!(matches!(refused, KeyRefused::Length { name: "e", .. }), "{refused}");
    let refused = read(&rsa_of(&modulus(2048), &[])).unwrap_err();
    assert!(matches!(refused, KeyRefused::Length { name: "e", .. }), "{refused}");
    for exponent in ["AQAB=", "AQ+B", "AQA B", "AQE=", "AR"] {
        let refused = read(&with(rsa(), "e", exponent)).unwrap_err();
        assert!(
            matches!(refused, KeyRefused::Encoding { name: "e", .. }),
            "{exponent}: {refused}"
        );
    }
}

#[test]
fn refuses_an_even_modulus() {
    let mut even = modulus(2048);
    *even.last_mut().unwrap() = 0;

    assert!(matches!(read(&rsa_of(&even, &[1, 0, 1])), Err(KeyRefused::EvenModulus)));
}

#[test]
fn jwt_bcp_4_refuses_a_point_off_the_curve_and_the_point_at_infinity() {
    let encode = |bytes: [u8; 32]| BASE64_URL_SAFE_NO_PAD.encode(bytes);

    for y in [[0; 32], [7; 32], [0xff; 32]] {
        let refused = read(&with(ec(), "y", encode(y))).unwrap_err();
        assert!(matches!(refused, KeyRefused::Rejected(_)), "{refused}");
    }
    let infinity = with(with(ec(), "x", encode([0; 32])), "y", encode([0; 32]));
    assert!(matches!(read(&infinity), Err(KeyRefused::Rejected(_))));
}

#[test]
fn jwt_bcp_4_refuses_coordinates_of_another_length() {
    for length in [31, 33, 48, 0] {
        let x = BASE64_URL_SAFE_NO_PAD.encode(vec![1; length]);
        let refused = read(&with(ec(), "x", x)).unwrap_err();
        assert!(
            matches!(refused, KeyRefused::Length { name: "x", found, .. } if found == length),
            "{refused}"
        );
    }
    let refused = read(&with(ec(), "crv", "P-384")).unwrap_err();
    assert!(
        matches!(refused, KeyRefused::Length { expected: "48", .. }),
        "{refused}"
    );
}

#[test]
fn jwt_bcp_10_bounds_the_key_id() {
    assert!(read(&with(ec(), "kid", "k".repeat(256))).is_ok());
    for kid in ["k".repeat(257), String::new(), "a\nb".to_owned(), "a\0".to_owned()] {
        let refused = read(&with(ec(), "kid", kid)).unwrap_err();
        assert!(matches!(refused, KeyRefused::KeyId { .. }), "{refused}");
    }
    assert_eq!(read(&without(ec(), "kid")).unwrap().kid(), None);
}

#[test]
fn jwk_5_takes_a_key_whose_certificate_holds_it_and_refuses_another() {
    let key = read(&ec()).unwrap();
    let public_key = key.verifiers[0].1.as_ref();
    let own = [b"before", public_key, b"after"].concat();
    let other = [b"before", &public_key[..public_key.len() - 1], b"\x00after"].concat();
    let chain = |certificate: &[u8]| json!([BASE64_STANDARD.encode(certificate)]);

    assert!(read(&with(ec(), "x5c", chain(&own))).is_ok());
    let refused = read(&with(ec(), "x5c", chain(&other))).unwrap_err();
    assert!(matches!(refused, KeyRefused::Certificate { name: "x5c" }), "{refused}");
    let refused = read(&with(with(ec(), "x5c", chain(&own)), "x5t#S256", "AAAA")).unwrap_err();
    assert!(
        matches!(refused, KeyRefused::Certificate { name: "x5t#S256" }),
        "{refused}"
    );
    let right = BASE64_URL_SAFE_NO_PAD.encode(Digest::of(&own).as_bytes());
    assert!(read(&with(with(ec(), "x5c", chain(&own)), "x5t#S256", right)).is_ok());
}

#[test]
fn jwk_5_refuses_a_certificate_that_is_none() {
    for chain in [json!([]), json!("x"), json!([7])] {
        let refused = read(&with(ec(), "x5c", chain.clone())).unwrap_err();
        assert!(
            matches!(refused, KeyRefused::WrongType { name: "x5c", .. }),
            "{chain}: {refused}"
        );
    }
    let refused = read(&with(ec(), "x5c", json!(["-_"]))).unwrap_err();
    assert!(matches!(refused, KeyRefused::Encoding { name: "x5c", .. }), "{refused}");
}

#[test]
fn our_own_public_key_reads_back_with_its_one_algorithm() {
    let jwk = es256().public_jwk("a");
    let key = PublicKey::from_public_jwk(&jwk).unwrap();

    assert_eq!(key.kid(), Some("a"));
    assert_eq!(key.thumbprint(), jwk.thumbprint());
    assert_eq!(key.algorithms().collect::<Vec<_>>(), [Algorithm::Es256]);
    assert!(matches!(key.material(), KeyMaterial::Ec { curve: Curve::P256, .. }));
}

#[test]
fn debug_shows_what_a_log_needs() {
    let shown = format!("{:?}", read(&ec()).unwrap());

    assert!(shown.contains("ec-1") && shown.contains("ES256"), "{shown}");
}

proptest! {
    #[test]
    fn never_panics_on_any_member(name in "(kty|n|e|crv|x|y|alg|use|kid|key_ops|x5c|x5t#S256)", value in ".{0,64}") {
        for jwk in [rsa(), ec()] {
            let _either = read(&with(jwk, &name, value.as_str()));
        }
    }

    #[test]
    fn never_panics_on_any_numbers(n in proptest::collection::vec(any::<u8>(), 0..600), e in proptest::collection::vec(any::<u8>(), 0..12)) {
        let _either = read(&rsa_of(&n, &e));
    }

    #[test]
    fn never_takes_a_random_point(x in any::<[u8; 32]>(), y in any::<[u8; 32]>()) {
        let encode = |bytes: [u8; 32]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        prop_assert!(read(&with(with(ec(), "x", encode(x)), "y", encode(y))).is_err());
    }
}
