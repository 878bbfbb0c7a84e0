//! SPIFFE IDs.
//!
//! They must never be compared or stored in any other form than the one that was read.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{SegmentRefused, TrustDomain, TrustDomainRefused, segment::refuse_segment};
use crate::jose::excerpt;

/// The longest SPIFFE ID that is read (SPIFFE-ID section 2.3).
pub const MAX_ID_BYTES: usize = 2048;

/// The longest SPIFFE ID that we give; relying parties narrow it further.
pub const MAX_GENERATED_ID_BYTES: usize = 512;

/// A SPIFFE ID, byte for byte as it was read.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    text: String,
    trust_domain: TrustDomain,
}

impl SpiffeId {
    /// Reads a SPIFFE ID.
    ///
    /// # Errors
    /// Refuses more than [`MAX_ID_BYTES`], another scheme (also `Spiffe`), a name or a path with other characters, empty
    /// or relative segments, a trailing `/`, a query and a fragment.
    pub fn parse(text: &str) -> Result<Self, SpiffeIdRefused> {
        if text.len() > MAX_ID_BYTES {
            return Err(SpiffeIdRefused::TooLong {
                found: text.len(),
                limit: MAX_ID_BYTES,
            });
        }
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or_else(|| SpiffeIdRefused::Scheme { found: excerpt(text) })?;
        let (name, path) = match rest.split_once('/') {
            Some((name, path)) => (name, Some(path)),
            None => (rest, None),
        };
        let trust_domain = TrustDomain::parse(name).map_err(SpiffeIdRefused::TrustDomain)?;
        if let Some(path) = path {
            refuse_segments(path)?;
        }
        Ok(Self {
            text: text.to_owned(),
            trust_domain,
        })
    }

    /// Makes the SPIFFE ID of a workload from a path such as `/ci/acme/deploy`.
    ///
    /// # Errors
    /// Refuses a path without a leading `/` or with a segment that is none, and a result of more than
    /// [`MAX_GENERATED_ID_BYTES`].
    pub fn generate(trust_domain: &TrustDomain, path: &str) -> Result<Self, SpiffeIdRefused> {
        let segments = path
            .strip_prefix('/')
            .ok_or_else(|| SpiffeIdRefused::NoLeadingSlash { found: excerpt(path) })?;
        refuse_segments(segments)?;
        let found = SCHEME.len() + trust_domain.as_str().len() + path.len();
        if found > MAX_GENERATED_ID_BYTES {
            return Err(SpiffeIdRefused::TooLong {
                found,
                limit: MAX_GENERATED_ID_BYTES,
            });
        }
        Ok(Self {
            text: format!("{SCHEME}{trust_domain}{path}"),
            trust_domain: trust_domain.clone(),
        })
    }

    pub(super) fn of_trust_domain(trust_domain: &TrustDomain) -> Self {
        Self {
            text: format!("{SCHEME}{trust_domain}"),
            trust_domain: trust_domain.clone(),
        }
    }

    /// Returns the trust domain.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Returns the path with its leading `/`; empty for a trust domain's own ID.
    pub fn path(&self) -> &str {
        let start = SCHEME.len() + self.trust_domain.as_str().len();
        self.text.get(start..).unwrap_or_default()
    }

    /// Returns the whole ID.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdRefused;

    fn from_str(text: &str) -> Result<Self, SpiffeIdRefused> {
        Self::parse(text)
    }
}

impl Serialize for SpiffeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for SpiffeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// Why a SPIFFE ID was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpiffeIdRefused {
    /// A path to make an ID from does not begin with `/`.
    #[error("found path `{found}`, expected it to begin with `/`")]
    NoLeadingSlash {
        /// The path, shortened and escaped.
        found: String,
    },
    /// The text does not begin with `spiffe://`.
    #[error("found `{found}`, expected it to begin with `spiffe://`")]
    Scheme {
        /// The text, shortened and escaped.
        found: String,
    },
    /// A segment of the path is refused; so are a query and a fragment, which begin with no path character.
    #[error("SPIFFE ID's path is refused")]
    Segment(#[source] SegmentRefused),
    /// The ID is longer than the limit.
    #[error("found {found} bytes, expected at most {limit}")]
    TooLong {
        /// The length.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The trust domain's name is refused.
    #[error("SPIFFE ID's trust domain is refused")]
    TrustDomain(#[source] TrustDomainRefused),
}

fn refuse_segments(path: &str) -> Result<(), SpiffeIdRefused> {
    path.split('/')
        .try_for_each(refuse_segment)
        .map_err(SpiffeIdRefused::Segment)
}

const SCHEME: &str = "spiffe://";

#[cfg(test)]
mod tests;
