//! Where the file lies and how it is opened.
//!
//! Never opens a file that others may read, or one that another process writes to.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::MutexGuard;

use super::{Bounds, StoreError, unavailable, unsigned};

/// Reads the path out of `sqlite:///absolute/path`.
pub(super) fn path_of(url: &str) -> Result<PathBuf, StoreError> {
    match url.strip_prefix("sqlite://") {
        Some(path) if path.starts_with('/') && !path.ends_with('/') && !path.contains(['?', '#']) => {
            Ok(PathBuf::from(path))
        }
        Some(_) | None => Err(StoreError::Open {
            place: url.to_owned(),
            reason: "it is not of the form `sqlite:///absolute/path`".to_owned(),
        }),
    }
}

/// Creates the file with mode 0600, in a directory with mode 0700, where either is missing.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    if let Some(directory) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| cannot_open(path, &source))?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_created) => Ok(()),
        Err(found) if found.kind() == io::ErrorKind::AlreadyExists => check(path),
        Err(source) => Err(cannot_open(path, &source)),
    }
}

/// Refuses anything but a regular file that only its owner may read.
pub(super) fn check(path: &Path) -> Result<(), StoreError> {
    let found = fs::symlink_metadata(path).map_err(|source| cannot_open(path, &source))?;
    let refuse = |reason: String| {
        Err(StoreError::Open {
            place: path.display().to_string(),
            reason,
        })
    };
    if !found.is_file() {
        return refuse("it is not a regular file".to_owned());
    }
    let mode = found.mode() & 0o777;
    if mode & OF_OTHERS == 0 {
        Ok(())
    } else {
        refuse(format!("it has mode {mode:04o}, expected 0600"))
    }
}

/// Takes the lock that lets one process write.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    create(&beside)?;
    let file = OpenOptions::new()
        .write(true)
        .open(&beside)
        .map_err(|source| cannot_open(&beside, &source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
            place: path.display().to_string(),
        }),
        Err(TryLockError::Error(source)) => Err(cannot_open(&beside, &source)),
    }
}

fn cannot_open(path: &Path, source: &io::Error) -> StoreError {
    StoreError::Open {
        place: path.display().to_string(),
        reason: source.to_string(),
    }
}

/// What a connection may do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Access {
    Read,
    Write(Bounds),
}

/// Connects and reads back the settings that durability rests on.
pub(super) async fn connect(path: &Path, access: Access) -> Result<Ready, StoreError> {
    let mut connection = options(path, access)
        .connect()
        .await
        .map_err(|source| StoreError::Open {
            place: path.display().to_string(),
            reason: source.to_string(),
        })?;
    expect(&mut connection, "journal_mode", "PRAGMA journal_mode", "wal").await?;
    if let Access::Write(_) = access {
        // SQLite numbers its modes; 2 is FULL: every commit in WAL mode is flushed before it returns.
        expect(&mut connection, "synchronous", "PRAGMA synchronous", "2").await?;
    }
    Ok(Ready {
        connection,
        ledger_rows: 0,
    })
}

/// Returns the connections that only read; they are made when they are first needed.
pub(super) fn readers(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(BUSY)
        .test_before_acquire(false)
        .connect_lazy_with(options(path, Access::Read))
}

fn options(path: &Path, access: Access) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY)
        .statement_cache_capacity(STATEMENTS)
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging();
    match access {
        Access::Read => options.read_only(true),
        Access::Write(bounds) => {
            let options = options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .pragma("wal_autocheckpoint", WAL_PAGES)
                .pragma("journal_size_limit", WAL_BYTES)
                .pragma("cache_size", CACHE_KIB);
            match bounds.pages {
                None => options,
                Some(pages) => options.pragma("max_page_count", pages.to_string()),
            }
        }
    }
}

async fn expect(
    connection: &mut SqliteConnection,
    setting: &'static str,
    question: &'static str,
    expected: &'static str,
) -> Result<(), StoreError> {
    let row = sqlx::query(question)
        .fetch_one(connection)
        .await
        .map_err(unavailable("reading back its settings"))?;
    let found = row
        .try_get::<String, _>(0)
        .or_else(|_not_text| row.try_get::<i64, _>(0).map(|number| number.to_string()))
        .map_err(unavailable("reading back its settings"))?;
    if found == expected {
        Ok(())
    } else {
        Err(StoreError::Setting {
            setting,
            found,
            expected,
        })
    }
}

/// A connection that stands outside any transaction.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) connection: SqliteConnection,
    /// How many rows the ledger has; only this process changes it.
    pub(super) ledger_rows: u64,
}

impl Ready {
    /// Counts the ledger's rows.
    pub(super) async fn count_ledger(&mut self) -> Result<(), StoreError> {
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger")
            .fetch_one(&mut self.connection)
            .await
            .map_err(unavailable("counting the ledger"))?;
        self.ledger_rows = unsigned(rows);
        Ok(())
    }

    /// Ends the connection; what was committed is durable already.
    pub(super) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the store did not close cleanly");
        }
    }
}

/// The connection that writes, taken by one task.
pub(super) struct Held<'a> {
    slot: MutexGuard<'a, Option<Ready>>,
    pub(super) ready: Ready,
}

impl<'a> Held<'a> {
    pub(super) fn new(slot: MutexGuard<'a, Option<Ready>>, ready: Ready) -> Self {
        Self { slot, ready }
    }

    /// Puts the connection back: it stands outside any transaction again.
    pub(super) fn keep(mut self) {
        *self.slot = Some(self.ready);
    }
}

/// The permissions of everybody but the owner.
const OF_OTHERS: u32 = 0o077;

/// How long a statement waits for another connection's lock (TM-41: a request is answered within 3 s).
const BUSY: Duration = Duration::from_secs(2);

/// Connections that only read: the readiness probe, an audit query, the lock refresh, the key refresh.
const READERS: u32 = 4;

/// Texts a connection keeps prepared: eight sizes of each combination of a commit's statements, and the rest.
const STATEMENTS: usize = 160;

/// Pages of 4 KiB after which SQLite copies the WAL into the file: twice its default, for fewer stalls under load.
const WAL_PAGES: &str = "2000";

/// What the writing connection keeps in memory, in KiB where negative: four times SQLite's default, for the ledger's keys are
/// spread over all of its pages.
const CACHE_KIB: &str = "-8192";

/// What a WAL that once grew is cut back to: 64 MiB.
const WAL_BYTES: &str = "67108864";
