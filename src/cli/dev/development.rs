//! A development world with its gateway, for `cambio dev` and for the tests.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;

use super::place::Place;
use crate::{
    attest,
    cli::{
        environment::Environment,
        serve::{
            running::{Options, Running},
            sockets::Sockets,
        },
    },
    config::{self, Profile},
    http::listener::Stop,
    sim::{
        SeedPlatforms, server,
        world::{self, GatewayPlace, Plan, World},
    },
};

/// A running development world with its gateway.
#[derive(Debug)]
pub struct Development {
    /// The simulated clouds and the CI issuer.
    pub world: World,
    /// Its directory.
    pub place: Place,
    /// The issuer URL, which is the metadata listener's.
    pub issuer: String,
    /// The exchange listener's URL.
    pub exchange_url: String,
    /// The gateway.
    pub running: Running,
    stop: watch::Sender<bool>,
}

/// Why a development world did not start.
#[derive(Debug)]
pub enum Unready {
    /// The configuration that was written for it.
    Configuration(Vec<config::Diagnostic>),
    /// Anything else.
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Unready {
    fn from(failed: E) -> Self {
        Self::Other(failed.into())
    }
}

impl Development {
    /// Starts a world in `place` with the development configuration and every platform that can be simulated.
    ///
    /// # Errors
    /// Fails where a port, a file or a key cannot be had.
    pub async fn start(place: &Place, environment: &Environment) -> Result<Self, Unready> {
        let platforms = attest::BUILTINS.iter().filter_map(|builtin| builtin.sim).collect();
        Self::start_on(place, environment, platforms, |configuration| configuration).await
    }

    /// Starts a world whose only platform is GitHub, and whose configuration `change` has changed.
    ///
    /// # Errors
    /// Fails where a port, a file or a key cannot be had, and on a configuration that does not load.
    pub async fn start_with(
        place: &Place,
        environment: &Environment,
        change: impl FnOnce(String) -> String,
    ) -> Result<Self, Unready> {
        Self::start_on(place, environment, Vec::new(), change).await
    }

    async fn start_on(
        place: &Place,
        environment: &Environment,
        platforms: Vec<SeedPlatforms>,
        change: impl FnOnce(String) -> String,
    ) -> Result<Self, Unready> {
        let (stop, stopped) = Stop::switch();
        let (metadata, issuer) = server::bind()?;
        let (exchange, exchange_url) = server::bind()?;
        let plan = Plan {
            directory: place.root().to_owned(),
            issuer: issuer.clone(),
            clock: Arc::clone(&environment.clock),
            random: Arc::clone(&environment.random),
            stop: stopped,
            platforms,
        };
        let world = World::start(plan)
            .await
            .map_err(|failed| anyhow::anyhow!(failed))
            .context("a simulated cloud does not start")?;
        let gateway = GatewayPlace {
            issuer: &issuer,
            exchange_url: &exchange_url,
            admin: &place.admin(),
            store: &place.store(),
            kek: &place.kek(),
            audit: &place.audit(),
        };
        std::fs::write(place.configuration(), change(world::configuration(&world, &gateway)?))?;
        let settings = config::load(&place.configuration(), std::iter::empty(), Profile::Development)
            .map_err(Unready::Configuration)?;
        let options = Options {
            profile: Profile::Development,
            accept_new_issuer_keys: true,
            accept_rollback: false,
        };
        let running = Running::start(settings, Sockets { metadata, exchange }, environment, options).await?;
        world
            .tell_roots(&issuer)
            .await
            .map_err(|failed| anyhow::anyhow!(failed))
            .context("a simulated cloud does not take the X.509 roots")?;
        Ok(Self {
            world,
            place: place.clone(),
            issuer,
            exchange_url,
            running,
            stop,
        })
    }

    /// Reads the configuration again.
    pub async fn reload(&self) {
        let loaded = config::load(&self.place.configuration(), std::iter::empty(), Profile::Development);
        self.running.reload(loaded).await;
    }

    /// Stops the gateway in order, then the world.
    pub async fn stop(self) {
        self.running.stop().await;
        self.stop.send_replace(true);
    }
}
