//! The second half of a leg: the call of the cloud, and the entry about how it ended.
//!
//! Nothing is released before that entry is durable, and whoever waits for the same credential is told only afterwards.

use std::time::SystemTime;

use super::leg::Travel;
use crate::{
    audit::{Draft, EntryKind, Group, Recorded, TrailError},
    authorize::Permission,
    exchange::{
        CloudCredential, CloudRefusal, RelyingParty,
        held::{Held, Leader},
    },
    gateway::{
        Gateway, Granted, Refused,
        answer::{Cause, Form},
    },
    mint::Svid,
    store::{Released, Unreleased},
};

/// Calls the cloud within its budget, records the outcome, and tells whoever waits for the same credential.
pub(super) async fn lead(
    travel: &Travel<'_>,
    permission: &Permission,
    party: &dyn RelyingParty,
    svid: Svid,
    leader: Option<Leader>,
) -> Result<Released<Granted>, Refused> {
    let name = permission.relying_party().as_str();
    let exchanged = match travel.gateway.call(party, svid, travel.now).await {
        Ok(exchanged) => exchanged,
        Err(refusal) => Err(closed(travel, name, refusal)),
    };
    let (outcome, fetched) = match exchanged {
        Ok(credential) => {
            let held = Held::new(credential.describe(), travel.now, travel.id.as_str());
            let digest = credential.digest();
            (Ok(Unreleased::new(held.clone(), digest)), Ok(held))
        }
        Err(refusal) => {
            let fetched = Err(refusal.describe().clone());
            let now = travel.gateway.clock.now();
            match leader
                .as_ref()
                .and_then(|leader| leader.fallback(refusal.describe(), now))
            {
                Some(held) => {
                    let digest = held.credential.digest();
                    (Ok(Unreleased::new(held, digest)), fetched)
                }
                None => (Err(refusal), fetched),
            }
        }
    };
    let result = close(travel, permission, party, outcome).await;
    if let Some(leader) = leader {
        leader.settle(fetched).await;
    }
    result
}

/// Records how an intent ended; only then is it released.
pub(super) async fn close(
    travel: &Travel<'_>,
    permission: &Permission,
    party: &dyn RelyingParty,
    outcome: Result<Unreleased<Held>, Unreleased<CloudRefusal>>,
) -> Result<Released<Granted>, Refused> {
    let draft = Draft::new(EntryKind::Outcome, travel.id).by(permission);
    let draft = match &outcome {
        Ok(held) => {
            let draft = draft.until(held.describe().credential.expires()).opening(held.digest());
            if held.describe().exchange_id == travel.id.as_str() {
                draft
            } else {
                draft.fetched_by(&held.describe().exchange_id)
            }
        }
        Err(refusal) => draft
            .refused(refusal.describe().code(), &refusal.describe().to_string())
            .opening(refusal.digest()),
    };
    let recorded = travel
        .gateway
        .trail
        .record(Group {
            ledger: None,
            entries: vec![draft],
        })
        .await;
    let committed = match recorded {
        Ok(Recorded::Committed(committed) | Recorded::Refused { committed, .. }) => committed,
        Ok(Recorded::Earlier(_)) => return Err(Refused::Unrecorded(TrailError::Stopped.into())),
        Err(refusal) => return Err(Refused::Unrecorded(refusal.into())),
    };
    match outcome {
        Ok(held) => held
            .released(&committed)
            .map(|held| held.map(|held| granted(permission, party, Form::Credential(held.credential))))
            .map_err(|missing| Refused::Unrecorded(missing.into())),
        Err(refusal) => Err(match refusal.released(&committed) {
            Ok(refusal) => Refused::Recorded(refusal.map(Cause::from)),
            Err(missing) => Refused::Unrecorded(missing.into()),
        }),
    }
}

impl Gateway {
    async fn call(
        &self,
        party: &dyn RelyingParty,
        svid: Svid,
        now: SystemTime,
    ) -> Result<Result<Unreleased<CloudCredential>, Unreleased<CloudRefusal>>, CloudRefusal> {
        let Some(upstream) = party.upstream() else {
            return Ok(party.exchange(svid, now).await);
        };
        self.budget.turn(&upstream).await?;
        let exchanged = party.exchange(svid, now).await;
        if let Err(refusal) = &exchanged
            && let CloudRefusal::Throttled {
                retry_after: Some(pause),
                ..
            } = refusal.describe()
        {
            self.budget.pause(&upstream, *pause);
        }
        Ok(exchanged)
    }
}

pub(super) fn closed(travel: &Travel<'_>, relying_party: &str, refusal: CloudRefusal) -> Unreleased<CloudRefusal> {
    let digest = refusal.digest(travel.id.as_str(), relying_party);
    Unreleased::new(refusal, digest)
}

pub(super) fn granted(permission: &Permission, party: &dyn RelyingParty, form: Form) -> Granted {
    Granted {
        kind: party.kind(),
        subject: permission.subject().as_str().to_owned(),
        form,
        scope: party.scope().map(str::to_owned),
    }
}
