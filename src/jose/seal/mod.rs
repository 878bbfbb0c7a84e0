//! How private keys lie in a store: AES-256-GCM under the key-encryption key.
//!
//! It must never seal two things under one nonce, and never open one thing in the place of another.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
};
use zeroize::Zeroizing;

use crate::secret::{Digest, NoRandomness, Random};

/// The key-encryption key, ready for use.
pub struct Seal(LessSafeKey);

impl Seal {
    /// Takes the key-encryption key.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn new(kek: &[u8; 32]) -> Result<Self, SealFailed> {
        let key = UnboundKey::new(&AES_256_GCM, kek).map_err(SealFailed::Key)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals `plaintext` for the place that `aad` names (key id, purpose).
    ///
    /// The result is a version byte, the nonce, the ciphertext and the tag. Nonces are random: one key-encryption key is
    /// good for 2^32 of them (NIST SP 800-38D section 8.3), many more than there will be keys.
    ///
    /// # Errors
    /// Fails where the platform gives no random bytes or the library fails.
    pub fn seal(&self, plaintext: &[u8], aad: &[&[u8]], random: &dyn Random) -> Result<Vec<u8>, SealFailed> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce).map_err(SealFailed::Random)?;
        let mut text = Zeroizing::new(plaintext.to_vec());
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), bound(aad), text.as_mut_slice())
            .map_err(SealFailed::Seal)?;
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what was sealed for the place that `aad` names.
    ///
    /// # Errors
    /// Refuses another version, and whatever was not sealed under this key for this very place.
    pub fn open(&self, sealed: &[u8], aad: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>, SealFailed> {
        let (version, rest) = sealed.split_first().ok_or(SealFailed::TooShort { found: 0 })?;
        if *version != VERSION {
            return Err(SealFailed::Version { found: *version });
        }
        let (nonce, text) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealFailed::TooShort { found: sealed.len() })?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), bound(aad), text.as_mut_slice())
            .map_err(SealFailed::Open)?
            .len();
        text.truncate(opened);
        Ok(text)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal([redacted])")
    }
}

/// Why sealing or opening failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealFailed {
    /// The library refused the key-encryption key.
    #[error("the cryptographic library refused the key-encryption key")]
    Key(#[source] Unspecified),
    /// The bytes were sealed under another key, for another place, or were changed.
    #[error("found bytes that were not sealed under this key-encryption key for this place")]
    Open(#[source] Unspecified),
    /// The platform gave no random bytes for a nonce.
    #[error("no nonce for sealing")]
    Random(#[source] NoRandomness),
    /// The library could not seal.
    #[error("the cryptographic library failed to seal")]
    Seal(#[source] Unspecified),
    /// The bytes are too few to be sealed ones.
    #[error("found {found} sealed bytes, expected at least a version, a nonce and a tag")]
    TooShort {
        /// How many.
        found: usize,
    },
    /// The bytes are of another version.
    #[error("found sealed bytes of version {found}, expected {VERSION}")]
    Version {
        /// The version.
        found: u8,
    },
}

/// Binds version and place; each part is hashed with its length, so that no two lists collide.
fn bound(aad: &[&[u8]]) -> Aad<[u8; 32]> {
    let mut parts: Vec<&[u8]> = vec![&[VERSION]];
    parts.extend_from_slice(aad);
    Aad::from(*Digest::of_parts(&parts).as_bytes())
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests;
