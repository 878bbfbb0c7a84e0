//! What somebody should look at.
//!
//! Pure, and never in the way: an alarm stops nothing.

use std::{fmt, time::SystemTime};

use super::{
    decision::{active, has_room},
    observation::{Observations, Unseen},
    rules::{Lane, Rules},
    standing::{Standing, Waits},
};
use crate::{
    clock::rfc3339,
    mint::{
        authority::{Purpose, State},
        outside::RootPlace,
    },
};

/// Something about the keys that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// No intermediate is certified for the time when the next is due; only somebody outside can.
    ChainWanted {
        /// The key whose request waits.
        request: Option<String>,
        /// When the intermediate that signs ends; `None` where none does.
        ends: Option<SystemTime>,
    },
    /// No room for another key, although one is due.
    NoRoom {
        /// For what.
        lane: Lane,
    },
    /// No key signs for a purpose.
    NothingActive {
        /// For what.
        lane: Lane,
    },
    /// A key goes on signing past its time, because its successor may not sign yet.
    Overdue {
        /// The key.
        id: String,
        /// Since when.
        since: SystemTime,
    },
    /// A root outside comes to its end, and no other is pinned beside it.
    RootEnds {
        /// The root.
        id: String,
        /// When.
        ends: SystemTime,
    },
    /// A place shows a key that is not ours.
    Stranger {
        /// The key.
        id: String,
        /// The place.
        place: String,
    },
    /// A published key that is needed is not seen everywhere.
    Unseen {
        /// The key.
        id: String,
        /// Why.
        because: Unseen,
    },
}

impl Alarm {
    /// Returns the word for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ChainWanted { .. } => "chain_wanted",
            Self::NoRoom { .. } => "no_room",
            Self::NothingActive { .. } => "nothing_active",
            Self::Overdue { .. } => "overdue",
            Self::RootEnds { .. } => "root_ends",
            Self::Stranger { .. } => "stranger",
            Self::Unseen { .. } => "unseen",
        }
    }

    /// All words of [`Self::kind`].
    pub const KINDS: [&str; 7] = [
        "chain_wanted",
        "no_room",
        "nothing_active",
        "overdue",
        "root_ends",
        "stranger",
        "unseen",
    ];
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |lane: &Lane| format!("{} with {}", lane.purpose.as_str(), lane.algorithm);
        match self {
            Self::ChainWanted { request, ends } => {
                match request {
                    Some(id) => write!(f, "key {id} waits for a chain from the root outside")?,
                    None => f.write_str("no key waits for a chain from the root outside")?,
                }
                match ends {
                    Some(ends) => write!(f, "; the intermediate that signs ends {}", rfc3339(*ends)),
                    None => f.write_str("; no X.509-SVID is signed until it is installed"),
                }
            }
            Self::NoRoom { lane } => write!(f, "no room to publish another key for {}", kind(lane)),
            Self::NothingActive { lane } => write!(f, "no key signs for {}", kind(lane)),
            Self::Overdue { id, since } => {
                let since = rfc3339(*since);
                write!(f, "key {id} should have been replaced by {since} and goes on signing")
            }
            Self::RootEnds { id, ends } => {
                let ends = rfc3339(*ends);
                write!(f, "root {id} ends {ends}, and no other is pinned beside it")
            }
            Self::Stranger { id, place } => write!(f, "{place} shows key {id}, which is not ours"),
            Self::Unseen { id, because } => write!(f, "key {id} cannot become active: {because}"),
        }
    }
}

/// Returns what somebody should look at.
pub fn alarms(keys: &[Standing], seen: &Observations, now: SystemTime, rules: &Rules) -> Vec<Alarm> {
    let overdue = keys
        .iter()
        .filter(|key| key.state == State::Active && rules.life(key.purpose()).is_some() && key.expires <= now)
        .map(|key| Alarm::Overdue {
            id: key.id.clone(),
            since: key.expires,
        });
    let made_here = |lane: &&Lane| lane.purpose != Purpose::X509Root || rules.root() == RootPlace::Store;
    let lanes = rules.lanes.iter().filter(made_here).filter_map(|lane| {
        let signing = active(keys, lane);
        let waits = keys
            .iter()
            .any(|key| key.is_pending() && key.lane == *lane && key.state != State::Prepared);
        let due = signing.is_none_or(|active| active.needs_successor(now, rules));
        if due && !waits && !has_room(keys, lane.purpose) {
            Some(Alarm::NoRoom { lane: lane.clone() })
        } else if signing.is_none() {
            Some(Alarm::NothingActive { lane: lane.clone() })
        } else {
            None
        }
    });
    overdue
        .chain(lanes)
        .chain(outside(keys, now, rules))
        .chain(unseen(keys, seen, now, rules))
        .chain(strangers(keys, seen))
        .collect()
}

/// What only somebody outside can do, told as early as our own keys are prepared.
fn outside(keys: &[Standing], now: SystemTime, rules: &Rules) -> Vec<Alarm> {
    let lanes = rules.lanes.iter().filter(|_| rules.root() == RootPlace::Outside);
    let wanted = lanes.filter_map(|lane| {
        let signing = active(keys, lane);
        let due = signing.is_none_or(|active| active.needs_successor(now, rules));
        let mut pending = keys.iter().filter(|key| key.lane == *lane && key.is_pending());
        if !due || pending.clone().any(|key| key.waits != Some(Waits::Chain)) {
            return None;
        }
        match (lane.purpose, signing) {
            (Purpose::X509Intermediate, _) => Some(Alarm::ChainWanted {
                request: pending.next().map(|key| key.id.clone()),
                ends: signing.map(|active| active.expires),
            }),
            (Purpose::X509Root, Some(root)) => Some(Alarm::RootEnds {
                id: root.id.clone(),
                ends: root.expires,
            }),
            (Purpose::Audit | Purpose::Jwt | Purpose::X509Root, _) => None,
        }
    });
    wanted.collect()
}

/// A successor that is not seen matters once there is no more than the lead left.
fn unseen<'a>(
    keys: &'a [Standing],
    seen: &'a Observations,
    now: SystemTime,
    rules: &'a Rules,
) -> impl Iterator<Item = Alarm> + 'a {
    let waiting = keys
        .iter()
        .filter(|key| matches!(key.state, State::Published | State::Observed));
    waiting.filter_map(move |key| {
        let because = seen.unseen(key, now, rules)?;
        let lead = rules.signs_after_seen(key.purpose());
        let late = active(keys, &key.lane).is_none_or(|active| now + lead >= active.yields(rules));
        late.then(|| Alarm::Unseen {
            id: key.id.clone(),
            because,
        })
    })
}

fn strangers<'a>(keys: &'a [Standing], seen: &'a Observations) -> impl Iterator<Item = Alarm> + 'a {
    seen.places.iter().flat_map(move |place| {
        let found = place.look.iter().flat_map(|look| &look.keys);
        let strange = found.filter(|id| keys.iter().all(|key| key.id != **id));
        strange.map(|id| Alarm::Stranger {
            id: id.clone(),
            place: place.name.clone(),
        })
    })
}

#[cfg(test)]
mod tests;
