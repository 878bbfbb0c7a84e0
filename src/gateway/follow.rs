//! The way of a leg that waits for another request's fetch of the same credential.
//!
//! A fetch that ends without a result is taken over at most once: a follower never waits for a third.

use super::{
    Granted, Refused,
    leg::{Travel, facts},
    outcome::{close, closed, lead},
};
use crate::{
    audit::{Draft, EntryKind, Group, Recorded, TrailError},
    authorize::{Permission, Wants},
    exchange::{
        CloudRefusal, RelyingParty,
        held::{Claim, Follower, Leader},
    },
    store::{Released, Unreleased},
};

/// Waits for the credential that another request fetches; fetches it where that request ended without telling.
pub(super) async fn follow(
    travel: &Travel<'_>,
    permission: &Permission,
    party: &dyn RelyingParty,
    follower: Follower,
) -> Result<Released<Granted>, Refused> {
    let fetched = match follower.wait().await {
        Some(fetched) => fetched,
        None => match travel.claim(permission, party).await {
            Some(Claim::Follow(follower)) => follower.wait().await.unwrap_or_else(|| Err(leader_vanished())),
            Some(Claim::Hit(held)) => Ok(held),
            Some(Claim::Lead(leader)) => return take_over(travel, permission, party, leader).await,
            None => Err(leader_vanished()),
        },
    };
    let exchanged = match fetched {
        Ok(held) => {
            let digest = held.credential.digest();
            Ok(Unreleased::new(held, digest))
        }
        Err(refusal) => Err(closed(travel, permission.relying_party().as_str(), refusal)),
    };
    close(travel, permission, party, exchanged).await
}

/// Steps 4 to 6 for a permission whose first intent was recorded without an SVID.
async fn take_over(
    travel: &Travel<'_>,
    permission: &Permission,
    party: &dyn RelyingParty,
    leader: Leader,
) -> Result<Released<Granted>, Refused> {
    let svid = match travel.mint(permission, party, Wants::Credential).await {
        Ok(svid) => svid,
        Err(cause) => {
            // The first intent is closed like any other whose credential cannot be had.
            let refusal = CloudRefusal::Unavailable {
                cloud: "the gateway",
                reason: format!("no SVID could be made ({})", cause.code()),
            };
            let refusal = closed(travel, permission.relying_party().as_str(), refusal);
            return close(travel, permission, party, Err(refusal)).await;
        }
    };
    let intent = Draft::new(EntryKind::Intent, travel.id)
        .from_address(travel.source)
        .permitted(permission)
        .signed(facts(svid.describe()))
        .opening(svid.digest());
    // The evidence's use was committed with the first intent.
    let group = Group {
        ledger: None,
        entries: vec![intent],
    };
    let committed = match travel.gateway.trail.record(group).await {
        Ok(Recorded::Committed(committed) | Recorded::Refused { committed, .. }) => committed,
        Ok(Recorded::Earlier(_)) => return Err(Refused::Unrecorded(TrailError::Stopped.into())),
        Err(refusal) => return Err(Refused::Unrecorded(refusal.into())),
    };
    match svid.intended(&committed) {
        Ok(svid) => lead(travel, permission, party, svid, Some(leader)).await,
        Err(missing) => Err(Refused::Unrecorded(missing.into())),
    }
}

fn leader_vanished() -> CloudRefusal {
    CloudRefusal::Unavailable {
        cloud: "the gateway",
        reason: "two requests that were fetching this credential ended without a result".to_owned(),
    }
}
