//! A whole development world for one test: gateway, simulated clouds, and a CI issuer whose key the test holds.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_lc_rs::hmac;
use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use cambio::{
    attest::{
        dpop,
        oidc::fixture::{self, Ci, Job},
    },
    cli::{
        dev::{
            development::{Development, Unready},
            place::Place,
        },
        environment::Environment,
    },
    clock::{self, Clock as _, FakeClock},
    http::listener::{Stop, serve_tls},
    jose::{SigningAlgorithm, SigningKey},
    secret::{Secret, SystemRandom, hex},
    sim::server,
};
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

pub(crate) const EXCHANGE: &str = "/v1/exchange";
pub(crate) const CHALLENGE: &str = "/v1/challenge";
pub(crate) const SVID_X509: &str = "/v1/svid/x509";
pub(crate) const TOKEN: &str = "/v1/token";
pub(crate) const WHOAMI: &str = "/v1/whoami";
pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
pub(crate) const WORKLOAD: &str = "spiffe://dev.cambio.test/ci/acme/shop/deploy";

/// A running world; everything ends with it.
pub(crate) struct World {
    pub(crate) development: Development,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) ci: Ci,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) client: reqwest::Client,
    /// Every token that was sent, whole.
    pub(crate) sent: Mutex<Vec<String>>,
    /// Every answer that was a refusal.
    pub(crate) refused: Mutex<Vec<String>>,
    tokens: AtomicU64,
    _issuer_stops: tokio::sync::watch::Sender<bool>,
    directory: Option<tempfile::TempDir>,
}

/// What the CI issuer serves, and how often it was asked.
pub(crate) struct Issuer {
    pub(crate) asked: AtomicU64,
    pub(crate) behaviour: Mutex<Behaviour>,
    discovery: Value,
    jwks: Value,
}

/// How the CI issuer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Answers,
    Fails,
}

