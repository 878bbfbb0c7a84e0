//! The attestor's table of the configuration.
//!
//! It must never let an attestation stand for longer than half a day.

use std::time::Duration;

use serde::Deserialize;

use crate::attest::{
    Misconfigured,
    joining::MachineAttributes,
    span::{self, Span},
    table,
};

/// The table, without `name` and `kind`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    session_max: Option<Span>,
    #[serde(default)]
    labels: Vec<String>,
}

/// A table that was checked.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) session_max: Duration,
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
            attributes: MachineAttributes::new(MACHINE, LABEL, &self.labels)?,
        })
    }
}

// No name is a dotted-path prefix of another.
const MACHINE: &str = "join.machine";
const LABEL: &str = "join.label.";
