//! A proof of possession that brings its own key (DPoP, RFC 9449).
//!
//! It must never be taken for evidence: it says only that its maker holds the private key of the thumbprint. What the
//! claims must say (`htm`, `htu`, `iat`, `ath`) is the attestor's to judge.

use super::{
    Algorithm, Claims, HeaderRefused, PublicKey, SignatureRefused, Thumbprint, TokenRefused, Verified, compact::Parts,
    header::HeaderRule,
};

/// The longest proof that is looked at.
pub const MAX_PROOF_BYTES: usize = 4 * 1024;

/// A well-formed proof whose signature nobody has checked.
#[derive(Debug)]
pub struct EmbeddedKeyProof<'a> {
    parts: Parts<'a>,
    claims: Claims,
    key: PublicKey,
}

impl<'a> EmbeddedKeyProof<'a> {
    /// Reads a proof whose header is exactly `{typ: "dpop+jwt", alg: "ES256", jwk}`.
    ///
    /// # Errors
    /// Refuses whatever is not a compact JWS of at most [`MAX_PROOF_BYTES`], every other header, and every key but a
    /// public P-256 one.
    pub fn parse(proof: &'a str) -> Result<Self, TokenRefused> {
        let parts = Parts::split(proof, MAX_PROOF_BYTES, HeaderRule::Proof)?;
        let jwk = parts.header.jwk.as_ref();
        let jwk = jwk.ok_or(TokenRefused::Header(HeaderRefused::Missing { name: "jwk" }))?;
        let key = PublicKey::from_jwk(jwk, &[Algorithm::Es256]).map_err(TokenRefused::EmbeddedKey)?;
        let claims = parts.claims()?;
        Ok(Self { parts, claims, key })
    }

    /// Checks the signature with the proof's own key.
    ///
    /// # Errors
    /// Refuses another algorithm than ES256, and every signature but the right one.
    pub fn verify(&self) -> Result<Verified<Proof>, SignatureRefused> {
        self.parts.verify(&self.key)?;
        Ok(Verified::new(Proof {
            claims: self.claims.clone(),
            thumbprint: self.key.thumbprint(),
        }))
    }
}

/// What a proof says, and whose key said it.
#[derive(Debug, Clone)]
pub struct Proof {
    claims: Claims,
    thumbprint: Thumbprint,
}

impl Proof {
    /// Returns the claims.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Returns the RFC 7638 thumbprint of the key that signed.
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }
}

#[cfg(test)]
mod tests;
