//! How one authority stands in its life, read from its row.
//!
//! Holds nothing secret: the sealed key stays in the row.

use std::time::{Duration, SystemTime};

use super::rules::{Lane, Rules, must_be_found};
use crate::{
    clock::from_unix_seconds,
    mint::authority::{KeyRingRefused, Purpose, State},
    store::AuthorityRow,
};

/// How one authority stands in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The key id.
    pub id: String,
    /// What it signs, with what.
    pub lane: Lane,
    /// Its place in the life cycle.
    pub state: State,
    /// When it was made.
    pub created: SystemTime,
    /// From when it may sign, once it was observed; when it began to, once it is active.
    pub activates: SystemTime,
    /// When it ought to have been replaced.
    pub expires: SystemTime,
    /// When it may leave the documents; once it is removed, when it did.
    pub removes: SystemTime,
}

impl Standing {
    /// Reads a row.
    ///
    /// # Errors
    /// Refuses words and times that this program does not know.
    pub fn of(row: &AuthorityRow) -> Result<Self, KeyRingRefused> {
        let purpose = Purpose::ALL.into_iter().find(|one| one.as_str() == row.purpose);
        let purpose = purpose.ok_or_else(|| KeyRingRefused::unreadable(row, "purpose", &row.purpose))?;
        let state = State::ALL.into_iter().find(|one| one.as_str() == row.state);
        let state = state.ok_or_else(|| KeyRingRefused::unreadable(row, "state", &row.state))?;
        let moment = |field, seconds: u64| {
            from_unix_seconds(seconds).ok_or_else(|| KeyRingRefused::unreadable(row, field, &seconds.to_string()))
        };
        Ok(Self {
            id: row.id.clone(),
            lane: Lane::new(purpose, &row.algorithm),
            state,
            created: moment("created", row.created_seconds)?,
            activates: moment("activates", row.activates_seconds)?,
            expires: moment("expires", row.expires_seconds)?,
            removes: moment("removes", row.removes_seconds)?,
        })
    }

    /// Reads all rows.
    ///
    /// # Errors
    /// Refuses the first that cannot be read.
    pub fn all(rows: &[AuthorityRow]) -> Result<Vec<Self>, KeyRingRefused> {
        rows.iter().map(Self::of).collect()
    }

    /// Returns what it signs.
    pub fn purpose(&self) -> Purpose {
        self.lane.purpose
    }

    /// Returns whether it has yet to sign for the first time.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Prepared | State::Published | State::Observed)
    }

    /// Returns whether verifiers find it in our documents.
    pub fn is_listed(&self) -> bool {
        must_be_found(self.purpose()) && self.state.is_published()
    }

    /// Returns whether `rules` say that its successor is to be made.
    pub fn needs_successor(&self, now: SystemTime, rules: &Rules) -> bool {
        reaches(now, self.expires, rules.prepares_before(self.purpose()))
    }

    /// Returns when its successor is to sign in its place.
    pub fn yields(&self, rules: &Rules) -> SystemTime {
        let before = rules.activates_before(self.purpose());
        self.expires.checked_sub(before).unwrap_or(self.expires)
    }
}

/// Tells whether `now` is at most `before` ahead of `end`.
fn reaches(now: SystemTime, end: SystemTime, before: Duration) -> bool {
    now.checked_add(before).is_none_or(|reached| reached >= end)
}
