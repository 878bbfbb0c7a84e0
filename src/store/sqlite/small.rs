//! Locks and facts.
//!
//! Never caches: whoever reads often keeps a copy of its own.

use sqlx::{Row, SqlitePool, sqlite::SqliteRow};

use super::{LockRow, SqliteStore, StoreError, signed, unavailable, unsigned};

/// Returns the locks, by id.
pub(super) async fn locks(readers: &SqlitePool) -> Result<Vec<LockRow>, StoreError> {
    let doing = "reading the locks";
    sqlx::query("SELECT id, target, value, reason, created_seconds FROM lock ORDER BY id")
        .fetch_all(readers)
        .await
        .map_err(unavailable(doing))?
        .iter()
        .map(read_lock)
        .collect::<sqlx::Result<_>>()
        .map_err(unavailable(doing))
}

fn read_lock(row: &SqliteRow) -> sqlx::Result<LockRow> {
    Ok(LockRow {
        id: row.try_get(0)?,
        target: row.try_get(1)?,
        value: row.try_get(2)?,
        reason: row.try_get(3)?,
        created_seconds: unsigned(row.try_get(4)?),
    })
}

/// Returns a fact.
pub(super) async fn fact(readers: &SqlitePool, name: &str) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar("SELECT value FROM fact WHERE name = ?")
        .bind(name)
        .fetch_optional(readers)
        .await
        .map_err(unavailable("reading a fact"))
}

impl SqliteStore {
    pub(super) async fn put_lock(&self, lock: LockRow) -> Result<(), StoreError> {
        let mut held = self.hold().await?;
        sqlx::query("INSERT OR REPLACE INTO lock (id, target, value, reason, created_seconds) VALUES (?,?,?,?,?)")
            .bind(lock.id)
            .bind(lock.target)
            .bind(lock.value)
            .bind(lock.reason)
            .bind(signed(lock.created_seconds))
            .execute(&mut held.ready.connection)
            .await
            .map_err(unavailable("adding a lock"))?;
        held.keep();
        Ok(())
    }

    pub(super) async fn delete_lock(&self, id: &str) -> Result<bool, StoreError> {
        let mut held = self.hold().await?;
        let done = sqlx::query("DELETE FROM lock WHERE id = ?")
            .bind(id)
            .execute(&mut held.ready.connection)
            .await
            .map_err(unavailable("removing a lock"))?;
        held.keep();
        Ok(done.rows_affected() > 0)
    }

    pub(super) async fn put_fact(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let mut held = self.hold().await?;
        sqlx::query("INSERT OR REPLACE INTO fact (name, value) VALUES (?,?)")
            .bind(name)
            .bind(value)
            .execute(&mut held.ready.connection)
            .await
            .map_err(unavailable("setting a fact"))?;
        held.keep();
        Ok(())
    }
}
