//! Which certificates Google's federation takes, and what of them an attribute mapping can read.
//!
//! Reads certificates and verifies no signature. Google documents the subject token; the checks and most names of the
//! assertion's fields are unverified.

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use super::{Mark, Origin, part};
use crate::{clock, secret::Digest};

/// The type of a subject token that is a chain of certificates (documented).
pub const TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:mtls";

/// Google's refusal of a certificate; `Display` is unverified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateRefusal {
    /// It is not for TLS clients.
    #[error("The certificate is not valid for client authentication.")]
    Usage,
    /// It is not valid at this moment.
    #[error("The certificate is valid from {from} to {to}.")]
    Untimely {
        /// From when.
        from: String,
        /// Until when.
        to: String,
    },
    /// It cannot be read.
    #[error("The certificate cannot be parsed: {why}")]
    Unreadable {
        /// What is wrong.
        why: String,
    },
}

impl CertificateRefusal {
    /// Returns the value of the field `error`.
    pub fn code(&self) -> &'static str {
        "invalid_grant"
    }

    /// Returns where the rule is known from.
    pub fn origin(&self) -> Origin {
        Origin::new(part::SUBJECT_TOKEN, Mark::Unverified)
    }
}

/// Writes the subject token: a JSON list of base64 DER, the client's own certificate first (documented).
pub fn subject_token<C: AsRef<[u8]>>(chain: &[C]) -> String {
    let list: Vec<String> = chain.iter().map(|certificate| STANDARD.encode(certificate)).collect();
    json!(list).to_string()
}

/// Checks a client's certificate and returns when it ends, in seconds.
///
/// # Errors
/// [`CertificateRefusal`].
pub fn judge(der: &[u8], now: SystemTime) -> Result<u64, CertificateRefusal> {
    let certificate = read(der)?;
    let usage = certificate.extended_key_usage().map_err(|why| unreadable(&why))?;
    if usage.is_some_and(|usage| !usage.value.client_auth && !usage.value.any) {
        return Err(CertificateRefusal::Usage);
    }
    let validity = certificate.validity();
    let seconds = |moment: i64| u64::try_from(moment).unwrap_or(0);
    let (from, to) = (
        seconds(validity.not_before.timestamp()),
        seconds(validity.not_after.timestamp()),
    );
    if (from..=to).contains(&clock::unix_seconds(now)) {
        return Ok(to);
    }
    let shown = |moment: u64| clock::from_unix_seconds(moment).map_or_else(|| moment.to_string(), clock::rfc3339);
    Err(CertificateRefusal::Untimely {
        from: shown(from),
        to: shown(to),
    })
}

/// Returns what a mapping reads as `assertion`.
///
/// `subject.dn.cn` and `sha256Fingerprint` were seen in use; `san.uri` and `san.dns` as lists are unverified.
///
/// # Errors
/// [`CertificateRefusal::Unreadable`].
pub fn assertion(der: &[u8]) -> Result<Value, CertificateRefusal> {
    let certificate = read(der)?;
    let mut dn = Map::new();
    for (name, found) in [
        ("cn", certificate.subject().iter_common_name().next()),
        ("o", certificate.subject().iter_organization().next()),
        ("ou", certificate.subject().iter_organizational_unit().next()),
    ] {
        if let Some(value) = found.and_then(|attribute| attribute.as_str().ok()) {
            dn.insert(name.to_owned(), value.into());
        }
    }
    let (mut uris, mut names) = (Vec::new(), Vec::new());
    let alternative = certificate.subject_alternative_name().map_err(|why| unreadable(&why))?;
    for name in alternative.map_or(&[][..], |extension| &extension.value.general_names) {
        match name {
            GeneralName::URI(uri) => uris.push((*uri).to_owned()),
            GeneralName::DNSName(name) => names.push((*name).to_owned()),
            _ => {}
        }
    }
    Ok(json!({
        "subject": { "dn": dn },
        "san": { "uri": uris, "dns": names },
        "sha256Fingerprint": Digest::of(der).to_string(),
    }))
}

fn read(der: &[u8]) -> Result<X509Certificate<'_>, CertificateRefusal> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((rest, _)) => Err(CertificateRefusal::Unreadable {
            why: format!("{} bytes follow it", rest.len()),
        }),
        Err(why) => Err(CertificateRefusal::Unreadable { why: why.to_string() }),
    }
}

fn unreadable(why: &x509_parser::error::X509Error) -> CertificateRefusal {
    CertificateRefusal::Unreadable { why: why.to_string() }
}
