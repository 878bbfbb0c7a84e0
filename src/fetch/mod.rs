//! The one outbound client for issuers' documents: discovery, key sets, bundles.
//!
//! It must never go where the configuration does not point: no redirects, no proxy, no other origin, no address inside
//! our network that is not listed (TM-07 to TM-10), and never show what a host answered.

mod address;
mod ask;
mod failure;
#[cfg(test)]
#[cfg(feature = "dev")]
pub(crate) mod fixture;
mod post;
mod resolve;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

pub use address::{AddressBlock, NotABlock};
pub use failure::{FetchFailed, OriginRefused};
use reqwest::{Certificate, Client, Response, header, redirect};
pub use resolve::{Resolver, SystemResolver};
use url::{Host, Url};

use self::resolve::Pinned;

/// Makes the clients of configured origins.
#[derive(Clone, Debug)]
pub struct Fetch {
    resolver: Arc<dyn Resolver>,
    patience: Patience,
}

impl Fetch {
    /// Fetches with `resolver`'s addresses.
    pub fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self {
            resolver,
            patience: Patience::default(),
        }
    }

    /// Fetches with the host's own resolver.
    pub fn system() -> Self {
        Self::new(Arc::new(SystemResolver))
    }

    #[cfg(test)]
    #[cfg(feature = "dev")]
    fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Makes the client of one configured origin.
    ///
    /// # Errors
    /// Refuses what is no portable `https` URL, and authorities that cannot be read.
    pub fn origin(&self, settings: &OriginSettings<'_>) -> Result<Origin, OriginRefused> {
        let url = parse(settings.url)?;
        let name = name_of(&url);
        let pinned = Pinned::default();
        let mut builder = Client::builder()
            .https_only(true)
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .pool_max_idle_per_host(0) // a kept connection would outlive the check of its address
            .connect_timeout(self.patience.connect)
            .timeout(self.patience.total)
            .dns_resolver(pinned.clone());
        if let Some(pem) = settings.authorities_pem {
            builder = builder.tls_certs_only(authorities(pem)?);
        }
        let client = builder.build().map_err(|source| OriginRefused::Client {
            origin: name.clone(),
            source,
        })?;
        Ok(Origin {
            url,
            name,
            allow_addresses: settings.allow_addresses.to_vec(),
            resolver: Arc::clone(&self.resolver),
            patience: self.patience,
            pinned,
            client,
        })
    }
}

/// What an origin is configured with.
#[derive(Clone, Copy, Debug)]
pub struct OriginSettings<'a> {
    /// Any URL of the origin; its scheme, host and port count.
    pub url: &'a str,
    /// The only certificate authorities that are trusted for it, as PEM; `None` = those of the host.
    pub authorities_pem: Option<&'a [u8]>,
    /// Blocks of addresses that it may have although they are not public.
    pub allow_addresses: &'a [AddressBlock],
}

/// One configured origin: scheme, host and port, with a client of its own.
pub struct Origin {
    url: Url,
    name: String,
    allow_addresses: Vec<AddressBlock>,
    resolver: Arc<dyn Resolver>,
    patience: Patience,
    pinned: Pinned,
    client: Client,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How long a document may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeLimit {
    /// A SPIFFE bundle: 1 MiB.
    Bundle,
    /// A discovery document or key set: 100 KiB; GitHub's have 5, Google's 1.
    Document,
}

impl SizeLimit {
    /// Returns the limit in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bundle => 1024 * 1024,
            Self::Document => 100 * 1024,
        }
    }
}

/// A document as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its bytes, nothing about them checked but their number.
    pub bytes: Vec<u8>,
    /// How long the origin says it may be kept.
    pub max_age: Option<Duration>,
}

impl Origin {
    /// Returns scheme, host and port.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether `url` is of this origin and can be fetched from it.
    pub fn covers(&self, url: &str) -> bool {
        self.parse(url).is_ok()
    }

    /// Fetches the document at `url`.
    ///
    /// # Errors
    /// Refuses another origin, addresses that are not allowed, and every answer but a plain 200 within size and time.
    pub async fn get(&self, url: &str, limit: SizeLimit) -> Result<Document, FetchFailed> {
        let url = self.parse(url)?;
        match tokio::time::timeout(self.patience.total, self.fetch(url, limit)).await {
            Ok(fetched) => fetched,
            Err(_elapsed) => Err(self.timed_out()),
        }
    }

