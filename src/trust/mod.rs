//! What we publish about ourselves, so that others can trust what we sign.

pub mod documents;

pub use documents::{Document, Documents, Published};
