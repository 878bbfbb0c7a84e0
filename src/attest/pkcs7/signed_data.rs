//! The parts of a SignedData (RFC 5652 section 5), as they were written.
//!
//! Nothing here is verified. It must never take a document that two readers could read in two ways: two signers, two
//! certificates of one name, an attribute twice (T-02).

use super::ber::{BerRefused, Element, Ends, Reader};

/// A SignedData with exactly one signer.
#[derive(Debug)]
pub(super) struct SignedData<'a> {
    pub(super) content_unverified: Vec<u8>,
    pub(super) certificates: Vec<&'a [u8]>,
    pub(super) signer: SignerInfo<'a>,
}

/// What the signer says of its signature.
#[derive(Debug)]
pub(super) struct SignerInfo<'a> {
    pub(super) id: SignerId<'a>,
    pub(super) attributes: Option<Attributes<'a>>,
    pub(super) signature: &'a [u8],
}

/// How the signer's certificate is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignerId<'a> {
    IssuerAndSerial { issuer: &'a [u8], serial: &'a [u8] },
    SubjectKey(&'a [u8]),
}

/// The attributes that are signed in the content's place.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    /// The elements; they are signed as a SET of them.
    pub(super) whole: &'a [u8],
    pub(super) message_digest: &'a [u8],
}

impl<'a> SignedData<'a> {
    /// Reads a ContentInfo that holds a SignedData.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, SignedDataRefused> {
        if bytes.len() > MAX_BYTES {
            return Err(SignedDataRefused::Oversized { found: bytes.len() });
        }
        let mut outside = Reader::new(bytes, Ends::Marked);
        let info = outside.required(SEQUENCE)?;
        outside.end()?;
        let mut info = info.inside()?;
        object(info.required(OBJECT)?, SIGNED_DATA, "content type")?;
        let mut explicit = info.required(CONTEXT_0)?.inside()?;
        info.end()?;
        let mut parts = explicit.required(SEQUENCE)?.inside()?;
        explicit.end()?;
        let version = parts.required(INTEGER)?.content;
        if !matches!(version, [1 | 3]) {
            return Err(SignedDataRefused::Version { of: "SignedData" });
        }
        parts.required(SET)?; // The digest algorithms, which the signer repeats.
        let content_unverified = content(parts.required(SEQUENCE)?)?;
        let certificates = match parts.optional(CONTEXT_0)? {
            Some(found) => certificates(found)?,
            None => Vec::new(),
        };
        let mut signers = parts.required(SET)?.inside_told()?;
        parts.end()?; // Revocation lists would have stood before the signers.
        let signer = signers.next()?.ok_or(SignedDataRefused::Signers { found: "none" })?;
        if signers.next()?.is_some() {
            return Err(SignedDataRefused::Signers { found: "more" });
        }
        Ok(Self {
            content_unverified,
            certificates,
            signer: SignerInfo::read(signer)?,
        })
    }
}

impl<'a> SignerInfo<'a> {
    fn read(element: Element<'a>) -> Result<Self, SignedDataRefused> {
        if element.tag != SEQUENCE {
            return Err(tag(element, SEQUENCE).into());
        }
        let mut parts = element.inside_told()?;
        let version = parts.required(INTEGER)?.content;
        let (id, expected) = match parts.optional(KEY_IDENTIFIER)? {
            Some(key) => (SignerId::SubjectKey(key.content), [3]),
            None => (issuer_and_serial(parts.required(SEQUENCE)?)?, [1]),
        };
        if version != expected {
            return Err(SignedDataRefused::Version { of: "SignerInfo" });
        }
        // Azure writes the signature's algorithm in the digest's place; both mean SHA-256.
        algorithm(parts.required(SEQUENCE)?, &[SHA256, RSA_WITH_SHA256], "digest")?;
        let attributes = match parts.optional(CONTEXT_0)? {
            Some(found) => Some(Attributes::read(found)?),
            None => None,
        };
        algorithm(parts.required(SEQUENCE)?, &[RSA, RSA_WITH_SHA256], "signature")?;
        let signature = parts.required(OCTETS)?.content;
        parts.end()?;
        Ok(Self {
            id,
            attributes,
            signature,
        })
    }
}

impl<'a> Attributes<'a> {
    fn read(element: Element<'a>) -> Result<Self, SignedDataRefused> {
        let mut all = element.inside_told()?;
        let mut seen: Vec<&[u8]> = Vec::new();
        let (mut content_type, mut message_digest) = (None, None);
        while let Some(attribute) = all.next()? {
            if attribute.tag != SEQUENCE {
                return Err(tag(attribute, SEQUENCE).into());
            }
            let mut parts = attribute.inside_told()?;
            let name = parts.required(OBJECT)?.content;
            let mut values = parts.required(SET)?.inside_told()?;
            parts.end()?;
            if seen.contains(&name) || seen.len() == MAX_ATTRIBUTES {
                return Err(SignedDataRefused::Attributes {
                    problem: "one twice, or more than 16",
                });
            }
            seen.push(name);
            if name == CONTENT_TYPE {
                content_type = Some(values.required(OBJECT)?.content);
                values.end()?;
            } else if name == MESSAGE_DIGEST {
                message_digest = Some(values.required(OCTETS)?.content);
                values.end()?;
            }
        }
        if content_type != Some(DATA) {
            return Err(SignedDataRefused::Attributes {
                problem: "no content type of plain data",
            });
        }
        Ok(Self {
            whole: element.content,
            message_digest: message_digest.ok_or(SignedDataRefused::Attributes {
                problem: "no message digest",
            })?,
        })
    }
}

