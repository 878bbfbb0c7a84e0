//! What every relying party in AWS shares: how AWS refuses, ARNs, sessions, trust policies.
//!
//! No kind of relying party, and it names none. Pure functions except for `sim`; each rule names its source, and one from
//! memory is marked `[M]`.

pub mod arn;
pub(in crate::exchange) mod constraint;
pub mod refusal;
pub mod role_session;
#[cfg(feature = "dev")]
pub(in crate::exchange) mod sim;
pub(in crate::exchange) mod strict_json;
pub mod trust;

pub use refusal::{Code, Refusal};
