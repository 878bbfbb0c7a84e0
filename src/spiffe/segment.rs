//! One segment of a SPIFFE ID's path, and the attribute values that may become one.
//!
//! It must never rewrite a value: two values must not become one segment (T-09).

use crate::jose::excerpt;

/// The longest attribute value (LIMITS; T-07).
pub const MAX_TEMPLATE_VALUE_BYTES: usize = 255;

/// Tells whether `value` may stand in a template of a SPIFFE ID.
pub fn is_template_value(value: &str) -> bool {
    refuse_template_value(value).is_ok()
}

/// Refuses an attribute value that may not stand in a template of a SPIFFE ID.
///
/// # Errors
/// Refuses what is empty, `.`, `..`, longer than [`MAX_TEMPLATE_VALUE_BYTES`], or holds other characters than
/// `[A-Za-z0-9._-]`.
pub fn refuse_template_value(value: &str) -> Result<(), SegmentRefused> {
    if value.len() > MAX_TEMPLATE_VALUE_BYTES {
        return Err(SegmentRefused::TooLong { found: value.len() });
    }
    refuse_segment(value)
}

/// Refuses what is no segment of a path.
pub(super) fn refuse_segment(segment: &str) -> Result<(), SegmentRefused> {
    if segment.is_empty() {
        return Err(SegmentRefused::Empty);
    }
    if segment == "." || segment == ".." {
        return Err(SegmentRefused::Relative {
            found: segment.to_owned(),
        });
    }
    match segment.chars().find(|character| !is_segment_character(*character)) {
        None => Ok(()),
        Some(character) => Err(SegmentRefused::Character {
            found: excerpt(character.encode_utf8(&mut [0; 4])),
            segment: excerpt(segment),
        }),
    }
}

/// Why a segment was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentRefused {
    /// A character is outside the set of SPIFFE-ID section 2.2.
    #[error("found `{found}` in `{segment}`, expected only letters, digits, `.`, `-` and `_`")]
    Character {
        /// The character, escaped.
        found: String,
        /// Where it stands, shortened and escaped.
        segment: String,
    },
    /// The segment is empty: `//`, or a trailing `/`.
    #[error("found an empty segment, expected at least one character")]
    Empty,
    /// The segment is `.` or `..`.
    #[error("found `{found}`, expected a segment that is not relative")]
    Relative {
        /// The segment.
        found: String,
    },
    /// The value is longer than the limit.
    #[error("found {found} bytes, expected at most {MAX_TEMPLATE_VALUE_BYTES}")]
    TooLong {
        /// The length.
        found: usize,
    },
}

fn is_segment_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spiffe_id_12_takes_exactly_the_segment_characters_of_all_256_code_points() {
        for code in 0..=255_u8 {
            let character = char::from(code);
            let expected = character.is_ascii_alphanumeric() || ".-_".contains(character);
            assert_eq!(is_template_value(&format!("a{character}b")), expected, "{code}");
        }
    }

    #[test]
    fn t_09_refuses_values_that_would_leave_their_segment() {
        for value in [
            "",
            ".",
            "..",
            "a/b",
            "/",
            "%2e%2e",
            "%2F",
            "a\u{2215}b",
            "a/",
            "*",
            "a+b",
            "a,b",
            "a\0",
            "é",
            "a b",
        ] {
            assert!(!is_template_value(value), "{value:?}");
        }
        for value in ["...", ".a", "..a", "a", "A-_.9"] {
            assert!(is_template_value(value), "{value:?}");
        }
    }

    #[test]
    fn t_07_takes_255_bytes_and_refuses_256() {
        assert!(is_template_value(&"a".repeat(255)));
        assert_eq!(
            refuse_template_value(&"a".repeat(256)),
            Err(SegmentRefused::TooLong { found: 256 })
        );
    }

    #[test]
    fn t_13_shows_what_was_found_escaped() {
        let refused = refuse_template_value("a\nb").unwrap_err();

        assert_eq!(
            refused.to_string(),
            "found `\\u{a}` in `a\\u{a}b`, expected only letters, digits, `.`, `-` and `_`"
        );
    }
}
