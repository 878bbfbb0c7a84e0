//! The tests that see Cambio from outside: one binary, one file a subject.
#![cfg(test)]

mod architecture;
#[cfg(feature = "dev")]
mod conformance;
#[cfg(feature = "dev")]
mod endpoints;
#[cfg(feature = "dev")]
mod exec;
#[cfg(feature = "dev")]
mod invariants;
mod manual;
mod readme;
#[cfg(feature = "dev")]
mod refusals;
mod requirements;
#[cfg(feature = "dev")]
mod secrets;
#[cfg(feature = "dev")]
mod wire;
#[cfg(feature = "dev")]
mod world;
