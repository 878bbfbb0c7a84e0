//! Certificate requests: only the public key is ever taken from one.
//!
//! Its self-signature is the proof of possession. What else it asks for (an authority's rights, names, extensions) is
//! refused and never ignored: whoever asks believes to have got it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject};
use x509_parser::{
    certification_request::X509CertificationRequest,
    cri_attributes::ParsedCriAttribute,
    der_parser::{asn1_rs::FromDer as _, oid::Oid},
    extensions::ParsedExtension,
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_PKCS1_SHA256WITHRSA,
        OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
    },
    public_key::PublicKey as ParsedKey,
    x509::SubjectPublicKeyInfo,
};

use rcgen::PublicKeyData as _;

use crate::{
    jose::{Algorithm, KeyRefused, PublicKey},
    mint::issuing::{RawKey, UNCOMPRESSED},
    secret::not_pem,
};

/// A public key whose private half its bringer proved to hold.
#[derive(Clone, Debug)]
pub struct SubjectPublicKey {
    raw: RawKey,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    Rsa,
}

/// The longest request that is read: one for RSA of 4096 bits takes 1.8 KiB as PEM.
pub const MAX_CSR_BYTES: usize = 8 * 1024;

impl SubjectPublicKey {
    /// Judges a request, as PEM or as base64 of its DER.
    ///
    /// # Errors
    /// Refuses what is no request, another key than P-256, P-384 and RSA of 2048 to 4096 bits, a self-signature that
    /// does not hold, and whatever else is asked for.
    pub fn from_text(text: &str) -> Result<Self, CsrRefused> {
        if text.len() > MAX_CSR_BYTES {
            return Err(CsrRefused::TooLarge { found: text.len() });
        }
        let malformed = |problem: String| CsrRefused::Malformed { problem };
        if text.contains("-----BEGIN") {
            let mut blocks = CertificateSigningRequestDer::pem_slice_iter(text.as_bytes());
            let first = blocks
                .next()
                .ok_or_else(|| malformed("found no `CERTIFICATE REQUEST` block".to_owned()))?
                .map_err(|why| malformed(format!("found {}", not_pem(&why))))?;
            if blocks.next().is_some() || text.matches("-----BEGIN").count() > 1 {
                return Err(malformed("found more than one block".to_owned()));
            }
            return Self::from_der(&first);
        }
        let der = BASE64_STANDARD.decode(text.trim());
        let der = der.map_err(|_why| malformed("found neither PEM nor base64 of DER".to_owned()))?;
        Self::from_der(&der)
    }

    /// Judges a request in DER.
    ///
    /// # Errors
    /// As [`Self::from_text`].
    pub fn from_der(der: &[u8]) -> Result<Self, CsrRefused> {
        if der.len() > MAX_CSR_BYTES {
            return Err(CsrRefused::TooLarge { found: der.len() });
        }
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|unreadable| CsrRefused::Malformed {
            problem: unreadable.to_string(),
        })?;
        if !rest.is_empty() {
            return Err(CsrRefused::Malformed {
                problem: format!("found {} bytes after the request", rest.len()),
            });
        }
        refuse_wishes(&request)?;
        let key = key(&request.certification_request_info.subject_pki)?;
        key.verify(&request)?;
        Ok(key)
    }

    /// Returns the SubjectPublicKeyInfo in DER, as we would write it.
    pub fn spki(&self) -> Vec<u8> {
        self.raw.spki()
    }

    pub(in crate::mint) fn raw(&self) -> &RawKey {
        &self.raw
    }

    fn verify(&self, request: &X509CertificationRequest<'_>) -> Result<(), CsrRefused> {
        let found = &request.signature_algorithm.algorithm;
        let algorithm = VERIFIERS
            .iter()
            .find(|(kind, oid, _)| *kind == self.kind && oid == found)
            .map(|(.., algorithm)| *algorithm)
            .ok_or_else(|| CsrRefused::Signature {
                problem: format!("is made with {found}, expected SHA-256 or more with the key's own algorithm"),
            })?;
        UnparsedPublicKey::new(algorithm, self.raw.der_bytes())
            .verify(request.certification_request_info.raw, &request.signature_value.data)
            .map_err(|_unspecified| CsrRefused::Signature {
                problem: "does not hold, so that possession of the key is not proven".to_owned(),
            })
    }
}

/// Refuses every attribute: an SVID is what the permission says, not what is asked for.
fn refuse_wishes(request: &X509CertificationRequest<'_>) -> Result<(), CsrRefused> {
    for attribute in request.certification_request_info.iter_attributes() {
        let ParsedCriAttribute::ExtensionRequest(wishes) = attribute.parsed_attribute() else {
            return Err(CsrRefused::AsksForExtensions {
                found: attribute.oid.to_string(),
            });
        };
        // The worst first, so that the code names what matters whatever stands beside it.
        let authority = wishes
            .extensions
            .iter()
            .any(|wish| matches!(wish.parsed_extension(), ParsedExtension::BasicConstraints(found) if found.ca));
        if authority {
            return Err(CsrRefused::AsksForAuthority);
        }
        if let Some(wish) = wishes.extensions.first() {
            return Err(match wish.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(_) => CsrRefused::AsksForNames,
                _another => CsrRefused::AsksForExtensions {
                    found: wish.oid.to_string(),
                },
            });
        }
    }
    Ok(())
}

