//! Keys of machines: registered with a join token, replaced with evidence of the key before.
//!
//! It must never answer that a key is kept before the entry about it is durable, in the commit that keeps it.

use std::net::IpAddr;

use super::{
    Gateway, Rules,
    answer::{Cause, Denied, Refused},
    attested::{Unattested, attest},
};
use crate::{
    attest::{
        AttestRefusal, Attestor, AttestorName, Evidence, ExchangeId,
        joining::{self, JoinToken, Kept, KeyTerms, NewKey},
        unclaimed,
    },
    audit::{Draft, EntryKind, Group, Recorded, entry::text},
    secret::Digest,
    store::{BoundKeyRow, BoundKeyState, Committed, LedgerUse, Released, Unreleased},
};

/// One request to keep a key.
#[derive(Debug)]
pub struct KeyRequest {
    /// A join token, or evidence by the key whose place the new one takes.
    pub evidence: Evidence,
    /// The new key, proven to be the caller's.
    pub key: NewKey,
    /// Where the request came from.
    pub source: Option<IpAddr>,
}

/// A key that is kept.
#[derive(Clone, Debug)]
pub struct MachineKey {
    /// The key as the store has it.
    pub row: BoundKeyRow,
    /// What its holder must know to use it.
    pub terms: KeyTerms,
}

/// What one request ended in.
#[derive(Debug)]
pub struct KeyAnswer {
    /// The request's id; `None` where not even an id could be drawn.
    pub exchange_id: Option<ExchangeId>,
    /// The key, or why it is not kept.
    pub result: Result<Released<MachineKey>, Refused>,
}

/// What a request comes to.
enum Found {
    /// The key is the machine's already: an answer got lost, and the machine asks again.
    Already(Box<BoundKeyRow>),
    /// A replaced key asks for another one: somebody has a copy of what the machine had before.
    Copied {
        by: Option<AttestorName>,
        machine: String,
        registration: String,
    },
    /// The key is to be kept.
    New(Box<Kept>),
}

impl Gateway {
    /// Registers a machine's first key, or puts one in the place of another; it is not cancelled half-way: run it in a
    /// task of its own.
    pub async fn keep_key(&self, request: KeyRequest) -> KeyAnswer {
        let id = match ExchangeId::draw(&*self.random, self.clock.now()) {
            Ok(id) => id,
            Err(failed) => {
                return KeyAnswer {
                    exchange_id: None,
                    result: Err(Refused::Unrecorded(failed.into())),
                };
            }
        };
        let rules = self.rules.load_full();
        let mut result = self.keep(&rules, &id, &request).await;
        // Another request was faster with the same key: what it changed decides about this one.
        if let Err(refused) = &result
            && matches!(refused.cause(), Cause::Attest(AttestRefusal::ProofReused))
        {
            result = self.keep(&rules, &id, &request).await;
        }
        KeyAnswer {
            exchange_id: Some(id),
            result,
        }
    }

    async fn keep(
        &self,
        rules: &Rules,
        id: &ExchangeId,
        request: &KeyRequest,
    ) -> Result<Released<MachineKey>, Refused> {
        let denial = |unattested: Unattested| {
            let draft = Draft::new(EntryKind::Denial, id).from_address(request.source);
            unattested.told_in(draft, &request.evidence)
        };
        match self.found(rules, request).await {
            Ok(Found::New(kept)) => self.commit_key(rules, (id, request), *kept).await,
            Ok(Found::Already(row)) => self.answer_again(rules, (id, request), *row).await,
            Ok(Found::Copied {
                by,
                machine,
                registration,
            }) => {
                tracing::warn!(
                    machine = %text(&machine),
                    registration = %text(&registration),
                    "a replaced key asked to be replaced again: the machine was copied, and is locked"
                );
                let lock = joining::locking(
                    &registration,
                    &request.evidence,
                    self.clock.now() + joining::DEFAULT_LIFE,
                );
                let refusal = AttestRefusal::KeySuperseded { machine, registration };
                Err(self.deny_key(id, denial(Unattested { refusal, by }), Some(lock)).await)
            }
            Err(unattested) if unattested.refusal.is_proven() => Err(self.deny_key(id, denial(unattested), None).await),
            Err(Unattested { refusal, .. }) => Err(Refused::Unrecorded(refusal.into())),
        }
    }

    async fn found(&self, rules: &Rules, request: &KeyRequest) -> Result<Found, Unattested> {
        let (evidence, now) = (&request.evidence, self.clock.now());
        if JoinToken::is_begun_in(evidence.token_unverified()) {
            for keeper in rules.attestors.iter().filter_map(|attestor| attestor.keeps_keys()) {
                if let Some(kept) = keeper.register(evidence, &request.key, now).await? {
                    return Ok(Found::New(Box::new(kept)));
                }
            }
            return Err(unclaimed::refusal(evidence).into());
        }
        match attest(rules, evidence, now).await {
            Ok(attestation) => {
                let keeper = attestor(rules, attestation.attestor().as_str()).and_then(Attestor::keeps_keys);
                let keeper = keeper.ok_or_else(|| AttestRefusal::KeyRefused {
                    reason: "only a join token or the key before can put a key there".to_owned(),
                })?;
                let kept = keeper.rotate(attestation, &request.key, now).await?;
                Ok(Found::New(Box::new(kept)))
            }
            Err(Unattested {
                refusal: AttestRefusal::KeySuperseded { machine, registration },
                by,
            }) => {
                let known = self.key_row(request.key.thumbprint()).await?;
                let current = |row: &BoundKeyRow| row.registration == registration && is_current(row);
                Ok(match known.filter(current) {
                    Some(row) => Found::Already(Box::new(row)),
                    None => Found::Copied {
                        by,
                        machine,
                        registration,
                    },
                })
            }
            Err(unattested) => Err(unattested),
        }
    }

