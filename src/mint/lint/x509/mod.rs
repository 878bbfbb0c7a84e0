//! The check of a signed X.509-SVID before it is released, independent of the builder.
//!
//! It reads the certificate as a relying party would, with another parser than the one that wrote it, and must never
//! take anything from the builder but what was asked for.

use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use x509_parser::{
    certificate::{X509Certificate, X509CertificateParser},
    extensions::{GeneralName, ParsedExtension, SubjectAlternativeName},
    nom::Parser as _,
    oid_registry::{
        OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384,
    },
    x509::X509Version,
};

use crate::{clock::unix_seconds, mint::MintRefusal, spiffe::SpiffeId};

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(in crate::mint) struct Wanted<'a> {
    pub(in crate::mint) spiffe_id: &'a SpiffeId,
    pub(in crate::mint) dns_names: &'a [String],
    /// The certified key as SubjectPublicKeyInfo in DER.
    pub(in crate::mint) spki: &'a [u8],
    pub(in crate::mint) serial: &'a [u8],
    /// The end that was permitted.
    pub(in crate::mint) ends: SystemTime,
    pub(in crate::mint) now: SystemTime,
}

/// What the check needs of the intermediate, read once for all that it signs.
#[derive(Clone, Debug)]
pub(in crate::mint) struct Above {
    certificate: CertificateDer<'static>,
    key_identifier: Option<Vec<u8>>,
    /// Seconds since the Unix epoch.
    ends: u64,
    anchor: TrustAnchor<'static>,
}

impl Above {
    /// Reads the certificate of an authority.
    ///
    /// # Errors
    /// Says why a verifier could not build on it.
    pub(in crate::mint) fn read(certificate: &CertificateDer<'static>) -> Result<Self, String> {
        let read = parsed(certificate)?;
        let identifier = read
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
                _another => None,
            });
        Ok(Self {
            certificate: certificate.clone(),
            key_identifier: identifier,
            ends: seconds(read.validity().not_after.timestamp()),
            anchor: webpki::anchor_from_trusted_cert(certificate)
                .map_err(refused)?
                .to_owned(),
        })
    }
}

/// Holds the chain of an SVID against what was asked for, X509-SVID and what every cloud accepts (clouds.md 2.1).
///
/// That the intermediates lead to a root was checked when they were read.
///
/// # Errors
/// Names the first difference.
pub(in crate::mint) fn check(
    chain: &[CertificateDer<'static>],
    above: &Above,
    wanted: Wanted<'_>,
) -> Result<(), MintRefusal> {
    let checked = match chain {
        [own, issuer, ..] if *issuer == above.certificate => hold(own, above, wanted),
        [_, _, ..] => Err("the second certificate is not that of the intermediate".to_owned()),
        [] | [_] => Err(format!(
            "the chain has {} certificates, expected 2 and more",
            chain.len()
        )),
    };
    checked.map_err(|reason| MintRefusal::Lint { reason })
}

fn hold(own: &CertificateDer<'_>, above: &Above, wanted: Wanted<'_>) -> Result<(), String> {
    if own.len() > MAX_CERTIFICATE_BYTES {
        return Err(format!(
            "the certificate has {} bytes, at most {MAX_CERTIFICATE_BYTES} are allowed",
            own.len()
        ));
    }
    let read = parsed(own)?;
    head(&read, above, wanted)?;
    extensions(&read, above, wanted)?;
    path(own, &above.anchor, wanted.now)
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(true);
    let (rest, read) = parser.parse(der).map_err(|unreadable| unreadable.to_string())?;
    if rest.is_empty() {
        Ok(read)
    } else {
        Err(format!("{} bytes stand after the certificate", rest.len()))
    }
}

/// Everything but the extensions.
fn head(read: &X509Certificate<'_>, above: &Above, wanted: Wanted<'_>) -> Result<(), String> {
    if read.version() != X509Version::V3 {
        return Err(format!("the version is {}, expected 3", read.version().0 + 1));
    }
    let algorithm = &read.signature_algorithm.algorithm;
    if !SIGNATURES.contains(algorithm) {
        return Err(format!(
            "the signature algorithm is {algorithm}, expected one with SHA-256 or more"
        ));
    }
    // RFC 5280 section 4.1.2.2, and at least 64 random bits (CA/Browser Forum 7.1).
    let serial = read.raw_serial();
    if !(8..=20).contains(&serial.len()) || serial.first().is_none_or(|first| *first >= 0x80) {
        return Err(format!("the serial number has {} bytes or is negative", serial.len()));
    }
    if serial != wanted.serial {
        return Err("the serial number is not the one that was drawn".to_owned());
    }
    if read.subject().iter().next().is_none() {
        return Err("the Subject is empty, which Roles Anywhere refuses".to_owned());
    }
    if read.public_key().raw != wanted.spki {
        return Err("the certified key is not the one that was asked for".to_owned());
    }
    times(read, above, wanted)
}

fn times(read: &X509Certificate<'_>, above: &Above, wanted: Wanted<'_>) -> Result<(), String> {
    let (from, to) = (
        seconds(read.validity().not_before.timestamp()),
        seconds(read.validity().not_after.timestamp()),
    );
    let now = unix_seconds(wanted.now);
    if from > now || now - from > MAX_BACKDATE.as_secs() {
        return Err(format!(
            "notBefore is {from}, expected at most {MAX_BACKDATE:?} before {now}"
        ));
    }
    let latest = unix_seconds(wanted.ends).min(above.ends);
    if to <= now || to > latest || to - now > MAX_LIFE.as_secs() {
        return Err(format!("notAfter is {to}, expected after {now} and at most {latest}"));
    }
    Ok(())
}

fn seconds(moment: i64) -> u64 {
    u64::try_from(moment).unwrap_or(0)
}

/// Exactly the six extensions that an SVID has, each once.
fn extensions(read: &X509Certificate<'_>, above: &Above, wanted: Wanted<'_>) -> Result<(), String> {
    let mut missing = vec![
        "BasicConstraints",
        "KeyUsage",
        "ExtendedKeyUsage",
        "SubjectAltName",
        "SKI",
        "AKI",
    ];
    for extension in read.extensions() {
        let found = match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => {
                if constraints.ca || constraints.path_len_constraint.is_some() {
                    return Err("BasicConstraints make it an authority".to_owned()); // X509-SVID-7
                }
                "BasicConstraints"
            }
            ParsedExtension::KeyUsage(usage) => {
                if !extension.critical || usage.flags != DIGITAL_SIGNATURE {
                    return Err(format!(
                        "KeyUsage is `{usage}`, expected digitalSignature alone, critical"
                    )); // X509-SVID-8, 9
                }
                "KeyUsage"
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let others = usage.any || usage.code_signing || usage.email_protection || usage.time_stamping;
                if !usage.server_auth || !usage.client_auth || others || usage.ocsp_signing || !usage.other.is_empty() {
                    return Err("ExtendedKeyUsage is not serverAuth and clientAuth".to_owned()); // X509-SVID-10
                }
                "ExtendedKeyUsage"
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                alternative_names(names, wanted)?;
                "SubjectAltName"
            }
            ParsedExtension::SubjectKeyIdentifier(_) => "SKI",
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                if identifier.key_identifier.as_ref().map(|id| id.0) != above.key_identifier.as_deref() {
                    return Err("the AuthorityKeyIdentifier is not the issuer's".to_owned());
                }
                "AKI"
            }
            _another => return Err(format!("extension {} is not one of an SVID", extension.oid)),
        };
        let position = missing.iter().position(|name| *name == found);
        missing.swap_remove(position.ok_or_else(|| format!("{found} is there twice"))?);
    }
    match missing.first() {
        Some(name) => Err(format!("{name} is missing")),
        None => Ok(()),
    }
}

