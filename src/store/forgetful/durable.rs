//! What is durable in the store in memory.
//!
//! It must never judge by another rule than the stores that are one.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::SystemTime,
};

use super::{Fault, broken};
use crate::{
    secret::Digest,
    store::{
        Authorities, BoundKeyChange, BoundKeyRow, BoundKeyState, JoinTokenRow, LedgerUse, LedgerVerdict, LockRow,
        Revocations, StoreError, TrailFilter, TrailRow,
        ledger::{Judged, NewRow, judge, keys},
    },
};

#[derive(Default)]
pub(super) struct Durable {
    pub(super) process: u64,
    pub(super) faults: VecDeque<Fault>,
    pub(super) ledger: HashMap<Digest, NewRow>,
    pub(super) trail: Vec<TrailRow>,
    pub(super) locks: BTreeMap<String, LockRow>,
    pub(super) authorities: Authorities,
    pub(super) revocations: Revocations,
    pub(super) facts: BTreeMap<String, String>,
    pub(super) bound_keys: Vec<BoundKeyRow>,
    pub(super) join_tokens: BTreeMap<String, JoinTokenRow>,
    pub(super) swaps_to_lose: usize,
}

impl Durable {
    /// Returns a join token with what the ledger knows of it.
    pub(super) fn joined(&self, row: &JoinTokenRow) -> JoinTokenRow {
        JoinTokenRow {
            used: self.ledger.contains_key(&row.ledger_key),
            ..row.clone()
        }
    }

    pub(super) fn judge(&mut self, uses: &[LedgerUse], capacity: u64, now: SystemTime) -> Judged {
        let judged = self.judge_once(uses, capacity);
        if judged.verdicts.contains(&LedgerVerdict::Full) {
            self.forget(now);
            return self.judge_once(uses, capacity);
        }
        judged
    }

    fn judge_once(&self, uses: &[LedgerUse], capacity: u64) -> Judged {
        let known = keys(uses)
            .into_iter()
            .filter_map(|key| Some((key, self.ledger.get(&key)?.row)))
            .collect();
        judge(uses, known, capacity.saturating_sub(self.ledger.len() as u64))
    }

    pub(super) fn apply(&mut self, judged: Judged, rows: Vec<TrailRow>) -> Result<(), StoreError> {
        let mut trail = self.trail.clone();
        for row in rows {
            if trail
                .iter()
                .any(|there| (&there.writer, there.sequence) == (&row.writer, row.sequence))
            {
                return Err(broken("a place in a chain was given twice"));
            }
            trail.push(row);
        }
        self.trail = trail;
        self.ledger.extend(judged.inserts.into_iter().map(|new| (new.key, new)));
        for change in judged.changes {
            self.change(&change);
        }
        Ok(())
    }

    fn change(&mut self, change: &BoundKeyChange) {
        match change {
            BoundKeyChange::Lock { registration } => {
                let keys = self.bound_keys.iter_mut();
                keys.filter(|row| row.registration == *registration && row.state == BoundKeyState::Current)
                    .for_each(|row| row.state = BoundKeyState::Locked);
            }
            BoundKeyChange::Register(row) => self.add_bound_key(row),
            BoundKeyChange::Rotate { from, to } => {
                let current = self.bound_keys.iter_mut().find(|row| {
                    row.thumbprint == *from
                        && row.state == BoundKeyState::Current
                        && row.generation + 1 == to.generation
                });
                if let Some(current) = current {
                    current.state = BoundKeyState::Superseded;
                    self.add_bound_key(to);
                    let oldest = to.generation.saturating_sub(BoundKeyRow::REMEMBERED);
                    self.bound_keys
                        .retain(|row| row.registration != to.registration || row.generation >= oldest);
                }
            }
        }
    }

    fn add_bound_key(&mut self, new: &BoundKeyRow) {
        let standing = self
            .bound_keys
            .iter()
            .filter(|row| row.state != BoundKeyState::Superseded);
        let fits = standing.count() < BoundKeyRow::MAX_REGISTRATIONS;
        if fits && self.bound_keys.iter().all(|row| row.thumbprint != new.thumbprint) {
            self.bound_keys.push(new.clone());
        }
    }

    pub(super) fn forget(&mut self, now: SystemTime) -> u64 {
        let before = self.ledger.len();
        self.ledger.retain(|_key, row| row.remember_until > now);
        (before - self.ledger.len()) as u64
    }

    pub(super) fn select(&self, filter: &TrailFilter) -> Vec<TrailRow> {
        let mut rows: Vec<&TrailRow> = self.trail.iter().filter(|row| self.matches(row, filter)).collect();
        if filter.writer.is_some() {
            rows.sort_by_key(|row| row.sequence);
        }
        let limit = filter.rows() as usize;
        let skipped = if filter.newest {
            rows.len().saturating_sub(limit)
        } else {
            0
        };
        rows.into_iter().skip(skipped).take(limit).cloned().collect()
    }

    fn matches(&self, row: &TrailRow, filter: &TrailFilter) -> bool {
        let same = |asked: &Option<String>, found: &str| asked.as_deref().is_none_or(|asked| asked == found);
        same(&filter.writer, &row.writer)
            && same(&filter.exchange_id, &row.exchange_id)
            && same(&filter.spiffe_id, &row.spiffe_id)
            && same(&filter.relying_party, &row.relying_party)
            && same(&filter.kind, &row.kind)
            && same(&filter.code, &row.code)
            && filter.after_sequence.is_none_or(|after| row.sequence > after)
            && filter.since_seconds.is_none_or(|since| row.time_seconds >= since)
            && filter.until_seconds.is_none_or(|until| row.time_seconds < until)
            && (!filter.open || self.is_open(row))
    }

    fn is_open(&self, row: &TrailRow) -> bool {
        row.opens_intent()
            && !self.trail.iter().any(|other| {
                other.closes_intent()
                    && (&other.exchange_id, &other.relying_party) == (&row.exchange_id, &row.relying_party)
            })
    }

    pub(super) fn heads(&self) -> Vec<TrailRow> {
        let mut heads: Vec<TrailRow> = Vec::new();
        for row in &self.trail {
            match heads.iter_mut().find(|head| head.writer == row.writer) {
                None => heads.push(row.clone()),
                Some(head) if head.sequence < row.sequence => *head = row.clone(),
                Some(_) => {}
            }
        }
        heads
    }
}
