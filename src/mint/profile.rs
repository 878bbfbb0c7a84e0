//! What our certificates say: one profile for authorities, one for SVIDs, every field set.
//!
//! Never takes rcgen's defaults. They are valid from 1975 to 4096, named "rcgen self signed cert", without
//! BasicConstraints and AuthorityKeyIdentifier, and their serial number is the hash of the key, so that every
//! certificate of one key is revoked with the first.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
    KeyUsagePurpose, SanType, SerialNumber,
};
use time::OffsetDateTime;

use crate::{
    secret::{Digest, NoRandomness, Random},
    spiffe::{SpiffeId, TrustDomain},
};

/// How far a certificate's begin lies back, for clocks that are behind ours.
///
/// LIMITS.md: the leeway for clocks is 30 s.
pub(in crate::mint) const BACKDATE: Duration = Duration::from_secs(30);

/// RFC 5280 section 4.1.2.2 allows 20 bytes; 16 hold 126 bits of entropy after both top bits are set to 01, which
/// keeps the number positive and always of the same length.
const SERIAL_BYTES: usize = 16;

/// RFC 5280, upper bound of a common name.
pub(in crate::mint) const MAX_COMMON_NAME: usize = 64;

/// From when to when a certificate is valid, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mint) struct Validity {
    pub(in crate::mint) from: SystemTime,
    pub(in crate::mint) to: SystemTime,
}

/// Draws a serial number: positive, 16 bytes, 126 random bits.
pub(in crate::mint) fn serial(random: &dyn Random) -> Result<Vec<u8>, NoRandomness> {
    let mut serial = [0; SERIAL_BYTES];
    random.fill(&mut serial)?;
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    Ok(serial.to_vec())
}

/// The profile of a root (`path_length` 1) or an intermediate (0): X509-SVID-5, and the trust domain as its URI.
pub(in crate::mint) fn authority(
    common_name: &str,
    trust_domain: &TrustDomain,
    path_length: u8,
    (serial, validity): (&[u8], Validity),
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = blank(common_name, serial, validity);
    params.subject_alt_names = vec![SanType::URI(trust_domain.id().as_str().try_into()?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// What the certificate of an intermediate is asked for with, where its root is outside: [`authority`] with path length 0.
///
/// Serial number, validity and the issuer's identifier are the issuer's.
pub(in crate::mint) fn request(
    common_name: &str,
    trust_domain: &TrustDomain,
) -> Result<CertificateParams, rcgen::Error> {
    let never = Validity {
        from: SystemTime::UNIX_EPOCH,
        to: SystemTime::UNIX_EPOCH,
    };
    let mut params = authority(common_name, trust_domain, 0, (&[], never))?;
    params.serial_number = None;
    params.use_authority_key_identifier_extension = false;
    Ok(params)
}

/// The profile of an SVID.
///
/// `digitalSignature` alone: TLS 1.3 and Roles Anywhere sign, and a key that only signs cannot be made to decrypt. No
/// list of revoked certificates is named in it: verifiers that know the trust domain know where ours is, others would
/// ask over TLS and fail.
pub(in crate::mint) fn svid(
    common_name: &str,
    id: &SpiffeId,
    dns_names: &[String],
    (serial, validity): (&[u8], Validity),
) -> Result<CertificateParams, rcgen::Error> {
    // Roles Anywhere maps the first value of each kind only; the SPIFFE ID is the only URI (X509-SVID-1).
    let mut names = vec![SanType::URI(id.as_str().try_into()?)];
    for name in dns_names {
        names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    // Roles Anywhere refuses an empty Subject, which SPIFFE would allow (clouds.md 2.1).
    let mut params = blank(common_name, serial, validity);
    params.subject_alt_names = names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// No authority, without names and usages; no field keeps its default.
fn blank(common_name: &str, serial: &[u8], validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = OffsetDateTime::from(validity.from);
    params.not_after = OffsetDateTime::from(validity.to);
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.subject_alt_names = Vec::new();
    params.distinguished_name = named(common_name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = Vec::new();
    params.extended_key_usages = Vec::new();
    params.name_constraints = None;
    params.crl_distribution_points = Vec::new();
    params.custom_extensions = Vec::new();
    params.use_authority_key_identifier_extension = true;
    params.key_identifier_method = KeyIdMethod::Sha256;
    params
}

/// Names an SVID in its Subject: `<entry>.<8 hex of SHA-256(SPIFFE ID)>`, the same for each of its certificates.
///
/// AWS takes it as the source identity, with at most 61 characters unchanged (clouds.md 2.2).
pub(in crate::mint) fn svid_name(entry: &str, id: &SpiffeId) -> String {
    let digest = Digest::of(id.as_str().as_bytes()).to_string();
    let entry: String = entry.chars().take(MAX_SVID_NAME - 9).collect();
    let digest: String = digest.chars().take(8).collect();
    format!("{entry}.{digest}")
}

const MAX_SVID_NAME: usize = 61;

/// Names an authority by its key, so that no two share a name.
pub(in crate::mint) fn authority_name(kind: &str, key_id: &str) -> String {
    let digest: String = Digest::of(key_id.as_bytes()).to_string().chars().take(16).collect();
    format!("Cambio {kind} {digest}")
}

pub(in crate::mint) fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
