//! An issuer's keys, fetched or pinned.
//!
//! Pinned keys are never fetched, refreshed or replaced but by a reload of the configuration; it must never ask anybody
//! about them.

use std::{sync::Arc, time::SystemTime};

use super::{IssuerKeys, unverifiable};
use crate::{
    attest::AttestRefusal,
    jose::{Algorithm, KeySet, PublicKey},
};

/// The keys of one issuer.
#[derive(Debug)]
pub(in crate::attest) enum Keys {
    /// Of the issuer itself.
    Fetched(Arc<IssuerKeys>),
    /// Of a file.
    Pinned(KeySet),
}

impl Keys {
    /// Makes keys that are fetched when they are needed.
    pub(in crate::attest) fn fetched(keys: IssuerKeys) -> Self {
        Self::Fetched(Arc::new(keys))
    }

    /// Tells whether a token's key is none of these, and never will be: pinned keys do not change.
    pub(in crate::attest) fn exclude(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        match self {
            Self::Fetched(_) => false,
            Self::Pinned(keys) => keys.find(kid, algorithm).is_err(),
        }
    }

    /// Returns the key that a token names.
    ///
    /// # Errors
    /// As [`IssuerKeys::find`]; pinned keys are always available.
    pub(in crate::attest) async fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: SystemTime,
    ) -> Result<PublicKey, AttestRefusal> {
        match self {
            Self::Fetched(keys) => keys.find(kid, algorithm, now).await,
            Self::Pinned(keys) => {
                let found = keys.find(kid, algorithm);
                found.cloned().map_err(|missing| unverifiable(&missing))
            }
        }
    }
}
