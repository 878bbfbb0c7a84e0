//! What the network sees.
//!
//! Two public listeners and the admin socket. Nothing is serialised here that an entry of the trail does not cover.

pub mod body;
pub mod client_certificate;
pub mod connection;
pub mod error;
pub mod listener;
pub mod request_refusal;
pub mod router;
pub mod routes;
pub mod source;
pub mod state;
pub mod tls;
