//! Held credentials: fetched once, handed out while they last, one upstream call for concurrent cold requests.
//!
//! A held credential is never handed out without a fresh permission and an entry of its own.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use moka::{Expiry, future::Cache};
use tokio::sync::watch;

use crate::{
    authorize::Permission,
    exchange::{CloudCredential, CloudRefusal},
    secret::Digest,
    store::{Binding, UseRule},
};

/// What a credential is held under: all that could make two requests' credentials differ (T-46, T-55, TM-32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeldKey(Digest);

impl HeldKey {
    /// Derives the key: workload, who acts for it and by which attestation session, the workload's own attestation session and what binds it, subject, relying party, and its upstream request
    /// and configuration; `None` for evidence that serves one request, because nobody may ask again.
    ///
    /// Without the binding, whoever stole evidence could lead the fetch that its owner waits for, and take it down with
    /// the ledger's refusal.
    pub fn new(permission: &Permission, request: Digest) -> Option<Self> {
        let attestation = permission.workload().attestation();
        let binding = match attestation.ledger().map(|one| (one.rule, one.binding)) {
            None => Digest::of(b"until it expires"),
            Some((UseRule::Once, _) | (UseRule::Keyed, Binding::Bearer)) => return None,
            Some((UseRule::Keyed, Binding::Certificate(sha256))) => {
                Digest::of_parts(&[b"certificate", sha256.as_bytes()])
            }
            Some((UseRule::Keyed, Binding::Dpop(key))) => Digest::of_parts(&[b"dpop", key.as_bytes()]),
            Some((UseRule::Keyed, Binding::IdempotencyKey(key))) => Digest::of_parts(&[b"idempotency", key.as_bytes()]),
        };
        let workload = permission.workload();
        let ids = workload.actors().iter().map(|id| id.as_str().as_bytes());
        let session = workload.actor().map(|actor| actor.attestation().session());
        let actors: Vec<&[u8]> = ids
            .chain(session.iter().map(|session| &session.as_bytes()[..]))
            .collect();
        let actors = Digest::of_parts(&actors);
        Some(Self(Digest::of_parts(&[
            permission.workload().spiffe_id().as_str().as_bytes(),
            actors.as_bytes(),
            attestation.session().as_bytes(),
            binding.as_bytes(),
            permission.subject().as_str().as_bytes(),
            permission.relying_party().as_str().as_bytes(),
            request.as_bytes(),
        ])))
    }
}

/// A credential with what is needed to hand it out again.
#[derive(Clone, Debug)]
pub struct Held {
    /// The credential.
    pub credential: Arc<CloudCredential>,
    /// When it was fetched.
    pub fetched: SystemTime,
    /// The exchange that fetched it.
    pub exchange_id: String,
}

impl Held {
    /// Takes a credential just fetched.
    pub fn new(credential: &CloudCredential, fetched: SystemTime, exchange_id: &str) -> Self {
        Self {
            credential: Arc::new(credential.clone()),
            fetched,
            exchange_id: exchange_id.to_owned(),
        }
    }
}

/// What the store of held credentials says to a request.
#[derive(Debug)]
pub enum Claim {
    /// Another request is fetching it; wait for that one's result.
    Follow(Follower),
    /// It is held and may be handed out.
    Hit(Held),
    /// Nobody has it: fetch it, then settle the claim.
    Lead(Leader),
}

/// All held credentials of the process; cheap to clone.
#[derive(Clone)]
pub struct HeldCredentials {
    cache: Cache<HeldKey, Held>,
    pending: Pending,
}

type Pending = Arc<Mutex<HashMap<HeldKey, watch::Receiver<Option<Fetched>>>>>;

/// How a leader's fetch ended.
pub type Fetched = Result<Held, CloudRefusal>;

impl fmt::Debug for HeldCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldCredentials")
            .field("entries", &self.cache.entry_count())
            .finish_non_exhaustive()
    }
}

impl Default for HeldCredentials {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(MAX_ENTRIES)
            .expire_after(UntilExpiry)
            .build();
        Self {
            cache,
            pending: Arc::default(),
        }
    }
}