/// An answer of the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text))
    }

    /// The stable code: of the whole answer, else of the first refusal in it; empty for a success.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        let whole = json.get("code").and_then(Value::as_str);
        let first = || {
            let refusals = json.get("refusals")?.as_object()?;
            refusals.values().next()?.get("code")?.as_str()
        };
        whole.or_else(first).unwrap_or_default().to_owned()
    }

    pub(crate) fn text_at(&self, pointer: &str) -> String {
        let json = self.json();
        let found = json.pointer(pointer).and_then(Value::as_str);
        found
            .unwrap_or_else(|| panic!("no text at {pointer} of {}", self.text))
            .to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap_or_default())
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|configuration| configuration).await
    }

    /// Starts a world whose configuration `change` has changed; its limits do not stand in a test's way.
    pub(crate) async fn start_with(change: impl FnOnce(String) -> String) -> Self {
        Self::start_limited(|configuration| change(configuration) + GENEROUS).await
    }

    /// Starts a world with the limits that stand in the configuration.
    pub(crate) async fn start_limited(change: impl FnOnce(String) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = place(directory.path());
        let mut world = Self::start_at(&place, change).await.unwrap();
        world.directory = Some(directory);
        world
    }

    pub(crate) async fn start_at(place: &Place, change: impl FnOnce(String) -> String) -> Result<Self, Unready> {
        let now = clock::system().now();
        let clock = FakeClock::at(&clock::rfc3339(now));
        let environment = Environment::new(
            Arc::clone(&clock) as Arc<dyn clock::Clock>,
            Arc::new(SystemRandom),
            std::iter::empty(),
        );
        let (listener, url) = server::bind().unwrap();
        let changed = |configuration: String| change(with_issuer(&configuration, &url));
        let development = Development::start_with(place, &environment, changed).await?;
        let ci = Ci::new(&url).unwrap();
        let issuer = Arc::new(Issuer {
            asked: AtomicU64::new(0),
            behaviour: Mutex::new(Behaviour::Answers),
            discovery: ci.discovery(),
            jwks: ci.jwks(),
        });
        let (stop, stopped) = Stop::switch();
        let tls = development.world.certificate.server_config().unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::spawn(serve_tls(
            listener,
            tls,
            Arc::clone(&issuer).router(),
            stopped,
            Duration::ZERO,
        ));
        let authority = reqwest::Certificate::from_pem(&std::fs::read(&development.world.files.ca).unwrap()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([authority])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_mins(1))
            .no_proxy()
            .build()
            .unwrap();
        Ok(Self {
            development,
            clock,
            ci,
            issuer,
            client,
            sent: Mutex::default(),
            refused: Mutex::default(),
            tokens: AtomicU64::new(0),
            _issuer_stops: stop,
            directory: None,
        })
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Returns the job that the development policy admits, with a new id, issued now.
    pub(crate) fn job(&self) -> Job {
        let number = self.tokens.fetch_add(1, Ordering::Relaxed);
        fixture::github_job()
            .for_audience(&self.development.issuer)
            .with("jti", format!("token-{number}-{}", unique()))
            .issued_at(self.now())
    }

    pub(crate) fn sign(&self, job: Job) -> String {
        job.signed_by(&self.ci).unwrap().expose().to_owned()
    }

    /// Returns a token that the development policy admits.
    pub(crate) fn good(&self) -> String {
        self.sign(self.job())
    }

    /// Asks for one or more relying parties' credentials.
    pub(crate) async fn exchange(&self, token: &str, parties: &[&str]) -> Answer {
        self.exchange_with(token, parties, &[]).await
    }

    pub(crate) async fn exchange_with(&self, token: &str, parties: &[&str], headers: &[(&str, &str)]) -> Answer {
        let body = json!({ "evidence": { "token": token }, "relying_parties": parties });
        self.note(token);
        self.post(EXCHANGE, "application/json", body.to_string(), headers).await
    }

    /// Asks for one relying party's token; `requested` as in RFC 8693.
    pub(crate) async fn token(&self, token: &str, party: &str, requested: Option<&str>) -> Answer {
        self.token_with(token, party, requested, &[]).await
    }

    pub(crate) async fn token_with(
        &self,
        token: &str,
        party: &str,
        requested: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut form = vec![
            ("grant_type", GRANT_TYPE),
            ("subject_token", token),
            ("subject_token_type", JWT),
            ("audience", party),
        ];
        form.extend(requested.map(|requested| ("requested_token_type", requested)));
        self.note(token);
        self.form(&form, headers).await
    }

    /// Sends a form to the token endpoint, parameters in order and as often as they stand there.
    pub(crate) async fn form(&self, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.post(TOKEN, "application/x-www-form-urlencoded", body, headers)
            .await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        kind: &str,
        body: impl Into<reqwest::Body>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self
            .client
            .post(format!("{}{path}", self.development.exchange_url))
            .header("content-type", kind)
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        if status >= 400 {
            self.refused.lock().unwrap().push(text.clone());
        }
        Answer { status, headers, text }
    }

    /// Asks the metadata listener.
    pub(crate) async fn metadata(&self, path: &str) -> Answer {
        self.send(self.client.get(format!("{}{path}", self.development.issuer)))
            .await
    }

    /// Makes a DPoP proof over `token` for `path`.
    pub(crate) fn proof(&self, key: &SigningKey, path: &str, token: &str) -> String {
        let url = format!("{}{path}", self.development.exchange_url);
        let proof = dpop::prove(key, &url, &Secret::new(token), &SystemRandom, self.now()).unwrap();
        proof.expose().to_owned()
    }

    /// Exchanges with a proof of possession.
    pub(crate) async fn exchange_proven(&self, key: &SigningKey, token: &str, parties: &[&str]) -> Answer {
        let proof = self.proof(key, EXCHANGE, token);
        self.exchange_with(token, parties, &[("dpop", &proof)]).await
    }

    /// Asks the admin socket.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let stream = tokio::net::UnixStream::connect(self.development.place.admin())
            .await
            .unwrap();
        let body = body.map(ToString::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        speak(stream, request.as_bytes()).await
    }

    pub(crate) async fn lock(&self, target: &str, value: &str) -> String {
        let lock = json!({ "target": target, "value": value, "reason": "a test" });
        let added = self.admin("POST", "/v1/locks", Some(&lock)).await;
        assert_eq!(added.status, 201, "{}", added.text);
        added.text_at("/id")
    }

    pub(crate) async fn unlock(&self, id: &str) {
        assert_eq!(self.admin("DELETE", &format!("/v1/locks/{id}"), None).await.status, 204);
    }

    /// Returns all entries of the trail, oldest first.
    pub(crate) async fn trail(&self) -> Vec<Value> {
        self.entries("limit=1000").await
    }

    /// Returns the entries of one exchange, oldest first.
    pub(crate) async fn trail_of(&self, exchange_id: &str) -> Vec<Value> {
        self.entries(&format!("exchange_id={exchange_id}")).await
    }

    async fn entries(&self, query: &str) -> Vec<Value> {
        let answer = self.admin("GET", &format!("/v1/audit?{query}"), None).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let lines = answer.text.lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Lets time pass, and waits until the locks were read again.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        let gateway = self.development.running.gateway();
        for _ in 0..200 {
            if gateway.locks.snapshot().is_fresh(self.now()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the locks were not read again");
    }

    /// Speaks raw HTTP/1.1 to the exchange listener.
    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        let url = self.development.exchange_url.clone();
        self.raw_to(&url, request).await
    }

    /// Speaks raw HTTP/1.1 to a listener.
    pub(crate) async fn raw_to(&self, url: &str, request: &[u8]) -> Answer {
        use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&self.development.world.files.ca).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = url.trim_start_matches("https://").to_owned();
        let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(tls))
            .connect(name, stream)
            .await
            .unwrap();
        let answer = speak(stream, request).await;
        if answer.status >= 400 {
            self.refused.lock().unwrap().push(answer.text.clone());
        }
        answer
    }

    fn note(&self, token: &str) {
        self.sent.lock().unwrap().push(token.to_owned());
    }
}

