//! The join tokens that were given out.
//!
//! Never keeps a token, only its digest; whether one was used is the ledger's to say.

use std::time::SystemTime;

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{JoinTokenRow, StoreError, connections::Connections, signed, trail::digest, unavailable, unsigned};
use crate::{clock::unix_seconds, secret::Digest};

/// Returns all, oldest first.
pub(super) async fn all(connections: &Connections) -> Result<Vec<JoinTokenRow>, StoreError> {
    let doing = "reading the join tokens";
    let mut lent = connections.lend(doing).await?;
    let rows = sqlx::query(ALL)
        .fetch_all(lent.connection())
        .await
        .and_then(|found| found.iter().map(read).collect())
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(rows)
}

/// Returns the one with this digest.
pub(super) async fn one(connections: &Connections, sha256: Digest) -> Result<Option<JoinTokenRow>, StoreError> {
    let doing = "looking up a join token";
    let mut lent = connections.lend(doing).await?;
    let row = sqlx::query(ONE)
        .bind(sha256.as_bytes().as_slice())
        .fetch_optional(lent.connection())
        .await
        .and_then(|found| found.as_ref().map(read).transpose())
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(row)
}

fn read(row: &PgRow) -> sqlx::Result<JoinTokenRow> {
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

/// Adds `rows` where there is room for all.
pub(super) async fn add(connections: &Connections, rows: &[JoinTokenRow], now: SystemTime) -> Result<bool, StoreError> {
    let doing = "adding join tokens";
    let mut lent = connections.lend(doing).await?;
    let added = add_in(lent.connection(), rows, unix_seconds(now))
        .await
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(added)
}

async fn add_in(connection: &mut PgConnection, rows: &[JoinTokenRow], now_seconds: u64) -> sqlx::Result<bool> {
    // Two processes count one after the other; who only looks up does not wait.
    sqlx::raw_sql("BEGIN; LOCK TABLE join_token IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM join_token WHERE expires_seconds <= $1")
        .bind(signed(now_seconds.saturating_sub(JoinTokenRow::KEPT_SECONDS)))
        .execute(&mut *connection)
        .await?;
    if !fit(connection, rows).await? {
        sqlx::raw_sql("DELETE FROM join_token WHERE ledger_key IN (SELECT key FROM ledger)")
            .execute(&mut *connection)
            .await?;
    }
    if !fit(connection, rows).await? {
        sqlx::raw_sql("ROLLBACK").execute(connection).await?;
        return Ok(false);
    }
    for row in rows {
        insert(connection, row).await?;
    }
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(true)
}

async fn insert(connection: &mut PgConnection, row: &JoinTokenRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO join_token (id, sha256, ledger_key, attestor, machine, labels, made_by, created_seconds, \
         expires_seconds) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)",
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

async fn fit(connection: &mut PgConnection, rows: &[JoinTokenRow]) -> sqlx::Result<bool> {
    let standing: i64 = sqlx::query_scalar("SELECT count(*) FROM join_token")
        .fetch_one(connection)
        .await?;
    let standing = usize::try_from(standing).unwrap_or(usize::MAX);
    Ok(standing.saturating_add(rows.len()) <= JoinTokenRow::MAX_ROWS)
}

/// Removes one by its id; returns whether there was one.
pub(super) async fn delete(connections: &Connections, id: &str) -> Result<bool, StoreError> {
    let doing = "removing a join token";
    let mut lent = connections.lend(doing).await?;
    let done = sqlx::query("DELETE FROM join_token WHERE id = $1")
        .bind(id)
        .execute(lent.connection())
        .await
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(done.rows_affected() > 0)
}

const ALL: &str = "SELECT id, sha256, ledger_key, attestor, machine, labels, made_by, created_seconds, expires_seconds, \
                   EXISTS (SELECT FROM ledger WHERE key = ledger_key) FROM join_token ORDER BY created_seconds, id";

const ONE: &str = "SELECT id, sha256, ledger_key, attestor, machine, labels, made_by, created_seconds, expires_seconds, \
                   EXISTS (SELECT FROM ledger WHERE key = ledger_key) FROM join_token WHERE sha256 = $1";
