//! The keys of machines.
//!
//! Never changes a key but in the commit of the entry about it.

use sqlx::{Row, SqliteConnection, SqlitePool, sqlite::SqliteRow};

use super::{BoundKeyRow, SqliteStore, StoreError, ledger::digest, signed, unavailable, unsigned};
use crate::{
    secret::Digest,
    store::{BoundKeyChange, BoundKeyState},
};

/// Returns those that are current or locked, oldest registration first.
pub(super) async fn all(readers: &SqlitePool) -> Result<Vec<BoundKeyRow>, StoreError> {
    let doing = "reading the machines' keys";
    sqlx::query(ALL)
        .fetch_all(readers)
        .await
        .map_err(unavailable(doing))?
        .iter()
        .map(read)
        .collect::<sqlx::Result<_>>()
        .map_err(unavailable(doing))
}

/// Returns the one with this thumbprint.
pub(super) async fn one(readers: &SqlitePool, thumbprint: Digest) -> Result<Option<BoundKeyRow>, StoreError> {
    let doing = "looking up a machine's key";
    sqlx::query(ONE)
        .bind(thumbprint.as_bytes().as_slice())
        .fetch_optional(readers)
        .await
        .map_err(unavailable(doing))?
        .map(|row| read(&row))
        .transpose()
        .map_err(unavailable(doing))
}

fn read(row: &SqliteRow) -> sqlx::Result<BoundKeyRow> {
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

impl SqliteStore {
    pub(super) async fn delete_bound_key(&self, registration: &str) -> Result<bool, StoreError> {
        let mut held = self.hold().await?;
        let done = sqlx::query("DELETE FROM bound_key WHERE registration = ?")
            .bind(registration)
            .execute(&mut held.ready.connection)
            .await
            .map_err(unavailable("removing a machine's keys"))?;
        held.keep();
        Ok(done.rows_affected() > 0)
    }
}

/// Makes a change within the transaction of a commit.
pub(super) async fn apply(connection: &mut SqliteConnection, change: &BoundKeyChange) -> sqlx::Result<()> {
    match change {
        BoundKeyChange::Lock { registration } => {
            sqlx::query("UPDATE bound_key SET state = 'locked' WHERE registration = ? AND state = 'current'")
                .bind(registration)
                .execute(connection)
                .await?;
        }
        BoundKeyChange::Register(row) => insert(connection, row).await?,
        BoundKeyChange::Rotate { from, to } => {
            let replaced = sqlx::query(
                "UPDATE bound_key SET state = 'superseded' WHERE thumbprint = ? AND state = 'current' AND generation = ?",
            )
            .bind(from.as_bytes().as_slice())
            .bind(signed(to.generation.saturating_sub(1)))
            .execute(&mut *connection)
            .await?;
            if replaced.rows_affected() == 1 {
                insert(connection, to).await?;
                sqlx::query("DELETE FROM bound_key WHERE registration = ? AND generation < ?")
                    .bind(&to.registration)
                    .bind(signed(to.generation.saturating_sub(BoundKeyRow::REMEMBERED)))
                    .execute(connection)
                    .await?;
            }
        }
    }
    Ok(())
}

async fn insert(connection: &mut SqliteConnection, row: &BoundKeyRow) -> sqlx::Result<()> {
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
                   since_seconds, state FROM bound_key WHERE thumbprint = ?";

const INSERT: &str = "INSERT INTO bound_key (thumbprint, jwk, registration, generation, attestor, machine, labels, \
                      registered_seconds, since_seconds, state) SELECT ?,?,?,?,?,?,?,?,?,? \
                      WHERE (SELECT count(*) FROM bound_key WHERE state <> 'superseded') < ? \
                      ON CONFLICT (thumbprint) DO NOTHING";
