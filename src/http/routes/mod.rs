//! One file a path.

pub mod admin;
pub mod bound_keys;
pub mod challenge;
pub mod exchange;
mod join_tokens;
mod keys;
mod machines;
pub mod metadata;
pub mod openapi;
mod outside_root;
pub mod revocations;
pub mod svid_x509;
pub mod token;
pub mod whoami;
