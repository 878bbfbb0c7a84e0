//! Tests of the kind `aws_sts`: its table, its client, the sourced vectors, and the simulator as clients meet it.

#[cfg(feature = "dev")]
mod client;
mod config;
#[cfg(feature = "dev")]
mod es512;
#[cfg(feature = "dev")]
mod ground;
mod response;
mod rules;
#[cfg(feature = "dev")]
mod seed;
#[cfg(feature = "dev")]
mod sts;
#[cfg(feature = "dev")]
mod vectors;
