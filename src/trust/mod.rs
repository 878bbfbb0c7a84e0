//! What we publish about ourselves, so that others can trust what we sign.

pub mod documents;
pub mod observe;
pub mod revocation;

pub use documents::{Document, Documents, Published, PublishedKeys, X509Authority};
pub use observe::PublicPlace;
pub use revocation::RevocationLists;
