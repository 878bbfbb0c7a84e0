//! Step 6: what happened becomes durable before anybody learns of it.
//!
//! The chain is the truth; sinks get copies after the commit and never hold one up.

mod chain;
pub mod checkpoint;
mod clock_trust;
pub mod entry;
pub mod query;
pub mod sinks;
pub mod trail;
pub mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use entry::{Draft, EntryKind};
pub use trail::{Group, Health, Pace, Recorded, Rollback, Trail, TrailError, TrailOptions};
