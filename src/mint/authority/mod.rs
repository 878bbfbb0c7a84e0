//! Authorities: signing keys with their life cycle.
//!
//! A key signs only while it is active, and every published key stays published until what it signed has expired.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;

use crate::{
    clock::{from_unix_seconds, unix_seconds},
    jose::{PublicJwk, PublicKey, SigningAlgorithm},
    mint::{
        MintRefusal,
        keys::{Key, KeySource, KeyUnavailable, store::verifier},
    },
    store::{Authorities, AuthorityRow, Store, StoreError},
};

/// What an authority signs; a key of one purpose never signs for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Checkpoints of the trail.
    Audit,
    /// JWT-SVIDs.
    Jwt,
}

impl Purpose {
    /// Returns the word that stands in the store and in the sealing.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Jwt => "jwt",
        }
    }
}

/// Where an authority stands in its life, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Made, not yet published.
    Prepared,
    /// In the published documents, not yet signing.
    Published,
    /// Signing.
    Active,
    /// No longer signing, still published.
    Retired,
    /// No longer published.
    Removed,
}

impl State {
    const ALL: [Self; 5] = [
        Self::Prepared,
        Self::Published,
        Self::Active,
        Self::Retired,
        Self::Removed,
    ];

    /// Returns the word that stands in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Removed => "removed",
        }
    }

    /// Returns whether verifiers must find the key in our documents.
    pub fn is_published(self) -> bool {
        matches!(self, Self::Published | Self::Active | Self::Retired)
    }
}

/// One signing key with its place in the life cycle.
#[derive(Debug)]
pub struct Authority {
    key: Arc<dyn Key>,
    public: PublicJwk,
    verifier: PublicKey,
    purpose: Purpose,
    algorithm: SigningAlgorithm,
    state: State,
    expires: SystemTime,
}

impl Authority {
    /// Returns the key id.
    pub fn id(&self) -> &str {
        self.public.kid()
    }

    /// Returns the private key.
    pub fn key(&self) -> &dyn Key {
        &*self.key
    }

    /// Returns the published half.
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// Returns the verifying half.
    pub fn verifier(&self) -> &PublicKey {
        &self.verifier
    }

    /// Returns what it signs.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Returns with what.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// Returns its place in the life cycle.
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns when it should have been replaced.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }
}

/// All authorities at one generation.
#[derive(Debug)]
pub struct AuthoritySet {
    generation: u64,
    authorities: Vec<Authority>,
}

impl AuthoritySet {
    /// Returns the generation, which is also the bundle's sequence.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns all authorities.
    pub fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    /// Returns the keys that verifiers of SVIDs must find.
    pub fn published(&self) -> Vec<PublicJwk> {
        let published = self
            .authorities
            .iter()
            .filter(|one| one.purpose == Purpose::Jwt && one.state.is_published());
        published.map(|one| one.public.clone()).collect()
    }

    fn active(&self, purpose: Purpose, algorithm: SigningAlgorithm) -> Option<&Authority> {
        let mut authorities = self.authorities.iter();
        authorities.find(|one| one.purpose == purpose && one.algorithm == algorithm && one.state == State::Active)
    }
}

/// The authorities in use, swapped whole; cheap to clone.
#[derive(Clone, Debug)]
pub struct KeyRing(Arc<ArcSwap<AuthoritySet>>);

impl KeyRing {
    /// Opens the store's authorities; an empty store gets its first ones, which sign at once (`genesis`).
    ///
    /// They may: nobody can hold an older key set of an issuer that has never published one.
    ///
    /// # Errors
    /// Fails where the store or the key source does, and on more than ten published keys.
    pub async fn open(store: &dyn Store, source: &dyn KeySource, now: SystemTime) -> Result<Self, KeyRingRefused> {
        let mut stored = store.authorities().await?;
        if stored.rows.is_empty() {
            let rows = genesis(source, now)?;
            if !store.replace_authorities(stored.generation, &rows).await? {
                return Err(KeyRingRefused::Contended);
            }
            stored = store.authorities().await?;
        }
        Ok(Self(Arc::new(ArcSwap::from_pointee(read(source, &stored)?))))
    }

    /// Returns the authorities of this moment.
    pub fn load(&self) -> Arc<AuthoritySet> {
        self.0.load_full()
    }

    /// Signs with the active authority; returns its key id, the signature's input as given, and the signature.
    ///
    /// # Errors
    /// Refuses where no authority of that purpose and algorithm is active, or its source does not sign.
    pub async fn sign<I: AsRef<[u8]>>(
        &self,
        purpose: Purpose,
        algorithm: SigningAlgorithm,
        input: impl FnOnce(&Authority) -> Result<I, MintRefusal>,
    ) -> Result<Signed<I>, MintRefusal> {
        let authorities = self.load();
        let unavailable = |reason: String| MintRefusal::KeyUnavailable {
            algorithm: name(algorithm),
            reason,
        };
        let index = authorities
            .authorities
            .iter()
            .position(|one| one.purpose == purpose && one.algorithm == algorithm && one.state == State::Active);
        let authority = index.and_then(|index| authorities.authorities.get(index));
        let authority = authority.ok_or_else(|| unavailable("no authority is active".to_owned()))?;
        let input = input(authority)?;
        let signature = authority
            .key
            .sign(input.as_ref())
            .await
            .map_err(|failed| unavailable(failed.to_string()))?;
        Ok(Signed {
            key_id: authority.id().to_owned(),
            input,
            signature,
            verifier: authority.verifier.clone(),
        })
    }

