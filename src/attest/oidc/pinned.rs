//! An issuer's keys, fetched or pinned.
//!
//! Pinned keys are never fetched, refreshed or replaced but by a reload of the configuration; it must never ask anybody
//! about them.

use std::{sync::Arc, time::SystemTime};

use super::keys::{IssuerKeys, unverifiable};
use crate::{
    attest::AttestRefusal,
    jose::{Algorithm, KeySet, PublicKey},
};

/// The keys of one issuer.
#[derive(Debug)]
pub(super) enum Keys {
    /// Of the issuer itself.
    Fetched(Arc<IssuerKeys>),
    /// Of a file.
    Pinned(KeySet),
}

impl Keys {
    /// Makes keys that are fetched when they are needed.
    pub(super) fn fetched(keys: IssuerKeys) -> Self {
        Self::Fetched(Arc::new(keys))
    }

    /// Returns the key that a token names.
    ///
    /// # Errors
    /// As [`IssuerKeys::find`]; pinned keys are always available.
    pub(super) async fn find(
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
