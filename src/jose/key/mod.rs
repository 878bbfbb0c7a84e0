//! One public key, and the algorithms it may be used with.
//!
//! It must never let a token widen that list: the header's `alg` is only looked up in it (JWT-BCP-1).

use std::fmt;

use aws_lc_rs::signature::ParsedPublicKey;
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

pub(crate) use self::members::refuse_secrets;
use self::{
    members::{key_id, material, refuse_other_uses, text, wrong_type},
    verifier::verifiers,
};
use super::{Algorithm, KeyMaterial, PublicJwk, Thumbprint};
use crate::secret::Digest;

mod members;
mod refused;
mod verifier;

pub use self::refused::KeyRefused;

/// A public key, parsed once, with the algorithms that its configuration allows.
#[derive(Clone)]
pub struct PublicKey {
    key_id: Option<String>,
    material: KeyMaterial,
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
}

impl PublicKey {
    /// Reads a JWK; it may then be used with its own `alg`, or, without one, with whatever of `allowed` fits its type.
    ///
    /// # Errors
    /// Refuses private and symmetric keys, keys for encryption, unknown types and curves, RSA keys outside 2048 to
    /// 4096 bits or with a weak exponent or modulus, points off the curve, and an `alg` outside `allowed`.
    pub fn from_jwk(jwk: &Map<String, Value>, allowed: &[Algorithm]) -> Result<Self, KeyRefused> {
        refuse_secrets(jwk)?;
        refuse_other_uses(jwk)?;
        let key_id = text(jwk, "kid")?.map(key_id).transpose()?;
        let algorithm = text(jwk, "alg")?.map(str::parse).transpose();
        let algorithm = algorithm.map_err(KeyRefused::Algorithm)?;
        let material = material(jwk)?;
        let verifiers = verifiers(&material, algorithm, allowed)?;
        let key = Self {
            key_id,
            material,
            verifiers,
        };
        key.refuse_another_certificate(jwk)?;
        Ok(key)
    }

    /// Returns one of our own keys for verification with its one algorithm.
    ///
    /// # Errors
    /// As [`Self::from_jwk`].
    pub fn from_public_jwk(jwk: &PublicJwk) -> Result<Self, KeyRefused> {
        let algorithm = jwk.algorithm();
        Ok(Self {
            key_id: Some(jwk.kid().to_owned()),
            material: jwk.material().clone(),
            verifiers: verifiers(jwk.material(), Some(algorithm), &[algorithm])?,
        })
    }

    /// Returns the key id.
    pub fn kid(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Returns the key's numbers.
    pub fn material(&self) -> &KeyMaterial {
        &self.material
    }

    /// Returns the RFC 7638 thumbprint.
    pub fn thumbprint(&self) -> Thumbprint {
        self.material.thumbprint()
    }

    /// Returns the algorithms that the key may be used with.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.verifiers.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Tells whether the key may be used with `algorithm`.
    pub fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms().any(|allowed| allowed == algorithm)
    }

    pub(in crate::jose) fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureRefused> {
        let verifier = self.verifiers.iter().find(|(allowed, _)| *allowed == algorithm);
        let (_, verifier) = verifier.ok_or_else(|| SignatureRefused::Algorithm {
            found: algorithm,
            expected: Algorithm::names(self.algorithms()),
        })?;
        verifier
            .verify_sig(message, signature)
            .map_err(|_unspecified| SignatureRefused::Signature {
                algorithm,
                key: self.thumbprint(),
            })
    }

    /// Refuses a key whose own certificate is another key's (RFC 7517 section 4.7).
    ///
    /// Nothing is ever trusted through `x5c`; a set that contradicts itself shows a publisher's fault. `x5t` is not
    /// looked at: well-known issuers encode it wrongly.
    fn refuse_another_certificate(&self, jwk: &Map<String, Value>) -> Result<(), KeyRefused> {
        let Some(chain) = jwk.get("x5c") else { return Ok(()) };
        let first = chain.as_array().and_then(|chain| chain.first()).and_then(Value::as_str);
        let first = first.ok_or_else(|| wrong_type("x5c", chain, "a list of certificates"))?;
        let certificate = BASE64_STANDARD.decode(first);
        let certificate = certificate.map_err(|source| KeyRefused::Encoding { name: "x5c", source })?;
        refuse_unless_held(&self.verifiers, &certificate)?;
        if let Some(found) = text(jwk, "x5t#S256")? {
            let expected = BASE64_URL_SAFE_NO_PAD.encode(Digest::of(&certificate).as_bytes());
            if found != expected {
                return Err(KeyRefused::Certificate { name: "x5t#S256" });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("key_id", &self.key_id)
            .field("thumbprint", &self.thumbprint())
            .field("algorithms", &Algorithm::names(self.algorithms()))
            .finish_non_exhaustive()
    }
}

/// Why a signature was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureRefused {
    /// The token names an algorithm that the key's configuration does not allow.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8725#section-3.1>
    #[error("token is signed with {found}, its key is configured for {expected}")]
    Algorithm {
        /// What the token names.
        found: Algorithm,
        /// What the key allows.
        expected: String,
    },
    /// The signature is not the key's over these bytes.
    #[error("found a signature that is not the {algorithm} signature of key {key} over this token")]
    Signature {
        /// The algorithm.
        algorithm: Algorithm,
        /// The key's thumbprint.
        key: Thumbprint,
    },
}

/// Refuses a certificate in DER that does not hold the key of `jwk`.
pub(crate) fn refuse_another_keys_certificate(jwk: &Map<String, Value>, certificate: &[u8]) -> Result<(), KeyRefused> {
    let verifiers = verifiers(&material(jwk)?, None, &Algorithm::ALL)?;
    refuse_unless_held(&verifiers, certificate)
}

/// Looks for the encoded key anywhere in the certificate: enough to find a contradiction, never a reason to trust.
fn refuse_unless_held(verifiers: &[(Algorithm, ParsedPublicKey)], certificate: &[u8]) -> Result<(), KeyRefused> {
    let key = verifiers.first().map(|(_, verifier)| verifier.as_ref());
    let held = key.is_some_and(|key| !key.is_empty() && certificate.windows(key.len()).any(|window| window == key));
    if held {
        return Ok(());
    }
    Err(KeyRefused::Certificate { name: "x5c" })
}

#[cfg(test)]
mod tests;