    /// Returns the key that signs checkpoints, and nothing else.
    pub fn audit_key(&self) -> Option<Arc<dyn Key>> {
        let authorities = self.load();
        authorities
            .active(Purpose::Audit, SigningAlgorithm::Es256)
            .map(|authority| Arc::clone(&authority.key))
    }
}

/// What was signed, with which key.
#[derive(Debug)]
pub struct Signed<I> {
    /// The key.
    pub key_id: String,
    /// What was signed.
    pub input: I,
    /// The signature.
    pub signature: Vec<u8>,
    /// The key's verifying half.
    pub verifier: PublicKey,
}

/// The authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingRefused {
    /// Another process made the first authorities at the same moment.
    #[error("another process changed the authorities; start again")]
    Contended,
    /// A row holds a word that this program does not know.
    #[error("authority `{id}` has {field} `{found}`, which this program does not know")]
    RowUnreadable {
        /// The key id.
        id: String,
        /// Which field.
        field: &'static str,
        /// What it holds.
        found: String,
    },
    /// The key source does not open or make a key.
    #[error("a key is not available")]
    Source(#[from] KeyUnavailable),
    /// The store failed.
    #[error("the authorities cannot be read or written")]
    Store(#[from] StoreError),
    /// More keys are published than verifiers take.
    #[error("{found} keys are published, at most 10 are allowed")]
    TooMany {
        /// How many.
        found: usize,
    },
}

fn genesis(source: &dyn KeySource, now: SystemTime) -> Result<Vec<AuthorityRow>, KeyUnavailable> {
    let wanted = [
        (Purpose::Jwt, SigningAlgorithm::Rs256),
        (Purpose::Jwt, SigningAlgorithm::Es256),
        (Purpose::Audit, SigningAlgorithm::Es256),
    ];
    let row = |(purpose, algorithm): (Purpose, SigningAlgorithm)| {
        let (key, sealed) = source.generate(purpose, algorithm)?;
        Ok(AuthorityRow {
            id: key.public_jwk().kid().to_owned(),
            purpose: purpose.as_str().to_owned(),
            algorithm: name(algorithm).to_owned(),
            state: State::Active.as_str().to_owned(),
            created_seconds: unix_seconds(now),
            activates_seconds: unix_seconds(now),
            expires_seconds: unix_seconds(now + AUTHORITY_LIFE),
            sealed,
        })
    };
    wanted.into_iter().map(row).collect()
}

fn read(source: &dyn KeySource, stored: &Authorities) -> Result<AuthoritySet, KeyRingRefused> {
    let authorities = stored
        .rows
        .iter()
        .map(|row| read_row(source, row))
        .collect::<Result<Vec<_>, _>>()?;
    let set = AuthoritySet {
        generation: stored.generation,
        authorities,
    };
    let found = set.published().len();
    if found > MAX_PUBLISHED {
        Err(KeyRingRefused::TooMany { found })
    } else {
        Ok(set)
    }
}

fn read_row(source: &dyn KeySource, row: &AuthorityRow) -> Result<Authority, KeyRingRefused> {
    let unreadable = |field, found: &str| KeyRingRefused::RowUnreadable {
        id: row.id.clone(),
        field,
        found: found.to_owned(),
    };
    let purpose = [Purpose::Audit, Purpose::Jwt]
        .into_iter()
        .find(|one| one.as_str() == row.purpose);
    let purpose = purpose.ok_or_else(|| unreadable("purpose", &row.purpose))?;
    let algorithm = [SigningAlgorithm::Es256, SigningAlgorithm::Rs256]
        .into_iter()
        .find(|one| name(*one) == row.algorithm);
    let algorithm = algorithm.ok_or_else(|| unreadable("algorithm", &row.algorithm))?;
    let state = State::ALL.into_iter().find(|one| one.as_str() == row.state);
    let state = state.ok_or_else(|| unreadable("state", &row.state))?;
    let expires = from_unix_seconds(row.expires_seconds);
    let expires = expires.ok_or_else(|| unreadable("expires", &row.expires_seconds.to_string()))?;
    let key = source.open(&row.id, purpose, algorithm, &row.sealed)?;
    let public = key.public_jwk();
    if public.kid() != row.id {
        return Err(unreadable("id", public.kid()));
    }
    let verifier = verifier(&public)?;
    Ok(Authority {
        key,
        public,
        verifier,
        purpose,
        algorithm,
        state,
        expires,
    })
}

fn name(algorithm: SigningAlgorithm) -> &'static str {
    match algorithm {
        SigningAlgorithm::Es256 => "ES256",
        SigningAlgorithm::Rs256 => "RS256",
    }
}

/// LIMITS.md: a JWT authority lives 30 days.
const AUTHORITY_LIFE: Duration = Duration::from_hours(30 * 24);
/// LIMITS.md: the 11th published key is refused (AWS stops finding the key at 100).
const MAX_PUBLISHED: usize = 10;

#[cfg(test)]
mod tests;
