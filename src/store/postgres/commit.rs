//! The commit: ledger, lease and trail in one transaction.
//!
//! Never lets a verdict be given outside the transaction that holds the rows it rests on, and never asks twice what to
//! record: a transaction that the database gave up for another's sake is done again only if it comes to the same verdicts.

use std::{collections::HashMap, sync::atomic::Ordering, time::SystemTime};

use sqlx::PgConnection;

use super::{PostgresStore, StoreError, bound_keys, ledger, record, unavailable};
use crate::{
    secret::Digest,
    store::{
        Commit, Committed, Compose, LedgerUse, LedgerVerdict, TrailRow,
        ledger::{Judged, judge, keys},
    },
};

impl PostgresStore {
    /// Commits one batch.
    pub(super) async fn commit_batch(
        &self,
        uses: &[LedgerUse],
        compose: Compose<'_>,
        now: SystemTime,
    ) -> Result<Commit, StoreError> {
        let mut draft = Draft::Due(Some(compose));
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let mut lent = self.committing.lend(DOING).await?;
            match self.attempt(lent.connection(), (uses, now), &mut draft).await {
                Ok(commit) => {
                    lent.keep();
                    return Ok(commit);
                }
                Err(error) if tries > 0 && is_contention(&error) => {
                    // Dropped, the connection is closed and the transaction rolled back: where that fails, too.
                    if execute(lent.connection(), "ROLLBACK").await.is_ok() {
                        lent.keep();
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt(
        &self,
        connection: &mut PgConnection,
        (uses, now): (&[LedgerUse], SystemTime),
        draft: &mut Draft<'_>,
    ) -> Result<Commit, StoreError> {
        let judged = if uses.is_empty() {
            Judged::default()
        } else {
            execute(connection, BEGIN).await?;
            self.judge(connection, uses, now).await.map_err(unavailable(DOING))?
        };
        for change in &judged.changes {
            bound_keys::apply(connection, change)
                .await
                .map_err(unavailable(DOING))?;
        }
        let rows = draft.rows(&judged.verdicts)?;
        // What is one statement is one transaction by itself, and one trip to the database instead of three.
        let alone = uses.is_empty() && record::is_one_statement(rows);
        if uses.is_empty() && !alone {
            execute(connection, BEGIN).await?;
        }
        let ends = record::record(connection, &self.chains, rows).await?;
        if !alone {
            execute(connection, "COMMIT").await?;
        }
        for (writer, end) in ends {
            self.chains.moved(&writer, end);
        }
        self.ledger_rows
            .fetch_add(judged.inserts.len() as u64, Ordering::AcqRel);
        let digests = rows.iter().flat_map(|row| row.opens.iter().copied()).collect();
        Ok(Commit {
            committed: Committed::new(digests),
            verdicts: judged.verdicts,
        })
    }

    /// Takes the keys, judges what was there before, and leaves the rows that the verdicts ask for.
    async fn judge(&self, connection: &mut PgConnection, uses: &[LedgerUse], now: SystemTime) -> sqlx::Result<Judged> {
        let keys = keys(uses);
        let likely = judge(uses, HashMap::new(), self.room());
        let mut reserved = ledger::reserve(connection, &keys, &likely.inserts).await?;
        if reserved.len() == keys.len() && likely.inserts.len() == keys.len() {
            return Ok(likely);
        }
        let taken: Vec<Digest> = keys.into_iter().filter(|key| !reserved.contains(key)).collect();
        let known = ledger::known(connection, &taken).await?;
        if known.len() < taken.len() {
            // Forgotten by another process between the two questions.
            return Err(sqlx::Error::Decode(Box::new(Contended)));
        }
        let mut judged = judge(uses, known, self.room());
        if judged.verdicts.contains(&LedgerVerdict::Full) {
            // Rows whose memory has ended make room; a live row is never evicted (TM-05).
            ledger::purge(connection, self.forgotten_at(now)).await?;
            let known = ledger::known(connection, &taken).await?;
            let purged: Vec<Digest> = taken.into_iter().filter(|key| !known.contains_key(key)).collect();
            reserved.extend(ledger::reserve(connection, &purged, &[]).await?);
            let rows = ledger::count(connection).await?;
            self.ledger_rows
                .store(rows.saturating_sub(reserved.len() as u64), Ordering::Release);
            judged = judge(uses, known, self.room());
        }
        ledger::settle(connection, &reserved, &judged.inserts).await?;
        Ok(judged)
    }

    fn room(&self) -> u64 {
        let rows = self.ledger_rows.load(Ordering::Acquire);
        self.bounds.ledger_rows.saturating_sub(rows)
    }
}

/// What is to be recorded: asked for once, and kept for another try.
enum Draft<'a> {
    Due(Option<Compose<'a>>),
    Done {
        verdicts: Vec<LedgerVerdict>,
        rows: Vec<TrailRow>,
    },
}

impl Draft<'_> {
    fn rows(&mut self, found: &[LedgerVerdict]) -> Result<&[TrailRow], StoreError> {
        if let Self::Due(compose) = self {
            let rows = compose.take().map(|compose| compose(found)).unwrap_or_default();
            *self = Self::Done {
                verdicts: found.to_vec(),
                rows,
            };
        }
        match self {
            Self::Done { verdicts, rows } if verdicts == found => Ok(rows),
            Self::Done { .. } | Self::Due(_) => Err(StoreError::Unavailable {
                doing: DOING,
                source: Box::new(OtherVerdicts),
            }),
        }
    }
}

async fn execute(connection: &mut PgConnection, text: &'static str) -> Result<(), StoreError> {
    sqlx::raw_sql(text)
        .execute(connection)
        .await
        .map_err(unavailable(DOING))?;
    Ok(())
}

/// Returns whether the database gave this transaction up for another's sake, so that it may be done again.
fn is_contention(error: &StoreError) -> bool {
    let StoreError::Unavailable { source, .. } = error else {
        return false;
    };
    match source.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(refused)) => refused
            .code()
            .is_some_and(|code| [SERIALIZATION_FAILURE, DEADLOCK].contains(&code.as_ref())),
        Some(sqlx::Error::Decode(found)) => found.is::<Contended>(),
        Some(_) | None => false,
    }
}

/// Another process changed what this one was looking at.
#[derive(Debug, thiserror::Error)]
#[error("a row of the ledger was forgotten while it was read")]
struct Contended;

/// The second try came to other verdicts than the first, for which the entries were written.
#[derive(Debug, thiserror::Error)]
#[error("the ledger changed between two tries of one commit")]
struct OtherVerdicts;

const DOING: &str = "committing";

/// Every statement sees what was committed before it began: also what it waited for.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// More would take longer than a commit may (TM-41).
const TRIES: u32 = 3;

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK: &str = "40P01";
