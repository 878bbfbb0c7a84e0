//! What the simulated services of AWS share: signatures, forms, XML, and credentials as they were issued.
//!
//! Never uses a plugin's `request` and `response`: a wrong rule must not confirm itself.

pub(in crate::exchange) mod credentials;
pub(in crate::exchange) mod form;
pub(in crate::exchange) mod identity;
pub(in crate::exchange) mod xml;

use crate::{
    exchange::aws::{Code, Refusal},
    sim::sigv4::SignatureRefused,
};

impl From<SignatureRefused> for Refusal {
    fn from(refused: SignatureRefused) -> Self {
        let code = match refused {
            SignatureRefused::Incomplete(_) => Code::IncompleteSignature,
            SignatureRefused::Mismatch(_) => Code::SignatureDoesNotMatch,
            SignatureRefused::Missing => Code::MissingAuthenticationToken,
        };
        Self::unverified(code, refused.to_string())
    }
}
