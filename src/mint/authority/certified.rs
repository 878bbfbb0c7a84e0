//! What an authority issues certificates with: its own certificate, read back as a stranger would.
//!
//! A key never signs a certificate under a name or an identifier that its own certificate does not show.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnValue, KeyIdMethod, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use x509_parser::{
    certificate::X509Certificate,
    der_parser::asn1_rs::{FromDer as _, Tag},
    extensions::ParsedExtension,
};

use super::Purpose;
use crate::{
    jose::PublicJwk,
    mint::{
        der,
        issuing::{Letterhead, RawKey},
        lint::x509::Above,
        profile,
    },
};

/// The certificates of an authority, and what its signatures are issued under.
#[derive(Debug)]
pub(in crate::mint) struct Certified {
    chain: Vec<CertificateDer<'static>>,
    above: Above,
    public: RawKey,
    issuer: CertificateParams,
    from: SystemTime,
    to: SystemTime,
}

impl Certified {
    /// Reads the certificates of a row; `key` is the row's key.
    pub(super) fn read(purpose: Purpose, key: &PublicJwk, certificates: &[u8]) -> Result<Self, String> {
        let parts = der::split(certificates).ok_or("what is no list of DER certificates")?;
        let first = parts.first().ok_or("none")?;
        if purpose == Purpose::X509Root && parts.len() > 1 {
            return Err(format!("{} certificates, a root has one", parts.len()));
        }
        let public = RawKey::of(key.material()).ok_or("a key whose numbers are not base64url")?;
        let (_rest, own) = X509Certificate::from_der(first).map_err(|unreadable| unreadable.to_string())?;
        if own.public_key().raw != public.spki() {
            return Err("the certificate of another key".to_owned());
        }
        if !own.is_ca() {
            return Err("a certificate that is no authority's".to_owned());
        }
        Ok(Self {
            chain: parts.iter().map(|part| CertificateDer::from(part.to_vec())).collect(),
            above: Above::read(&CertificateDer::from(first.to_vec()))?,
            issuer: issuer(&own)?,
            public,
            from: moment(own.validity().not_before.timestamp())?,
            to: moment(own.validity().not_after.timestamp())?,
        })
    }

    /// Returns its own certificate and those that lead to the root, without the root.
    pub(in crate::mint) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Returns what the check of an SVID needs of it.
    pub(in crate::mint) fn above(&self) -> &Above {
        &self.above
    }

    /// Returns the begin and the end of its own certificate.
    pub(in crate::mint) fn validity(&self) -> (SystemTime, SystemTime) {
        (self.from, self.to)
    }

    /// Returns what its signatures are issued under.
    pub(in crate::mint) fn letterhead(&self) -> Letterhead<'_> {
        Letterhead {
            public: &self.public,
            issuer: &self.issuer,
        }
    }

    /// Returns the identifier of its key, as its own certificate shows it.
    pub(in crate::mint) fn key_identifier(&self) -> &KeyIdMethod {
        &self.issuer.key_identifier_method
    }
}

/// Returns name and key identifier as the certificate shows them; what else stands here is never written.
fn issuer(own: &X509Certificate<'_>) -> Result<CertificateParams, String> {
    let identifier = own
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
            _another => None,
        });
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = rcgen::DistinguishedName::new();
    issuer
        .distinguished_name
        .push(rcgen::DnType::CommonName, common_name(own)?);
    issuer.key_identifier_method = KeyIdMethod::PreSpecified(identifier.ok_or("no SubjectKeyIdentifier")?);
    issuer.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(issuer)
}

/// Returns the Subject, which is one common name, in the string type that it has: names are compared byte by byte.
fn common_name(own: &X509Certificate<'_>) -> Result<DnValue, String> {
    let mut attributes = own.subject().iter_attributes();
    let mut names = own.subject().iter_common_name();
    let (Some(_), None, Some(name), None) = (attributes.next(), attributes.next(), names.next(), names.next()) else {
        return Err(format!("the Subject `{}`, expected one common name", own.subject()));
    };
    let text = name.as_str().map_err(|unreadable| unreadable.to_string())?;
    if text.len() > profile::MAX_COMMON_NAME {
        return Err(format!("a common name of {} bytes, at most 64 are allowed", text.len()));
    }
    match name.attr_value().tag() {
        Tag::PrintableString => text
            .try_into()
            .map(DnValue::PrintableString)
            .map_err(|refused: rcgen::Error| refused.to_string()),
        _utf8_or_ascii => Ok(DnValue::Utf8String(text.to_owned())),
    }
}

fn moment(seconds: i64) -> Result<SystemTime, String> {
    let seconds = u64::try_from(seconds).map_err(|before| before.to_string())?;
    Ok(UNIX_EPOCH + Duration::from_secs(seconds))
}
