//! How foreign text is shown in an error: short, and unable to forge a log line.

/// Returns at most [`MAX_CHARACTERS`] of `text`; whatever is neither printable ASCII nor a letter or digit is escaped.
///
/// Escapes control and bidirectional characters, with which a token could reorder or break the line that reports it.
pub(crate) fn excerpt(text: &str) -> String {
    let mut shown = String::new();
    for (position, character) in text.chars().enumerate() {
        if position == MAX_CHARACTERS {
            shown.push('…');
            break;
        }
        if character == ' ' || character.is_ascii_graphic() || character.is_alphanumeric() {
            shown.push(character);
        } else {
            shown.extend(character.escape_unicode());
        }
    }
    shown
}

// Escaped at ten characters each this stays below the 512 bytes of an audit field.
const MAX_CHARACTERS: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_13_shows_control_and_bidi_characters_escaped() {
        assert_eq!(
            excerpt("a\r\nadmin\u{202e}\u{200b}\0"),
            "a\\u{d}\\u{a}admin\\u{202e}\\u{200b}\\u{0}"
        );
    }

    #[test]
    fn shows_48_characters_whole_and_cuts_the_49th() {
        assert_eq!(excerpt(&"x".repeat(48)), "x".repeat(48));
        assert_eq!(excerpt(&"x".repeat(49)), format!("{}…", "x".repeat(48)));
    }

    #[test]
    fn stays_below_an_audit_field_at_its_worst() {
        assert!(excerpt(&"\u{10ffff}".repeat(100)).len() <= 512);
    }
}
