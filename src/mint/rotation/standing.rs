//! How one authority stands in its life, read from its row.
//!
//! Holds nothing secret: the sealed key stays in the row.

use std::time::{Duration, SystemTime};

use super::rules::{Lane, Rules, must_be_found};
use crate::{
    clock::from_unix_seconds,
    mint::{
        authority::{KeyRingRefused, OUTSIDE, Purpose, State, stored},
        der,
        lint::chain::leads_to,
    },
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
    /// What must come from outside before it can be published.
    pub waits: Option<Waits>,
}

/// What an intermediate waits for whose root is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// For its chain.
    Chain,
    /// For the root above it, which does not sign yet: not everybody has taken it.
    Root,
}

impl Standing {
    /// Reads a row by itself.
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
            waits: stored::waits_for_chain(row).then_some(Waits::Chain),
        })
    }

    /// Reads all rows.
    ///
    /// # Errors
    /// Refuses the first that cannot be read.
    pub fn all(rows: &[AuthorityRow]) -> Result<Vec<Self>, KeyRingRefused> {
        let mut keys = rows.iter().map(Self::of).collect::<Result<Vec<_>, _>>()?;
        let coming: Vec<&AuthorityRow> = rows
            .iter()
            .zip(&keys)
            .filter(|(row, key)| stored::is_outside(row) && key.is_pending())
            .map(|(row, _)| row)
            .collect();
        for (row, key) in rows.iter().zip(&mut keys) {
            if coming.iter().any(|root| is_under(row, root)) {
                key.waits = Some(Waits::Root);
            }
        }
        Ok(keys)
    }

    /// Returns what it signs.
    pub fn purpose(&self) -> Purpose {
        self.lane.purpose
    }

    /// Returns whether it has yet to sign for the first time.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Prepared | State::Published | State::Observed)
    }

    /// Returns whether it is a root whose key is not here.
    pub fn is_outside(&self) -> bool {
        self.purpose() == Purpose::X509Root && self.lane.algorithm == OUTSIDE
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

/// Tells whether `row` is an intermediate whose chain leads to `root`.
pub(super) fn is_under(row: &AuthorityRow, root: &AuthorityRow) -> bool {
    let certificates = |row: &AuthorityRow| {
        let parts = der::split(&row.certificates).unwrap_or_default();
        parts.into_iter().map(|part| part.to_vec().into()).collect::<Vec<_>>()
    };
    let is_intermediate = row.purpose == Purpose::X509Intermediate.as_str() && row.state != State::Removed.as_str();
    is_intermediate && leads_to(&certificates(row), &certificates(root)).is_ok()
}

/// Tells whether `now` is at most `before` ahead of `end`.
fn reaches(now: SystemTime, end: SystemTime, before: Duration) -> bool {
    now.checked_add(before).is_none_or(|reached| reached >= end)
}
