//! The chain that comes back for a request: read strictly, then held against what was asked for.
//!
//! Nothing of it is used before all of it was judged, and nothing that it says widens what was asked for.

mod certificate;
mod path;
mod pem;
mod probe;
mod refused;

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;

use self::{certificate::Certificate, pem::certificates};
use crate::{jose::KeyMaterial, spiffe::TrustDomain};

pub(in crate::mint) use self::probe::{ProbeFailed, probe};
pub use self::refused::ChainRefused;

/// Certificates as they were brought, not judged yet.
#[derive(Clone, Debug)]
pub struct UnverifiedChain(Vec<CertificateDer<'static>>);

/// A chain that was judged; nothing else makes one.
#[derive(Clone, Debug)]
pub struct Chain {
    below: Vec<CertificateDer<'static>>,
    root: CertificateDer<'static>,
    root_key: KeyMaterial,
    root_ends: SystemTime,
    ends: SystemTime,
}

/// What a chain is held against.
#[derive(Clone, Copy, Debug)]
pub(in crate::mint) struct Wanted<'a> {
    /// The id of the key that waits.
    pub(in crate::mint) id: &'a str,
    /// The key itself as SubjectPublicKeyInfo in DER.
    pub(in crate::mint) spki: &'a [u8],
    pub(in crate::mint) trust_domain: &'a TrustDomain,
    /// The roots that are pinned: a chain need not hold them.
    pub(in crate::mint) pinned: &'a [CertificateDer<'static>],
    /// How long it must be valid from now on, at least.
    pub(in crate::mint) least: Duration,
    /// And at most.
    pub(in crate::mint) most: Duration,
    pub(in crate::mint) now: SystemTime,
}

impl UnverifiedChain {
    /// Reads PEM: the intermediate first, the root last or left out.
    ///
    /// # Errors
    /// Refuses more than 32 KiB or 5 certificates, anything but certificates, and one that is there twice.
    pub fn from_text(text: &str) -> Result<Self, ChainRefused> {
        let found = certificates(text)?;
        for (position, certificate) in found.iter().enumerate() {
            if let Some(first) = found.iter().take(position).position(|one| one == certificate) {
                return Err(ChainRefused::Duplicate {
                    first: first + 1,
                    second: position + 1,
                });
            }
        }
        Ok(Self(found))
    }

    /// Returns the certificates, the intermediate first.
    pub(in crate::mint) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    /// Holds every certificate, and the path to the root, against what was asked for.
    pub(in crate::mint) fn judge(&self, wanted: Wanted<'_>) -> Result<Chain, ChainRefused> {
        let read = self.0.iter().enumerate();
        let read = read.map(|(index, der)| Certificate::read(index + 1, der));
        let mut read = read.collect::<Result<Vec<_>, _>>()?;
        let above = path::root(&read, wanted.pinned)?;
        if let Some(pinned) = above {
            read.push(Certificate::read(self.0.len() + 1, pinned)?);
        }
        let [own, .., root] = read.as_slice() else {
            let found = read.first().map_or_else(String::new, Certificate::subject);
            return Err(ChainRefused::RootMissing { found });
        };
        own.refuse_another_key((wanted.id, wanted.spki))?;
        for one in &read {
            one.refuse_no_authority(wanted.trust_domain)?;
        }
        own.refuse_another_profile()?;
        path::refuse_broken(&read)?;
        path::refuse_times(&read, wanted)?;
        let below = self.0.iter().take(read.len() - 1);
        Ok(Chain {
            below: below.cloned().collect(),
            root: CertificateDer::from(root.der().to_vec()),
            root_key: root.key().clone(),
            root_ends: root.to(),
            ends: own.to(),
        })
    }
}

impl Chain {
    /// Returns the certificates without the root, the intermediate first.
    pub fn below(&self) -> &[CertificateDer<'static>] {
        &self.below
    }

    /// Returns the root.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// Returns the numbers of the root's key.
    pub fn root_key(&self) -> &KeyMaterial {
        &self.root_key
    }

    /// Returns when the root ends.
    pub fn root_ends(&self) -> SystemTime {
        self.root_ends
    }

    /// Returns when the intermediate ends, which is never after anything above it.
    pub fn ends(&self) -> SystemTime {
        self.ends
    }
}

/// The longest text: five certificates for RSA of 4096 bits take less than half of it.
pub const MAX_CHAIN_BYTES: usize = 32 * 1024;
/// With an SVID in front verifiers get six at most (T-06).
pub const MAX_CERTIFICATES: usize = 5;

#[cfg(test)]
mod tests;
