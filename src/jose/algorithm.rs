//! The signature algorithms that evidence may carry.
//!
//! It must never hold a symmetric algorithm, `none`, or one that the clouds and SPIFFE do not know.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use super::excerpt;

/// A JWS algorithm of the closed list (TM-01; JWT-SVID section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
}

impl Algorithm {
    /// Every algorithm of the list.
    pub const ALL: [Self; 8] = [
        Self::Es256,
        Self::Es384,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// Returns the registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    /// Returns the names of `algorithms` with commas, for an error's text.
    pub(in crate::jose) fn names(algorithms: impl IntoIterator<Item = Self>) -> String {
        let names: Vec<_> = algorithms.into_iter().map(Self::as_str).collect();
        names.join(", ")
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An algorithm outside the list, among them `none`, every `HS*` and `EdDSA`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found algorithm `{found}`, expected one of {}", Algorithm::names(Algorithm::ALL))]
pub struct UnsupportedAlgorithm {
    /// What was named, shortened and escaped.
    pub found: String,
}

impl FromStr for Algorithm {
    type Err = UnsupportedAlgorithm;

    /// Reads a registered name; names are case-sensitive.
    fn from_str(text: &str) -> Result<Self, UnsupportedAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| UnsupportedAlgorithm { found: excerpt(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
    }

    #[test]
    fn jwt_svid_3_refuses_every_algorithm_outside_the_list_and_names_it() {
        for name in [
            "none",
            "None",
            "NONE",
            "nOnE",
            "HS256",
            "HS384",
            "HS512",
            "EdDSA",
            "Ed25519",
            "ES256K",
            "ES512",
            "RS1",
            "rs256",
            "RS256 ",
            "",
            "RSA-OAEP",
            "dir",
            "ML-DSA-44",
        ] {
            let refused = name.parse::<Algorithm>().unwrap_err();
            assert_eq!(refused.found, name);
            assert!(refused.to_string().contains("expected one of ES256"), "{refused}");
        }
    }
}
