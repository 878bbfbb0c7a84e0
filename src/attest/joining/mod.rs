//! How a machine joins that has nothing yet: an operator names it, and gives it a token that serves once.
//!
//! What attestors of such machines share. It must never keep a token, and never take a name that it would have to rewrite.

mod keys;
mod known;
mod machine;
mod token;

pub use keys::{KeepsKeys, Kept, KeyTerms, NewKey, locking};
pub use known::KnownToken;
pub(in crate::attest) use machine::MachineAttributes;
pub use machine::{Described, Labels, MachineName, MachineRefused};
pub use token::{JoinToken, JoinTokenMalformed};

use std::time::{Duration, SystemTime};

use super::{AttestorName, CLOCK_LEEWAY, span::Span};
use crate::{
    clock::{from_unix_seconds, unix_seconds},
    secret::{Digest, NoRandomness, Random, hex},
    store::{Binding, JoinTokenRow, LedgerUse, UseRule},
};

/// A token that an operator asks for.
#[derive(Clone, Debug)]
pub struct Ordered {
    /// The attestor that will judge it.
    pub attestor: AttestorName,
    /// The machine that it will name.
    pub machine: Described,
    /// How long it lives.
    pub life: Duration,
    /// Who asks.
    pub made_by: String,
}

impl Ordered {
    /// Draws the token and makes the row that stands for it in the store.
    ///
    /// # Errors
    /// Fails where the platform gives no randomness.
    pub fn make(&self, random: &dyn Random, now: SystemTime) -> Result<(JoinToken, JoinTokenRow), NoRandomness> {
        let token = JoinToken::draw(random)?;
        let mut id = [0; 8];
        random.fill(&mut id)?;
        let sha256 = token.sha256();
        let row = JoinTokenRow {
            id: hex(&id),
            sha256,
            ledger_key: ledger_key(&self.attestor, sha256),
            attestor: self.attestor.to_string(),
            machine: self.machine.name.as_str().to_owned(),
            labels: self.machine.labels.to_json(),
            made_by: self.made_by.clone(),
            created_seconds: unix_seconds(now),
            expires_seconds: unix_seconds(now + self.life),
            used: false,
        };
        Ok((token, row))
    }
}

/// Reads how long a token shall live, such as `10m`; nothing means [`DEFAULT_LIFE`].
///
/// # Errors
/// Refuses another form, nothing at all, and more than [`MAX_LIFE`], in words.
pub fn life(text: Option<&str>) -> Result<Duration, String> {
    let Some(text) = text else { return Ok(DEFAULT_LIFE) };
    match Span::parse(text) {
        Some(Span(life)) if (MIN_LIFE..=MAX_LIFE).contains(&life) => Ok(life),
        Some(_) | None => Err("is no length of time of 1s to 1h, such as `10m`".to_owned()),
    }
}

/// Long enough to carry a token to a machine that is being set up.
pub const DEFAULT_LIFE: Duration = Duration::from_mins(10);
/// A token that waits longer is one that somebody else finds.
pub const MAX_LIFE: Duration = Duration::from_hours(1);
const MIN_LIFE: Duration = Duration::from_secs(1);

/// Returns who vouches for the machines of an attestor, in the place of an issuer's URL: ourselves.
pub fn issuer(attestor: &AttestorName) -> String {
    format!("urn:cambio:join-token:{attestor}")
}

/// Returns what the one use of a token is held against, as [`super::conclude`] makes it of issuer and evidence.
pub fn ledger_key(attestor: &AttestorName, sha256: Digest) -> Digest {
    Digest::of_parts(&[issuer(attestor).as_bytes(), sha256.as_bytes()])
}

/// Returns the use that takes a token from whoever may hold it: the one that an operator makes to remove it.
///
/// It is a use like any other, so that a machine which comes at the same moment has either used the token or lost it.
pub fn removal(row: &JoinTokenRow) -> LedgerUse {
    let expires = from_unix_seconds(row.expires_seconds).unwrap_or(SystemTime::UNIX_EPOCH);
    LedgerUse {
        key: row.ledger_key,
        binding: Binding::Bearer,
        rule: UseRule::Once,
        stands_until: expires,
        ends: None,
        remember_until: expires + CLOCK_LEEWAY + Duration::from_secs(5), // LIMITS: `exp` + leeway + 5 s
        proof: None,
        keeps: None,
    }
}

/// What join tokens for an attestor may say.
#[derive(Clone, Debug, Default)]
pub struct Joins {
    /// The names of the labels that the attestor gives.
    pub labels: Vec<String>,
}

#[cfg(test)]
mod tests;
