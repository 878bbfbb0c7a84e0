//! The keys of machines.
//!
//! Never changes a key but in the commit of the entry about it.

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{BoundKeyRow, StoreError, connections::Connections, signed, trail::digest, unavailable, unsigned};
use crate::{
    secret::Digest,
    store::{BoundKeyChange, BoundKeyState},
};

/// Returns those that are current or locked, oldest registration first.
pub(super) async fn all(connections: &Connections) -> Result<Vec<BoundKeyRow>, StoreError> {
    let doing = "reading the machines' keys";
    let mut lent = connections.lend(doing).await?;
    let rows = sqlx::query(ALL)
        .fetch_all(lent.connection())
        .await
        .and_then(|found| found.iter().map(read).collect())
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(rows)
}

/// Returns the one with this thumbprint.
pub(super) async fn one(connections: &Connections, thumbprint: Digest) -> Result<Option<BoundKeyRow>, StoreError> {
    let doing = "looking up a machine's key";
    let mut lent = connections.lend(doing).await?;
    let row = sqlx::query(ONE)
        .bind(thumbprint.as_bytes().as_slice())
        .fetch_optional(lent.connection())
        .await
        .and_then(|found| found.as_ref().map(read).transpose())
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(row)
}

fn read(row: &PgRow) -> sqlx::Result<BoundKeyRow> {
    Ok(BoundKeyRow {
        thumbprint: digest(row, 0)?,
        jwk: row.try_get(1)?,
        registration: row.try_get(2)?,
        generation: unsigned(row.try_get(3)?),
        attestor: row.try_get(4)?,
        machine: row.try_get(5)?,
        labels: row.try_get(6)?,
        registered_seconds: unsigned(row.try_get(7)?),
        since_seconds: unsigned(row.try_get(8)?),
        state: BoundKeyState::parse(row.try_get(9)?),
    })
}

/// Removes all keys of a registration; returns whether there were any.
pub(super) async fn delete(connections: &Connections, registration: &str) -> Result<bool, StoreError> {
    let doing = "removing a machine's keys";
    let mut lent = connections.lend(doing).await?;
    let done = sqlx::query("DELETE FROM bound_key WHERE registration = $1")
        .bind(registration)
        .execute(lent.connection())
        .await
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(done.rows_affected() > 0)
}

/// Makes a change within the transaction of a commit.
pub(super) async fn apply(connection: &mut PgConnection, change: &BoundKeyChange) -> sqlx::Result<()> {
    match change {
        BoundKeyChange::Lock { registration } => {
            sqlx::query("UPDATE bound_key SET state = 'locked' WHERE registration = $1 AND state = 'current'")
                .bind(registration)
                .execute(connection)
                .await?;
        }
        BoundKeyChange::Register(row) => insert(connection, row).await?,
        BoundKeyChange::Rotate { from, to } => {
            let replaced = sqlx::query(
                "UPDATE bound_key SET state = 'superseded' \
                 WHERE thumbprint = $1 AND state = 'current' AND generation = $2",
            )
            .bind(from.as_bytes().as_slice())
            .bind(signed(to.generation.saturating_sub(1)))
            .execute(&mut *connection)
            .await?;
            if replaced.rows_affected() == 1 {
                insert(connection, to).await?;
                sqlx::query("DELETE FROM bound_key WHERE registration = $1 AND generation < $2")
                    .bind(&to.registration)
                    .bind(signed(to.generation.saturating_sub(BoundKeyRow::REMEMBERED)))
                    .execute(connection)
                    .await?;
            }
        }
    }
    Ok(())
}

async fn insert(connection: &mut PgConnection, row: &BoundKeyRow) -> sqlx::Result<()> {
    sqlx::query(INSERT)
        .bind(row.thumbprint.as_bytes().as_slice())
        .bind(&row.jwk)
        .bind(&row.registration)
        .bind(signed(row.generation))
        .bind(&row.attestor)
        .bind(&row.machine)
        .bind(&row.labels)
        .bind(signed(row.registered_seconds))
        .bind(signed(row.since_seconds))
        .bind(row.state.as_str())
        .bind(i64::try_from(BoundKeyRow::MAX_REGISTRATIONS).unwrap_or(0))
        .execute(connection)
        .await?;
    Ok(())
}

const ALL: &str = "SELECT thumbprint, jwk, registration, generation, attestor, machine, labels, registered_seconds, \
                   since_seconds, state FROM bound_key WHERE state <> 'superseded' ORDER BY registered_seconds, registration";

const ONE: &str = "SELECT thumbprint, jwk, registration, generation, attestor, machine, labels, registered_seconds, \
                   since_seconds, state FROM bound_key WHERE thumbprint = $1";

const INSERT: &str = "INSERT INTO bound_key (thumbprint, jwk, registration, generation, attestor, machine, labels, \
                      registered_seconds, since_seconds, state) SELECT $1,$2,$3,$4,$5,$6,$7,$8,$9,$10 \
                      WHERE (SELECT count(*) FROM bound_key WHERE state <> 'superseded') < $11 \
                      ON CONFLICT (thumbprint) DO NOTHING";
