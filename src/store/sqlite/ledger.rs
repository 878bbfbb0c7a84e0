//! The ledger's rows as SQLite keeps them.
//!
//! Never reads a row it cannot understand as one that permits.

use std::{collections::HashMap, time::SystemTime};

use sqlx::{Row, SqliteConnection, SqlitePool, sqlite::SqliteArguments, sqlite::SqliteRow};

use super::{SqliteStore, StoreError, commit::add, unavailable};
use crate::{
    secret::Digest,
    store::{
        Binding, LedgerRow,
        ledger::{NewRow, from_nanoseconds, to_nanoseconds},
    },
};

/// What the ledger knows, by key.
pub(super) type Known = HashMap<Digest, LedgerRow>;

/// Returns one row.
pub(super) async fn row(readers: &SqlitePool, key: Digest) -> Result<Option<LedgerRow>, StoreError> {
    let doing = "reading the ledger";
    sqlx::query("SELECT key, binding_kind, binding, stands_until FROM ledger WHERE key = ?")
        .bind(key.as_bytes().as_slice())
        .fetch_optional(readers)
        .await
        .map_err(unavailable(doing))?
        .map(|row| read(&row).map(|(_key, row)| row))
        .transpose()
        .map_err(unavailable(doing))
}

/// Deletes some rows whose memory has ended; returns how many.
pub(super) async fn purge(connection: &mut SqliteConnection, now: SystemTime) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM ledger WHERE key IN (SELECT key FROM ledger WHERE remember_until <= ?1 ORDER BY remember_until \
         LIMIT ?2)",
    )
    .bind(to_nanoseconds(now))
    .bind(PURGED_AT_ONCE)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

impl SqliteStore {
    /// Deletes all rows whose memory has ended, a few at a time so that commits go on in between.
    pub(super) async fn forget_expired(&self, now: SystemTime) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let mut held = self.hold().await?;
            let freed = purge(&mut held.ready.connection, now)
                .await
                .map_err(unavailable("forgetting used evidence"))?;
            held.ready.ledger_rows = held.ready.ledger_rows.saturating_sub(freed);
            held.keep();
            forgotten += freed;
            if freed < u64::from(PURGED_AT_ONCE) {
                return Ok(forgotten);
            }
        }
    }
}

/// Reads a row.
pub(super) fn read(row: &SqliteRow) -> sqlx::Result<(Digest, LedgerRow)> {
    let key = digest(row, 0)?;
    let binding = match row.try_get::<i64, _>(1)? {
        BEARER => Binding::Bearer,
        CERTIFICATE => Binding::Certificate(digest(row, 2)?),
        DPOP => Binding::Dpop(digest(row, 2)?),
        IDEMPOTENCY_KEY => Binding::IdempotencyKey(digest(row, 2)?),
        found => return Err(unreadable(format!("binding kind {found}, expected 0 to 3"))),
    };
    let stands_until = from_nanoseconds(row.try_get(3)?);
    Ok((key, LedgerRow { binding, stands_until }))
}

/// Adds a row to bind that was made at `now`.
pub(super) fn write(values: &mut SqliteArguments, new: &NewRow, now: SystemTime) -> sqlx::Result<()> {
    let (kind, binding) = match &new.row.binding {
        Binding::Bearer => (BEARER, &[][..]),
        Binding::Certificate(sha256) => (CERTIFICATE, &sha256.as_bytes()[..]),
        Binding::Dpop(thumbprint) => (DPOP, &thumbprint.as_bytes()[..]),
        Binding::IdempotencyKey(sha256) => (IDEMPOTENCY_KEY, &sha256.as_bytes()[..]),
    };
    add(values, new.key.as_bytes().as_slice())?;
    add(values, kind)?;
    add(values, binding)?;
    add(values, to_nanoseconds(new.row.stands_until))?;
    add(
        values,
        to_nanoseconds(new.remember_until).saturating_add(within_second(now)),
    )
}

/// Returns the nanoseconds since the last whole second: by how much longer a row is remembered.
///
/// Tokens end at whole seconds, and hundreds of one second would each touch another page of the index by end; so the rows
/// of one second stand there in the order in which they came.
fn within_second(now: SystemTime) -> i64 {
    to_nanoseconds(now).rem_euclid(1_000_000_000)
}

/// Reads a column of 32 bytes.
pub(super) fn digest(row: &SqliteRow, column: usize) -> sqlx::Result<Digest> {
    let bytes: &[u8] = row.try_get(column)?;
    let found = bytes.len();
    <[u8; 32]>::try_from(bytes)
        .map(Digest::from_bytes)
        .map_err(|_length| unreadable(format!("{found} bytes, expected a digest of 32")))
}

/// Refuses a column that this program did not write so.
pub(super) fn unreadable(found: String) -> sqlx::Error {
    sqlx::Error::Decode(found.into())
}

const BEARER: i64 = 0;
const DPOP: i64 = 1;
const IDEMPOTENCY_KEY: i64 = 2;
const CERTIFICATE: i64 = 3;

/// Few enough that a commit that waits behind it stays far below its deadline.
const PURGED_AT_ONCE: u32 = 1_000;
