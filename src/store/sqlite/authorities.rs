//! The sealed authorities, replaced as a whole by compare-and-swap on their generation.
//!
//! Never sees a private key: what is stored was sealed before.

use sqlx::{Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{Authorities, AuthorityRow, SqliteStore, StoreError, signed, unavailable, unsigned};

/// Returns generation and rows of one moment: one statement reads both.
pub(super) async fn all(readers: &SqlitePool) -> Result<Authorities, StoreError> {
    let doing = "reading the authorities";
    let found = sqlx::query(
        "SELECT g.value, a.id, a.purpose, a.algorithm, a.state, a.created_seconds, a.activates_seconds, \
         a.expires_seconds, a.sealed, a.certificates, a.removes_seconds FROM authority_generation AS g LEFT JOIN authority AS a ON 1 = 1 \
         ORDER BY a.created_seconds, a.id",
    )
    .fetch_all(readers)
    .await
    .map_err(unavailable(doing))?;
    let mut authorities = Authorities::default();
    for row in &found {
        authorities.generation = unsigned(row.try_get(0).map_err(unavailable(doing))?);
        authorities.rows.extend(read(row).map_err(unavailable(doing))?);
    }
    Ok(authorities)
}

fn read(row: &SqliteRow) -> sqlx::Result<Option<AuthorityRow>> {
    let Some(id) = row.try_get(1)? else {
        return Ok(None);
    };
    Ok(Some(AuthorityRow {
        id,
        purpose: row.try_get(2)?,
        algorithm: row.try_get(3)?,
        state: row.try_get(4)?,
        created_seconds: unsigned(row.try_get(5)?),
        activates_seconds: unsigned(row.try_get(6)?),
        expires_seconds: unsigned(row.try_get(7)?),
        sealed: row.try_get(8)?,
        certificates: row.try_get(9)?,
        removes_seconds: unsigned(row.try_get(10)?),
    }))
}

impl SqliteStore {
    pub(super) async fn swap_authorities(&self, expected: u64, rows: &[AuthorityRow]) -> Result<bool, StoreError> {
        let mut held = self.hold().await?;
        let swapped = swap(&mut held.ready.connection, expected, rows)
            .await
            .map_err(unavailable("replacing the authorities"))?;
        held.keep();
        Ok(swapped)
    }
}

async fn swap(connection: &mut SqliteConnection, expected: u64, rows: &[AuthorityRow]) -> sqlx::Result<bool> {
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let moved = sqlx::query("UPDATE authority_generation SET value = value + 1 WHERE value = ?")
        .bind(signed(expected))
        .execute(&mut *connection)
        .await?;
    if moved.rows_affected() == 0 {
        sqlx::query("ROLLBACK").execute(connection).await?;
        return Ok(false);
    }
    sqlx::query("DELETE FROM authority").execute(&mut *connection).await?;
    for row in rows {
        sqlx::query(
            "INSERT INTO authority (id, purpose, algorithm, state, created_seconds, activates_seconds, \
             expires_seconds, sealed, certificates, removes_seconds) VALUES (?,?,?,?,?,?,?,?,?,?)",
        )
        .bind(&row.id)
        .bind(&row.purpose)
        .bind(&row.algorithm)
        .bind(&row.state)
        .bind(signed(row.created_seconds))
        .bind(signed(row.activates_seconds))
        .bind(signed(row.expires_seconds))
        .bind(row.sealed.as_slice())
        .bind(row.certificates.as_slice())
        .bind(signed(row.removes_seconds))
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query("COMMIT").execute(connection).await?;
    Ok(true)
}
