//! Why a public key is not taken.

use aws_lc_rs::error::KeyRejected;
use base64::DecodeError;

use super::members::{MAX_EXPONENT_BITS, MAX_RSA_BITS, MIN_RSA_BITS};
use crate::jose::UnsupportedAlgorithm;

/// Why a key was refused.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRefused {
    /// The key's own `alg` is not of the list.
    #[error("key names an algorithm that is never accepted")]
    Algorithm(#[source] UnsupportedAlgorithm),
    /// The key's `alg` does not fit its type, or the configuration does not allow it.
    #[error("key is for {found}, expected one of: {expected}")]
    AlgorithmMismatch {
        /// What the key names; `no algorithm` where it names none.
        found: String,
        /// What its type and the configuration allow.
        expected: String,
    },
    /// The key's certificate contradicts the key.
    #[error("key's `{name}` is another key's, expected its own")]
    Certificate {
        /// The member that contradicts.
        name: &'static str,
    },
    /// A number is not canonical base64.
    #[error("key member `{name}` is not canonical base64")]
    Encoding {
        /// The member.
        name: &'static str,
        /// Where, and why.
        source: DecodeError,
    },
    /// The RSA modulus is even, so it is no product of two large primes.
    #[error("found an even RSA modulus, expected an odd one")]
    EvenModulus,
    /// The RSA exponent is even, 1, or longer than the limit.
    #[error("found RSA exponent {found}, expected an odd one above 1 of at most {MAX_EXPONENT_BITS} bits")]
    Exponent {
        /// The first bytes of the exponent in hex.
        found: String,
    },
    /// The key id is empty, too long, or holds control characters.
    #[error("found key id `{found}`, expected 1 to 256 bytes without control characters")]
    KeyId {
        /// What was found, shortened and escaped.
        found: String,
    },
    /// A number has the wrong length.
    #[error("key member `{name}` has {found} bytes, expected {expected}")]
    Length {
        /// The member.
        name: &'static str,
        /// Its length.
        found: usize,
        /// What is expected.
        expected: &'static str,
    },
    /// The key says that it signs for another issuer.
    #[error("key is of issuer `{found}`, expected `{expected}`")]
    OtherIssuer {
        /// The issuer whose key it should be.
        expected: String,
        /// What the key names, shortened and escaped.
        found: String,
    },
    /// A required member is absent.
    #[error("key has no member `{name}`, expected it")]
    Missing {
        /// The member.
        name: &'static str,
    },
    /// The key has a member that only a private or symmetric key has.
    #[error("found private member `{name}`, expected a public key")]
    Private {
        /// The member.
        name: &'static str,
    },
    /// The numbers are not a key: a point off the curve.
    #[error("key's numbers are not a public key")]
    Rejected(#[source] KeyRejected),
    /// The modulus has the structure of the ROCA fault (CVE-2017-15361); its private key can be computed.
    #[error("found an RSA modulus of the ROCA fault, expected a sound one")]
    Roca,
    /// The RSA modulus is too short or too long.
    #[error("found {found} bits, expected {MIN_RSA_BITS} to {MAX_RSA_BITS}")]
    Size {
        /// The length of the modulus in bits.
        found: usize,
    },
    /// The key is symmetric.
    #[error("found a symmetric key, expected a public one")]
    Symmetric,
    /// The key type or curve is not one we know.
    #[error("found `{name}` of `{found}`, expected {expected}")]
    Unknown {
        /// The member.
        name: &'static str,
        /// What was found, shortened and escaped.
        found: String,
        /// What we know.
        expected: &'static str,
    },
    /// The key is not for verifying signatures.
    #[error("key is for `{found}`, expected {expected}")]
    Use {
        /// What it is for, shortened and escaped.
        found: String,
        /// What is expected.
        expected: &'static str,
    },
    /// A member has another type.
    #[error("key member `{name}` is {found}, expected {expected}")]
    WrongType {
        /// The member.
        name: &'static str,
        /// The JSON type that was found.
        found: &'static str,
        /// The JSON type that was expected.
        expected: &'static str,
    },
}

impl KeyRefused {
    /// Tells whether the whole document must be refused: it shows a secret (JWK-7).
    pub(crate) fn shows_a_secret(&self) -> bool {
        matches!(self, Self::Private { .. } | Self::Symmetric)
    }
}
