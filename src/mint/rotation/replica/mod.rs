//! This process's copy of the key set: what it may sign with, and what it publishes.
//!
//! Documents are swapped before the keys are, so that it never signs with a key that it does not publish, and what it last
//! read from the store goes stale: a process that stood still, or lost the store, signs nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::rules::LAG;
use crate::{
    clock::Clock,
    mint::{
        AuthoritySet, KeyRing,
        authority::{Certification, KeyRingRefused, Serving, Stale, stored},
        keys::KeySource,
        outside::RootPlace,
    },
    secret::Random,
    spiffe::TrustDomain,
    store::{Authorities, BoxFuture, Store},
    trust::{Documents, Published, documents::NoDocuments},
};

/// What a replica is made of.
#[derive(Clone, Debug)]
pub struct ReplicaParts {
    /// Where the authorities are.
    pub store: Arc<dyn Store>,
    /// What opens and makes keys.
    pub source: Arc<dyn KeySource>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives serial numbers.
    pub random: Arc<dyn Random>,
    /// Our trust domain.
    pub trust_domain: TrustDomain,
    /// Our issuer URL.
    pub issuer: String,
    /// The token endpoint's base.
    pub exchange_url: String,
}

/// This process's copy of the key set.
#[derive(Debug)]
pub struct Replica {
    parts: ReplicaParts,
    root: RootPlace,
    set: Arc<ArcSwap<AuthoritySet>>,
    published: Published,
    /// When the copy was last known to be the store's, in milliseconds of uptime.
    confirmed: AtomicU64,
    turn: Mutex<()>,
}

/// The copy was not renewed; the old one stays, until it is too old to sign by.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotRenewed {
    /// There is nothing to publish.
    #[error("the documents cannot be written")]
    Documents(#[from] NoDocuments),
    /// The store cannot be read, or what it holds cannot be believed.
    #[error("the authorities cannot be used")]
    Refused(#[from] KeyRingRefused),
    /// The store lies before what this process has seen: an old copy was restored under it (TM-42).
    #[error("the store is at generation {found}, this process has seen {known}")]
    WentBack {
        /// The store's generation.
        found: u64,
        /// The generation of the copy.
        known: u64,
    },
}

impl ReplicaParts {
    /// Returns what certificates of authorities are made with.
    fn certification(&self, root: RootPlace) -> Certification<'_> {
        Certification {
            trust_domain: &self.trust_domain,
            random: &*self.random,
            root,
        }
    }
}

impl Replica {
    /// Opens the store's authorities and begins to publish them; returns the ring that may sign from now on.
    ///
    /// # Errors
    /// Fails where the store or the key source does, and where what the store holds cannot be believed.
    pub async fn open(parts: ReplicaParts) -> Result<(KeyRing, Arc<Self>), NotRenewed> {
        Self::open_under(RootPlace::Store, parts).await
    }

    /// Opens the store's authorities as [`Self::open`] does, with the root's key where `root` says.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_under(root: RootPlace, parts: ReplicaParts) -> Result<(KeyRing, Arc<Self>), NotRenewed> {
        let before = parts.clock.uptime();
        let certification = parts.certification(root);
        let ring = KeyRing::open(&*parts.store, &*parts.source, certification, parts.clock.now()).await?;
        let documents = documents(&parts, &ring.load())?;
        let replica = Arc::new(Self {
            parts,
            root,
            set: ring.set(),
            published: Published::new(documents),
            confirmed: AtomicU64::new(milliseconds(before)),
            turn: Mutex::new(()),
        });
        ring.serve(Arc::clone(&replica) as Arc<dyn Serving>);
        Ok((ring, replica))
    }

    /// Returns what it is made of.
    pub fn parts(&self) -> &ReplicaParts {
        &self.parts
    }

    /// Returns what certificates of authorities are made with.
    pub(super) fn certification(&self) -> Certification<'_> {
        self.parts.certification(self.root)
    }

    /// Returns the authorities of this moment.
    pub fn set(&self) -> Arc<AuthoritySet> {
        self.set.load_full()
    }

    /// Returns what is published.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// Returns for how long the copy has not been compared with the store.
    pub fn age(&self) -> Duration {
        let confirmed = Duration::from_millis(self.confirmed.load(Ordering::Acquire));
        self.parts.clock.uptime().saturating_sub(confirmed)
    }

    /// Compares the copy with the store, and takes over what has changed.
    ///
    /// # Errors
    /// The old copy stays where this fails.
    pub async fn refresh(&self) -> Result<(), NotRenewed> {
        let _one_at_a_time = self.turn.lock().await;
        self.renew().await
    }

    async fn renew(&self) -> Result<(), NotRenewed> {
        let before = self.parts.clock.uptime();
        let stored = self.parts.store.authorities().await.map_err(KeyRingRefused::from)?;
        self.adopt(&stored)?;
        // Another task may have confirmed a later moment meanwhile; time never goes back.
        self.confirmed.fetch_max(milliseconds(before), Ordering::AcqRel);
        Ok(())
    }

    fn adopt(&self, stored: &Authorities) -> Result<(), NotRenewed> {
        let known = self.set.load().generation();
        if stored.generation < known {
            let found = stored.generation;
            return Err(NotRenewed::WentBack { found, known });
        }
        if stored.generation > known {
            let set = stored::read(&*self.parts.source, stored, self.parts.clock.now())?;
            self.published.replace(documents(&self.parts, &set)?);
            self.set.store(Arc::new(set));
        }
        Ok(())
    }

    async fn freshened(&self) -> Result<(), Stale> {
        if self.age() <= LAG {
            return Ok(());
        }
        let _one_at_a_time = self.turn.lock().await;
        if self.age() <= LAG {
            return Ok(());
        }
        self.renew().await.map_err(|failed| Stale {
            age_seconds: self.age().as_secs(),
            most_seconds: LAG.as_secs(),
            reason: chain(&failed),
        })
    }
}

impl Serving for Replica {
    fn freshen(&self) -> BoxFuture<'_, Result<(), Stale>> {
        Box::pin(self.freshened())
    }

    fn publishes(&self, id: &str) -> bool {
        self.published.load().publishes(id)
    }
}

fn documents(parts: &ReplicaParts, set: &AuthoritySet) -> Result<Documents, NoDocuments> {
    Documents::new(&parts.issuer, &parts.exchange_url, &set.published_keys())
}

fn milliseconds(uptime: Duration) -> u64 {
    u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX)
}

/// Writes an error with its causes, for a field that holds text only.
pub(super) fn chain(failed: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(failed), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
