//! The certificate of a signer.
//!
//! It must never be trusted because it came with the document: it is one of those configured, or it has a path to them.

use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::{
    certificate::X509Certificate,
    der_parser::asn1_rs::FromDer as _,
    extensions::{GeneralName, ParsedExtension},
    public_key::PublicKey,
};

use super::signed_data::SignerId;
use crate::{
    clock::{from_unix_seconds, unix_seconds},
    secret::Digest,
};

/// A certificate with an RSA key that is worth a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    key_identifier: Option<Vec<u8>>,
    key: Vec<u8>,
    dns_names: Vec<String>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Certificate {
    /// Reads a certificate; its key is judged before anything is computed with it (T-06).
    ///
    /// # Errors
    /// Refuses what is no certificate, and keys that are not RSA of 2048 to 4096 bits.
    pub fn read(der: &[u8]) -> Result<Self, CertificateRefused> {
        let unreadable = |reason: String| CertificateRefused::Unreadable { reason };
        let (rest, read) = X509Certificate::from_der(der).map_err(|why| unreadable(why.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable(format!("{} bytes stand after it", rest.len())));
        }
        refuse_key(&read)?;
        let moment = |seconds: i64| from_unix_seconds(u64::try_from(seconds).unwrap_or(0));
        let dates = read.validity();
        let (Some(not_before), Some(not_after)) = (
            moment(dates.not_before.timestamp()),
            moment(dates.not_after.timestamp()),
        ) else {
            return Err(unreadable("its dates are out of range".to_owned()));
        };
        let key_identifier = read.extensions().iter().find_map(|one| match one.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        Ok(Self {
            der: der.to_vec(),
            issuer: read.issuer().as_raw().to_vec(),
            serial: read.raw_serial().to_vec(),
            key_identifier,
            key: read.public_key().subject_public_key.data.to_vec(),
            dns_names: dns_names(&read),
            not_before,
            not_after,
        })
    }

    /// Returns the certificate itself.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns its DNS names (the subject's alternative names), which count only once its path was verified.
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    /// Returns its SHA-256, which may be logged.
    pub fn sha256(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// Returns the key's identifier, to name a signer by.
    #[cfg(test)]
    #[cfg(feature = "dev")]
    pub(super) fn key_identifier_for_test(&self) -> Option<Vec<u8>> {
        self.key_identifier.clone()
    }

    /// Tells whether a signer means this certificate.
    pub(super) fn is_named_by(&self, id: SignerId<'_>) -> bool {
        match id {
            SignerId::IssuerAndSerial { issuer, serial } => self.issuer == issuer && self.serial == serial,
            SignerId::SubjectKey(key) => self.key_identifier.as_deref() == Some(key),
        }
    }

    /// Returns the key, as PKCS#1.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Refuses a certificate outside of its dates.
    pub(super) fn refuse_dates(&self, now: SystemTime) -> Result<(), CertificateRefused> {
        if self.not_before <= now && now <= self.not_after {
            return Ok(());
        }
        Err(CertificateRefused::Dates)
    }

    /// Refuses a certificate without a path to `roots`, by the code that rustls uses.
    pub(super) fn refuse_path(
        &self,
        roots: &[Self],
        between: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> Result<(), CertificateRefused> {
        let roots: Vec<CertificateDer<'_>> = roots
            .iter()
            .filter(|root| root.refuse_dates(now).is_ok())
            .map(|root| CertificateDer::from(root.der()))
            .collect();
        let anchors: Vec<_> = roots
            .iter()
            .filter_map(|root| webpki::anchor_from_trusted_cert(root).ok())
            .collect();
        let own = CertificateDer::from(self.der());
        let time = UnixTime::since_unix_epoch(Duration::from_secs(unix_seconds(now)));
        let usage = webpki::KeyUsage::server_auth();
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        webpki::EndEntityCert::try_from(&own)
            .and_then(|own| {
                own.verify_for_usage(algorithms, &anchors, between, time, usage, None, None)
                    .map(drop)
            })
            .map_err(CertificateRefused::Path)
    }
}

fn dns_names(read: &X509Certificate<'_>) -> Vec<String> {
    let names = read.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let dns = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}

fn refuse_key(read: &X509Certificate<'_>) -> Result<(), CertificateRefused> {
    let key = read.public_key().parsed();
    let Ok(PublicKey::RSA(key)) = key else {
        return Err(CertificateRefused::Kind);
    };
    let bits = key.key_size();
    let exponent = key.try_exponent().unwrap_or(0);
    if (2048..=4096).contains(&bits) && exponent > 1 && exponent % 2 == 1 {
        return Ok(()); // LIMITS: RSA keys have 2048 to 4096 bits and an odd exponent above 1
    }
    Err(CertificateRefused::Key { found: bits })
}

/// A certificate is not one of a signer that is taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateRefused {
    /// It has ended, or does not count yet.
    #[error("the signer's certificate does not count at this time")]
    Dates,
    /// Its key costs more than it is worth, or is too weak.
    #[error("found an RSA key of {found} bits, expected 2048 to 4096 and an odd exponent above 1")]
    Key {
        /// How many bits.
        found: usize,
    },
    /// Its key is of another kind.
    #[error("found a key of another kind, expected RSA")]
    Kind,
    /// It has no path to the certificates that are trusted.
    #[error("the signer's certificate has no path to those that are trusted")]
    Path(#[source] webpki::Error),
    /// It cannot be read.
    #[error("the certificate cannot be read: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
}
