//! Virtual machines by a document that Azure's metadata service signed over a challenge of ours.
//!
//! It must never trust a certificate because it came with the document (T-02), nor a document that was signed for
//! somebody else: the nonce is made of our challenge.

mod document;
mod judge;

use std::time::SystemTime;

use base64::{Engine as _, prelude::BASE64_STANDARD};
pub use document::DocumentRefused;
pub use judge::AttestedMachines;

use self::document::Document;
use crate::{
    attest::{
        AttestRefusal, Challenge, Challenges,
        pkcs7::{Certificate, CertificateRefused, Coverage, Unverified, Verified},
    },
    jose::MAX_TOKEN_BYTES,
    secret::Secret,
};

/// Verifies attested documents of one of Azure's clouds.
#[derive(Clone, Debug)]
pub struct AttestedDocuments {
    cloud: Cloud,
    roots: Vec<Certificate>,
    intermediates: Vec<Certificate>,
}

/// Which of Azure's clouds; each signs under a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Azure operated by 21Vianet.
    China,
    /// Azure Government.
    Government,
    /// Everywhere else.
    Public,
}

impl Cloud {
    /// Returns the name that the signer's certificate has, or is below.
    pub fn signer(self) -> &'static str {
        match self {
            Self::China => "metadata.azure.cn",
            Self::Government => "metadata.azure.us",
            Self::Public => "metadata.azure.com",
        }
    }

    fn has(self, name: &str) -> bool {
        let below = |name: &str| name.strip_suffix(self.signer()).is_some_and(|rest| rest.ends_with('.'));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        name == self.signer() || (below(name) && name.bytes().all(plain))
    }
}

impl AttestedDocuments {
    /// Takes the roots that are trusted, and intermediates, which Azure leaves out of its documents.
    pub fn new(cloud: Cloud, roots: Vec<Certificate>, intermediates: Vec<Certificate>) -> Self {
        Self {
            cloud,
            roots,
            intermediates,
        }
    }

    /// Verifies evidence: a challenge of ours that still stands, and the document over it.
    ///
    /// # Errors
    /// Refuses what Azure did not sign for this very challenge; only what it signed is worth an entry in the trail.
    pub fn confirm(
        &self,
        evidence: &Secret,
        challenges: &Challenges,
        now: SystemTime,
    ) -> Result<Attested, AttestRefusal> {
        let (challenge, bytes) = parted(evidence.expose())?;
        let challenge = challenges.open(challenge, now).map_err(|why| unverifiable(&why))?;
        let read = Unverified::read(&bytes).map_err(|why| unverifiable(&why))?;
        let under = (self.roots.as_slice(), self.intermediates.as_slice());
        let verified = read
            .verify_under(under, Coverage::Content, now)
            .map_err(|why| unverifiable(&why))?;
        let names = verified.signer().dns_names();
        if !names.iter().any(|name| self.cloud.has(name)) {
            return Err(AttestRefusal::Unverifiable {
                reason: format!(
                    "none of the signer's {} names is `{}` or below it",
                    names.len(),
                    self.cloud.signer()
                ),
            });
        }
        let document = Document::read(verified.content(), &challenge.nonce(), now)?;
        Ok(Attested {
            document,
            challenge,
            verified,
        })
    }
}

/// Writes evidence: a challenge, and the `signature` of the document over its nonce.
pub fn written(challenge: &str, signature: &str) -> Secret {
    Secret::new(format!("{PREFIX}{challenge}.{signature}"))
}

/// Tells whether evidence says that it is of this form, so that another is somebody else's.
pub fn is_announced(evidence: &Secret) -> bool {
    evidence.expose().starts_with(PREFIX)
}

/// Refuses what has not even the outer form; it answers from the bytes alone.
///
/// # Errors
/// Returns a refusal that repeats none of them.
pub fn form(evidence: &Secret) -> Result<(), AttestRefusal> {
    parted(evidence.expose()).map(|_parts| ())
}

fn parted(evidence: &str) -> Result<(&str, Vec<u8>), AttestRefusal> {
    if evidence.len() > MAX_TOKEN_BYTES {
        return Err(AttestRefusal::Oversized {
            found_bytes: evidence.len(),
        });
    }
    let malformed = |reason: &str| AttestRefusal::Malformed {
        reason: reason.to_owned(),
    };
    let rest = evidence.strip_prefix(PREFIX);
    let parts = rest.and_then(|rest| rest.split_once('.'));
    let (challenge, signature) = parts
        .ok_or_else(|| malformed("it is not `cambio-azure-v1.<challenge>.<signature of the attested document>`"))?;
    let bytes = BASE64_STANDARD.decode(signature).ok();
    let bytes = bytes.ok_or_else(|| malformed("the signature is not base64, as the metadata service writes it"))?;
    Ok((challenge, bytes))
}

fn unverifiable(why: &dyn std::error::Error) -> AttestRefusal {
    AttestRefusal::Unverifiable {
        reason: why.to_string(),
    }
}

/// What Azure signed for a challenge of ours; only [`AttestedDocuments::confirm`] makes one.
#[derive(Clone, Debug)]
pub struct Attested {
    document: Document,
    challenge: Challenge,
    verified: Verified,
}

impl Attested {
    /// Returns the machine's id, a UUID in lower case that is never given to another.
    pub fn vm_id(&self) -> &str {
        &self.document.vm_id
    }

    /// Returns the subscription's id, a UUID in lower case; whoever configures decides which are believed.
    pub fn subscription_id(&self) -> &str {
        &self.document.subscription_id
    }

    /// Returns the challenge: the token id of this evidence, which serves once, and its end.
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// Returns the proof for an attestation.
    pub fn proof(&self) -> &Verified {
        &self.verified
    }
}

/// Reads certificates in PEM, for roots or intermediates.
///
/// # Errors
/// Refuses what is no certificate, and keys that are not RSA of 2048 to 4096 bits.
pub fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, PemRefused> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let mut found = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        found.push(Certificate::read(&der?)?);
    }
    Ok(found)
}

/// A file holds no certificates that are taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PemRefused {
    /// One of them is refused.
    #[error("a certificate is refused")]
    Certificate(#[from] CertificateRefused),
    /// It is not PEM.
    #[error("the file is not PEM")]
    Pem(#[from] rustls::pki_types::pem::Error),
}

/// How evidence of this form begins.
const PREFIX: &str = "cambio-azure-v1.";

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;
