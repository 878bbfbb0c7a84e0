//! The ledger's rows as PostgreSQL keeps them, and how they are won in a race.
//!
//! Never reads a row it cannot understand as one that permits, and never looks at a key before it has tried to take it:
//! whoever looked first could miss what another process is just committing.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering,
    time::SystemTime,
};

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    LONG, PostgresStore, StoreError,
    connections::{Connections, within},
    trail::{digest, unreadable},
    unavailable, unsigned,
};
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
pub(super) async fn row(connections: &Connections, key: Digest) -> Result<Option<LedgerRow>, StoreError> {
    let doing = "reading the ledger";
    let mut lent = connections.lend(doing).await?;
    let mut found = known(lent.connection(), &[key]).await.map_err(unavailable(doing))?;
    lent.keep();
    Ok(found.remove(&key))
}

/// Takes those of `keys`, in their order, that nobody has, with the rows that are likely to be wanted; returns which.
///
/// A key that another process has taken and not yet committed is waited for. All processes take keys in one order (`keys`
/// must be sorted), so that no two wait for each other.
pub(super) async fn reserve(
    connection: &mut PgConnection,
    keys: &[Digest],
    likely: &[NewRow],
) -> sqlx::Result<HashSet<Digest>> {
    let likely: HashMap<Digest, &NewRow> = likely.iter().map(|new| (new.key, new)).collect();
    let mut columns = Columns::default();
    for key in keys {
        columns.push(key, likely.get(key).copied());
    }
    let found = columns.insert(RESERVE).fetch_all(connection).await?;
    found.iter().map(|row| digest(row, 0)).collect()
}

/// Returns the rows of `keys` that are committed.
pub(super) async fn known(connection: &mut PgConnection, keys: &[Digest]) -> sqlx::Result<Known> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    sqlx::query("SELECT key, binding_kind, binding, stands_until FROM ledger WHERE key = ANY($1)")
        .bind(keys)
        .fetch_all(connection)
        .await?
        .iter()
        .map(read)
        .collect()
}

/// Replaces what was reserved by what is wanted, all of it among the reserved keys.
pub(super) async fn settle(
    connection: &mut PgConnection,
    reserved: &HashSet<Digest>,
    wanted: &[NewRow],
) -> sqlx::Result<()> {
    let keys: Vec<&[u8]> = reserved.iter().map(|key| key.as_bytes().as_slice()).collect();
    sqlx::query("DELETE FROM ledger WHERE key = ANY($1)")
        .bind(keys)
        .execute(&mut *connection)
        .await?;
    if !wanted.is_empty() {
        let mut columns = Columns::default();
        for new in wanted {
            columns.push(&new.key, Some(new));
        }
        columns.insert(INSERT).execute(connection).await?;
    }
    Ok(())
}

/// Deletes some rows whose memory has ended; returns how many.
///
/// A row that somebody else is about to delete is left to them, so that this never waits.
pub(super) async fn purge(connection: &mut PgConnection, now: SystemTime) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM ledger WHERE key IN (SELECT key FROM ledger WHERE remember_until <= $1 ORDER BY remember_until \
         LIMIT $2 FOR UPDATE SKIP LOCKED)",
    )
    .bind(to_nanoseconds(now))
    .bind(i64::from(PURGED_AT_ONCE))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Counts the rows.
pub(super) async fn count(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger")
        .fetch_one(connection)
        .await?;
    Ok(unsigned(rows))
}

