//! Verifies a token's signature with the keys its issuer publishes.
//!
//! Uses `jsonwebtoken`, for ES512 the primitive, and nothing of ours; times and audience are the rules' business.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::Jwk};
use serde_json::Value;

use super::{AwsSim, es512};
use crate::exchange::{aws::Refusal, aws_sts::rules::provider};

/// How long the issuer may take. Source: clouds.md 1.1 [D re:Post-iit].
const BUDGET: Duration = Duration::from_secs(5);

/// Fetches the issuer's documents and checks them as the cloud does.
pub(super) async fn fetch(sim: &AwsSim, issuer: &str) -> Result<Value, Refusal> {
    let refused = |why: String| Refusal::no_verification_key().because(why);
    let documents = tokio::time::timeout(BUDGET, sim.documents.fetch(issuer))
        .await
        .map_err(|elapsed| refused(format!("`{issuer}` took more than 5 s: {elapsed}")))?
        .map_err(|why| refused(why.to_string()))?;
    provider::discovery(&documents.discovery, issuer).map_err(|why| refused(why.detail.unwrap_or(why.message)))?;
    Ok(documents.jwks)
}

/// Verifies the token and returns the claims that were signed.
pub(super) fn verify(token: &str, header: &Value, jwks: &Value) -> Result<Value, Refusal> {
    let name = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    provider::key_count(jwks, name)?;
    if name == es512::NAME {
        return es512::verify(token, find(header, jwks)?)
            .map_err(|why| Refusal::bad_signature().because(format!("`{name}`: {why}")));
    }
    let algorithm: Algorithm = name.parse().map_err(|why: jsonwebtoken::errors::Error| {
        Refusal::bad_signature().because(format!("this simulator cannot verify `{name}`: {why}"))
    })?;
    let key = find(header, jwks)?;
    let key: Jwk = serde_json::from_value(key.clone())
        .map_err(|why| Refusal::no_verification_key().because(format!("the key is not a JWK: {why}")))?;
    let key = DecodingKey::from_jwk(&key)
        .map_err(|why| Refusal::no_verification_key().because(format!("the key cannot be used: {why}")))?;
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Value>(token, &key, &validation)
        .map(|data| data.claims)
        .map_err(|why| Refusal::bad_signature().because(format!("`{name}` signature: {why}")))
}

/// Finds the signing key that the header names. A header without `kid` finds none `[M]`.
fn find<'a>(header: &Value, jwks: &'a Value) -> Result<&'a Value, Refusal> {
    let refused = |why: String| Err(Refusal::no_verification_key().because(why));
    let Some(wanted) = header.get("kid").and_then(Value::as_str) else {
        return refused("the header has no `kid`".to_owned());
    };
    let keys = jwks
        .get("keys")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let text = |key: &Value, member: &str| key.get(member).and_then(Value::as_str).map(str::to_owned);
    let Some(key) = keys.iter().find(|key| text(key, "kid").as_deref() == Some(wanted)) else {
        let published: Vec<String> = keys.iter().filter_map(|key| text(key, "kid")).collect();
        return refused(format!(
            "the token is signed by `{wanted}`, published are `{}`",
            published.join("`, `")
        ));
    };
    if let Some(other) = text(key, "use").filter(|purpose| purpose != "sig") {
        return refused(format!("the key is for `{other}`, expected `sig`"));
    }
    let signed_with = header.get("alg").and_then(Value::as_str);
    if let Some(other) = text(key, "alg").filter(|algorithm| Some(algorithm.as_str()) != signed_with) {
        return refused(format!(
            "the key is for `{other}`, the token is signed with `{}`",
            signed_with.unwrap_or("-")
        ));
    }
    Ok(key)
}
