//! The signature of CreateSession as a verifier: rebuilt from the request and its SignedHeaders, never from a fixed list.
//!
//! Source: clouds.md 2.4 [D RA-guide; S signer.go]. Never uses the client's own signer.

use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use axum::http::request::Parts;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _, public_key::PublicKey};

use crate::{
    exchange::aws_roles_anywhere::rules::Refusal,
    secret::{Digest, from_hex},
    sim::sigv4,
};

/// How far the signature's date may be off `[M]`.
const SKEW: Duration = Duration::from_mins(5);
/// The headers that must be signed wherever they stand.
const REQUIRED: [&str; 3] = ["host", "x-amz-date", "x-amz-x509"];

/// What the `Authorization` header says.
struct Claimed<'a> {
    algorithm: &'a str,
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Checks the signature of a request by the key of the certificate that it brings.
///
/// # Errors
/// `AccessDeniedException` `[M]`.
pub(super) fn verify(
    (parts, body): (&Parts, &[u8]),
    certificate: &[u8],
    region: &str,
    now: SystemTime,
) -> Result<(), Refusal> {
    let authorization = sigv4::header(&parts.headers, "authorization")
        .ok_or_else(|| Refusal::signature("there is no Authorization header"))?;
    let claimed = Claimed::read(&authorization)?;
    let date = sigv4::header(&parts.headers, "x-amz-date")
        .ok_or_else(|| Refusal::signature("there is no X-Amz-Date header"))?;
    timely(&date, now)?;
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|why| Refusal::malformed(format!("not a certificate: {why}")))?;
    let day: String = date.chars().take(8).collect();
    let scope = format!("{day}/{region}/rolesanywhere/aws4_request");
    let expected = format!("{}/{scope}", certificate.tbs_certificate.serial);
    if claimed.credential != expected {
        return Err(Refusal::signature(format!(
            "Credential is `{}`, expected `{expected}`",
            claimed.credential
        )));
    }
    let names: Vec<&str> = claimed.signed_headers.split(';').collect();
    if let Some(unsigned) = REQUIRED.into_iter().find(|name| !names.contains(name)) {
        return Err(Refusal::signature(format!("`{unsigned}` is not signed")));
    }
    let request = sigv4::canonical_request(parts, body, claimed.signed_headers)
        .map_err(|why| Refusal::signature(why.to_string()))?;
    let to_sign = format!(
        "{}\n{date}\n{scope}\n{}",
        claimed.algorithm,
        Digest::of(request.as_bytes())
    );
    let lower = claimed.signature.bytes().all(|byte| !byte.is_ascii_uppercase());
    let signature = from_hex(claimed.signature)
        .filter(|_| lower)
        .ok_or_else(|| Refusal::signature("Signature is not lower-case hex"))?;
    let key = &certificate.public_key().subject_public_key.data;
    UnparsedPublicKey::new(algorithm(claimed.algorithm, &certificate)?, key)
        .verify(to_sign.as_bytes(), &signature)
        .map_err(|_unspecified| Refusal::signature("the certificate's key did not make this signature"))
}

impl<'a> Claimed<'a> {
    fn read(authorization: &'a str) -> Result<Self, Refusal> {
        let refused = |why: &str| Refusal::signature(format!("Authorization {why}"));
        let (algorithm, fields) = authorization.split_once(' ').ok_or_else(|| refused("has no fields"))?;
        let field = |name: &str| {
            let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
            let found = fields.find(|(found, _)| *found == name);
            found
                .map(|(_, value)| value)
                .ok_or_else(|| refused(&format!("has no {name}")))
        };
        Ok(Self {
            algorithm,
            credential: field("Credential")?,
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        })
    }
}

fn timely(date: &str, now: SystemTime) -> Result<(), Refusal> {
    let moment = sigv4::moment(date).ok_or_else(|| Refusal::signature("X-Amz-Date is not YYYYMMDDTHHMMSSZ"))?;
    let apart = now.duration_since(moment).unwrap_or_else(|later| later.duration());
    if apart > SKEW {
        return Err(Refusal::signature(format!(
            "X-Amz-Date is {date}, {} s off",
            apart.as_secs()
        )));
    }
    Ok(())
}

/// Returns how the key verifies; the algorithm must be that of the certificate's key.
fn algorithm(name: &str, certificate: &X509Certificate<'_>) -> Result<&'static dyn VerificationAlgorithm, Refusal> {
    let refused = || Refusal::signature(format!("`{name}` is not what the certificate's key signs with"));
    match (name, certificate.public_key().parsed()) {
        ("AWS4-X509-RSA-SHA256", Ok(PublicKey::RSA(_))) => Ok(&RSA_PKCS1_2048_8192_SHA256),
        ("AWS4-X509-ECDSA-SHA256", Ok(PublicKey::EC(point))) => match point.key_size() {
            256 => Ok(&ECDSA_P256_SHA256_ASN1),
            384 => Ok(&ECDSA_P384_SHA256_ASN1),
            _ => Err(refused()),
        },
        _ => Err(refused()),
    }
}
