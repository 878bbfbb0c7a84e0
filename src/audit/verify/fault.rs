//! What can be wrong with the trail, and where.
//!
//! Never decides whether it is: that is the parent's.

use serde::Serialize;

/// One fault, and the record it was found at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The chain; empty for a checkpoint itself.
    pub writer: String,
    /// The position in the chain.
    pub sequence: u64,
    /// What is wrong.
    pub what: What,
}

/// What is wrong with a record or a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// A column says something else than the body that was hashed.
    #[error("column `{column}` does not say what the entry says")]
    Column {
        /// The column.
        column: &'static str,
    },
    /// The copy is not what was hashed, whatever the store holds.
    #[error("the copy of the entry was edited: it has the hash {found}, it names {expected}")]
    CopyEdited {
        /// The hash of the copy's body.
        found: String,
        /// The hash that it names.
        expected: String,
    },
    /// The store has no entry there, and the copy is one.
    #[error("the store has no such entry, its copy has the hash {expected}")]
    CopyOnly {
        /// The copy's hash.
        expected: String,
    },
    /// The entry is another one than its copy.
    #[error("the entry has the hash {found}, its copy has {expected}")]
    Differs {
        /// The hash in the store.
        found: String,
        /// The hash of the copy.
        expected: String,
    },
    /// The entry is another one than the checkpoint knows.
    #[error("the entry has the hash {found}, the checkpoint knows {expected}")]
    Diverged {
        /// The hash in the store.
        found: String,
        /// The hash in the checkpoint.
        expected: String,
    },
    /// The body is not what was hashed.
    #[error("the entry was edited: it has the hash {found}, recorded is {expected}")]
    Edited {
        /// The hash of the body.
        found: String,
        /// The recorded hash.
        expected: String,
    },
    /// A record is missing before this one, or one stands twice.
    #[error("position {found} stands where {expected} should")]
    Gap {
        /// The position found.
        found: u64,
        /// The position that follows the one before.
        expected: u64,
    },
    /// The body says that it belongs to another place.
    #[error("the entry of {found} stands here")]
    Misplaced {
        /// Chain and position that the body names.
        found: String,
    },
    /// The checkpoint cannot be relied on.
    #[error("the checkpoint cannot be relied on: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The chain ends before the checkpoint: its end was cut off, or an old copy was restored.
    #[error("the chain ends at {found}, the checkpoint knows it up to {expected}")]
    Truncated {
        /// Where it ends.
        found: u64,
        /// How far it went.
        expected: u64,
    },
    /// The entry does not follow from the one before.
    #[error("the entry follows {found}, before it stands {expected}")]
    Unlinked {
        /// The hash that the body names.
        found: String,
        /// The hash of the entry before.
        expected: String,
    },
    /// The body is not an entry of a form that this program knows.
    #[error("the entry cannot be read: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
}
