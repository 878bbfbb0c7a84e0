//! What a root of a trust domain must be.

use x509_parser::{certificate::X509Certificate, der_parser::asn1_rs::FromDer as _, extensions::GeneralName};

use super::TrustDomain;
use crate::jose::excerpt;

/// Why a certificate cannot be a root of a trust domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RootRefused(String);

/// Refuses a root that verifiers would refuse (X509-SVID-5).
pub(super) fn refuse(der: &[u8], trust_domain: &TrustDomain) -> Result<(), RootRefused> {
    checked(der, trust_domain).map_err(RootRefused)
}

fn checked(der: &[u8], trust_domain: &TrustDomain) -> Result<(), String> {
    let (rest, read) = X509Certificate::from_der(der).map_err(|unreadable| unreadable.to_string())?;
    if !rest.is_empty() {
        return Err(format!("found {} bytes after the certificate", rest.len()));
    }
    if !read.is_ca() {
        return Err("found a certificate that is no authority's, expected CA:true".to_owned());
    }
    let usage = read.key_usage().map_err(|twice| twice.to_string())?;
    if !usage.is_some_and(|usage| usage.value.key_cert_sign()) {
        return Err("found no key usage `keyCertSign`, expected it".to_owned());
    }
    let expected = trust_domain.id();
    let names = read.subject_alternative_name().map_err(|twice| twice.to_string())?;
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        if let GeneralName::URI(found) = name
            && *found != expected.as_str()
        {
            return Err(format!("found the name `{}`, expected `{expected}`", excerpt(found)));
        }
    }
    Ok(())
}
