//! Lengths of time as they are written in a configuration: `90s`, `10m`, `1h`, `2d`.
//!
//! It must never let one pass that is longer than its bound, or none at all.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

use super::{Misconfigured, table::misconfigured};

/// A length of time in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::attest) struct Span(pub(in crate::attest) Duration);

impl Span {
    /// Reads digits and one unit; `None` for anything else.
    pub(in crate::attest) fn parse(text: &str) -> Option<Self> {
        let unit = text.chars().next_back()?;
        let digits = text.strip_suffix(unit)?;
        let seconds: u64 = match unit {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _other => return None,
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let count: u64 = digits.parse().ok()?;
        Some(Self(Duration::from_secs(count.checked_mul(seconds)?)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "found `{text}`, expected digits and a unit, such as `90s`, `10m`, `1h`"
            ))
        })
    }
}

/// Refuses nothing, and more than `max`, at `key`.
pub(in crate::attest) fn bounded(
    key: &str,
    span: Option<Span>,
    max: Duration,
) -> Result<Option<Duration>, Misconfigured> {
    let Some(Span(span)) = span else {
        return Ok(None);
    };
    if span.is_zero() || span > max {
        let problem = format!("found {} s, expected 1 to {} s", span.as_secs(), max.as_secs());
        return Err(misconfigured("config.duration_range", key, problem));
    }
    Ok(Some(span))
}

/// Reads `session_max`, how long an attestation stands.
pub(in crate::attest) fn session(span: Option<Span>) -> Result<Duration, Misconfigured> {
    Ok(bounded("session_max", span, MAX_SESSION)?.unwrap_or(DEFAULT_SESSION))
}

// LIMITS.md, attestation standing.
const DEFAULT_SESSION: Duration = Duration::from_hours(1);
const MAX_SESSION: Duration = Duration::from_hours(12);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_unit_and_refuses_the_rest() {
        assert_eq!(Span::parse("90s"), Some(Span(Duration::from_secs(90))));
        assert_eq!(Span::parse("10m"), Some(Span(Duration::from_mins(10))));
        assert_eq!(Span::parse("12h"), Some(Span(Duration::from_hours(12))));
        assert_eq!(Span::parse("2d"), Some(Span(Duration::from_hours(48))));
        for text in [
            "",
            "h",
            "1",
            "1 h",
            "-1h",
            "+1h",
            "1.5h",
            "1H",
            "1h30m",
            "99999999999999999999d",
            "300000000000000000d",
            "1é",
        ] {
            assert_eq!(Span::parse(text), None, "{text:?}");
        }
    }
}
