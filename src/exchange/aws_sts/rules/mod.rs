//! What AWS IAM and STS accept of an OIDC issuer, its tokens and the requests that carry them.
//!
//! Pure functions: no I/O, no clock, no signature. Each rule names its source; a rule or text from memory is marked
//! `[M]` and its refusal says `verified: false`. Serves preflight, `cambio explain` and the simulator alike.

pub mod limits;
pub mod provider;
pub mod refusal;
pub mod session_policy;
mod strict_json;
pub mod token;
pub mod trust;

pub use refusal::{Code, Refusal};
