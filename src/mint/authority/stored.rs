//! Authorities as the store holds them, and what is refused when they are read.
//!
//! Never takes rows that contradict each other: a key whose row cannot be believed signs nothing.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Authority, AuthoritySet, Certified, OUTSIDE, OutsideRoot, Purpose, State};
use crate::{
    clock::{from_unix_seconds, unix_seconds},
    jose::SigningAlgorithm,
    mint::{
        issuing::NotIssued,
        keys::{KeySource, KeyUnavailable, store::verifier},
        lint,
    },
    store::{Authorities, AuthorityRow, StoreError},
};

/// The authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingRefused {
    /// Nothing here signs with this algorithm.
    #[error("found algorithm `{found}`, expected ES256 or RS256")]
    AlgorithmUnknown {
        /// What was asked for.
        found: String,
    },
    /// Other processes changed the authorities at each try to make the first ones.
    #[error("other processes changed the authorities at each of {tries} tries; start again")]
    Contended {
        /// How often it was tried.
        tries: usize,
    },
    /// An intermediate needs a root that signs.
    #[error("found no root that signs, expected one for an intermediate")]
    NoRoot,
    /// A certificate was not made.
    #[error("an X.509 authority cannot be made")]
    NotIssued(#[from] NotIssued),
    /// Rows contradict each other or the time.
    #[error("authority `{id}` {problem}")]
    Contradiction {
        /// The key id.
        id: String,
        /// What is wrong.
        problem: &'static str,
    },
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

impl KeyRingRefused {
    pub(in crate::mint) fn unreadable(row: &AuthorityRow, field: &'static str, found: &str) -> Self {
        Self::RowUnreadable {
            id: row.id.clone(),
            field,
            found: found.to_owned(),
        }
    }
}

/// Reads what the store holds; a removed key is only remembered, nobody can open it any more.
///
/// # Errors
/// Refuses a key that does not open, and rows that contradict each other: then nobody knows which key verifiers hold.
pub(in crate::mint) fn read(
    source: &dyn KeySource,
    stored: &Authorities,
    now: SystemTime,
) -> Result<AuthoritySet, KeyRingRefused> {
    contradiction(&stored.rows, now)?;
    let standing = stored.rows.iter().filter(|row| row.state != State::Removed.as_str());
    let (outside, here): (Vec<_>, Vec<_>) = standing.partition(|row| is_outside(row));
    let authorities = here.into_iter().map(|row| read_row(source, row));
    let set = AuthoritySet {
        generation: stored.generation,
        authorities: authorities.collect::<Result<_, _>>()?,
        outside: outside.into_iter().map(OutsideRoot::read).collect::<Result<_, _>>()?,
    };
    lint::chain::check(&set)?;
    let found = set.published().len() + set.published_roots().len();
    if found > MAX_PUBLISHED {
        Err(KeyRingRefused::TooMany { found })
    } else {
        Ok(set)
    }
}

/// Tells whether the row is a root whose key is not here.
pub(in crate::mint) fn is_outside(row: &AuthorityRow) -> bool {
    row.purpose == Purpose::X509Root.as_str() && row.algorithm == OUTSIDE
}

/// Tells whether the row is an intermediate that nobody has certified yet.
pub(in crate::mint) fn waits_for_chain(row: &AuthorityRow) -> bool {
    let prepared = row.state == State::Prepared.as_str();
    row.purpose == Purpose::X509Intermediate.as_str() && prepared && row.certificates.is_empty()
}

/// Refuses rows of which at least one must be wrong (T-12).
fn contradiction(rows: &[AuthorityRow], now: SystemTime) -> Result<(), KeyRingRefused> {
    let wrong = |row: &AuthorityRow, problem| {
        Err(KeyRingRefused::Contradiction {
            id: row.id.clone(),
            problem,
        })
    };
    let signs = |row: &AuthorityRow| row.state == State::Active.as_str();
    for (position, row) in rows.iter().enumerate() {
        let before = rows.iter().take(position);
        if before.clone().any(|other| other.id == row.id) {
            return wrong(row, "is there twice");
        }
        let same_lane = |other: &&AuthorityRow| other.purpose == row.purpose && other.algorithm == row.algorithm;
        if signs(row) && before.filter(same_lane).any(signs) {
            return wrong(row, "is active beside another of its purpose and algorithm");
        }
        if signs(row) && row.activates_seconds > unix_seconds(now + CLOCKS_DIFFER) {
            return wrong(row, "is active before its time");
        }
    }
    Ok(())
}

pub(in crate::mint) fn read_row(source: &dyn KeySource, row: &AuthorityRow) -> Result<Authority, KeyRingRefused> {
    let unreadable = |field, found: &str| KeyRingRefused::unreadable(row, field, found);
    let purpose = Purpose::ALL.into_iter().find(|one| one.as_str() == row.purpose);
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
    let certified = match purpose {
        Purpose::Audit | Purpose::Jwt => None,
        Purpose::X509Intermediate if waits_for_chain(row) => None,
        Purpose::X509Intermediate | Purpose::X509Root => {
            let read = Certified::read(purpose, &public, &row.certificates);
            Some(Arc::new(read.map_err(|found| unreadable("certificates", &found))?))
        }
    };
    Ok(Authority {
        key,
        public,
        verifier,
        purpose,
        algorithm,
        state,
        expires,
        certified,
    })
}

pub(in crate::mint) fn name(algorithm: SigningAlgorithm) -> &'static str {
    match algorithm {
        SigningAlgorithm::Es256 => "ES256",
        SigningAlgorithm::Rs256 => "RS256",
    }
}

/// A clock that is further ahead than this is not believed (LIMITS.md: a jump of more than 10 min).
const CLOCKS_DIFFER: Duration = Duration::from_mins(10);
/// LIMITS.md: the 11th published key is refused (AWS stops finding the key at 100).
const MAX_PUBLISHED: usize = 10;
