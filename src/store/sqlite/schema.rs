//! The tables, and how an older file becomes a newer one.
//!
//! Never touches a file of a newer format, or one that is not Cambio's.

use sqlx::{Row, SqliteConnection};

use super::{StoreError, place::Ready, unavailable};

/// Brings the file to the format this program writes.
pub(super) async fn migrate(ready: &mut Ready) -> Result<(), StoreError> {
    let from = format(&mut ready.connection).await?;
    for (version, statements) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > from) {
        apply(&mut ready.connection, version, statements)
            .await
            .map_err(unavailable("migrating it"))?;
    }
    Ok(())
}

/// Refuses any format but the one this program writes.
pub(super) async fn check(ready: &mut Ready) -> Result<(), StoreError> {
    match format(&mut ready.connection).await? {
        CURRENT => Ok(()),
        older => Err(refused(older.to_string())),
    }
}

/// Returns the file's format, 0 for an empty file.
async fn format(connection: &mut SqliteConnection) -> Result<u32, StoreError> {
    let doing = "reading its format";
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE type = 'table'")
        .fetch_one(&mut *connection)
        .await
        .map_err(unavailable(doing))?;
    if tables == 0 {
        return Ok(0);
    }
    let facts: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'fact'")
        .fetch_one(&mut *connection)
        .await
        .map_err(unavailable(doing))?;
    if facts == 0 {
        return Err(refused("none: it is another program's".to_owned()));
    }
    let found = sqlx::query("SELECT value FROM fact WHERE name = 'format'")
        .fetch_optional(connection)
        .await
        .map_err(unavailable(doing))?
        .map(|row| row.try_get::<String, _>(0))
        .transpose()
        .map_err(unavailable(doing))?
        .unwrap_or_default();
    match found.parse() {
        Ok(version) if version <= CURRENT => Ok(version),
        Ok(_) | Err(_) => Err(refused(found)),
    }
}

fn refused(found: String) -> StoreError {
    StoreError::Format {
        found,
        expected: CURRENT,
    }
}

async fn apply(connection: &mut SqliteConnection, version: u32, statements: &'static str) -> sqlx::Result<()> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    sqlx::raw_sql(statements).execute(&mut *connection).await?;
    sqlx::query("INSERT INTO fact (name, value) VALUES ('format', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1")
        .bind(version.to_string())
        .execute(&mut *connection)
        .await?;
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(())
}

/// The format this program writes: the number of migrations.
pub(super) const CURRENT: u32 = 4;

/// What leads from each format to the next; a migration that was released is never changed.
const MIGRATIONS: [&str; CURRENT as usize] = [FIRST, SECOND, THIRD, FOURTH];

/// `open_intent` holds the intents that no row of `trail` closed yet; it saves a search through the whole trail at every
/// start. The trail's indexes leave out what is empty.
pub(super) const FIRST: &str = "
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE ledger (
  key BLOB PRIMARY KEY,
  binding_kind INTEGER NOT NULL,
  binding BLOB NOT NULL,
  stands_until INTEGER NOT NULL,
  remember_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_by_end ON ledger (remember_until);
CREATE TABLE trail (
  id INTEGER PRIMARY KEY,
  writer TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  time_seconds INTEGER NOT NULL,
  kind TEXT NOT NULL,
  exchange_id TEXT NOT NULL,
  spiffe_id TEXT NOT NULL,
  relying_party TEXT NOT NULL,
  code TEXT NOT NULL,
  body TEXT NOT NULL,
  hash BLOB NOT NULL,
  opens BLOB NOT NULL,
  UNIQUE (writer, sequence)
) STRICT;
CREATE INDEX trail_by_time ON trail (time_seconds);
CREATE INDEX trail_by_exchange ON trail (exchange_id) WHERE exchange_id <> '';
CREATE INDEX trail_by_workload ON trail (spiffe_id) WHERE spiffe_id <> '';
CREATE INDEX trail_by_code ON trail (code) WHERE code <> '';
CREATE TABLE open_intent (
  exchange_id TEXT NOT NULL,
  relying_party TEXT NOT NULL,
  writer TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (exchange_id, relying_party, writer, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE lock (
  id TEXT PRIMARY KEY,
  target TEXT NOT NULL,
  value TEXT NOT NULL,
  reason TEXT NOT NULL,
  created_seconds INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE authority (
  id TEXT NOT NULL,
  purpose TEXT NOT NULL,
  algorithm TEXT NOT NULL,
  state TEXT NOT NULL,
  created_seconds INTEGER NOT NULL,
  activates_seconds INTEGER NOT NULL,
  expires_seconds INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (id, purpose)
) STRICT, WITHOUT ROWID;
CREATE TABLE authority_generation (value INTEGER NOT NULL) STRICT;
INSERT INTO authority_generation (value) VALUES (0);
";

/// The X.509 half: what authorities issue certificates with, and which certificates are revoked.
///
/// Exchange ids grow with time from their 13th digit on: an index in that order touches one page where one over whole ids
/// touches a random page for each request.
pub(super) const SECOND: &str = "
DROP INDEX trail_by_exchange;
CREATE INDEX trail_by_exchange ON trail (substr(exchange_id, 13)) WHERE exchange_id <> '';
ALTER TABLE authority ADD COLUMN certificates BLOB NOT NULL DEFAULT x'';
ALTER TABLE authority ADD COLUMN removes_seconds INTEGER NOT NULL DEFAULT 0;
CREATE TABLE revocation (
  serial BLOB PRIMARY KEY,
  spiffe_id TEXT NOT NULL,
  exchange_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  revoked_seconds INTEGER NOT NULL,
  forget_seconds INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE revocation_generation (value INTEGER NOT NULL) STRICT;
INSERT INTO revocation_generation (value) VALUES (0);
";

/// Join tokens, by their digests.
pub(super) const THIRD: &str = "
CREATE TABLE join_token (
  id TEXT PRIMARY KEY,
  sha256 BLOB NOT NULL UNIQUE,
  ledger_key BLOB NOT NULL,
  attestor TEXT NOT NULL,
  machine TEXT NOT NULL,
  labels TEXT NOT NULL,
  made_by TEXT NOT NULL,
  created_seconds INTEGER NOT NULL,
  expires_seconds INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX join_token_by_end ON join_token (expires_seconds);
";

/// Keys of machines. The index by state holds what stands alone: replaced keys are found by their thumbprints.
const FOURTH: &str = "
CREATE TABLE bound_key (
  thumbprint BLOB PRIMARY KEY,
  jwk TEXT NOT NULL,
  registration TEXT NOT NULL,
  generation INTEGER NOT NULL,
  attestor TEXT NOT NULL,
  machine TEXT NOT NULL,
  labels TEXT NOT NULL,
  registered_seconds INTEGER NOT NULL,
  since_seconds INTEGER NOT NULL,
  state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX bound_key_by_registration ON bound_key (registration, generation);
CREATE INDEX bound_key_standing ON bound_key (registered_seconds, registration) WHERE state <> 'superseded';
";
