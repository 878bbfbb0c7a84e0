//! What the exchange listener's routes share.

use std::{
    future::Future,
    mem,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, request::Parts},
    response::Response,
};
use tokio::sync::Semaphore;

use super::{error::Refusal, request_refusal::RequestRefusal, source::TrustedProxies};
use crate::{
    attest::{AttestRefusal, Challenges, ClientCertificate, Possession, dpop},
    gateway::{
        Answer, Gateway, Request,
        machine_key::{KeyAnswer, KeyRequest},
        rate::{Rates, source_key},
        whoami::Portrait,
    },
    secret::{Digest, Secret},
    store::Released,
    telemetry::Metrics,
};

/// What the exchange listener's routes share; cheap to clone.
#[derive(Clone, Debug)]
pub struct ExchangeState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    gateway: Arc<Gateway>,
    challenges: Challenges,
    exchange_url: String,
    proxies: TrustedProxies,
    sources: Rates<IpAddr>,
    in_flight: Arc<Semaphore>,
    most_in_flight: usize,
    metrics: Metrics,
}

/// What the exchange listener is made of.
#[derive(Debug)]
pub struct ExchangeParts {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// Makes challenges; the attestors hold the same.
    pub challenges: Challenges,
    /// The configured base URL: the DPoP `htu` is derived from it, never from a request.
    pub exchange_url: String,
    /// Whose `X-Forwarded-For` is read.
    pub proxies: TrustedProxies,
    /// The rate of each source address.
    pub sources: Rates<IpAddr>,
    /// How many requests may be in flight.
    pub most_in_flight: usize,
    /// The metrics.
    pub metrics: Metrics,
}

/// LIMITS.md: a whole request takes at most 30 s.
const MAX_TIME: Duration = Duration::from_secs(30);

impl ExchangeState {
    /// Puts the parts together.
    pub fn new(parts: ExchangeParts) -> Self {
        let in_flight = Arc::new(Semaphore::new(parts.most_in_flight));
        Self(Arc::new(Shared {
            gateway: parts.gateway,
            challenges: parts.challenges,
            exchange_url: parts.exchange_url,
            proxies: parts.proxies,
            sources: parts.sources,
            in_flight,
            most_in_flight: parts.most_in_flight,
            metrics: parts.metrics,
        }))
    }

