//! Accepting connections: TLS or a unix socket, hyper with our limits, and a shutdown that drains.
//!
//! No connection can take more than its share: heads, streams and time are bounded (LIMITS.md, TM-45..48).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use super::connection::{InFlight, PATIENCE, Timed};
use crate::attest::ClientCertificate;

/// Serves `router` over TLS until `stop` says so, then drains for at most `drain`.
pub async fn serve_tls(listener: TcpListener, tls: Arc<ServerConfig>, router: Router, mut stop: Stop, drain: Duration) {
    let acceptor = TlsAcceptor::from(tls);
    let open = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = Graceful::default();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(failed) => { pause_after(&failed).await; continue; }
            },
            () = stop.told() => break,
        };
        let Ok(place) = Arc::clone(&open).try_acquire_owned() else {
            continue;
        };
        let (acceptor, router, graceful) = (acceptor.clone(), router.clone(), graceful.clone());
        tokio::spawn(async move {
            let _nagle = stream.set_nodelay(true);
            let handshake = tokio::time::timeout(PATIENCE.head, acceptor.accept(stream)).await;
            if let Ok(Ok(stream)) = handshake {
                let certificate = stream.get_ref().1.peer_certificates().map(ClientCertificate::new);
                serve_connection(
                    stream,
                    Peer {
                        address: Some(peer),
                        certificate,
                        user: None,
                    },
                    router,
                    &graceful,
                )
                .await;
            }
            drop(place);
        });
    }
    graceful.drain(drain).await;
}

/// Serves `router` on a unix socket until `stop` says so.
pub async fn serve_unix(listener: UnixListener, router: Router, mut stop: Stop) {
    let graceful = Graceful::default();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(failed) => { pause_after(&failed).await; continue; }
            },
            () = stop.told() => break,
        };
        let (router, graceful) = (router.clone(), graceful.clone());
        let peer = Peer {
            user: stream.peer_cred().ok().map(|user| LocalUser(user.uid())),
            ..Peer::default()
        };
        tokio::spawn(async move { serve_connection(stream, peer, router, &graceful).await });
    }
    graceful.drain(Duration::from_secs(1)).await;
}

/// Out of file descriptors is no reason to spin or to end.
async fn pause_after(failed: &std::io::Error) {
    tracing::warn!(error = %failed, "cannot accept a connection");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Who is at the other end.
#[derive(Default)]
struct Peer {
    address: Option<SocketAddr>,
    certificate: Option<ClientCertificate>,
    user: Option<LocalUser>,
}

/// The user of this machine at the other end of a unix socket, as the kernel names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalUser(pub u32);

async fn serve_connection<S>(stream: S, peer: Peer, router: Router, graceful: &Graceful)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let in_flight = InFlight::default();
    let stream = TokioIo::new(Timed::new(stream, in_flight.clone(), PATIENCE));
    let service = service_fn(move |request: Request<Incoming>| {
        let guard = in_flight.enter();
        let mut router = router.clone();
        let mut request = request.map(Body::new);
        if let Some(address) = peer.address {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        if let Some(certificate) = &peer.certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        if let Some(user) = peer.user {
            request.extensions_mut().insert(user);
        }
        async move {
            let response = router.call(request).await;
            drop(guard);
            response
        }
    });
    let builder = builder();
    let connection = builder.serve_connection(stream, service);
    let watched = graceful.watch(connection.into_owned());
    if let Err(failed) = watched.await {
        tracing::debug!(error = %failed, "a connection ended early");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADER_LINES)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .keep_alive_interval(Some(PATIENCE.idle))
        .keep_alive_timeout(PATIENCE.head);
    builder
}

/// LIMITS.md: headers have at most 16 KiB and 100 lines (TM-45).
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
const MAX_HEADER_LINES: usize = 100;
/// TM-47: streams and pending resets of one HTTP/2 connection (rapid reset, CVE-2023-39325).
const MAX_STREAMS: u32 = 100;
const MAX_PENDING_RESETS: usize = 20;
/// Four times the requests in flight; above it a connection is closed at once.
const MAX_CONNECTIONS: usize = 4096;

#[derive(Clone, Default)]
struct Graceful(Arc<std::sync::Mutex<Option<GracefulShutdown>>>);

impl Graceful {
    fn watch<C: hyper_util::server::graceful::GracefulConnection>(
        &self,
        connection: C,
    ) -> impl Future<Output = C::Output> + use<C> {
        let mut watcher = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let watcher = watcher.get_or_insert_default();
        watcher.watch(connection)
    }

    async fn drain(self, patience: Duration) {
        let watcher = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(watcher) = watcher
            && tokio::time::timeout(patience, watcher.shutdown()).await.is_err()
        {
            tracing::warn!("connections were still open when the drain time ended");
        }
    }
}

/// Tells every listener to stop; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns the switch and what listens to it.
    pub fn switch() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns once the switch was thrown, or is gone.
    pub async fn told(&mut self) {
        let _gone = self.0.wait_for(|stopped| *stopped).await;
    }
}
