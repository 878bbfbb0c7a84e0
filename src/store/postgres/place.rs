//! Where the database is, and how a connection to it begins.
//!
//! Never connects over a network that others can read or answer in, never shows a password, and never hands out a
//! connection on which a commit could return before it is durable.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::time::timeout;

use super::{StoreError, unavailable};
use crate::secret::Secret;

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// `postgres://user@host:port/database`, with `sslmode` and `sslrootcert` where the host is another machine.
    pub url: Secret,
    /// The password, where the URL has none.
    pub password: Option<Secret>,
    /// How many connections this process may have, at least [`Self::MIN_CONNECTIONS`].
    pub connections: u32,
    /// What is asked of a connection that leaves this machine.
    pub encryption: Encryption,
}

impl PostgresOptions {
    /// One that commits, one that listens, one for everything else.
    pub const MIN_CONNECTIONS: u32 = 3;

    /// Returns the options for `url` with everything else as it usually is.
    pub fn new(url: Secret) -> Self {
        Self {
            url,
            password: None,
            connections: DEFAULT_CONNECTIONS,
            encryption: Encryption::Verified,
        }
    }
}

/// One that commits, one that listens, four for readiness, audit queries, locks and keys, as with SQLite.
const DEFAULT_CONNECTIONS: u32 = 6;

/// What is asked of a connection that leaves this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Nothing: whoever is on the way can read the trail and answer in the database's place.
    DangerousAny,
    /// TLS, with the server's name verified.
    #[default]
    Verified,
}

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Where the database is.
#[derive(Clone)]
pub(super) struct Place {
    options: PgConnectOptions,
    access: Access,
    shown: String,
}

impl fmt::Debug for Place {
    /// Leaves out the driver's options, which hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.shown).field(&self.access).finish()
    }
}

impl Place {
    /// Reads the URL, and refuses one that leads over an open network.
    pub(super) fn new(options: &PostgresOptions, access: Access) -> Result<Self, StoreError> {
        let refuse = |reason: String| StoreError::Open {
            place: "the postgres URL".to_owned(),
            reason,
        };
        let scheme = options
            .url
            .expose()
            .split_once("://")
            .map_or("none", |(scheme, _rest)| scheme);
        if !["postgres", "postgresql"].contains(&scheme) {
            return Err(refuse(
                "it is not of the form `postgres://user@host/database`".to_owned(),
            ));
        }
        let mut connect = PgConnectOptions::from_str(options.url.expose()).map_err(|why| refuse(why.to_string()))?;
        if let Some(password) = &options.password {
            connect = connect.password(password.expose());
        }
        let verified = matches!(connect.get_ssl_mode(), PgSslMode::VerifyFull);
        if !is_local(&connect) && !verified && options.encryption == Encryption::Verified {
            let found = format!("{:?}", connect.get_ssl_mode()).to_lowercase();
            return Err(refuse(format!(
                "it leads to another machine with the sslmode `{found}`, expected `verify-full`"
            )));
        }
        let place = connect
            .get_socket()
            .map_or_else(|| connect.get_host().to_owned(), |path| path.display().to_string());
        let database = connect.get_database().unwrap_or_default();
        Ok(Self {
            shown: format!("{place}:{}/{database}", connect.get_port()),
            options: session(connect, access),
            access,
        })
    }

    /// Returns the driver's options, for the one connection that the driver makes by itself.
    pub(super) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// Connects, and reads back what durability rests on.
    pub(super) async fn connect(&self) -> Result<PgConnection, StoreError> {
        let refuse = |reason: String| StoreError::Open {
            place: self.shown.clone(),
            reason,
        };
        let connected = timeout(CONNECT, self.options.connect()).await;
        let mut connection = connected
            .map_err(|_elapsed| refuse(format!("it did not answer within {CONNECT:?}")))?
            .map_err(|why| refuse(why.to_string()))?;
        if self.access == Access::Write {
            timeout(CONNECT, durable(&mut connection))
                .await
                .map_err(|_elapsed| refuse(format!("it did not tell its settings within {CONNECT:?}")))??;
        }
        Ok(connection)
    }
}

