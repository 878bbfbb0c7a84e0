//! What Amazon's platforms give their workloads: a role, and on an instance a document about it.
//!
//! Never sends a role's secret key anywhere: it goes into signatures alone.

pub(super) mod instance;
mod metadata;
pub(super) mod presigned;
mod role;
pub(super) mod web_identity;
