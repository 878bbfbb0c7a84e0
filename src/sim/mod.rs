//! What every simulated cloud needs: how it gets an issuer's keys, and what tests may make it do.
//!
//! A simulator never uses `jose` or a plugin's `request` and `response`: a wrong rule must not confirm itself.

pub mod ca;
pub mod ci_issuer;
pub mod documents;
pub mod imds;
pub mod server;
pub mod signed_data;
pub(crate) mod sigv4;
pub mod token_signer;
pub mod world;

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{clock::Clock, secret::Random};

/// Fetches an issuer's published documents over TLS, as a cloud does.
pub trait IssuerDocuments: Send + Sync + fmt::Debug {
    /// Fetches `<issuer>/.well-known/openid-configuration` and the JWKS that it names.
    ///
    /// # Errors
    /// Says what a cloud would find wrong: unreachable, slow (5 s), not 200, not JSON, other issuer.
    fn fetch<'a>(
        &'a self,
        issuer: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Documents, Unavailable>> + Send + 'a>>;
}

/// Discovery document and key set of one issuer, as fetched.
#[derive(Clone, Debug)]
pub struct Documents {
    /// The discovery document.
    pub discovery: serde_json::Value,
    /// The JWK Set.
    pub jwks: serde_json::Value,
}

/// The issuer's documents could not be had.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the documents of `{issuer}` could not be fetched: {reason}")]
pub struct Unavailable {
    /// The issuer asked for.
    pub issuer: String,
    /// What went wrong.
    pub reason: String,
}

/// What a test makes a simulator do with its next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Waits before it answers.
    Delay(Duration),
    /// Answers 200 with a body that is not what the protocol says.
    Garbage,
    /// Answers with more bytes than any client should read.
    Oversized,
    /// Answers 500 in the cloud's own error shape.
    ServerError,
    /// Answers with the cloud's own throttling error.
    Throttle,
}

/// The mutations that wait for a simulator's next requests, oldest first.
#[derive(Debug, Default)]
pub struct Mutations(Mutex<VecDeque<Mutation>>);

impl Mutations {
    /// Makes one coming request meet `mutation`.
    pub fn push(&self, mutation: Mutation) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(mutation);
    }

    /// Takes the oldest mutation.
    pub fn take(&self) -> Option<Mutation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// What a plugin's simulator is started on.
#[derive(Clone, Debug)]
pub struct Ground {
    /// Fetches our issuer's documents as a cloud does.
    pub documents: Arc<dyn IssuerDocuments>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness.
    pub random: Arc<dyn Random>,
    /// Our issuer URL, which the simulated cloud is told to trust.
    pub issuer: String,
    /// The SPIFFE ID of the one workload that the simulated cloud is told to admit.
    pub subject: String,
    /// Opens TLS servers on loopback under the throw-away CA.
    pub listen: Arc<dyn Listen>,
    /// Where the throw-away CA's certificate lies, as PEM.
    pub ca_file: PathBuf,
    /// Where files go that a simulator hands out.
    pub directory: PathBuf,
}

impl Ground {
    /// Returns what a table says to reach a simulator: the throw-away CA, and loopback.
    pub fn reach(&self) -> toml::Table {
        let allowed = toml::Value::Array(vec!["127.0.0.0/8".into()]);
        let ca_file = self.ca_file.display().to_string().into();
        toml::Table::from_iter([("allow_addresses".to_owned(), allowed), ("ca_file".to_owned(), ca_file)])
    }
}

/// Opens TLS servers on loopback.
pub trait Listen: Send + Sync + fmt::Debug {
    /// Binds a free loopback port and returns its URL (no trailing slash) at once; requests wait until `serve` is called.
    ///
    /// # Errors
    /// Fails where no port can be bound.
    fn bind(&self) -> Result<Bound, std::io::Error>;

    /// As `bind`, for a service that asks its clients for a certificate: requests then carry [`PeerCertificates`].
    ///
    /// Whoever cannot ask serves without, so that nobody is let in.
    ///
    /// # Errors
    /// Fails where no port can be bound.
    fn bind_mutual(&self) -> Result<Bound, std::io::Error> {
        self.bind()
    }

    /// As `bind`, in plain HTTP: for the metadata services of machines, which have no certificate in any cloud.
    ///
    /// # Errors
    /// Fails where no port can be bound, or this one has only TLS.
    fn bind_plain(&self) -> Result<Bound, std::io::Error> {
        Err(std::io::Error::from(std::io::ErrorKind::Unsupported))
    }
}

/// The certificates that a client presented and proved to hold the key of, its own first; nobody has judged them yet.
#[derive(Clone, Debug)]
pub struct PeerCertificates(pub Vec<Vec<u8>>);

/// A bound server that waits for its routes.
pub struct Bound {
    /// The server's URL, `https://127.0.0.1:<port>`-like (or `http`, from `bind_plain`), without a trailing slash.
    pub url: String,
    /// Starts to serve; the server ends with the world.
    pub serve: Box<dyn FnOnce(axum::Router) + Send>,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Tells a simulated cloud the X.509 roots of our trust domain, in DER, once the gateway has them.
pub type Told = Arc<dyn Fn(&[Vec<u8>]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;

/// A seeded simulator: what the gateway is configured with, and what the ready file says.
pub struct Seeded {
    /// The `[[relying_party]]` table without `name`, for example kind, endpoint and role.
    pub relying_party: toml::Table,
    /// The name the development configuration gives it, for example `aws-dev`.
    pub name: &'static str,
    /// The section of the ready file, for example `aws`.
    pub section: &'static str,
    /// The content of that section.
    pub ready: serde_json::Value,
    /// Commands that a user may try next, with the variables of a workload set.
    pub try_next: Vec<String>,
    /// For a cloud that trusts our X.509 authority: what a user would do with the published bundle.
    pub told: Option<Told>,
    /// The simulator itself, for tests to downcast.
    pub simulator: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seeded")
            .field("name", &self.name)
            .field("section", &self.section)
            .finish_non_exhaustive()
    }
}

/// A simulated platform with one workload, and what the development configuration says of it.
pub struct Platform {
    /// Its name, which is that of the preset or kind, and of `--attest`.
    pub name: &'static str,
    /// The `[[attestor]]` table without `name`.
    pub attestor: toml::Table,
    /// What the entry of its workload requires.
    pub matches: toml::Table,
    /// The variables that its workload finds.
    pub variables: Vec<(&'static str, String)>,
    /// Where it hands its workload a token in a variable: which variable, and the token of the moment.
    pub token: Option<(&'static str, IssueToken)>,
    /// What the ready file says of it beside the variables.
    pub ready: serde_json::Value,
    /// The simulator itself, for tests to downcast.
    pub simulator: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platform")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Issues a token for a platform's workload.
pub type IssueToken = Arc<dyn Fn() -> Result<String, Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;

/// Starts and seeds the platforms that a kind of attestor believes.
pub type SeedPlatforms =
    fn(Ground) -> Pin<Box<dyn Future<Output = Result<Vec<Platform>, Box<dyn std::error::Error + Send + Sync>>> + Send>>;

/// Starts and seeds a plugin's simulator.
pub type Seed =
    fn(Ground) -> Pin<Box<dyn Future<Output = Result<Seeded, Box<dyn std::error::Error + Send + Sync>>> + Send>>;
