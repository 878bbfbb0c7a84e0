//! Verifies the trail: recomputes every chain, and holds it against a checkpoint.
//!
//! Never changes anything, and never takes a stored hash for granted: each is computed anew from the body.

mod copies;
mod fault;

pub use copies::{Copied, Copies};
pub use fault::{Fault, What};

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{
    chain::{BEFORE_THE_FIRST, VERSION, link},
    checkpoint::{Checkpoint, CheckpointRefused, FACT, Head},
};
use crate::{
    clock,
    jose::PublicKey,
    secret::Digest,
    store::{Store, StoreError, TrailFilter, TrailRow},
};

/// What to hold the trail against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Against<'a> {
    /// A checkpoint kept elsewhere; without it nobody can see that the end of the trail was cut off.
    pub checkpoint: Option<&'a str>,
    /// The audit key.
    pub key: Option<&'a PublicKey>,
}

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many entries were verified.
    pub entries: u64,
    /// How many chains they form.
    pub chains: u64,
    /// The first fault of each chain, and faults of the checkpoints.
    pub faults: Vec<Fault>,
    /// Which checkpoints the trail was held against.
    pub held_against: Vec<HeldAgainst>,
    /// The chains that go on after the last of those checkpoints, and how far.
    pub after_checkpoint: Vec<AfterCheckpoint>,
    /// What was held against copies of the entries; `None` where there were none.
    pub copies: Option<Copied>,
}

/// The entries of one chain that no checkpoint covers.
///
/// Hashes have no key: whoever can write to the store can write other entries and compute theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AfterCheckpoint {
    /// The chain.
    pub writer: String,
    /// The last position that a checkpoint covers; 0 where none names the chain.
    pub covered: u64,
    /// How many entries come after it.
    pub entries: u64,
    /// How many of them stand word for word in the copies that were given.
    pub copied: u64,
}

impl Report {
    /// Tells whether the trail is as it was written, as far as that can be seen.
    pub fn is_intact(&self) -> bool {
        self.faults.is_empty()
    }
}

/// A checkpoint that the trail was held against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldAgainst {
    /// Where it was kept.
    pub kept: Kept,
    /// When it was made, RFC 3339.
    pub time: String,
    /// How many chains it names.
    pub chains: usize,
}

/// Where a checkpoint was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// By whoever asks.
    Elsewhere,
    /// In the store itself: whoever cut the trail could replace it by an older one.
    Store,
}

/// Verifies the whole trail in `store`.
///
/// # Errors
/// Fails only where the store cannot be read; what is wrong with the trail stands in the report.
pub async fn verify(store: &dyn Store, against: Against<'_>) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let mut held = Vec::new();
    let stored = store.fact(FACT).await?;
    let kept = [(Kept::Elsewhere, against.checkpoint), (Kept::Store, stored.as_deref())];
    for (kept, text) in kept.into_iter().filter_map(|(kept, text)| Some((kept, text?))) {
        match (against.key, kept) {
            (Some(key), _) => match Checkpoint::verify(text, key) {
                Ok(checkpoint) => {
                    report.held_against.push(HeldAgainst {
                        kept,
                        time: clock::rfc3339(checkpoint.time()),
                        chains: checkpoint.heads().len(),
                    });
                    held.push(checkpoint);
                }
                Err(refused) => report.refuse(&refused),
            },
            (None, Kept::Elsewhere) => report.fault(
                String::new(),
                0,
                What::Refused {
                    reason: "there is no audit key to verify it with".to_owned(),
                },
            ),
            (None, Kept::Store) => {}
        }
    }
    let heads = store.heads().await?;
    for head in &heads {
        walk(store, &head.writer, &held, &mut report).await?;
    }
    for kept in held.iter().flat_map(Checkpoint::heads) {
        if !heads.iter().any(|head| head.writer == kept.writer) {
            report.truncated(0, kept);
        }
    }
    report.faults.dedup();
    Ok(report)
}

async fn walk(store: &dyn Store, writer: &str, held: &[Checkpoint], report: &mut Report) -> Result<(), StoreError> {
    let known = held
        .iter()
        .flat_map(Checkpoint::heads)
        .filter(|head| head.writer == writer);
    let mut walk = Walk::new(writer, known.collect());
    loop {
        let filter = TrailFilter {
            writer: Some(writer.to_owned()),
            after_sequence: walk.last,
            ..TrailFilter::default()
        };
        let rows = store.trail(filter).await?;
        let more = rows.len() >= TrailFilter::MAX_ROWS as usize;
        for row in &rows {
            walk.step(row);
        }
        if !more {
            break;
        }
    }
    walk.finish(report);
    Ok(())
}

/// The way along one chain.
struct Walk<'a> {
    writer: &'a str,
    known: Vec<&'a Head>,
    /// The position of the last row seen; `None` before the first, so that a row at position 0 is seen as well.
    last: Option<u64>,
    hash: Digest,
    entries: u64,
    covered: u64,
    after: u64,
    fault: Option<Fault>,
    diverged: Vec<Fault>,
}

