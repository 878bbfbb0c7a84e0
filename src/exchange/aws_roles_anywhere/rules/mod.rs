//! What IAM Roles Anywhere accepts: certificates, requests, attribute mappings, and what they become in a session.
//!
//! Pure functions: no I/O, no clock, no signature. Each rule names its source; a rule or text from memory is marked
//! `[M]` and its refusal says `verified: false`. Serves preflight and the simulator alike.

pub mod certificate;
pub mod limits;
pub mod mapping;
pub mod refusal;
pub mod resource;
pub mod session;

pub use refusal::{Code, Refusal};
