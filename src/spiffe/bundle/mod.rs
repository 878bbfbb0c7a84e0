//! SPIFFE bundles: how a foreign one is read, and how ours is written.
//!
//! A bundle must never keep a key that its newest document lacks: an empty one revokes everything (SPIFFE-BUNDLE-2).

mod document;
mod parse;
mod root;

pub use self::{
    document::BundleDocument,
    parse::{BundleRefused, IgnoredEntry, IgnoredReason},
    root::RootRefused,
};

use std::time::Duration;

use super::TrustDomain;
use crate::jose::KeySet;

/// The authorities of one trust domain.
#[derive(Debug, Clone)]
pub struct Bundle {
    trust_domain: TrustDomain,
    jwt_authorities: KeySet,
    x509_authorities: Vec<Vec<u8>>,
    sequence: Option<u64>,
    refresh_hint: Duration,
    ignored: Vec<IgnoredEntry>,
    surplus: Vec<usize>,
}

impl Bundle {
    /// Reads the bundle of `trust_domain`.
    ///
    /// # Errors
    /// Refuses what is not strict JSON or no set, a secret key, a key id that two JWT authorities share, and a sequence
    /// or refresh hint that is no whole number. A key that cannot be used is left out, even if none is left.
    pub fn parse(trust_domain: TrustDomain, bytes: &[u8]) -> Result<Self, BundleRefused> {
        parse::parse(trust_domain, bytes)
    }

    /// Returns whose bundle it is.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Returns the keys that verify JWT-SVIDs; none means that every JWT-SVID of the trust domain is invalid.
    pub fn jwt_authorities(&self) -> &KeySet {
        &self.jwt_authorities
    }

    /// Returns the certificates that X.509-SVIDs chain to, in DER, unparsed.
    pub fn x509_authorities(&self) -> &[Vec<u8>] {
        &self.x509_authorities
    }

    /// Returns the sequence number, which changes with the contents.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// Returns how long to wait before the next fetch: 60 s to 24 h, 300 s where the bundle says nothing.
    pub fn refresh_hint(&self) -> Duration {
        self.refresh_hint
    }

    /// Returns the entries that were left out, and why.
    pub fn ignored(&self) -> &[IgnoredEntry] {
        &self.ignored
    }

    /// Returns the places of entries that hold more than one certificate; only the first was taken.
    pub fn surplus(&self) -> &[usize] {
        &self.surplus
    }

    /// Returns what is wrong with the first root that cannot be one of this trust domain, and its place among the roots.
    ///
    /// # Errors
    /// Refuses what X509-SVID-5 refuses, and a root that names another trust domain.
    pub fn check_roots(&self) -> Result<(), (usize, RootRefused)> {
        let check = |(place, root): (usize, &Vec<u8>)| {
            root::refuse(root, &self.trust_domain).map_err(|refused| (place, refused))
        };
        self.x509_authorities.iter().enumerate().try_for_each(check)
    }
}

#[cfg(test)]
mod tests;
