//! The join tokens that were given out.
//!
//! Never keeps a token, only its digest; whether one was used is the ledger's to say.

use std::time::SystemTime;

use sqlx::{Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{JoinTokenRow, SqliteStore, StoreError, ledger::digest, signed, unavailable, unsigned};
use crate::{clock::unix_seconds, secret::Digest};

/// Returns all, oldest first.
pub(super) async fn all(readers: &SqlitePool) -> Result<Vec<JoinTokenRow>, StoreError> {
    let doing = "reading the join tokens";
    sqlx::query(ALL)
        .fetch_all(readers)
        .await
        .map_err(unavailable(doing))?
        .iter()
        .map(read)
        .collect::<sqlx::Result<_>>()
        .map_err(unavailable(doing))
}

/// Returns the one with this digest.
pub(super) async fn one(readers: &SqlitePool, sha256: Digest) -> Result<Option<JoinTokenRow>, StoreError> {
    let doing = "looking up a join token";
    sqlx::query(ONE)
        .bind(sha256.as_bytes().as_slice())
        .fetch_optional(readers)
        .await
        .map_err(unavailable(doing))?
        .map(|row| read(&row))
        .transpose()
        .map_err(unavailable(doing))
}

fn read(row: &SqliteRow) -> sqlx::Result<JoinTokenRow> {
    Ok(JoinTokenRow {
        id: row.try_get(0)?,
        sha256: digest(row, 1)?,
        ledger_key: digest(row, 2)?,
        attestor: row.try_get(3)?,
        machine: row.try_get(4)?,
        labels: row.try_get(5)?,
        made_by: row.try_get(6)?,
        created_seconds: unsigned(row.try_get(7)?),
        expires_seconds: unsigned(row.try_get(8)?),
        used: row.try_get(9)?,
    })
}

impl SqliteStore {
    pub(super) async fn put_join_tokens(&self, rows: &[JoinTokenRow], now: SystemTime) -> Result<bool, StoreError> {
        let mut held = self.hold().await?;
        let added = add(&mut held.ready.connection, rows, unix_seconds(now))
            .await
            .map_err(unavailable("adding join tokens"))?;
        held.keep();
        Ok(added)
    }

    pub(super) async fn delete_join_token(&self, id: &str) -> Result<bool, StoreError> {
        let mut held = self.hold().await?;
        let done = sqlx::query("DELETE FROM join_token WHERE id = ?")
            .bind(id)
            .execute(&mut held.ready.connection)
            .await
            .map_err(unavailable("removing a join token"))?;
        held.keep();
        Ok(done.rows_affected() > 0)
    }
}

async fn add(connection: &mut SqliteConnection, rows: &[JoinTokenRow], now_seconds: u64) -> sqlx::Result<bool> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    sqlx::query("DELETE FROM join_token WHERE expires_seconds <= ?")
        .bind(signed(now_seconds.saturating_sub(JoinTokenRow::KEPT_SECONDS)))
        .execute(&mut *connection)
        .await?;
    if !fit(connection, rows).await? {
        sqlx::query("DELETE FROM join_token WHERE ledger_key IN (SELECT key FROM ledger)")
            .execute(&mut *connection)
            .await?;
    }
    if !fit(connection, rows).await? {
        sqlx::query("ROLLBACK").execute(connection).await?;
        return Ok(false);
    }
    for row in rows {
        insert(connection, row).await?;
    }
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(true)
}

async fn insert(connection: &mut SqliteConnection, row: &JoinTokenRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO join_token (id, sha256, ledger_key, attestor, machine, labels, made_by, created_seconds, \
         expires_seconds) VALUES (?,?,?,?,?,?,?,?,?)",
    )
    .bind(&row.id)
    .bind(row.sha256.as_bytes().as_slice())
    .bind(row.ledger_key.as_bytes().as_slice())
    .bind(&row.attestor)
    .bind(&row.machine)
    .bind(&row.labels)
    .bind(&row.made_by)
    .bind(signed(row.created_seconds))
    .bind(signed(row.expires_seconds))
    .execute(connection)
    .await?;
    Ok(())
}

async fn fit(connection: &mut SqliteConnection, rows: &[JoinTokenRow]) -> sqlx::Result<bool> {
    let standing: i64 = sqlx::query_scalar("SELECT count(*) FROM join_token")
        .fetch_one(connection)
        .await?;
    let standing = usize::try_from(standing).unwrap_or(usize::MAX);
    Ok(standing.saturating_add(rows.len()) <= JoinTokenRow::MAX_ROWS)
}

const ALL: &str = "SELECT id, sha256, ledger_key, attestor, machine, labels, made_by, created_seconds, expires_seconds, \
                   ledger_key IN (SELECT key FROM ledger) FROM join_token ORDER BY created_seconds, id";

const ONE: &str = "SELECT id, sha256, ledger_key, attestor, machine, labels, made_by, created_seconds, expires_seconds, \
                   ledger_key IN (SELECT key FROM ledger) FROM join_token WHERE sha256 = ?";
