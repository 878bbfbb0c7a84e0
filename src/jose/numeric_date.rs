//! The `NumericDate` of RFC 7519: seconds since 1970.
//!
//! It must never read a date of the wrong type as an absent one, and never panic.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Number, Value};

use super::strict_json::type_name;

/// A moment in whole seconds since 1970; a fraction was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NumericDate(u64);

impl NumericDate {
    /// Returns the seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// Returns the moment.
    pub fn moment(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0)
    }

    /// Reads a JSON number.
    ///
    /// A fraction is rounded down: an `exp` ends no later than it says.
    ///
    /// # Errors
    /// Refuses every other type, negative numbers, and what lies past the year 9999.
    pub fn from_value(value: &Value) -> Result<Self, NumericDateRefused> {
        let Value::Number(number) = value else {
            return Err(NumericDateRefused::Type {
                found: type_name(value),
            });
        };
        whole_seconds(number)
            .filter(|seconds| *seconds <= MAX_SECONDS)
            .map(Self)
            .ok_or_else(|| NumericDateRefused::Range {
                found: number.to_string(),
            })
    }
}

/// Why a date was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumericDateRefused {
    /// The number is negative or too large.
    #[error("found {found}, expected seconds from 0 to {MAX_SECONDS}")]
    Range {
        /// The number as it was written.
        found: String,
    },
    /// The value is no number.
    #[error("found {found}, expected a number of seconds")]
    Type {
        /// The JSON type.
        found: &'static str,
    },
}

fn whole_seconds(number: &Number) -> Option<u64> {
    if let Some(seconds) = number.as_u64() {
        return Some(seconds);
    }
    let seconds = number.as_f64()?;
    // Refuses also what is not finite; -0.0 is 0.
    if !(0.0..=MAX_SECONDS_F64).contains(&seconds) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 0..=MAX_SECONDS, and rounding down is what is wanted"
    )]
    Some(seconds as u64)
}

// 9999-12-31T23:59:59Z, the last moment that RFC 3339 can write.
const MAX_SECONDS: u64 = 253_402_300_799;
const MAX_SECONDS_F64: f64 = 253_402_300_799.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<u64, NumericDateRefused> {
        NumericDate::from_value(&serde_json::from_str(text).unwrap()).map(NumericDate::seconds)
    }

    #[test]
    fn jwt_5_reads_whole_and_fractional_seconds_rounding_down() {
        assert_eq!(read("1300819380"), Ok(1_300_819_380));
        assert_eq!(read("1300819380.999"), Ok(1_300_819_380));
        assert_eq!(read("1.30081938e9"), Ok(1_300_819_380));
        assert_eq!(read("0"), Ok(0));
        assert_eq!(read("-0.0"), Ok(0));
    }

    #[test]
    fn jwt_5_reads_the_last_second_of_the_year_9999_and_refuses_the_next() {
        assert_eq!(read("253402300799"), Ok(253_402_300_799));
        assert!(matches!(read("253402300800"), Err(NumericDateRefused::Range { .. })));
        assert!(matches!(read("253402300800.0"), Err(NumericDateRefused::Range { .. })));
    }

    #[test]
    fn jwt_5_refuses_negative_and_huge_numbers() {
        for text in [
            "-1",
            "-0.5",
            "-1e300",
            "1e300",
            "18446744073709551615",
            "18446744073709551616",
            "9007199254740993",
        ] {
            assert!(matches!(read(text), Err(NumericDateRefused::Range { .. })), "{text}");
        }
    }

    #[test]
    fn t_49_refuses_every_other_type() {
        for text in ["null", "true", "\"1300819380\"", "[1300819380]", "{\"a\":1}", "\"\""] {
            assert!(matches!(read(text), Err(NumericDateRefused::Type { .. })), "{text}");
        }
    }

    #[test]
    fn a_moment_is_the_seconds_after_the_epoch() {
        let date = NumericDate::from_value(&Value::from(5)).unwrap();

        assert_eq!(date.moment(), UNIX_EPOCH + Duration::from_secs(5));
    }
}
