//! Holds copies of entries, as a sink has them, against the store.
//!
//! Never keeps more than one batch, however long the sink is, and never believes a copy's hash without computing it.

use serde::{Deserialize, Serialize};

use super::{AfterCheckpoint, Fault, Report, What};
use crate::{
    audit::chain::{line, link},
    secret::Digest,
    store::{Store, StoreError, TrailFilter},
};

/// What came of holding copies against the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// How many copies stand word for word in the store.
    pub same: u64,
    /// How many lines are no entry: what a sink wrote while it failed.
    pub unreadable: u64,
}

/// Copies on their way to be compared.
#[derive(Debug)]
pub struct Copies<'a> {
    store: &'a dyn Store,
    report: &'a mut Report,
    batch: Vec<Copy>,
}

impl<'a> Copies<'a> {
    /// Compares with `store` and adds what it finds to `report`, which [`super::verify`] made.
    pub fn new(store: &'a dyn Store, report: &'a mut Report) -> Self {
        Self {
            store,
            report,
            batch: Vec::new(),
        }
    }

    /// Takes the next line of a sink, without its line feed.
    ///
    /// # Errors
    /// Fails only where the store cannot be read; a difference stands in the report.
    pub async fn take(&mut self, line: &str) -> Result<(), StoreError> {
        let Ok(place) = serde_json::from_str::<Place>(line) else {
            self.report.copies.get_or_insert_default().unreadable += 1;
            return Ok(());
        };
        let follows = self.batch.last().is_some_and(|last| {
            last.place.writer == place.writer && last.place.sequence.checked_add(1) == Some(place.sequence)
        });
        if !follows || self.batch.len() >= BATCH {
            self.compare().await?;
        }
        self.batch.push(Copy {
            place,
            line: line.to_owned(),
        });
        Ok(())
    }

    /// Compares what was not compared yet.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn finish(mut self) -> Result<(), StoreError> {
        self.compare().await
    }

    async fn compare(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batch);
        let Some(first) = batch.first() else {
            return Ok(());
        };
        let filter = TrailFilter {
            writer: Some(first.place.writer.clone()),
            after_sequence: first.place.sequence.checked_sub(1),
            limit: u32::try_from(batch.len()).unwrap_or(TrailFilter::MAX_ROWS),
            ..TrailFilter::default()
        };
        let rows = self.store.trail(filter).await?;
        for copy in &batch {
            let row = rows.iter().find(|row| row.sequence == copy.place.sequence);
            match row {
                Some(row) if line(row) == copy.line => self.same(&copy.place),
                Some(row) => self.fault(copy, Some(row.hash)),
                None => self.fault(copy, None),
            }
        }
        Ok(())
    }

    fn same(&mut self, place: &Place) {
        self.report.copies.get_or_insert_default().same += 1;
        let mut after = self.report.after_checkpoint.iter_mut();
        // A sink that failed half-way was given the same lines again: they count once.
        let next = |after: &&mut AfterCheckpoint| {
            after.writer == place.writer && place.sequence.checked_sub(after.covered) == Some(after.copied + 1)
        };
        if let Some(after) = after.find(next) {
            after.copied += 1;
        }
    }

    /// Reports the first difference of each chain.
    fn fault(&mut self, copy: &Copy, found: Option<Digest>) {
        self.report.copies.get_or_insert_default();
        let of_copies = |fault: &Fault| {
            fault.writer == copy.place.writer
                && matches!(
                    fault.what,
                    What::CopyEdited { .. } | What::CopyOnly { .. } | What::Differs { .. }
                )
        };
        if self.report.faults.iter().any(of_copies) {
            return;
        }
        let expected = copy.place.hash.clone();
        let what = match (copy.edited(), found) {
            (Some(found), _) => What::CopyEdited { found, expected },
            (None, None) => What::CopyOnly { expected },
            (None, Some(found)) => What::Differs {
                found: found.to_string(),
                expected,
            },
        };
        let Place { writer, sequence, .. } = &copy.place;
        self.report.fault(writer.clone(), *sequence, what);
    }
}

/// One line of a sink.
#[derive(Debug)]
struct Copy {
    place: Place,
    line: String,
}

impl Copy {
    /// Returns the hash of the copy's body, where it is not the one that the copy names.
    fn edited(&self) -> Option<String> {
        let named = format!(",\"hash\":\"{}\"}}", self.place.hash);
        let body = self.line.strip_suffix(&named).map(|body| format!("{body}}}"));
        let before = Digest::from_hex(&self.place.prev);
        let found = match (before, body) {
            (Some(before), Some(body)) => link(&before, &body).to_string(),
            (None, _) | (_, None) => "of another form".to_owned(),
        };
        (found != self.place.hash).then_some(found)
    }
}

/// Where a copy says that it belongs.
#[derive(Debug, Deserialize)]
struct Place {
    writer: String,
    sequence: u64,
    prev: String,
    hash: String,
}

/// How many copies are compared at once; a page of the store is never larger.
const BATCH: usize = 1_000;
