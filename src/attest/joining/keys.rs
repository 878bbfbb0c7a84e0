//! Keys that machines register once and prove to hold from then on: what is asked of an attestor that keeps them.
//!
//! It must never keep a key whose private half nobody proved to hold.

use std::{sync::Arc, time::SystemTime};

use serde_json::{Map, Value};

use crate::{
    attest::{AttestRefusal, Attestation, CLOCK_LEEWAY, Evidence},
    jose::{Algorithm, KeyMaterial, PublicKey},
    secret::Digest,
    store::{Binding, BoundKeyChange, BoundKeyRow, BoxFuture, LedgerUse, UseRule},
};

/// A public key whose private half the caller proved to hold, over the evidence that it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    jwk: String,
    thumbprint: Digest,
}

impl NewKey {
    /// Takes a P-256 key as a JSON Web Key; `proven` is the thumbprint of the key that made the proof.
    ///
    /// # Errors
    /// Refuses any other kind of key, and a key that made no proof.
    pub fn new(jwk: &Map<String, Value>, proven: Digest) -> Result<Self, AttestRefusal> {
        let refused = |reason: String| AttestRefusal::KeyRefused { reason };
        let key = PublicKey::from_jwk(jwk, &[Algorithm::Es256]).map_err(|why| refused(why.to_string()))?;
        let thumbprint = key.thumbprint().digest();
        if thumbprint != proven {
            return Err(refused("another key made the proof".to_owned()));
        }
        match key.material() {
            KeyMaterial::Ec { curve, x, y } => Ok(Self {
                jwk: format!(r#"{{"crv":"{}","kty":"EC","x":"{x}","y":"{y}"}}"#, curve.as_str()),
                thumbprint,
            }),
            KeyMaterial::Rsa { .. } => Err(refused("it is an RSA key, expected one on P-256".to_owned())),
        }
    }

    /// Returns the key as a JSON Web Key, with the members that its thumbprint covers and no other.
    pub fn jwk(&self) -> &str {
        &self.jwk
    }

    /// Returns its RFC 7638 thumbprint.
    pub fn thumbprint(&self) -> Digest {
        self.thumbprint
    }
}

/// A key to be kept, with the use that the commit which keeps it holds against the ledger.
#[derive(Debug)]
pub struct Kept {
    /// What the evidence attested.
    pub attestation: Attestation,
    /// The one use of the evidence, and the change that comes with it.
    pub ledger: LedgerUse,
    /// The key as the store will have it.
    pub row: BoundKeyRow,
}

/// What the holder of a key must know to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTerms {
    /// The issuer that its evidence names.
    pub issuer: String,
    /// The audience that its evidence names.
    pub audience: String,
    /// When it ends unless another takes its place.
    pub ends: SystemTime,
}

/// Keeps keys of machines.
pub trait KeepsKeys: Send + Sync {
    /// Prepares the registration of a machine's first key by a join token; `None` where the token is not this attestor's.
    ///
    /// # Errors
    /// Refuses a token that has ended, a key that is known, and a machine more than there may be.
    fn register<'a>(
        &'a self,
        evidence: &'a Evidence,
        key: &'a NewKey,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Option<Kept>, AttestRefusal>>;

    /// Prepares to put a key in the place of the one that `attestation` rests on.
    ///
    /// # Errors
    /// Refuses a key that is known.
    fn rotate<'a>(
        &'a self,
        attestation: Attestation,
        key: &'a NewKey,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Kept, AttestRefusal>>;

    /// Returns what the holder of a key must know.
    fn terms(&self, row: &BoundKeyRow) -> KeyTerms;
}

/// Returns the use of evidence by a replaced key that locks the machine: somebody has a copy of what it had before.
pub fn locking(registration: &str, evidence: &Evidence, expires: SystemTime) -> LedgerUse {
    let sha256 = evidence.sha256();
    LedgerUse {
        key: Digest::of_parts(&[b"bound key locks", registration.as_bytes(), sha256.as_bytes()]),
        binding: Binding::Bearer,
        rule: UseRule::Once,
        stands_until: expires,
        ends: None,
        remember_until: expires + CLOCK_LEEWAY,
        proof: None,
        keeps: Some(Arc::new(BoundKeyChange::Lock {
            registration: registration.to_owned(),
        })),
    }
}