/// One URI, the SPIFFE ID that was permitted (X509-SVID-1, 3); the DNS names that were granted; nothing else.
fn alternative_names(names: &SubjectAlternativeName<'_>, wanted: Wanted<'_>) -> Result<(), String> {
    let (mut uris, mut dns_names) = (Vec::new(), Vec::new());
    for name in &names.general_names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::DNSName(name) => dns_names.push(*name),
            another => return Err(format!("SubjectAltName holds `{another}`, expected URI and DNS names")),
        }
    }
    let [uri] = uris.as_slice() else {
        return Err(format!("SubjectAltName holds {} URIs, expected 1", uris.len()));
    };
    let id = SpiffeId::parse(uri).map_err(|refused| refused.to_string())?;
    if &id != wanted.spiffe_id || id.path().is_empty() {
        return Err(format!("the URI is `{uri}`, expected `{}`", wanted.spiffe_id));
    }
    if dns_names != wanted.dns_names {
        return Err(format!(
            "the DNS names are {dns_names:?}, expected {:?}",
            wanted.dns_names
        ));
    }
    Ok(())
}

/// The signature and RFC 5280's rules, by the code that rustls uses.
fn path(own: &CertificateDer<'_>, anchor: &TrustAnchor<'static>, now: SystemTime) -> Result<(), String> {
    let since = Duration::from_secs(unix_seconds(now));
    webpki::EndEntityCert::try_from(own)
        .map_err(refused)?
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            std::slice::from_ref(anchor),
            &[],
            UnixTime::since_unix_epoch(since),
            webpki::KeyUsage::client_auth(),
            None,
            None,
        )
        .map(drop)
        .map_err(refused)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(why: webpki::Error) -> String {
    format!("webpki refuses the path: {why:?}")
}

/// With SHA-256 or more, by algorithms that webpki verifies.
pub(in crate::mint) const SIGNATURES: [x509_parser::der_parser::oid::Oid<'static>; 5] = [
    OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384,
    OID_PKCS1_SHA256WITHRSA,
    OID_PKCS1_SHA384WITHRSA,
    OID_PKCS1_SHA512WITHRSA,
];
/// RFC 5280 section 4.2.1.3: digitalSignature is bit 0.
const DIGITAL_SIGNATURE: u16 = 1;
/// clouds.md section 0: below every header's size.
const MAX_CERTIFICATE_BYTES: usize = 8 * 1024;
/// LIMITS.md: the leeway for clocks is 30 s.
const MAX_BACKDATE: Duration = Duration::from_secs(30);
/// LIMITS.md: an X.509-SVID lives at most 24 hours.
const MAX_LIFE: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
