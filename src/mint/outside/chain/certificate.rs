//! One certificate of a chain, and what an authority of our trust domain must be (X509-SVID-5).
//!
//! Knows nothing of the certificates beside it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::{
    certificate::{X509Certificate, X509CertificateParser},
    extensions::{ExtendedKeyUsage, GeneralName, ParsedExtension, SubjectAlternativeName},
    nom::Parser as _,
    x509::X509Version,
};

use super::ChainRefused;
use crate::{
    jose::{KeyMaterial, excerpt},
    mint::{outside::key, profile},
    spiffe::TrustDomain,
};

/// A certificate that could be read and has a key that we take.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    position: usize,
    der: &'a [u8],
    read: X509Certificate<'a>,
    key: KeyMaterial,
    to: SystemTime,
}

impl<'a> Certificate<'a> {
    /// Reads the certificate at `position`, counted from 1.
    pub(super) fn read(position: usize, der: &'a [u8]) -> Result<Self, ChainRefused> {
        let malformed = |problem: String| ChainRefused::Malformed {
            problem: format!("certificate {position} {problem}"),
        };
        let mut parser = X509CertificateParser::new().with_deep_parse_extensions(true);
        let (rest, read) = parser.parse(der).map_err(|why| malformed(format!("is none: {why}")))?;
        if !rest.is_empty() {
            return Err(malformed(format!("has {} bytes after it", rest.len())));
        }
        if read.version() != X509Version::V3 {
            return Err(malformed(format!("has version {}", read.version().0 + 1)));
        }
        let twice = read.extensions_map().map(drop);
        twice.map_err(|why| malformed(format!("has an extension twice: {why}")))?;
        let key = key::material(read.public_key());
        let key = key.map_err(|found| ChainRefused::KeyUnsupported { position, found })?;
        let to = u64::try_from(read.validity().not_after.timestamp()).unwrap_or(0);
        Ok(Self {
            position,
            der,
            key,
            to: UNIX_EPOCH + Duration::from_secs(to),
            read,
        })
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn der(&self) -> &'a [u8] {
        self.der
    }

