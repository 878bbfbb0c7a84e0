//! The strict subset of JOSE that Cambio accepts and makes: no I/O, no clock.
//!
//! Compact JWS only, signed with RSA or ECDSA. It must never trust a key that a token brings along, never let a header
//! choose an algorithm that the key's configuration does not allow, and never read claims from other bytes than those
//! that the signature covers.

mod algorithm;
mod claims;
mod compact;
mod excerpt;
mod header;
mod jwk;
mod key;
mod key_set;
mod numeric_date;
mod proof;
mod roca;
mod seal;
pub mod sign;
mod signing_key;
pub mod strict_json;
mod verified;

pub use algorithm::{Algorithm, UnsupportedAlgorithm};
pub use claims::{Audience, ClaimRefused, Claims, ClaimsRefused, Object};
pub use compact::{MAX_TOKEN_BYTES, TokenRefused, Unverified};
pub(crate) use excerpt::excerpt;
pub use header::HeaderRefused;
pub use jwk::{Curve, KeyMaterial, KeyUse, PublicJwk, Thumbprint};
pub use key::{KeyRefused, PublicKey, SignatureRefused};
pub(crate) use key::{refuse_another_keys_certificate, refuse_secrets};
pub(crate) use key_set::entries as key_set_entries;
pub use key_set::{IgnoredKey, KeyNotFound, KeySet, KeySetRefused};
pub use numeric_date::{NumericDate, NumericDateRefused};
pub use proof::{EmbeddedKeyProof, MAX_PROOF_BYTES, Proof};
pub use seal::{Seal, SealFailed};
pub use signing_key::{SigningAlgorithm, SigningFailed, SigningKey, SigningKeyRefused};
pub use verified::Verified;

#[cfg(test)]
mod tests;
