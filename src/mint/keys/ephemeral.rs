//! Keys that live in memory for one exchange: made for an X.509-SVID that Cambio itself presents.
//!
//! Never stored, never logged; the PKCS#8 form is wiped when the SVID goes.

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    error::Unspecified,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use zeroize::Zeroizing;

use crate::mint::{X509KeyAlgorithm, issuing::RawKey};

/// A private key of one exchange.
pub struct EphemeralKey {
    algorithm: X509KeyAlgorithm,
    pair: Pair,
    pkcs8: Zeroizing<Vec<u8>>,
}

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>),
    Rsa(Box<RsaKeyPair>),
}

impl EphemeralKey {
    /// Makes a key; RSA takes a tenth of a second and more, and does not belong on a worker of the runtime.
    ///
    /// # Errors
    /// Fails where the platform's generator fails.
    pub fn generate(algorithm: X509KeyAlgorithm) -> Result<Self, Unspecified> {
        let ecdsa = |curve: &'static EcdsaSigningAlgorithm| {
            let pair = EcdsaKeyPair::generate(curve)?;
            let pkcs8 = Zeroizing::new(pair.to_pkcs8v1()?.as_ref().to_vec());
            Ok::<_, Unspecified>((Pair::Ecdsa(Box::new(pair)), pkcs8))
        };
        let (pair, pkcs8) = match algorithm {
            X509KeyAlgorithm::P256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)?,
            X509KeyAlgorithm::P384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING)?,
            X509KeyAlgorithm::Rsa2048 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
                let document: Pkcs8V1Der<'_> = pair.as_der()?;
                let pkcs8 = Zeroizing::new(document.as_ref().to_vec());
                (Pair::Rsa(Box::new(pair)), pkcs8)
            }
        };
        Ok(Self { algorithm, pair, pkcs8 })
    }

    /// Returns what kind of key it is.
    pub fn algorithm(&self) -> X509KeyAlgorithm {
        self.algorithm
    }

    /// Returns the key as PKCS#8.
    pub fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    /// Signs: ECDSA in ASN.1 with the curve's hash, RSA PKCS#1 v1.5 with SHA-256.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }

    pub(in crate::mint) fn public(&self) -> RawKey {
        let bytes = match &self.pair {
            Pair::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        };
        match self.algorithm {
            X509KeyAlgorithm::P256 => RawKey::p256(bytes),
            X509KeyAlgorithm::P384 => RawKey::p384(bytes),
            X509KeyAlgorithm::Rsa2048 => RawKey::rsa(bytes),
        }
    }
}

impl fmt::Debug for EphemeralKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EphemeralKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
        VerificationAlgorithm,
    };
    use rcgen::PublicKeyData as _;

    use super::*;

    #[test]
    fn each_kind_signs_what_its_public_half_verifies() {
        let rows: [(X509KeyAlgorithm, &'static dyn VerificationAlgorithm); 3] = [
            (X509KeyAlgorithm::P256, &ECDSA_P256_SHA256_ASN1),
            (X509KeyAlgorithm::P384, &ECDSA_P384_SHA384_ASN1),
            (X509KeyAlgorithm::Rsa2048, &RSA_PKCS1_2048_8192_SHA256),
        ];
        for (algorithm, verifier) in rows {
            let key = EphemeralKey::generate(algorithm).unwrap();

            let signature = key.sign(b"message").unwrap();

            let public = UnparsedPublicKey::new(verifier, key.public().der_bytes().to_vec());
            assert!(public.verify(b"message", &signature).is_ok(), "{algorithm:?}");
            assert!(public.verify(b"other", &signature).is_err(), "{algorithm:?}");
        }
    }

    #[test]
    fn debug_shows_the_kind_only() {
        let key = EphemeralKey::generate(X509KeyAlgorithm::P256).unwrap();

        assert_eq!(format!("{key:?}"), "EphemeralKey { algorithm: P256, .. }");
    }
}
