//! `cambio version`: the version and what is compiled in.

use std::process::ExitCode;

use serde_json::json;

use super::{
    exit::Exit,
    output::{Format, Output},
};
use crate::{attest, exchange};

/// Arguments of `cambio version`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

/// Prints the version.
pub fn run(arguments: &Arguments, output: &mut Output<'_>) -> ExitCode {
    let attestors: Vec<&str> = attest::BUILTINS.iter().map(|builtin| builtin.kind).collect();
    let relying_parties: Vec<&str> = exchange::BUILTINS.iter().map(|builtin| builtin.kind).collect();
    let version = env!("CARGO_PKG_VERSION");
    let written = match arguments.output {
        Format::Json => output.result(json!({
            "version": version,
            "attestors": attestors,
            "relying_parties": relying_parties,
            "dev": cfg!(feature = "dev"),
        })),
        Format::Text => output.result(format_args!(
            "cambio {version}\nattestors: {}\nrelying parties: {}",
            attestors.join(", "),
            relying_parties.join(", ")
        )),
    };
    match written {
        Ok(()) => Exit::Done.into(),
        Err(_closed) => Exit::Failed.into(),
    }
}
