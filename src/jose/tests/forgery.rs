//! What an attacker would try with a token of ours or of an issuer.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{claims, es256, header, input, public, rs256, signed, token};
use crate::jose::{
    Algorithm, HeaderRefused, KeyMaterial, KeySet, PublicKey, SignatureRefused, SigningAlgorithm, SigningKey,
    TokenRefused, Unverified, sign::assemble,
};

fn accepted(token: &[u8], key: &PublicKey) -> bool {
    std::str::from_utf8(token)
        .ok()
        .and_then(|token| Unverified::parse(token).ok())
        .is_some_and(|unverified| unverified.verify(key).is_ok())
}

#[test]
fn t_27_refuses_every_proper_prefix_and_suffix() {
    for key in [rs256(), es256()] {
        let (token, public) = (token(key), public(key));
        assert!(accepted(token.as_bytes(), &public));

        for cut in 0..token.len() {
            assert!(!accepted(&token.as_bytes()[..cut], &public), "prefix {cut}");
            assert!(!accepted(&token.as_bytes()[cut + 1..], &public), "suffix {cut}");
        }
    }
}

#[test]
fn t_27_refuses_every_flipped_bit() {
    for key in [rs256(), es256()] {
        let (token, public) = (token(key), public(key));

        for bit in 0..token.len() * 8 {
            let mut changed = token.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!accepted(&changed, &public), "bit {bit}");
        }
    }
}

#[test]
fn t_27_refuses_anything_after_the_token() {
    for more in ["A", "AA", "AAAA", ".", ".AAAA", " ", "\n", "\0", "="] {
        assert!(
            !accepted(format!("{}{more}", token(rs256())).as_bytes(), &public(rs256())),
            "{more:?}"
        );
    }
}

/// Every form in which a public key is at hand for whoever wants to use it as an HMAC secret.
fn public_forms(key: &SigningKey) -> Vec<Vec<u8>> {
    let jwk = serde_json::to_vec(&key.public_jwk("kid-1")).unwrap();
    let mut forms = vec![jwk];
    match key.public_jwk("kid-1").material() {
        KeyMaterial::Ec { x, y, .. } => {
            let decode = |text| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
            let point = [vec![4], decode(x), decode(y)].concat();
            // The SubjectPublicKeyInfo of a P-256 key is a fixed prefix and the point.
            let prefix = BASE64_STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgA=").unwrap();
            forms.extend([
                x.clone().into_bytes(),
                decode(x),
                [prefix, point.clone()].concat(),
                point,
            ]);
        }
        KeyMaterial::Rsa { n, .. } => forms.extend([n.clone().into_bytes(), BASE64_URL_SAFE_NO_PAD.decode(n).unwrap()]),
    }
    let pem: Vec<_> = forms
        .iter()
        .map(|form| {
            let body = BASE64_STANDARD.encode(form);
            format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n").into_bytes()
        })
        .collect();
    forms.extend(pem);
    forms
}

