//! Who a workload is, and what it may have: steps 1 to 3, and the trail. Nothing is signed.
//!
//! Never answers without an entry, and never tells of a relying party that no grant names for this workload.

use std::{collections::BTreeMap, time::SystemTime};

use super::{Answer, Gateway, Known, Request, Rules};
use crate::{
    attest::{Attestation, ExchangeId, Freshness},
    audit::{Draft, EntryKind, Group, Recorded},
    authorize::{
        Decision, Denial, Permission, RelyingPartyName, Wants,
        policy::{AuthorizeRequest, Basis},
    },
    identify::Workload,
    secret::Digest,
    store::{Released, Unreleased},
};

/// A workload that was identified, and what it would get.
#[derive(Debug)]
pub struct Portrait {
    /// The request's id.
    pub exchange_id: ExchangeId,
    /// Who asks.
    pub workload: Workload,
    /// What would be said of each relying party that a grant names for this workload; at most [`MAX_PROSPECTS`].
    pub prospects: BTreeMap<String, Result<Box<Permission>, Denial>>,
}

/// More relying parties than these are not told about one workload.
pub const MAX_PROSPECTS: usize = 100;

impl Gateway {
    /// Says who asks and what it may have; evidence is used as by an exchange, and the answer waits for its entry.
    ///
    /// # Errors
    /// Fails as an exchange does before authorize.
    pub async fn whoami(&self, request: Request) -> Result<Released<Portrait>, Box<Answer>> {
        let now = self.clock.now();
        let Known {
            id,
            rules,
            mut workload,
        } = self.known(&request, now).await?;
        let mut known_standing = workload.attestation().freshness() == Freshness::Expired;
        loop {
            let portrait = self.portrait(&rules, (&id, &workload), now);
            let mut ledger = workload.attestation().ledger().cloned();
            if let Some(ledger) = ledger.as_mut().filter(|_| !known_standing) {
                ledger.ends = portrait.ends(now);
            }
            let digest = Digest::of_parts(&[b"whoami", id.as_str().as_bytes()]);
            let portrait = Unreleased::new(portrait, digest);
            let entry = Draft::new(EntryKind::Whoami, &id)
                .from_address(request.source)
                .of(&workload)
                .opening(digest);
            let entries = vec![entry];
            let refusal = match self.trail.record(Group { ledger, entries }).await {
                Ok(Recorded::Committed(committed)) => {
                    let released = portrait.released(&committed);
                    return Ok(released.map_err(|missing| Answer::failed(Some(&id), missing))?);
                }
                Ok(Recorded::Earlier(stands_until)) if stands_until > now && !known_standing => {
                    workload = workload.standing_until(stands_until);
                    known_standing = true;
                    continue;
                }
                Ok(Recorded::Earlier(_)) => self.session_over(&id, request.source, &workload).await,
                Ok(Recorded::Refused { committed, refusal }) => Answer::refused(&id, refusal, &request, &committed),
                Err(refusal) => Answer::failed(Some(&id), refusal),
            };
            return Err(refusal.into());
        }
    }

    fn portrait(&self, rules: &Rules, (id, workload): (&ExchangeId, &Workload), now: SystemTime) -> Portrait {
        let locks = self.locks.snapshot();
        let basis = match workload.attestation().freshness() {
            Freshness::Expired => Basis::Resumed,
            Freshness::Fresh => Basis::Presented,
        };
        let prospect = |name: &RelyingPartyName| {
            let wants = match rules.relying_parties.get(name) {
                Some(party) if party.upstream().is_some() => Wants::Credential,
                Some(_) | None => Wants::Svid,
            };
            let request = AuthorizeRequest {
                exchange_id: id.clone(),
                workload: workload.clone(),
                relying_party: name.as_str(),
                wants,
                basis,
            };
            match rules.policy.authorize(request, &locks, now) {
                Decision::Denied(denial) => Err(denial),
                Decision::Permitted(permission) => Ok(permission),
            }
        };
        let named = rules.policy.granted_to(workload.entry()).into_iter();
        let told = named.map(|name| (name.to_string(), prospect(name)));
        // What the workload may have by itself is not its actor's to learn.
        let acted = !workload.actors().is_empty();
        let told = told.filter(|(_, prospect)| !(acted && matches!(prospect, Err(Denial::ActorNotGranted { .. }))));
        Portrait {
            exchange_id: id.clone(),
            workload: workload.clone(),
            prospects: told.take(MAX_PROSPECTS).collect(),
        }
    }
}

impl Portrait {
    /// Returns what was attested.
    pub fn attestation(&self) -> &Attestation {
        self.workload.attestation()
    }

    /// Returns when the longest of what is permitted would end.
    fn ends(&self, now: SystemTime) -> Option<SystemTime> {
        let permitted = self.prospects.values().filter_map(|prospect| prospect.as_ref().ok());
        permitted.map(|permission| now + permission.lifetime()).max()
    }
}
