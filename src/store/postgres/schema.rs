//! The tables, and how an older format becomes a newer one.
//!
//! Never touches a newer format, or tables that are not Cambio's; one replica migrates, the others wait for it.

use sqlx::PgConnection;

use super::{StoreError, unavailable};

/// Brings the database to the format this program writes.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), StoreError> {
    // Whoever only starts needs no right to change tables.
    if format(connection).await? == CURRENT {
        return Ok(());
    }
    let doing = "migrating it";
    sqlx::raw_sql(BEGIN)
        .execute(&mut *connection)
        .await
        .map_err(unavailable(doing))?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION)
        .execute(&mut *connection)
        .await
        .map_err(unavailable(doing))?;
    let from = format(connection).await?;
    if from == 0 && !schema_exists(connection).await? {
        sqlx::raw_sql("CREATE SCHEMA cambio")
            .execute(&mut *connection)
            .await
            .map_err(unavailable(doing))?;
    }
    for (version, statements) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > from) {
        apply(connection, version, statements)
            .await
            .map_err(unavailable(doing))?;
    }
    sqlx::raw_sql("COMMIT")
        .execute(connection)
        .await
        .map_err(unavailable(doing))?;
    Ok(())
}

/// Refuses any format but the one this program writes.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), StoreError> {
    match format(connection).await? {
        CURRENT => Ok(()),
        older => Err(refused(older.to_string())),
    }
}

/// Returns the format, 0 where there are no tables yet.
async fn format(connection: &mut PgConnection) -> Result<u32, StoreError> {
    let doing = "reading its format";
    let (tables, facts): (i64, bool) = sqlx::query_as(
        "SELECT count(*), coalesce(bool_or(tablename = 'fact'), false) FROM pg_catalog.pg_tables WHERE schemaname = 'cambio'",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(unavailable(doing))?;
    if tables == 0 {
        return Ok(0);
    }
    if !facts {
        return Err(refused("none: the schema `cambio` is another program's".to_owned()));
    }
    let found: Option<String> = sqlx::query_scalar("SELECT value FROM cambio.fact WHERE name = 'format'")
        .fetch_optional(connection)
        .await
        .map_err(unavailable(doing))?;
    let found = found.unwrap_or_default();
    match found.parse() {
        Ok(version) if version <= CURRENT => Ok(version),
        Ok(_) | Err(_) => Err(refused(found)),
    }
}

async fn schema_exists(connection: &mut PgConnection) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'cambio')")
        .fetch_one(connection)
        .await
        .map_err(unavailable("reading its format"))
}

fn refused(found: String) -> StoreError {
    StoreError::Format {
        found,
        expected: CURRENT,
    }
}