impl Issuer {
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    fn answer(&self, document: &Value) -> axum::response::Response {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match *self.behaviour.lock().unwrap() {
            Behaviour::Answers => Json(document.clone()).into_response(),
            Behaviour::Fails => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(|State(issuer): State<Arc<Self>>| async move { issuer.answer(&issuer.discovery) }),
            )
            .route(
                "/.well-known/jwks",
                get(|State(issuer): State<Arc<Self>>| async move { issuer.answer(&issuer.jwks) }),
            )
            .with_state(self)
    }
}

/// More than any test sends.
pub(crate) const GENEROUS: &str = "\n[limits]\nper_source = { rate = 10000, burst = 100000 }\n\
                        per_workload = { rate = 10000, burst = 100000 }\n";

/// Opens `directory` as the place of a world.
pub(crate) fn place(directory: &Path) -> Place {
    Place::open(Some(directory.to_owned()), &SystemRandom).unwrap()
}

/// Lets the attestor of the development configuration believe the issuer at `url`.
pub(crate) fn with_issuer(configuration: &str, url: &str) -> String {
    let (before, after) = configuration
        .split_once("preset = \"github_actions\"\nissuer = \"")
        .unwrap();
    let (_development, after) = after.split_once('"').unwrap();
    format!("{before}preset = \"github_actions\"\nissuer = \"{url}\"{after}")
}

/// Makes a DPoP key.
pub(crate) fn key() -> SigningKey {
    SigningKey::generate(SigningAlgorithm::Es256).unwrap()
}

/// Returns 128 random bits in hex.
pub(crate) fn unique() -> String {
    use cambio::secret::Random as _;
    let mut bytes = [0; 16];
    SystemRandom.fill(&mut bytes).unwrap();
    hex(&bytes)
}

/// Assembles a compact JWS whose signature is what `sign` makes of the signing input.
pub(crate) fn compact(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(sign(input.as_bytes()));
    format!("{input}.{signature}")
}

pub(crate) fn hs256(secret: &[u8], input: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input)
        .as_ref()
        .to_vec()
}

/// Reads a part of a compact JWS without verifying anything.
pub(crate) fn part(token: &str, index: usize) -> Map<String, Value> {
    let part = token.split('.').nth(index).unwrap();
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// Counts the entries of one kind.
pub(crate) fn count(entries: &[Value], kind: &str) -> usize {
    entries.iter().filter(|entry| entry["kind"] == kind).count()
}

/// Sends a request and reads the one response until the peer closes or the announced length is there.
async fn speak<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &[u8]) -> Answer {
    // A server that refuses early may close before it has read everything.
    let _early = stream.write_all(request).await;
    let _early = stream.flush().await;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer)).await;
        match read.expect("an answer within 20 s") {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
        if complete(&bytes) {
            break;
        }
    }
    parsed(&bytes)
}

fn complete(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

fn parsed(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default().split(' ').nth(1);
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let name = reqwest::header::HeaderName::try_from(name).unwrap();
        headers.append(name, value.parse().unwrap());
    }
    Answer {
        status: status.and_then(|status| status.parse().ok()).unwrap_or(0),
        headers,
        text: body.to_owned(),
    }
}