    pub(super) fn parsed(&self) -> &X509Certificate<'a> {
        &self.read
    }

    pub(super) fn key(&self) -> &KeyMaterial {
        &self.key
    }

    /// Returns its end.
    pub(super) fn to(&self) -> SystemTime {
        self.to
    }

    /// Returns its begin, in unix seconds.
    pub(super) fn begins(&self) -> u64 {
        u64::try_from(self.read.validity().not_before.timestamp()).unwrap_or(0)
    }

    pub(super) fn subject(&self) -> String {
        excerpt(&self.read.subject().to_string())
    }

    pub(super) fn issuer(&self) -> String {
        excerpt(&self.read.issuer().to_string())
    }

    /// Refuses a certificate for another key than the one that waits.
    pub(super) fn refuse_another_key(&self, (id, spki): (&str, &[u8])) -> Result<(), ChainRefused> {
        if self.read.public_key().raw == spki {
            return Ok(());
        }
        Err(ChainRefused::KeyMismatch {
            found: self.key.thumbprint().to_string(),
            expected: id.to_owned(),
        })
    }

    /// Refuses what no authority of the trust domain may be, wherever it stands in the chain.
    pub(super) fn refuse_no_authority(&self, trust_domain: &TrustDomain) -> Result<(), ChainRefused> {
        let position = self.position;
        if !self.read.is_ca() {
            return Err(ChainRefused::NotAuthority { position });
        }
        // As many authorities stand below one as certificates stand before it.
        let below = position - 1;
        let most = self.path_length();
        if most.is_some_and(|most| most < below) {
            return Err(ChainRefused::PathLength {
                position,
                found: said(most),
                expected: format!("at least {below}"),
            });
        }
        if self.usage()?.is_none_or(|flags| flags & KEY_CERT_SIGN == 0) {
            return Err(self.key_usage("keyCertSign"));
        }
        for extension in self.read.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => self.refuse_names(names, trust_domain)?,
                ParsedExtension::ExtendedKeyUsage(usage) if !permits(usage) => {
                    return Err(self.extension("an ExtendedKeyUsage without serverAuth and clientAuth"));
                }
                // Verifiers cannot evaluate constraints on URIs, and refuse every SVID below (X509-SVID-13).
                ParsedExtension::NameConstraints(_) => return Err(self.extension("NameConstraints")),
                ParsedExtension::BasicConstraints(_)
                | ParsedExtension::KeyUsage(_)
                | ParsedExtension::SubjectKeyIdentifier(_) => {}
                _another if extension.critical => {
                    return Err(self.extension(&format!("the critical extension {}", extension.oid)));
                }
                _harmless => {}
            }
        }
        Ok(())
    }

    /// Refuses an intermediate that is not what was asked for, or that we could not issue under.
    pub(super) fn refuse_another_profile(&self) -> Result<(), ChainRefused> {
        let position = self.position;
        if self.path_length() != Some(0) {
            return Err(ChainRefused::PathLength {
                position,
                found: said(self.path_length()),
                expected: "0".to_owned(),
            });
        }
        let asked = KEY_CERT_SIGN | CRL_SIGN;
        let flags = self.usage()?.unwrap_or(0);
        // Authorities that issue intermediates often add digitalSignature, which widens nothing here.
        if flags & asked != asked || flags & !(asked | DIGITAL_SIGNATURE) != 0 {
            return Err(self.key_usage("keyCertSign and cRLSign"));
        }
        let critical = |is: fn(&ParsedExtension<'_>) -> bool| {
            let mut all = self.read.extensions().iter();
            all.any(|one| one.critical && is(one.parsed_extension()))
        };
        if !critical(|one| matches!(one, ParsedExtension::BasicConstraints(_)))
            || !critical(|one| matches!(one, ParsedExtension::KeyUsage(_)))
        {
            return Err(self.extension("BasicConstraints or KeyUsage that are not critical"));
        }
        let identifier = |one: &ParsedExtension<'_>| matches!(one, ParsedExtension::SubjectKeyIdentifier(_));
        let mut all = self.read.extensions().iter();
        if !all.any(|one| identifier(one.parsed_extension())) {
            return Err(self.extension("no SubjectKeyIdentifier"));
        }
        self.refuse_subject()
    }

    /// What we issue names its issuer as the issuer's own certificate does; we write one common name.
    fn refuse_subject(&self) -> Result<(), ChainRefused> {
        let subject = self.read.subject();
        let mut names = subject.iter_common_name().map(|name| name.as_str().unwrap_or(""));
        let one = subject.iter_attributes().count() == 1;
        match names.next() {
            Some(name) if one && !name.is_empty() && name.len() <= profile::MAX_COMMON_NAME => Ok(()),
            Some(_) | None => Err(ChainRefused::Names {
                position: self.position,
                found: format!("the Subject `{}`", self.subject()),
                expected: "one common name of at most 64 bytes".to_owned(),
            }),
        }
    }

    /// None, or the trust domain's own URI alone: absence confuses nobody, because verifiers take an authority for the
    /// trust domain in whose bundle its root stands (X509-SVID-5); another name might.
    ///
    /// Above our intermediate other kinds of names say nothing about SPIFFE.
    fn refuse_names(&self, names: &SubjectAlternativeName<'_>, trust_domain: &TrustDomain) -> Result<(), ChainRefused> {
        let expected = trust_domain.id();
        let refused = |found: String| ChainRefused::Names {
            position: self.position,
            found,
            expected: format!("`{expected}` or no name"),
        };
        let mut uris = 0;
        for name in &names.general_names {
            match name {
                GeneralName::URI(uri) if *uri == expected.as_str() => uris += 1,
                GeneralName::URI(uri) => return Err(refused(format!("the name `{}`", excerpt(uri)))),
                // May be a URI that is no text.
                GeneralName::Invalid(..) => return Err(refused("a name that cannot be read".to_owned())),
                _another if self.position > 1 => {}
                another => return Err(refused(format!("the name `{}`", excerpt(&another.to_string())))),
            }
        }
        if uris > 1 {
            return Err(refused(format!("{uris} URIs")));
        }
        Ok(())
    }

    fn path_length(&self) -> Option<usize> {
        let constraints = self.read.basic_constraints().ok().flatten()?;
        let most = constraints.value.path_len_constraint?;
        Some(usize::try_from(most).unwrap_or(usize::MAX))
    }

    fn usage(&self) -> Result<Option<u16>, ChainRefused> {
        let usage = self.read.key_usage().map_err(|twice| ChainRefused::Malformed {
            problem: format!("certificate {} cannot be read: {twice}", self.position),
        })?;
        Ok(usage.map(|usage| usage.value.flags))
    }

    fn key_usage(&self, expected: &'static str) -> ChainRefused {
        let found = self.read.key_usage().ok().flatten();
        ChainRefused::KeyUsage {
            position: self.position,
            found: found.map_or_else(|| "none".to_owned(), |usage| usage.value.to_string()),
            expected,
        }
    }

    fn extension(&self, found: &str) -> ChainRefused {
        ChainRefused::Extension {
            position: self.position,
            found: found.to_owned(),
        }
    }
}

fn permits(usage: &ExtendedKeyUsage<'_>) -> bool {
    usage.any || (usage.server_auth && usage.client_auth)
}

fn said(length: Option<usize>) -> String {
    length.map_or_else(|| "none".to_owned(), |found| found.to_string())
}

/// RFC 5280 section 4.2.1.3: bits 0, 5 and 6.
const DIGITAL_SIGNATURE: u16 = 1;
const KEY_CERT_SIGN: u16 = 1 << 5;
const CRL_SIGN: u16 = 1 << 6;
