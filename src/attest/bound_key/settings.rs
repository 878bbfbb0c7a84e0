//! The attestor's table of the configuration.
//!
//! It must never let a key stand for ever.

use std::time::Duration;

use serde::Deserialize;

use crate::attest::{
    Misconfigured,
    joining::MachineAttributes,
    span::{self, Span, bounded},
    table,
};

/// The table, without `name` and `kind`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    session_max: Option<Span>,
    max_key_age: Option<Span>,
    #[serde(default)]
    labels: Vec<String>,
}

/// A table that was checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) session_max: Duration,
    pub(super) max_key_age: Duration,
    pub(super) attributes: MachineAttributes,
}

impl Settings {
    /// Reads the table.
    pub(super) fn parse(table: toml::Table) -> Result<Self, Misconfigured> {
        table::read(table)
    }

    /// Checks the table.
    pub(super) fn check(self) -> Result<Checked, Misconfigured> {
        Ok(Checked {
            session_max: span::session(self.session_max)?,
            max_key_age: bounded("max_key_age", self.max_key_age, MAX_KEY_AGE)?.unwrap_or(DEFAULT_KEY_AGE),
            attributes: MachineAttributes::new(MACHINE, LABEL, &self.labels)?.with(&[KEY, REGISTRATION]),
        })
    }
}

// No name is a dotted-path prefix of another.
pub(super) const KEY: &str = "bound_key.key";
const LABEL: &str = "bound_key.label.";
const MACHINE: &str = "bound_key.machine";
pub(super) const REGISTRATION: &str = "bound_key.registration";

/// As long as our own signing keys live (LIMITS.md, key life).
const DEFAULT_KEY_AGE: Duration = Duration::from_hours(24 * 30);
/// A machine that is off for longer joins anew.
const MAX_KEY_AGE: Duration = Duration::from_hours(24 * 365);
