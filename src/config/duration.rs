//! Spans of time as people write them: `90s`, `20m`, `1h`, `1h30m`, `7d`.

use std::time::Duration;

use super::diagnostic::Fault;

/// Reads a span of time between `minimum` and `maximum`.
///
/// # Errors
/// Refuses another form, a unit twice or out of order, and what lies outside.
pub(super) fn parse(text: &str, minimum: Duration, maximum: Duration) -> Result<Duration, Fault> {
    let found =
        parts(text).ok_or_else(|| Fault::value(text, "a duration such as \"90s\", \"20m\", \"1h30m\" or \"7d\""))?;
    if (minimum..=maximum).contains(&found) {
        Ok(found)
    } else {
        let expected = format!("{} to {}", written(minimum), written(maximum));
        Err(Fault::new("config.out_of_range", format_args!("`{text}`"), expected))
    }
}

/// Writes a span of time as [`parse`] reads it.
pub(super) fn written(span: Duration) -> String {
    let mut rest = span.as_secs();
    let mut out = String::new();
    for (unit, seconds) in UNITS {
        let count = rest / seconds;
        rest %= seconds;
        if count > 0 {
            out.push_str(&count.to_string());
            out.push(unit);
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

fn parts(text: &str) -> Option<Duration> {
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    let mut smallest = u64::MAX;
    for character in text.chars() {
        if let Some(digit) = character.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit))?);
        } else {
            let (_, seconds) = UNITS.into_iter().find(|(unit, _)| *unit == character)?;
            if seconds >= smallest {
                return None;
            }
            smallest = seconds;
            total = total.checked_add(number.take()?.checked_mul(seconds)?)?;
        }
    }
    (number.is_none() && smallest < u64::MAX).then(|| Duration::from_secs(total))
}

/// Seconds of each unit, the largest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn read(text: &str) -> Option<u64> {
        parse(text, Duration::ZERO, DAY * 366).ok().map(|span| span.as_secs())
    }

    #[test]
    fn reads_each_unit_and_their_sum() {
        assert_eq!(read("90s"), Some(90));
        assert_eq!(read("20m"), Some(1_200));
        assert_eq!(read("1h"), Some(3_600));
        assert_eq!(read("7d"), Some(604_800));
        assert_eq!(read("1h30m"), Some(5_400));
    }

    #[test]
    fn refuses_what_is_not_a_duration() {
        for text in [
            "",
            "1",
            "h",
            "1 h",
            "-1h",
            "1.5h",
            "1m1h",
            "1h1h",
            "1H",
            "1w",
            "1h5",
            "99999999999999999999s",
            "٣s",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn takes_the_maximum_and_refuses_one_second_more() {
        let hour = Duration::from_hours(1);

        assert_eq!(parse("1h", hour, hour), Ok(hour));
        assert_eq!(parse("59m59s", hour, hour).unwrap_err().code, "config.out_of_range");
        let fault = parse("1h1s", hour, hour).unwrap_err();
        assert_eq!(
            (fault.code, fault.expected.as_str()),
            ("config.out_of_range", "1h to 1h")
        );
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(seconds in 0_u64..31_000_000) {
            prop_assert_eq!(read(&written(Duration::from_secs(seconds))), Some(seconds));
        }
    }
}