impl HeldCredentials {
    /// Claims a credential that would be permitted until `now + lifetime`.
    pub async fn claim(&self, key: HeldKey, lifetime: Duration, now: SystemTime) -> Claim {
        let cached = self
            .cache
            .get(&key)
            .await
            .filter(|held| held.credential.expires() <= now + lifetime);
        if let Some(held) = cached.as_ref().filter(|held| lasts(held, now)) {
            return Claim::Hit(held.clone());
        }
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = pending.get(&key) {
            return Claim::Follow(Follower {
                receiver: receiver.clone(),
            });
        }
        let (sender, receiver) = watch::channel(None);
        pending.insert(key, receiver);
        Claim::Lead(Leader {
            key,
            all: self.clone(),
            sender,
            fallback: cached,
        })
    }

    /// Returns how many credentials are held.
    pub fn count(&self) -> u64 {
        self.cache.entry_count()
    }
}

/// Whether enough of a credential's life remains to hand it out (LIMITS.md: more than max(10 min, half its life)).
fn lasts(held: &Held, now: SystemTime) -> bool {
    let expires = held.credential.expires();
    let life = expires.duration_since(held.fetched).unwrap_or_default();
    expires
        .duration_since(now)
        .is_ok_and(|left| left > (life / 2).max(MIN_LEFT))
}

/// LIMITS.md: a cached credential is handed out only if more than 10 minutes remain.
const MIN_LEFT: Duration = Duration::from_mins(10);
/// LIMITS.md: while the cloud does not answer, until 60 s before its end.
const MIN_LEFT_IN_AN_OUTAGE: Duration = Duration::from_mins(1);
/// Bounds the memory: about 2 KiB a credential.
const MAX_ENTRIES: u64 = 20_000;

/// The duty to fetch a credential; followers wait until it is settled or dropped.
#[derive(Debug)]
pub struct Leader {
    key: HeldKey,
    all: HeldCredentials,
    sender: watch::Sender<Option<Fetched>>,
    fallback: Option<Held>,
}

impl Leader {
    /// Returns the credential fetched earlier, where the cloud does not answer and it still lasts a minute.
    pub fn fallback(&self, refusal: &CloudRefusal, now: SystemTime) -> Option<Held> {
        let outage = match refusal {
            CloudRefusal::BudgetSpent { .. } | CloudRefusal::Throttled { .. } | CloudRefusal::Unavailable { .. } => {
                true
            }
            CloudRefusal::Garbage { .. }
            | CloudRefusal::Oversized { .. }
            | CloudRefusal::Preflight { .. }
            | CloudRefusal::Refused { .. } => false,
        };
        let left = |held: &Held| held.credential.expires().duration_since(now).unwrap_or_default();
        self.fallback
            .clone()
            .filter(|held| outage && left(held) > MIN_LEFT_IN_AN_OUTAGE)
    }

    /// Tells the followers how the fetch ended and keeps the credential.
    pub async fn settle(self, fetched: Fetched) {
        if let Ok(held) = &fetched {
            self.all.cache.insert(self.key, held.clone()).await;
        }
        self.sender.send_replace(Some(fetched));
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.all
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

/// Waits for a leader.
#[derive(Debug)]
pub struct Follower {
    receiver: watch::Receiver<Option<Fetched>>,
}

impl Follower {
    /// Returns how the leader's fetch ended; `None` if it ended without a result.
    pub async fn wait(mut self) -> Option<Fetched> {
        self.receiver
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|fetched| fetched.clone())
    }
}

struct UntilExpiry;

impl Expiry<HeldKey, Held> for UntilExpiry {
    fn expire_after_create(&self, _key: &HeldKey, held: &Held, _created: Instant) -> Option<Duration> {
        held.credential.expires().duration_since(held.fetched).ok()
    }

    fn expire_after_update(
        &self,
        key: &HeldKey,
        held: &Held,
        updated: Instant,
        _left: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, held, updated)
    }
}
