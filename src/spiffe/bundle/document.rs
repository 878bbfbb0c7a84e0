//! How our own bundle is written.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::jose::{KeyMaterial, KeyUse, PublicJwk};

/// Our bundle as it is served; `Serialize` writes the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleDocument {
    keys: Vec<Entry>,
    spiffe_sequence: u64,
    spiffe_refresh_hint: u64,
}

impl BundleDocument {
    /// Returns a document without keys, by which a trust domain revokes everything.
    ///
    /// `sequence` must change whenever the keys do; the hint is written in whole seconds.
    pub fn new(sequence: u64, refresh_hint: Duration) -> Self {
        Self {
            keys: Vec::new(),
            spiffe_sequence: sequence,
            spiffe_refresh_hint: refresh_hint.as_secs(),
        }
    }

    /// Adds a key that signs JWT-SVIDs.
    #[must_use]
    pub fn with_jwt_authority(mut self, key: PublicJwk) -> Self {
        self.keys.push(Entry::Jwt(key.for_use(KeyUse::JwtSvid)));
        self
    }

    /// Adds a certificate in DER that X.509-SVIDs chain to, with the numbers of its key.
    #[must_use]
    pub fn with_x509_authority(mut self, certificate: Vec<u8>, key: KeyMaterial) -> Self {
        self.keys.push(Entry::X509(X509Entry { certificate, key }));
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Entry {
    Jwt(PublicJwk),
    X509(X509Entry),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct X509Entry {
    certificate: Vec<u8>,
    key: KeyMaterial,
}

impl Serialize for X509Entry {
    /// Writes `use: x509-svid`, no `kid`, and exactly one certificate in standard base64 (X509-SVID section 6.1).
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        self.key.serialize_members(&mut members)?;
        members.serialize_entry("use", "x509-svid")?;
        members.serialize_entry("x5c", &[BASE64_STANDARD.encode(&self.certificate)])?;
        members.end()
    }
}
