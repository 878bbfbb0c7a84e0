//! Step 4: a permission becomes an SVID.
//!
//! Nothing here decides who may; the permission does. Nothing here leaves the process; `Unrecorded` stands before that.

pub mod authority;
pub mod crl;
pub mod csr;
mod der;
#[cfg(test)]
mod fixture;
pub mod issuing;
pub mod jwt_svid;
pub mod keys;
pub mod lint;
pub mod outside;
pub mod pem;
mod profile;
pub mod rotation;
pub mod x509_svid;

pub use authority::{AuthoritySet, KeyRing};
pub use jwt_svid::{JwtSvid, Minter};
pub use x509_svid::{NotSigned, X509Svid};

use std::time::Duration;

use crate::{authorize::Permission, jose::SigningAlgorithm};

/// What a relying party wants of an SVID beyond audience and subject, which only the permission decides.
#[derive(Clone, Debug)]
pub enum SvidShape {
    /// A JWT-SVID.
    Jwt(JwtShape),
    /// An X.509-SVID.
    X509(X509Shape),
}

/// What a JWT-SVID holds beyond audience and subject.
#[derive(Clone, Debug)]
pub struct JwtShape {
    /// The signature algorithm.
    pub algorithm: SigningAlgorithm,
    /// Further claims, such as AWS session tags; never one that [`Minter`] sets itself.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// How long the SVID lives.
    pub life: Duration,
}

/// What an X.509-SVID holds beyond the SPIFFE ID.
#[derive(Clone, Debug)]
pub struct X509Shape {
    /// Whose key it certifies.
    pub key: SubjectKey,
    /// DNS names, as granted; none is ever taken from a request.
    pub dns_names: Vec<String>,
    /// How long it lives.
    pub life: Duration,
}

/// The key that an X.509-SVID certifies.
#[derive(Clone, Debug)]
pub enum SubjectKey {
    /// The key of a certificate request whose self-signature held; the private half stays with the workload.
    Certified(csr::SubjectPublicKey),
    /// A key that is made here and lives in memory for one exchange.
    Generated(X509KeyAlgorithm),
    /// The key that the caller is to bring; the gateway puts it in, and without one nothing is minted.
    Requested,
}

/// What kinds of keys are made for X.509-SVIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum X509KeyAlgorithm {
    /// ECDSA on P-256, signing with SHA-256.
    P256,
    /// ECDSA on P-384, signing with SHA-384.
    P384,
    /// RSA of 2048 bits, signing PKCS#1 v1.5 with SHA-256.
    Rsa2048,
}

/// LIMITS.md: a JWT-SVID lives 5 minutes where Cambio itself exchanges it.
pub const EXCHANGED_SVID_LIFE: Duration = Duration::from_mins(5);

/// LIMITS.md: a JWT-SVID that is handed out lives at most 60 minutes.
pub const MAX_RELEASED_SVID_LIFE: Duration = Duration::from_hours(1);

/// LIMITS.md: an X.509-SVID lives at most 24 hours.
pub const MAX_X509_SVID_LIFE: Duration = Duration::from_hours(24);

/// An SVID of either form.
#[derive(Debug)]
pub enum Svid {
    /// A JWT-SVID.
    Jwt(JwtSvid),
    /// An X.509-SVID.
    X509(X509Svid),
}

impl Svid {
    /// Returns the permission it was made by.
    pub fn permission(&self) -> &Permission {
        match self {
            Self::Jwt(svid) => svid.permission(),
            Self::X509(svid) => svid.permission(),
        }
    }
}

/// An SVID was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintRefusal {
    /// A certificate cannot say who acts.
    #[error(
        "`{actor}` acts for the workload, which a certificate cannot say; expected a relying party that takes a JWT-SVID"
    )]
    ActorInCertificate {
        /// The current actor.
        actor: String,
    },
    /// A claim of the shape is one that only the minter sets.
    #[error("the relying party's shape sets `{claim}`, which only the minter sets")]
    ClaimReserved {
        /// The claim.
        claim: String,
    },
    /// A certificate was to be made, but the request brought no key.
    #[error("no certificate request was brought, expected `csr` at /v1/svid/x509")]
    CsrMissing,
    /// A key was brought where no certificate is made.
    #[error("a certificate request was brought, but this relying party takes no X.509-SVID")]
    CsrUnexpected,
    /// The key source did not sign.
    #[error("the key for {algorithm} is not available: {reason}")]
    KeyUnavailable {
        /// The algorithm asked for.
        algorithm: &'static str,
        /// Why.
        reason: String,
    },
    /// The signed SVID is not what was asked for; it was not released.
    #[error("the signed SVID fails its own check: {reason}")]
    Lint {
        /// What the independent check found.
        reason: String,
    },
    /// The platform gave no randomness.
    #[error("no id could be drawn")]
    Randomness(#[from] crate::secret::NoRandomness),
}

impl MintRefusal {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ActorInCertificate { .. } => "mint.actor_in_certificate",
            Self::ClaimReserved { .. } => "mint.claim_reserved",
            Self::CsrMissing => "mint.csr_missing",
            Self::CsrUnexpected => "mint.csr_unexpected",
            Self::KeyUnavailable { .. } => "key.unavailable",
            Self::Lint { .. } => "mint.lint_failed",
            Self::Randomness(_) => "mint.randomness_unavailable",
        }
    }
}
