//! The client of the admin socket, for whatever changes or shows a running gateway.
//!
//! Never goes over the network: whoever can open the socket's file may use it.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use url::form_urlencoded;

use super::{
    answer::Refusal,
    client::read,
    configuration,
    environment::Environment,
    exit::Exit,
    failure::{Failure, plain},
};

/// Where the admin socket is.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AdminArguments {
    /// The gateway's admin socket; else CAMBIO_ADMIN, else what --config says, else /run/cambio/admin.sock.
    #[arg(long, value_name = "PATH")]
    pub admin: Option<PathBuf>,
    /// The gateway's configuration, for its `listen.admin` [env: CAMBIO_CONFIG].
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// An admin socket.
#[derive(Debug)]
pub struct AdminSocket {
    path: PathBuf,
    client: Client,
}

impl AdminSocket {
    /// Takes the socket of the arguments, the environment or the configuration.
    ///
    /// # Errors
    /// Refuses a configuration that cannot be read or names no socket.
    pub fn of(arguments: &AdminArguments, environment: &Environment) -> Result<Self, Failure> {
        let path = place(arguments, environment)?;
        let client = Client::builder().unix_socket(path.as_path()).timeout(TIME).build();
        Ok(Self {
            path,
            client: client.context("the client of the admin socket cannot be made")?,
        })
    }

    /// Asks for `path` with the parameters of `query`.
    ///
    /// # Errors
    /// Fails where nobody listens, or the gateway refuses.
    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<String, Failure> {
        let mut written = form_urlencoded::Serializer::for_suffix(format!("{path}?"), path.len() + 1);
        written.extend_pairs(query);
        self.answered(self.request(Method::GET, &written.finish())).await
    }

    /// Sends `body` to `path`.
    ///
    /// # Errors
    /// Fails where nobody listens, or the gateway refuses.
    pub async fn post(&self, path: &str, body: &Value) -> Result<String, Failure> {
        self.answered(self.request(Method::POST, path).json(body)).await
    }

    /// Deletes `path`.
    ///
    /// # Errors
    /// Fails where nobody listens, or the gateway refuses.
    pub async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.answered(self.request(Method::DELETE, path)).await.map(drop)
    }

    /// No host is ever looked up: every connection goes to the socket.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://admin.invalid{path}"))
    }

    async fn answered(&self, request: RequestBuilder) -> Result<String, Failure> {
        let unreachable = |failed: reqwest::Error| self.unreachable(failed);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = read(response, MAX_BODY_BYTES).await.map_err(unreachable)?;
        let body =
            body.with_context(|| format!("found more than {MAX_BODY_BYTES} bytes, expected fewer: ask for less"))?;
        let body = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() {
            return Ok(body);
        }
        let refusal = serde_json::from_str(&body).ok();
        let refusal = refusal.and_then(|body| Refusal::read(&body, status.as_u16()));
        Err(match refusal {
            Some(refusal) => {
                let why = format_args!("{}: {}", refusal.code, refusal.sentence);
                refusal.explained(Failure::saying(refusal.exit(), why).context("the gateway refused"))
            }
            None => Failure::saying(Exit::Failed, format_args!("found status {status}, expected an answer")),
        })
    }

    fn unreachable(&self, failed: reqwest::Error) -> Failure {
        let denied = causes(&failed).any(|cause| cause == io::ErrorKind::PermissionDenied);
        let hint = if denied {
            "run it as the user that the gateway runs as"
        } else {
            "is the gateway running? name its socket with --admin, CAMBIO_ADMIN, or --config FILE"
        };
        Failure::new(Exit::Unreachable, failed.without_url())
            .context(format!("the admin socket `{}` does not answer", self.path.display()))
            .hint(hint)
    }
}

fn causes(failed: &reqwest::Error) -> impl Iterator<Item = io::ErrorKind> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(failed);
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this.downcast_ref::<io::Error>().map(io::Error::kind))
    })
    .flatten()
}

fn place(arguments: &AdminArguments, environment: &Environment) -> Result<PathBuf, Failure> {
    let named = arguments
        .admin
        .clone()
        .or_else(|| environment.variable("CAMBIO_ADMIN").map(PathBuf::from));
    if let Some(path) = named {
        return Ok(path);
    }
    match configuration::file(arguments.config.as_deref(), environment) {
        Some(file) => configured(&file).map_err(|failed| Failure::new(Exit::Configuration, failed)),
        None => Ok(PathBuf::from(SOCKET)),
    }
}

fn configured(file: &Path) -> anyhow::Result<PathBuf> {
    let found = configuration::text(file, "listen", "admin")?;
    let socket = found.as_deref().and_then(|found| found.strip_prefix("unix:"));
    let socket = socket.with_context(|| {
        let found = plain(found.as_deref().unwrap_or("nothing"));
        format!(
            "found {found} as `listen.admin` in `{}`, expected `unix:` and a path",
            file.display()
        )
    })?;
    Ok(PathBuf::from(socket))
}

const SOCKET: &str = "/run/cambio/admin.sock";
const TIME: Duration = Duration::from_secs(30);
/// 10,000 entries of the trail, each of some KiB.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{clock, secret::SystemRandom};

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variables: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Environment::new(clock::system(), Arc::new(SystemRandom), variables.into_iter())
    }

    fn arguments(admin: Option<&str>, config: Option<&Path>) -> AdminArguments {
        AdminArguments {
            admin: admin.map(PathBuf::from),
            config: config.map(Path::to_owned),
        }
    }

    #[test]
    fn the_argument_goes_before_the_variable_and_that_before_the_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cambio.toml");
        std::fs::write(&file, "[listen]\nadmin = \"unix:/c\"\n").unwrap();
        let variables = environment(&[("CAMBIO_ADMIN", "/b")]);
        let found = |arguments: AdminArguments, environment: &Environment| place(&arguments, environment).unwrap();

        assert_eq!(found(arguments(Some("/a"), Some(&file)), &variables), Path::new("/a"));
        assert_eq!(found(arguments(None, Some(&file)), &variables), Path::new("/b"));
        let nothing = environment(&[]);
        assert_eq!(found(arguments(None, Some(&file)), &nothing), Path::new("/c"));
        let configured = environment(&[("CAMBIO_CONFIG", file.to_str().unwrap())]);
        assert_eq!(found(arguments(None, None), &configured), Path::new("/c"));
    }

    #[test]
    fn a_configuration_without_a_socket_ends_with_78() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cambio.toml");
        for text in ["", "[listen]\nadmin = \"tcp:1\"", "canary = = 1"] {
            std::fs::write(&file, text).unwrap();
            let refused = place(&arguments(None, Some(&file)), &environment(&[])).unwrap_err();
            assert_eq!(refused.exit(), Exit::Configuration, "{text}");
            assert!(!format!("{refused:?}").contains("canary"));
        }
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_ends_with_6() {
        let socket = AdminSocket::of(&arguments(Some("/no/such.sock"), None), &environment(&[])).unwrap();

        let failure = socket.get("/v1/locks", &[]).await.unwrap_err();

        assert_eq!(failure.exit(), Exit::Unreachable);
        assert!(format!("{failure:?}").contains("`/no/such.sock` does not answer"));
    }
}
