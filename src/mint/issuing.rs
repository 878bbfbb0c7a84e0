//! How certificates and revocation lists get their signature from a key that may have to travel.
//!
//! rcgen signs synchronously, our keys do not: rcgen writes what is to be signed, our key signs it, and the two are put
//! together here. Nothing here decides what a certificate says.

use std::cell::RefCell;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, Issuer, PublicKeyData, SignatureAlgorithm};

use crate::{
    jose::{Curve, KeyMaterial, SigningAlgorithm},
    mint::{
        der,
        keys::{Key, KeyUnavailable},
    },
};

/// A public key as certificates hold it.
#[derive(Clone, Debug)]
pub(in crate::mint) struct RawKey {
    algorithm: &'static SignatureAlgorithm,
    bytes: Vec<u8>,
}

impl RawKey {
    /// Takes the point of a key on P-256, uncompressed.
    pub(in crate::mint) fn p256(point: Vec<u8>) -> Self {
        Self {
            algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
            bytes: point,
        }
    }

    /// Takes the point of a key on P-384, uncompressed.
    pub(in crate::mint) fn p384(point: Vec<u8>) -> Self {
        Self {
            algorithm: &rcgen::PKCS_ECDSA_P384_SHA384,
            bytes: point,
        }
    }

    /// Takes an RSA public key as PKCS#1 writes it.
    pub(in crate::mint) fn rsa(pkcs1: Vec<u8>) -> Self {
        Self {
            algorithm: &rcgen::PKCS_RSA_SHA256,
            bytes: pkcs1,
        }
    }

    /// Returns the key of a JWK, `None` where its numbers are not base64url.
    pub(in crate::mint) fn of(material: &KeyMaterial) -> Option<Self> {
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        match material {
            KeyMaterial::Ec { curve, x, y } => {
                let point = [vec![UNCOMPRESSED], decode(x)?, decode(y)?].concat();
                Some(match curve {
                    Curve::P256 => Self::p256(point),
                    Curve::P384 => Self::p384(point),
                })
            }
            KeyMaterial::Rsa { n, e } => {
                let pkcs1 = der::sequence(&[der::integer(&decode(n)?), der::integer(&decode(e)?)]);
                Some(Self::rsa(pkcs1))
            }
        }
    }

    /// Returns the SubjectPublicKeyInfo in DER.
    pub(in crate::mint) fn spki(&self) -> Vec<u8> {
        self.subject_public_key_info()
    }
}

/// SEC 1 section 2.3.3: a point with both coordinates begins with this byte.
pub(in crate::mint) const UNCOMPRESSED: u8 = 4;

impl PublicKeyData for RawKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// What a signature is issued under: the authority's public key, and the name that its certificate shows.
#[derive(Clone, Copy, Debug)]
pub(in crate::mint) struct Letterhead<'a> {
    pub(in crate::mint) public: &'a RawKey,
    pub(in crate::mint) issuer: &'a CertificateParams,
}

impl Letterhead<'_> {
    /// Returns what is to be signed.
    pub(in crate::mint) fn seen(self, build: impl Build) -> Result<Vec<u8>, NotIssued> {
        let issuer = Issuer::from_params(self.issuer, Pen::new(self.public));
        build(&issuer)?;
        Ok(issuer.key().seen.take())
    }

    /// Signs what `build` writes.
    pub(in crate::mint) async fn sign(
        self,
        (key, algorithm): (&dyn Key, SigningAlgorithm),
        build: impl Build,
    ) -> Result<Vec<u8>, NotIssued> {
        let seen = self.seen(build)?;
        let signature = key.sign(&seen).await?;
        Ok(signed(seen, algorithm, &signature))
    }
}

/// Writes a certificate request for `public` and signs it with its own key.
pub(in crate::mint) async fn request(
    params: &CertificateParams,
    public: &RawKey,
    (key, algorithm): (&dyn Key, SigningAlgorithm),
) -> Result<Vec<u8>, NotIssued> {
    let pen = Pen::new(public);
    params.serialize_request(&pen)?;
    let seen = pen.seen.take();
    let signature = key.sign(&seen).await?;
    Ok(signed(seen, algorithm, &signature))
}

/// Puts what was seen and its signature, as our keys make it, together (RFC 5280 sections 4.1 and 5.1,
/// RFC 2986 section 4.2).
///
/// The algorithm stands twice in it, here and in what was seen; a reader refuses where the two differ.
pub(in crate::mint) fn signed(seen: Vec<u8>, algorithm: SigningAlgorithm, signature: &[u8]) -> Vec<u8> {
    let (identifier, signature) = match algorithm {
        SigningAlgorithm::Es256 => (ECDSA_WITH_SHA256, &*der::ecdsa_signature(signature)),
        SigningAlgorithm::Rs256 => (SHA256_WITH_RSA, signature),
    };
    der::sequence(&[seen, identifier.to_vec(), der::bit_string(signature)])
}

/// RFC 5758 section 3.2: no parameters.
const ECDSA_WITH_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// RFC 4055 section 5: NULL as parameters.
const SHA256_WITH_RSA: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b, 5, 0];

/// Writes a certificate or a revocation list.
pub(in crate::mint) trait Build: FnOnce(&Issuer<'_, Pen<'_>>) -> Result<Vec<u8>, rcgen::Error> {}

impl<B: FnOnce(&Issuer<'_, Pen<'_>>) -> Result<Vec<u8>, rcgen::Error>> Build for B {}

/// What stands in for the key while rcgen writes: it records what is to be signed.
#[derive(Debug)]
pub(in crate::mint) struct Pen<'k> {
    public: &'k RawKey,
    seen: RefCell<Vec<u8>>,
}

impl<'k> Pen<'k> {
    fn new(public: &'k RawKey) -> Self {
        let seen = RefCell::default();
        Self { public, seen }
    }
}

impl PublicKeyData for Pen<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.public.algorithm()
    }
}

impl rcgen::SigningKey for Pen<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.seen.replace(message.to_vec());
        Ok(Vec::new())
    }
}

/// A certificate or a revocation list was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotIssued {
    /// The key did not sign.
    #[error("the key of the X.509 authority is not available")]
    Key(#[from] KeyUnavailable),
    /// The authority issues no certificates.
    #[error("authority `{id}` has no certificate to issue under")]
    NoAuthority {
        /// The key id.
        id: String,
    },
    /// No serial number could be drawn.
    #[error("no serial number could be drawn")]
    Randomness(#[from] crate::secret::NoRandomness),
    /// What was to be written cannot be.
    #[error("the certificate cannot be written")]
    Written(#[from] rcgen::Error),
}
