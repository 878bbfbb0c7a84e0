//! One batch: what the ledger's verdicts make of its groups, and the answer of each.
//!
//! Never lists a digest for a group whose entries were not written as given.

use std::time::SystemTime;

use tokio::sync::oneshot;

use crate::{
    attest::AttestRefusal,
    audit::{
        chain::{Chain, Moment, line},
        entry::Draft,
        trail::{Recorded, TrailError},
    },
    secret::Digest,
    store::{Commit, LedgerVerdict, TrailRow},
};

/// The entries of one group, and whether a ledger use goes with them.
pub(super) struct Part {
    pub(super) has_use: bool,
    pub(super) entries: Vec<Draft>,
}

/// What a batch came to, filled in inside the store's transaction.
pub(super) struct Composed {
    pub(super) chain: Chain,
    pub(super) fates: Vec<GroupFate>,
    /// The entries as lines, where a sink wants them.
    pub(super) lines: Option<Vec<String>>,
    /// Why an entry could not be written; then nothing of the batch may be released.
    pub(super) broken: Option<serde_json::Error>,
}

/// What the ledger made of a group.
pub(super) enum GroupFate {
    Durable(Vec<Digest>),
    Earlier(SystemTime),
    Full,
    Refused(Vec<Digest>, AttestRefusal),
}

impl Composed {
    pub(super) fn new(chain: Chain, groups: usize, lines: Option<Vec<String>>) -> Self {
        Self {
            chain,
            fates: Vec::with_capacity(groups),
            lines,
            broken: None,
        }
    }

    pub(super) fn compose(&mut self, parts: Vec<Part>, verdicts: &[LedgerVerdict], now: SystemTime) -> Vec<TrailRow> {
        let when = Moment::new(now);
        let mut verdicts = verdicts.iter();
        let mut rows = Vec::with_capacity(parts.len());
        for Part { has_use, entries } in parts {
            let verdict = if has_use {
                // A store that gave fewer verdicts than uses has judged nothing: then nothing may be recorded as fine.
                verdicts.next().copied().unwrap_or(LedgerVerdict::Full)
            } else {
                LedgerVerdict::First
            };
            let (entries, refusal) = match judged(verdict) {
                Judged::Fine => (entries, None),
                Judged::Nothing(fate) => {
                    self.fates.push(fate);
                    continue;
                }
                Judged::Refused(refusal) => {
                    let denials = entries.into_iter().map(|entry| entry.denied_by_ledger(&refusal));
                    (denials.collect(), Some(refusal))
                }
            };
            let digests = entries.iter().flat_map(|entry| entry.opens.iter().copied()).collect();
            self.append(entries, &when, &mut rows);
            self.fates.push(match refusal {
                None => GroupFate::Durable(digests),
                Some(refusal) => GroupFate::Refused(digests, refusal),
            });
        }
        rows
    }

    fn append(&mut self, entries: Vec<Draft>, when: &Moment, rows: &mut Vec<TrailRow>) {
        for entry in entries {
            match self.chain.append(entry, when) {
                Ok(row) => {
                    if let Some(lines) = &mut self.lines {
                        lines.push(line(&row));
                    }
                    rows.push(row);
                }
                Err(error) => self.broken = Some(error),
            }
        }
    }
}

enum Judged {
    Fine,
    Nothing(GroupFate),
    Refused(AttestRefusal),
}

fn judged(verdict: LedgerVerdict) -> Judged {
    match verdict {
        LedgerVerdict::First | LedgerVerdict::Same => Judged::Fine,
        LedgerVerdict::Earlier { stands_until } => Judged::Nothing(GroupFate::Earlier(stands_until)),
        LedgerVerdict::Full => Judged::Nothing(GroupFate::Full),
        LedgerVerdict::ProofReused => Judged::Refused(AttestRefusal::ProofReused),
        LedgerVerdict::Replayed => Judged::Refused(AttestRefusal::Replayed),
        LedgerVerdict::Stolen => Judged::Refused(AttestRefusal::Stolen),
    }
}

/// Where a group's answer goes.
pub(super) type Reply = oneshot::Sender<Result<Recorded, TrailError>>;

/// Answers each group of a batch that was committed.
pub(super) fn answer(replies: Vec<Reply>, commit: &Commit, fates: Vec<GroupFate>) {
    for (reply, fate) in replies.into_iter().zip(fates) {
        let answer = match fate {
            GroupFate::Durable(digests) => Ok(Recorded::Committed(commit.committed.narrowed(&digests))),
            GroupFate::Earlier(stands_until) => Ok(Recorded::Earlier(stands_until)),
            GroupFate::Full => Err(TrailError::LedgerFull),
            GroupFate::Refused(digests, refusal) => Ok(Recorded::Refused {
                committed: commit.committed.narrowed(&digests),
                refusal,
            }),
        };
        let _gone = reply.send(answer);
    }
}
