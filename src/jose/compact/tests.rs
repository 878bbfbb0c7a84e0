use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    jose::tests::{claims, es256, header, input, public, rs256, signed, token},
    mutated::mutated_text,
};

fn refusal(token: &str) -> TokenRefused {
    Unverified::parse(token).unwrap_err()
}

/// Returns a token of the given documents with a signature that is only well-formed.
fn unsigned(header: &[u8], payload: &[u8]) -> String {
    format!("{}.AAAA", input(header, payload))
}

const HEADER: &[u8] = br#"{"alg":"RS256"}"#;

#[test]
fn reads_and_verifies_a_whole_token() {
    for key in [rs256(), es256()] {
        let token = token(key);
        let unverified = Unverified::parse(&token).unwrap();

        assert_eq!(unverified.algorithm(), key.algorithm());
        assert_eq!(unverified.kid(), Some("kid-1"));
        assert_eq!(unverified.typ(), Some("JWT"));
        assert_eq!(unverified.issuer_unverified(), Some("https://token.example"));
        let verified = unverified.verify(&public(key)).unwrap();
        assert_eq!(verified.get().text("sub"), Ok(Some("repo:acme/shop")));
        assert_eq!(verified.into_inner().iter().count(), 7);
    }
}

#[test]
fn the_digest_is_of_the_signing_input_and_not_of_the_signature() {
    let (one, two) = (token(es256()), token(es256()));
    let digest = |token: &str| Unverified::parse(token).unwrap().signing_input_sha256();
    let (signing_input, _) = one.rsplit_once('.').unwrap();

    assert_ne!(one, two);
    assert_eq!(digest(&one), digest(&two));
    assert_eq!(digest(&one), Digest::of(signing_input.as_bytes()));
}

#[test]
fn an_issuer_that_is_no_text_is_no_issuer() {
    for issuer in [json!(7), json!(null), json!(["https://token.example"])] {
        let token = unsigned(HEADER, json!({ "iss": issuer }).to_string().as_bytes());
        assert_eq!(Unverified::parse(&token).unwrap().issuer_unverified(), None);
    }
}

#[test]
fn jwt_bcp_12_takes_16_kib_and_refuses_one_byte_more() {
    let start = unsigned(HEADER, b"{}");
    let to = |length: usize| format!("{start}{}", "A".repeat(length - start.len()));

    assert!(Unverified::parse(&to(16 * 1024)).is_ok());
    assert!(matches!(
        refusal(&to(16 * 1024 + 1)),
        TokenRefused::TooLong {
            found: 16_385,
            limit: 16_384
        }
    ));
}

#[test]
fn jwt_bcp_12_takes_a_header_of_4_kib_and_refuses_one_byte_more() {
    let of = |length: usize| {
        let start = r#"{"alg":"RS256","x":""#.len() + 2;
        let header = format!(r#"{{"alg":"RS256","x":"{}"}}"#, "a".repeat(length - start));
        assert_eq!(header.len(), length);
        unsigned(header.as_bytes(), b"{}")
    };

    assert!(Unverified::parse(&of(4096)).is_ok());
    assert!(matches!(
        refusal(&of(4097)),
        TokenRefused::Header(HeaderRefused::TooLong { found: 4097 })
    ));
}

#[test]
fn t_15_refuses_dots_without_splitting_at_them() {
    assert!(matches!(
        refusal(&".".repeat(16_384)),
        TokenRefused::Parts { found: 16_385 }
    ));
    assert!(matches!(refusal(&".".repeat(1 << 20)), TokenRefused::TooLong { .. }));
    assert!(matches!(refusal(&".".repeat(10_000_000)), TokenRefused::TooLong { .. }));
}

#[test]
fn t_52_refuses_every_number_of_parts_but_three() {
    for parts in [1, 2, 4, 5, 6] {
        let token = vec!["e30"; parts].join(".");
        assert!(
            matches!(refusal(&token), TokenRefused::Parts { found } if found == parts),
            "{parts}"
        );
    }
    assert!(matches!(refusal(""), TokenRefused::Parts { found: 1 }));
}

#[test]
fn jwt_svid_1_refuses_json_serialisation() {
    let flattened = r#"{"protected":"eyJhbGciOiJSUzI1NiJ9","payload":"e30","signature":"AAAA"}"#;

    assert!(matches!(refusal(flattened), TokenRefused::Parts { found: 1 }));
}

#[test]
fn jwt_1_refuses_padding_white_space_line_breaks_and_the_other_alphabet() {
    let token = token(rs256());
    let parts: Vec<&str> = token.split('.').collect();

    for (index, part) in ["header", "payload", "signature"].into_iter().enumerate() {
        for bad in ["=", "==", " ", "\n", "\r\n", "\t", "+", "/", "%3D", "\0", "é"] {
            for changed in [format!("{}{bad}", parts[index]), format!("{bad}{}", parts[index])] {
                let mut parts = parts.clone();
                parts[index] = &changed;
                let refused = refusal(&parts.join("."));
                assert!(
                    matches!(refused, TokenRefused::Encoding { part: found, .. } if found == part),
                    "{part} {bad:?}: {refused}"
                );
            }
        }
    }
}

#[test]
fn jwt_1_refuses_a_second_encoding_of_the_same_bytes() {
    // 64 bytes leave four unused bits in the last character; all but one of their values are non-canonical.
    let token = token(es256());
    let (rest, last) = token.split_at(token.len() - 1);
    let alphabet: Vec<char> = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['-', '_'])
        .collect();
    let index = alphabet
        .iter()
        .position(|character| last.starts_with(*character))
        .unwrap();

    assert_eq!(index % 16, 0);
    for other in &alphabet[index + 1..index + 16] {
        let changed = format!("{rest}{other}");
        assert!(matches!(
            refusal(&changed),
            TokenRefused::Encoding { part: "signature", .. }
        ));
    }
}

