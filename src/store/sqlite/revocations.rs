//! The certificates that are revoked.
//!
//! Never grows without bound: rows go once nobody could be shown their certificate, and too many are refused.

use std::time::SystemTime;

use sqlx::{Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{RevocationRow, Revocations, SqliteStore, StoreError, signed, unavailable, unsigned};
use crate::clock::unix_seconds;

/// Returns generation and rows of one moment: one statement reads both.
pub(super) async fn all(readers: &SqlitePool) -> Result<Revocations, StoreError> {
    let doing = "reading the revocations";
    let found = sqlx::query(
        "SELECT g.value, r.serial, r.spiffe_id, r.exchange_id, r.reason, r.revoked_seconds, r.forget_seconds \
         FROM revocation_generation AS g LEFT JOIN revocation AS r ON 1 = 1 ORDER BY r.serial",
    )
    .fetch_all(readers)
    .await
    .map_err(unavailable(doing))?;
    let mut revocations = Revocations::default();
    for row in &found {
        revocations.generation = unsigned(row.try_get(0).map_err(unavailable(doing))?);
        revocations.rows.extend(read(row).map_err(unavailable(doing))?);
    }
    Ok(revocations)
}

fn read(row: &SqliteRow) -> sqlx::Result<Option<RevocationRow>> {
    let Some(serial) = row.try_get(1)? else {
        return Ok(None);
    };
    Ok(Some(RevocationRow {
        serial,
        spiffe_id: row.try_get(2)?,
        exchange_id: row.try_get(3)?,
        reason: row.try_get(4)?,
        revoked_seconds: unsigned(row.try_get(5)?),
        forget_seconds: unsigned(row.try_get(6)?),
    }))
}

impl SqliteStore {
    pub(super) async fn add_revocations(&self, rows: &[RevocationRow], now: SystemTime) -> Result<bool, StoreError> {
        let mut held = self.hold().await?;
        let added = add(&mut held.ready.connection, rows, unix_seconds(now))
            .await
            .map_err(unavailable("adding revocations"))?;
        held.keep();
        Ok(added)
    }
}

async fn add(connection: &mut SqliteConnection, rows: &[RevocationRow], now_seconds: u64) -> sqlx::Result<bool> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    sqlx::query("DELETE FROM revocation WHERE forget_seconds <= ?")
        .bind(signed(now_seconds))
        .execute(&mut *connection)
        .await?;
    for row in rows {
        sqlx::query(
            "INSERT INTO revocation (serial, spiffe_id, exchange_id, reason, revoked_seconds, forget_seconds) \
             VALUES (?,?,?,?,?,?) ON CONFLICT (serial) DO NOTHING",
        )
        .bind(row.serial.as_slice())
        .bind(&row.spiffe_id)
        .bind(&row.exchange_id)
        .bind(&row.reason)
        .bind(signed(row.revoked_seconds))
        .bind(signed(row.forget_seconds))
        .execute(&mut *connection)
        .await?;
    }
    let standing: i64 = sqlx::query_scalar("SELECT count(*) FROM revocation")
        .fetch_one(&mut *connection)
        .await?;
    if usize::try_from(standing).unwrap_or(usize::MAX) > RevocationRow::MAX_ROWS {
        sqlx::query("ROLLBACK").execute(connection).await?;
        return Ok(false);
    }
    sqlx::query("UPDATE revocation_generation SET value = value + 1")
        .execute(&mut *connection)
        .await?;
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(true)
}
