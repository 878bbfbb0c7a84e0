//! The one statement that adds to the trail.
//!
//! Never adds a row to a chain that another process ended, or that does not end in the database where this process left it:
//! both are compared in the statement that adds, with the chain's row locked until the transaction ends.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::{
    StoreError, TrailRow,
    chains::{Chains, End},
    signed, unavailable, unsigned,
};

/// The ends of the chains that were added to.
pub(super) type Ends = Vec<(String, u64)>;

/// Returns whether `rows` may go without a transaction around them: one chain, and nothing that has to be counted.
pub(super) fn is_one_statement(rows: &[TrailRow]) -> bool {
    let writers: BTreeSet<&str> = rows.iter().map(|row| row.writer.as_str()).collect();
    writers.len() <= 1 && unknowns(rows).is_empty()
}

/// Adds `rows`; returns where the chains end once that is committed.
pub(super) async fn record(
    connection: &mut PgConnection,
    chains: &Chains,
    rows: &[TrailRow],
) -> Result<Ends, StoreError> {
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows {
        let end = ends.entry(&row.writer).or_default();
        *end = row.sequence.max(*end);
    }
    if ends.is_empty() {
        return Ok(Ends::new());
    }
    let mut expected = Vec::with_capacity(ends.len());
    for writer in ends.keys() {
        expected.push(match chains.take_end(writer)? {
            End::At(sequence) => Some(signed(sequence)),
            End::Unknown => None,
        });
    }
    let (held, closed): (bool, i64) = statement(rows, &ends, &expected, chains.lease_seconds())
        .fetch_one(&mut *connection)
        .await
        .map_err(unavailable(DOING))?;
    if !held {
        return Err(refusal(connection, chains, &ends).await?);
    }
    let unknowns = unknowns(rows).len();
    if usize::try_from(closed).unwrap_or(0) < unknowns {
        return Err(broken(ClosedBefore { closed, unknowns }));
    }
    Ok(ends.into_iter().map(|(writer, end)| (writer.to_owned(), end)).collect())
}

/// Finds out why a chain could not be added to.
async fn refusal(
    connection: &mut PgConnection,
    chains: &Chains,
    ends: &BTreeMap<&str, u64>,
) -> Result<StoreError, StoreError> {
    let writers: Vec<&str> = ends.keys().copied().collect();
    let found: Vec<(String, i64, bool)> =
        sqlx::query_as("SELECT writer, sequence, ended_at IS NOT NULL FROM writer WHERE writer = ANY($1)")
            .bind(&writers)
            .fetch_all(connection)
            .await
            .map_err(unavailable(DOING))?;
    if let Some((writer, ..)) = found.iter().find(|(_, _, ended)| *ended) {
        chains.fenced(writer);
        return Ok(StoreError::Fenced { writer: writer.clone() });
    }
    let found = found
        .iter()
        .map(|(writer, sequence, _)| format!("{writer} at {}", unsigned(*sequence)));
    Ok(broken(Moved {
        found: found.collect::<Vec<_>>().join(", "),
    }))
}

fn statement<'q>(
    rows: &'q [TrailRow],
    ends: &BTreeMap<&'q str, u64>,
    expected: &'q [Option<i64>],
    lease_seconds: f64,
) -> sqlx::query::QueryAs<'q, sqlx::Postgres, (bool, i64), sqlx::postgres::PgArguments> {
    let text = |field: fn(&TrailRow) -> &str| rows.iter().map(field).collect::<Vec<&str>>();
    let number = |field: fn(&TrailRow) -> u64| rows.iter().map(|row| signed(field(row))).collect::<Vec<i64>>();
    let hashes: Vec<&[u8]> = rows.iter().map(|row| row.hash.as_bytes().as_slice()).collect();
    let opens: Vec<Vec<u8>> = rows
        .iter()
        .map(|row| row.opens.iter().flat_map(|digest| *digest.as_bytes()).collect())
        .collect();
    let writers: Vec<&str> = ends.keys().copied().collect();
    let lasts: Vec<i64> = ends.values().map(|end| signed(*end)).collect();
    let closed = pairs(rows, TrailRow::closes_intent);
    // What one batch opens and closes was never open: the parts of one statement do not see each other's rows.
    let opened: Vec<bool> = rows
        .iter()
        .map(|row| row.opens_intent() && !closed.contains(&pair(row)))
        .collect();
    let (closed_exchanges, closed_parties): (Vec<&str>, Vec<&str>) = closed.into_iter().unzip();
    let (unknown_exchanges, unknown_parties): (Vec<&str>, Vec<&str>) = unknowns(rows).into_iter().unzip();
    sqlx::query_as(RECORD)
        .bind(text(|row| &row.writer))
        .bind(number(|row| row.sequence))
        .bind(number(|row| row.time_seconds))
        .bind(text(|row| &row.kind))
        .bind(text(|row| &row.exchange_id))
        .bind(text(|row| &row.spiffe_id))
        .bind(text(|row| &row.relying_party))
        .bind(text(|row| &row.code))
        .bind(text(|row| &row.body))
        .bind(hashes)
        .bind(opens)
        .bind(opened)
        .bind(writers)
        .bind(lasts)
        .bind(expected)
        .bind(lease_seconds)
        .bind(closed_exchanges)
        .bind(closed_parties)
        .bind(unknown_exchanges)
        .bind(unknown_parties)
}

