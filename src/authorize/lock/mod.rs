//! Locks: what is shut at once, whatever the grants say.
//!
//! They are store rows, decided on from a memory copy. A copy that is too old denies, because an unread lock must never
//! count as none; a row that this program cannot read locks everything.

mod set;
mod watch;

pub use set::{LockSet, LockTarget, MAX_AGE};
pub use watch::{LockRefused, Locks, REFRESH};

#[cfg(test)]
mod tests;