    async fn fetch(&self, url: Url, limit: SizeLimit) -> Result<Document, FetchFailed> {
        self.pinned.pin(self.checked_addresses().await?);
        let request = self
            .client
            .get(url)
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "identity");
        let response = request.send().await.map_err(|source| self.transport(source))?;
        self.refuse_status(&response)?;
        if response.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(FetchFailed::Encoded {
                origin: self.name.clone(),
            });
        }
        let max_age = max_age(&response);
        let bytes = self.body(response, limit.bytes()).await?;
        Ok(Document { bytes, max_age })
    }

    /// Resolves the host once and checks all answers (TM-09): one bad address among good ones is an attack.
    async fn checked_addresses(&self) -> Result<Vec<SocketAddr>, FetchFailed> {
        let host = self.url.host_str().unwrap_or_default();
        let found = match self.url.host() {
            Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
            Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
            Some(Host::Domain(_)) | None => {
                self.resolver
                    .resolve(host)
                    .await
                    .map_err(|source| FetchFailed::Resolve {
                        host: host.to_owned(),
                        source,
                    })?
            }
        };
        if found.is_empty() {
            return Err(FetchFailed::Resolve {
                host: host.to_owned(),
                source: std::io::Error::other("found no address, expected at least one"),
            });
        }
        for address in &found {
            if let Some(reason) = address::refusal(*address, &self.allow_addresses) {
                return Err(FetchFailed::Address {
                    host: host.to_owned(),
                    address: *address,
                    reason,
                });
            }
        }
        let port = self.url.port_or_known_default().unwrap_or(HTTPS_PORT);
        Ok(found
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }

    async fn body(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, FetchFailed> {
        let oversized = || FetchFailed::Oversized {
            origin: self.name.clone(),
            limit,
        };
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |announced| announced > limit) {
            return Err(oversized());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|source| self.transport(source))? {
            if bytes.len() + chunk.len() > limit {
                return Err(oversized());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn refuse_status(&self, response: &Response) -> Result<(), FetchFailed> {
        let status = response.status();
        let origin = self.name.clone();
        if status.is_redirection() {
            return Err(FetchFailed::Redirected {
                origin,
                status: status.as_u16(),
            });
        }
        if status != reqwest::StatusCode::OK {
            return Err(FetchFailed::Status {
                origin,
                status: status.as_u16(),
            });
        }
        Ok(())
    }

    fn parse(&self, found: &str) -> Result<Url, FetchFailed> {
        let foreign = || FetchFailed::ForeignOrigin {
            found: shown(found),
            expected: self.name.clone(),
        };
        let url = parse(found).map_err(|_refused| foreign())?;
        if name_of(&url) == self.name {
            Ok(url)
        } else {
            Err(foreign())
        }
    }

    fn transport(&self, source: reqwest::Error) -> FetchFailed {
        if source.is_timeout() {
            return self.timed_out();
        }
        FetchFailed::Transport {
            origin: self.name.clone(),
            source: source.without_url(),
        }
    }

    fn timed_out(&self) -> FetchFailed {
        FetchFailed::TimedOut {
            origin: self.name.clone(),
            seconds: self.patience.total.as_secs(),
        }
    }
}

/// How long an origin is waited for.
#[derive(Clone, Copy, Debug)]
struct Patience {
    connect: Duration,
    total: Duration,
}

impl Default for Patience {
    /// Returns LIMITS.md's 2 s to connect and 5 s in all (TM-08).
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            total: Duration::from_secs(5),
        }
    }
}

/// Reads a URL that can be fetched: `https`, a host, no credentials, no fragment.
fn parse(text: &str) -> Result<Url, OriginRefused> {
    let refused = |unexpected| OriginRefused::Url {
        found: shown(text),
        unexpected,
    };
    if text
        .bytes()
        .any(|byte| byte <= b' ' || byte == b'\\' || !byte.is_ascii())
    {
        // The parser below would repair these, and two parsers repair differently (T-13).
        return Err(refused("white space, control characters, `\\` or non-ASCII characters"));
    }
    let url = Url::parse(text).map_err(|_source| refused("anything that makes it no URL"))?;
    if url.scheme() != "https" {
        return Err(refused("another scheme"));
    }
    if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
        return Err(refused("credentials"));
    }
    if url.fragment().is_some() {
        return Err(refused("a fragment"));
    }
    if url.host().is_none() {
        return Err(refused("an empty host"));
    }
    Ok(url)
}

/// Returns the beginning of foreign text with everything but printable ASCII escaped, for an error (T-13).
fn shown(text: &str) -> String {
    text.chars()
        .take(SHOWN_CHARACTERS)
        .flat_map(char::escape_default)
        .collect()
}

fn authority(text: &str) -> &str {
    let after = text.split_once("://").map_or("", |(_, after)| after);
    after.split(['/', '?', '#']).next().unwrap_or_default()
}

fn name_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn authorities(pem: &[u8]) -> Result<Vec<Certificate>, OriginRefused> {
    let found = Certificate::from_pem_bundle(pem).map_err(|source| OriginRefused::Authorities {
        found: source.to_string(),
    })?;
    if found.is_empty() {
        return Err(OriginRefused::Authorities {
            found: "no certificate".to_owned(),
        });
    }
    Ok(found)
}

fn max_age(response: &Response) -> Option<Duration> {
    let directives = response.headers().get(header::CACHE_CONTROL)?.to_str().ok()?;
    directives
        .split(',')
        .filter_map(|directive| directive.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("max-age"))
        .and_then(|(_, seconds)| seconds.parse().ok())
        .map(Duration::from_secs)
}

const HTTPS_PORT: u16 = 443;

/// Enough to recognise a URL by; escaped at ten characters each it stays below 1 KiB.
const SHOWN_CHARACTERS: usize = 96;

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;
