//! The certificates that are revoked.
//!
//! Never grows without bound: rows go once nobody could be shown their certificate, and too many are refused.

use std::time::SystemTime;

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    RevocationRow, Revocations, StoreError,
    connections::Connections,
    listen::{NOTIFY, REVOCATIONS},
    signed, unavailable, unsigned,
};
use crate::clock::unix_seconds;

/// Returns generation and rows of one moment: one statement reads both.
pub(super) async fn all(connections: &Connections) -> Result<Revocations, StoreError> {
    let doing = "reading the revocations";
    let mut lent = connections.lend(doing).await?;
    let found = sqlx::query(
        "SELECT g.value, r.serial, r.spiffe_id, r.exchange_id, r.reason, r.revoked_seconds, r.forget_seconds \
         FROM revocation_generation AS g LEFT JOIN revocation AS r ON true ORDER BY r.serial",
    )
    .fetch_all(lent.connection())
    .await
    .map_err(unavailable(doing))?;
    lent.keep();
    let mut revocations = Revocations::default();
    for row in &found {
        revocations.generation = unsigned(row.try_get(0).map_err(unavailable(doing))?);
        revocations.rows.extend(read(row).map_err(unavailable(doing))?);
    }
    Ok(revocations)
}

fn read(row: &PgRow) -> sqlx::Result<Option<RevocationRow>> {
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

/// Adds `rows`, all or none, and gives word to the other processes.
pub(super) async fn add(
    connections: &Connections,
    rows: &[RevocationRow],
    now: SystemTime,
) -> Result<bool, StoreError> {
    let doing = "adding revocations";
    let mut lent = connections.lend(doing).await?;
    let added = add_in(lent.connection(), rows, unix_seconds(now))
        .await
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(added)
}

async fn add_in(connection: &mut PgConnection, rows: &[RevocationRow], now_seconds: u64) -> sqlx::Result<bool> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    // First of all, so that two processes count one after the other.
    sqlx::query("UPDATE revocation_generation SET value = value + 1")
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM revocation WHERE forget_seconds <= $1")
        .bind(signed(now_seconds))
        .execute(&mut *connection)
        .await?;
    let serials: Vec<&[u8]> = rows.iter().map(|row| row.serial.as_slice()).collect();
    let spiffe_ids: Vec<&str> = rows.iter().map(|row| row.spiffe_id.as_str()).collect();
    let exchange_ids: Vec<&str> = rows.iter().map(|row| row.exchange_id.as_str()).collect();
    let reasons: Vec<&str> = rows.iter().map(|row| row.reason.as_str()).collect();
    let revoked: Vec<i64> = rows.iter().map(|row| signed(row.revoked_seconds)).collect();
    let forgets: Vec<i64> = rows.iter().map(|row| signed(row.forget_seconds)).collect();
    sqlx::query(
        "INSERT INTO revocation (serial, spiffe_id, exchange_id, reason, revoked_seconds, forget_seconds) \
         SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[]) \
         ON CONFLICT (serial) DO NOTHING",
    )
    .bind(serials)
    .bind(spiffe_ids)
    .bind(exchange_ids)
    .bind(reasons)
    .bind(revoked)
    .bind(forgets)
    .execute(&mut *connection)
    .await?;
    let standing: i64 = sqlx::query_scalar("SELECT count(*) FROM revocation")
        .fetch_one(&mut *connection)
        .await?;
    if usize::try_from(standing).unwrap_or(usize::MAX) > RevocationRow::MAX_ROWS {
        sqlx::raw_sql("ROLLBACK").execute(connection).await?;
        return Ok(false);
    }
    sqlx::query(NOTIFY).bind(REVOCATIONS).execute(&mut *connection).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(true)
}
