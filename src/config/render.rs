//! Writes diagnostics for people and for programs.

use std::fmt::{self, Write as _};

use super::diagnostic::{Diagnostic, Excerpt, Place, Severity};

/// Everything that is to be said of a configuration; errors come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(Vec<Diagnostic>);

impl Report {
    /// Returns a report of `diagnostics`.
    pub(super) fn of(diagnostics: Vec<Diagnostic>) -> Self {
        Self(diagnostics)
    }

    /// Returns whether anything stops the start.
    pub fn is_refused(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Returns what is to be said.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0
    }

    /// Writes it for people.
    pub fn text(&self) -> String {
        text(&self.0)
    }

    /// Writes it for programs.
    pub fn json(&self) -> serde_json::Value {
        json(&self.0)
    }
}

/// Writes diagnostics for people: one paragraph each.
pub fn text(diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for (index, diagnostic) in diagnostics.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let _ = writeln!(out, "{diagnostic}"); // Writing to a String does not fail.
    }
    out
}

/// Writes diagnostics for programs: a JSON array.
pub fn json(diagnostics: &[Diagnostic]) -> serde_json::Value {
    diagnostics
        .iter()
        .map(|diagnostic| serde_json::json!(diagnostic))
        .collect()
}

/// Writes which error came first, where, and how many more there are: one line, for the trail.
pub fn first(diagnostics: &[Diagnostic]) -> String {
    let mut errors = diagnostics.iter().filter(|one| one.severity == Severity::Error);
    let Some(first) = errors.next() else {
        return "no reason is known".to_owned();
    };
    let more = match errors.count() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("{} at {}{more}", first.code, first.place)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}[{}]: ", self.code)?;
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        write!(f, "found {}", self.found)?;
        if !self.expected.is_empty() {
            write!(f, ", expected {}", self.expected)?;
        }
        write!(f, "\n  --> {}", self.place)?;
        if let Place::Position { line, excerpt, .. } = &self.place {
            marked_line(f, *line, excerpt)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment { variable } => write!(f, "environment: {variable}"),
            Self::File { file } => write!(f, "{}", file.display()),
            Self::Position {
                file,
                line,
                column,
                excerpt: _,
            } => write!(f, "{}:{line}:{column}", file.display()),
        }
    }
}

fn marked_line(f: &mut fmt::Formatter<'_>, line: usize, excerpt: &Excerpt) -> fmt::Result {
    let gutter = line.to_string().len();
    let Excerpt { text, before, marked } = excerpt;
    write!(f, "\n {:gutter$} |", "")?;
    write!(f, "\n {line} | {text}")?;
    write!(f, "\n {:gutter$} | {:before$}{}", "", "", "^".repeat(*marked))
}
