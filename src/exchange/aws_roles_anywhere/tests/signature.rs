//! The signer against an independent implementation of the documented steps.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use rustls::pki_types::CertificateDer;
use serde_json::Value;

use super::super::{
    request::signature::{Algorithm, Signer, Unsigned},
    rules::session::{decimal_serial, hex_serial},
};
use crate::{clock, mint::NotSigned, secret::Digest};

fn vector() -> Value {
    serde_json::from_str(include_str!(
        "../../../../tests/vectors/clouds/x509/create_session.json"
    ))
    .unwrap()
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("no `{name}`"))
}

/// Signs the vector's request and returns the authorization, the query and what was to sign.
fn signed(vector: &Value, change: impl FnOnce(&mut Vec<(&str, &str)>)) -> (String, String, String) {
    let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let chain: Vec<CertificateDer<'static>> = vector["chain"]
        .as_array()
        .unwrap()
        .iter()
        .map(|der| CertificateDer::from(decode(der)))
        .collect();
    let (_, certificate) = x509_parser::parse_x509_certificate(&chain[0]).unwrap();
    let serial = certificate.raw_serial().to_vec();
    let key = aws_lc_rs::rsa::KeyPair::from_pkcs8(&decode(&vector["key_pkcs8"])).unwrap();
    let mut query: Vec<(&str, &str)> = vector["query"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (&**name, value.as_str().unwrap()))
        .collect();
    change(&mut query);
    let unsigned = Unsigned {
        host: text(vector, "host"),
        region: text(vector, "region"),
        query: &query,
        body: text(vector, "body").as_bytes(),
        now: clock::parse_rfc3339(text(vector, "now")).unwrap(),
    };
    let identity = Signer {
        chain: &chain,
        serial: &serial,
        algorithm: Algorithm::Rsa,
    };
    let mut seen = String::new();
    let signed = unsigned
        .sign(identity, |message| {
            seen = String::from_utf8(message.to_vec()).unwrap();
            let mut signature = vec![0; key.public_modulus_len()];
            let random = aws_lc_rs::rand::SystemRandom::new();
            let padding = &aws_lc_rs::signature::RSA_PKCS1_SHA256;
            key.sign(padding, &random, message, &mut signature).unwrap();
            Ok::<_, NotSigned>(signature)
        })
        .unwrap();
    let authorization = signed.headers.iter().find(|(name, _)| *name == "authorization");
    (authorization.unwrap().1.clone(), signed.query, seen)
}

#[test]
fn the_signature_is_that_of_an_independent_implementation() {
    let vector = vector();

    let (authorization, query, to_sign) = signed(&vector, |_| {});

    assert_eq!(to_sign, text(&vector, "string_to_sign"));
    assert_eq!(query, text(&vector, "canonical_query"));
    assert_eq!(authorization, text(&vector, "authorization"));
}

#[test]
fn the_order_of_the_parameters_does_not_matter() {
    let vector = vector();

    let (authorization, _, _) = signed(&vector, |query| query.reverse());

    assert_eq!(authorization, text(&vector, "authorization"));
}

#[test]
fn the_scope_holds_the_serial_number_in_decimal_and_the_session_has_it_in_hex() {
    // clouds.md 2.2 has 291 as ID=0123.
    assert_eq!(
        (decimal_serial(&[0x01, 0x23]), hex_serial(&[0x01, 0x23])),
        ("291".to_owned(), "0123".to_owned())
    );
    assert_eq!(
        (decimal_serial(&[0, 0x80]), hex_serial(&[0, 0x80])),
        ("128".to_owned(), "80".to_owned())
    );
    assert_eq!(
        (decimal_serial(&[]), hex_serial(&[])),
        ("0".to_owned(), "00".to_owned())
    );
}

#[test]
fn a_request_without_intermediates_has_no_chain_header() {
    let now = clock::parse_rfc3339("2026-01-16T14:40:00Z").unwrap();
    let unsigned = Unsigned {
        host: "h",
        region: "r",
        query: &[],
        body: b"",
        now,
    };
    let chain = [CertificateDer::from(vec![1])];
    let identity = Signer {
        chain: &chain,
        serial: &[1],
        algorithm: Algorithm::Ecdsa,
    };

    let signed = unsigned.sign(identity, |_| Ok::<_, NotSigned>(vec![0xab])).unwrap();

    let names: Vec<&str> = signed.headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["content-type", "x-amz-date", "x-amz-x509", "authorization"]);
    assert_eq!(
        signed.headers[3].1,
        "AWS4-X509-ECDSA-SHA256 Credential=1/20260116/r/rolesanywhere/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-x509, Signature=ab"
    );
}

#[test]
fn a_key_that_does_not_sign_ends_it() {
    let unsigned = Unsigned {
        host: "h",
        region: "r",
        query: &[],
        body: b"",
        now: clock::parse_rfc3339("2026-01-16T14:40:00Z").unwrap(),
    };
    let identity = Signer {
        chain: &[],
        serial: &[],
        algorithm: Algorithm::Rsa,
    };

    assert_eq!(
        unsigned.sign(identity, |_| Err(NotSigned::Failed)),
        Err(NotSigned::Failed)
    );
}

proptest! {
    #[test]
    fn the_decimal_serial_is_the_number(bytes in proptest::collection::vec(any::<u8>(), 0..=16)) {
        let number = bytes.iter().fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));

        prop_assert_eq!(decimal_serial(&bytes), number.to_string());
    }

    #[test]
    fn a_long_serial_is_the_number_that_another_library_reads(bytes in proptest::collection::vec(any::<u8>(), 17..=20)) {
        let number = x509_parser::num_bigint::BigUint::from_bytes_be(&bytes);

        prop_assert_eq!(decimal_serial(&bytes), number.to_string());
    }

    #[test]
    fn every_value_survives_the_query_and_is_unreserved_or_encoded(value in ".{0,40}") {
        let unsigned = Unsigned {
            host: "h",
            region: "r",
            query: &[("roleArn", &value), ("a", "b")],
            body: b"",
            now: clock::parse_rfc3339("2026-01-16T14:40:00Z").unwrap(),
        };
        let identity = Signer { chain: &[], serial: &[1], algorithm: Algorithm::Rsa };

        let signed = unsigned.sign(identity, |_| Ok::<_, NotSigned>(Vec::new())).unwrap();

        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%=&".contains(&byte);
        prop_assert!(signed.query.bytes().all(legal));
        let read: Vec<(String, String)> = url::form_urlencoded::parse(signed.query.as_bytes()).into_owned().collect();
        prop_assert_eq!(read, vec![("a".to_owned(), "b".to_owned()), ("roleArn".to_owned(), value)]);
    }

    #[test]
    fn any_other_body_is_another_signature(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let sign = |body: &[u8]| {
            let unsigned = Unsigned {
                host: "h",
                region: "r",
                query: &[],
                body,
                now: clock::parse_rfc3339("2026-01-16T14:40:00Z").unwrap(),
            };
            let identity = Signer { chain: &[], serial: &[1], algorithm: Algorithm::Rsa };
            unsigned.sign(identity, |message| Ok::<_, NotSigned>(Digest::of(message).as_bytes().to_vec())).unwrap()
        };
        let mut other = body.clone();
        other.push(0);

        prop_assert_ne!(sign(&body), sign(&other));
    }
}
