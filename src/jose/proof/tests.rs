use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    jose::{
        KeyRefused, SigningKey,
        tests::{es256, rs256, signed},
    },
    mutated::mutated_text,
};

fn own_jwk(key: &SigningKey) -> Value {
    let mut jwk = serde_json::to_value(key.public_jwk("x")).unwrap();
    for name in ["kid", "use", "alg"] {
        jwk.as_object_mut().unwrap().remove(name);
    }
    jwk
}

fn header() -> Value {
    json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": own_jwk(es256())})
}

fn claims() -> Value {
    json!({
        "jti": "one", "htm": "POST", "htu": "https://exchange.acme.example:9443/v1/token",
        "iat": 1_768_574_400, "ath": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo",
    })
}

fn refusal(header: &Value) -> TokenRefused {
    EmbeddedKeyProof::parse(&signed(es256(), header, &claims())).unwrap_err()
}

fn changed(name: &str, value: impl Into<Value>) -> Value {
    let mut header = header();
    header[name] = value.into();
    header
}

#[test]
fn dpop_1_reads_a_proof_and_says_whose_key_made_it() {
    let proof = signed(es256(), &header(), &claims());
    let verified = EmbeddedKeyProof::parse(&proof).unwrap().verify().unwrap();

    assert_eq!(verified.get().thumbprint(), es256().thumbprint());
    assert_eq!(verified.get().claims().text("htm"), Ok(Some("POST")));
}

#[test]
fn dpop_2_refuses_a_signature_by_another_key_than_its_own() {
    let other = SigningKey::generate(crate::jose::SigningAlgorithm::Es256).unwrap();
    let proof = signed(&other, &header(), &claims());

    let refused = EmbeddedKeyProof::parse(&proof).unwrap().verify().unwrap_err();
    assert!(matches!(refused, SignatureRefused::Signature { .. }));
}

#[test]
fn dpop_2_refuses_every_other_type() {
    for typ in ["JWT", "dpop+JWT", "DPoP+jwt", "application/dpop+jwt", "", "at+jwt"] {
        let refused = refusal(&changed("typ", typ));
        assert!(
            matches!(refused, TokenRefused::Header(HeaderRefused::Kind { .. })),
            "{typ}: {refused}"
        );
    }
}

#[test]
fn dpop_1_refuses_a_header_without_one_of_its_members() {
    for name in ["typ", "alg", "jwk"] {
        let mut header = header();
        header.as_object_mut().unwrap().remove(name);
        let refused = refusal(&header);
        assert!(
            matches!(refused, TokenRefused::Header(HeaderRefused::Missing { name: found }) if found == name),
            "{name}: {refused}"
        );
    }
}

#[test]
fn dpop_1_refuses_a_header_with_any_further_member() {
    for name in ["kid", "x5c", "jku", "crit", "b64", "cty", "x5t", "foo"] {
        let refused = refusal(&changed(name, "x"));
        assert!(
            matches!(refused, TokenRefused::Header(HeaderRefused::ForbiddenMember { .. })),
            "{name}: {refused}"
        );
    }
}

#[test]
fn dpop_2_refuses_a_private_key_in_the_header() {
    let mut jwk = own_jwk(es256());
    jwk["d"] = json!("AAAA");

    let refused = refusal(&changed("jwk", jwk));
    assert!(matches!(
        refused,
        TokenRefused::EmbeddedKey(KeyRefused::Private { name: "d" })
    ));
}

#[test]
fn dpop_2_refuses_a_symmetric_key_in_the_header() {
    let refused = refusal(&changed("jwk", json!({"kty": "oct", "k": "AAAA"})));

    assert!(matches!(refused, TokenRefused::EmbeddedKey(KeyRefused::Symmetric)));
}

#[test]
fn dpop_2_refuses_a_key_that_es256_does_not_fit() {
    let refused = refusal(&changed("jwk", own_jwk(rs256())));

    assert!(matches!(
        refused,
        TokenRefused::EmbeddedKey(KeyRefused::AlgorithmMismatch { .. })
    ));
}

#[test]
fn dpop_2_refuses_a_key_that_is_no_object() {
    for jwk in [json!(7), json!("x"), json!([]), json!(null)] {
        let refused = refusal(&changed("jwk", jwk.clone()));
        assert!(
            matches!(
                refused,
                TokenRefused::Header(HeaderRefused::WrongType { name: "jwk", .. })
            ),
            "{jwk}: {refused}"
        );
    }
}

#[test]
fn dpop_2_refuses_another_algorithm_than_es256() {
    for algorithm in ["RS256", "ES384", "PS256"] {
        let proof = signed(es256(), &changed("alg", algorithm), &claims());
        let refused = EmbeddedKeyProof::parse(&proof).unwrap().verify().unwrap_err();
        assert!(matches!(refused, SignatureRefused::Algorithm { .. }), "{algorithm}");
    }
    for algorithm in ["none", "HS256", "EdDSA"] {
        let refused = refusal(&changed("alg", algorithm));
        assert!(
            matches!(refused, TokenRefused::Header(HeaderRefused::Algorithm(_))),
            "{algorithm}: {refused}"
        );
    }
}

#[test]
fn takes_a_proof_of_4_kib_and_refuses_one_byte_more() {
    // The signature part is only decoded here, so it may fill the proof up.
    let start = signed(es256(), &header(), &claims());
    let of = |length: usize| format!("{start}{}", "A".repeat(length - start.len()));
    let fits = (0..4)
        .map(|less| of(4096 - less))
        .find(|proof| EmbeddedKeyProof::parse(proof).is_ok());

    assert!(fits.is_some());
    assert!(!matches!(
        EmbeddedKeyProof::parse(&of(4096)),
        Err(TokenRefused::TooLong { .. })
    ));
    assert!(matches!(
        EmbeddedKeyProof::parse(&of(4097)),
        Err(TokenRefused::TooLong {
            found: 4097,
            limit: 4096
        })
    ));
}

#[test]
fn jwt_bcp_13_evidence_is_no_proof_and_a_proof_is_no_evidence() {
    let evidence = crate::jose::tests::token(es256());
    let proof = signed(es256(), &header(), &claims());

    assert!(EmbeddedKeyProof::parse(&evidence).is_err());
    assert!(crate::jose::Unverified::parse(&proof).is_err());
    assert!(crate::jose::Unverified::parse_jwt_svid(&proof).is_err());
}

proptest! {
    #[test]
    fn never_panics_on_any_text(proof in ".{0,300}") {
        let _either = EmbeddedKeyProof::parse(&proof);
    }

    #[test]
    fn dpop_2_never_verifies_a_proof_that_was_changed(
        changed in mutated_text(&signed(es256(), &header(), &claims())),
    ) {
        let verified = EmbeddedKeyProof::parse(&changed).map(|proof| proof.verify().is_ok());
        prop_assert!(!verified.unwrap_or(false), "{}", changed);
    }
}
