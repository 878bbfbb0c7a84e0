//! The throw-away certificate authority of one development world.
//!
//! Its key never leaves memory; its certificate says what it is, so that nothing else ever trusts it.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

/// Where the authority and the one server certificate lie.
#[derive(Clone, Debug)]
pub struct Files {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The servers' certificate for 127.0.0.1 and localhost.
    pub certificate: PathBuf,
    /// The servers' key, mode 0600.
    pub key: PathBuf,
}

/// The name that `serve` refuses: a certificate of this issuer is for development only.
pub const COMMON_NAME: &str = "Cambio development CA, do not trust";

/// Makes an authority and a server certificate in `directory`, valid for a week from `now`.
///
/// # Errors
/// Fails where a key cannot be made or a file cannot be written.
pub fn create(directory: &Path, now: std::time::SystemTime) -> Result<Files, Box<dyn std::error::Error + Send + Sync>> {
    let now = OffsetDateTime::from(now);
    let mut authority = CertificateParams::default();
    authority.distinguished_name = named(COMMON_NAME);
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (authority.not_before, authority.not_after) = (now - Duration::HOUR, now + Duration::WEEK);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut server = CertificateParams::default();
    server.distinguished_name = named("Cambio development server");
    server.subject_alt_names = vec![
        SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
        SanType::DnsName("localhost".try_into()?),
    ];
    server.is_ca = IsCa::ExplicitNoCa;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    (server.not_before, server.not_after) = (now - Duration::HOUR, now + Duration::WEEK);
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;
    let files = Files {
        ca: directory.join("ca.pem"),
        certificate: directory.join("tls.crt"),
        key: directory.join("tls.key"),
    };
    fs::write(&files.ca, authority.pem())?;
    fs::write(&files.certificate, certificate.pem())?;
    write_private(&files.key, key.serialize_pem().as_bytes())?;
    Ok(files)
}

/// Writes a certificate as PEM.
pub fn pem(der: &[u8]) -> String {
    let lines: Vec<String> = STANDARD
        .encode(der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// Fails where it cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
