//! TLS servers on loopback, all with the one throw-away certificate.

use std::{
    convert::Infallible,
    error::Error,
    net::TcpListener,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{Extension, Router, body::Body};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::{
    Bound, Listen, PeerCertificates,
    ca::{self, Files},
};
use crate::http::{
    listener::{Stop, serve_tls},
    tls::Certificate,
};

/// Opens servers that end when `stop` says so.
#[derive(Debug)]
pub struct Loopback {
    tls: Arc<ServerConfig>,
    mutual: Option<Arc<ServerConfig>>,
    stop: Stop,
}

impl Loopback {
    /// Opens servers of a throw-away certificate authority, which is made in `directory`; they end with the switch.
    ///
    /// # Errors
    /// Fails where a key or a file cannot be made.
    pub fn throw_away(
        directory: &Path,
        now: SystemTime,
    ) -> Result<(Self, Files, watch::Sender<bool>), Box<dyn Error + Send + Sync>> {
        let files = ca::create(directory, now)?;
        let certificate = Certificate::load(&files.certificate, &files.key)?;
        let (switch, stop) = Stop::switch();
        Ok((Self::new(certificate.server_config()?, stop), files, switch))
    }

    /// Uses these TLS settings for every server.
    pub fn new(tls: Arc<ServerConfig>, stop: Stop) -> Self {
        Self {
            tls,
            mutual: None,
            stop,
        }
    }

    /// Uses these TLS settings for servers that ask their clients for a certificate.
    #[must_use]
    pub fn with_mutual(self, tls: Arc<ServerConfig>) -> Self {
        Self {
            mutual: Some(tls),
            ..self
        }
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

    fn bind_mutual(&self) -> Result<Bound, std::io::Error> {
        let Some(tls) = self.mutual.clone() else {
            return self.bind();
        };
        let (listener, url) = bind()?;
        let stop = self.stop.clone();
        let serve = move |router| {
            tokio::spawn(async move {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => serve_mutual(listener, tls, router, stop).await,
                    Err(failed) => tracing::error!(error = %failed, "a simulated server cannot listen"),
                }
            });
        };
        Ok(Bound {
            url,
            serve: Box::new(serve),
        })
    }

    fn bind_plain(&self) -> Result<Bound, std::io::Error> {
        let (listener, url) = bind()?;
        let mut stop = self.stop.clone();
        let serve = move |router| {
            tokio::spawn(async move {
                let served = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => {
                        let stopped = async move { stop.told().await };
                        axum::serve(listener, router).with_graceful_shutdown(stopped).await
                    }
                    Err(failed) => Err(failed),
                };
                if let Err(failed) = served {
                    tracing::error!(error = %failed, "a simulated server cannot listen");
                }
            });
        };
        Ok(Bound {
            url: url.replacen("https:", "http:", 1),
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

async fn serve_mutual(listener: tokio::net::TcpListener, tls: Arc<ServerConfig>, router: Router, mut stop: Stop) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(failed) => {
                    tracing::warn!(error = %failed, "a simulated server cannot accept");
                    return;
                }
            },
            () = stop.told() => return,
        };
        let (acceptor, router, stop) = (acceptor.clone(), router.clone(), stop.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve_client(stream, router, stop).await;
            }
        });
    }
}

async fn serve_client(stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>, router: Router, mut stop: Stop) {
    let peer = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = PeerCertificates(peer.iter().map(|certificate| certificate.to_vec()).collect());
    let router = router.layer(Extension(peer));
    let service = service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let answered: Result<_, Infallible> = router.oneshot(request.map(Body::new)).await;
            answered
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        ended = builder.serve_connection(TokioIo::new(stream), service) => {
            if let Err(failed) = ended {
                tracing::debug!(error = %failed, "a simulated server's connection ended early");
            }
        }
        () = stop.told() => {}
    }
}

/// Asks for a client certificate and takes any, once its holder proved the key: the simulated cloud judges it itself.
#[derive(Debug)]
pub struct AnyClient(Arc<CryptoProvider>);

impl AnyClient {
    /// Verifies handshakes with aws-lc-rs.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
    }
}

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        // Whoever has none is refused in the cloud's own words.
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
