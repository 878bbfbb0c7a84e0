//! The lists of revoked certificates as they are served, one for each intermediate.
//!
//! Serving them depends on nothing, like the other documents. Nothing here decides what is revoked.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;

use super::Document;

/// The lists that are being served, by the key id of their intermediate, swapped whole; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct RevocationLists(Arc<ArcSwap<BTreeMap<String, Document>>>);

impl RevocationLists {
    /// Returns the list of an intermediate.
    pub fn find(&self, key_id: &str) -> Option<Document> {
        self.0.load().get(key_id).cloned()
    }

    /// Returns all lists.
    pub fn all(&self) -> Vec<Document> {
        self.0.load().values().cloned().collect()
    }

    /// Serves other lists from now on.
    pub fn replace(&self, lists: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let documents = lists.into_iter().map(|(id, der)| (id, Document::of_bytes(der)));
        self.0.store(Arc::new(documents.collect()));
    }
}
