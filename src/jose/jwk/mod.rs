//! Public keys as JSON Web Keys.
//!
//! The types hold no private member, so that none can be published (JWK-6).

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::Algorithm;
use crate::secret::Digest;

/// An elliptic curve that we accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

impl Curve {
    /// Returns the registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    /// Returns the length of a coordinate in bytes.
    pub(in crate::jose) const fn coordinate_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

/// The numbers of a public key, each in canonical base64url.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyMaterial {
    /// A point on a curve.
    Ec {
        /// The curve.
        curve: Curve,
        /// The x coordinate, at full length.
        x: String,
        /// The y coordinate, at full length.
        y: String,
    },
    /// An RSA modulus and exponent.
    Rsa {
        /// The modulus, without leading zeros.
        n: String,
        /// The exponent, without leading zeros.
        e: String,
    },
}

impl KeyMaterial {
    /// Returns the RFC 7638 thumbprint.
    pub fn thumbprint(&self) -> Thumbprint {
        // The members in lexical order, without white space; base64url needs no escaping.
        let canonical = match self {
            Self::Ec { curve, x, y } => format!(r#"{{"crv":"{}","kty":"EC","x":"{x}","y":"{y}"}}"#, curve.as_str()),
            Self::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        Thumbprint(Digest::of(canonical.as_bytes()))
    }

    /// Writes `kty` and the numbers as JWK members.
    pub(crate) fn serialize_members<M: SerializeMap>(&self, members: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Ec { curve, x, y } => {
                members.serialize_entry("kty", "EC")?;
                members.serialize_entry("crv", curve.as_str())?;
                members.serialize_entry("x", x)?;
                members.serialize_entry("y", y)
            }
            Self::Rsa { n, e } => {
                members.serialize_entry("kty", "RSA")?;
                members.serialize_entry("n", n)?;
                members.serialize_entry("e", e)
            }
        }
    }
}

/// The SHA-256 thumbprint of a key (RFC 7638); printed in base64url, 43 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint(Digest);

impl Thumbprint {
    /// Returns the digest.
    pub fn digest(self) -> Digest {
        self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a published key is found; one key goes into two documents (DEC-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// In a SPIFFE bundle: `use: jwt-svid`, no `alg`.
    JwtSvid,
    /// In an OIDC JWK set: `use: sig`, with `alg`.
    Signature,
}

/// One of our public keys, ready to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicJwk {
    algorithm: Algorithm,
    key_id: String,
    key_use: KeyUse,
    material: KeyMaterial,
}

impl PublicJwk {
    /// Returns the key for an OIDC JWK set.
    pub(in crate::jose) fn new(algorithm: Algorithm, key_id: String, material: KeyMaterial) -> Self {
        Self {
            algorithm,
            key_id,
            key_use: KeyUse::Signature,
            material,
        }
    }

    /// Returns the same key for another document.
    #[must_use]
    pub fn for_use(mut self, key_use: KeyUse) -> Self {
        self.key_use = key_use;
        self
    }

    /// Returns the algorithm that the key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the key id.
    pub fn kid(&self) -> &str {
        &self.key_id
    }

    /// Returns the key's numbers.
    pub fn material(&self) -> &KeyMaterial {
        &self.material
    }

    /// Returns the RFC 7638 thumbprint.
    pub fn thumbprint(&self) -> Thumbprint {
        self.material.thumbprint()
    }
}

impl Serialize for PublicJwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        self.material.serialize_members(&mut members)?;
        members.serialize_entry("kid", &self.key_id)?;
        match self.key_use {
            KeyUse::JwtSvid => members.serialize_entry("use", "jwt-svid")?,
            KeyUse::Signature => {
                members.serialize_entry("use", "sig")?;
                members.serialize_entry("alg", &self.algorithm)?;
            }
        }
        members.end()
    }
}

#[cfg(test)]
mod tests;