#[test]
fn t_21_refuses_hs256_with_our_public_key() {
    for key in [rs256(), es256()] {
        for secret in public_forms(key) {
            for (algorithm, name) in [
                (hmac::HMAC_SHA256, "HS256"),
                (hmac::HMAC_SHA384, "HS384"),
                (hmac::HMAC_SHA512, "HS512"),
            ] {
                let header = json!({"alg": name, "kid": "kid-1", "typ": "JWT"}).to_string();
                let input = input(header.as_bytes(), claims().to_string().as_bytes());
                let tag = hmac::sign(&hmac::Key::new(algorithm, &secret), input.as_bytes());
                let refused = Unverified::parse(&assemble(input, tag.as_ref())).unwrap_err();
                assert!(
                    matches!(refused, TokenRefused::Header(HeaderRefused::Algorithm(_))),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn t_21_refuses_an_hmac_under_the_name_of_the_keys_own_algorithm() {
    for key in [rs256(), es256()] {
        for secret in public_forms(key) {
            let input = input(header(key).to_string().as_bytes(), claims().to_string().as_bytes());
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
            let token = assemble(input, tag.as_ref());
            assert!(!accepted(token.as_bytes(), &public(key)));
        }
    }
}

#[test]
fn jwt_bcp_1_refuses_every_algorithm_but_the_keys_own_even_rightly_signed() {
    for key in [rs256(), es256()] {
        for algorithm in Algorithm::ALL {
            let mut header = header(key);
            header["alg"] = json!(algorithm.as_str());
            let token = signed(key, &header, &claims());
            let outcome = Unverified::parse(&token).unwrap().verify(&public(key));
            if algorithm == key.algorithm() {
                assert!(outcome.is_ok());
            } else {
                let refused = outcome.unwrap_err();
                assert!(matches!(refused, SignatureRefused::Algorithm { found, .. } if found == algorithm));
            }
        }
    }
}

#[test]
fn t_29_refuses_a_token_of_one_issuer_signed_by_another_under_the_same_key_id() {
    let other = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
    let token = signed(&other, &header(&other), &claims());

    let refused = Unverified::parse(&token).unwrap().verify(&public(es256())).unwrap_err();
    assert!(matches!(refused, SignatureRefused::Signature { .. }));
}

#[test]
fn t_54_refuses_every_header_member_that_brings_a_key_an_address_or_an_extension() {
    let own_key = serde_json::to_value(es256().public_jwk("kid-1")).unwrap();
    for (name, value) in [
        ("jwk", own_key),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/chain.pem")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!([])),
        ("crit", json!(["b64"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("epk", json!({})),
        ("apu", json!("x")),
        ("apv", json!("x")),
        ("p2c", json!(2_000_000_000)),
        ("p2s", json!("x")),
        ("cty", json!("JWT")),
    ] {
        let mut header = header(es256());
        header[name] = value;
        let refused = Unverified::parse(&signed(es256(), &header, &claims())).unwrap_err();
        assert!(
            matches!(refused, TokenRefused::Header(HeaderRefused::ForbiddenMember { name: ref found }) if found == name),
            "{name}: {refused}"
        );
    }
}

#[test]
fn t_54_refuses_none_in_every_spelling_with_and_without_a_signature() {
    for name in ["none", "None", "NONE", "nOnE", "n\u{3bf}ne", "none ", ""] {
        let header = json!({"alg": name, "typ": "JWT"}).to_string();
        let input = input(header.as_bytes(), claims().to_string().as_bytes());
        for token in [format!("{input}."), format!("{input}.AAAA")] {
            let refused = Unverified::parse(&token).unwrap_err();
            assert!(
                matches!(refused, TokenRefused::Header(HeaderRefused::Algorithm(_))),
                "{name:?}"
            );
        }
    }
}

#[test]
fn t_54_refuses_an_empty_signature() {
    for key in [rs256(), es256()] {
        let input = input(header(key).to_string().as_bytes(), claims().to_string().as_bytes());
        assert!(!accepted(format!("{input}.").as_bytes(), &public(key)));
    }
}

#[test]
fn t_54_a_key_id_is_only_ever_compared() {
    let set = json!({"keys": [es256().public_jwk("kid-1")]}).to_string();
    let set = KeySet::parse(set.as_bytes()).unwrap();

    for kid in [
        "../../../../dev/null",
        "/proc/self/environ",
        "kid-1' UNION SELECT 'x",
        "https://evil.example/key",
        "*",
        "kid-1\u{200b}",
        "KID-1",
        "$(id)",
    ] {
        let mut header = header(es256());
        header["kid"] = json!(kid);
        let token = signed(es256(), &header, &claims());
        let unverified = Unverified::parse(&token).unwrap();
        assert!(set.find(unverified.kid(), unverified.algorithm()).is_err(), "{kid}");
    }
}

#[test]
fn t_51_refuses_an_encrypted_token_by_its_five_parts() {
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2000000000}"#);

    assert!(matches!(
        Unverified::parse(&format!("{header}.AA.AA.AA.AA")).unwrap_err(),
        TokenRefused::Parts { found: 5 }
    ));
}

#[test]
fn t_26_each_fault_of_a_token_has_its_own_refusal() {
    let set = json!({"keys": [es256().public_jwk("kid-1")]}).to_string();
    let set = KeySet::parse(set.as_bytes()).unwrap();
    let judge = |token: &str| -> String {
        let unverified = match Unverified::parse(token) {
            Ok(unverified) => unverified,
            Err(refused) => return variant(&refused),
        };
        match set.find(unverified.kid(), unverified.algorithm()) {
            Err(refused) => variant(&refused),
            Ok(key) => unverified
                .verify(key)
                .map_or_else(|refused| variant(&refused), |_| "accepted".to_owned()),
        }
    };
    let with = |name: &str, value: Value| {
        let mut header = header(es256());
        header[name] = value;
        signed(es256(), &header, &claims())
    };
    let whole = token(es256());
    let (start, _) = whole.rsplit_once('.').unwrap();

    assert_eq!(judge(&token(es256())), "accepted");
    assert_eq!(judge(&format!("{start}.{}", "A".repeat(86))), "Signature");
    assert_eq!(judge(&with("kid", json!("other"))), "UnknownKeyId");
    assert_eq!(judge(&with("alg", json!("RS256"))), "Algorithm");
    assert_eq!(judge(&with("alg", json!("none"))), "Header/Algorithm");
    assert_eq!(judge(&with("typ", json!(7))), "Header/WrongType");
    assert_eq!(judge(&with("crit", json!(["x"]))), "Header/ForbiddenMember");
}

/// Returns the names at the head of an error's debug form, the outer one and what it holds.
fn variant(refused: &impl std::fmt::Debug) -> String {
    let shown = format!("{refused:?}");
    let names = shown.split(['(', ' ', '{']).take(2);
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    names.join("/")
}
