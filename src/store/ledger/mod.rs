//! Evidence used more than once: what a use is, and how the ledger judges it.
//!
//! Pure: every store asks the same [`judge`] inside its transaction, so that two stores never judge differently.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::BoundKeyChange;
use crate::secret::Digest;

/// One use of one evidence, to be held against the ledger in the commit of the entry about it.
#[derive(Clone, Debug)]
pub struct LedgerUse {
    /// Digest over issuer and `jti`, or over the signing input where there is no `jti`.
    pub key: Digest,
    /// What the caller proved besides the evidence itself.
    pub binding: Binding,
    /// How often the evidence may be used.
    pub rule: UseRule,
    /// When the attestation ends, if this is the first use.
    pub stands_until: SystemTime,
    /// The latest moment at which anything permitted on this use would end; compared with the row's `stands_until`.
    pub ends: Option<SystemTime>,
    /// How long the row must be remembered.
    pub remember_until: SystemTime,
    /// The proof of possession, itself usable once, and how long it is remembered.
    pub proof: Option<(Digest, SystemTime)>,
    /// What the commit changes besides if this is the first use.
    pub keeps: Option<Arc<BoundKeyChange>>,
}

/// What a caller proved besides the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Nothing: the evidence serves one request.
    Bearer,
    /// Possession of the key of the client certificate with this SHA-256 (`x5t#S256`, RFC 8705 section 3.1).
    Certificate(Digest),
    /// Possession of the DPoP key with this RFC 7638 thumbprint.
    Dpop(Digest),
    /// Knowledge of the Idempotency-Key with this SHA-256.
    IdempotencyKey(Digest),
}

/// How often evidence may be used, as its attestor declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseRule {
    /// Again and again by whoever proves the same binding as the first use.
    Keyed,
    /// Exactly once.
    Once,
}

/// What the ledger says of a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerVerdict {
    /// The row stands until an earlier moment than what was permitted would end; nothing was recorded, decide again.
    Earlier {
        /// When the attestation ends.
        stands_until: SystemTime,
    },
    /// First use; the row was inserted.
    First,
    /// The ledger holds as many rows as it may.
    Full,
    /// The proof of possession was used before.
    ProofReused,
    /// The evidence was used before and may not be used again.
    Replayed,
    /// Used before by the same key.
    Same,
    /// Used before by another key.
    Stolen,
}

/// A row of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// What the first use proved.
    pub binding: Binding,
    /// When the attestation ends; never moves.
    pub stands_until: SystemTime,
}

/// The most rows that the ledger holds; above it every new evidence is refused (TM-05).
pub(in crate::store) const MAX_ROWS: u64 = 1_000_000;

/// A row that a commit adds.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct NewRow {
    pub(in crate::store) key: Digest,
    pub(in crate::store) row: LedgerRow,
    pub(in crate::store) remember_until: SystemTime,
}

/// What a batch of uses comes to.
#[derive(Debug, Default)]
pub(in crate::store) struct Judged {
    pub(in crate::store) verdicts: Vec<LedgerVerdict>,
    pub(in crate::store) inserts: Vec<NewRow>,
    pub(in crate::store) changes: Vec<Arc<BoundKeyChange>>,
}

/// Returns the keys of all rows that can decide about `uses`, each once.
pub(in crate::store) fn keys(uses: &[LedgerUse]) -> Vec<Digest> {
    let mut keys: Vec<Digest> = uses
        .iter()
        .flat_map(|one| [Some(one.key), one.proof.map(|(proof, _until)| proof_key(&proof))])
        .flatten()
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Judges `uses` in order against the rows already `known`; `room` more rows fit into the ledger.
///
/// A use that is refused leaves no row: the row that refused it keeps refusing it.
pub(in crate::store) fn judge(uses: &[LedgerUse], known: HashMap<Digest, LedgerRow>, room: u64) -> Judged {
    let mut bench = Bench {
        known,
        room,
        inserts: Vec::new(),
    };
    let verdicts: Vec<_> = uses.iter().map(|one| bench.verdict(one)).collect();
    let first = uses
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| **verdict == LedgerVerdict::First);
    let changes = first.filter_map(|(one, _)| one.keeps.clone()).collect();
    Judged {
        verdicts,
        inserts: bench.inserts,
        changes,
    }
}

struct Bench {
    known: HashMap<Digest, LedgerRow>,
    room: u64,
    inserts: Vec<NewRow>,
}

impl Bench {
    fn verdict(&mut self, one: &LedgerUse) -> LedgerVerdict {
        let proof = one.proof.map(|(proof, until)| NewRow {
            key: proof_key(&proof),
            row: LedgerRow {
                binding: Binding::Bearer,
                stands_until: until,
            },
            remember_until: until,
        });
        if proof.is_some_and(|proof| self.known.contains_key(&proof.key)) {
            return LedgerVerdict::ProofReused;
        }
        match self.known.get(&one.key) {
            None => {
                let first = NewRow {
                    key: one.key,
                    row: LedgerRow {
                        binding: one.binding,
                        stands_until: one.stands_until,
                    },
                    remember_until: one.remember_until,
                };
                self.insert(std::iter::once(first).chain(proof).collect(), LedgerVerdict::First)
            }
            Some(row) => match compare(row.binding, one) {
                LedgerVerdict::Same if one.ends.is_some_and(|ends| row.stands_until < ends) => LedgerVerdict::Earlier {
                    stands_until: row.stands_until,
                },
                LedgerVerdict::Same => self.insert(proof.into_iter().collect(), LedgerVerdict::Same),
                refused => refused,
            },
        }
    }

    fn insert(&mut self, rows: Vec<NewRow>, verdict: LedgerVerdict) -> LedgerVerdict {
        let Some(room) = self.room.checked_sub(rows.len() as u64) else {
            return LedgerVerdict::Full;
        };
        self.room = room;
        self.known.extend(rows.iter().map(|new| (new.key, new.row)));
        self.inserts.extend(rows);
        verdict
    }
}

/// Compares a later use with the binding of the first (FLOWS.md, "Evidence used more than once").
fn compare(first: Binding, one: &LedgerUse) -> LedgerVerdict {
    match (one.rule, first) {
        (UseRule::Once, _) | (UseRule::Keyed, Binding::Bearer) => LedgerVerdict::Replayed,
        (UseRule::Keyed, Binding::Certificate(_) | Binding::Dpop(_) | Binding::IdempotencyKey(_)) => {
            if first == one.binding {
                LedgerVerdict::Same
            } else {
                LedgerVerdict::Stolen
            }
        }
    }
}

/// Keeps proofs and evidence apart in the one table: an attestor cannot choose a key that is a proof's.
fn proof_key(proof: &Digest) -> Digest {
    Digest::of_parts(&[b"proof", proof.as_bytes()])
}

/// Returns nanoseconds since 1970, which lose nothing of a moment and last until 2262.
pub(in crate::store) fn to_nanoseconds(moment: SystemTime) -> i64 {
    moment
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Returns the moment that [`to_nanoseconds`] wrote; the epoch for what it never writes.
pub(in crate::store) fn from_nanoseconds(nanoseconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

#[cfg(test)]
mod tests;