/// Reads back the settings that durability rests on; asks for a flush at every commit where that is not the default.
async fn durable(connection: &mut PgConnection) -> Result<(), StoreError> {
    let doing = "reading back its settings";
    let mut found = settings(connection).await.map_err(unavailable(doing))?;
    if found.judge().is_err() && !found.flushes() {
        sqlx::raw_sql("SET synchronous_commit = on")
            .execute(&mut *connection)
            .await
            .map_err(unavailable(doing))?;
        found = settings(connection).await.map_err(unavailable(doing))?;
    }
    found.judge()
}

async fn settings(connection: &mut PgConnection) -> sqlx::Result<Found> {
    let (synchronous_commit, fsync, read_only, recovering, encoding) = sqlx::query_as(
        "SELECT current_setting('synchronous_commit'), current_setting('fsync'), \
         current_setting('default_transaction_read_only'), pg_is_in_recovery(), current_setting('server_encoding')",
    )
    .fetch_one(connection)
    .await?;
    Ok(Found {
        synchronous_commit,
        fsync,
        read_only,
        recovering,
        encoding,
    })
}

/// The settings of a session as they were read back.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) synchronous_commit: String,
    pub(super) fsync: String,
    pub(super) read_only: String,
    pub(super) recovering: bool,
    pub(super) encoding: String,
}

impl Found {
    /// `remote_apply` waits for even more than `on` does; every other value returns before a flush or a standby's.
    fn flushes(&self) -> bool {
        ["on", "remote_apply"].contains(&self.synchronous_commit.as_str())
    }

    pub(super) fn judge(&self) -> Result<(), StoreError> {
        let refuse = |setting, found: &str, expected| {
            Err(StoreError::Setting {
                setting,
                found: found.to_owned(),
                expected,
            })
        };
        if self.recovering {
            return refuse(
                "pg_is_in_recovery",
                "true: it is a standby, or is being restored",
                "false",
            );
        }
        if self.read_only != "off" {
            return refuse("default_transaction_read_only", &self.read_only, "off");
        }
        if self.fsync != "on" {
            // What a commit returned would be lost with the power, and the page cache with it.
            return refuse("fsync", &self.fsync, "on");
        }
        if self.encoding != "UTF8" {
            return refuse("server_encoding", &self.encoding, "UTF8");
        }
        if !self.flushes() {
            return refuse("synchronous_commit", &self.synchronous_commit, "on");
        }
        Ok(())
    }
}

/// Sets what every session needs; what the URL or the environment say of the same is overruled.
fn session(connect: PgConnectOptions, access: Access) -> PgConnectOptions {
    let read_only = match access {
        Access::Read => "on",
        Access::Write => "off",
    };
    let connect = if connect.get_application_name().is_none() {
        connect.application_name("cambio")
    } else {
        connect
    };
    connect
        .options([
            ("search_path", "cambio"),
            ("default_transaction_isolation", "read committed"),
            ("default_transaction_read_only", read_only),
            ("statement_timeout", STATEMENT),
            ("lock_timeout", LOCK),
            ("idle_in_transaction_session_timeout", IDLE),
        ])
        .disable_statement_logging()
}

fn is_local(connect: &PgConnectOptions) -> bool {
    let host = connect.get_host();
    let socket: Option<&PathBuf> = connect.get_socket();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    socket.is_some()
        || host.starts_with('/')
        || host == "localhost"
        || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// LIMITS.md: an upstream is given 2 s to connect.
const CONNECT: Duration = Duration::from_secs(2);

/// Long enough for the largest answer to an audit query; a commit has its own, shorter deadline (TM-41).
const STATEMENT: &str = "10s";

/// Less than the 2 s that a commit may take (TM-41), so that it fails by itself and not by being given up.
const LOCK: &str = "1500ms";

/// A process that is paused in the middle of a commit holds up the others no longer than a commit may take.
const IDLE: &str = "2s";
