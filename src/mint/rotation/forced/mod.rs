//! What an operator asks for: a successor now, or a key out at once.
//!
//! A forced rotation takes no short cut: only a compromised key is dropped without waiting for anybody.

use std::time::SystemTime;

use super::{
    decision::has_room,
    rules::{Lane, Rules, must_be_found},
    standing::{Standing, is_under},
    step::{activate, remove},
};
use crate::{
    clock::{from_unix_seconds, unix_seconds},
    mint::{
        authority::{KeyRingRefused, Purpose, State},
        outside::RootPlace,
    },
    store::AuthorityRow,
};

/// Which keys are to be replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only of this purpose; without one all but roots, which others have pinned.
    pub purpose: Option<Purpose>,
    /// Only of this algorithm.
    pub algorithm: Option<String>,
}

impl Selection {
    fn takes(&self, key: &Standing) -> bool {
        let of_purpose = match self.purpose {
            None => key.purpose() != Purpose::X509Root,
            Some(purpose) => key.purpose() == purpose,
        };
        of_purpose && !key.is_outside() && self.algorithm.as_ref().is_none_or(|one| *one == key.lane.algorithm)
    }
}

/// What was asked for is not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotForced {
    /// No key is known by that id.
    #[error("found no key `{id}`, expected the id of one that is not removed")]
    KeyUnknown {
        /// What was asked for.
        id: String,
    },
    /// As many keys are published as may be.
    #[error("no room to publish another key for {purpose}: at most 10 keys and 2 roots are published")]
    NoRoom {
        /// For what.
        purpose: &'static str,
    },
    /// No such key signs.
    #[error(
        "found no active key that this would replace; the key of checkpoints is not rotated, and a root outside by \
         installing a chain under another"
    )]
    NothingActive,
    /// There is nobody outside to certify our intermediates.
    #[error("the root is in the store and certifies intermediates by itself, expected `x509.root = \"outside\"`")]
    RootInStore,
    /// A row cannot be read.
    #[error("the authorities cannot be read")]
    Unreadable(#[from] KeyRingRefused),
}

/// Makes the successors of the selected keys due at once; the engine then goes its way, as fast as the lead allows.
///
/// A key is due from the moment that its successor is to sign, so its end moves to where that moment is now. What it signed
/// is not concerned.
///
/// # Errors
/// Refuses where nothing is selected, and where a successor could not be published.
pub fn rotate(
    rows: &[AuthorityRow],
    selection: &Selection,
    now: SystemTime,
    rules: &Rules,
) -> Result<Vec<AuthorityRow>, NotForced> {
    let keys = Standing::all(rows)?;
    let selected: Vec<&Standing> = keys
        .iter()
        .filter(|key| key.state == State::Active && rules.life(key.purpose()).is_some() && selection.takes(key))
        .collect();
    if selected.is_empty() {
        return Err(NotForced::NothingActive);
    }
    for key in &selected {
        let waits = keys.iter().any(|one| one.lane == key.lane && one.is_pending());
        if !waits && must_be_found(key.purpose()) && !has_room(&keys, key.purpose()) {
            let purpose = key.purpose().as_str();
            return Err(NotForced::NoRoom { purpose });
        }
    }
    let mut rows = rows.to_vec();
    for row in &mut rows {
        if let Some(key) = selected.iter().find(|key| key.id == row.id) {
            let end = unix_seconds(now + rules.activates_before(key.purpose()));
            row.expires_seconds = row.expires_seconds.min(end);
        }
    }
    Ok(rows)
}

/// What the revocation of a key leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The key that is gone.
    pub id: String,
    /// What it signed.
    pub purpose: Purpose,
    /// Where it stood.
    pub was: State,
    /// The key that signs in its place; `None` where the key did not sign.
    pub successor: Option<String>,
    /// Until when something that the key signed may still have been valid; it is refused from now on.
    pub signed_until: SystemTime,
    /// Until when verifiers may not know the successor, which did not wait for them.
    pub unknown_until: Option<SystemTime>,
}

