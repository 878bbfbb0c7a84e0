//! Our private keys, parsed once.
//!
//! It must never show a private key except as PKCS#8 that is wiped after use, to be sealed.

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    error::{KeyRejected, Unspecified},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{Algorithm, Curve, KeyMaterial, PublicJwk, Thumbprint};

/// What our keys sign with; RS256 is the one that every cloud accepts (DEC-13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, on a 2048-bit key.
    Rs256,
}

impl SigningAlgorithm {
    /// Every algorithm that a key of ours signs with.
    pub const ALL: [Self; 2] = [Self::Es256, Self::Rs256];

    /// Returns the algorithm of the header.
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::Es256,
            Self::Rs256 => Algorithm::Rs256,
        }
    }
}

/// A private key that signs.
pub struct SigningKey {
    pair: Pair,
    material: KeyMaterial,
}

impl SigningKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// Fails where the platform's generator fails.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Self, SigningFailed> {
        let pair = match algorithm {
            SigningAlgorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(|pair| Pair::Es256(Box::new(pair)))
            }
            SigningAlgorithm::Rs256 => {
                // 2048 bits: every cloud accepts them, and signing takes a quarter of the time of 3072.
                RsaKeyPair::generate(KeySize::Rsa2048).map(|pair| Pair::Rs256(Box::new(pair)))
            }
        };
        pair.map(Self::from_pair).map_err(SigningFailed)
    }

    /// Reads an unencrypted PKCS#8 document.
    ///
    /// # Errors
    /// Refuses what is no private key for `algorithm`, and RSA keys outside 2048 to 4096 bits.
    pub fn from_pkcs8(algorithm: SigningAlgorithm, pkcs8: &[u8]) -> Result<Self, SigningKeyRefused> {
        let rejected = |source| SigningKeyRefused::Rejected { algorithm, source };
        let pair = match algorithm {
            SigningAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(rejected)?;
                Pair::Es256(Box::new(pair))
            }
            SigningAlgorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(rejected)?;
                let found = pair.public_modulus_len();
                if !RSA_MODULUS_BYTES.contains(&found) {
                    return Err(SigningKeyRefused::Size { found });
                }
                Pair::Rs256(Box::new(pair))
            }
        };
        Ok(Self::from_pair(pair))
    }

    /// Returns the key as PKCS#8, wiped when dropped.
    ///
    /// # Errors
    /// Fails where the library cannot write it.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, SigningFailed> {
        match &self.pair {
            Pair::Es256(pair) => {
                let document = pair.to_pkcs8v1().map_err(SigningFailed)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
            Pair::Rs256(pair) => {
                let document: Pkcs8V1Der<'_> = pair.as_der().map_err(SigningFailed)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
        }
    }

    /// Signs `input`; ECDSA signatures have the fixed length of JOSE, not DER.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn sign(&self, input: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Es256(pair) => {
                let signature = pair.sign(&random, input).map_err(SigningFailed)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, input, &mut signature)
                    .map_err(SigningFailed)?;
                Ok(signature)
            }
        }
    }

    /// Returns what the key signs with.
    pub fn signing_algorithm(&self) -> SigningAlgorithm {
        match self.pair {
            Pair::Es256(_) => SigningAlgorithm::Es256,
            Pair::Rs256(_) => SigningAlgorithm::Rs256,
        }
    }

    /// Returns the algorithm of the header.
    pub fn algorithm(&self) -> Algorithm {
        self.signing_algorithm().algorithm()
    }

    /// Returns the RFC 7638 thumbprint; its text is the key id (JWK-3).
    pub fn thumbprint(&self) -> Thumbprint {
        self.material.thumbprint()
    }

    /// Returns the public half under the key id `kid`, for an OIDC JWK set.
    pub fn public_jwk(&self, kid: &str) -> PublicJwk {
        PublicJwk::new(self.algorithm(), kid.to_owned(), self.material.clone())
    }

    fn from_pair(pair: Pair) -> Self {
        let material = pair.material();
        Self { pair, material }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm())
            .field("thumbprint", &self.thumbprint())
            .field("private", &"[redacted]")
            .finish_non_exhaustive()
    }
}

enum Pair {
    Es256(Box<EcdsaKeyPair>),
    Rs256(Box<RsaKeyPair>),
}

impl Pair {
    fn material(&self) -> KeyMaterial {
        let encode = |number: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(number);
        match self {
            Self::Es256(pair) => {
                // An uncompressed point: 0x04, then both coordinates at full length.
                let point = pair.public_key().as_ref();
                let coordinates = point.get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                KeyMaterial::Ec {
                    curve: Curve::P256,
                    x: encode(x),
                    y: encode(y),
                }
            }
            Self::Rs256(pair) => {
                let components = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                KeyMaterial::Rsa {
                    n: encode(&components.n),
                    e: encode(&components.e),
                }
            }
        }
    }
}

/// The library could not make a key, write it, or sign.
#[derive(Debug, thiserror::Error)]
#[error("the cryptographic library failed to make, write or use a signing key")]
pub struct SigningFailed(#[source] Unspecified);

/// Why a private key was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningKeyRefused {
    /// The document is no private key for the algorithm.
    #[error("found no PKCS#8 document that holds a key for {}, expected one", .algorithm.algorithm())]
    Rejected {
        /// What the key was to sign with.
        algorithm: SigningAlgorithm,
        /// Why.
        source: KeyRejected,
    },
    /// The RSA modulus is too short or too long.
    #[error("found an RSA key of {found} bytes, expected 256 to 512")]
    Size {
        /// The length of the modulus in bytes.
        found: usize,
    },
}

// 2048 to 4096 bits.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

#[cfg(test)]
mod tests;
