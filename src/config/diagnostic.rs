//! What is wrong with a configuration, and where.
//!
//! A diagnostic never holds the value of a key that bears a secret, nor of a key that we do not know.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use super::path::KeyPath;
use crate::attest::Misconfigured;

/// One problem of the configuration, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether it stops the start.
    pub severity: Severity,
    /// The stable code, for example `config.unknown_key`.
    pub code: &'static str,
    /// The key it is about; empty for the file itself.
    pub key: String,
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Whether a problem stops the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is taken; somebody should look.
    Warning,
}

/// Where a problem stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// In a variable of the environment.
    Environment {
        /// The variable.
        variable: String,
    },
    /// The file as a whole.
    File {
        /// The file.
        file: PathBuf,
    },
    /// At a position of the file.
    Position {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column in characters, counted from 1.
        column: usize,
        /// The line itself.
        #[serde(skip)]
        excerpt: Excerpt,
    },
}

/// A line of the file, fit to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line without what bears a secret.
    pub text: String,
    /// Characters before the marked part.
    pub before: usize,
    /// Characters of the marked part, at least 1.
    pub marked: usize,
}

/// A problem whose place is known as a key only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    pub(super) path: KeyPath,
    pub(super) part: Part,
    pub(super) fault: Fault,
}

/// Which part of a member a problem points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// What is wrong with one value, wherever it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) found: String,
    pub(super) expected: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    /// Returns a fault with both sides.
    pub(super) fn new(code: &'static str, found: impl fmt::Display, expected: impl Into<String>) -> Self {
        Self {
            code,
            found: shown(&found.to_string()),
            expected: harmless(&expected.into()),
            hint: None,
        }
    }

    /// Returns the fault of a value that cannot be read as what its key wants.
    pub(super) fn value(found: &str, expected: impl Into<String>) -> Self {
        Self::new("config.value_invalid", format_args!("`{found}`"), expected)
    }

    /// Returns what a plugin found wrong with its table; it says both sides in its own words.
    pub(super) fn of_plugin(why: &Misconfigured) -> Self {
        Self::in_words(why.code, &why.problem)
    }

    /// Returns a fault that says both sides in words of its own: `found .., expected ..`.
    pub(super) fn in_words(code: &'static str, text: impl fmt::Display) -> Self {
        let text = text.to_string();
        let text = text.strip_prefix("found ").unwrap_or(&text);
        // The last of them: a value that was found may hold the same words.
        let (found, expected) = text.rsplit_once(", expected ").unwrap_or((text, ""));
        Self::new(code, found, expected)
    }

    /// Adds what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(harmless(&hint.into()));
        self
    }
}

/// Collects problems until all are known.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a fault of the value at `path`.
    pub(super) fn refuse(&mut self, path: &KeyPath, fault: Fault) {
        self.add(Severity::Error, Part::Value, path, fault);
    }

    /// Adds a fault of the key at `path`.
    pub(super) fn refuse_key(&mut self, path: &KeyPath, fault: Fault) {
        self.add(Severity::Error, Part::Key, path, fault);
    }

    /// Adds what does not stop the start.
    pub(super) fn warn(&mut self, path: &KeyPath, fault: Fault) {
        self.add(Severity::Warning, Part::Value, path, fault);
    }

    /// Returns what was made, or keeps why it was not.
    pub(super) fn take<T>(&mut self, path: &KeyPath, made: Result<T, Fault>) -> Option<T> {
        match made {
            Ok(made) => Some(made),
            Err(fault) => {
                self.refuse(path, fault);
                None
            }
        }
    }

    /// Tells whether anything stops the start.
    pub(super) fn any_refused(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Returns all of them.
    pub(super) fn into_list(self) -> Vec<Problem> {
        self.0
    }

    fn add(&mut self, severity: Severity, part: Part, path: &KeyPath, fault: Fault) {
        self.0.push(Problem {
            severity,
            path: path.clone(),
            part,
            fault,
        });
    }
}

/// Returns text fit for a terminal: short, without control or bidirectional characters.
pub(super) fn shown(text: &str) -> String {
    let text = &harmless(text);
    let mut out: String = text.chars().take(MAX_SHOWN).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        out.push('…');
    }
    out
}

/// Returns text of any length without control or bidirectional characters, and without passwords.
fn harmless(text: &str) -> String {
    without_passwords(text).chars().map(visible).collect()
}

/// Replaces what stands before the `@` of a URL, which may be a password.
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        out.push_str("://");
        let end = rest.find(['/', '?', '#', '`', '"', ' ']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        match authority.rsplit_once('@') {
            Some((_, host)) => out.extend(["[redacted]@", host]),
            None => out.push_str(authority),
        }
        out.push_str(path);
    }
    out
}

/// Replaces what would move the cursor or turn the text around (as the trail does, TM-36).
pub(super) fn visible(character: char) -> char {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match character {
        '\t' => ' ',
        hidden if turns || hidden.is_control() => '\u{fffd}',
        plain => plain,
    }
}

/// Longer values are cut: the place is told, and the file has the rest.
const MAX_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_password_of_a_url() {
        assert_eq!(shown("`https://u:p@host/a@b` x"), "`https://[redacted]@host/a@b` x");
        assert_eq!(shown("https://host:1"), "https://host:1");
        assert_eq!(shown("a://u:p@x b://v:q@y"), "a://[redacted]@x b://[redacted]@y");
    }

    #[test]
    fn shows_200_characters_and_not_201() {
        assert_eq!(shown(&"a".repeat(200)).chars().count(), 200);
        assert_eq!(shown(&"a".repeat(201)), format!("{}…", "a".repeat(200)));
    }

    #[test]
    fn tm_36_neither_side_and_no_hint_moves_the_cursor() {
        let fault = Fault::new("config.x", "a\u{1b}[2K", "outside `b\u{202e}`").hint("run: chmod 0600 c\u{7}");

        assert_eq!(fault.found, "a\u{fffd}[2K");
        assert_eq!(fault.expected, "outside `b\u{fffd}`");
        assert_eq!(fault.hint.as_deref(), Some("run: chmod 0600 c\u{fffd}"));
    }

    #[test]
    fn a_value_with_words_of_ours_stays_on_its_side() {
        let fault = Fault::in_words("config.x", "found `a, expected \u{1b}`, expected `b`");

        assert_eq!(
            (fault.found.as_str(), fault.expected.as_str()),
            ("`a, expected \u{fffd}`", "`b`")
        );
    }

    #[test]
    fn keeps_both_sides_of_a_plugins_words() {
        let fault = Fault::in_words("config.x", "found `a`, expected `b`");

        assert_eq!((fault.found.as_str(), fault.expected.as_str()), ("`a`", "`b`"));
    }
}
