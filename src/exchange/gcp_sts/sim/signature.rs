//! Reads a compact JWS and verifies its signature with `jsonwebtoken`, which the gateway itself never uses.
//!
//! Knows no rule about claims; times, issuer and audience are judged elsewhere.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::Jwk};
use serde_json::Value;

/// Header and claims as presented: nothing in them is verified.
#[derive(Debug)]
pub(super) struct Unverified {
    pub(super) header: Value,
    pub(super) claims: Value,
}

/// Reads the parts of `token`, `None` where it is no compact JWS of JSON objects.
pub(super) fn read_unverified(token: &str) -> Option<Unverified> {
    let parts: Vec<&str> = token.split('.').collect();
    let &[header, claims, _signature] = parts.as_slice() else {
        return None;
    };
    let object = |part: &str| {
        let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
        value.is_object().then_some(value)
    };
    Some(Unverified {
        header: object(header)?,
        claims: object(claims)?,
    })
}

/// Returns the claims of `token` if the key `key_id` of `jwks` signed it with `algorithm`.
///
/// # Errors
/// Says whether the key or the signature was at fault.
pub(super) fn verify(token: &str, jwks: &Value, key_id: &str, algorithm: &str) -> Result<Value, NotVerified> {
    let (algorithm, key_type) = match algorithm {
        "RS256" => (Algorithm::RS256, "RSA"),
        "ES256" => (Algorithm::ES256, "EC"),
        _ => return Err(NotVerified::Signature),
    };
    let field = |key: &Value, name: &str| key.get(name).and_then(Value::as_str).map(str::to_owned);
    let key = jwks
        .get("keys")
        .and_then(Value::as_array)
        .ok_or(NotVerified::NoKeySet)?
        .iter()
        .find(|key| field(key, "kid").as_deref() == Some(key_id) && field(key, "kty").as_deref() == Some(key_type))
        .ok_or(NotVerified::UnknownKey)?;
    let key: Jwk = serde_json::from_value(key.clone()).map_err(NotVerified::Key)?;
    let key = DecodingKey::from_jwk(&key).map_err(NotVerified::Decoding)?;
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Value>(token, &key, &validation)
        .map(|data| data.claims)
        .map_err(NotVerified::Decoding)
}

/// The signature was not verified.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotVerified {
    /// `jsonwebtoken` refused the key or the signature.
    #[error("the signature is not that of the key named")]
    Decoding(#[source] jsonwebtoken::errors::Error),
    /// The key is no JWK.
    #[error("the key named is no JWK")]
    Key(#[source] serde_json::Error),
    /// The issuer's answer is no JWK Set.
    #[error("the issuer's answer has no member keys, expected a JWK Set")]
    NoKeySet,
    /// The algorithm is none that this verifies.
    #[error("the algorithm is neither RS256 nor ES256")]
    Signature,
    /// No key of that id and type.
    #[error("the issuer publishes no key of that id and type")]
    UnknownKey,
}
