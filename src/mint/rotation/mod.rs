//! How authorities replace each other without breaking anyone: prepared, published, observed, active, retired, removed.
//!
//! What is due is a pure function of what the store holds, what was seen, and the time; the store takes it by
//! compare-and-swap. So two processes that decide at once do no harm, and one that dies at any step is continued by the next.
//! It never lets a key sign that a verifier could not have found.

pub mod alarm;
pub mod decision;
pub mod engine;
pub mod forced;
pub mod observation;
pub mod placing;
pub mod replica;
pub mod report;
pub mod rules;
pub mod standing;
pub mod step;

#[cfg(test)]
mod ground;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use alarm::Alarm;
pub use decision::decide;
pub use engine::{Condition, Engine, EngineParts, Installed, Journal, Place, RotationFailed, Unwell};
pub use observation::{Look, Observations, PlaceSeen, Report, Unseen};
pub use placing::OtherRoot;
pub use replica::{NotRenewed, Replica, ReplicaParts};
pub use report::{FactReports, Reports};
pub use rules::{Lane, Life, Rules};
pub use standing::{Standing, Waits};
pub use step::Step;
