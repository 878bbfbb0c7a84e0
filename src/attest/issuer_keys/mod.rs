//! One issuer's keys: fetched when needed, kept while the issuer is down, never fetched because a stranger wishes it.
//!
//! It must never let a token cause more than one fetch in 30 s, and never replace good keys by an empty set.

mod discovery;
pub(super) mod key_source;
mod pinned;

use std::{
    collections::VecDeque,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
pub use discovery::DiscoveryRefused;
pub(super) use pinned::Keys;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    attest::AttestRefusal,
    fetch::{FetchFailed, Origin, SizeLimit},
    jose::{Algorithm, KeyNotFound, KeySet, KeySetRefused, PublicKey},
    secret::Digest,
};

/// The keys of one issuer under one configuration; nothing is shared with another issuer (TM-14).
#[derive(Debug)]
pub(super) struct IssuerKeys {
    source: KeySource,
    algorithms: Vec<Algorithm>,
    held: ArcSwapOption<Held>,
    /// Held while a fetch is under way, so that all who need it wait for the one.
    flight: tokio::sync::Mutex<()>,
    /// Places for those who wait for a flight.
    waiting: Semaphore,
    state: Mutex<State>,
    refreshes: Mutex<JoinSet<()>>,
}

/// Where an issuer's keys come from.
#[derive(Debug)]
pub(super) struct KeySource {
    /// The configured issuer.
    pub(super) issuer: String,
    /// The one origin that is asked.
    pub(super) origin: Origin,
    /// What is asked for there.
    pub(super) entrance: Entrance,
}

/// What is fetched first.
#[derive(Debug)]
pub(super) enum Entrance {
    /// The discovery document, which names the key set.
    Discovery(String),
    /// The key set itself, as configured.
    KeySet(String),
}

#[derive(Debug)]
struct Held {
    keys: KeySet,
    fetched: SystemTime,
    refresh: SystemTime,
}

#[derive(Debug, Default)]
struct State {
    /// When the last fetch was claimed; claimed before it is made, so that a failing one counts too (T-56).
    claimed: Option<SystemTime>,
    last_failure: Option<String>,
    /// Key ids that a fetched set did not have, and until when that is remembered.
    unknown: VecDeque<(Digest, SystemTime)>,
}

impl IssuerKeys {
    pub(super) fn new(source: KeySource, algorithms: Vec<Algorithm>) -> Self {
        Self {
            source,
            algorithms,
            held: ArcSwapOption::empty(),
            flight: tokio::sync::Mutex::new(()),
            waiting: Semaphore::new(MAX_WAITING),
            state: Mutex::default(),
            refreshes: Mutex::default(),
        }
    }

    /// Returns the key that a token of this issuer names.
    ///
    /// # Errors
    /// Refuses as unverifiable what the issuer's keys do not fit, and as unavailable where there are no keys to ask.
    pub(super) async fn find(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: SystemTime,
    ) -> Result<PublicKey, AttestRefusal> {
        match self.held_key(kid, algorithm, now) {
            Some(Ok(key)) => {
                self.refresh_if_due(now);
                return Ok(key);
            }
            Some(Err(missing)) if !self.worth_a_fetch(&missing, kid, now) => return Err(unverifiable(&missing)),
            Some(Err(_)) | None => {}
        }
        let place = self.waiting.try_acquire();
        let _place = place.map_err(|_full| self.unavailable(KeysUnavailable::Crowded))?;
        let flight = self.flight.lock().await;
        // Whoever held the flight before may have brought the key.
        let missing = match self.held_key(kid, algorithm, now) {
            Some(Ok(key)) => return Ok(key),
            Some(Err(missing)) => Some(missing),
            None => None,
        };
        let fetched = self.fetch_if_allowed(now).await;
        drop(flight);
        match (self.held_key(kid, algorithm, now), fetched) {
            (Some(Ok(key)), _) => Ok(key),
            (Some(Err(missing)), Ok(())) => {
                self.remember_unknown(kid, now);
                Err(unverifiable(&missing))
            }
            (Some(Err(missing)), Err(_why)) => Err(unverifiable(&missing)),
            (None, Err(source)) => Err(self.unavailable(source)),
            (None, Ok(())) => Err(missing.map_or_else(
                || self.unavailable(KeysUnavailable::Stale),
                |missing| unverifiable(&missing),
            )),
        }
    }

    /// Looks among the keys that are held, if they are young enough.
    fn held_key(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: SystemTime,
    ) -> Option<Result<PublicKey, KeyNotFound>> {
        let held = self.held.load();
        let held = held.as_ref().filter(|held| held.age(now) <= LAST_GOOD_KEPT)?;
        Some(held.keys.find(kid, algorithm).cloned())
    }

    /// Tells whether newer keys could help, and nobody found out lately that they do not.
    fn worth_a_fetch(&self, missing: &KeyNotFound, kid: Option<&str>, now: SystemTime) -> bool {
        let new_key = matches!(missing, KeyNotFound::UnknownKeyId { .. });
        let id = kid_digest(kid);
        new_key
            && !self
                .state()
                .unknown
                .iter()
                .any(|(known, until)| *known == id && now < *until)
    }

    fn remember_unknown(&self, kid: Option<&str>, now: SystemTime) {
        let mut state = self.state();
        state.unknown.retain(|(_, until)| now < *until);
        if state.unknown.len() >= UNKNOWN_REMEMBERED {
            state.unknown.pop_front();
        }
        state.unknown.push_back((kid_digest(kid), now + UNKNOWN_MEMORY));
    }