/// Reads the content, which may come in pieces.
fn content(element: Element<'_>) -> Result<Vec<u8>, SignedDataRefused> {
    let mut parts = element.inside()?;
    object(parts.required(OBJECT)?, DATA, "signed content type")?;
    let mut explicit = parts
        .optional(CONTEXT_0)?
        .ok_or(SignedDataRefused::Detached)?
        .inside()?;
    parts.end()?;
    let found = explicit.next()?.ok_or(SignedDataRefused::Detached)?;
    explicit.end()?;
    match found.tag {
        OCTETS => Ok(found.content.to_vec()),
        OCTETS_IN_PIECES => {
            let (mut pieces, mut out) = (found.inside_told()?, Vec::new());
            while let Some(piece) = pieces.next()? {
                if piece.tag != OCTETS {
                    return Err(tag(piece, OCTETS).into());
                }
                out.extend_from_slice(piece.content);
            }
            Ok(out)
        }
        _ => Err(tag(found, OCTETS).into()),
    }
}

fn certificates(element: Element<'_>) -> Result<Vec<&[u8]>, SignedDataRefused> {
    let mut all = element.inside_told()?;
    let mut out: Vec<&[u8]> = Vec::new();
    while let Some(certificate) = all.next()? {
        if certificate.tag != SEQUENCE {
            return Err(tag(certificate, SEQUENCE).into());
        }
        if out.contains(&certificate.whole) || out.len() == MAX_CERTIFICATES {
            return Err(SignedDataRefused::Certificates);
        }
        out.push(certificate.whole);
    }
    Ok(out)
}

fn issuer_and_serial(element: Element<'_>) -> Result<SignerId<'_>, SignedDataRefused> {
    let mut parts = element.inside_told()?;
    let issuer = parts.required(SEQUENCE)?.whole;
    let serial = parts.required(INTEGER)?.content;
    parts.end()?;
    Ok(SignerId::IssuerAndSerial { issuer, serial })
}

fn object(element: Element<'_>, expected: &[u8], of: &'static str) -> Result<(), SignedDataRefused> {
    if element.content == expected {
        return Ok(());
    }
    Err(SignedDataRefused::Other { of })
}

/// Reads an AlgorithmIdentifier without parameters, or with NULL for them.
fn algorithm(element: Element<'_>, taken: &[&[u8]], of: &'static str) -> Result<(), SignedDataRefused> {
    let mut parts = element.inside_told()?;
    let name = parts.required(OBJECT)?.content;
    let parameters = parts.optional(NULL)?;
    parts.end()?;
    if taken.contains(&name) && parameters.is_none_or(|null| null.content.is_empty()) {
        return Ok(());
    }
    Err(SignedDataRefused::Algorithm { of })
}

fn tag(element: Element<'_>, expected: u8) -> BerRefused {
    BerRefused::Tag {
        found: Some(element.tag),
        expected,
    }
}

/// Bytes are no SignedData that is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedDataRefused {
    /// Another algorithm than the ones that are taken.
    #[error("found another {of} algorithm than RSA with SHA-256")]
    Algorithm {
        /// Whose.
        of: &'static str,
    },
    /// The signed attributes are not in order.
    #[error("the signed attributes hold {problem}, expected each once, with content type and message digest")]
    Attributes {
        /// What is wrong.
        problem: &'static str,
    },
    /// Too many certificates, or one twice.
    #[error("found a certificate twice, or more than {MAX_CERTIFICATES} of them")]
    Certificates,
    /// The content is not in the document.
    #[error("found a signature without its content, expected both")]
    Detached,
    /// The elements are not those of a SignedData.
    #[error("the elements are not those of a SignedData")]
    Elements(#[from] BerRefused),
    /// Another content.
    #[error("the {of} is another one than expected")]
    Other {
        /// Of what.
        of: &'static str,
    },
    /// More bytes than a signed document may have.
    #[error("the signed document has {found} bytes, at most {MAX_BYTES} are taken")]
    Oversized {
        /// How many.
        found: usize,
    },
    /// There is not exactly one signer.
    #[error("found {found} of the one signer that is expected")]
    Signers {
        /// `none` or `more`.
        found: &'static str,
    },
    /// A version that does not fit.
    #[error("the version of the {of} does not fit what it holds")]
    Version {
        /// Of what.
        of: &'static str,
    },
}

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const NULL: u8 = 0x05;
const OBJECT: u8 = 0x06;
const OCTETS_IN_PIECES: u8 = 0x24;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const KEY_IDENTIFIER: u8 = 0x80;
const CONTEXT_0: u8 = 0xa0;

/// 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.7.2
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.9.3
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
/// 1.2.840.113549.1.9.4
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
/// 2.16.840.1.101.3.4.2.1
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.113549.1.1.11
const RSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];

/// What 16 KiB of evidence hold in base64 (TM-45).
const MAX_BYTES: usize = 12 * 1024;
/// T-06: a chain has at most six.
const MAX_CERTIFICATES: usize = 6;
/// More than any signer writes.
const MAX_ATTRIBUTES: usize = 16;
