//! The pure SPIFFE types: no I/O, no clock.
//!
//! They must never normalise: what is not exactly right is refused (DEC-4).

mod bundle;
#[cfg(test)]
pub(crate) mod fixture;
mod id;
mod segment;
mod trust_domain;
mod x509_svid;

pub use bundle::{Bundle, BundleDocument, BundleRefused, IgnoredEntry, IgnoredReason, RootRefused};
pub use id::{MAX_GENERATED_ID_BYTES, MAX_ID_BYTES, SpiffeId, SpiffeIdRefused};
pub use segment::{MAX_TEMPLATE_VALUE_BYTES, SegmentRefused, is_template_value, refuse_template_value};
pub use trust_domain::{TrustDomain, TrustDomainRefused};
pub use x509_svid::{SvidRefused, X509Svid};
