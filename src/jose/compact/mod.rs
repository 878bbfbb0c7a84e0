//! Compact JWS as it arrives: structure first, signature second, claims from the same bytes.
//!
//! It must never accept JSON serialisation, JWE, padding, or a second encoding of the same token, and never do work in
//! proportion to what a hostile token repeats.

use base64::{DecodeError, Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{
    Algorithm, Claims, ClaimsRefused, HeaderRefused, KeyRefused, PublicKey, SignatureRefused, Verified,
    header::{HeaderRule, ReceivedHeader},
};
use crate::secret::Digest;

/// The longest token that is looked at (TM-45).
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A well-formed token whose signature nobody has checked.
#[derive(Debug)]
pub struct Unverified<'a> {
    parts: Parts<'a>,
    claims: Claims,
}

impl<'a> Unverified<'a> {
    /// Reads a foreign issuer's token.
    ///
    /// # Errors
    /// Refuses whatever is not a compact JWS of at most [`MAX_TOKEN_BYTES`] with an accepted algorithm and an object
    /// of claims.
    pub fn parse(token: &'a str) -> Result<Self, TokenRefused> {
        Self::with_rule(token, HeaderRule::Evidence)
    }

    /// Reads a JWT-SVID, whose header holds exactly `alg`, `kid` and, at most, `typ`.
    ///
    /// # Errors
    /// Refuses what [`Self::parse`] refuses, a missing `kid`, another `typ` than `JWT` or `JOSE`, and further members.
    pub fn parse_jwt_svid(token: &'a str) -> Result<Self, TokenRefused> {
        Self::with_rule(token, HeaderRule::JwtSvid)
    }

    fn with_rule(token: &'a str, rule: HeaderRule) -> Result<Self, TokenRefused> {
        let parts = Parts::split(token, MAX_TOKEN_BYTES, rule)?;
        let claims = parts.claims()?;
        Ok(Self { parts, claims })
    }

    /// Returns the algorithm that the header names.
    pub fn algorithm(&self) -> Algorithm {
        self.parts.header.algorithm
    }

    /// Returns the key id that the header names.
    pub fn kid(&self) -> Option<&str> {
        self.parts.header.key_id.as_deref()
    }

    /// Returns the kind of token that the header names.
    pub fn typ(&self) -> Option<&str> {
        self.parts.header.kind.as_deref()
    }

    /// Returns the issuer that the token claims; good for finding the issuer's configuration, for nothing else.
    pub fn issuer_unverified(&self) -> Option<&str> {
        self.claims.text("iss").ok().flatten()
    }

    /// Returns the claims as the token states them: for whoever made the token itself.
    pub fn claims_unverified(&self) -> &Claims {
        &self.claims
    }

    /// Returns the digest of the bytes that the signature covers; the same for every encoding of one statement.
    pub fn signing_input_sha256(&self) -> Digest {
        Digest::of(self.parts.signing_input)
    }

    /// Checks the signature with `key`.
    ///
    /// # Errors
    /// Refuses an algorithm that the key's configuration does not allow, and every signature but the right one.
    pub fn verify(&self, key: &PublicKey) -> Result<Verified<Claims>, SignatureRefused> {
        self.parts.verify(key)?;
        Ok(Verified::new(self.claims.clone()))
    }
}

/// The three parts, decoded.
#[derive(Debug)]
pub(in crate::jose) struct Parts<'a> {
    pub(in crate::jose) header: ReceivedHeader,
    pub(in crate::jose) signing_input: &'a [u8],
    pub(in crate::jose) payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    pub(in crate::jose) fn split(token: &'a str, limit: usize, rule: HeaderRule) -> Result<Self, TokenRefused> {
        if token.len() > limit {
            let found = token.len();
            return Err(TokenRefused::TooLong { found, limit });
        }
        // Counted, not collected: a token of dots would cost an allocation a dot (T-15).
        let refused = || TokenRefused::Parts {
            found: token.bytes().filter(|byte| *byte == b'.').count() + 1,
        };
        let (signing_input, signature) = token.rsplit_once('.').ok_or_else(refused)?;
        let (header, payload) = signing_input.split_once('.').ok_or_else(refused)?;
        if payload.contains('.') {
            return Err(refused());
        }
        let header = decode(header, "header")?;
        let header = ReceivedHeader::parse(&header, rule).map_err(TokenRefused::Header)?;
        Ok(Self {
            header,
            signing_input: signing_input.as_bytes(),
            payload: decode(payload, "payload")?,
            signature: decode(signature, "signature")?,
        })
    }

    pub(in crate::jose) fn claims(&self) -> Result<Claims, TokenRefused> {
        Claims::parse(&self.payload).map_err(TokenRefused::Claims)
    }

    pub(in crate::jose) fn verify(&self, key: &PublicKey) -> Result<(), SignatureRefused> {
        key.verify(self.header.algorithm, self.signing_input, &self.signature)
    }
}

/// Why a token was refused before any key was looked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRefused {
    /// The claims are not a strict object.
    #[error("token's claims are refused")]
    Claims(#[source] ClaimsRefused),
    /// The key that a proof brings along is refused.
    #[error("token's own key is refused")]
    EmbeddedKey(#[source] KeyRefused),
    /// A part is not base64url in its one canonical form.
    #[error("token's {part} is not canonical base64url without padding")]
    Encoding {
        /// Which part.
        part: &'static str,
        /// Where, and why.
        source: DecodeError,
    },
    /// The header is refused.
    #[error("token's header is refused")]
    Header(#[source] HeaderRefused),
    /// There are not three parts; five are a JWE, one is JSON serialisation or no token at all.
    #[error("found {found} parts, expected 3: only compact JWS is accepted")]
    Parts {
        /// How many were found.
        found: usize,
    },
    /// The token is longer than the limit.
    #[error("found {found} bytes, expected at most {limit}")]
    TooLong {
        /// The length.
        found: usize,
        /// The limit.
        limit: usize,
    },
}

fn decode(text: &str, part: &'static str) -> Result<Vec<u8>, TokenRefused> {
    BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|source| TokenRefused::Encoding { part, source })
}

#[cfg(test)]
mod tests;
