//! The key of a certificate that others made.
//!
//! Size and exponent of RSA keys are judged before any arithmetic with them (T-06).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use x509_parser::{
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION},
    public_key::PublicKey as ParsedKey,
    x509::SubjectPublicKeyInfo,
};

use crate::{
    jose::{Algorithm, Curve, KeyMaterial, PublicKey},
    mint::issuing::UNCOMPRESSED,
};

/// Returns the numbers of a key on P-256 or P-384, or of RSA with 2048 to 4096 bits; else what it is.
pub(in crate::mint) fn material(info: &SubjectPublicKeyInfo<'_>) -> Result<KeyMaterial, String> {
    let (members, algorithm) = if info.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
        (rsa(info)?, Algorithm::Rs256)
    } else {
        point(info)?
    };
    let read = PublicKey::from_jwk(&members, &[algorithm]).map_err(|refused| refused.to_string())?;
    Ok(read.material().clone())
}

fn rsa(info: &SubjectPublicKeyInfo<'_>) -> Result<Map<String, Value>, String> {
    let Ok(ParsedKey::RSA(parsed)) = info.parsed() else {
        return Err("an RSA key that cannot be read".to_owned());
    };
    let number = |bytes: &[u8]| written(bytes.strip_prefix(&[0]).unwrap_or(bytes));
    Ok(members([
        ("kty", "RSA".into()),
        ("n", number(parsed.modulus)),
        ("e", number(parsed.exponent)),
    ]))
}

fn point(info: &SubjectPublicKeyInfo<'_>) -> Result<(Map<String, Value>, Algorithm), String> {
    let algorithm = &info.algorithm;
    if algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
        return Err(format!("of the kind {}", algorithm.algorithm));
    }
    let curve = algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
    let (curve, algorithm) = match curve {
        Some(found) if found == OID_EC_P256 => (Curve::P256, Algorithm::Es256),
        Some(found) if found == OID_NIST_EC_P384 => (Curve::P384, Algorithm::Es384),
        Some(another) => return Err(format!("on the curve {another}")),
        None => return Err("on a curve without a name".to_owned()),
    };
    let point = info.subject_public_key.data.strip_prefix(&[UNCOMPRESSED]);
    let (x, y) = point
        .filter(|point| point.len() % 2 == 0)
        .map(|point| point.split_at(point.len() / 2))
        .ok_or("a point that is not uncompressed")?;
    let members = members([
        ("kty", "EC".into()),
        ("crv", curve.as_str().into()),
        ("x", written(x)),
        ("y", written(y)),
    ]);
    Ok((members, algorithm))
}

fn written(bytes: &[u8]) -> Value {
    BASE64_URL_SAFE_NO_PAD.encode(bytes).into()
}

fn members<const N: usize>(all: [(&str, Value); N]) -> Map<String, Value> {
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
