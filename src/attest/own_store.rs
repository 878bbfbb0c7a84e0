//! The gateway's own store, as attestors read it that keep what they judge by.
//!
//! Attestors are configured before the store is open, and by `cambio check` without one; they must never write to it but
//! through the commit of an entry.

use std::sync::{Arc, OnceLock};

use crate::store::{Store, StoreError};

/// The store, once it is open; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct OwnStore(Arc<OnceLock<Arc<dyn Store>>>);

impl OwnStore {
    /// Tells which store it is; a second telling changes nothing.
    pub fn begin(&self, store: Arc<dyn Store>) {
        let _first_wins = self.0.set(store);
    }

    /// Returns the store.
    ///
    /// # Errors
    /// Fails before it is open.
    pub fn open(&self) -> Result<&dyn Store, StoreError> {
        let store = self.0.get().ok_or_else(|| StoreError::Unavailable {
            doing: "looking up what an attestor keeps",
            source: Box::new(NotOpen),
        })?;
        Ok(&**store)
    }
}

/// The store is not open yet.
#[derive(Debug, thiserror::Error)]
#[error("the store is not open yet")]
struct NotOpen;
