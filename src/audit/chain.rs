//! One hash chain: how an entry gets its place, and how its hash follows from the one before.
//!
//! Never hashes anything but the bytes that are stored.

use aws_lc_rs::digest;
use serde::Serialize;

use super::entry::Draft;
use crate::{secret::Digest, store::TrailRow};

/// The end of a chain, to which the next entry is added.
#[derive(Clone, Debug)]
pub(in crate::audit) struct Chain {
    writer: String,
    sequence: u64,
    hash: Digest,
}

impl Chain {
    /// Begins the chain of a process incarnation.
    pub(in crate::audit) fn new(writer: String) -> Self {
        Self {
            writer,
            sequence: 0,
            hash: BEFORE_THE_FIRST,
        }
    }

    /// Returns the name of the chain that follows this one in the same process: its own with a number.
    pub(in crate::audit) fn next_writer(&self) -> String {
        let (first, number) = match self.writer.split_once(INCARNATION) {
            Some((first, number)) => (first, number.parse().unwrap_or(1_u64)),
            None => (self.writer.as_str(), 1),
        };
        format!("{first}{INCARNATION}{}", number.saturating_add(1))
    }

    /// Returns whose chain it is.
    pub(in crate::audit) fn writer(&self) -> &str {
        &self.writer
    }

    /// Returns the position of the last entry, 0 where there is none.
    pub(in crate::audit) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns the hash of the last entry.
    pub(in crate::audit) fn hash(&self) -> Digest {
        self.hash
    }

    /// Gives `draft` the next place; serialises it once.
    pub(in crate::audit) fn append(&mut self, draft: Draft, when: &Moment) -> Result<TrailRow, serde_json::Error> {
        let draft = draft.bounded();
        let body = serde_json::to_string(&Body {
            v: VERSION,
            writer: &self.writer,
            sequence: self.sequence + 1,
            time: &when.text,
            prev: &self.hash.to_string(),
            draft: &draft,
        })?;
        self.sequence += 1;
        self.hash = link(&self.hash, &body);
        Ok(TrailRow {
            writer: self.writer.clone(),
            sequence: self.sequence,
            time_seconds: when.seconds,
            kind: draft.kind.as_str().to_owned(),
            exchange_id: draft.exchange_id,
            spiffe_id: draft.spiffe_id.unwrap_or_default(),
            relying_party: draft.relying_party.unwrap_or_default(),
            code: draft.code.unwrap_or_default(),
            body,
            hash: self.hash,
            opens: draft.opens,
        })
    }

    /// Moves on to a row that is in the store already.
    pub(in crate::audit) fn resume(&mut self, row: &TrailRow) {
        self.sequence = row.sequence;
        self.hash = row.hash;
    }
}

/// The moment of a batch, written once for all of its entries.
#[derive(Debug)]
pub(in crate::audit) struct Moment {
    pub(in crate::audit) seconds: u64,
    pub(in crate::audit) text: String,
}

impl Moment {
    pub(in crate::audit) fn new(now: std::time::SystemTime) -> Self {
        Self {
            seconds: crate::clock::unix_seconds(now),
            text: crate::clock::rfc3339(now),
        }
    }
}

/// Returns the hash of an entry: SHA-256 over the hash before it and its body.
pub(in crate::audit) fn link(before: &Digest, body: &str) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(before.as_bytes());
    context.update(body.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Digest::from_bytes(hash)
}

/// Returns an entry as a line of a sink: the body as it was hashed, with its hash as the last member.
pub(in crate::audit) fn line(row: &TrailRow) -> String {
    let body = row.body.strip_suffix('}').unwrap_or(&row.body);
    format!("{body},\"hash\":\"{}\"}}", row.hash)
}

#[derive(Serialize)]
struct Body<'a> {
    v: u32,
    writer: &'a str,
    sequence: u64,
    time: &'a str,
    prev: &'a str,
    #[serde(flatten)]
    draft: &'a Draft,
}

/// What stands between a chain's name and the number of the chain in its process.
const INCARNATION: char = '.';

/// The version of an entry's form.
pub(in crate::audit) const VERSION: u32 = 1;

/// What the first entry of a chain follows.
pub(in crate::audit) const BEFORE_THE_FIRST: Digest = Digest::from_bytes([0; 32]);
