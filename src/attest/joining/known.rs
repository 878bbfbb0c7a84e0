//! A join token that the store knows: the proof that an operator made it.
//!
//! It must never be made of anything but the row that the presented token's own digest found.

use std::time::SystemTime;

use super::{Described, JoinToken, Labels, MachineName};
use crate::{
    attest::{AttestRefusal, AttestorName, OwnStore},
    clock::from_unix_seconds,
    store::JoinTokenRow,
};

/// A join token that was looked up and found; only `look_up` makes one.
#[derive(Clone, Debug)]
pub struct KnownToken {
    row: JoinTokenRow,
    machine: Described,
    expires: SystemTime,
}

impl KnownToken {
    /// Looks a token up; `None` where nobody made it, it was removed, or it is for another attestor.
    ///
    /// # Errors
    /// Fails where the store does, and where it holds what nobody wrote.
    pub(in crate::attest) async fn look_up(
        token: &JoinToken,
        attestor: &AttestorName,
        store: &OwnStore,
    ) -> Result<Option<Self>, AttestRefusal> {
        let unavailable = |source| AttestRefusal::LedgerUnavailable { source };
        let store = store.open().map_err(unavailable)?;
        let row = store.join_token(token.sha256()).await.map_err(unavailable)?;
        let Some(row) = row.filter(|row| row.attestor == attestor.as_str()) else {
            return Ok(None);
        };
        let unreadable = || AttestRefusal::Unverifiable {
            reason: format!("the store's row of join token `{}` cannot be read", row.id),
        };
        let machine = Described {
            name: MachineName::parse(&row.machine).map_err(|_refused| unreadable())?,
            labels: Labels::from_json(&row.labels).ok_or_else(unreadable)?,
        };
        let expires = from_unix_seconds(row.expires_seconds).ok_or_else(unreadable)?;
        Ok(Some(Self { row, machine, expires }))
    }

    /// Refuses a token that has ended; the clock that made it is ours, so no leeway is given.
    pub(in crate::attest) fn refuse_expired(&self, now: SystemTime) -> Result<(), AttestRefusal> {
        match now.duration_since(self.expires) {
            Ok(ago) => Err(AttestRefusal::Expired { ago }),
            Err(_still_valid) => Ok(()),
        }
    }

    /// Returns what operators call the token.
    pub fn id(&self) -> &str {
        &self.row.id
    }

    /// Returns the machine that it names.
    pub fn machine(&self) -> &Described {
        &self.machine
    }

    /// Returns when it ends.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }
}
