//! Opens the store that the configuration names.
//!
//! It must never show or keep the password of a database.

use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::{
    config::{
        self,
        store::{Network, Postgres},
    },
    secret::Secret,
    store::{
        Store,
        postgres::{Encryption, PostgresOptions, PostgresStore},
        sqlite::SqliteStore,
    },
};

/// Opens the store as a process that writes to it.
///
/// # Errors
/// Says what of the store cannot be relied on.
pub async fn open(store: &config::store::Store) -> anyhow::Result<Arc<dyn Store>> {
    match store {
        config::store::Store::Postgres(postgres) => {
            let store = PostgresStore::open(&options(postgres)).await;
            let store = store.context("the PostgreSQL store cannot be used")?;
            Ok(Arc::new(store))
        }
        config::store::Store::Sqlite { .. } => Ok(Arc::new(SqliteStore::open(store.url().expose()).await?)),
    }
}

fn options(postgres: &Postgres) -> PostgresOptions {
    PostgresOptions {
        url: postgres.url.clone(),
        password: postgres.password.clone(),
        connections: postgres.connections,
        encryption: match postgres.network {
            Network::DangerousOpen => Encryption::DangerousAny,
            Network::Verified => Encryption::Verified,
        },
    }
}

/// Opens the store at `url` to read it, whoever writes to it.
///
/// # Errors
/// Says what of the store cannot be read.
pub async fn open_read_only(url: &str, password: Option<Secret>) -> anyhow::Result<Box<dyn Store>> {
    match url.split_once("://") {
        Some(("sqlite", _)) => Ok(Box::new(SqliteStore::open_read_only(url).await?)),
        Some(("postgres" | "postgresql", _)) => {
            let options = PostgresOptions {
                password,
                ..PostgresOptions::new(Secret::new(url))
            };
            Ok(Box::new(PostgresStore::open_read_only(&options).await?))
        }
        Some(_) | None => bail!("found a store that is neither `sqlite://` nor `postgres://`, expected one of them"),
    }
}
