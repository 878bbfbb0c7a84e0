//! Where keys, ledger, locks and trail are kept.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::diagnostic::Fault;
use crate::secret::Secret;

/// `[store]` as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStore {
    /// `sqlite://` and an absolute path, or a `postgres://` URL; the latter with `sslmode=verify-full` unless the server is on this machine.
    #[schemars(required, extend("examples" = ["sqlite:///var/lib/cambio/cambio.db"], "writeOnly" = true))]
    pub(super) url: Option<String>,
}

/// Where keys, ledger, locks and trail are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// Servers that several replicas share.
    Postgres {
        /// The URL, which may hold a password.
        url: Secret,
    },
    /// One file of this process.
    Sqlite {
        /// The file.
        file: PathBuf,
    },
}

impl Store {
    /// Returns the URL for the store's driver.
    pub fn url(&self) -> Secret {
        match self {
            Self::Postgres { url } => url.clone(),
            Self::Sqlite { file } => Secret::new(format!("sqlite://{}", file.display())),
        }
    }

    /// Returns the directory that holds the store, where there is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Postgres { .. } => None,
            Self::Sqlite { file } => file.parent(),
        }
    }
}

/// Reads the store's URL. What it says of one shows no more than the scheme.
///
/// # Errors
/// Refuses another scheme, a path that is not absolute, and a connection that anybody can listen to.
pub(super) fn read(text: &str) -> Result<Store, Fault> {
    let refuse = |found: &dyn fmt::Display| Fault::new("config.store_invalid", found, EXPECTED);
    let url = Url::parse(text).map_err(|why| refuse(&format_args!("a URL that cannot be read ({why})")))?;
    match url.scheme() {
        "postgres" | "postgresql" => postgres(text, &url),
        "sqlite" => {
            let file = text.strip_prefix("sqlite://").map(PathBuf::from);
            match file {
                Some(file) if file.is_absolute() && !text.contains(['?', '#', '%']) && file.file_name().is_some() => {
                    Ok(Store::Sqlite { file })
                }
                Some(_) | None => Err(refuse(&"a `sqlite` URL whose path is not absolute or has parameters")),
            }
        }
        scheme => Err(refuse(&format_args!("the scheme `{scheme}`"))),
    }
}

fn postgres(text: &str, url: &Url) -> Result<Store, Fault> {
    // The driver lets parameters move the host elsewhere, and takes the last of several.
    let mut local = url.host_str().is_none_or(|host| host.is_empty() || is_local(host));
    let mut modes = Vec::new();
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "host" | "hostaddr" => local = local && (value.starts_with('/') || is_local(&value)),
            "sslmode" => modes.push(value),
            _ => {}
        }
    }
    // `require` checks no name and no authority; `prefer`, the driver's default, falls back to clear text.
    let verified = !modes.is_empty() && modes.iter().all(|mode| mode == "verify-full");
    if verified || local {
        return Ok(Store::Postgres { url: Secret::new(text) });
    }
    let found = modes
        .first()
        .map_or_else(|| "no `sslmode`".to_owned(), |mode| format!("`sslmode={mode}`"));
    let expected = "`sslmode=verify-full`: the store holds keys, ledger and trail";
    Err(Fault::new("config.store_unencrypted", found, expected)
        .hint("add `?sslmode=verify-full&sslrootcert=FILE` to the URL"))
}

fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

const EXPECTED: &str = "`sqlite://` and an absolute path, or a `postgres://` URL";

#[cfg(test)]
mod tests;
