//! Which certificates Roles Anywhere takes: end entities, trust anchors, and what lies between.
//!
//! Source where no other stands: clouds.md 2.1 [D RA-guide]. Reads certificates and verifies no signature.

use std::time::SystemTime;

use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, KeyUsage},
    oid_registry::{
        OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512, Oid,
    },
    prelude::FromDer as _,
    public_key::PublicKey,
    x509::{X509Name, X509Version},
};

use super::Refusal;
use crate::clock;

/// A distinguished name: attribute names and values in the certificate's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name(pub Vec<(String, String)>);

/// The alternative names that Roles Anywhere reads: of each kind only the first [D RA-guide].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlternativeNames {
    /// The first DNS name.
    pub dns: Option<String>,
    /// The first URI.
    pub uri: Option<String>,
    /// The first directory name.
    pub directory: Option<Name>,
}

/// An end-entity certificate that fits the profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndEntity {
    /// Its subject, never empty.
    pub subject: Name,
    /// Its issuer.
    pub issuer: Name,
    /// Its alternative names.
    pub alternative: AlternativeNames,
    /// Its serial number, big-endian, without a leading zero.
    pub serial: Vec<u8>,
    /// The kind of its key.
    pub key: KeyKind,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// The kinds of keys that sign requests. ML-DSA [D RA-guide] is not supported here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// An elliptic curve.
    Ec,
    /// RSA.
    Rsa,
}

impl Name {
    fn of(name: &X509Name<'_>) -> Self {
        let attributes = name.iter_attributes().map(|attribute| {
            let value = attribute.as_str().map_or_else(
                |_other_type| String::from_utf8_lossy(attribute.as_slice()).into_owned(),
                str::to_owned,
            );
            (short_name(attribute.attr_type()), value)
        });
        Self(attributes.collect())
    }

    /// Returns the first common name.
    pub fn common_name(&self) -> Option<&str> {
        let named = self.0.iter().find(|(attribute, _)| attribute == "CN");
        named.map(|(_, value)| value.as_str())
    }
}

impl EndEntity {
    /// Reads a certificate and holds it against the end-entity profile.
    ///
    /// # Errors
    /// `AccessDeniedException` `[M]`: not version 3, CA:true, key usage without digital signature, a digest weaker than
    /// SHA-256, another key than RSA or EC, an empty subject.
    pub fn read(der: &[u8]) -> Result<Self, Refusal> {
        let certificate = parse(der)?;
        profile(&certificate)?;
        if certificate.is_ca() {
            return Err(Refusal::certificate("basicConstraints say CA:true, expected CA:false"));
        }
        if !usage(&certificate)?.is_some_and(KeyUsage::digital_signature) {
            return Err(Refusal::certificate("keyUsage lacks Digital Signature"));
        }
        let subject = Name::of(certificate.subject());
        if subject.0.is_empty() {
            return Err(Refusal::certificate(
                "the Subject is empty, which SPIFFE allows and Roles Anywhere does not support",
            ));
        }
        let key = match certificate.public_key().parsed() {
            Ok(PublicKey::RSA(_)) => KeyKind::Rsa,
            Ok(PublicKey::EC(_)) => KeyKind::Ec,
            _ => return Err(Refusal::certificate("the key is neither RSA nor EC")),
        };
        Ok(Self {
            subject,
            issuer: Name::of(certificate.issuer()),
            alternative: alternative(&certificate)?,
            serial: serial(&certificate),
            key,
            not_before: moment(certificate.validity().not_before.timestamp()),
            not_after: moment(certificate.validity().not_after.timestamp()),
        })
    }

    /// Checks that it is valid `now`.
    ///
    /// # Errors
    /// `AccessDeniedException` `[M]`.
    pub fn timely(&self, now: SystemTime) -> Result<(), Refusal> {
        timely((self.not_before, self.not_after), now)
    }
}

/// Checks one certificate of a trust anchor's bundle.
///
/// # Errors
/// `ValidationException` `[M]`: not version 3, not a CA, key usage without certificate sign, a weak digest.
pub fn trust_anchor(der: &[u8]) -> Result<(), Refusal> {
    authority(der)
        .map(|_validity| ())
        .map_err(|refused| Refusal::malformed(refused.detail.unwrap_or(refused.message)))
}

