//! How much of us one caller can have.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

/// `[limits]` as it is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    /// Requests of one source address.
    #[serde(default)]
    per_source: RawRate<50, 200>,
    /// Requests of one attested workload.
    #[serde(default)]
    per_workload: RawRate<20, 60>,
    /// Requests at one time; the next is answered 503 with Retry-After.
    #[serde(default)]
    #[schemars(with = "u32", range(min = 1, max = 65_536), extend("default" = 1_024))]
    in_flight: Option<NonZeroU32>,
}

/// A rate as it is written, with its defaults.
///
/// The maxima are no one's rule: a process that is asked to take more is not limited any more.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawRate<const RATE: u32, const BURST: u32> {
    /// Requests per second, on average.
    #[serde(default)]
    #[schemars(with = "u32", range(min = 1, max = 10_000), extend("default" = RATE))]
    rate: Option<NonZeroU32>,
    /// Requests at once.
    #[serde(default)]
    #[schemars(with = "u32", range(min = 1, max = 100_000), extend("default" = BURST))]
    burst: Option<NonZeroU32>,
}

/// How much of us one caller can have; defaults are those of the manual's page on limits (TM-43).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one source address: 50 a second, 200 at once.
    pub per_source: Rate,
    /// For one attested workload: 20 a second, 60 at once.
    pub per_workload: Rate,
    /// Requests at one time: 1,024.
    pub in_flight: NonZeroU32,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests per second, on average.
    pub per_second: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
}

impl<const RATE: u32, const BURST: u32> RawRate<RATE, BURST> {
    fn read(self) -> Rate {
        Rate {
            per_second: self.rate.unwrap_or(or_one(RATE)),
            burst: self.burst.unwrap_or(or_one(BURST)),
        }
    }
}

/// Reads `[limits]`; the schema has refused what lies outside.
pub(super) fn read(raw: RawLimits) -> Limits {
    Limits {
        per_source: raw.per_source.read(),
        per_workload: raw.per_workload.read(),
        in_flight: raw.in_flight.unwrap_or(or_one(1_024)),
    }
}

const fn or_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

#[cfg(test)]
mod tests;
