//! One exchange: the six steps, in order.
//!
//! `attest -> identify -> authorize -> mint -> exchange -> audit`. Each step takes what only the step before can make,
//! so that none can be skipped. `leg` is the way of one relying party through steps 3 to 6, `outcome` its second half.

mod actor;
pub mod answer;
pub mod ask;
mod attested;
mod follow;
mod leg;
pub mod machine_key;
mod outcome;
pub mod rate;
pub mod whoami;

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use futures_util::future::join_all;

pub use answer::{Answer, Granted, Refused};
pub use ask::{Ask, Asked};

use crate::{
    attest::{AttestRefusal, Attestor, Evidence, ExchangeId, Freshness},
    audit::{Draft, EntryKind, Group, Recorded, Trail},
    authorize::{Policy, RelyingPartyName, lock::Locks},
    clock::Clock,
    exchange::{RelyingParty, budget::Budget, held::HeldCredentials},
    identify::{Registry, Unidentified, Workload},
    mint::{Minter, csr::SubjectPublicKey},
    secret::Random,
    store::Store,
};

/// One request: evidence, and the relying parties whose credentials are wanted.
#[derive(Debug)]
pub struct Request {
    /// What the caller presents.
    pub evidence: Evidence,
    /// What somebody presents who acts for the caller's subject (RFC 8693 section 1.1).
    pub actor: Option<Evidence>,
    /// Whose credentials, in order, and in which form; at most 16 (LIMITS.md).
    pub wanted: Vec<Ask>,
    /// The key that a certificate is asked for, proven to be the caller's.
    pub subject_key: Option<SubjectPublicKey>,
    /// Where the request came from.
    pub source: Option<IpAddr>,
}

/// Everything one exchange needs.
#[derive(Debug)]
pub struct Gateway {
    /// The rules of one generation, swapped whole.
    pub rules: ArcSwap<Rules>,
    /// Makes SVIDs.
    pub minter: Minter,
    /// Credentials fetched earlier.
    pub held: HeldCredentials,
    /// How often clouds are called.
    pub budget: Budget,
    /// How often each workload may ask.
    pub workload_rates: rate::Rates<String>,
    /// The locks' memory copy.
    pub locks: Locks,
    /// The writer of the trail.
    pub trail: Trail,
    /// The ledger, for a resume.
    pub store: Arc<dyn Store>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness.
    pub random: Arc<dyn Random>,
}

/// What a configuration says about workloads and relying parties.
#[derive(Debug)]
pub struct Rules {
    /// Who can prove what it is.
    pub attestors: Vec<Arc<dyn Attestor>>,
    /// Who is who.
    pub registry: Registry,
    /// Who may what.
    pub policy: Policy,
    /// Whose credentials there are.
    pub relying_parties: HashMap<RelyingPartyName, Arc<dyn RelyingParty>>,
}

/// Who asks, by the rules of one generation.
struct Known {
    id: ExchangeId,
    rules: Arc<Rules>,
    workload: Workload,
}

impl Gateway {
    /// Runs one exchange; it is not cancelled half-way: run it in a task of its own.
    pub async fn exchange(&self, request: Request) -> Answer {
        let now = self.clock.now();
        match self.known(&request, now).await {
            Ok(known) => self.for_workload(known, request, now).await,
            Err(answer) => *answer,
        }
    }

    /// Steps 1 and 2: who asks.
    async fn known(&self, request: &Request, now: SystemTime) -> Result<Known, Box<Answer>> {
        let id = ExchangeId::draw(&*self.random, now).map_err(|refusal| Answer::failed(None, refusal))?;
        let rules = self.rules.load_full();
        let draft = || Draft::new(EntryKind::Denial, &id).from_address(request.source);
        let attestation = match self.attested(&rules, &request.evidence, now).await {
            Ok(attestation) => attestation,
            Err(unattested) => {
                let told = unattested.told_in(draft(), &request.evidence);
                return Err(self.unattested(&id, told).await.into());
            }
        };
        let acting = match actor::attest(&rules, request, now).await {
            Ok(acting) => acting,
            Err(unattested) => {
                let told = unattested.told_beside(draft().about(&attestation), request.actor.as_ref());
                return Err(self.unattested(&id, told).await.into());
            }
        };
        match rules.registry.identify_both(attestation, acting) {
            Ok(workload) => {
                for id_of in [workload.spiffe_id()].into_iter().chain(workload.actors().first()) {
                    let counted = self.workload_rates.count(&id_of.as_str().to_owned());
                    counted.map_err(|exceeded| Answer::failed(Some(&id), exceeded))?;
                }
                Ok(Known { id, rules, workload })
            }
            Err(refusal) => Err(self.unidentified(&id, request, refusal).await.into()),
        }
    }