/// Checks a certificate that signs others: the trust anchor or an intermediate, and says how long it is valid.
///
/// # Errors
/// As for [`trust_anchor`], but `AccessDeniedException`.
pub fn authority(der: &[u8]) -> Result<(SystemTime, SystemTime), Refusal> {
    let certificate = parse(der)?;
    profile(&certificate)?;
    if !certificate.is_ca() {
        return Err(Refusal::certificate(
            "basicConstraints do not say CA:true, expected a CA",
        ));
    }
    if !usage(&certificate)?.is_some_and(KeyUsage::key_cert_sign) {
        return Err(Refusal::certificate("keyUsage lacks Certificate Sign"));
    }
    let validity = certificate.validity();
    Ok((
        moment(validity.not_before.timestamp()),
        moment(validity.not_after.timestamp()),
    ))
}

/// Checks a validity.
///
/// # Errors
/// `AccessDeniedException` `[M]`.
pub fn timely((from, to): (SystemTime, SystemTime), now: SystemTime) -> Result<(), Refusal> {
    if (from..=to).contains(&now) {
        return Ok(());
    }
    Err(Refusal::certificate(format!(
        "valid from {} to {}, it is {}",
        clock::rfc3339(from),
        clock::rfc3339(to),
        clock::rfc3339(now)
    )))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Refusal> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((rest, _)) => Err(Refusal::malformed(format!(
            "{} bytes follow the certificate",
            rest.len()
        ))),
        Err(why) => Err(Refusal::malformed(format!("not a certificate: {why}"))),
    }
}

fn profile(certificate: &X509Certificate<'_>) -> Result<(), Refusal> {
    if certificate.version() != X509Version::V3 {
        return Err(Refusal::certificate(format!(
            "the certificate is {}, expected version 3",
            certificate.version()
        )));
    }
    let algorithm = &certificate.signature_algorithm.algorithm;
    let strong = [
        OID_PKCS1_SHA256WITHRSA,
        OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA,
        OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ECDSA_WITH_SHA512,
    ];
    if strong.contains(algorithm) {
        return Ok(());
    }
    Err(Refusal::certificate(format!(
        "signed by algorithm {algorithm}, expected RSA or ECDSA with SHA-256 or stronger"
    )))
}

fn usage<'a>(certificate: &'a X509Certificate<'_>) -> Result<Option<&'a KeyUsage>, Refusal> {
    let usage = certificate
        .key_usage()
        .map_err(|why| Refusal::certificate(format!("keyUsage cannot be read: {why}")))?;
    Ok(usage.map(|extension| extension.value))
}

fn alternative(certificate: &X509Certificate<'_>) -> Result<AlternativeNames, Refusal> {
    let mut names = AlternativeNames::default();
    let found = certificate
        .subject_alternative_name()
        .map_err(|why| Refusal::certificate(format!("subjectAltName cannot be read: {why}")))?;
    for name in found.map_or(&[][..], |extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => first(&mut names.dns, || (*name).to_owned()),
            GeneralName::URI(uri) => first(&mut names.uri, || (*uri).to_owned()),
            GeneralName::DirectoryName(name) => first(&mut names.directory, || Name::of(name)),
            _ => {}
        }
    }
    Ok(names)
}

fn first<T>(place: &mut Option<T>, value: impl FnOnce() -> T) {
    if place.is_none() {
        *place = Some(value());
    }
}

fn serial(certificate: &X509Certificate<'_>) -> Vec<u8> {
    let raw = certificate.raw_serial();
    raw.iter().copied().skip_while(|byte| *byte == 0).collect()
}

fn moment(seconds: i64) -> SystemTime {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    clock::from_unix_seconds(seconds).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Returns the name of an attribute in tags. Common ones [D RA-guide]; the rest, and dotted numbers for unknown ones, `[M]`.
fn short_name(oid: &Oid<'_>) -> String {
    let dotted = oid.to_id_string();
    let name = match dotted.as_str() {
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "EMAILADDRESS",
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SURNAME",
        "2.5.4.5" => "SERIALNUMBER",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "T",
        "2.5.4.42" => "GIVENNAME",
        _ => return dotted,
    };
    name.to_owned()
}
