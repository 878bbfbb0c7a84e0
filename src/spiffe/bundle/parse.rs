//! How a foreign bundle is read.

use std::time::Duration;

use base64::{DecodeError, Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use super::{Bundle, TrustDomain};
use crate::jose::{
    Algorithm, KeyRefused, KeySet, KeySetRefused, excerpt, key_set_entries, refuse_another_keys_certificate,
    refuse_secrets,
    strict_json::{self, JsonRefused, Limits, type_name},
};

pub(super) fn parse(trust_domain: TrustDomain, bytes: &[u8]) -> Result<Bundle, BundleRefused> {
    let document = strict_json::parse(bytes, &Limits::default()).map_err(BundleRefused::Json)?;
    let entries = key_set_entries(&document).map_err(BundleRefused::Keys)?;
    let mut jwt_entries = Vec::new();
    let mut x509_authorities = Vec::new();
    let mut ignored = Vec::new();
    let mut surplus = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        if entry
            .get("x5c")
            .and_then(Value::as_array)
            .is_some_and(|chain| chain.len() > 1)
        {
            surplus.push(position);
        }
        match sort(entry) {
            Ok(Sorted::Jwt) => jwt_entries.push((position, entry)),
            Ok(Sorted::X509(certificate)) => x509_authorities.push(certificate),
            Err(IgnoredReason::Key(reason)) if reason.shows_a_secret() => {
                return Err(BundleRefused::Keys(KeySetRefused::Secret { position, reason }));
            }
            Err(reason) => ignored.push(IgnoredEntry { position, reason }),
        }
    }
    let jwt_authorities =
        KeySet::from_entries(jwt_entries.into_iter(), &Algorithm::ALL).map_err(BundleRefused::Keys)?;
    ignored.extend(jwt_authorities.ignored().iter().map(|key| IgnoredEntry {
        position: key.position(),
        reason: IgnoredReason::Key(key.reason().clone()),
    }));
    Ok(Bundle {
        trust_domain,
        jwt_authorities,
        x509_authorities,
        sequence: whole_number(&document, "spiffe_sequence")?,
        refresh_hint: refresh_hint(whole_number(&document, "spiffe_refresh_hint")?),
        ignored,
        surplus,
    })
}

/// An entry that was left out of a bundle.
#[derive(Debug, Clone)]
pub struct IgnoredEntry {
    position: usize,
    reason: IgnoredReason,
}

impl IgnoredEntry {
    /// Returns the place in the document, from 0.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns why it was left out.
    pub fn reason(&self) -> &IgnoredReason {
        &self.reason
    }
}

