//! X.509-SVIDs: what goes into them, and nothing else.
//!
//! The SPIFFE ID comes from the permission alone, DNS names from the relying party's configuration, the key from a proof
//! of possession or from here. Nothing that a request says gets into a certificate.

use std::{sync::Arc, time::SystemTime};

use rcgen::Issuer;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::{
    KeyRing, MAX_X509_SVID_LIFE, MintRefusal, SubjectKey, X509KeyAlgorithm, X509Shape,
    authority::{Authority, Certified, Purpose},
    issuing::{self, NotIssued, Pen, RawKey},
    keys::ephemeral::EphemeralKey,
    lint::x509::{self, Wanted},
    profile::{self, BACKDATE, Validity},
};
use crate::{
    authorize::Permission,
    clock::{from_unix_seconds, unix_seconds},
    secret::{Digest, Random},
    spiffe::SpiffeId,
};

/// An X.509-SVID with the permission it was made by.
#[derive(Debug)]
pub struct X509Svid {
    chain: Vec<CertificateDer<'static>>,
    serial: Vec<u8>,
    key_id: String,
    expires: SystemTime,
    key: Option<EphemeralKey>,
    permission: Permission,
}

impl X509Svid {
    /// Returns the permission it was made by.
    pub fn permission(&self) -> &Permission {
        &self.permission
    }

    /// Returns the SPIFFE ID it names.
    pub fn spiffe_id(&self) -> &SpiffeId {
        self.permission.subject()
    }

    /// Returns the certificates: its own first, then what leads to the root, never the root.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Returns the serial number, big-endian and positive.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Returns the intermediate that signed it.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the SHA-256 of its own certificate.
    pub fn sha256(&self) -> Digest {
        Digest::of(self.chain.first().map_or(&[], |own| own.as_ref()))
    }

    /// Returns its end.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// Returns the algorithm of the key that was made here; `None` where the key is the workload's.
    pub fn key_algorithm(&self) -> Option<X509KeyAlgorithm> {
        self.key.as_ref().map(EphemeralKey::algorithm)
    }

    /// Returns the private key in PKCS#8, for the one connection it was made for; `None` where it is the workload's.
    pub fn private_key_pkcs8(&self) -> Option<&Zeroizing<Vec<u8>>> {
        self.key.as_ref().map(EphemeralKey::pkcs8)
    }

    /// Signs with the key that was made here.
    ///
    /// # Errors
    /// Refuses where the private key is the workload's.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, NotSigned> {
        let key = self.key.as_ref().ok_or(NotSigned::NotOurs)?;
        key.sign(message).map_err(|_unspecified| NotSigned::Failed)
    }
}

/// An X.509-SVID signed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSigned {
    /// The cryptography refused.
    #[error("the key of the X.509-SVID did not sign")]
    Failed,
    /// The private key never was here.
    #[error("the private key of the X.509-SVID is the workload's")]
    NotOurs,
}

/// Makes, signs and checks the SVID that `permission` allows.
pub(super) async fn mint(
    keys: &KeyRing,
    permission: Permission,
    shape: X509Shape,
    (random, now): (&dyn Random, SystemTime),
) -> Result<X509Svid, MintRefusal> {
    let (public, key) = subject_key(shape.key).await?;
    let serial = profile::serial(random)?;
    let life = shape.life.min(permission.lifetime()).min(MAX_X509_SVID_LIFE);
    let certificate = Certificate {
        public,
        serial,
        dns_names: shape.dns_names,
        ends: now + life,
        now,
    };
    let algorithm = keys.load().intermediate().map(Authority::algorithm);
    let algorithm = algorithm.ok_or_else(|| unavailable("no intermediate is active".to_owned()))?;
    let draft = |authority: &Authority| certificate.draft(authority, &permission);
    let signed = keys.sign(Purpose::X509Intermediate, algorithm, draft).await?;
    let draft = signed.input;
    let own = issuing::signed(draft.seen, algorithm, &signed.signature);
    let chain: Vec<_> = [CertificateDer::from(own)]
        .into_iter()
        .chain(draft.certified.chain().iter().cloned())
        .collect();
    let wanted = Wanted {
        spiffe_id: permission.subject(),
        dns_names: &certificate.dns_names,
        spki: &certificate.public.spki(),
        serial: &certificate.serial,
        ends: certificate.ends,
        now,
    };
    x509::check(&chain, draft.certified.above(), wanted)?;
    Ok(X509Svid {
        chain,
        serial: certificate.serial,
        key_id: signed.key_id,
        expires: draft.validity.to,
        key,
        permission,
    })
}

