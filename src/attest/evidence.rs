//! What a workload presents: its token, and what it proves besides.
//!
//! Nothing here is verified, apart from the DPoP proof that made a [`Possession::Dpop`].

use std::{fmt, time::SystemTime};

use crate::{
    secret::{Digest, NoRandomness, Random, Secret, hex},
    store::Binding,
};

/// What a workload presents, unverified.
#[derive(Clone, Debug)]
pub struct Evidence {
    token: Secret,
    kind: Option<String>,
    possession: Possession,
}

impl Evidence {
    /// Takes the token as it came in; `kind` only where the token does not tell.
    pub fn new(token: Secret, kind: Option<String>, possession: Possession) -> Self {
        Self {
            token,
            kind,
            possession,
        }
    }

    /// Returns the token, unverified.
    pub fn token_unverified(&self) -> &Secret {
        &self.token
    }

    /// Returns the kind of evidence that the caller claims, if it does.
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// Returns what the caller proved besides the token.
    pub fn possession(&self) -> &Possession {
        &self.possession
    }

    /// Returns the SHA-256 of the token, which may be logged.
    pub fn sha256(&self) -> Digest {
        self.token.sha256()
    }
}

/// What a caller proved besides the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Possession {
    /// Nothing: whoever holds the token may have sent it.
    Bearer,
    /// A DPoP proof over this very token was verified.
    Dpop {
        /// RFC 7638 thumbprint of the proof's key.
        thumbprint: Digest,
        /// Digest over thumbprint and `jti` of the proof, which serves once.
        proof: Digest,
        /// How long the proof must be remembered.
        remember_until: SystemTime,
    },
    /// The caller sent a random Idempotency-Key of at least 128 bits.
    IdempotencyKey(Digest),
}

impl Possession {
    /// Returns what the ledger compares.
    pub fn binding(&self) -> Binding {
        match self {
            Self::Bearer => Binding::Bearer,
            Self::Dpop { thumbprint, .. } => Binding::Dpop(*thumbprint),
            Self::IdempotencyKey(key) => Binding::IdempotencyKey(*key),
        }
    }

    /// Returns the proof that serves once, and how long it is remembered.
    pub fn proof(&self) -> Option<(Digest, SystemTime)> {
        match self {
            Self::Bearer | Self::IdempotencyKey(_) => None,
            Self::Dpop {
                proof, remember_until, ..
            } => Some((*proof, *remember_until)),
        }
    }
}

/// The id of one request: 128 random bits in lower-case hex.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ExchangeId(String);

impl ExchangeId {
    /// Draws an id.
    ///
    /// # Errors
    /// Fails where the platform gives no randomness.
    pub fn draw(random: &dyn Random) -> Result<Self, NoRandomness> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes)?;
        Ok(Self(hex(&bytes)))
    }

    /// Returns the 32 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first 12 hex digits, which fit into every cloud's session name.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