    /// Steps 3 to 6: every relying party's own way, with one commit for all their first entries.
    async fn for_workload(&self, known: Known, request: Request, now: SystemTime) -> Answer {
        let Known {
            id,
            rules,
            mut workload,
        } = known;
        let mut known_standing = workload.attestation().freshness() == Freshness::Expired;
        loop {
            let travel = leg::Travel {
                gateway: self,
                rules: &rules,
                id: &id,
                workload: &workload,
                source: request.source,
                subject_key: request.subject_key.as_ref(),
                now,
            };
            let legs = join_all(request.wanted.iter().map(|ask| leg::Leg::begin(&travel, ask))).await;
            let mut ledger = workload.attestation().ledger().cloned();
            if let Some(ledger) = ledger.as_mut().filter(|_| !known_standing) {
                ledger.ends = legs.iter().filter_map(|leg| leg.ends(now)).max();
            }
            let entries = legs.iter().map(|leg| leg.first_entry(&travel)).collect();
            match self.trail.record(Group { ledger, entries }).await {
                Ok(Recorded::Committed(committed)) => {
                    let results = join_all(legs.into_iter().map(|leg| leg.finish(&travel, &committed))).await;
                    return Answer::of(&id, &workload, results);
                }
                Ok(Recorded::Earlier(stands_until)) if stands_until > now && !known_standing => {
                    workload = workload.standing_until(stands_until);
                    known_standing = true;
                }
                Ok(Recorded::Earlier(_)) => return self.session_over(&id, request.source, &workload).await,
                Ok(Recorded::Refused { committed, refusal }) => {
                    return Answer::refused(&id, refusal, &request, &committed);
                }
                Err(refusal) => return Answer::failed(Some(&id), refusal),
            }
        }
    }
}

impl Gateway {
    async fn unidentified(&self, id: &ExchangeId, request: &Request, refusal: Unidentified) -> Answer {
        let ledger = refusal.attestation().ledger().cloned();
        let draft = Draft::new(EntryKind::Denial, id).from_address(request.source);
        let draft = match refusal.acted() {
            None => draft.about(refusal.attestation()),
            Some((subject, actor)) => draft.of(subject).not_acted_for_by(actor),
        };
        let denial = answer::Denied::new(id, None, refusal.into());
        let entries = vec![denial.entry(draft)];
        match self.trail.record(Group { ledger, entries }).await {
            Ok(Recorded::Refused { committed, refusal }) => Answer::refused(id, refusal, request, &committed),
            Ok(Recorded::Committed(committed)) => Answer::denied(id, denial, &committed),
            Ok(Recorded::Earlier(_)) => Answer::failed(Some(id), AttestRefusal::SessionOver),
            Err(refusal) => Answer::failed(Some(id), refusal),
        }
    }

    async fn deny(&self, id: &ExchangeId, draft: Draft, cause: answer::Cause) -> Answer {
        let denial = answer::Denied::new(id, None, cause);
        let entries = vec![denial.entry(draft)];
        match self.trail.record(Group { ledger: None, entries }).await {
            Ok(Recorded::Committed(committed) | Recorded::Refused { committed, .. }) => {
                Answer::denied(id, denial, &committed)
            }
            Ok(Recorded::Earlier(_)) => Answer::failed(Some(id), AttestRefusal::SessionOver),
            Err(refusal) => Answer::failed(Some(id), refusal),
        }
    }
}
