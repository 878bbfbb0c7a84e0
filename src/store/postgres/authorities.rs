//! The sealed authorities, replaced as a whole by compare-and-swap on their generation.
//!
//! Never sees a private key: what is stored was sealed before.

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    Authorities, AuthorityRow, StoreError,
    connections::Connections,
    listen::{AUTHORITIES, NOTIFY},
    signed, unavailable, unsigned,
};

/// Returns generation and rows of one moment: one statement reads both.
pub(super) async fn all(connections: &Connections) -> Result<Authorities, StoreError> {
    let doing = "reading the authorities";
    let mut lent = connections.lend(doing).await?;
    let found = sqlx::query(
        "SELECT g.value, a.id, a.purpose, a.algorithm, a.state, a.created_seconds, a.activates_seconds, \
         a.expires_seconds, a.sealed, a.certificates, a.removes_seconds \
         FROM authority_generation AS g LEFT JOIN authority AS a ON true ORDER BY a.created_seconds, a.id",
    )
    .fetch_all(lent.connection())
    .await
    .map_err(unavailable(doing))?;
    lent.keep();
    let mut authorities = Authorities::default();
    for row in &found {
        authorities.generation = unsigned(row.try_get(0).map_err(unavailable(doing))?);
        authorities.rows.extend(read(row).map_err(unavailable(doing))?);
    }
    Ok(authorities)
}

fn read(row: &PgRow) -> sqlx::Result<Option<AuthorityRow>> {
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

/// Replaces all rows where the generation is still `expected`, and gives word to the other processes.
pub(super) async fn swap(connections: &Connections, expected: u64, rows: &[AuthorityRow]) -> Result<bool, StoreError> {
    let doing = "replacing the authorities";
    let mut lent = connections.lend(doing).await?;
    let swapped = swap_in(lent.connection(), expected, rows)
        .await
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(swapped)
}

async fn swap_in(connection: &mut PgConnection, expected: u64, rows: &[AuthorityRow]) -> sqlx::Result<bool> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    // The row of the generation is locked from here on: the second of two waits, and then finds another generation.
    let moved = sqlx::query("UPDATE authority_generation SET value = value + 1 WHERE value = $1")
        .bind(signed(expected))
        .execute(&mut *connection)
        .await?;
    if moved.rows_affected() == 0 {
        sqlx::raw_sql("ROLLBACK").execute(connection).await?;
        return Ok(false);
    }
    sqlx::query("DELETE FROM authority").execute(&mut *connection).await?;
    for row in rows {
        insert(connection, row).await?;
    }
    sqlx::query(NOTIFY).bind(AUTHORITIES).execute(&mut *connection).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(true)
}

async fn insert(connection: &mut PgConnection, row: &AuthorityRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO authority (id, purpose, algorithm, state, created_seconds, activates_seconds, expires_seconds, \
         sealed, certificates, removes_seconds) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)",
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
    .execute(connection)
    .await?;
    Ok(())
}
