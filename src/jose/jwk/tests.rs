use super::*;
use crate::jose::tests::{es256, rs256};

fn rfc_7638_key() -> KeyMaterial {
    KeyMaterial::Rsa {
        n: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3\
            oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA\
            ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-\
            kEgU8awapJzKnqDKgw"
            .to_owned(),
        e: "AQAB".to_owned(),
    }
}

#[test]
fn jwk_3_makes_the_thumbprint_of_the_specification() {
    assert_eq!(
        rfc_7638_key().thumbprint().to_string(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
}

#[test]
fn dpop_4_a_thumbprint_tells_keys_apart_and_is_the_same_in_every_document() {
    let key = es256().public_jwk("a");

    assert_eq!(key.thumbprint(), key.clone().for_use(KeyUse::JwtSvid).thumbprint());
    assert_eq!(key.thumbprint(), es256().thumbprint());
    assert_ne!(key.thumbprint(), rs256().thumbprint());
    assert_eq!(key.thumbprint().to_string().len(), 43);
}

#[test]
fn dec_1_an_oidc_key_says_sig_and_its_algorithm() {
    let written = serde_json::to_value(rs256().public_jwk("kid-1")).unwrap();
    let members: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();

    assert_eq!(written["use"], "sig");
    assert_eq!(written["alg"], "RS256");
    assert_eq!(written["kid"], "kid-1");
    assert_eq!(members.len(), 6);
    for name in ["kty", "n", "e", "kid", "use", "alg"] {
        assert!(members.contains(&name), "{name}");
    }
}

#[test]
fn dec_1_a_bundle_key_says_jwt_svid_under_the_same_key_id() {
    let written = serde_json::to_value(es256().public_jwk("kid-1").for_use(KeyUse::JwtSvid)).unwrap();

    assert_eq!(written["use"], "jwt-svid");
    assert_eq!(written["kid"], "kid-1");
    assert!(written.get("alg").is_none());
}

#[test]
fn jwk_6_no_document_shows_a_private_member() {
    for key in [rs256(), es256()] {
        for key_use in [KeyUse::JwtSvid, KeyUse::Signature] {
            let written = serde_json::to_value(key.public_jwk("a").for_use(key_use)).unwrap();
            for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
                assert!(written.get(name).is_none(), "{name}");
            }
        }
    }
}

#[test]
fn jwk_4_a_published_key_has_no_key_ops() {
    let written = serde_json::to_value(es256().public_jwk("a")).unwrap();

    assert!(written.get("key_ops").is_none());
}
