//! Whether a path of certificates leads to a trust anchor, and whether a revocation list names one of them.
//!
//! Verifies with `x509-parser`; never uses the mint's own checks, which a wrong certificate has passed already.

use std::time::SystemTime;

use x509_parser::{certificate::X509Certificate, prelude::FromDer as _, revocation_list::CertificateRevocationList};

use crate::exchange::aws_roles_anywhere::rules::{Code, Refusal, certificate, limits};

/// A leaf and what the client sent with it.
pub(super) struct Presented<'a> {
    pub(super) leaf: &'a [u8],
    pub(super) intermediates: &'a [Vec<u8>],
}

/// Finds a path from the leaf to one of the `anchors` and returns its certificates, the leaf first, the anchor last.
///
/// # Errors
/// `Untrusted Signing Certificate` where there is none, and what is wrong with an authority on it.
pub(super) fn find<'a>(
    presented: &'a Presented<'a>,
    anchors: &'a [Vec<u8>],
    now: SystemTime,
) -> Result<Vec<&'a [u8]>, Refusal> {
    let mut path: Vec<&[u8]> = vec![presented.leaf];
    while let Some(last) = path.last() {
        let last = parse(last)?;
        if let Some(anchor) = anchors.iter().find(|anchor| signed(&last, anchor)) {
            may_sign(anchor, path.len() - 1, now)?;
            path.push(anchor);
            return Ok(path);
        }
        let unused = |candidate: &&Vec<u8>| !path.contains(&candidate.as_slice());
        let mut candidates = presented.intermediates.iter().filter(unused);
        let Some(next) = candidates.find(|candidate| signed(&last, candidate)) else {
            break;
        };
        may_sign(next, path.len() - 1, now)?;
        path.push(next);
        if path.len() > limits::CHAIN_DEPTH + 1 {
            break;
        }
    }
    Err(Refusal::untrusted())
}

/// Checks an authority that has `below` other authorities between itself and the leaf.
fn may_sign(der: &[u8], below: usize, now: SystemTime) -> Result<(), Refusal> {
    let validity = certificate::authority(der)?;
    certificate::timely(validity, now)?;
    let certificate = parse(der)?;
    let constraints = certificate
        .basic_constraints()
        .map_err(|why| Refusal::certificate(format!("basicConstraints cannot be read: {why}")))?;
    let limit = constraints.and_then(|extension| extension.value.path_len_constraint);
    match limit.and_then(|limit| usize::try_from(limit).ok()) {
        Some(limit) if below > limit => Err(Refusal::certificate(format!(
            "{below} authorities below one that allows {limit}"
        ))),
        Some(_) | None => Ok(()),
    }
}

fn signed(certificate: &X509Certificate<'_>, issuer: &[u8]) -> bool {
    X509Certificate::from_der(issuer).is_ok_and(|(_, issuer)| {
        issuer.subject().as_raw() == certificate.issuer().as_raw()
            && certificate.verify_signature(Some(issuer.public_key())).is_ok()
    })
}

/// Checks the certificates of a path against a revocation list.
///
/// # Errors
/// A certificate is named by it; or it is signed by nobody on the path that it says it is, or past its end `[M]`.
pub(super) fn not_revoked(path: &[&[u8]], list: &[u8], now: SystemTime) -> Result<(), Refusal> {
    let list = parse_list(list)?;
    for pair in path.windows(2) {
        let [certificate, issuer] = pair else { continue };
        let (certificate, issuer) = (parse(certificate)?, parse(issuer)?);
        if list.issuer().as_raw() != issuer.subject().as_raw() {
            continue;
        }
        if list.verify_signature(issuer.public_key()).is_err() {
            return Err(revoked("the revocation list's signature is not its issuer's"));
        }
        let ends = list.next_update().map(|moment| moment.timestamp());
        let now = i64::try_from(crate::clock::unix_seconds(now)).unwrap_or(i64::MAX);
        if ends.is_some_and(|ends| ends < now) {
            return Err(revoked("the revocation list is past its next update"));
        }
        let is_it = |serial: &[u8]| serial == certificate.raw_serial();
        if list.iter_revoked_certificates().any(|entry| is_it(entry.raw_serial())) {
            return Err(revoked(&format!(
                "serial {} is on the revocation list",
                certificate.raw_serial_as_string()
            )));
        }
    }
    Ok(())
}

/// Reads a revocation list.
///
/// # Errors
/// `ValidationException` `[M]`.
pub(super) fn parse_list(der: &[u8]) -> Result<CertificateRevocationList<'_>, Refusal> {
    match CertificateRevocationList::from_der(der) {
        Ok(([], list)) => Ok(list),
        Ok(_) => Err(Refusal::malformed("bytes follow the revocation list")),
        Err(why) => Err(Refusal::malformed(format!("not a revocation list: {why}"))),
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Refusal> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(Refusal::malformed("bytes follow the certificate")),
        Err(why) => Err(Refusal::malformed(format!("not a certificate: {why}"))),
    }
}

/// The text is `[M]`.
fn revoked(detail: &str) -> Refusal {
    Refusal::unverified(Code::AccessDenied, "Certificate revoked").because(detail)
}
