//! The same tokens by another library.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey, Validation};
use serde_json::{Value, json};

use super::{claims, es256, public, rs256, token};
use crate::jose::{Algorithm, KeyMaterial, PublicKey, SigningKey, Unverified};

fn pem(pkcs8: &[u8]) -> Vec<u8> {
    let body = BASE64_STANDARD.encode(pkcs8);
    let lines: Vec<_> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    )
    .into_bytes()
}

fn theirs(key: &SigningKey) -> DecodingKey {
    match key.public_jwk("a").material() {
        KeyMaterial::Ec { x, y, .. } => DecodingKey::from_ec_components(x, y).unwrap(),
        KeyMaterial::Rsa { n, e } => DecodingKey::from_rsa_components(n, e).unwrap(),
    }
}

fn algorithm(ours: Algorithm) -> jsonwebtoken::Algorithm {
    ours.as_str().parse().unwrap()
}

fn validation(ours: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm(ours));
    validation.validate_exp = false;
    validation.set_audience(&["https://id.acme.example"]);
    validation
}

#[test]
fn another_library_accepts_what_we_sign() {
    for key in [rs256(), es256()] {
        let read = jsonwebtoken::decode::<Value>(token(key), &theirs(key), &validation(key.algorithm())).unwrap();

        assert_eq!(read.claims, claims());
        assert_eq!(read.header.kid.as_deref(), Some("kid-1"));
    }
}

#[test]
fn another_library_refuses_what_we_sign_with_another_key() {
    let other = SigningKey::generate(es256().signing_algorithm()).unwrap();

    assert!(jsonwebtoken::decode::<Value>(token(&other), &theirs(es256()), &validation(Algorithm::Es256)).is_err());
}

fn encoded(ours: Algorithm, key: &EncodingKey) -> String {
    let mut header = jsonwebtoken::Header::new(algorithm(ours));
    header.kid = Some("kid-1".to_owned());
    jsonwebtoken::encode(&header, &claims(), key).unwrap()
}

#[test]
fn we_accept_what_another_library_signs_with_every_rsa_algorithm() {
    let key = EncodingKey::from_rsa_pem(&pem(&rs256().to_pkcs8().unwrap())).unwrap();
    let mut jwk = serde_json::to_value(rs256().public_jwk("kid-1")).unwrap();
    jwk.as_object_mut().unwrap().remove("alg");
    let public = PublicKey::from_jwk(jwk.as_object().unwrap(), &Algorithm::ALL).unwrap();

    for algorithm in [
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
    ] {
        let token = encoded(algorithm, &key);
        let verified = Unverified::parse(&token).unwrap().verify(&public);
        assert!(verified.is_ok(), "{algorithm}");
    }
}

#[test]
fn we_accept_what_another_library_signs_on_p_256() {
    let key = EncodingKey::from_ec_pem(&pem(&es256().to_pkcs8().unwrap())).unwrap();
    let token = encoded(Algorithm::Es256, &key);

    assert!(Unverified::parse(&token).unwrap().verify(&public(es256())).is_ok());
}

#[test]
fn we_accept_what_another_library_signs_on_p_384() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let encode = |bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({"kty": "EC", "crv": "P-384", "x": encode(&point[1..49]), "y": encode(&point[49..])});
    let public = PublicKey::from_jwk(jwk.as_object().unwrap(), &Algorithm::ALL).unwrap();
    let key = EncodingKey::from_ec_pem(&pem(pair.to_pkcs8v1().unwrap().as_ref())).unwrap();
    let token = encoded(Algorithm::Es384, &key);

    assert!(Unverified::parse(&token).unwrap().verify(&public).is_ok());
}

#[test]
fn we_make_the_thumbprints_that_another_library_makes() {
    for key in [rs256(), es256()] {
        let jwk: jsonwebtoken::jwk::Jwk =
            serde_json::from_value(serde_json::to_value(key.public_jwk("a")).unwrap()).unwrap();
        let expected = jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
        assert_eq!(key.thumbprint().to_string(), expected);
    }
}
