//! `cambio schema`: the JSON schema of the configuration, for editors.

use std::process::ExitCode;

use super::{exit::Exit, failure::Failure, output::Output};
use crate::config::schema::schema;

/// Arguments of `cambio schema`.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Prints the schema.
pub fn run(_arguments: &Arguments, output: &mut Output<'_>) -> ExitCode {
    let written = output.result(format_args!("{:#}", schema()));
    match written.map_err(Failure::from) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.report(output).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_json_with_every_section() {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());

        run(&Arguments {}, &mut Output::new(&mut stdout, &mut stderr));

        let printed: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
        assert_eq!(printed, schema());
        assert!(printed["properties"]["attestor"].is_object() && stderr.is_empty());
    }
}
