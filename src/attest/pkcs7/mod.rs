//! Documents that a platform signed as PKCS#7: the one reader of them, and what verifies them.
//!
//! The content comes from the verified bytes and from nowhere else (T-01); the certificate that is trusted is the one
//! that the signer names, whatever else the document holds (T-02). No clock, no files.

mod ber;
mod certificate;
mod signed_data;

use std::time::SystemTime;

use aws_lc_rs::{
    constant_time,
    signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
pub use ber::BerRefused;
pub use certificate::{Certificate, CertificateRefused};
use rustls::pki_types::CertificateDer;
pub use signed_data::SignedDataRefused;

use self::signed_data::SignedData;
use crate::secret::Digest;

/// What the signature must cover; a platform writes one of them, and the other one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Attributes that hold the content's digest (RFC 5652 section 5.4).
    Attributes,
    /// The content itself.
    Content,
}

/// A document that was read, and not yet verified.
#[derive(Debug)]
pub struct Unverified<'a>(SignedData<'a>);

impl<'a> Unverified<'a> {
    /// Reads a document strictly.
    ///
    /// # Errors
    /// Refuses everything but a SignedData with its content and exactly one signer, by RSA with SHA-256.
    pub fn read(bytes: &'a [u8]) -> Result<Self, SignedDataRefused> {
        SignedData::read(bytes).map(Self)
    }

    /// Returns which of `known` the signer means; nothing is verified by that.
    pub fn signer<'c>(&self, known: impl IntoIterator<Item = &'c Certificate>) -> Option<&'c Certificate> {
        known
            .into_iter()
            .find(|certificate| certificate.is_named_by(self.0.signer.id))
    }

    /// Verifies the document with a certificate that is trusted itself. Those in the document are not looked at.
    ///
    /// # Errors
    /// Refuses another signer than that certificate, one outside of its dates, and a signature that does not hold.
    pub fn verify(self, trusted: &Certificate, coverage: Coverage, now: SystemTime) -> Result<Verified, Pkcs7Refused> {
        if !trusted.is_named_by(self.0.signer.id) {
            return Err(Pkcs7Refused::Signer { found: 0 });
        }
        trusted.refuse_dates(now)?;
        self.checked(trusted.clone(), coverage)
    }

    /// Verifies the document with the one certificate in it that its signer names, which has a path to `roots`.
    ///
    /// # Errors
    /// Refuses none or two of such certificates, one without a path, and a signature that does not hold.
    pub fn verify_under(
        self,
        (roots, intermediates): (&[Certificate], &[Certificate]),
        coverage: Coverage,
        now: SystemTime,
    ) -> Result<Verified, Pkcs7Refused> {
        let mut named = Vec::new();
        for der in &self.0.certificates {
            // One that is no signer's may be of any kind; it is only a step of a path.
            match Certificate::read(der) {
                Ok(found) if found.is_named_by(self.0.signer.id) => named.push(found),
                Ok(_) | Err(_) => {}
            }
        }
        let [signer] = named.as_slice() else {
            return Err(Pkcs7Refused::Signer { found: named.len() });
        };
        let given = self.0.certificates.iter().map(|der| CertificateDer::from(*der));
        let known = intermediates.iter().map(|one| CertificateDer::from(one.der()));
        let between: Vec<CertificateDer<'_>> = given.filter(|one| one.as_ref() != signer.der()).chain(known).collect();
        signer.refuse_path(roots, &between, now)?;
        let signer = signer.clone();
        self.checked(signer, coverage)
    }

    fn checked(self, signer: Certificate, coverage: Coverage) -> Result<Verified, Pkcs7Refused> {
        let (content, given) = (self.0.content_unverified, self.0.signer);
        let covered = match (coverage, given.attributes) {
            (Coverage::Attributes, Some(attributes)) => {
                let digest = Digest::of(&content);
                constant_time::verify_slices_are_equal(digest.as_bytes(), attributes.message_digest)
                    .map_err(|_unequal| Pkcs7Refused::Content)?;
                as_set(attributes.whole)
            }
            (Coverage::Content, None) => content.clone(),
            (Coverage::Attributes, None) | (Coverage::Content, Some(_)) => {
                return Err(Pkcs7Refused::Coverage { expected: coverage });
            }
        };
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, signer.key())
            .verify(&covered, given.signature)
            .map_err(Pkcs7Refused::Signature)?;
        Ok(Verified {
            content,
            covered_sha256: Digest::of(&covered),
            signer,
        })
    }
}

/// What is signed is the SET, although the document holds it under another tag (RFC 5652 section 5.4).
fn as_set(elements: &[u8]) -> Vec<u8> {
    let length = elements.len().to_be_bytes();
    let digits: Vec<u8> = length.into_iter().skip_while(|digit| *digit == 0).collect();
    let mut set = vec![0x31];
    match (digits.as_slice(), u8::try_from(digits.len())) {
        ([short @ 0..=0x7f], _) => set.push(*short),
        ([], _) => set.push(0),
        (more, count) => {
            set.push(0x80 | count.unwrap_or(0));
            set.extend_from_slice(more);
        }
    }
    set.extend_from_slice(elements);
    set
}

/// A document whose signature held; only this module makes one (invariant 5).
#[derive(Clone, Debug)]
pub struct Verified {
    content: Vec<u8>,
    covered_sha256: Digest,
    signer: Certificate,
}

impl Verified {
    /// Returns the bytes that were signed.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Returns the SHA-256 of what the signature covers, which is the same however the document is written.
    pub fn covered_sha256(&self) -> Digest {
        self.covered_sha256
    }

    /// Returns the certificate that the signature was verified with.
    pub fn signer(&self) -> &Certificate {
        &self.signer
    }
}

/// A document is not one that a trusted signer signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs7Refused {
    /// The signer's certificate is not in order.
    #[error("the signer's certificate is refused")]
    Certificate(#[from] CertificateRefused),
    /// The content has another digest than its signer says.
    #[error("the content has another digest than its signer says")]
    Content,
    /// The signature covers something else than the platform's signatures do.
    #[error("the signature does not cover the {expected:?} alone, as the platform's do")]
    Coverage {
        /// What it should cover.
        expected: Coverage,
    },
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature(#[source] aws_lc_rs::error::Unspecified),
    /// The signer names no certificate, or several.
    #[error("found {found} certificates that the signer names, expected exactly 1")]
    Signer {
        /// How many.
        found: usize,
    },
}

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;
