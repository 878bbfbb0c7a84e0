//! X509-SVIDs of peers: path validation against the roots of the leaf's own trust domain, then what makes a leaf an SVID.
//!
//! It must never try the roots of another trust domain, and never take an identity from a certificate whose path was
//! not validated. Time comes in as `now`.

mod leaf;

use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, ExpirationPolicy, RevocationCheckDepth, RevocationOptions,
    RevocationOptionsBuilder,
};
use x509_parser::{certificate::X509Certificate, der_parser::asn1_rs::FromDer as _};

use super::{Bundle, SpiffeId, SpiffeIdRefused, TrustDomain};
use crate::{
    clock::{from_unix_seconds, unix_seconds},
    secret::Digest,
};

/// An SVID whose path was validated; only [`Self::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X509Svid {
    spiffe_id: SpiffeId,
    not_after: SystemTime,
    sha256: Digest,
}

impl X509Svid {
    /// Verifies a chain, leaf first, with `bundle`, and with `lists` where the trust domain's revocations are known.
    ///
    /// With lists, a leaf of whose issuer there is none is refused: it is an intermediate that we no longer vouch for.
    ///
    /// # Errors
    /// Refuses an SVID of another trust domain than the bundle's, what X509-SVID section 5 refuses, and keys and chains
    /// that would cost more than they are worth (T-06).
    pub fn verify(
        chain: &[CertificateDer<'_>],
        bundle: &Bundle,
        lists: Option<&[&[u8]]>,
        now: SystemTime,
    ) -> Result<Self, SvidRefused> {
        let (own, above) = split(chain)?;
        let read = parsed(own)?;
        let spiffe_id = leaf::spiffe_id(&read)?;
        if spiffe_id.trust_domain() != bundle.trust_domain() {
            return Err(SvidRefused::OtherTrustDomain {
                found: spiffe_id.trust_domain().clone(),
                expected: bundle.trust_domain().clone(),
            });
        }
        leaf::refuse_authority(&read)?;
        for one in chain {
            leaf::refuse_key(&parsed(one)?)?;
        }
        validate_path((own, above), bundle, lists, now)?;
        let not_after = u64::try_from(read.validity().not_after.timestamp()).unwrap_or(0);
        Ok(Self {
            spiffe_id,
            not_after: from_unix_seconds(not_after).unwrap_or(now),
            sha256: Digest::of(own),
        })
    }

    /// Returns the trust domain that the leaf names, to find the bundle that verifies it; for nothing else.
    ///
    /// # Errors
    /// Refuses a leaf without exactly one URI, or whose URI is no SPIFFE ID with a path.
    pub fn trust_domain_unverified(chain: &[CertificateDer<'_>]) -> Result<TrustDomain, SvidRefused> {
        let (own, _above) = split(chain)?;
        Ok(leaf::spiffe_id(&parsed(own)?)?.trust_domain().clone())
    }

    /// Returns whose SVID it is.
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// Returns when it ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Returns the SHA-256 of the certificate.
    pub fn sha256(&self) -> Digest {
        self.sha256
    }
}

/// Why a certificate was not taken for an X509-SVID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SvidRefused {
    /// A certificate of an authority never authenticates a peer (X509-SVID sections 3.2, 5.2).
    #[error("found {found}, expected the certificate of a workload")]
    Authority {
        /// What makes it an authority's.
        found: &'static str,
    },
    /// There are too few or too many certificates (T-06).
    #[error("found {found} certificates, expected 1 to {MAX_CHAIN}")]
    Chain {
        /// How many.
        found: usize,
    },
    /// A certificate of the path has ended.
    #[error("a certificate of the path has ended: {reason}")]
    Expired {
        /// What webpki says.
        reason: String,
    },
    /// The URI is no SPIFFE ID.
    #[error("the certificate's URI is no SPIFFE ID")]
    Id(#[source] SpiffeIdRefused),
    /// A key costs more than it is worth, or is too weak (T-06).
    #[error("found an RSA key of {found} bits, expected 2048 to 4096 and an odd exponent above 1")]
    Key {
        /// How many bits.
        found: usize,
    },
    /// The SVID is of another trust domain.
    #[error("found an SVID of `{found}`, expected one of `{expected}`")]
    OtherTrustDomain {
        /// What the leaf names.
        found: TrustDomain,
        /// Whose roots there are.
        expected: TrustDomain,
    },
    /// The path to the trust domain's roots does not hold.
    #[error("no path to the roots of `{trust_domain}`: {reason}")]
    Path {
        /// The trust domain.
        trust_domain: TrustDomain,
        /// What webpki says.
        reason: String,
    },
    /// The SVID is revoked.
    #[error("the certificate is revoked")]
    Revoked,
    /// The SPIFFE ID is the trust domain's own.
    #[error("found a SPIFFE ID without a path, expected a workload's")]
    RootPath,
    /// The certificate cannot be read.
    #[error("the certificate cannot be read: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// There is not exactly one URI.
    #[error("found {found} URIs in the certificate, expected exactly 1")]
    Uris {
        /// How many.
        found: usize,
    },
    /// The key usage is not a workload's.
    #[error("found key usage {found}, expected `digitalSignature` without `keyCertSign` and `cRLSign`")]
    Usage {
        /// What was found.
        found: &'static str,
    },
}

fn split<'c, 'a>(
    chain: &'c [CertificateDer<'a>],
) -> Result<(&'c CertificateDer<'a>, &'c [CertificateDer<'a>]), SvidRefused> {
    match chain {
        [own, above @ ..] if chain.len() <= MAX_CHAIN => Ok((own, above)),
        [] | [_, ..] => Err(SvidRefused::Chain { found: chain.len() }),
    }
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, SvidRefused> {
    let unreadable = |reason: String| SvidRefused::Unreadable { reason };
    let (rest, read) = X509Certificate::from_der(der).map_err(|why| unreadable(why.to_string()))?;
    if rest.is_empty() {
        Ok(read)
    } else {
        Err(unreadable(format!("{} bytes stand after it", rest.len())))
    }
}

/// RFC 5280 section 6 by the code that rustls uses; it refuses constraints on URIs, which it cannot evaluate.
fn validate_path(
    (own, above): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    bundle: &Bundle,
    lists: Option<&[&[u8]]>,
    now: SystemTime,
) -> Result<(), SvidRefused> {
    let refused = |reason: String| SvidRefused::Path {
        trust_domain: bundle.trust_domain().clone(),
        reason,
    };
    let roots: Vec<CertificateDer<'_>> = valid_roots(bundle, now).collect();
    let anchors: Vec<_> = roots
        .iter()
        .filter_map(|root| webpki::anchor_from_trusted_cert(root).ok())
        .collect();
    let read: Vec<CertRevocationList<'_>> = lists
        .unwrap_or_default()
        .iter()
        .filter_map(|list| {
            BorrowedCertRevocationList::from_der(list)
                .ok()
                .map(CertRevocationList::from)
        })
        .collect();
    let read: Vec<&CertRevocationList<'_>> = read.iter().collect();
    let revocation = match lists {
        None => None,
        Some(_) => {
            Some(options(&read).ok_or_else(|| refused("no list of revoked certificates can be read".to_owned()))?)
        }
    };
    let time = UnixTime::since_unix_epoch(Duration::from_secs(unix_seconds(now)));
    let usage = webpki::KeyUsage::client_auth();
    webpki::EndEntityCert::try_from(own)
        .and_then(|own| {
            own.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                above,
                time,
                usage,
                revocation,
                None,
            )
            .map(drop)
        })
        .map_err(|why| match why {
            webpki::Error::CertExpired { .. } => SvidRefused::Expired {
                reason: why.to_string(),
            },
            webpki::Error::CertRevoked => SvidRefused::Revoked,
            other => refused(other.to_string()),
        })
}

fn options<'a>(lists: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
    let builder = RevocationOptionsBuilder::new(lists).ok()?;
    let builder = builder.with_depth(RevocationCheckDepth::EndEntity);
    Some(builder.with_expiration_policy(ExpirationPolicy::Enforce).build())
}

/// webpki takes a root whatever its dates are, and whether or not it is an authority (T-38).
fn valid_roots(bundle: &Bundle, now: SystemTime) -> impl Iterator<Item = CertificateDer<'_>> {
    let now = i64::try_from(unix_seconds(now)).unwrap_or(i64::MAX);
    let roots = bundle.x509_authorities().iter().filter(move |root| {
        X509Certificate::from_der(root).is_ok_and(|(_, read)| {
            let validity = read.validity();
            read.is_ca() && (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now)
        })
    });
    roots.map(|root| CertificateDer::from(root.as_slice()))
}

// T-06.
const MAX_CHAIN: usize = 6;

#[cfg(test)]
mod tests;