#[test]
fn jwt_1_refuses_a_header_or_claims_that_are_no_object() {
    for document in ["null", "true", "7", "\"a\"", "[]"] {
        let refused = refusal(&unsigned(document.as_bytes(), b"{}"));
        assert!(
            matches!(refused, TokenRefused::Header(HeaderRefused::NotAnObject { .. })),
            "{document}"
        );
        let refused = refusal(&unsigned(HEADER, document.as_bytes()));
        assert!(
            matches!(refused, TokenRefused::Claims(ClaimsRefused::NotAnObject { .. })),
            "{document}"
        );
    }
}

#[test]
fn jwt_1_refuses_a_header_or_claims_that_are_no_strict_json() {
    for document in [
        &b""[..],
        b"{",
        b"{}{}",
        b"\xff",
        br#"{"alg":"RS256","alg":"RS256"}"#,
        b"\xef\xbb\xbf{}",
    ] {
        let refused = refusal(&unsigned(document, b"{}"));
        assert!(
            matches!(refused, TokenRefused::Header(HeaderRefused::Json(_))),
            "{document:?}"
        );
        let refused = refusal(&unsigned(HEADER, document));
        assert!(
            matches!(refused, TokenRefused::Claims(ClaimsRefused::Json(_))),
            "{document:?}"
        );
    }
}

