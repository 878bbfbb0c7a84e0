//! Tests of the kind `aws_roles_anywhere`.

mod config;
#[cfg(feature = "dev")]
mod control;
#[cfg(feature = "dev")]
mod ground;
#[cfg(feature = "dev")]
mod iam;
mod response;
mod rules;
#[cfg(feature = "dev")]
mod session;
mod signature;
#[cfg(feature = "dev")]
mod vectors;
#[cfg(feature = "dev")]
mod wire;
