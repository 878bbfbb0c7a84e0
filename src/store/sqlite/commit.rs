//! The commit: ledger and trail in one transaction, in two trips to the database for up to 128 requests.
//!
//! Never lets a verdict be given outside the transaction that inserts the row it rests on.

use std::{collections::HashMap, time::SystemTime};

use sqlx::{Arguments, AssertSqlSafe, SqliteConnection, sqlite::SqliteArguments};

use super::{
    SqliteStore, StoreError,
    batched::{ROWS_MAX, repeated, size_for},
    bound_keys,
    ledger::{self, Known},
    place::Ready,
    signed, unavailable,
};
use crate::{
    secret::Digest,
    store::{
        Commit, Committed, Compose, LedgerUse, LedgerVerdict, TrailRow,
        ledger::{Judged, NewRow, judge, keys},
    },
};

impl SqliteStore {
    /// Commits one batch.
    pub(super) async fn commit_batch(
        &self,
        uses: &[LedgerUse],
        compose: Compose<'_>,
        now: SystemTime,
    ) -> Result<Commit, StoreError> {
        let mut held = self.hold().await?;
        let commit = self
            .transact(&mut held.ready, uses, compose, now)
            .await
            .map_err(unavailable("committing"))?;
        held.keep();
        Ok(commit)
    }

    async fn transact(
        &self,
        ready: &mut Ready,
        uses: &[LedgerUse],
        compose: Compose<'_>,
        now: SystemTime,
    ) -> sqlx::Result<Commit> {
        let judged = self.judge(ready, uses, now).await?;
        let rows = compose(&judged.verdicts);
        let digests = rows.iter().flat_map(|row| row.opens.iter().copied()).collect();
        for change in &judged.changes {
            bound_keys::apply(&mut ready.connection, change).await?;
        }
        write(&mut ready.connection, &judged.inserts, rows, now).await?;
        ready.ledger_rows += judged.inserts.len() as u64;
        Ok(Commit {
            committed: Committed::new(digests),
            verdicts: judged.verdicts,
        })
    }

    /// Begins the transaction and judges in it.
    async fn judge(&self, ready: &mut Ready, uses: &[LedgerUse], now: SystemTime) -> sqlx::Result<Judged> {
        let keys = keys(uses);
        let rows = known(&mut ready.connection, &keys, "BEGIN IMMEDIATE;").await?;
        let judged = judge(uses, rows, self.bounds.ledger_rows.saturating_sub(ready.ledger_rows));
        if !judged.verdicts.contains(&LedgerVerdict::Full) {
            return Ok(judged);
        }
        // Rows whose memory has ended make room; a live row is never evicted (TM-05).
        let freed = ledger::purge(&mut ready.connection, now).await?;
        ready.ledger_rows = ready.ledger_rows.saturating_sub(freed);
        let rows = known(&mut ready.connection, &keys, "").await?;
        let room = self.bounds.ledger_rows.saturating_sub(ready.ledger_rows);
        Ok(judge(uses, rows, room))
    }
}

/// Reads the rows of `keys`; `first` goes before the first question, so that it costs no trip of its own.
async fn known(connection: &mut SqliteConnection, keys: &[Digest], first: &'static str) -> sqlx::Result<Known> {
    let mut known = HashMap::with_capacity(keys.len());
    let mut first = first;
    if keys.is_empty() && !first.is_empty() {
        sqlx::query(first).execute(&mut *connection).await?;
    }
    for these in keys.chunks(ROWS_MAX) {
        let size = size_for(these.len());
        let text = format!(
            "{first}SELECT key, binding_kind, binding, stands_until FROM ledger WHERE key IN ({})",
            repeated("?", size)
        );
        let mut values = SqliteArguments::default();
        for key in these {
            add(&mut values, key.as_bytes().as_slice())?;
        }
        // Placeholders without a value are NULL, which is no row's key.
        let question = sqlx::query_with(AssertSqlSafe(text), values);
        for row in question.fetch_all(&mut *connection).await? {
            let (key, row) = ledger::read(&row)?;
            known.insert(key, row);
        }
        first = "";
    }
    Ok(known)
}

/// Writes everything and commits.
async fn write(
    connection: &mut SqliteConnection,
    inserts: &[NewRow],
    rows: Vec<TrailRow>,
    now: SystemTime,
) -> sqlx::Result<()> {
    let mut opened = intents(&rows, TrailRow::opens_intent);
    let mut closed = intents(&rows, TrailRow::closes_intent);
    let mut inserts = inserts.iter();
    let mut rows = rows.into_iter();
    loop {
        let largest = inserts.len().max(rows.len()).max(opened.len()).max(closed.len());
        let mut trip = Trip::new(size_for(largest));
        trip.section(&LEDGER, &mut inserts, |values, new| ledger::write(values, new, now))?;
        trip.section(&TRAIL, &mut rows, add_row)?;
        trip.section(&OPENED, &mut opened, add_opened)?;
        // However the batch is cut, an intent stands before what closes it is looked for.
        if opened.len() == 0 {
            trip.section(&CLOSED, &mut closed, add_closed)?;
        }
        let left = inserts.len() + rows.len() + opened.len() + closed.len();
        if left == 0 {
            trip.text.push_str("COMMIT");
        }
        // A statement that fails ends the trip: the COMMIT at its end is not reached.
        sqlx::query_with(AssertSqlSafe(trip.text), trip.values)
            .execute(&mut *connection)
            .await?;
        if left == 0 {
            return Ok(());
        }
    }
}