impl<'a> Walk<'a> {
    fn new(writer: &'a str, known: Vec<&'a Head>) -> Self {
        Self {
            writer,
            covered: known.iter().map(|head| head.sequence).max().unwrap_or(0),
            known,
            last: None,
            hash: BEFORE_THE_FIRST,
            entries: 0,
            after: 0,
            fault: None,
            diverged: Vec::new(),
        }
    }

    fn step(&mut self, row: &TrailRow) {
        self.entries += 1;
        self.after += u64::from(row.sequence > self.covered);
        let expected = self.last.unwrap_or(0) + 1;
        self.last = Some(row.sequence);
        if self.fault.is_none()
            && let Err(what) = self.check(row, expected)
        {
            self.fault = Some(self.at(row.sequence, what));
        }
        for head in self.known.iter().filter(|head| head.sequence == row.sequence) {
            let found = row.hash.to_string();
            if found != head.hash {
                self.diverged.push(self.at(
                    row.sequence,
                    What::Diverged {
                        found,
                        expected: head.hash.clone(),
                    },
                ));
            }
        }
        self.hash = row.hash;
    }

    fn check(&self, row: &TrailRow, expected: u64) -> Result<(), What> {
        if row.sequence != expected {
            return Err(What::Gap {
                found: row.sequence,
                expected,
            });
        }
        let computed = link(&self.hash, &row.body);
        let body: Body = serde_json::from_str(&row.body).map_err(|error| What::Unreadable {
            reason: error.to_string(),
        })?;
        if body.v != VERSION {
            return Err(What::Unreadable {
                reason: format!("form {}, expected {VERSION}", body.v),
            });
        }
        if (body.writer.as_str(), body.sequence) != (self.writer, row.sequence) {
            return Err(What::Misplaced {
                found: format!("{} {}", body.writer, body.sequence),
            });
        }
        let before = self.hash.to_string();
        if body.prev != before {
            return Err(What::Unlinked {
                found: body.prev,
                expected: before,
            });
        }
        if computed != row.hash {
            return Err(What::Edited {
                found: computed.to_string(),
                expected: row.hash.to_string(),
            });
        }
        match body.differing_column(row) {
            None => Ok(()),
            Some(column) => Err(What::Column { column }),
        }
    }

    fn at(&self, sequence: u64, what: What) -> Fault {
        Fault {
            writer: self.writer.to_owned(),
            sequence,
            what,
        }
    }

    fn finish(self, report: &mut Report) {
        report.chains += 1;
        report.entries += self.entries;
        if self.after > 0 {
            report.after_checkpoint.push(AfterCheckpoint {
                writer: self.writer.to_owned(),
                covered: self.covered,
                entries: self.after,
                copied: 0,
            });
        }
        report.faults.extend(self.fault);
        report.faults.extend(self.diverged);
        let found = self.last.unwrap_or(0);
        for head in self.known.into_iter().filter(|head| head.sequence > found) {
            report.truncated(found, head);
        }
    }
}

impl Report {
    fn fault(&mut self, writer: String, sequence: u64, what: What) {
        self.faults.push(Fault { writer, sequence, what });
    }

    fn truncated(&mut self, found: u64, head: &Head) {
        let expected = head.sequence;
        self.fault(head.writer.clone(), found, What::Truncated { found, expected });
    }

    fn refuse(&mut self, refused: &CheckpointRefused) {
        let why = std::error::Error::source(refused).map(|source| format!(": {source}"));
        let reason = format!("{refused}{}", why.unwrap_or_default());
        self.fault(String::new(), 0, What::Refused { reason });
    }
}

/// What of a body the columns repeat.
#[derive(Deserialize)]
struct Body {
    v: u32,
    writer: String,
    sequence: u64,
    time: String,
    prev: String,
    kind: String,
    #[serde(default)]
    exchange_id: String,
    #[serde(default)]
    spiffe_id: String,
    #[serde(default)]
    relying_party: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    opens: Vec<String>,
}

impl Body {
    fn differing_column(&self, row: &TrailRow) -> Option<&'static str> {
        let time = clock::parse_rfc3339(&self.time).map(|time: SystemTime| clock::unix_seconds(time));
        let opens = row.opens.iter().map(ToString::to_string);
        [
            ("time_seconds", time == Some(row.time_seconds)),
            ("kind", self.kind == row.kind),
            ("exchange_id", self.exchange_id == row.exchange_id),
            ("spiffe_id", self.spiffe_id == row.spiffe_id),
            ("relying_party", self.relying_party == row.relying_party),
            ("code", self.code == row.code),
            ("opens", opens.eq(self.opens.iter().cloned())),
        ]
        .into_iter()
        .find_map(|(column, same)| (!same).then_some(column))
    }
}

#[cfg(test)]
mod tests;