/// Takes the key, written anew: parameters that a request encodes oddly do not get into a certificate.
fn key(info: &SubjectPublicKeyInfo<'_>) -> Result<SubjectPublicKey, CsrRefused> {
    let unsupported = |found: String| CsrRefused::KeyUnsupported { found };
    let algorithm = &info.algorithm;
    if algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
        return rsa(info);
    }
    if algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
        return Err(unsupported(algorithm.algorithm.to_string()));
    }
    let curve = algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
    let curve = curve.ok_or_else(|| unsupported("a curve without a name".to_owned()))?;
    let point = info.subject_public_key.data.to_vec();
    let (kind, bytes, raw): (_, _, fn(Vec<u8>) -> RawKey) = if curve == OID_EC_P256 {
        (Kind::P256, 65, RawKey::p256)
    } else if curve == OID_NIST_EC_P384 {
        (Kind::P384, 97, RawKey::p384)
    } else {
        return Err(unsupported(format!("the curve {curve}")));
    };
    // Whether the point lies on the curve is checked with the signature.
    if point.first() != Some(&UNCOMPRESSED) || point.len() != bytes {
        return Err(unsupported("a point that is not uncompressed".to_owned()));
    }
    Ok(SubjectPublicKey { raw: raw(point), kind })
}

/// Size and exponent are judged before any arithmetic with them (T-06).
fn rsa(info: &SubjectPublicKeyInfo<'_>) -> Result<SubjectPublicKey, CsrRefused> {
    let malformed = || CsrRefused::Malformed {
        problem: "found an RSA key that cannot be read".to_owned(),
    };
    let Ok(ParsedKey::RSA(parsed)) = info.parsed() else {
        return Err(malformed());
    };
    let number = |bytes: &[u8]| {
        let bytes = bytes.strip_prefix(&[0]).unwrap_or(bytes);
        serde_json::Value::from(BASE64_URL_SAFE_NO_PAD.encode(bytes))
    };
    let jwk = [
        ("kty".to_owned(), serde_json::Value::from("RSA")),
        ("n".to_owned(), number(parsed.modulus)),
        ("e".to_owned(), number(parsed.exponent)),
    ];
    let judged = PublicKey::from_jwk(&jwk.into_iter().collect(), &[Algorithm::Rs256]).map_err(CsrRefused::KeyWeak)?;
    let raw = RawKey::of(judged.material()).ok_or_else(malformed)?;
    Ok(SubjectPublicKey { raw, kind: Kind::Rsa })
}

type Row = (Kind, Oid<'static>, &'static dyn VerificationAlgorithm);

/// SHA-1 is in none of them.
static VERIFIERS: [Row; 7] = [
    (Kind::P256, OID_SIG_ECDSA_WITH_SHA256, &ECDSA_P256_SHA256_ASN1),
    (Kind::P256, OID_SIG_ECDSA_WITH_SHA384, &ECDSA_P256_SHA384_ASN1),
    (Kind::P384, OID_SIG_ECDSA_WITH_SHA256, &ECDSA_P384_SHA256_ASN1),
    (Kind::P384, OID_SIG_ECDSA_WITH_SHA384, &ECDSA_P384_SHA384_ASN1),
    (Kind::Rsa, OID_PKCS1_SHA256WITHRSA, &RSA_PKCS1_2048_8192_SHA256),
    (Kind::Rsa, OID_PKCS1_SHA384WITHRSA, &RSA_PKCS1_2048_8192_SHA384),
    (Kind::Rsa, OID_PKCS1_SHA512WITHRSA, &RSA_PKCS1_2048_8192_SHA512),
];

/// Why a certificate request was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CsrRefused {
    /// It asks for a certificate that signs others.
    #[error("the request asks for CA:true, expected nothing but a public key")]
    AsksForAuthority,
    /// It asks for an extension or brings an attribute.
    #[error("the request asks for {found}, expected nothing but a public key")]
    AsksForExtensions {
        /// The object identifier.
        found: String,
    },
    /// It asks for names.
    #[error("the request asks for subject alternative names, expected none: names come from the grant")]
    AsksForNames,
    /// The key is of a kind that is not certified.
    #[error("the request's key is {found}, expected P-256, P-384 or RSA")]
    KeyUnsupported {
        /// What it is.
        found: String,
    },
    /// The RSA key is weak or odd.
    #[error("the request's RSA key is refused, expected 2048 to 4096 bits and an odd exponent above 1")]
    KeyWeak(#[source] KeyRefused),
    /// It cannot be read.
    #[error("the request cannot be read: {problem}, expected one PKCS#10 request as PEM or base64")]
    Malformed {
        /// What was found.
        problem: String,
    },
    /// The self-signature does not hold.
    #[error("the request's signature {problem}")]
    Signature {
        /// What was found.
        problem: String,
    },
    /// It is too long.
    #[error("the request has {found} bytes, at most {MAX_CSR_BYTES} are read")]
    TooLarge {
        /// How many.
        found: usize,
    },
}

impl CsrRefused {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AsksForAuthority => "csr.asks_for_authority",
            Self::AsksForExtensions { .. } => "csr.asks_for_extensions",
            Self::AsksForNames => "csr.asks_for_names",
            Self::KeyUnsupported { .. } => "csr.key_unsupported",
            Self::KeyWeak(_) => "csr.key_weak",
            Self::Malformed { .. } => "csr.malformed",
            Self::Signature { .. } => "csr.signature_broken",
            Self::TooLarge { .. } => "csr.too_large",
        }
    }
}

#[cfg(test)]
mod tests;
