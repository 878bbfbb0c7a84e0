//! What AWS IAM and STS accept of an OIDC issuer, its tokens and the requests that carry them.
//!
//! Pure functions: no I/O, no clock, no signature. Each rule names its source; a rule or text from memory is marked
//! `[M]` and its refusal says `verified: false`. Serves preflight, `cambio explain` and the simulator alike.

pub mod context;
pub mod limits;
pub mod provider;
pub mod session_policy;
pub mod token;
