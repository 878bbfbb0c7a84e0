//! Our own published keys, as attestors of our own SVIDs read them.
//!
//! Attestors are configured before there are keys, and by `cambio check` without any; what is read here is what is
//! served at this moment, so that a key that is no longer published verifies nothing.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::{
    spiffe::{Bundle, BundleRefused, TrustDomain},
    trust::{Document, Published, RevocationLists},
};

/// Our own documents, once they are published; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct OwnDocuments(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    published: OnceLock<(Published, RevocationLists)>,
    read: Mutex<Option<(String, Arc<Bundle>)>>,
}

impl OwnDocuments {
    /// Tells what is published from now on; a second telling changes nothing.
    pub fn begin(&self, published: Published, lists: RevocationLists) {
        let _first_wins = self.0.published.set((published, lists));
    }

    /// Returns our bundle as it is served, read once for each of its versions.
    ///
    /// # Errors
    /// Fails before anything is published, and where our own reader does not take what we serve.
    pub fn bundle(&self, trust_domain: &TrustDomain) -> Result<Arc<Bundle>, NoOwnBundle> {
        let (published, _lists) = self.0.published.get().ok_or(NoOwnBundle::NotPublished)?;
        let document = published.load().bundle.clone();
        let mut read = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((etag, bundle)) = read.as_ref()
            && etag == document.etag()
        {
            return Ok(Arc::clone(bundle));
        }
        let bundle = Arc::new(Bundle::parse(trust_domain.clone(), document.body())?);
        *read = Some((document.etag().to_owned(), Arc::clone(&bundle)));
        Ok(bundle)
    }

    /// Returns the lists of revoked certificates as they are served.
    pub fn revocation_lists(&self) -> Vec<Document> {
        let published = self.0.published.get();
        published.map(|(_, lists)| lists.all()).unwrap_or_default()
    }
}

/// Our own bundle cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoOwnBundle {
    /// Nothing is published yet.
    #[error("this gateway publishes no keys yet")]
    NotPublished,
    /// Our own reader does not take what we serve.
    #[error("our own bundle cannot be read")]
    Unreadable(#[from] BundleRefused),
}
