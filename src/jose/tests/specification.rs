//! The examples of the specifications, byte for byte.

use serde_json::json;

use crate::jose::{Algorithm, HeaderRefused, PublicKey, SignatureRefused, TokenRefused, Unverified};

/// RFC 7515 appendix A.3.
const ES256_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn es256_key() -> PublicKey {
    let jwk = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    PublicKey::from_jwk(jwk.as_object().unwrap(), &Algorithm::ALL).unwrap()
}

#[test]
fn verifies_the_ecdsa_example_of_rfc_7515() {
    let unverified = Unverified::parse(ES256_TOKEN).unwrap();
    let claims = unverified.verify(&es256_key()).unwrap().into_inner();

    assert_eq!(claims.text("iss"), Ok(Some("joe")));
    assert_eq!(claims.required_numeric_date("exp").unwrap().seconds(), 1_300_819_380);
    assert_eq!(claims.boolean("http://example.com/is_root"), Ok(Some(true)));
}

#[test]
fn jwt_2_refuses_the_critical_header_example_of_rfc_7515_appendix_e() {
    let token = "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA.";

    assert!(matches!(
        Unverified::parse(token).unwrap_err(),
        TokenRefused::Header(HeaderRefused::ForbiddenMember { name }) if name == "crit"
    ));
}

#[test]
fn jwt_bcp_2_refuses_the_unsecured_example_of_rfc_7515_appendix_a_5() {
    let token = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";

    assert!(matches!(
        Unverified::parse(token).unwrap_err(),
        TokenRefused::Header(HeaderRefused::Algorithm(_))
    ));
}

#[test]
fn refuses_the_hmac_example_of_rfc_7515_appendix_a_1() {
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    assert!(matches!(
        Unverified::parse(token).unwrap_err(),
        TokenRefused::Header(HeaderRefused::Algorithm(_))
    ));
}

#[test]
fn t_53_refuses_the_psychic_signature() {
    let (input, _) = ES256_TOKEN.rsplit_once('.').unwrap();
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let one = {
        let mut one = [0; 32];
        one[31] = 1;
        one
    };

    for (r, s) in [
        ([0; 32], [0; 32]),
        ([0; 32], one),
        (one, [0; 32]),
        (order, one),
        (one, order),
        (order, order),
    ] {
        let token = crate::jose::sign::assemble(input.to_owned(), &[r, s].concat());
        let refused = Unverified::parse(&token).unwrap().verify(&es256_key()).unwrap_err();
        assert!(matches!(refused, SignatureRefused::Signature { .. }), "{r:?} {s:?}");
    }
}
