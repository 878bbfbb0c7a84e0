//! Whether the certificates of our authorities lead to our roots, read as a verifier would.
//!
//! Never looks at the clock: an authority that has ended is the minter's to refuse.

use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, der_parser::asn1_rs::FromDer as _};

use crate::mint::authority::{AuthoritySet, KeyRingRefused, Purpose, State};

/// Refuses a set whose signing intermediates do not lead to a root that verifiers hold.
///
/// # Errors
/// Names the first such intermediate.
pub(in crate::mint) fn check(set: &AuthoritySet) -> Result<(), KeyRingRefused> {
    let roots: Vec<_> = set.published_roots().into_iter().map(|root| root.certificate).collect();
    let signing = set
        .of(Purpose::X509Intermediate)
        .filter(|one| one.state() == State::Active);
    for authority in signing {
        leads_to(authority.certificates(), &roots).map_err(|found| KeyRingRefused::RowUnreadable {
            id: authority.id().to_owned(),
            field: "certificates",
            found,
        })?;
    }
    Ok(())
}

/// Follows `chain` upwards: each certificate is signed by the next, the last by one of `roots`.
pub(in crate::mint) fn leads_to(
    chain: &[CertificateDer<'static>],
    roots: &[CertificateDer<'static>],
) -> Result<(), String> {
    for (position, certificate) in chain.iter().enumerate() {
        let above = match chain.get(position + 1) {
            Some(next) => std::slice::from_ref(next),
            None => roots,
        };
        // A certificate below has `position` further authorities under it before the SVID.
        if !above
            .iter()
            .any(|issuer| signed_by(certificate, issuer, position).is_ok())
        {
            return Err(format!("certificate {} that none above it has signed", position + 1));
        }
    }
    if chain.is_empty() {
        return Err("no certificate".to_owned());
    }
    Ok(())
}

/// Refuses where `issuer` did not sign `certificate`, or may not sign authorities with `below` others under them.
fn signed_by(certificate: &[u8], issuer: &[u8], below: usize) -> Result<(), String> {
    let read = |der| {
        let (rest, read) = X509Certificate::from_der(der).map_err(|unreadable| unreadable.to_string())?;
        if rest.is_empty() {
            Ok(read)
        } else {
            Err(format!("{} bytes after a certificate", rest.len()))
        }
    };
    let (certificate, issuer) = (read(certificate)?, read(issuer)?);
    if certificate.issuer().as_raw() != issuer.subject().as_raw() {
        return Err("another issuer's name".to_owned());
    }
    let constraints = issuer.basic_constraints().map_err(|twice| twice.to_string())?;
    let constraints = constraints
        .map(|constraints| constraints.value)
        .filter(|found| found.ca);
    let constraints = constraints.ok_or("an issuer that is no authority")?;
    if constraints
        .path_len_constraint
        .is_some_and(|most| usize::try_from(most).unwrap_or(usize::MAX) <= below)
    {
        return Err("a path longer than its issuer allows".to_owned());
    }
    let usage = issuer.key_usage().map_err(|twice| twice.to_string())?;
    if !usage.is_some_and(|usage| usage.value.key_cert_sign()) {
        return Err("an issuer that may not sign certificates".to_owned());
    }
    certificate
        .verify_signature(Some(issuer.public_key()))
        .map_err(|refused| refused.to_string())
}
