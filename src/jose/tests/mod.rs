//! What the tests of this module share, and those that span several of its files.

use std::sync::LazyLock;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{PublicKey, SigningAlgorithm, SigningKey, sign::assemble};

#[cfg(feature = "dev")]
mod crosscheck;
mod forgery;
mod specification;
mod wycheproof;

/// Returns the one RSA key of the tests.
pub(in crate::jose) fn rs256() -> &'static SigningKey {
    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(SigningAlgorithm::Rs256).unwrap());
    &KEY
}

/// Returns the one P-256 key of the tests.
pub(in crate::jose) fn es256() -> &'static SigningKey {
    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(SigningAlgorithm::Es256).unwrap());
    &KEY
}

/// Returns the public half, to verify with.
pub(in crate::jose) fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_public_jwk(&key.public_jwk("kid-1")).unwrap()
}

/// Returns the claims of a whole token.
pub(in crate::jose) fn claims() -> Value {
    json!({
        "iss": "https://token.example", "sub": "repo:acme/shop", "aud": "https://id.acme.example",
        "iat": 1_768_574_400, "nbf": 1_768_574_400, "exp": 1_768_574_700, "jti": "one",
    })
}

/// Returns the header of a whole token that `key` signs.
pub(in crate::jose) fn header(key: &SigningKey) -> Value {
    json!({"alg": key.algorithm().as_str(), "kid": "kid-1", "typ": "JWT"})
}

/// Returns both documents in base64url, joined by a dot.
pub(in crate::jose) fn input(header: &[u8], payload: &[u8]) -> String {
    let encode = |part| BASE64_URL_SAFE_NO_PAD.encode(part);
    format!("{}.{}", encode(header), encode(payload))
}

/// Returns a token with any header and any claims, rightly signed by `key`.
pub(in crate::jose) fn signed(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let input = input(header.to_string().as_bytes(), claims.to_string().as_bytes());
    let signature = key.sign(input.as_bytes()).unwrap();
    assemble(input, &signature)
}

/// Returns a whole token, rightly signed by `key`.
pub(in crate::jose) fn token(key: &SigningKey) -> String {
    signed(key, &header(key), &claims())
}
