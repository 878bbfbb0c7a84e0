//! The path from the intermediate to the root: signatures, names, and times.
//!
//! Order is as brought: what is not signed by the next one is refused, never sorted.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;

use super::{Wanted, certificate::Certificate, refused::ChainRefused};
use crate::{
    clock::{rfc3339, unix_seconds},
    mint::lint::x509::SIGNATURES,
};

/// Returns the pinned root above the last certificate; `None` where the last one is a root itself.
pub(super) fn root<'a>(
    read: &[Certificate<'_>],
    pinned: &'a [CertificateDer<'static>],
) -> Result<Option<&'a CertificateDer<'static>>, ChainRefused> {
    let Some(last) = read.last() else {
        return Err(ChainRefused::RootMissing { found: String::new() });
    };
    if read.len() > 1 && last.parsed().issuer().as_raw() == last.parsed().subject().as_raw() {
        return Ok(None);
    }
    let above = |root: &&CertificateDer<'static>| {
        Certificate::read(read.len() + 1, root).is_ok_and(|root| signed_by(last, &root).is_ok())
    };
    match pinned.iter().find(above) {
        Some(root) => Ok(Some(root)),
        None => Err(ChainRefused::RootMissing { found: last.issuer() }),
    }
}

/// Refuses where a certificate is not signed by the next one, or the last one not by itself.
pub(super) fn refuse_broken(read: &[Certificate<'_>]) -> Result<(), ChainRefused> {
    for (index, one) in read.iter().enumerate() {
        let issuer = read.get(index + 1).unwrap_or(one);
        signed_by(one, issuer).map_err(|problem| ChainRefused::Signature {
            position: one.position(),
            problem,
        })?;
    }
    Ok(())
}

fn signed_by(one: &Certificate<'_>, issuer: &Certificate<'_>) -> Result<(), String> {
    let (parsed, above) = (one.parsed(), issuer.parsed());
    if parsed.issuer().as_raw() != above.subject().as_raw() {
        let (found, expected) = (one.issuer(), issuer.subject());
        return Err(format!("names the issuer `{found}`, expected `{expected}`"));
    }
    let algorithm = &parsed.signature_algorithm.algorithm;
    if !SIGNATURES.contains(algorithm) {
        return Err(format!(
            "has the signature algorithm {algorithm}, expected ECDSA or RSA PKCS#1 v1.5 with SHA-256 or more"
        ));
    }
    parsed
        .verify_signature(Some(above.public_key()))
        .map_err(|_unspecified| format!("is not signed by the key of `{}`", issuer.subject()))
}

/// Refuses what is not valid now, lives longer than what is above it, or is to live too short or too long.
pub(super) fn refuse_times(read: &[Certificate<'_>], wanted: Wanted<'_>) -> Result<(), ChainRefused> {
    let now = unix_seconds(wanted.now);
    for (index, one) in read.iter().enumerate() {
        // Without leeway: verifiers of what is signed at this moment have none either.
        if one.begins() > now || one.to() <= wanted.now {
            return Err(ChainRefused::NotValid {
                position: one.position(),
                from: moment(one.begins()),
                to: rfc3339(one.to()),
                now: rfc3339(wanted.now),
            });
        }
        let issuer = read.get(index + 1).unwrap_or(one);
        if one.to() > issuer.to() {
            return Err(ChainRefused::OutlivesIssuer {
                position: one.position(),
                found: rfc3339(one.to()),
                expected: rfc3339(issuer.to()),
            });
        }
    }
    let left = read
        .first()
        .and_then(|own| own.to().duration_since(wanted.now).ok())
        .unwrap_or_default();
    if left < wanted.least || left > wanted.most {
        return Err(ChainRefused::Life {
            found_seconds: left.as_secs(),
            least_seconds: wanted.least.as_secs(),
            most_seconds: wanted.most.as_secs(),
        });
    }
    Ok(())
}

fn moment(seconds: u64) -> String {
    rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}
