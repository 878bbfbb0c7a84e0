//! How a command ends that did not do what it was asked: why, what to run next, and the exit code.
//!
//! Never shows a control character that somebody else wrote: a terminal would obey it.

use std::fmt::Display;

use super::{exit::Exit, output::Output};

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    error: anyhow::Error,
    hints: Vec<String>,
    code: Option<String>,
    exit: Exit,
}

impl Failure {
    /// Takes why it failed and how the command ends.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            error: error.into(),
            hints: Vec::new(),
            code: None,
            exit,
        }
    }

    /// Takes a sentence instead of an error.
    pub fn saying(exit: Exit, sentence: impl Display) -> Self {
        Self::new(exit, anyhow::anyhow!("{sentence}"))
    }

    /// Says what was being done.
    #[must_use]
    pub fn context(self, doing: impl Display + Send + Sync + 'static) -> Self {
        Self {
            error: self.error.context(doing),
            ..self
        }
    }

    /// Says what to do about it, and nothing else.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hints: vec![hint.into()],
            ..self
        }
    }

    /// Says what to do about it, before what else there is to do.
    #[must_use]
    pub fn hint_first(mut self, hint: impl Into<String>) -> Self {
        self.hints.insert(0, hint.into());
        self
    }

    /// Names the stable code of the refusal that it is.
    #[must_use]
    pub fn of_code(self, code: &str) -> Self {
        Self {
            code: Some(code.to_owned()),
            ..self
        }
    }

    /// Returns the stable code of the refusal that it is.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Ends with another exit code.
    #[must_use]
    pub fn exiting(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// Returns how the command ends.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Writes it to stderr and returns how the command ends.
    pub fn report(&self, output: &mut Output<'_>) -> Exit {
        output.failure(&self.error, &self.hints);
        self.exit
    }
}

/// Says what was being done and why it failed, in one line.
impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Anything that has no exit code of its own is 1.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Failed, error)
    }
}

/// Nobody reads stdout any more.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Failed, anyhow::Error::new(error).context("stdout is closed"))
    }
}

/// Returns `text` fit for a terminal: one line, no control or direction characters, at most 1,024 characters.
pub fn plain(text: &str) -> String {
    text.chars()
        .take(MAX_CHARACTERS)
        .map(|character| if is_plain(character) { character } else { '?' })
        .collect()
}

fn is_plain(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !character.is_control() && !turns && !matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Twice what a field of the trail holds (LIMITS.md).
const MAX_CHARACTERS: usize = 1024;

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_failure_shows_its_causes_and_one_hint() {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let failure = Failure::new(Exit::Denied, anyhow!("inner").context("outer")).hint("run this");

        let exit = failure.report(&mut Output::new(&mut stdout, &mut stderr));

        assert_eq!(exit, Exit::Denied);
        assert!(stdout.is_empty());
        insta::assert_snapshot!(String::from_utf8(stderr).unwrap(), @r"
        error: outer

        Caused by:
          inner

        hint: run this
        ");
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_shown() {
        assert_eq!(plain("a\u{1b}[2J\r\nb\u{202e}c"), "a?[2J??b?c");
        assert_eq!(plain(&"x".repeat(1024)).len(), 1024);
        assert_eq!(plain(&"x".repeat(1025)).len(), 1024);
    }
}
