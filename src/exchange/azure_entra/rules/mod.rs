//! What Entra accepts from a workload identity federation, and how it refuses.
//!
//! Pure functions only: no clock, no network. Each rule carries the mark of its source; what is not confirmed against the
//! live cloud is [`Mark::FromMemory`] and is shown to users as unverified. Never branches on a text of the cloud.

pub mod code;
pub mod limits;
pub mod refusal;
pub mod token;
pub mod trust;

#[cfg(test)]
mod tests;

use std::time::SystemTime;

use crate::exchange::azure_entra::rules::{
    refusal::Refusal,
    token::{Claims, Header, Strictness},
    trust::Application,
};

/// How well a rule is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Microsoft documents it.
    Documented,
    /// Nobody confirmed it against the live cloud: unverified.
    FromMemory,
    /// A user quoted the live cloud's answer in public.
    Observed,
}

impl Mark {
    /// Returns the letter that stands for the mark in the test vectors.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Documented => "D",
            Self::FromMemory => "M",
            Self::Observed => "O",
        }
    }

    /// Tells whether users must be warned that the rule is unverified.
    pub fn is_unverified(self) -> bool {
        match self {
            Self::Documented | Self::Observed => false,
            Self::FromMemory => true,
        }
    }
}

/// Judges an assertion against an application's trust, everything but its signature.
///
/// The order of the checks is unverified: trust comes before lifetime and time, so that nothing is fetched for an issuer
/// that nobody configured.
///
/// # Errors
/// Says with which code Entra refuses.
pub fn judge(
    header: &Header<'_>,
    claims: &Claims,
    application: &Application<'_>,
    strictness: Strictness,
    now: SystemTime,
) -> Result<(), Refusal> {
    token::origin(claims)?;
    trust::evaluate(application, claims).map_err(|mismatch| mismatch.refusal)?;
    token::check(header, claims, strictness, now)
}
