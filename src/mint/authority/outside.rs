//! A root whose key is not here: its certificate, pinned, and its place in the life cycle.
//!
//! It signs nothing in this process.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, der_parser::asn1_rs::FromDer as _};

use super::{KeyRingRefused, State};
use crate::{
    clock::from_unix_seconds,
    jose::KeyMaterial,
    mint::{der, outside::key},
    store::AuthorityRow,
    trust::X509Authority,
};

/// The algorithm of a root's row whose key is outside; which one that key signs with is not ours to know.
pub const OUTSIDE: &str = "outside";

/// A root whose key is not here.
#[derive(Debug)]
pub struct OutsideRoot {
    id: String,
    certificate: CertificateDer<'static>,
    key: KeyMaterial,
    state: State,
    expires: SystemTime,
}

impl OutsideRoot {
    /// Reads a row; the row's id is the key's thumbprint.
    pub(super) fn read(row: &AuthorityRow) -> Result<Self, KeyRingRefused> {
        let unreadable = |field, found: &str| KeyRingRefused::unreadable(row, field, found);
        let state = State::ALL.into_iter().find(|one| one.as_str() == row.state);
        let state = state.ok_or_else(|| unreadable("state", &row.state))?;
        let expires = from_unix_seconds(row.expires_seconds);
        let expires = expires.ok_or_else(|| unreadable("expires", &row.expires_seconds.to_string()))?;
        let parts = der::split(&row.certificates).unwrap_or_default();
        let [own] = parts.as_slice() else {
            return Err(unreadable("certificates", &format!("{} parts", parts.len())));
        };
        let key = X509Certificate::from_der(own)
            .map_err(|why| why.to_string())
            .and_then(|(_, read)| key::material(read.public_key()));
        let key = key.map_err(|found| unreadable("certificates", &found))?;
        if key.thumbprint().to_string() != row.id {
            return Err(unreadable("id", &key.thumbprint().to_string()));
        }
        Ok(Self {
            id: row.id.clone(),
            certificate: CertificateDer::from(own.to_vec()),
            key,
            state,
            expires,
        })
    }

    /// Returns the key id, which is the thumbprint.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Returns its place in the life cycle.
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns when it should have been replaced.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// Returns it as the bundle shows it.
    pub(super) fn published(&self) -> X509Authority {
        X509Authority {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        }
    }
}
