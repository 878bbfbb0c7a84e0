//! The listeners of a gateway: two public ones and the admin socket.

use std::{net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, thread, time::Duration};

use anyhow::{Context as _, bail};
use tokio::net::UnixListener;

use crate::{
    config::Settings,
    http::listener::{Stop, serve_tls},
};

/// The listeners, bound before anything else can fail.
#[derive(Debug)]
pub struct Sockets {
    /// Discovery, JWKS, bundle.
    pub metadata: TcpListener,
    /// Exchanges.
    pub exchange: TcpListener,
}

impl Sockets {
    /// Binds the configured addresses.
    ///
    /// # Errors
    /// Fails where an address is taken or not ours.
    pub fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let bind = |address| {
            let listener = TcpListener::bind(address).with_context(|| format!("{address} cannot be bound"))?;
            listener.set_nonblocking(true)?;
            anyhow::Ok(listener)
        };
        Ok(Self {
            metadata: bind(settings.listen.metadata)?,
            exchange: bind(settings.listen.exchange)?,
        })
    }
}

/// Serves `routes` on a thread and a runtime of their own, so that nothing that happens to an exchange reaches them.
pub(super) fn serve_metadata(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    routes: axum::Router,
    stop: Stop,
) -> anyhow::Result<thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = thread::Builder::new().name("metadata".to_owned()).spawn(move || {
        runtime.block_on(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => serve_tls(listener, tls, routes, stop, Duration::from_secs(1)).await,
                Err(failed) => tracing::error!(error = %failed, "the metadata listener cannot listen"),
            }
        });
    })?;
    Ok(thread)
}

/// Binds the admin socket for its owner only; a socket that nobody listens on any more is replaced.
pub(super) fn bind_admin(path: &Path) -> anyhow::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        bail!("another process listens on `{}`", path.display());
    }
    let _stale = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).with_context(|| format!("`{}` cannot be bound", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}
