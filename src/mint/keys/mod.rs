//! Where private keys live.
//!
//! A key source makes keys and opens them for signing; the private half never leaves it except sealed.

pub mod ephemeral;
pub mod store;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{
    jose::{PublicJwk, SigningAlgorithm},
    mint::authority::Purpose,
};

/// Makes and opens private keys.
pub trait KeySource: Send + Sync + fmt::Debug {
    /// Makes a key for `purpose`; returns it with the sealed form that the store keeps.
    ///
    /// # Errors
    /// Fails where the source gives no key.
    fn generate(
        &self,
        purpose: Purpose,
        algorithm: SigningAlgorithm,
    ) -> Result<(Arc<dyn Key>, Vec<u8>), KeyUnavailable>;

    /// Opens a key that `generate` made; `id` and `purpose` must be those it was made for.
    ///
    /// # Errors
    /// Refuses a sealed form of another id, purpose or key-encryption key.
    fn open(
        &self,
        id: &str,
        purpose: Purpose,
        algorithm: SigningAlgorithm,
        sealed: &[u8],
    ) -> Result<Arc<dyn Key>, KeyUnavailable>;
}

/// A private key that signs.
pub trait Key: Send + Sync + fmt::Debug {
    /// Signs `input`.
    fn sign<'a>(&'a self, input: &'a [u8]) -> Signing<'a>;

    /// Returns who makes sure that a signature is right before it is used.
    fn signature_check(&self) -> SignatureCheck {
        SignatureCheck::Lint
    }

    /// Returns the public half; its `kid` is the RFC 7638 thumbprint.
    fn public_jwk(&self) -> PublicJwk;
}

/// Who holds a signature against the public key before anything is made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// `mint::lint`: the source may have signed with another key, or wrongly.
    Lint,
    /// The source itself, in this process and with the public half that is published.
    Source,
}

/// A signature that may have to travel.
pub type Signing<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, KeyUnavailable>> + Send + 'a>>;

/// The key source gave no key or no signature.
#[derive(Debug, thiserror::Error)]
#[error("the key source failed while {doing}")]
pub struct KeyUnavailable {
    /// What was being done.
    pub doing: &'static str,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
