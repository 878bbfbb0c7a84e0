//! Reads the trail.
//!
//! Never changes a row: what was written is returned as it stands, so that verification sees what is there.

use sqlx::{Postgres, QueryBuilder, Row, postgres::PgRow};

use super::{StoreError, TrailFilter, TrailRow, connections::Connections, signed, unavailable};
use crate::secret::Digest;

/// Returns the rows that match, in chain order.
pub(super) async fn rows(connections: &Connections, filter: TrailFilter) -> Result<Vec<TrailRow>, StoreError> {
    let doing = "reading the trail";
    let mut lent = connections.lend(doing).await?;
    let mut rows = question(&filter)
        .build()
        .fetch_all(lent.connection())
        .await
        .and_then(|found| found.iter().map(read).collect::<sqlx::Result<Vec<_>>>())
        .map_err(unavailable(doing))?;
    lent.keep();
    if filter.newest {
        rows.reverse();
    }
    Ok(rows)
}

/// Returns the last row of each chain, the oldest chain first.
///
/// Hops from writer to writer in the index: the trail may be long, the chains are few. It asks the trail alone, so that a
/// chain is found whatever stands in the other tables.
pub(super) async fn heads(connections: &Connections) -> Result<Vec<TrailRow>, StoreError> {
    let doing = "reading the heads of the trail";
    let mut lent = connections.lend(doing).await?;
    let rows = sqlx::query(HEADS)
        .fetch_all(lent.connection())
        .await
        .and_then(|found| found.iter().map(read).collect())
        .map_err(unavailable(doing))?;
    lent.keep();
    Ok(rows)
}

fn question(filter: &TrailFilter) -> QueryBuilder<Postgres> {
    let mut question = QueryBuilder::new(
        "SELECT writer, sequence, time_seconds, kind, exchange_id, spiffe_id, relying_party, code, body, hash, opens \
         FROM trail WHERE true",
    );
    let texts = [
        (" AND writer = ", &filter.writer),
        (" AND exchange_id = ", &filter.exchange_id),
        (" AND spiffe_id = ", &filter.spiffe_id),
        (" AND relying_party = ", &filter.relying_party),
        (" AND kind = ", &filter.kind),
        (" AND code = ", &filter.code),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            question.push(condition).push_bind(value.clone());
        }
    }
    // Without these PostgreSQL does not take the partial indexes: it cannot see that the bound value is not empty.
    let partial = [
        (" AND exchange_id <> ''", &filter.exchange_id),
        (" AND spiffe_id <> ''", &filter.spiffe_id),
        (" AND code <> ''", &filter.code),
    ];
    for (condition, value) in partial {
        if value.as_deref().is_some_and(|value| !value.is_empty()) {
            question.push(condition);
        }
    }
    let numbers = [
        (" AND sequence > ", filter.after_sequence),
        (" AND time_seconds >= ", filter.since_seconds),
        (" AND time_seconds < ", filter.until_seconds),
    ];
    for (condition, value) in numbers {
        if let Some(value) = value {
            question.push(condition).push_bind(signed(value));
        }
    }
    if filter.open {
        question.push(" AND (writer, sequence) IN (SELECT writer, sequence FROM open_intent)");
    }
    question.push(match (&filter.writer, filter.newest) {
        (None, false) => " ORDER BY id LIMIT ",
        (None, true) => " ORDER BY id DESC LIMIT ",
        (Some(_), false) => " ORDER BY sequence LIMIT ",
        (Some(_), true) => " ORDER BY sequence DESC LIMIT ",
    });
    question.push_bind(i64::from(filter.rows()));
    question
}

/// Reads a row of the eleven columns.
pub(super) fn read(row: &PgRow) -> sqlx::Result<TrailRow> {
    Ok(TrailRow {
        writer: row.try_get(0)?,
        sequence: number(row, 1)?,
        time_seconds: number(row, 2)?,
        kind: row.try_get(3)?,
        exchange_id: row.try_get(4)?,
        spiffe_id: row.try_get(5)?,
        relying_party: row.try_get(6)?,
        code: row.try_get(7)?,
        body: row.try_get(8)?,
        hash: digest(row, 9)?,
        opens: digests(row.try_get(10)?)?,
    })
}

fn number(row: &PgRow, column: usize) -> sqlx::Result<u64> {
    let found: i64 = row.try_get(column)?;
    u64::try_from(found).map_err(|_negative| unreadable(format!("{found}, expected a number from 0")))
}

/// Reads a column of 32 bytes.
pub(super) fn digest(row: &PgRow, column: usize) -> sqlx::Result<Digest> {
    let bytes: &[u8] = row.try_get(column)?;
    let found = bytes.len();
    <[u8; 32]>::try_from(bytes)
        .map(Digest::from_bytes)
        .map_err(|_length| unreadable(format!("{found} bytes, expected a digest of 32")))
}

fn digests(bytes: &[u8]) -> sqlx::Result<Vec<Digest>> {
    let (digests, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() {
        Ok(digests.iter().copied().map(Digest::from_bytes).collect())
    } else {
        Err(unreadable(format!(
            "{} bytes, expected digests of 32 each",
            bytes.len()
        )))
    }
}

/// Refuses a column that this program did not write so.
pub(super) fn unreadable(found: String) -> sqlx::Error {
    sqlx::Error::Decode(found.into())
}

const HEADS: &str = "
WITH RECURSIVE chain (writer) AS (
  SELECT min(writer) FROM trail
  UNION ALL
  SELECT (SELECT min(trail.writer) FROM trail WHERE trail.writer > chain.writer) FROM chain WHERE chain.writer IS NOT NULL
)
SELECT head.writer, sequence, time_seconds, kind, exchange_id, spiffe_id, relying_party, code, body, hash, opens
FROM chain CROSS JOIN LATERAL (
  SELECT * FROM trail WHERE trail.writer = chain.writer ORDER BY trail.sequence DESC LIMIT 1
) AS head
ORDER BY head.id";
