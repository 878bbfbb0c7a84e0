//! Step 4: a permission becomes an SVID.
//!
//! Nothing here decides who may; the permission does. Nothing here leaves the process; `Unrecorded` stands before that.

pub mod authority;
pub mod jwt_svid;
pub mod keys;
pub mod lint;

pub use authority::{AuthoritySet, KeyRing};
pub use jwt_svid::{JwtSvid, Minter};

use std::time::Duration;

use crate::jose::SigningAlgorithm;

/// What a relying party wants of an SVID beyond audience and subject, which only the permission decides.
#[derive(Clone, Debug)]
pub struct SvidShape {
    /// The signature algorithm.
    pub algorithm: SigningAlgorithm,
    /// Further claims, such as AWS session tags; never one that [`Minter`] sets itself.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// How long the SVID lives.
    pub life: Duration,
}

/// LIMITS.md: a JWT-SVID lives 5 minutes where Cambio itself exchanges it.
pub const EXCHANGED_SVID_LIFE: Duration = Duration::from_mins(5);

/// LIMITS.md: a JWT-SVID that is handed out lives at most 60 minutes.
pub const MAX_RELEASED_SVID_LIFE: Duration = Duration::from_hours(1);

/// An SVID of either form.
#[derive(Debug)]
pub enum Svid {
    /// A JWT-SVID.
    Jwt(JwtSvid),
}

/// An SVID was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintRefusal {
    /// A claim of the shape is one that only the minter sets.
    #[error("the relying party's shape sets `{claim}`, which only the minter sets")]
    ClaimReserved {
        /// The claim.
        claim: String,
    },
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
            Self::ClaimReserved { .. } => "mint.claim_reserved",
            Self::KeyUnavailable { .. } => "key.unavailable",
            Self::Lint { .. } => "mint.lint_failed",
            Self::Randomness(_) => "mint.randomness_unavailable",
        }
    }
}
