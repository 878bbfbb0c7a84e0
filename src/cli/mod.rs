//! The command line: one file a subcommand.

pub mod admin_socket;
pub mod answer;
pub mod audit;
pub mod bound_key;
pub mod bundle;
pub mod check;
pub mod client;
pub mod client_certificate;
pub mod completions;
pub mod configuration;
pub mod creds;
pub mod environment;
pub mod evidence;
pub mod exec;
pub mod exit;
pub mod failure;
pub mod join_token;
pub mod keys;
pub mod lock;
pub mod obtain;
pub mod output;
pub mod proof_key;
pub mod revoke;
pub mod schema;
pub mod serve;
pub mod shape;
pub mod signals;
pub mod version;
pub mod whoami;

#[cfg(feature = "dev")]
pub mod dev;
#[cfg(test)]
#[cfg(feature = "dev")]
mod fixture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::{environment::Environment, output::Output};

/// Federation gateway for cross-cloud credential exchange: attest once, get every cloud's native credential.
#[derive(Debug, Parser)]
#[command(
    name = "cambio",
    version,
    about,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows, asks and verifies the audit trail.
    Audit(audit::Arguments),
    /// Registers and replaces this machine's key; lists and removes machines.
    BoundKey(bound_key::Arguments),
    /// Shows, exports, checks and compares SPIFFE bundles.
    Bundle(bundle::Arguments),
    /// Says everything that is wrong with a configuration.
    Check(check::Arguments),
    /// Prints what a shell needs to complete these commands.
    Completions(completions::Arguments),
    /// Prints the credential of a relying party.
    Creds(creds::Arguments),
    /// Runs a gateway and simulated clouds on loopback, exchanges once for each cloud, and serves until interrupted.
    #[cfg(feature = "dev")]
    Dev(dev::Arguments),
    /// Runs a command with the credentials of relying parties in its environment.
    Exec(exec::Arguments),
    /// Makes, lists and removes the tokens by which machines join.
    JoinToken(join_token::Arguments),
    /// Shows the signing keys, replaces them, or drops a compromised one.
    Keys(keys::Arguments),
    /// Locks a workload, an entry, an attestor, a relying party or a run.
    Lock(lock::Arguments),
    /// Ends X.509-SVIDs before their time.
    Revoke(revoke::Arguments),
    /// Prints the JSON schema of the configuration.
    Schema(schema::Arguments),
    /// Runs the gateway.
    Serve(serve::Arguments),
    /// Prints the version and what is compiled in.
    Version(version::Arguments),
    /// Shows what this workload's evidence attests, whom it names, and what that workload may have.
    Whoami(whoami::Arguments),
}

/// Runs one command.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    match arguments.command {
        Command::Audit(arguments) => audit::run(arguments, environment, output).await,
        Command::BoundKey(arguments) => bound_key::run(arguments, environment, output).await,
        Command::Bundle(arguments) => bundle::run(arguments, environment, output).await,
        Command::Check(arguments) => check::run(&arguments, environment, output),
        Command::Completions(arguments) => completions::run(&arguments, output),
        Command::Creds(arguments) => creds::run(arguments, environment, output).await,
        #[cfg(feature = "dev")]
        Command::Dev(arguments) => dev::run(arguments, environment, output).await,
        Command::Exec(arguments) => exec::run(arguments, environment, output).await,
        Command::JoinToken(arguments) => join_token::run(arguments, environment, output).await,
        Command::Keys(arguments) => keys::run(arguments, environment, output).await,
        Command::Lock(arguments) => lock::run(arguments, environment, output).await,
        Command::Revoke(arguments) => revoke::run(arguments, environment, output).await,
        Command::Schema(arguments) => schema::run(&arguments, output),
        Command::Serve(arguments) => serve::run(arguments, environment, output).await,
        Command::Version(arguments) => version::run(&arguments, output),
        Command::Whoami(arguments) => whoami::run(arguments, environment, output).await,
    }
}