async fn apply(connection: &mut PgConnection, version: u32, statements: &'static str) -> sqlx::Result<()> {
    sqlx::raw_sql(statements).execute(&mut *connection).await?;
    sqlx::query("INSERT INTO fact (name, value) VALUES ('format', $1) ON CONFLICT (name) DO UPDATE SET value = $1")
        .bind(version.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// The format this program writes: the number of migrations.
pub(super) const CURRENT: u32 = 3;

/// What leads from each format to the next; a migration that was released is never changed.
const MIGRATIONS: [&str; CURRENT as usize] = [FIRST, SECOND, THIRD];

/// Any number that no other program of the same database is likely to lock: the first bytes of `cambio` and `store`.
const MIGRATION: i64 = 0x6361_6d62_7374_6f72;

/// A migration may take as long as it takes, and so may waiting for one.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; \
                     SET LOCAL idle_in_transaction_session_timeout = 0";

/// `open_intent` holds the intents that no row of `trail` closed yet. `writer` holds the lease of each chain, and where the
/// chain ends, so that a process finds that the database went back. What is compared with `<` sorts by bytes (`"C"`).
pub(super) const FIRST: &str = r#"
CREATE TABLE fact (name text COLLATE "C" PRIMARY KEY, value text NOT NULL);
CREATE TABLE ledger (
  key bytea PRIMARY KEY,
  binding_kind smallint NOT NULL,
  binding bytea NOT NULL,
  stands_until bigint NOT NULL,
  remember_until bigint NOT NULL
);
CREATE INDEX ledger_by_end ON ledger (remember_until);
CREATE TABLE trail (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  writer text COLLATE "C" NOT NULL,
  sequence bigint NOT NULL,
  time_seconds bigint NOT NULL,
  kind text NOT NULL,
  exchange_id text NOT NULL,
  spiffe_id text NOT NULL,
  relying_party text NOT NULL,
  code text NOT NULL,
  body text NOT NULL,
  hash bytea NOT NULL,
  opens bytea NOT NULL,
  UNIQUE (writer, sequence)
);
CREATE INDEX trail_by_time ON trail (time_seconds);
CREATE INDEX trail_by_exchange ON trail (exchange_id) WHERE exchange_id <> '';
CREATE INDEX trail_by_workload ON trail (spiffe_id) WHERE spiffe_id <> '';
CREATE INDEX trail_by_code ON trail (code) WHERE code <> '';
CREATE TABLE open_intent (
  exchange_id text NOT NULL,
  relying_party text NOT NULL,
  writer text COLLATE "C" NOT NULL,
  sequence bigint NOT NULL,
  PRIMARY KEY (exchange_id, relying_party, writer, sequence)
);
CREATE INDEX open_intent_by_writer ON open_intent (writer);
CREATE TABLE writer (
  writer text COLLATE "C" PRIMARY KEY,
  sequence bigint NOT NULL,
  begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  lease_until timestamptz NOT NULL,
  ended_at timestamptz,
  ended_by text COLLATE "C"
);
CREATE INDEX writer_alive ON writer (lease_until) WHERE ended_at IS NULL;
CREATE TABLE lease (
  name text COLLATE "C" PRIMARY KEY,
  holder text NOT NULL,
  fence bigint NOT NULL,
  lease_until timestamptz NOT NULL
);
CREATE TABLE lock (
  id text COLLATE "C" PRIMARY KEY,
  target text NOT NULL,
  value text NOT NULL,
  reason text NOT NULL,
  created_seconds bigint NOT NULL
);
CREATE TABLE authority (
  id text COLLATE "C" NOT NULL,
  purpose text NOT NULL,
  algorithm text NOT NULL,
  state text NOT NULL,
  created_seconds bigint NOT NULL,
  activates_seconds bigint NOT NULL,
  expires_seconds bigint NOT NULL,
  sealed bytea NOT NULL,
  certificates bytea NOT NULL,
  removes_seconds bigint NOT NULL,
  PRIMARY KEY (id, purpose)
);
CREATE TABLE authority_generation (value bigint NOT NULL);
INSERT INTO authority_generation (value) VALUES (0);
CREATE TABLE revocation (
  serial bytea PRIMARY KEY,
  spiffe_id text NOT NULL,
  exchange_id text NOT NULL,
  reason text NOT NULL,
  revoked_seconds bigint NOT NULL,
  forget_seconds bigint NOT NULL
);
CREATE TABLE revocation_generation (value bigint NOT NULL);
INSERT INTO revocation_generation (value) VALUES (0);
"#;

/// Join tokens, by their digests.
const SECOND: &str = r#"
CREATE TABLE join_token (
  id text COLLATE "C" PRIMARY KEY,
  sha256 bytea NOT NULL UNIQUE,
  ledger_key bytea NOT NULL,
  attestor text NOT NULL,
  machine text NOT NULL,
  labels text NOT NULL,
  made_by text NOT NULL,
  created_seconds bigint NOT NULL,
  expires_seconds bigint NOT NULL
);
CREATE INDEX join_token_by_end ON join_token (expires_seconds);
"#;

/// Keys of machines.
const THIRD: &str = r#"
CREATE TABLE bound_key (
  thumbprint bytea PRIMARY KEY,
  jwk text NOT NULL,
  registration text COLLATE "C" NOT NULL,
  generation bigint NOT NULL,
  attestor text NOT NULL,
  machine text NOT NULL,
  labels text NOT NULL,
  registered_seconds bigint NOT NULL,
  since_seconds bigint NOT NULL,
  state text NOT NULL
);
CREATE INDEX bound_key_by_registration ON bound_key (registration, generation);
CREATE INDEX bound_key_standing ON bound_key (registered_seconds, registration) WHERE state <> 'superseded';
"#;
