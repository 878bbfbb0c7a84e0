//! The way of one relying party through steps 3 to 6.
//!
//! A leg never opens anything itself: SVIDs, credentials and denials open only to the commit of their entries.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use crate::{
    attest::{ExchangeId, Freshness},
    audit::{Draft, EntryKind, entry::SvidFacts},
    authorize::{
        Decision, Denial, Permission, RelyingPartyName, Wants,
        policy::{AuthorizeRequest, Basis},
    },
    clock,
    exchange::{
        RelyingParty,
        held::{Claim, Follower, Held, HeldKey, Leader},
    },
    gateway::{
        Ask, Gateway, Granted, Refused, Rules,
        answer::{Cause, Denied, Form, X509Form},
        follow::follow,
        outcome::{granted, lead},
    },
    identify::Workload,
    mint::{
        MAX_RELEASED_SVID_LIFE, MAX_X509_SVID_LIFE, MintRefusal, SubjectKey, Svid, SvidShape, csr::SubjectPublicKey,
    },
    secret::hex,
    store::{Committed, Released, Unrecorded, Unreleased},
};

/// What a leg ends in.
pub(super) type Result = (String, std::result::Result<Released<Granted>, Refused>);

/// What all legs of one request share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Travel<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) rules: &'a Rules,
    pub(super) id: &'a ExchangeId,
    pub(super) workload: &'a Workload,
    pub(super) source: Option<IpAddr>,
    pub(super) subject_key: Option<&'a SubjectPublicKey>,
    pub(super) now: SystemTime,
}

/// One relying party's way, up to the commit of its first entry.
#[derive(Debug)]
pub(super) struct Leg {
    name: String,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Refused by authorize, mint or the relying party's own rules.
    Denied(Denied),
    /// Another request is fetching the same credential.
    Follow {
        permission: Box<Permission>,
        party: Arc<dyn RelyingParty>,
        follower: Follower,
    },
    /// A credential fetched earlier.
    Held {
        permission: Box<Permission>,
        party: Arc<dyn RelyingParty>,
        held: Unreleased<Held>,
    },
    /// An SVID to be exchanged.
    Lead {
        permission: Box<Permission>,
        party: Arc<dyn RelyingParty>,
        svid: Unrecorded<Svid>,
        leader: Option<Leader>,
    },
    /// An SVID to be handed out.
    Mint {
        permission: Box<Permission>,
        party: Arc<dyn RelyingParty>,
        svid: Unrecorded<Svid>,
    },
}

impl Leg {
    /// Step 3, a held credential, and step 4.
    pub(super) async fn begin(travel: &Travel<'_>, ask: &Ask) -> Self {
        let name = ask.relying_party.as_str();
        let stage = match Stage::begin(travel, ask).await {
            Ok(stage) => stage,
            Err(cause) => Stage::Denied(Denied::new(travel.id, Some(name), cause)),
        };
        Self {
            name: name.to_owned(),
            stage,
        }
    }

    /// Returns when what is permitted would end; `None` for a denial.
    pub(super) fn ends(&self, now: SystemTime) -> Option<SystemTime> {
        match &self.stage {
            Stage::Denied(_) => None,
            Stage::Follow { permission, .. }
            | Stage::Held { permission, .. }
            | Stage::Lead { permission, .. }
            | Stage::Mint { permission, .. } => Some(now + permission.lifetime()),
        }
    }

    /// Step 6, first half: the entry that must be durable before anything goes on.
    pub(super) fn first_entry(&self, travel: &Travel<'_>) -> Draft {
        let draft = |kind| Draft::new(kind, travel.id).from_address(travel.source);
        match &self.stage {
            Stage::Denied(denied) => denied.entry(draft(EntryKind::Denial).of(travel.workload)),
            Stage::Follow { permission, .. } => draft(EntryKind::Intent).permitted(permission),
            Stage::Held { permission, held, .. } => draft(EntryKind::Held)
                .permitted(permission)
                .until(held.describe().credential.expires())
                .fetched_by(&held.describe().exchange_id)
                .opening(held.digest()),
            Stage::Lead { permission, svid, .. } => draft(EntryKind::Intent)
                .permitted(permission)
                .signed(facts(svid.describe()))
                .opening(svid.digest()),
            Stage::Mint { permission, svid, .. } => draft(EntryKind::Mint)
                .permitted(permission)
                .signed(facts(svid.describe()))
                .opening(svid.digest()),
        }
    }

    /// Step 5, and step 6, second half.
    pub(super) async fn finish(self, travel: &Travel<'_>, committed: &Committed) -> Result {
        let result = match self.stage {
            Stage::Denied(denied) => Err(denied.released(committed)),
            Stage::Follow {
                permission,
                party,
                follower,
            } => follow(travel, &permission, &*party, follower).await,
            Stage::Held {
                permission,
                party,
                held,
            } => held
                .released(committed)
                .map(|held| held.map(|held| granted(&permission, &*party, Form::Credential(held.credential))))
                .map_err(|missing| Refused::Unrecorded(missing.into())),
            Stage::Lead {
                permission,
                party,
                svid,
                leader,
            } => match svid.intended(committed) {
                Ok(svid) => lead(travel, &permission, &*party, svid, leader).await,
                Err(missing) => Err(Refused::Unrecorded(missing.into())),
            },
            Stage::Mint {
                permission,
                party,
                svid,
            } => svid
                .released(committed)
                .map(|svid| svid.map(|svid| granted(&permission, &*party, svid_form(svid))))
                .map_err(|missing| Refused::Unrecorded(missing.into())),
        };
        (self.name, result)
    }
}

