//! What stands between an active key and a signature: what this process publishes, and how fresh what it knows is.
//!
//! Without somebody who answers for both, nothing is signed but checkpoints.

use std::{fmt, sync::Arc};

use super::{Authority, AuthoritySet, Purpose};
use crate::store::BoxFuture;

/// Answers for what this process publishes.
pub trait Serving: Send + Sync + fmt::Debug {
    /// Makes sure that what is known of the store is no older than it may be: a process that stood still must not sign with a
    /// key that the others have replaced.
    ///
    /// # Errors
    /// Fails where it is too old and the store cannot be read.
    fn freshen(&self) -> BoxFuture<'_, Result<(), Stale>>;

    /// Returns whether the documents that this process serves at this moment name the key.
    fn publishes(&self, id: &str) -> bool;
}

/// What is known of the store is too old to sign by.
#[derive(Debug, thiserror::Error)]
#[error("the keys were last compared with the store {age_seconds} s ago, expected at most {most_seconds} s: {reason}")]
pub struct Stale {
    /// How old it is.
    pub age_seconds: u64,
    /// How old it may be.
    pub most_seconds: u64,
    /// Why it could not be renewed.
    pub reason: String,
}

/// Refuses a key that verifiers cannot find in what this process serves (TM-20).
///
/// An intermediate is not published itself: verifiers hold its root.
pub(super) fn judge(
    authority: &Authority,
    authorities: &AuthoritySet,
    serving: Option<&Arc<dyn Serving>>,
) -> Result<(), String> {
    let published = |id: &str| serving.is_some_and(|serving| serving.publishes(id));
    let found = match authority.purpose {
        Purpose::Audit => true,
        Purpose::Jwt | Purpose::X509Root => published(authority.id()),
        Purpose::X509Intermediate => authorities.published_root_ids().any(published),
    };
    if found {
        Ok(())
    } else {
        let id = authority.id();
        Err(format!("key {id} is not in the documents that this process serves"))
    }
}