/// Returns the key to certify, and its private half if it was made here.
async fn subject_key(key: SubjectKey) -> Result<(RawKey, Option<EphemeralKey>), MintRefusal> {
    let failed = |reason: String| MintRefusal::KeyUnavailable {
        algorithm: "X.509",
        reason,
    };
    let algorithm = match key {
        SubjectKey::Certified(key) => return Ok((key.raw().clone(), None)),
        SubjectKey::Requested => return Err(MintRefusal::CsrMissing),
        SubjectKey::Generated(algorithm) => algorithm,
    };
    let made = match algorithm {
        X509KeyAlgorithm::P256 | X509KeyAlgorithm::P384 => EphemeralKey::generate(algorithm),
        X509KeyAlgorithm::Rsa2048 => tokio::task::spawn_blocking(move || EphemeralKey::generate(algorithm))
            .await
            .map_err(|ended| failed(ended.to_string()))?,
    };
    let key = made.map_err(|unspecified| failed(unspecified.to_string()))?;
    Ok((key.public(), Some(key)))
}

/// What one certificate says, whoever signs it.
struct Certificate {
    public: RawKey,
    serial: Vec<u8>,
    dns_names: Vec<String>,
    ends: SystemTime,
    now: SystemTime,
}

/// A certificate that waits for its signature.
struct Draft {
    seen: Vec<u8>,
    certified: Arc<Certified>,
    validity: Validity,
}

impl AsRef<[u8]> for Draft {
    fn as_ref(&self) -> &[u8] {
        &self.seen
    }
}

impl Certificate {
    /// Never valid before or after the intermediate.
    fn draft(&self, authority: &Authority, permission: &Permission) -> Result<Draft, MintRefusal> {
        let certified = authority.certified()?;
        let (from, to) = certified.validity();
        if to <= self.now || from > self.now {
            return Err(unavailable(format!(
                "the intermediate {} is not valid now",
                authority.id()
            )));
        }
        let validity = Validity {
            from: whole_seconds(self.now - BACKDATE).max(from),
            to: whole_seconds(self.ends).min(to),
        };
        let entry = permission.workload().entry().as_str();
        let common_name = profile::svid_name(entry, permission.subject());
        let params = profile::svid(
            &common_name,
            permission.subject(),
            &self.dns_names,
            (&self.serial, validity),
        )
        .map_err(NotIssued::from)?;
        let build = |issuer: &Issuer<'_, Pen<'_>>| Ok(params.signed_by(&self.public, issuer)?.der().to_vec());
        Ok(Draft {
            seen: certified.letterhead().seen(build)?,
            certified: Arc::clone(certified),
            validity,
        })
    }
}

fn whole_seconds(moment: SystemTime) -> SystemTime {
    from_unix_seconds(unix_seconds(moment)).unwrap_or(moment)
}

fn unavailable(reason: String) -> MintRefusal {
    MintRefusal::KeyUnavailable {
        algorithm: "X.509",
        reason,
    }
}

impl From<NotIssued> for MintRefusal {
    fn from(failed: NotIssued) -> Self {
        match failed {
            NotIssued::Randomness(failed) => Self::Randomness(failed),
            NotIssued::Key(_) | NotIssued::NoAuthority { .. } | NotIssued::Written(_) => {
                unavailable(failed.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests;
