//! How the members of a JWK become a key's numbers.
//!
//! It must never take a second encoding of a number, nor a key that shows a secret.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::KeyRefused;
use crate::{
    jose::{Curve, KeyMaterial, excerpt, header, roca, strict_json::type_name},
    secret::hex,
};

/// Refuses a JWK with any private or symmetric member.
pub(crate) fn refuse_secrets(jwk: &Map<String, Value>) -> Result<(), KeyRefused> {
    // A type that is no text is judged later: it must not hide a secret, with which the key would only be left out.
    if jwk.get("kty").and_then(Value::as_str) == Some("oct") {
        return Err(KeyRefused::Symmetric);
    }
    match PRIVATE_MEMBERS.iter().find(|name| jwk.contains_key(**name)) {
        Some(name) => Err(KeyRefused::Private { name }),
        None => Ok(()),
    }
}

pub(super) fn refuse_other_uses(jwk: &Map<String, Value>) -> Result<(), KeyRefused> {
    // `jwt-svid` is what a SPIFFE bundle says; the bundle's reader has checked that it is one.
    if let Some(found) = text(jwk, "use")?
        && !["sig", "jwt-svid"].contains(&found)
    {
        let found = excerpt(found);
        return Err(KeyRefused::Use {
            found,
            expected: "`sig`",
        });
    }
    let Some(operations) = jwk.get("key_ops") else {
        return Ok(());
    };
    let list = operations
        .as_array()
        .ok_or_else(|| wrong_type("key_ops", operations, "a list"))?;
    if list.iter().any(|operation| operation.as_str() == Some("verify")) {
        return Ok(());
    }
    Err(KeyRefused::Use {
        found: excerpt(&operations.to_string()),
        expected: "`verify` among its operations",
    })
}

pub(super) fn material(jwk: &Map<String, Value>) -> Result<KeyMaterial, KeyRefused> {
    match required(jwk, "kty")? {
        "EC" => ec_material(jwk),
        "RSA" => rsa_material(jwk),
        other => Err(KeyRefused::Unknown {
            name: "kty",
            found: excerpt(other),
            expected: "`EC` or `RSA`",
        }),
    }
}

fn ec_material(jwk: &Map<String, Value>) -> Result<KeyMaterial, KeyRefused> {
    let curve = match required(jwk, "crv")? {
        "P-256" => Curve::P256,
        "P-384" => Curve::P384,
        other => {
            return Err(KeyRefused::Unknown {
                name: "crv",
                found: excerpt(other),
                expected: "`P-256` or `P-384`",
            });
        }
    };
    for name in ["x", "y"] {
        let found = number(jwk, name)?.len();
        if found != curve.coordinate_bytes() {
            let expected = match curve {
                Curve::P256 => "32",
                Curve::P384 => "48",
            };
            return Err(KeyRefused::Length { name, found, expected });
        }
    }
    Ok(KeyMaterial::Ec {
        curve,
        x: required(jwk, "x")?.to_owned(),
        y: required(jwk, "y")?.to_owned(),
    })
}

fn rsa_material(jwk: &Map<String, Value>) -> Result<KeyMaterial, KeyRefused> {
    let modulus = number(jwk, "n")?;
    let exponent = number(jwk, "e")?;
    for (name, number) in [("n", &modulus), ("e", &exponent)] {
        if number.first().is_none_or(|byte| *byte == 0) {
            // A second encoding of the same key would have a second thumbprint.
            return Err(KeyRefused::Length {
                name,
                found: number.len(),
                expected: "the least possible",
            });
        }
    }
    let found = bits(&modulus);
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&found) {
        return Err(KeyRefused::Size { found });
    }
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    if !odd(&modulus) {
        return Err(KeyRefused::EvenModulus);
    }
    if !odd(&exponent) || exponent.as_slice() == [1] || bits(&exponent) > MAX_EXPONENT_BITS {
        let found = hex(exponent.get(..8).unwrap_or(&exponent));
        return Err(KeyRefused::Exponent { found });
    }
    if roca::has_roca_structure(&modulus) {
        return Err(KeyRefused::Roca);
    }
    Ok(KeyMaterial::Rsa {
        n: required(jwk, "n")?.to_owned(),
        e: required(jwk, "e")?.to_owned(),
    })
}

pub(super) fn text<'m>(jwk: &'m Map<String, Value>, name: &'static str) -> Result<Option<&'m str>, KeyRefused> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong_type(name, other, "a string")),
    }
}

fn required<'m>(jwk: &'m Map<String, Value>, name: &'static str) -> Result<&'m str, KeyRefused> {
    text(jwk, name)?.ok_or(KeyRefused::Missing { name })
}

fn number(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyRefused> {
    decoded(name, required(jwk, name)?)
}

pub(super) fn decoded(name: &'static str, text: &str) -> Result<Vec<u8>, KeyRefused> {
    BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|source| KeyRefused::Encoding { name, source })
}

pub(super) fn key_id(text: &str) -> Result<String, KeyRefused> {
    if header::is_key_id(text) {
        return Ok(text.to_owned());
    }
    Err(KeyRefused::KeyId { found: excerpt(text) })
}

pub(super) fn wrong_type(name: &'static str, value: &Value, expected: &'static str) -> KeyRefused {
    let found = type_name(value);
    KeyRefused::WrongType { name, found, expected }
}

/// Returns the length of a big-endian number without leading zero bytes.
fn bits(number: &[u8]) -> usize {
    let leading = number.first().map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - leading
}

const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

// T-06, TM-12.
pub(super) const MIN_RSA_BITS: usize = 2048;
pub(super) const MAX_RSA_BITS: usize = 4096;

// T-06: a longer one only burns our time. AWS-LC has the same bound, but looks at it at the first signature only.
pub(super) const MAX_EXPONENT_BITS: usize = 33;
