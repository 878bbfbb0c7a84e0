//! The name of a trust domain.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::SpiffeId;
use crate::jose::excerpt;

/// A trust domain's name, such as `prod.acme.example`; 1 to 255 bytes of `[a-z0-9._-]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// Reads a name, not an ID.
    ///
    /// # Errors
    /// Refuses what is empty, longer than 255 bytes, or holds other characters; upper case is not lowered.
    pub fn parse(name: &str) -> Result<Self, TrustDomainRefused> {
        if name.is_empty() {
            return Err(TrustDomainRefused::Empty);
        }
        if name.len() > MAX_TRUST_DOMAIN_BYTES {
            return Err(TrustDomainRefused::TooLong { found: name.len() });
        }
        match name.chars().find(|character| !is_name_character(*character)) {
            None => Ok(Self(name.to_owned())),
            Some(character) => Err(TrustDomainRefused::Character {
                found: excerpt(character.encode_utf8(&mut [0; 4])),
                name: excerpt(name),
            }),
        }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the trust domain's own SPIFFE ID, which has no path.
    pub fn id(&self) -> SpiffeId {
        SpiffeId::of_trust_domain(self)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = TrustDomainRefused;

    fn from_str(name: &str) -> Result<Self, TrustDomainRefused> {
        Self::parse(name)
    }
}

impl Serialize for TrustDomain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TrustDomain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).map_err(de::Error::custom)
    }
}

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustDomainRefused {
    /// A character is outside the set; upper case, a port, userinfo and percent-encoding are.
    #[error("found `{found}` in trust domain `{name}`, expected only lower-case letters, digits, `.`, `-` and `_`")]
    Character {
        /// The character, escaped.
        found: String,
        /// Where it stands, shortened and escaped.
        name: String,
    },
    /// The name is empty.
    #[error("found an empty trust domain, expected a name")]
    Empty,
    /// The name is longer than the limit.
    #[error("found a trust domain of {found} bytes, expected at most {MAX_TRUST_DOMAIN_BYTES}")]
    TooLong {
        /// The length.
        found: usize,
    },
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_lowercase() || character.is_ascii_digit() || matches!(character, '.' | '-' | '_')
}

// SPIFFE-ID section 2.3.
const MAX_TRUST_DOMAIN_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spiffe_id_6_takes_exactly_the_name_characters_of_all_256_code_points() {
        for code in 0..=255_u8 {
            let character = char::from(code);
            let expected = character.is_ascii_lowercase() || character.is_ascii_digit() || ".-_".contains(character);
            assert_eq!(
                TrustDomain::parse(&format!("a{character}b")).is_ok(),
                expected,
                "{code}"
            );
        }
    }

    #[test]
    fn spiffe_id_2_refuses_an_empty_name() {
        assert_eq!(TrustDomain::parse(""), Err(TrustDomainRefused::Empty));
    }

    #[test]
    fn spiffe_id_15_takes_255_bytes_and_refuses_256() {
        assert!(TrustDomain::parse(&"a".repeat(255)).is_ok());
        assert_eq!(
            TrustDomain::parse(&"a".repeat(256)),
            Err(TrustDomainRefused::TooLong { found: 256 })
        );
    }

    #[test]
    fn spiffe_id_8_treats_names_that_look_like_addresses_as_any_other() {
        for name in ["1.2.3.4", "-a", "a..b", ".", "..", "_", "a-"] {
            assert!(TrustDomain::parse(name).is_ok(), "{name}");
        }
        for name in ["[::1]", "::1", "xn--é"] {
            assert!(TrustDomain::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn spiffe_id_17_its_own_id_has_no_path() {
        let id = TrustDomain::parse("acme.example").unwrap().id();

        assert_eq!(id.as_str(), "spiffe://acme.example");
        assert_eq!(id.path(), "");
    }

    #[test]
    fn reads_and_writes_itself_as_a_string() {
        let name: TrustDomain = serde_json::from_str("\"acme.example\"").unwrap();

        assert_eq!(serde_json::to_string(&name).unwrap(), "\"acme.example\"");
        assert!(serde_json::from_str::<TrustDomain>("\"Acme\"").is_err());
        assert!(serde_json::from_str::<TrustDomain>("\"spiffe://acme\"").is_err());
    }
}
