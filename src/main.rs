//! The `cambio` program: parse, run the command, map to an exit code.

use std::{
    io::{stderr, stdout},
    process::ExitCode,
    sync::Arc,
};

use cambio::{
    cli::{self, environment::Environment, output::Output},
    clock,
    secret::SystemRandom,
    telemetry,
};
use clap::Parser;

/// An exchange makes some 500 short-lived allocations; glibc's allocator takes longer for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let environment = Environment::new(clock::system(), Arc::new(SystemRandom), variables);
    telemetry::install_log(environment.variable("CAMBIO_LOG"));
    let (mut stdout, mut stderr) = (stdout(), stderr());
    let mut output = Output::new(&mut stdout, &mut stderr);
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::run(arguments, &environment, &mut output)),
        Err(failed) => {
            output.note(format_args!("error: the runtime cannot start: {failed}"));
            ExitCode::FAILURE
        }
    }
}
