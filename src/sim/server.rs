//! TLS servers on loopback, all with the one throw-away certificate.

use std::{net::TcpListener, sync::Arc, time::Duration};

use rustls::ServerConfig;

use super::{Bound, Listen};
use crate::http::listener::{Stop, serve_tls};

/// Opens servers that end when `stop` says so.
#[derive(Debug)]
pub struct Loopback {
    tls: Arc<ServerConfig>,
    stop: Stop,
}

impl Loopback {
    /// Uses these TLS settings for every server.
    pub fn new(tls: Arc<ServerConfig>, stop: Stop) -> Self {
        Self { tls, stop }
    }
}

impl Listen for Loopback {
    fn bind(&self) -> Result<Bound, std::io::Error> {
        let (listener, url) = bind()?;
        let (tls, stop) = (Arc::clone(&self.tls), self.stop.clone());
        let serve = move |router| {
            tokio::spawn(async move {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => serve_tls(listener, tls, router, stop, Duration::ZERO).await,
                    Err(failed) => tracing::error!(error = %failed, "a simulated server cannot listen"),
                }
            });
        };
        Ok(Bound {
            url,
            serve: Box::new(serve),
        })
    }
}

/// Binds a free port on 127.0.0.1; returns the listener and its URL.
///
/// # Errors
/// Fails where no port is free.
pub fn bind() -> Result<(TcpListener, String), std::io::Error> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let url = format!("https://{}", listener.local_addr()?);
    Ok((listener, url))
}