#[test]
fn jwt_4_refuses_a_claim_that_stands_twice() {
    let refused = refusal(&unsigned(HEADER, br#"{"sub":"a","sub":"b"}"#));

    assert!(matches!(refused, TokenRefused::Claims(ClaimsRefused::Json(_))));
}

#[test]
fn jwt_3_refuses_a_header_without_an_algorithm() {
    let refused = refusal(&unsigned(b"{}", b"{}"));

    assert!(matches!(
        refused,
        TokenRefused::Header(HeaderRefused::Missing { name: "alg" })
    ));
}

#[test]
fn t_49_refuses_header_members_of_the_wrong_type() {
    for name in ["alg", "kid", "typ"] {
        for value in [json!(null), json!(7), json!(["RS256"]), json!({}), json!(true)] {
            let mut header = header(rs256());
            header[name] = value.clone();
            let refused = refusal(&signed(rs256(), &header, &claims()));
            assert!(
                matches!(refused, TokenRefused::Header(HeaderRefused::WrongType { name: found, .. }) if found == name),
                "{name} {value}: {refused}"
            );
        }
    }
}

#[test]
fn jwt_bcp_10_takes_a_key_id_of_256_bytes_and_refuses_257() {
    let of = |kid: &str| unsigned(json!({"alg": "RS256", "kid": kid}).to_string().as_bytes(), b"{}");

    assert!(Unverified::parse(&of(&"k".repeat(256))).is_ok());
    for kid in [&"k".repeat(257), "", "a\nb", "a\0", "\u{85}"] {
        let refused = refusal(&of(kid));
        assert!(
            matches!(refused, TokenRefused::Header(HeaderRefused::KeyId { bytes, .. }) if bytes == kid.len()),
            "{kid:?}: {refused}"
        );
    }
}

#[test]
fn takes_the_thumbprint_that_github_and_entra_send_and_never_uses_it() {
    let mut header = header(rs256());
    header["x5t"] = json!("AAAA");
    let token = signed(rs256(), &header, &claims());

    assert!(Unverified::parse(&token).unwrap().verify(&public(rs256())).is_ok());
}

#[test]
fn jwt_svid_2_a_jwt_svid_has_no_further_header_member() {
    for name in ["x5t", "cty", "foo", "jwk", "crit"] {
        let mut header = header(es256());
        header[name] = json!("x");
        let token = signed(es256(), &header, &claims());
        let refused = Unverified::parse_jwt_svid(&token).unwrap_err();
        assert!(
            matches!(refused, TokenRefused::Header(HeaderRefused::ForbiddenMember { name: ref found }) if found == name),
            "{name}: {refused}"
        );
    }
}

#[test]
fn dec_3_a_jwt_svid_has_a_key_id() {
    let token = signed(es256(), &json!({"alg": "ES256", "typ": "JWT"}), &claims());

    assert!(Unverified::parse(&token).is_ok());
    assert!(matches!(
        Unverified::parse_jwt_svid(&token).unwrap_err(),
        TokenRefused::Header(HeaderRefused::Missing { name: "kid" })
    ));
}

#[test]
fn jwt_svid_4_the_type_of_a_jwt_svid_is_jwt_or_jose_or_absent() {
    let of = |typ: Option<&str>| {
        let mut header = json!({"alg": "ES256", "kid": "kid-1"});
        if let Some(typ) = typ {
            header["typ"] = json!(typ);
        }
        signed(es256(), &header, &claims())
    };

    for typ in [None, Some("JWT"), Some("JOSE")] {
        assert!(Unverified::parse_jwt_svid(&of(typ)).is_ok(), "{typ:?}");
    }
    for typ in [
        "jwt",
        "",
        "at+jwt",
        "wit+jwt",
        "wpt+jwt",
        "txntoken+jwt",
        "oauth-id-jag+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "application/jwt",
    ] {
        let token = of(Some(typ));
        let refused = Unverified::parse_jwt_svid(&token).unwrap_err();
        assert!(
            matches!(refused, TokenRefused::Header(HeaderRefused::Kind { .. })),
            "jwt_bcp_13 {typ}: {refused}"
        );
    }
}

#[test]
fn t_13_an_error_never_carries_what_could_break_a_log() {
    let hostile = "\r\nlevel=error admin\u{202e}\u{1b}[31m".repeat(40);
    let header = json!({ "alg": hostile });
    let refused = refusal(&unsigned(header.to_string().as_bytes(), b"{}"));

    let mut shown = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(&refused);
    while let Some(error) = next {
        shown.push_str(&error.to_string());
        next = error.source();
    }
    assert!(
        shown
            .chars()
            .all(|character| !character.is_control() && character != '\u{202e}'),
        "{shown}"
    );
    assert!(shown.len() < 1024, "{}", shown.len());
}

proptest! {
    #[test]
    fn never_panics_on_any_text(token in ".{0,300}") {
        let _either = Unverified::parse(&token);
        let _either = Unverified::parse_jwt_svid(&token);
    }

    #[test]
    fn never_panics_on_any_three_documents(
        header in proptest::collection::vec(any::<u8>(), 0..100),
        payload in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let _either = Unverified::parse(&unsigned(&header, &payload));
    }

    #[test]
    fn never_takes_a_header_with_any_other_algorithm(name in "[A-Za-z0-9]{0,8}") {
        prop_assume!(name.parse::<Algorithm>().is_err());
        let header = json!({ "alg": name }).to_string();
        let token = unsigned(header.as_bytes(), b"{}");
        prop_assert!(Unverified::parse(&token).is_err());
    }

    #[test]
    fn never_takes_a_random_signature(signature in proptest::collection::vec(any::<u8>(), 0..300)) {
        for key in [rs256(), es256()] {
            let input = input(header(key).to_string().as_bytes(), claims().to_string().as_bytes());
            let token = crate::jose::sign::assemble(input, &signature);
            prop_assert!(Unverified::parse(&token).unwrap().verify(&public(key)).is_err());
        }
    }

    #[test]
    fn never_verifies_a_token_that_was_changed(
        rsa in mutated_text(&token(rs256())),
        ec in mutated_text(&token(es256())),
    ) {
        for (key, changed) in [(rs256(), rsa), (es256(), ec)] {
            let verified = Unverified::parse(&changed).map(|token| token.verify(&public(key)).is_ok());
            prop_assert!(!verified.unwrap_or(false), "{}", changed);
        }
    }

    #[test]
    fn verifies_whatever_was_signed_and_gives_it_back(
        name in "[a-z_]{1,12}",
        text in ".{0,64}",
        number in any::<i64>(),
    ) {
        let stated = json!({ "iss": "https://token.example", name: [text, number, null, {}] });
        let token = signed(es256(), &header(es256()), &stated);
        let verified = Unverified::parse(&token).unwrap().verify(&public(es256())).unwrap();
        let given: serde_json::Map<_, _> =
            verified.get().iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        prop_assert_eq!(serde_json::Value::Object(given), stated);
    }
}
