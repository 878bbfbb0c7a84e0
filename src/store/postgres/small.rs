//! Locks, leases and facts.
//!
//! Never caches: whoever reads often keeps a copy of its own.

use std::time::Duration;

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    Lease, LockRow, StoreError,
    connections::Connections,
    listen::{LOCKS, NOTIFY},
    signed, unavailable, unsigned,
};

/// Returns the locks, by id.
pub(super) async fn locks(connections: &Connections) -> Result<Vec<LockRow>, StoreError> {
    let doing = "reading the locks";
    let mut lent = connections.lend(doing).await?;
    let rows = sqlx::query("SELECT id, target, value, reason, created_seconds FROM lock ORDER BY id")
        .fetch_all(lent.connection())
        .await
        .and_then(|found| found.iter().map(read_lock).collect())
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(rows)
}

fn read_lock(row: &PgRow) -> sqlx::Result<LockRow> {
    Ok(LockRow {
        id: row.try_get(0)?,
        target: row.try_get(1)?,
        value: row.try_get(2)?,
        reason: row.try_get(3)?,
        created_seconds: unsigned(row.try_get(4)?),
    })
}

/// Adds or replaces a lock, and gives word to the other processes.
pub(super) async fn put_lock(connections: &Connections, lock: LockRow) -> Result<(), StoreError> {
    let doing = "adding a lock";
    let mut lent = connections.lend(doing).await?;
    put_lock_in(lent.connection(), lock).await.map_err(unavailable(doing))?;
    lent.keep();
    Ok(())
}

async fn put_lock_in(connection: &mut PgConnection, lock: LockRow) -> sqlx::Result<()> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO lock (id, target, value, reason, created_seconds) VALUES ($1,$2,$3,$4,$5) ON CONFLICT (id) DO UPDATE \
         SET target = excluded.target, value = excluded.value, reason = excluded.reason, \
         created_seconds = excluded.created_seconds",
    )
    .bind(lock.id)
    .bind(lock.target)
    .bind(lock.value)
    .bind(lock.reason)
    .bind(signed(lock.created_seconds))
    .execute(&mut *connection)
    .await?;
    sqlx::query(NOTIFY).bind(LOCKS).execute(&mut *connection).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(())
}

/// Removes a lock, and gives word to the other processes.
pub(super) async fn delete_lock(connections: &Connections, id: &str) -> Result<bool, StoreError> {
    let doing = "removing a lock";
    let mut lent = connections.lend(doing).await?;
    let removed = delete_lock_in(lent.connection(), id)
        .await
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(removed)
}

async fn delete_lock_in(connection: &mut PgConnection, id: &str) -> sqlx::Result<bool> {
    sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
    let done = sqlx::query("DELETE FROM lock WHERE id = $1")
        .bind(id)
        .execute(&mut *connection)
        .await?;
    sqlx::query(NOTIFY).bind(LOCKS).execute(&mut *connection).await?;
    sqlx::raw_sql("COMMIT").execute(connection).await?;
    Ok(done.rows_affected() > 0)
}

/// Takes or keeps a lease, by the database's clock.
pub(super) async fn lease(
    connections: &Connections,
    (name, holder): (&str, &str),
    hold: Duration,
) -> Result<Option<Lease>, StoreError> {
    let doing = "taking a lease";
    let mut lent = connections.lend(doing).await?;
    let fence: Option<i64> = sqlx::query_scalar(
        "INSERT INTO lease AS held (name, holder, fence, lease_until) \
         VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3)) \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until, \
         fence = held.fence + CASE WHEN held.holder = excluded.holder THEN 0 ELSE 1 END \
         WHERE held.holder = excluded.holder OR held.lease_until < clock_timestamp() RETURNING fence",
    )
    .bind(name)
    .bind(holder)
    .bind(hold.as_secs_f64())
    .fetch_optional(lent.connection())
    .await
    .map_err(unavailable(doing))?;
    lent.keep();
    Ok(fence.map(|fence| Lease { fence: unsigned(fence) }))
}

/// Returns a fact.
pub(super) async fn fact(connections: &Connections, name: &str) -> Result<Option<String>, StoreError> {
    let doing = "reading a fact";
    let mut lent = connections.lend(doing).await?;
    let value = sqlx::query_scalar("SELECT value FROM fact WHERE name = $1")
        .bind(name)
        .fetch_optional(lent.connection())
        .await
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(value)
}

/// Sets a fact.
pub(super) async fn put_fact(connections: &Connections, name: &str, value: &str) -> Result<(), StoreError> {
    let doing = "setting a fact";
    let mut lent = connections.lend(doing).await?;
    sqlx::query(
        "INSERT INTO fact (name, value) VALUES ($1,$2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(lent.connection())
    .await
    .map_err(unavailable(doing))?;
    lent.keep();
    Ok(())
}
