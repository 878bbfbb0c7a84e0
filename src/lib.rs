//! Cambio, a federation gateway: one attested identity goes in, the native credentials of any cloud come out.
//!
//! The modules stand in reading order. `gateway` is one exchange; the six steps follow in the order it takes them.

pub mod gateway;

// The six steps.
pub mod attest;

pub mod identify;

pub mod authorize;

pub mod mint;

pub mod exchange;

pub mod audit;

// What the steps stand on.
pub mod fetch;
pub mod jose;
pub mod spiffe;
pub mod store;
pub mod trust;

pub mod bounded_file;
pub mod clock;
pub mod name;
pub mod secret;
pub mod telemetry;

// What people and machines see.
pub mod cli;
pub mod config;
pub mod http;

pub mod manual;

#[cfg(feature = "dev")]
pub mod sim;

#[cfg(test)]
mod mutated;