    /// Returns the gateway.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.0.gateway
    }

    /// Returns what makes challenges.
    pub fn challenges(&self) -> &Challenges {
        &self.0.challenges
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Returns how many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.0
            .most_in_flight
            .saturating_sub(self.0.in_flight.available_permits())
    }

    /// Waits until no request is in flight, at most `patience`.
    pub async fn drained(&self, patience: Duration) -> bool {
        let all = u32::try_from(self.0.most_in_flight).unwrap_or(u32::MAX);
        tokio::time::timeout(patience, self.0.in_flight.acquire_many(all))
            .await
            .is_ok()
    }

    /// Counts and times an answer; `written` says how a refusal is written down.
    pub async fn counted(
        &self,
        endpoint: &'static str,
        began: Instant,
        answer: impl Future<Output = Result<Response, Refusal>>,
        written: impl FnOnce(Refusal) -> Response,
    ) -> Response {
        let response = answer.await.unwrap_or_else(|refusal| {
            self.metrics().refused(refusal.code);
            written(refusal)
        });
        let status = response.status().as_u16();
        self.metrics().answered(endpoint, status, began.elapsed().as_secs_f64());
        response
    }

    /// Counts a request against its source's rate.
    ///
    /// # Errors
    /// Refuses the request above the rate.
    pub fn admit(&self, caller: &Caller) -> Result<IpAddr, RequestRefusal> {
        let source = self.0.proxies.source(caller.peer, &caller.headers);
        self.0
            .sources
            .count(&source_key(source))
            .map_err(|exceeded| RequestRefusal::RateLimited {
                whose: "source address",
                per_second: exceeded.per_second,
                retry_after_seconds: exceeded.retry_after_seconds,
            })?;
        Ok(source)
    }

    /// Reads what the caller proves besides the token: one DPoP proof, an Idempotency-Key, or the client certificate of
    /// the connection.
    ///
    /// # Errors
    /// Refuses a repeated header, a proof that does not hold, and more than one of the three: were one of them to win,
    /// whoever can add a header to a request could choose what the evidence is bound to.
    pub fn possession(&self, caller: &Caller, path: &str, token: &Secret) -> Result<Possession, Unproven> {
        let proof = sole(&caller.headers, DPOP)?;
        let key = sole(&caller.headers, IDEMPOTENCY_KEY)?;
        match (proof, key, &caller.certificate) {
            (None, None, None) => Ok(Possession::Bearer),
            (None, None, Some(certificate)) => Ok(Possession::Certificate(certificate.clone())),
            (None, Some(key), None) => Ok(dpop::idempotency_key(key)?),
            (None, Some(_), Some(_)) => Err(ambiguous(IDEMPOTENCY_KEY, BESIDE_CERTIFICATE)),
            (Some(proof), None, None) => {
                let url = format!("{}{path}", self.0.exchange_url);
                Ok(dpop::verify(proof, "POST", &url, token, self.0.gateway.clock.now())?)
            }
            (Some(_), None, Some(_)) => Err(ambiguous(DPOP, BESIDE_CERTIFICATE)),
            (Some(_), Some(_), _) => Err(ambiguous(IDEMPOTENCY_KEY, BESIDE_DPOP)),
        }
    }

    /// Reads a DPoP proof that the body holds: whose key made it, over `token`, for `path`.
    ///
    /// # Errors
    /// Refuses a proof that does not hold.
    pub fn proven(&self, proof: &str, path: &str, token: &Secret) -> Result<Digest, AttestRefusal> {
        let url = format!("{}{path}", self.0.exchange_url);
        match dpop::verify(proof, "POST", &url, token, self.0.gateway.clock.now())? {
            Possession::Dpop { thumbprint, .. } => Ok(thumbprint),
            Possession::Bearer | Possession::Certificate(_) | Possession::IdempotencyKey(_) => {
                Err(AttestRefusal::Dpop {
                    reason: "it proves no key".to_owned(),
                })
            }
        }
    }

    /// Runs one exchange in a task of its own, so that a caller who hangs up leaves nothing half done.
    ///
    /// # Errors
    /// Refuses where too many are in flight, and answers late ones without waiting for them.
    pub async fn exchange(&self, request: Request) -> Result<Answer, RequestRefusal> {
        let gateway = Arc::clone(&self.0.gateway);
        self.run(Box::pin(async move { gateway.exchange(request).await })).await
    }

    /// Says who asks, in a task of its own as an exchange.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub async fn whoami(&self, request: Request) -> Result<Result<Released<Portrait>, Box<Answer>>, RequestRefusal> {
        let gateway = Arc::clone(&self.0.gateway);
        self.run(Box::pin(async move { gateway.whoami(request).await })).await
    }

    /// Keeps a machine's key in a task of its own, as an exchange.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub async fn keep_key(&self, request: KeyRequest) -> Result<KeyAnswer, RequestRefusal> {
        let gateway = Arc::clone(&self.0.gateway);
        self.run(Box::pin(async move { gateway.keep_key(request).await })).await
    }

    /// Takes the work in its own place on the heap: it is some 10 KB, which each task that holds it would move.
    async fn run<T: Send + 'static>(&self, work: Pin<Box<dyn Future<Output = T> + Send>>) -> Result<T, RequestRefusal> {
        let place = Arc::clone(&self.0.in_flight)
            .try_acquire_owned()
            .map_err(|_full| RequestRefusal::Overloaded)?;
        let running = tokio::spawn(async move {
            let answer = work.await;
            drop(place);
            answer
        });
        match tokio::time::timeout(MAX_TIME, running).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_panicked)) => Err(RequestRefusal::Overloaded),
            Err(_elapsed) => Err(RequestRefusal::TimedOut {
                limit_seconds: MAX_TIME.as_secs(),
            }),
        }
    }
}

/// Why a proof of possession was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    /// The proof itself.
    #[error(transparent)]
    Attest(#[from] AttestRefusal),
    /// The header that carries it.
    #[error(transparent)]
    Request(#[from] RequestRefusal),
}

fn ambiguous(name: &'static str, problem: &'static str) -> Unproven {
    RequestRefusal::HeaderInvalid { name, problem }.into()
}

const DPOP: &str = "dpop";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const BESIDE_CERTIFICATE: &str = "is there beside the client certificate of the connection, expected one of them";
const BESIDE_DPOP: &str = "is there beside header `dpop`, expected one of them";

/// DPOP-2: exactly one header line.
fn sole<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, RequestRefusal> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next();
    if lines.next().is_some() {
        return Err(RequestRefusal::HeaderInvalid {
            name,
            problem: "is there more than once",
        });
    }
    let text = first.map(|line| line.to_str()).transpose();
    text.map_err(|_not_text| RequestRefusal::HeaderInvalid {
        name,
        problem: "is not visible ASCII",
    })
}

/// Who sends a request, when it began, and its headers.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The peer of the connection.
    pub peer: IpAddr,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The certificate of its connection, which was verified while the connection was made.
    pub certificate: Option<ClientCertificate>,
    /// When it came in.
    pub began: Instant,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<std::net::SocketAddr>>();
        let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |ConnectInfo(peer)| peer.ip());
        Ok(Self {
            peer,
            certificate: parts.extensions.remove::<ClientCertificate>(),
            headers: mem::take(&mut parts.headers),
            began: Instant::now(),
        })
    }
}