/// Returns the lane that needs a new key before `id` can be dropped; `None` where another key can step in, or none need to.
///
/// # Errors
/// Refuses an unknown key.
pub fn replacement_needed(rows: &[AuthorityRow], id: &str, rules: &Rules) -> Result<Option<Lane>, NotForced> {
    let keys = Standing::all(rows)?;
    let key = known(&keys, id)?;
    // What somebody outside certifies cannot be replaced here and now.
    let ours = match key.purpose() {
        Purpose::Audit | Purpose::Jwt => true,
        Purpose::X509Intermediate => rules.root() == RootPlace::Store,
        Purpose::X509Root => !key.is_outside(),
    };
    let needed = ours && key.state == State::Active && successor(&keys, key).is_none();
    Ok(needed.then(|| key.lane.clone()))
}

/// Drops a compromised key; where it signed, its successor does from now on, without any lead.
///
/// # Errors
/// Refuses an unknown key.
pub fn revoke(
    rows: &[AuthorityRow],
    id: &str,
    made: Option<AuthorityRow>,
    (now, rules): (SystemTime, &Rules),
) -> Result<(Vec<AuthorityRow>, Revoked), NotForced> {
    let mut rows = rows.to_vec();
    let keys = Standing::all(&rows)?;
    let key = known(&keys, id)?.clone();
    let before = match successor(&keys, &key) {
        Some(successor) => Some(successor.clone()),
        None => made.as_ref().map(Standing::of).transpose()?,
    };
    let steps_in = before.filter(|_| key.state == State::Active);
    if steps_in
        .as_ref()
        .is_some_and(|one| keys.iter().all(|key| key.id != one.id))
    {
        rows.extend(made);
    }
    let root = rows
        .iter()
        .find(|row| row.id == key.id && key.purpose() == Purpose::X509Root);
    let root = root.cloned();
    for row in &mut rows {
        // What stands below a root cannot be verified without it.
        if row.id == key.id || root.as_ref().is_some_and(|root| is_under(row, root)) {
            remove(row, now);
        } else if steps_in.as_ref().is_some_and(|one| one.id == row.id) {
            activate(row, now, rules);
        }
    }
    let signed = match key.state {
        State::Active | State::Retired => rules.life(key.purpose()).map(|life| life.signed),
        State::Observed | State::Prepared | State::Published | State::Removed => None,
    };
    let revoked = Revoked {
        id: key.id.clone(),
        purpose: key.purpose(),
        was: key.state,
        signed_until: now + signed.unwrap_or_default(),
        unknown_until: steps_in.as_ref().and_then(|one| unknown_until(one, now, rules)),
        successor: steps_in.map(|one| one.id),
    };
    Ok((rows, revoked))
}

/// A successor that was seen everywhere is known as soon as its lead is over, any other a lead from now.
fn unknown_until(successor: &Standing, now: SystemTime, rules: &Rules) -> Option<SystemTime> {
    let lead = rules.signs_after_seen(successor.purpose());
    let until = match successor.state {
        State::Observed => successor.activates,
        State::Active | State::Prepared | State::Published | State::Removed | State::Retired => now + lead,
    };
    (until > now && must_be_found(successor.purpose())).then_some(until)
}

fn known<'a>(keys: &'a [Standing], id: &str) -> Result<&'a Standing, NotForced> {
    let mut keys = keys.iter().filter(|key| key.state != State::Removed);
    keys.find(|key| key.id == id)
        .ok_or_else(|| NotForced::KeyUnknown { id: id.to_owned() })
}

/// The key of the lane that has come furthest.
fn successor<'a>(keys: &'a [Standing], of: &Standing) -> Option<&'a Standing> {
    let ready = |key: &&Standing| key.is_pending() && key.waits.is_none();
    let pending = keys.iter().filter(|key| key.lane == of.lane).filter(ready);
    pending.max_by_key(|key| (key.state, std::cmp::Reverse(key.created)))
}

/// Returns the earliest moment at which `key` may sign, if it is seen everywhere from now on; `None` once it has signed, and
/// while it waits for somebody outside.
pub fn earliest_activation(key: &Standing, now: SystemTime, rules: &Rules) -> Option<SystemTime> {
    if key.waits.is_some() {
        return None;
    }
    match key.state {
        State::Observed => Some(key.activates.max(now)),
        State::Prepared | State::Published => {
            let at = now + rules.signs_after_seen(key.purpose());
            from_unix_seconds(unix_seconds(at))
        }
        State::Active | State::Removed | State::Retired => None,
    }
}

#[cfg(test)]
mod tests;