/// Several statements that go to the database at once; each takes the same number of rows.
struct Trip {
    size: usize,
    text: String,
    values: SqliteArguments,
}

/// One statement of a trip.
///
/// An insert that breaks a constraint rolls the whole transaction back, so that SQLite keeps no journal to undo one
/// statement of it: without that, each batch would copy the pages it touches.
struct Section {
    before: &'static str,
    each: &'static str,
    after: &'static str,
    columns: usize,
}

impl Trip {
    fn new(size: usize) -> Self {
        Self {
            size,
            text: String::new(),
            values: SqliteArguments::default(),
        }
    }

    /// Takes the next of `rows`; fills up with NULL, so that there are few texts to prepare.
    fn section<T>(
        &mut self,
        section: &Section,
        rows: &mut impl ExactSizeIterator<Item = T>,
        add_one: impl Fn(&mut SqliteArguments, T) -> sqlx::Result<()>,
    ) -> sqlx::Result<()> {
        if rows.len() == 0 {
            return Ok(());
        }
        let end = self.values.len() + self.size * section.columns;
        self.values.reserve(self.size * section.columns, 0);
        for row in rows.take(self.size) {
            add_one(&mut self.values, row)?;
        }
        while self.values.len() < end {
            add(&mut self.values, None::<i64>)?;
        }
        self.text.push_str(section.before);
        self.text.push_str(&repeated(section.each, self.size));
        self.text.push_str(section.after);
        Ok(())
    }
}

const LEDGER: Section = Section {
    before: "INSERT OR ROLLBACK INTO ledger (key, binding_kind, binding, stands_until, remember_until) SELECT * FROM (VALUES ",
    each: "(?,?,?,?,?)",
    after: ") WHERE column1 IS NOT NULL;",
    columns: 5,
};

const TRAIL: Section = Section {
    before: "INSERT OR ROLLBACK INTO trail (writer, sequence, time_seconds, kind, exchange_id, spiffe_id, relying_party, code, body, \
             hash, opens) SELECT * FROM (VALUES ",
    each: "(?,?,?,?,?,?,?,?,?,?,?)",
    after: ") WHERE column1 IS NOT NULL;",
    columns: 11,
};

const OPENED: Section = Section {
    before: "INSERT OR ROLLBACK INTO open_intent (exchange_id, relying_party, writer, sequence) SELECT * FROM (VALUES ",
    each: "(?,?,?,?)",
    after: ") WHERE column1 IS NOT NULL;",
    columns: 4,
};

const CLOSED: Section = Section {
    before: "DELETE FROM open_intent WHERE (exchange_id, relying_party) IN (VALUES ",
    each: "(?,?)",
    after: ");",
    columns: 2,
};

/// Exchange, relying party, writer and sequence of an intent or of what closes it.
type Intent = (String, String, String, i64);

fn intents(rows: &[TrailRow], which: fn(&TrailRow) -> bool) -> std::vec::IntoIter<Intent> {
    let intents: Vec<Intent> = rows
        .iter()
        .filter(|row| which(row))
        .map(|row| {
            (
                row.exchange_id.clone(),
                row.relying_party.clone(),
                row.writer.clone(),
                signed(row.sequence),
            )
        })
        .collect();
    intents.into_iter()
}

fn add_opened(values: &mut SqliteArguments, intent: Intent) -> sqlx::Result<()> {
    let (exchange_id, relying_party, writer, sequence) = intent;
    add(values, exchange_id)?;
    add(values, relying_party)?;
    add(values, writer)?;
    add(values, sequence)
}

fn add_closed(values: &mut SqliteArguments, intent: Intent) -> sqlx::Result<()> {
    let (exchange_id, relying_party, _writer, _sequence) = intent;
    add(values, exchange_id)?;
    add(values, relying_party)
}

fn add_row(values: &mut SqliteArguments, row: TrailRow) -> sqlx::Result<()> {
    add(values, row.writer)?;
    add(values, signed(row.sequence))?;
    add(values, signed(row.time_seconds))?;
    add(values, row.kind)?;
    add(values, row.exchange_id)?;
    add(values, row.spiffe_id)?;
    add(values, row.relying_party)?;
    add(values, row.code)?;
    add(values, row.body)?;
    add(values, row.hash.as_bytes().as_slice())?;
    let opens: Vec<u8> = row.opens.iter().flat_map(|digest| *digest.as_bytes()).collect();
    add(values, opens)
}

/// Adds a value to bind.
pub(super) fn add<'t, T>(values: &mut SqliteArguments, value: T) -> sqlx::Result<()>
where
    T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    values.add(value).map_err(sqlx::Error::Encode)
}