impl PostgresStore {
    /// Deletes all rows whose memory has ended, a few at a time so that commits go on in between.
    pub(super) async fn forget_expired(&self, now: SystemTime) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let freed = within(LONG, FORGETTING, self.forget_some(now)).await?;
            forgotten += freed;
            if freed < u64::from(PURGED_AT_ONCE) {
                // The other processes added and forgot rows as well.
                self.count_ledger().await?;
                return Ok(forgotten);
            }
        }
    }

    async fn forget_some(&self, now: SystemTime) -> Result<u64, StoreError> {
        let mut lent = self.others.lend(FORGETTING).await?;
        let freed = purge(lent.connection(), self.forgotten_at(now)).await;
        let freed = freed.map_err(unavailable(FORGETTING))?;
        lent.keep();
        Ok(freed)
    }

    /// Counts the rows of the ledger, which every process changes.
    pub(super) async fn count_ledger(&self) -> Result<(), StoreError> {
        let doing = "counting the ledger";
        within(LONG, doing, async {
            let mut lent = self.others.lend(doing).await?;
            let rows = count(lent.connection()).await.map_err(unavailable(doing))?;
            lent.keep();
            self.ledger_rows.store(rows, Ordering::Release);
            Ok(())
        })
        .await
    }

    /// Returns the moment at which a row is past its memory by every replica's clock.
    pub(super) fn forgotten_at(&self, now: SystemTime) -> SystemTime {
        now.checked_sub(self.bounds.skew).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// Reads a row.
fn read(row: &PgRow) -> sqlx::Result<(Digest, LedgerRow)> {
    let key = digest(row, 0)?;
    let binding = match row.try_get::<i16, _>(1)? {
        BEARER => Binding::Bearer,
        CERTIFICATE => Binding::Certificate(digest(row, 2)?),
        DPOP => Binding::Dpop(digest(row, 2)?),
        IDEMPOTENCY_KEY => Binding::IdempotencyKey(digest(row, 2)?),
        found => return Err(unreadable(format!("binding kind {found}, expected 0 to 3"))),
    };
    let stands_until = from_nanoseconds(row.try_get(3)?);
    Ok((key, LedgerRow { binding, stands_until }))
}

/// Rows to insert, column by column.
#[derive(Default)]
struct Columns<'a> {
    keys: Vec<&'a [u8]>,
    kinds: Vec<i16>,
    bindings: Vec<&'a [u8]>,
    stands: Vec<i64>,
    remembers: Vec<i64>,
}

impl<'a> Columns<'a> {
    /// Adds a row; `None` stands for one that only takes the key for a moment, and that nobody must forget meanwhile.
    fn push(&mut self, key: &'a Digest, row: Option<&'a NewRow>) {
        let (kind, binding) = match row.map(|new| &new.row.binding) {
            None | Some(Binding::Bearer) => (BEARER, &[][..]),
            Some(Binding::Certificate(sha256)) => (CERTIFICATE, &sha256.as_bytes()[..]),
            Some(Binding::Dpop(thumbprint)) => (DPOP, &thumbprint.as_bytes()[..]),
            Some(Binding::IdempotencyKey(sha256)) => (IDEMPOTENCY_KEY, &sha256.as_bytes()[..]),
        };
        self.keys.push(key.as_bytes().as_slice());
        self.kinds.push(kind);
        self.bindings.push(binding);
        self.stands
            .push(row.map_or(0, |new| to_nanoseconds(new.row.stands_until)));
        self.remembers
            .push(row.map_or(i64::MAX, |new| to_nanoseconds(new.remember_until)));
    }

    fn insert(self, text: &'static str) -> sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments> {
        sqlx::query(text)
            .bind(self.keys)
            .bind(self.kinds)
            .bind(self.bindings)
            .bind(self.stands)
            .bind(self.remembers)
    }
}

const RESERVE: &str = "
INSERT INTO ledger (key, binding_kind, binding, stands_until, remember_until)
SELECT * FROM unnest($1::bytea[], $2::smallint[], $3::bytea[], $4::bigint[], $5::bigint[]) AS new (key) ORDER BY new.key
ON CONFLICT (key) DO NOTHING RETURNING key";

const INSERT: &str = "
INSERT INTO ledger (key, binding_kind, binding, stands_until, remember_until)
SELECT * FROM unnest($1::bytea[], $2::smallint[], $3::bytea[], $4::bigint[], $5::bigint[])";

const FORGETTING: &str = "forgetting used evidence";

const BEARER: i16 = 0;
const DPOP: i16 = 1;
const IDEMPOTENCY_KEY: i16 = 2;
const CERTIFICATE: i16 = 3;

/// Few enough that a commit that waits behind it stays far below its deadline.
const PURGED_AT_ONCE: u32 = 1_000;
