//! How our own tokens are put together.
//!
//! The header is exactly `{alg, kid, typ: "JWT"}` (DEC-2); it must never carry anything else.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;

use super::Algorithm;

/// The header of a token of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What it is signed with.
    pub algorithm: Algorithm,
    /// Which key signs it.
    pub key_id: String,
}

/// Claims that cannot be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("claims cannot be written as JSON")]
pub struct Unwritable(#[source] serde_json::Error);

/// Returns the bytes to sign: header and claims in base64url, joined by a dot.
///
/// # Errors
/// Fails where `claims` cannot be written as JSON.
pub fn signing_input(header: &Header, claims: &impl Serialize) -> Result<String, Unwritable> {
    let header = WrittenHeader {
        alg: header.algorithm,
        kid: &header.key_id,
        typ: "JWT",
    };
    let header = serde_json::to_vec(&header).map_err(Unwritable)?;
    let claims = serde_json::to_vec(claims).map_err(Unwritable)?;
    let mut input = BASE64_URL_SAFE_NO_PAD.encode(header);
    input.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut input);
    Ok(input)
}

/// Returns the token: the signing input, a dot, and the signature in base64url.
pub fn assemble(mut input: String, signature: &[u8]) -> String {
    input.push('.');
    BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut input);
    input
}

#[derive(Serialize)]
struct WrittenHeader<'a> {
    alg: Algorithm,
    kid: &'a str,
    typ: &'static str,
}

#[cfg(test)]
mod tests;