impl Stage {
    async fn begin(travel: &Travel<'_>, ask: &Ask) -> std::result::Result<Self, Cause> {
        let name = ask.relying_party.as_str();
        let unknown = || Denial::RelyingPartyUnknown {
            found: name.chars().take(64).collect(),
        };
        let name = RelyingPartyName::parse(name).map_err(|_not_a_name| unknown())?;
        let party = Arc::clone(travel.rules.relying_parties.get(&name).ok_or_else(unknown)?);
        let wants = ask.wants(&*party);
        let basis = match travel.workload.attestation().freshness() {
            Freshness::Expired => Basis::Resumed,
            Freshness::Fresh => Basis::Presented,
        };
        let request = AuthorizeRequest {
            exchange_id: travel.id.clone(),
            workload: travel.workload.clone(),
            relying_party: name.as_str(),
            wants,
            basis,
        };
        let permission = match travel
            .rules
            .policy
            .authorize(request, &travel.gateway.locks.snapshot(), travel.now)
        {
            Decision::Denied(denial) => return Err(denial.into()),
            Decision::Permitted(permission) => permission,
        };
        ask.refuse_what_is_not_offered(&*party)?;
        if wants == Wants::Svid {
            let svid = travel.mint(&permission, &*party, wants).await?;
            return Ok(Self::Mint {
                permission,
                party,
                svid,
            });
        }
        Self::credential(travel, permission, party).await
    }

    /// A credential that is held, is being fetched by another request, or is fetched by this one.
    async fn credential(
        travel: &Travel<'_>,
        permission: Box<Permission>,
        party: Arc<dyn RelyingParty>,
    ) -> std::result::Result<Self, Cause> {
        let leader = match travel.claim(&permission, &*party).await {
            Some(Claim::Follow(follower)) => {
                return Ok(Self::Follow {
                    permission,
                    party,
                    follower,
                });
            }
            Some(Claim::Hit(held)) => {
                let digest = held.credential.digest();
                return Ok(Self::Held {
                    permission,
                    party,
                    held: Unreleased::new(held, digest),
                });
            }
            Some(Claim::Lead(leader)) => Some(leader),
            None => None,
        };
        let svid = travel.mint(&permission, &*party, Wants::Credential).await?;
        Ok(Self::Lead {
            permission,
            party,
            svid,
            leader,
        })
    }
}

impl Travel<'_> {
    /// Step 4; an SVID that is handed out itself lives as long as was permitted, at most an hour.
    pub(super) async fn mint(
        &self,
        permission: &Permission,
        party: &dyn RelyingParty,
        wants: Wants,
    ) -> std::result::Result<Unrecorded<Svid>, Cause> {
        let mut shape = party.shape(permission)?;
        if wants == Wants::Svid {
            self.for_release(permission, &mut shape)?;
        }
        Ok(self.gateway.minter.mint(permission.clone(), shape, self.now).await?)
    }

    /// A certificate that is handed out is one for the caller's own key: a key made here never leaves.
    fn for_release(&self, permission: &Permission, shape: &mut SvidShape) -> std::result::Result<(), MintRefusal> {
        match (shape, self.subject_key) {
            (SvidShape::Jwt(shape), None) => shape.life = permission.lifetime().min(MAX_RELEASED_SVID_LIFE),
            (SvidShape::Jwt(_), Some(_)) => return Err(MintRefusal::CsrUnexpected),
            (SvidShape::X509(_), None) => return Err(MintRefusal::CsrMissing),
            (SvidShape::X509(shape), Some(key)) => {
                shape.key = SubjectKey::Certified(key.clone());
                shape.life = permission.lifetime().min(MAX_X509_SVID_LIFE);
            }
        }
        Ok(())
    }

    /// Asks for a credential that is held, or for the duty to fetch it; `None` where none can be held.
    pub(super) async fn claim(&self, permission: &Permission, party: &dyn RelyingParty) -> Option<Claim> {
        let key = HeldKey::new(permission, party.request_digest(permission)?)?;
        Some(self.gateway.held.claim(key, permission.lifetime(), self.now).await)
    }
}

fn svid_form(svid: Svid) -> Form {
    match svid {
        Svid::Jwt(svid) => Form::Svid {
            token: svid.token().clone(),
            expires: svid.expires(),
        },
        Svid::X509(svid) => Form::X509Svid(Box::new(X509Form {
            chain: svid.chain().to_vec(),
            serial: svid.serial().to_vec(),
            expires: svid.expires(),
        })),
    }
}

pub(super) fn facts(svid: &Svid) -> SvidFacts {
    match svid {
        Svid::Jwt(svid) => SvidFacts {
            id: svid.id().to_owned(),
            sha256: svid.token().sha256().to_string(),
            key_id: svid.key_id().to_owned(),
            audience: svid.permission().terms().audience.clone(),
            subject: svid.permission().subject().as_str().to_owned(),
            expires: clock::rfc3339(svid.expires()),
        },
        Svid::X509(svid) => SvidFacts {
            id: hex(svid.serial()),
            sha256: svid.sha256().to_string(),
            key_id: svid.key_id().to_owned(),
            audience: svid.permission().terms().audience.clone(),
            subject: svid.spiffe_id().as_str().to_owned(),
            expires: clock::rfc3339(svid.expires()),
        },
    }
}
