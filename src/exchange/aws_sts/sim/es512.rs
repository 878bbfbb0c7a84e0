//! Verifies ES512, which STS takes and the library of the other algorithms does not have.
//!
//! Uses the primitive alone and nothing of ours; times and audience are the rules' business.

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

/// The name in a token's header. Source: clouds.md 1.2 [D botocore sts].
pub(super) const NAME: &str = "ES512";

/// Verifies the token with a P-521 key and returns the claims that were signed, or what is wrong.
pub(super) fn verify(token: &str, key: &Value) -> Result<Value, String> {
    let member = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default();
    if (member("kty"), member("crv")) != ("EC", "P-521") {
        let (kind, curve) = (member("kty"), member("crv"));
        return Err(format!("the key is `{kind}` `{curve}`, expected `EC` `P-521`"));
    }
    let decode = |what: &str, text: &str| {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(text);
        decoded.map_err(|why| format!("the {what} is no base64url: {why}"))
    };
    // SEC 1, section 2.3.3: an uncompressed point.
    let mut point = vec![4];
    for name in ["x", "y"] {
        let coordinate = decode(name, member(name))?;
        if coordinate.len() != COORDINATE_BYTES {
            let found = coordinate.len();
            return Err(format!("`{name}` has {found} bytes, expected {COORDINATE_BYTES}"));
        }
        point.extend(coordinate);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or("the token has no signature")?;
    let payload = signed.split('.').nth(1).ok_or("the token has no claims")?;
    UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point)
        .verify(signed.as_bytes(), &decode("signature", signature)?)
        .map_err(|why| format!("signature: {why}"))?;
    serde_json::from_slice(&decode("payload", payload)?).map_err(|why| format!("claims: {why}"))
}

/// RFC 7518 section 6.2.1.2: 521 bits in whole bytes.
const COORDINATE_BYTES: usize = 66;