    async fn fetch_if_allowed(&self, now: SystemTime) -> Result<(), KeysUnavailable> {
        if let Some(last_failure) = self.claim(now) {
            return Err(KeysUnavailable::CoolingDown { last_failure });
        }
        self.fetch(now).await
    }

    /// Claims the right to fetch; if another has it, returns how that one ended.
    fn claim(&self, now: SystemTime) -> Option<String> {
        let mut state = self.state();
        // A claim from the future is of a clock that was set back; it does not bind.
        let since = state.claimed.and_then(|claimed| now.duration_since(claimed).ok());
        if since.is_some_and(|since| since < REFETCH_PAUSE) {
            return Some(state.last_failure.clone().unwrap_or_else(|| "it succeeded".to_owned()));
        }
        state.claimed = Some(now);
        None
    }

    async fn fetch(&self, now: SystemTime) -> Result<(), KeysUnavailable> {
        match self.source.fetch(&self.algorithms).await {
            Ok((keys, max_age)) => {
                let wait = max_age.unwrap_or(REFRESH_DEFAULT).clamp(REFRESH_MIN, REFRESH_MAX);
                self.held.store(Some(Arc::new(Held {
                    keys,
                    fetched: now,
                    refresh: now + wait,
                })));
                self.state().last_failure = None;
                Ok(())
            }
            Err(failed) => {
                self.state().last_failure = Some(chain(&failed));
                Err(failed)
            }
        }
    }

    /// Fetches anew behind the caller's back once the keys are old; the caller goes on with those held.
    fn refresh_if_due(self: &Arc<Self>, now: SystemTime) {
        let due = self.held.load().as_ref().is_some_and(|held| held.refresh <= now);
        if !due || self.claim(now).is_some() {
            return;
        }
        let mut refreshes = self.refreshes.lock().unwrap_or_else(PoisonError::into_inner);
        while refreshes.try_join_next().is_some() {}
        let keys = Arc::clone(self);
        refreshes.spawn(async move {
            let _flight = keys.flight.lock().await;
            if let Err(failed) = keys.fetch(now).await {
                tracing::warn!(
                    issuer = keys.source.issuer,
                    error = chain(&failed),
                    "the keys of issuer `{}` were not refreshed; the last good ones stay in use",
                    keys.source.issuer
                );
            }
        });
    }

    fn unavailable(&self, source: KeysUnavailable) -> AttestRefusal {
        AttestRefusal::IssuerUnavailable {
            issuer: self.source.issuer.clone(),
            source: Box::new(source),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    #[cfg(feature = "dev")]
    pub(super) fn unknown_remembered(&self) -> usize {
        self.state().unknown.len()
    }
}

impl Held {
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.fetched).unwrap_or_default()
    }
}

impl KeySource {
    async fn fetch(&self, algorithms: &[Algorithm]) -> Result<(KeySet, Option<Duration>), KeysUnavailable> {
        let url = match &self.entrance {
            Entrance::Discovery(url) => self.discover(url).await?,
            Entrance::KeySet(url) => url.clone(),
        };
        let document = self.get(&url).await?;
        let keys = KeySet::parse_issued(&document.bytes, algorithms, &self.issuer).map_err(KeysUnavailable::KeySet)?;
        Ok((keys, document.max_age))
    }

    async fn discover(&self, url: &str) -> Result<String, KeysUnavailable> {
        let document = self.get(url).await?;
        let url = discovery::key_set_url(&document.bytes, &self.issuer).map_err(KeysUnavailable::Discovery)?;
        Ok(url)
    }

    async fn get(&self, url: &str) -> Result<crate::fetch::Document, KeysUnavailable> {
        self.origin
            .get(url, SizeLimit::Document)
            .await
            .map_err(KeysUnavailable::Fetch)
    }
}

/// An issuer's keys could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysUnavailable {
    /// They were asked for a moment ago.
    #[error("they were asked for less than 30 s ago: {last_failure}")]
    CoolingDown {
        /// How that ended.
        last_failure: String,
    },
    /// As many requests wait for a fetch as may.
    #[error("{MAX_WAITING} requests wait for them already, as many as may")]
    Crowded,
    /// The discovery document is refused.
    #[error("the discovery document is refused")]
    Discovery(#[source] DiscoveryRefused),
    /// A document could not be fetched.
    #[error("a document could not be fetched")]
    Fetch(#[source] FetchFailed),
    /// The key set is refused.
    #[error("the key set is refused")]
    KeySet(#[source] KeySetRefused),
    /// The clock moved past what was just fetched.
    #[error("the keys were fetched more than 24 h ago")]
    Stale,
}

pub(super) fn unverifiable(missing: &KeyNotFound) -> AttestRefusal {
    AttestRefusal::Unverifiable {
        reason: missing.to_string(),
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn kid_digest(kid: Option<&str>) -> Digest {
    Digest::of(kid.unwrap_or_default().as_bytes())
}

// LIMITS.md, foreign JWKS (TM-11, TM-13).
const REFETCH_PAUSE: Duration = Duration::from_secs(30);
const UNKNOWN_REMEMBERED: usize = 128;
const UNKNOWN_MEMORY: Duration = Duration::from_mins(5);
const LAST_GOOD_KEPT: Duration = Duration::from_hours(24);

/// A quarter of the requests that may be under way by default (LIMITS.md): strangers with key ids that a slow issuer is asked
/// about must leave room for everybody else.
pub(super) const MAX_WAITING: usize = 256;

/// An issuer's `max-age` counts within these: often enough to see a key withdrawn, seldom enough not to be a burden.
const REFRESH_MIN: Duration = Duration::from_mins(5);
const REFRESH_MAX: Duration = Duration::from_hours(1);
const REFRESH_DEFAULT: Duration = Duration::from_mins(15);