    async fn commit_key(
        &self,
        rules: &Rules,
        (id, request): (&ExchangeId, &KeyRequest),
        kept: Kept,
    ) -> Result<Released<MachineKey>, Refused> {
        let row = &kept.row;
        let detail = format!(
            "key {} of machine `{}` kept as generation {} of registration {}",
            row.thumbprint, row.machine, row.generation, row.registration
        );
        let key = waiting(rules, id, kept.row.clone())?;
        let draft = Draft::new(EntryKind::Change, id)
            .from_address(request.source)
            .about(&kept.attestation)
            .noting(&detail)
            .opening(key.digest());
        let committed = self.record_key(id, Some(kept.ledger), draft).await?;
        // Whoever locked or removed the machine in between was first: then this key is not there.
        let there = self.key_row(kept.row.thumbprint).await.map_err(unrecorded)?;
        if there.is_none_or(|row| !is_current(&row) || row.registration != kept.row.registration) {
            return Err(unrecorded(AttestRefusal::KeyRefused {
                reason: "its machine was locked or removed at the same moment".to_owned(),
            }));
        }
        key.released(&committed)
            .map_err(|missing| Refused::Unrecorded(missing.into()))
    }

    async fn answer_again(
        &self,
        rules: &Rules,
        (id, request): (&ExchangeId, &KeyRequest),
        row: BoundKeyRow,
    ) -> Result<Released<MachineKey>, Refused> {
        let detail = format!(
            "key {} of machine `{}` was kept before, and is told again",
            row.thumbprint, row.machine
        );
        let key = waiting(rules, id, row)?;
        let draft = Draft::new(EntryKind::Change, id)
            .from_address(request.source)
            .noting(&detail)
            .opening(key.digest());
        let committed = self.record_key(id, None, draft).await?;
        key.released(&committed)
            .map_err(|missing| Refused::Unrecorded(missing.into()))
    }

    async fn record_key(&self, id: &ExchangeId, ledger: Option<LedgerUse>, draft: Draft) -> Result<Committed, Refused> {
        let entries = vec![draft];
        match self.trail.record(Group { ledger, entries }).await {
            Ok(Recorded::Committed(committed)) => Ok(committed),
            Ok(Recorded::Refused { committed, refusal }) => {
                Err(Denied::new(id, None, refusal.into()).released(&committed))
            }
            Ok(Recorded::Earlier(_)) => Err(unrecorded(AttestRefusal::SessionOver)),
            Err(failed) => Err(Refused::Unrecorded(failed.into())),
        }
    }

    async fn deny_key(
        &self,
        id: &ExchangeId,
        (draft, refusal): (Draft, AttestRefusal),
        ledger: Option<LedgerUse>,
    ) -> Refused {
        let denial = Denied::new(id, None, refusal.into());
        let entry = denial.entry(draft);
        match self.record_key(id, ledger, entry).await {
            Ok(committed) => denial.released(&committed),
            Err(refused) => refused,
        }
    }

    async fn key_row(&self, thumbprint: Digest) -> Result<Option<BoundKeyRow>, AttestRefusal> {
        let row = self.store.bound_key(thumbprint).await;
        row.map_err(|source| AttestRefusal::LedgerUnavailable { source })
    }
}

fn attestor<'r>(rules: &'r Rules, name: &str) -> Option<&'r dyn Attestor> {
    let found = rules.attestors.iter().find(|attestor| attestor.name().as_str() == name);
    found.map(|attestor| &**attestor)
}

/// Closes the answer until the entry about it is durable.
fn waiting(rules: &Rules, id: &ExchangeId, row: BoundKeyRow) -> Result<Unreleased<MachineKey>, Refused> {
    let keeper = attestor(rules, &row.attestor).and_then(Attestor::keeps_keys);
    let keeper = keeper.ok_or_else(|| {
        unrecorded(AttestRefusal::KeyRefused {
            reason: "its attestor is not configured any more".to_owned(),
        })
    })?;
    let terms = keeper.terms(&row);
    let digest = Digest::of_parts(&[b"machine key", id.as_str().as_bytes(), row.thumbprint.as_bytes()]);
    Ok(Unreleased::new(MachineKey { row, terms }, digest))
}

fn is_current(row: &BoundKeyRow) -> bool {
    row.state == BoundKeyState::Current
}

fn unrecorded(refusal: AttestRefusal) -> Refused {
    Refused::Unrecorded(refusal.into())
}
