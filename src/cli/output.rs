//! The one writer of the command line: results on stdout, everything else on stderr.
//!
//! Nothing secret goes through here unless stdout is the sink that was asked for.

use std::{
    fmt::Display,
    io::{self, Write},
};

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For programs.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Where a command writes.
pub struct Output<'a> {
    stdout: &'a mut dyn Write,
    stderr: &'a mut dyn Write,
}

impl std::fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output")
    }
}

impl<'a> Output<'a> {
    /// Writes results to `stdout` and everything else to `stderr`.
    pub fn new(stdout: &'a mut dyn Write, stderr: &'a mut dyn Write) -> Self {
        Self { stdout, stderr }
    }

    /// Writes a result.
    ///
    /// # Errors
    /// Fails where stdout is closed.
    pub fn result(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.stdout, "{text}")?;
        self.stdout.flush()
    }

    /// Writes a note for a person.
    pub fn note(&mut self, text: impl Display) {
        let _closed = writeln!(self.stderr, "{text}");
    }

    /// Writes a failure: the error, its causes, and what to run next.
    pub fn failure(&mut self, error: &anyhow::Error, hints: &[String]) {
        self.note(format_args!("error: {error}"));
        let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
        if !causes.is_empty() {
            self.note("\nCaused by:");
            for cause in causes {
                self.note(format_args!("  {cause}"));
            }
        }
        if !hints.is_empty() {
            self.note("");
        }
        for hint in hints {
            self.note(format_args!("hint: {hint}"));
        }
    }
}
