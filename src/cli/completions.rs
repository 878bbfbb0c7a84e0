//! `cambio completions`: what a shell needs to complete our commands.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{exit::Exit, failure::Failure, output::Output};

/// Arguments of `cambio completions`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the completions.
pub fn run(arguments: &Arguments, output: &mut Output<'_>) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "cambio", &mut script);
    let written = output.result(String::from_utf8_lossy(&script).trim_end());
    match written.map_err(Failure::from) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.report(output).into(),
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        super::super::Arguments::command().debug_assert();
    }

    #[test]
    fn every_shell_completes_our_commands() {
        for shell in Shell::value_variants() {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());

            run(&Arguments { shell: *shell }, &mut Output::new(&mut stdout, &mut stderr));

            let script = String::from_utf8(stdout).unwrap();
            assert!(script.contains("completions") && script.contains("creds"), "{shell}");
        }
    }
}
