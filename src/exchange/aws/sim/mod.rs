//! What the simulated services of AWS share: signatures, forms, XML, and credentials as they were issued.
//!
//! Never uses a plugin's `request` and `response`: a wrong rule must not confirm itself.

pub(in crate::exchange) mod credentials;
pub(in crate::exchange) mod form;
pub(in crate::exchange) mod identity;
pub(in crate::exchange) mod sigv4;
pub(in crate::exchange) mod xml;
