//! The form of a join token: a prefix that tells what it is, 256 random bits, and a checksum over both.
//!
//! It must never print a token, and never say more of a broken one than how it is broken.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::secret::{Digest, NoRandomness, Random, Secret};

/// A join token in the right form; nothing says that anybody made it.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken(Secret);

/// The text begins like a join token and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenMalformed {
    /// It does not begin like one.
    #[error("it does not begin with `cambio-join.`")]
    Another,
    /// A character was lost or changed on the way.
    #[error("its checksum does not hold: a character of it was changed")]
    Checksum,
    /// It is longer or shorter than every join token.
    #[error("it has {found_bytes} characters, a join token has 60")]
    Length {
        /// Its length.
        found_bytes: usize,
    },
}

impl JoinToken {
    /// Draws a token.
    ///
    /// # Errors
    /// Fails where the platform gives no randomness.
    pub fn draw(random: &dyn Random) -> Result<Self, NoRandomness> {
        let mut drawn = [0; RANDOM_BYTES];
        random.fill(&mut drawn)?;
        let bytes = [drawn.as_slice(), &checksum(&drawn)].concat();
        let text = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        Ok(Self(Secret::new(text)))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// Refuses what was cut off or changed (T-27).
    pub fn parse(text: &Secret) -> Result<Self, JoinTokenMalformed> {
        let encoded = text.expose().strip_prefix(PREFIX).ok_or(JoinTokenMalformed::Another)?;
        let found_bytes = text.expose().len();
        if found_bytes != LENGTH {
            return Err(JoinTokenMalformed::Length { found_bytes });
        }
        // 36 bytes are 48 characters and no bit besides: one token has one text.
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded).unwrap_or_default();
        match bytes.split_at_checked(RANDOM_BYTES) {
            Some((drawn, found)) if found == checksum(drawn).as_slice() => Ok(Self(text.clone())),
            Some(_) | None => Err(JoinTokenMalformed::Checksum),
        }
    }

    /// Returns whether a text begins like a join token, and so tells by itself what it is.
    pub fn is_begun_in(text: &Secret) -> bool {
        text.expose().starts_with(PREFIX)
    }

    /// Returns the SHA-256 of the text, all that is kept of it.
    pub fn sha256(&self) -> Digest {
        self.0.sha256()
    }

    /// Returns the text, to be shown once to whoever asked for the token.
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken([redacted])")
    }
}

/// Tells a token that was cut off or mistyped from one that nobody made; it proves nothing.
fn checksum(drawn: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Digest::of_parts(&[PREFIX.as_bytes(), drawn]);
    let [first, second, third, fourth, ..] = *digest.as_bytes();
    [first, second, third, fourth]
}

/// What scanners for leaked secrets can look for.
const PREFIX: &str = "cambio-join.";
/// 256 bits: nobody finds one that was given out, nor one whose digest is known.
const RANDOM_BYTES: usize = 32;
/// One in 4 billion changed tokens is taken for an unknown one, which is refused as well.
const CHECKSUM_BYTES: usize = 4;
const LENGTH: usize = PREFIX.len() + (RANDOM_BYTES + CHECKSUM_BYTES) / 3 * 4;
