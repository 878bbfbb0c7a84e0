//! One file a path.

pub mod admin;
pub mod exchange;
pub mod metadata;
pub mod openapi;
pub mod token;
