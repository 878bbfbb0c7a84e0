//! `cambio serve`: the gateway in production.
//!
//! It never starts on anything that `cambio dev` made, nor beside keys that others already trust as ours.

mod incarnation;
mod known_heads;
mod published;
mod revocation;
mod rotation;
pub mod running;
pub mod sockets;
pub mod store;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;

use super::{
    environment::Environment,
    exit::Exit,
    output::Output,
    signals::{Signal, Signals},
};
use crate::config::{self, Profile, Settings};

/// Arguments of `cambio serve`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration.
    #[arg(long, short, env = "CAMBIO_CONFIG", default_value = "/etc/cambio/cambio.toml")]
    pub config: PathBuf,
    /// Starts on an empty store although the issuer URL already publishes other keys.
    #[arg(long)]
    pub accept_new_issuer_keys: bool,
    /// Starts on a store that lies before the last checkpoint, because it was restored on purpose.
    #[arg(long)]
    pub accept_rollback: bool,
}

/// Runs the gateway until it is told to stop.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    let settings = match load(&arguments.config, environment, output) {
        Ok(settings) => settings,
        Err(exit) => return exit.into(),
    };
    match serve(settings, arguments, environment, output).await {
        Ok(()) => Exit::Done.into(),
        Err(failed) => {
            output.failure(&failed, &[]);
            Exit::Failed.into()
        }
    }
}

fn load(path: &std::path::Path, environment: &Environment, output: &mut Output<'_>) -> Result<Settings, Exit> {
    config::load(path, environment.variables(), Profile::Production).map_err(|diagnostics| {
        output.note(config::render::text(&diagnostics));
        Exit::Configuration
    })
}

async fn serve(
    settings: Settings,
    arguments: Arguments,
    environment: &Environment,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    // Before anything can be seen of us: a signal sent as soon as we look ready must find its listener.
    let mut signals = Signals::new()?;
    let sockets = sockets::Sockets::bind(&settings).context("a listener cannot be opened")?;
    let options = running::Options {
        profile: Profile::Production,
        accept_new_issuer_keys: arguments.accept_new_issuer_keys,
        accept_rollback: arguments.accept_rollback,
    };
    for warning in &settings.warnings {
        output.note(config::render::text(std::slice::from_ref(warning)));
    }
    let issuer = settings.issuer.clone();
    let running = tokio::select! {
        started = running::Running::start(settings, sockets, environment, options) => started?,
        () = signals.stop() => {
            output.note("told to stop before it served");
            return Ok(());
        }
    };
    output.note(format_args!("cambio serves {issuer}"));
    while signals.next().await == Signal::Reload {
        let loaded = config::load(&arguments.config, environment.variables(), Profile::Production);
        running.reload(loaded).await;
    }
    running.stop().await;
    Ok(())
}
