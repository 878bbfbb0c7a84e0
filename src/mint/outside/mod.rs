//! A root that stays outside: what is asked of it, and how what it answers is judged.
//!
//! Its key is never here. What comes back from it is believed only as far as it was asked for.

pub mod chain;
#[cfg(test)]
pub(in crate::mint) mod fixture;
pub(in crate::mint) mod key;
pub mod request;

pub use chain::{Chain, ChainRefused};
pub use request::CertificateRequest;

/// Where the key of the root is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RootPlace {
    /// With an authority that is not ours: it certifies our intermediates.
    Outside,
    /// Sealed in the store: intermediates are certified here.
    #[default]
    Store,
}
