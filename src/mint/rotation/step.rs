//! One change of the key set, and what the rows look like after it.
//!
//! Pure: a step never reads a clock or a key.

use std::time::{Duration, SystemTime};

use super::{
    observation::Unseen,
    rules::{Lane, Rules},
};
use crate::{
    clock::unix_seconds,
    mint::authority::{Purpose, State},
    store::AuthorityRow,
};

/// One change of the key set; each is one compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key signs from now on, and the one before it stops.
    Activate {
        /// The key.
        id: String,
        /// The one before it.
        retires: Option<String>,
    },
    /// A key that never signed is no longer wanted.
    Discard {
        /// The key.
        id: String,
    },
    /// A removed key is no longer remembered.
    Forget {
        /// The key.
        id: String,
    },
    /// A key that was seen has to be seen anew.
    Lose {
        /// The key.
        id: String,
        /// Why.
        because: Unseen,
    },
    /// A key was seen through every public place and is published by every live replica.
    Observe {
        /// The key.
        id: String,
    },
    /// A key is to be made.
    Prepare {
        /// For what.
        lane: Lane,
    },
    /// A key enters the documents.
    Publish {
        /// The key.
        id: String,
    },
    /// A key leaves the documents, and its private half is destroyed.
    Remove {
        /// The key.
        id: String,
    },
    /// A key stops signing without a successor of its own: its kind is no longer wanted, or nobody wrote down when it stopped.
    Retire {
        /// The key.
        id: String,
    },
}

impl Step {
    /// Returns the rows after this step; `made` is the key of [`Self::Prepare`].
    pub fn apply(
        &self,
        rows: &[AuthorityRow],
        made: Option<AuthorityRow>,
        now: SystemTime,
        rules: &Rules,
    ) -> Vec<AuthorityRow> {
        let mut rows = rows.to_vec();
        match self {
            Self::Activate { id, retires } => {
                change(&mut rows, id, |row| activate(row, now, rules));
                if let Some(id) = retires {
                    change(&mut rows, id, |row| retire(row, now, rules));
                }
            }
            Self::Discard { id } | Self::Remove { id } => change(&mut rows, id, |row| remove(row, now)),
            Self::Forget { id } => rows.retain(|row| row.id != *id),
            Self::Lose { id, .. } => change(&mut rows, id, |row| row.state = word(State::Published)),
            Self::Observe { id } => change(&mut rows, id, |row| {
                row.state = word(State::Observed);
                let lead = after_seen(row, rules);
                row.activates_seconds = if lead.is_zero() {
                    unix_seconds(now)
                } else {
                    full_seconds(now + lead)
                };
            }),
            Self::Prepare { .. } => rows.extend(made),
            Self::Publish { id } => change(&mut rows, id, |row| row.state = word(State::Published)),
            Self::Retire { id } => change(&mut rows, id, |row| retire(row, now, rules)),
        }
        rows
    }

    /// Says what the trail keeps of it.
    pub fn describe(&self) -> String {
        match self {
            Self::Activate { id, retires: None } => format!("key {id}: observed -> active"),
            Self::Activate { id, retires: Some(old) } => {
                format!("key {id}: observed -> active, key {old}: active -> retired")
            }
            Self::Discard { id } => format!("key {id}: never signed and is no longer wanted -> removed"),
            Self::Forget { id } => format!("key {id}: removed long ago -> forgotten"),
            Self::Lose { id, because } => format!("key {id}: observed -> published ({because})"),
            Self::Observe { id } => format!("key {id}: published -> observed"),
            Self::Prepare { lane } => format!("key for {} with {}: -> prepared", lane.purpose.as_str(), lane.algorithm),
            Self::Publish { id } => format!("key {id}: prepared -> published"),
            Self::Remove { id } => format!("key {id}: retired -> removed"),
            Self::Retire { id } => format!("key {id}: -> retired without a successor of its own"),
        }
    }
}

/// Lets a key sign from now on.
///
/// A life counts from here, but a certificate ends when it says.
pub(super) fn activate(row: &mut AuthorityRow, now: SystemTime, rules: &Rules) {
    row.state = word(State::Active);
    row.activates_seconds = unix_seconds(now);
    if let Some(life) = purpose(row).and_then(|purpose| rules.life(purpose))
        && row.certificates.is_empty()
    {
        row.expires_seconds = unix_seconds(now + life.authority);
    }
}

fn retire(row: &mut AuthorityRow, now: SystemTime, rules: &Rules) {
    let after = purpose(row).map(|purpose| rules.removed_after_retired(purpose));
    row.state = word(State::Retired);
    row.removes_seconds = full_seconds(now + after.unwrap_or_default());
}

/// Takes a key out for good; nobody can sign with it any more, because its private half is gone.
pub(super) fn remove(row: &mut AuthorityRow, now: SystemTime) {
    row.state = word(State::Removed);
    row.removes_seconds = unix_seconds(now);
    row.sealed = Vec::new();
}

fn after_seen(row: &AuthorityRow, rules: &Rules) -> Duration {
    purpose(row).map_or(rules.cached + rules.lead, |purpose| rules.signs_after_seen(purpose))
}

fn purpose(row: &AuthorityRow) -> Option<Purpose> {
    Purpose::ALL.into_iter().find(|one| one.as_str() == row.purpose)
}

fn change(rows: &mut [AuthorityRow], id: &str, change: impl FnOnce(&mut AuthorityRow)) {
    if let Some(row) = rows.iter_mut().find(|row| row.id == id) {
        change(row);
    }
}

/// Rounds up: a lead that is cut to whole seconds would be shorter than promised.
fn full_seconds(moment: SystemTime) -> u64 {
    unix_seconds(moment + Duration::from_nanos(999_999_999))
}

fn word(state: State) -> String {
    state.as_str().to_owned()
}
