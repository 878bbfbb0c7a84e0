//! A small HTTP/1.1 client over TLS keep-alive: bounded in count and time, and cheap, so that it does not measure itself.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Where to connect to, and whom to trust there.
#[derive(Clone)]
pub(crate) struct Client {
    connector: TlsConnector,
    address: SocketAddr,
}

/// One kept-alive connection.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// What a run of many requests came to.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) micros: Vec<u64>,
    pub(crate) statuses: BTreeMap<u16, usize>,
    pub(crate) first_refusal: Option<String>,
    pub(crate) elapsed: Duration,
}

impl Client {
    pub(crate) fn new(ca_file: &Path, port: u16) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(ca_file).expect("a CA"))
            .expect("a CA");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            connector: TlsConnector::from(Arc::new(config)),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        }
    }

    pub(crate) async fn connect(&self) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
        let stream = self.connector.connect(name, stream).await?;
        let buffer = Vec::with_capacity(16 * 1024);
        Ok(Connection { stream, buffer })
    }

    /// Sends all requests over `connections`, each the next as soon as one is answered.
    pub(crate) async fn closed_loop(&self, requests: Arc<[Vec<u8>]>, connections: usize) -> Run {
        self.run(requests, connections, None).await
    }

    /// Sends requests at fixed moments, `per_second`, whatever is still unanswered; waiting counts as latency.
    pub(crate) async fn open_loop(&self, requests: Arc<[Vec<u8>]>, connections: usize, per_second: f64) -> Run {
        self.run(requests, connections, Some(per_second)).await
    }

    async fn run(&self, requests: Arc<[Vec<u8>]>, connections: usize, per_second: Option<f64>) -> Run {
        let next = Arc::new(AtomicUsize::new(0));
        let mut opened = Vec::new();
        for _ in 0..connections {
            opened.push(self.connect().await.expect("a connection"));
        }
        // A core that sleeps is woken by an interrupt between processors, which the server would pay for: the load stays awake, as it
        // does by itself where the server is the faster one.
        let awake = tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        let began = Instant::now();
        let workers: Vec<_> = opened
            .into_iter()
            .map(|connection| {
                tokio::spawn(worker(
                    connection,
                    Arc::clone(&requests),
                    Arc::clone(&next),
                    (began, per_second),
                ))
            })
            .collect();
        let mut run = Run::default();
        for worker in workers {
            let part = tokio::time::timeout(LONGEST, worker).await.expect("a run that ends");
            run.join(part.expect("a run without a panic"));
        }
        run.elapsed = began.elapsed();
        awake.abort();
        run
    }
}

/// No run of ours comes near it.
const LONGEST: Duration = Duration::from_mins(2);

async fn worker(
    mut connection: Connection,
    requests: Arc<[Vec<u8>]>,
    next: Arc<AtomicUsize>,
    (began, per_second): (Instant, Option<f64>),
) -> Run {
    let mut run = Run::default();
    loop {
        let nth = next.fetch_add(1, Ordering::Relaxed);
        let Some(request) = requests.get(nth) else {
            return run;
        };
        let mut due = Instant::now();
        if let Some(per_second) = per_second {
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
            let planned = began + Duration::from_secs_f64(nth as f64 / per_second);
            tokio::time::sleep_until(planned.into()).await;
            due = planned;
        }
        let answer = connection.ask(request).await.expect("an answer");
        let micros = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        run.micros.push(micros);
        *run.statuses.entry(answer.status).or_default() += 1;
        if answer.status != 200 {
            run.first_refusal
                .get_or_insert_with(|| String::from_utf8_lossy(&answer.body).into_owned());
        }
    }
}

impl Connection {
    /// Sends one request and reads its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> std::io::Result<Answer> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        loop {
            if let Some(answer) = complete(&self.buffer) {
                return Ok(answer);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn complete(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let length: usize = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    })?;
    let body = bytes.get(end + 4..end + 4 + length)?.to_vec();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body })
}

impl Run {
    fn join(&mut self, other: Self) {
        self.micros.extend(other.micros);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.first_refusal = self.first_refusal.take().or(other.first_refusal);
    }

    /// Fails unless every answer was 200: speed counts only with correctness.
    pub(crate) fn must_all_succeed(self) -> Self {
        let all_good = self.statuses.keys().all(|status| *status == 200);
        assert!(
            all_good,
            "answers by status {:?}: {:?}",
            self.statuses, self.first_refusal
        );
        self
    }

    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    pub(crate) fn per_second(&self) -> f64 {
        self.micros.len() as f64 / self.elapsed.as_secs_f64()
    }

    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 requests")]
    pub(crate) fn count(&self) -> f64 {
        self.micros.len() as f64
    }

    /// Returns the latency that `percent` of the requests did not exceed, in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^52 microseconds")]
    pub(crate) fn percentile_millis(&self, percent: usize) -> f64 {
        let mut micros = self.micros.clone();
        micros.sort_unstable();
        let place = (micros.len() * percent / 100).min(micros.len().saturating_sub(1));
        micros.get(place).copied().unwrap_or_default() as f64 / 1_000.0
    }
}

/// Returns a token exchange as it goes over the wire.
pub(crate) fn token_request(token: &str, relying_party: &str, more_headers: &str) -> Vec<u8> {
    let body = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&audience={relying_party}\
         &requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&subject_token={token}"
    );
    post("/v1/token", "application/x-www-form-urlencoded", more_headers, &body)
}

/// Returns an exchange for native credentials as it goes over the wire.
pub(crate) fn exchange_request(token: &str, relying_party: &str, more_headers: &str) -> Vec<u8> {
    let body = format!("{{\"evidence\":{{\"token\":\"{token}\"}},\"relying_parties\":[\"{relying_party}\"]}}");
    post("/v1/exchange", "application/json", more_headers, &body)
}

/// Returns a request for an X.509-SVID as it goes over the wire.
pub(crate) fn svid_request(token: &str, relying_party: &str, csr: &str) -> Vec<u8> {
    let csr = csr.replace('\n', "\\n").replace('\r', "\\r");
    let body =
        format!("{{\"evidence\":{{\"token\":\"{token}\"}},\"relying_party\":\"{relying_party}\",\"csr\":\"{csr}\"}}");
    post("/v1/svid/x509", "application/json", "", &body)
}

fn post(path: &str, kind: &str, more_headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: exchange.bench.example\r\nContent-Type: {kind}\r\n{more_headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Returns a GET of the metadata listener.
pub(crate) fn get(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

/// Asks the admin socket; `None` where nobody listens yet.
pub(crate) fn admin(socket: &Path, path: &str) -> Option<(u16, Vec<u8>)> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer[end + 4..].to_vec()))
}
