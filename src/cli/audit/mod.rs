//! `cambio audit`: shows the trail, asks it, and verifies it.

pub mod entry;
pub mod filter;
pub mod kept;
pub mod query;
pub mod tail;
pub mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use super::{environment::Environment, exit::Exit, output::Output};

/// Arguments of `cambio audit`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the trail.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Shows the entries that match, the newest hundred unless told otherwise.
    Query(query::Arguments),
    /// Shows the newest entries, and with --follow those that come.
    Tail(tail::Arguments),
    /// Recomputes every chain in the store, read-only, and holds it against a checkpoint.
    Verify(verify::Arguments),
}

/// Shows, asks or verifies the trail.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    let done = match arguments.action {
        Action::Query(arguments) => query::run(&arguments, environment, output).await,
        Action::Tail(arguments) => tail::run(&arguments, environment, output).await,
        Action::Verify(arguments) => verify::run(&arguments, environment, output).await,
    };
    match done {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.report(output).into(),
    }
}

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;