/// Why an entry was left out of a bundle.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum IgnoredReason {
    /// The certificate is not standard base64.
    #[error("certificate is not standard base64")]
    Encoding(#[source] DecodeError),
    /// The key cannot be used.
    #[error("key is refused")]
    Key(#[source] KeyRefused),
    /// An X.509 authority has no certificate (X509-SVID section 6.2).
    #[error("found {found} in `x5c`, expected one certificate")]
    NoCertificate {
        /// What there is.
        found: &'static str,
    },
    /// A JWT authority has no key id (JWT-SVID section 6.1).
    #[error("found a JWT authority without `kid`, expected one with it")]
    NoKeyId,
    /// The certificate is not one DER sequence.
    #[error("found {found} bytes that are not one DER sequence, expected a certificate")]
    NotDer {
        /// How many bytes.
        found: usize,
    },
    /// The use is missing, not known, or not one that we verify with.
    #[error("found use `{found}`, expected `jwt-svid` or `x509-svid`")]
    Use {
        /// What was found, shortened and escaped; `none` where there is none.
        found: String,
    },
}

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleRefused {
    /// The document is not strict JSON.
    #[error("bundle is not strict JSON")]
    Json(#[source] JsonRefused),
    /// The keys are refused.
    #[error("bundle's keys are refused")]
    Keys(#[source] KeySetRefused),
    /// A parameter is no whole number.
    #[error("found {found} as `{name}`, expected a whole number")]
    NotWhole {
        /// The parameter.
        name: &'static str,
        /// What was found, shortened and escaped.
        found: String,
    },
}

enum Sorted {
    Jwt,
    X509(Vec<u8>),
}

fn sort(entry: &Value) -> Result<Sorted, IgnoredReason> {
    let jwk = entry.as_object().ok_or_else(|| {
        IgnoredReason::Key(KeyRefused::WrongType {
            name: "keys",
            found: type_name(entry),
            expected: "a list of objects",
        })
    })?;
    refuse_secrets(jwk).map_err(IgnoredReason::Key)?;
    if !jwk.contains_key("kty") {
        return Err(IgnoredReason::Key(KeyRefused::Missing { name: "kty" }));
    }
    match jwk.get("use").and_then(Value::as_str) {
        Some("jwt-svid") if jwk.contains_key("kid") => Ok(Sorted::Jwt),
        Some("jwt-svid") => Err(IgnoredReason::NoKeyId),
        Some("x509-svid") => certificate(jwk).map(Sorted::X509),
        found => Err(IgnoredReason::Use {
            found: found.map_or_else(|| "none".to_owned(), excerpt),
        }),
    }
}

/// Returns the first certificate; further ones are not looked at (X509-SVID section 6.2).
fn certificate(jwk: &Map<String, Value>) -> Result<Vec<u8>, IgnoredReason> {
    let nothing = |found| IgnoredReason::NoCertificate { found };
    let chain = jwk.get("x5c").ok_or_else(|| nothing("nothing"))?;
    let chain = chain.as_array().ok_or_else(|| nothing(type_name(chain)))?;
    let first = chain.first().ok_or_else(|| nothing("an empty list"))?;
    let first = first.as_str().ok_or_else(|| nothing(type_name(first)))?;
    let certificate = BASE64_STANDARD.decode(first).map_err(IgnoredReason::Encoding)?;
    if !is_one_der_sequence(&certificate) {
        let found = certificate.len();
        return Err(IgnoredReason::NotDer { found });
    }
    refuse_another_keys_certificate(jwk, &certificate).map_err(IgnoredReason::Key)?;
    Ok(certificate)
}

/// Tells whether `bytes` are one DER SEQUENCE and nothing after it; what is in it is the X.509 verifier's to judge.
fn is_one_der_sequence(bytes: &[u8]) -> bool {
    let length = match bytes {
        [0x30, 0x81, length, rest @ ..] if *length >= 0x80 => Some((usize::from(*length), rest)),
        [0x30, 0x82, high, low, rest @ ..] if *high > 0 => Some((usize::from(*high) << 8 | usize::from(*low), rest)),
        [0x30, length, rest @ ..] if *length < 0x80 => Some((usize::from(*length), rest)),
        _longer_or_no_sequence => None,
    };
    length.is_some_and(|(length, rest)| length > 0 && rest.len() == length)
}

fn whole_number(document: &Value, name: &'static str) -> Result<Option<u64>, BundleRefused> {
    document
        .get(name)
        .map(|value| {
            value.as_u64().ok_or_else(|| BundleRefused::NotWhole {
                name,
                found: excerpt(&value.to_string()),
            })
        })
        .transpose()
}

/// Bounds a hint: a foreign trust domain neither hammers itself through us nor keeps a revoked key alive for ever.
fn refresh_hint(seconds: Option<u64>) -> Duration {
    seconds.map_or(DEFAULT_REFRESH, |seconds| {
        Duration::from_secs(seconds).clamp(MIN_REFRESH, MAX_REFRESH)
    })
}

// SPIFFE-BUNDLE-10.
const DEFAULT_REFRESH: Duration = Duration::from_mins(5);
const MIN_REFRESH: Duration = Duration::from_mins(1);
const MAX_REFRESH: Duration = Duration::from_hours(24);
