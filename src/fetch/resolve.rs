//! How a host's name becomes addresses: asked once, all answers checked, the connection pinned to them.
//!
//! It must never hand the connector an address that was not checked in this very fetch.

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use arc_swap::ArcSwap;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Asks for the addresses of a host.
pub trait Resolver: Send + Sync + fmt::Debug {
    /// Returns all addresses of `host`, unchecked.
    ///
    /// # Errors
    /// Fails where the host has none or nobody answers.
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;
}

/// Asks as the host does: its name service and hosts file.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// The addresses that one origin's connector may use: those that were checked last.
#[derive(Clone, Debug, Default)]
pub(super) struct Pinned(Arc<ArcSwap<Vec<SocketAddr>>>);

impl Pinned {
    /// Pins the connector to `addresses`, which the caller has checked.
    pub(super) fn pin(&self, addresses: Vec<SocketAddr>) {
        self.0.store(Arc::new(addresses));
    }
}

impl Resolve for Pinned {
    fn resolve(&self, _host: Name) -> Resolving {
        let addresses = self.0.load_full();
        Box::pin(async move {
            let addresses: Addrs = Box::new(Arc::unwrap_or_clone(addresses).into_iter());
            Ok(addresses)
        })
    }
}
