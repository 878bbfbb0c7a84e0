//! The lists of revoked X.509-SVIDs: what is revoked, and the signed list of each intermediate.
//!
//! A revocation is durable before it is told. A list is never older than an hour while the store answers, and what was
//! published last is served on for ever.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{CertificateRevocationListParams, Issuer, RevokedCertParams, SerialNumber};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::{
    KeyRing,
    authority::{Authority, AuthoritySet, Purpose, State},
    issuing::{NotIssued, Pen},
    profile::BACKDATE,
};
use crate::{
    clock::{Clock, from_unix_seconds, unix_seconds},
    store::{RevocationRow, Revocations, Store, StoreError},
    trust::RevocationLists,
};

/// Keeps the published lists in step with the store and the keys.
#[derive(Debug)]
pub struct Revoker {
    keys: KeyRing,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    published: RevocationLists,
    made: Mutex<Option<Made>>,
}

/// What the published lists were made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Made {
    revocations: u64,
    authorities: u64,
    at: SystemTime,
}

/// How long a list may be used: verifiers that cannot reach us go on for a day, as long as the longest SVID lives.
pub const NEXT_UPDATE: Duration = Duration::from_hours(24);

/// How old a list gets before it is signed anew, so that it holds for most of a day when we are down.
const REISSUE: Duration = Duration::from_hours(1);

/// How often the store is asked whether something was revoked elsewhere.
///
/// LIMITS.md: what is shut takes effect within 5 s.
pub const REFRESH: Duration = Duration::from_secs(5);

impl Revoker {
    /// Takes what lists are made of, and where they are published.
    pub fn new(keys: KeyRing, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            keys,
            store,
            clock,
            published: RevocationLists::default(),
            made: Mutex::default(),
        }
    }

    /// Returns the lists as they are served.
    pub fn published(&self) -> &RevocationLists {
        &self.published
    }

    /// Signs and publishes the lists anew where the store, the keys or the time ask for it.
    ///
    /// # Errors
    /// Fails where the store or a key does; the last lists stay published.
    pub async fn refresh(&self) -> Result<(), RevokeRefused> {
        let mut made = self.made.lock().await;
        let revocations = self.store.revocations().await?;
        let set = self.keys.load();
        let now = self.clock.now();
        let next = Made {
            revocations: revocations.generation,
            authorities: set.generation(),
            at: now,
        };
        if made.is_some_and(|made| made.still_holds(next)) {
            return Ok(());
        }
        let mut lists = Vec::new();
        for authority in listing(&set) {
            lists.push((authority.id().to_owned(), list(authority, &revocations, now).await?));
        }
        self.published.replace(lists);
        *made = Some(next);
        Ok(())
    }

    /// Makes revocations durable and publishes them.
    ///
    /// # Errors
    /// Refuses more than [`RevocationRow::MAX_ROWS`] at once, and fails where the store does. Where only a list cannot be
    /// signed, the revocations stand and are published later.
    pub async fn revoke(&self, rows: &[RevocationRow]) -> Result<(), RevokeRefused> {
        if !self.store.revoke(rows, self.clock.now()).await? {
            return Err(RevokeRefused::TooMany);
        }
        self.refresh().await
    }

    /// Returns what is revoked.
    ///
    /// # Errors
    /// Fails where the store does.
    pub async fn list(&self) -> Result<Revocations, StoreError> {
        self.store.revocations().await
    }
}

impl Made {
    fn still_holds(self, next: Self) -> bool {
        let same = (self.revocations, self.authorities) == (next.revocations, next.authorities);
        same && next.at.duration_since(self.at).is_ok_and(|age| age < REISSUE)
    }
}

/// Returns the intermediates that have signed what may still be valid.
fn listing(set: &AuthoritySet) -> impl Iterator<Item = &Authority> {
    set.of(Purpose::X509Intermediate)
        .filter(|one| one.state().is_published() && one.state() != State::Prepared)
}

/// Writes and signs the list of one intermediate.
///
/// Every list names every revoked serial number: they are random, so that one of another intermediate hits nobody.
async fn list(authority: &Authority, revocations: &Revocations, now: SystemTime) -> Result<Vec<u8>, NotIssued> {
    let certified = authority.certified()?;
    let revoked = revocations.rows.iter().map(|row| RevokedCertParams {
        serial_number: SerialNumber::from_slice(&row.serial),
        revocation_time: moment(from_unix_seconds(row.revoked_seconds).unwrap_or(now)),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: moment(now - BACKDATE),
        next_update: moment(now + NEXT_UPDATE),
        crl_number: SerialNumber::from_slice(&number(revocations.generation, now)),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: certified.key_identifier().clone(),
    };
    let build = |issuer: &Issuer<'_, Pen<'_>>| Ok(params.signed_by(issuer)?.der().to_vec());
    let signing = (authority.key(), authority.algorithm());
    certified.letterhead().sign(signing, build).await
}

/// Numbers a list (RFC 5280 section 5.2.3): grows with each revocation and with time, the same on every replica.
fn number(generation: u64, now: SystemTime) -> [u8; 12] {
    let mut number = [0; 12];
    let bytes = generation.to_be_bytes().into_iter().chain(
        // Seconds fit 32 bits until 2106.
        u32::try_from(unix_seconds(now)).unwrap_or(u32::MAX).to_be_bytes(),
    );
    for (place, byte) in number.iter_mut().zip(bytes) {
        *place = byte;
    }
    number
}

fn moment(moment: SystemTime) -> OffsetDateTime {
    OffsetDateTime::from(from_unix_seconds(unix_seconds(moment)).unwrap_or(moment))
}

/// Nothing was revoked or published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeRefused {
    /// A list could not be signed.
    #[error("a list of revoked certificates cannot be signed")]
    NotIssued(#[from] NotIssued),
    /// The store failed.
    #[error("the revocations cannot be read or written")]
    Store(#[from] StoreError),
    /// More would be revoked than a list may name.
    #[error(
        "more than {} certificates would be revoked at once, replace the intermediate instead",
        RevocationRow::MAX_ROWS
    )]
    TooMany,
}

#[cfg(test)]
mod tests;
