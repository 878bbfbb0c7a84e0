//! Authorities: signing keys with their life cycle.
//!
//! A key signs only while it is active, and every published key stays published until what it signed has expired.

mod certified;
mod genesis;
mod outside;
mod ring;
mod serving;
pub(in crate::mint) mod stored;

use std::{sync::Arc, time::SystemTime};

use rustls::pki_types::CertificateDer;

pub(in crate::mint) use self::{certified::Certified, genesis::prepare};
pub use self::{
    genesis::{Certification, life, new_intermediate, new_root},
    outside::{OUTSIDE, OutsideRoot},
    ring::{KeyRing, Signed},
    serving::{Serving, Stale},
    stored::KeyRingRefused,
};
use crate::{
    jose::{PublicJwk, PublicKey, SigningAlgorithm},
    mint::{issuing::NotIssued, keys::Key},
    trust::{PublishedKeys, X509Authority},
};

/// What an authority signs; a key of one purpose never signs for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Checkpoints of the trail.
    Audit,
    /// JWT-SVIDs.
    Jwt,
    /// X.509-SVIDs and the list of those that are revoked.
    X509Intermediate,
    /// Intermediates; relying parties hold its certificate as their trust anchor.
    X509Root,
}

impl Purpose {
    /// Returns the word that stands in the store and in the sealing.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Jwt => "jwt",
            Self::X509Intermediate => "x509_intermediate",
            Self::X509Root => "x509_root",
        }
    }

    /// The words of the purposes that issue certificates.
    const X509: [&str; 2] = ["x509_intermediate", "x509_root"];

    /// Every purpose.
    pub const ALL: [Self; 4] = [Self::Audit, Self::Jwt, Self::X509Intermediate, Self::X509Root];
}

/// Where an authority stands in its life, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Made, not yet published.
    Prepared,
    /// In the published documents, not yet signing.
    Published,
    /// Seen through every public place and published by every replica; it signs once the lead is over.
    Observed,
    /// Signing.
    Active,
    /// No longer signing, still published.
    Retired,
    /// No longer published.
    Removed,
}

impl State {
    /// Every state, in order.
    pub const ALL: [Self; 6] = [
        Self::Prepared,
        Self::Published,
        Self::Observed,
        Self::Active,
        Self::Retired,
        Self::Removed,
    ];

    /// Returns the word that stands in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Published => "published",
            Self::Observed => "observed",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Removed => "removed",
        }
    }

    /// Returns whether verifiers must find the key in our documents.
    pub fn is_published(self) -> bool {
        matches!(self, Self::Published | Self::Observed | Self::Active | Self::Retired)
    }
}

/// One signing key with its place in the life cycle.
#[derive(Debug)]
pub struct Authority {
    key: Arc<dyn Key>,
    public: PublicJwk,
    verifier: PublicKey,
    purpose: Purpose,
    algorithm: SigningAlgorithm,
    state: State,
    expires: SystemTime,
    certified: Option<Arc<Certified>>,
}

impl Authority {
    /// Returns the key id.
    pub fn id(&self) -> &str {
        self.public.kid()
    }

    /// Returns the private key.
    pub fn key(&self) -> &dyn Key {
        &*self.key
    }

    /// Returns the published half.
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// Returns the verifying half.
    pub fn verifier(&self) -> &PublicKey {
        &self.verifier
    }

    /// Returns what it signs.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Returns with what.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// Returns its place in the life cycle.
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns when it should have been replaced.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// Returns its certificates: its own first, then those that lead to the root, without the root.
    ///
    /// None for one that issues no certificates.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        self.certified.as_ref().map_or(&[], |certified| certified.chain())
    }

    pub(in crate::mint) fn certified(&self) -> Result<&Arc<Certified>, NotIssued> {
        self.certified.as_ref().ok_or_else(|| NotIssued::NoAuthority {
            id: self.id().to_owned(),
        })
    }
}

/// All authorities at one generation.
#[derive(Debug)]
pub struct AuthoritySet {
    generation: u64,
    authorities: Vec<Authority>,
    outside: Vec<OutsideRoot>,
}

impl AuthoritySet {
    /// Returns the generation, which is also the bundle's sequence.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns all authorities whose keys are here.
    pub fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    /// Returns the roots whose keys are not here.
    pub fn outside_roots(&self) -> &[OutsideRoot] {
        &self.outside
    }

    /// Returns the keys that verifiers of SVIDs must find.
    pub fn published(&self) -> Vec<PublicJwk> {
        let published = self
            .authorities
            .iter()
            .filter(|one| one.purpose == Purpose::Jwt && one.state.is_published());
        published.map(|one| one.public.clone()).collect()
    }

    /// Returns the roots that verifiers of X.509-SVIDs must find.
    pub fn published_roots(&self) -> Vec<X509Authority> {
        let roots = self.of(Purpose::X509Root).filter(|one| one.state.is_published());
        let published = roots.flat_map(|root| {
            root.certificates().iter().map(|certificate| X509Authority {
                certificate: certificate.clone(),
                key: root.public.material().clone(),
            })
        });
        let outside = self.outside.iter().filter(|one| one.state().is_published());
        published.chain(outside.map(OutsideRoot::published)).collect()
    }

    /// Returns the ids of the roots that verifiers of X.509-SVIDs must find.
    fn published_root_ids(&self) -> impl Iterator<Item = &str> {
        let here = self.of(Purpose::X509Root).filter(|one| one.state.is_published());
        let outside = self.outside.iter().filter(|one| one.state().is_published());
        here.map(Authority::id).chain(outside.map(OutsideRoot::id))
    }

    /// Returns what the documents show.
    pub fn published_keys(&self) -> PublishedKeys {
        PublishedKeys {
            jwt: self.published(),
            x509: self.published_roots(),
            sequence: self.generation,
        }
    }

    /// Returns the intermediate that signs X.509-SVIDs.
    pub fn intermediate(&self) -> Option<&Authority> {
        self.of(Purpose::X509Intermediate)
            .find(|one| one.state == State::Active)
    }

    /// Returns the authorities of one purpose.
    pub fn of(&self, purpose: Purpose) -> impl Iterator<Item = &Authority> {
        self.authorities.iter().filter(move |one| one.purpose == purpose)
    }

    fn active(&self, purpose: Purpose, algorithm: SigningAlgorithm) -> Option<&Authority> {
        let mut authorities = self.authorities.iter();
        authorities.find(|one| one.purpose == purpose && one.algorithm == algorithm && one.state == State::Active)
    }
}

#[cfg(test)]
mod tests;
