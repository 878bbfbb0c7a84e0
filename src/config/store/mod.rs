//! Where keys, ledger, locks and trail are kept.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::{
    diagnostic::{Fault, Problems},
    file::{self, Rule},
    path::KeyPath,
};
use crate::secret::Secret;

/// `[store]` as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStore {
    /// `sqlite://` and an absolute path, or a `postgres://` URL; the latter with `sslmode=verify-full` unless the server is on this machine.
    #[schemars(required, extend("examples" = ["sqlite:///var/lib/cambio/cambio.db"], "writeOnly" = true))]
    url: Option<String>,
    /// File of the password for a `postgres` URL without one, mode 0600 or 0400; the line's end does not count.
    #[schemars(extend("examples" = ["/etc/cambio/postgres-password"]))]
    password_file: Option<String>,
    /// How many connections to PostgreSQL this process may have: one commits, one listens, the others do the rest.
    #[schemars(extend("default" = 6, "minimum" = 3, "maximum" = 100))]
    connections: Option<u32>,
    /// Takes a connection to PostgreSQL on another machine that others can read and answer.
    #[schemars(extend("default" = false))]
    dangerous_unverified_connection: Option<bool>,
}

/// Where keys, ledger, locks and trail are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// Servers that several replicas share.
    Postgres(Postgres),
    /// One file of this process.
    Sqlite {
        /// The file.
        file: PathBuf,
    },
}

/// How to reach PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postgres {
    /// The URL, which may hold a password.
    pub url: Secret,
    /// The password, where a file holds it.
    pub password: Option<Secret>,
    /// How many connections this process may have.
    pub connections: u32,
    /// What may be on the way to the server.
    pub network: Network,
}

/// What may be on the way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Whoever can read and answer.
    DangerousOpen,
    /// Nobody: the server is verified, or on this machine.
    Verified,
}

impl Store {
    /// Returns the URL for the store's driver.
    pub fn url(&self) -> Secret {
        match self {
            Self::Postgres(postgres) => postgres.url.clone(),
            Self::Sqlite { file } => Secret::new(format!("sqlite://{}", file.display())),
        }
    }

    /// Returns the directory that holds the store, where there is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Postgres(_) => None,
            Self::Sqlite { file } => file.parent(),
        }
    }
}

/// Reads `[store]`. What it says of a URL shows no more than the scheme.
///
/// It refuses another scheme, a path that is not absolute, and a connection that anybody can listen to.
pub(super) fn read(raw: RawStore, directory: &Path, path: &KeyPath, problems: &mut Problems) -> Option<Store> {
    let network = match raw.dangerous_unverified_connection {
        Some(true) => Network::DangerousOpen,
        Some(false) | None => Network::Verified,
    };
    let url = raw.url?;
    let read = problems.take(&path.key("url"), place(&url, network));
    let password = raw.password_file.map(|file| {
        let password = password(&file::resolve(directory, &file), &url);
        problems.take(&path.key("password_file"), password)
    });
    match read? {
        Place::Sqlite { file } => Some(Store::Sqlite { file }),
        Place::Postgres => Some(Store::Postgres(Postgres {
            url: Secret::new(url),
            password: match password {
                None => None,
                Some(read) => Some(read?),
            },
            connections: raw.connections.unwrap_or(DEFAULT_CONNECTIONS),
            network,
        })),
    }
}

enum Place {
    Postgres,
    Sqlite { file: PathBuf },
}

fn place(text: &str, network: Network) -> Result<Place, Fault> {
    let refuse = |found: &dyn fmt::Display| Fault::new("config.store_invalid", found, EXPECTED);
    let url = Url::parse(text).map_err(|why| refuse(&format_args!("a URL that cannot be read ({why})")))?;
    match url.scheme() {
        "postgres" | "postgresql" => postgres(&url, network).map(|()| Place::Postgres),
        "sqlite" => {
            let file = text.strip_prefix("sqlite://").map(PathBuf::from);
            match file {
                Some(file) if file.is_absolute() && !text.contains(['?', '#', '%']) && file.file_name().is_some() => {
                    Ok(Place::Sqlite { file })
                }
                Some(_) | None => Err(refuse(&"a `sqlite` URL whose path is not absolute or has parameters")),
            }
        }
        scheme => Err(refuse(&format_args!("the scheme `{scheme}`"))),
    }
}

fn postgres(url: &Url, network: Network) -> Result<(), Fault> {
    // The driver lets parameters move the host elsewhere, and takes the last of several.
    let mut local = url.host_str().is_none_or(|host| host.is_empty() || is_local(host));
    let mut modes = Vec::new();
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "host" | "hostaddr" => local = local && (value.starts_with('/') || is_local(&value)),
            "sslmode" => modes.push(value),
            other if PARAMETERS.contains(&other) => {}
            // The driver would log its value, which may be a misspelt password's.
            other => {
                let found = format!("the parameter `{}`", other.escape_debug());
                return Err(Fault::new("config.store_invalid", found, one_of(&PARAMETERS)));
            }
        }
    }
    // `require` checks no name and no authority; `prefer`, the driver's default, falls back to clear text.
    let verified = !modes.is_empty() && modes.iter().all(|mode| mode == "verify-full");
    if verified || local || network == Network::DangerousOpen {
        return Ok(());
    }
    let found = modes
        .first()
        .map_or_else(|| "no `sslmode`".to_owned(), |mode| format!("`sslmode={mode}`"));
    let expected = "`sslmode=verify-full`: the store holds keys, ledger and trail";
    Err(Fault::new("config.store_unencrypted", found, expected)
        .hint("add `?sslmode=verify-full&sslrootcert=FILE` to the URL"))
}

fn one_of(names: &[&str]) -> String {
    format!("host, sslmode, {}", names.join(", "))
}

/// Reads the password for `url`, which must have none: nobody could tell which one is in use.
fn password(file: &Path, url: &str) -> Result<Secret, Fault> {
    let has_one = Url::parse(url).is_ok_and(|url| url.password().is_some() || !url.scheme().starts_with("postgres"));
    if has_one {
        return Err(Fault::new(
            "config.store_password",
            "`password_file` beside a URL that has a password or is no `postgres` URL",
            "one of them",
        ));
    }
    let bytes = file::read(file, PASSWORD)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        let found = format!("`{}` without text in UTF-8", file.display());
        return Err(Fault::new("config.store_password", found, "a password"));
    }
    Ok(Secret::new(text))
}

fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

const EXPECTED: &str = "`sqlite://` and an absolute path, or a `postgres://` URL";

/// Parameters of a `postgres` URL besides those that decide where it leads and how.
const PARAMETERS: [&str; 7] = [
    "application_name",
    "dbname",
    "port",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "user",
];

/// Nobody but the owner.
const PASSWORD: Rule = Rule {
    mode: 0o600,
    max_bytes: 1024,
};

/// One commits, one listens, four are for readiness, audit queries, locks and keys.
const DEFAULT_CONNECTIONS: u32 = 6;

#[cfg(test)]
mod tests;
