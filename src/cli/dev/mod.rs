//! `cambio dev`: the whole of Cambio on one machine, with simulated clouds.
//!
//! Loopback only, under a throw-away CA, in a trust domain that no cloud will ever believe.

mod demonstration;
pub mod development;
pub mod place;
mod ready;

use std::{path::PathBuf, process::ExitCode};

use self::{
    development::{Development, Unready},
    place::Place,
    ready::ReadyFile,
};
use super::{
    environment::Environment,
    exit::Exit,
    output::Output,
    signals::{Signal, Signals},
};
use crate::config;

/// Arguments of `cambio dev`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Writes what runs where to this file, as JSON, once everything is ready.
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
    /// Keeps keys, store and configuration here instead of in a temporary directory.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
}

/// Runs a development world until it is interrupted.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    match develop(arguments, environment, output).await {
        Ok(exit) => exit.into(),
        Err(failed) => {
            output.failure(&failed, &[]);
            Exit::Failed.into()
        }
    }
}

async fn develop(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> anyhow::Result<Exit> {
    let ready = arguments.ready_file.as_deref().map(ReadyFile::claim).transpose()?;
    let place = Place::open(arguments.data_dir, &*environment.random)?;
    let ended = lived(&place, ready.as_ref(), environment, output).await;
    place.close();
    ended
}

async fn lived(
    place: &Place,
    ready: Option<&ReadyFile<'_>>,
    environment: &Environment,
    output: &mut Output<'_>,
) -> anyhow::Result<Exit> {
    let mut signals = Signals::new()?;
    let development = match Development::start(place, environment).await {
        Ok(development) => development,
        Err(Unready::Configuration(diagnostics)) => {
            output.note(config::render::text(&diagnostics));
            return Ok(Exit::Configuration);
        }
        Err(Unready::Other(failed)) => return Err(failed),
    };
    let shown = shown(&development, ready, output).await;
    if shown.is_ok() {
        output.note("serving until interrupted (Ctrl-C)");
        while signals.next().await == Signal::Reload {
            development.reload().await;
        }
    }
    if let Some(ready) = ready {
        ready.remove(&development);
    }
    development.stop().await;
    shown.map(|()| Exit::Done)
}

/// Says what happened and where everything is.
async fn shown(
    development: &Development,
    ready: Option<&ReadyFile<'_>>,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let told = demonstration::run(development).await?;
    output.result(&told)?;
    ready.map_or(Ok(()), |ready| ready.write(development))
}
