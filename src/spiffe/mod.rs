//! The pure SPIFFE types: no I/O, no clock.
//!
//! They must never normalise: what is not exactly right is refused (DEC-4).

mod bundle;
mod id;
mod segment;
mod trust_domain;

pub use bundle::{Bundle, BundleDocument, BundleRefused, IgnoredEntry, IgnoredReason};
pub use id::{MAX_GENERATED_ID_BYTES, MAX_ID_BYTES, SpiffeId, SpiffeIdRefused};
pub use segment::{MAX_TEMPLATE_VALUE_BYTES, SegmentRefused, is_template_value, refuse_template_value};
pub use trust_domain::{TrustDomain, TrustDomainRefused};