fn pair(row: &TrailRow) -> (&str, &str) {
    (&row.exchange_id, &row.relying_party)
}

fn pairs(rows: &[TrailRow], which: fn(&TrailRow) -> bool) -> BTreeSet<(&str, &str)> {
    rows.iter().filter(|row| which(row)).map(pair).collect()
}

/// What is closed because its process is gone; each must still be open, so that it is closed once.
fn unknowns(rows: &[TrailRow]) -> BTreeSet<(&str, &str)> {
    pairs(rows, |row| row.kind == "unknown")
}

fn broken(source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable {
        doing: DOING,
        source: Box::new(source),
    }
}

/// An intent of a process that is gone was closed already.
#[derive(Debug, thiserror::Error)]
#[error("{closed} lost intents were still open, expected {unknowns}")]
struct ClosedBefore {
    closed: i64,
    unknowns: usize,
}

/// The database does not hold what it had committed: an older copy of it came back.
#[derive(Debug, thiserror::Error)]
#[error("the chains of this process end elsewhere than it left them: {found}")]
struct Moved {
    found: String,
}

const DOING: &str = "committing";

/// One trip. A chain's row is the fence: whoever ends the chain locks it as well, so that either this statement's
/// transaction comes first, and its rows are seen, or it finds the chain ended and adds nothing.
const RECORD: &str = "
WITH row AS (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::bytea[], $11::bytea[], $12::boolean[]) WITH ORDINALITY
    AS row (writer, sequence, time_seconds, kind, exchange_id, spiffe_id, relying_party, code, body, hash, opens, opened,
      place)
), held AS (
  UPDATE writer SET sequence = mine.sequence,
    lease_until = greatest(writer.lease_until, clock_timestamp() + make_interval(secs => $16))
  FROM unnest($13::text[], $14::bigint[], $15::bigint[]) AS mine (writer, sequence, expected)
  WHERE writer.writer = mine.writer AND writer.ended_at IS NULL
    AND (mine.expected IS NULL OR mine.expected = writer.sequence)
  RETURNING writer.writer
), fence AS (
  SELECT count(*) = cardinality($13) AS held FROM held
), added AS (
  INSERT INTO trail (writer, sequence, time_seconds, kind, exchange_id, spiffe_id, relying_party, code, body, hash, opens)
  SELECT writer, sequence, time_seconds, kind, exchange_id, spiffe_id, relying_party, code, body, hash, opens
  FROM row, fence WHERE fence.held ORDER BY place
), opened AS (
  INSERT INTO open_intent (exchange_id, relying_party, writer, sequence)
  SELECT exchange_id, relying_party, writer, sequence FROM row, fence WHERE fence.held AND opened
), closed AS (
  DELETE FROM open_intent USING unnest($17::text[], $18::text[]) AS done (exchange_id, relying_party), fence
  WHERE fence.held AND open_intent.exchange_id = done.exchange_id AND open_intent.relying_party = done.relying_party
  RETURNING open_intent.exchange_id, open_intent.relying_party
)
SELECT held, (
  SELECT count(DISTINCT (closed.exchange_id, closed.relying_party)) FROM closed
    JOIN unnest($19::text[], $20::text[]) AS gone (exchange_id, relying_party)
      ON gone.exchange_id = closed.exchange_id AND gone.relying_party = closed.relying_party
) FROM fence";
