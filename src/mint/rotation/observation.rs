//! What was seen of our keys from outside, and what each replica says of itself.
//!
//! Never concludes that a key is visible from having published it: somebody must have looked.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{
    rules::{Rules, must_be_found},
    standing::Standing,
};
use crate::clock::{from_unix_seconds, unix_seconds};

/// What one successful look at a public place found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// When.
    pub at: SystemTime,
    /// The ids of the keys that stood there.
    pub keys: BTreeSet<String>,
}

/// What is known of one public place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceSeen {
    /// Its name.
    pub name: String,
    /// The last look of this process that succeeded.
    pub look: Option<Look>,
    /// When any replica last looked with success, this process before its latest look.
    pub covered: Option<SystemTime>,
}

/// What one replica says of itself, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The replica.
    pub replica: String,
    /// When, in unix seconds; 0 once it has left in order.
    pub at_seconds: u64,
    /// The generation of the documents that it serves.
    pub generation: u64,
    /// The ids of the keys in them.
    pub keys: BTreeSet<String>,
    /// When it last looked at each public place with success, in unix seconds.
    pub places: BTreeMap<String, u64>,
}

impl Report {
    /// Returns whether the replica counts: it has spoken within `silence`.
    pub fn is_live(&self, now: SystemTime, silence: Duration) -> bool {
        is_fresh(from_unix_seconds(self.at_seconds), now, silence)
    }
}

/// What was seen of our keys at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observations {
    /// The public places.
    pub places: Vec<PlaceSeen>,
    /// The replicas, this one among them.
    pub replicas: Vec<Report>,
}

/// Why a key does not count as seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// No replica says what it publishes.
    NoReplica,
    /// A place was seen without the key.
    PlaceLacks {
        /// The place.
        place: String,
    },
    /// Nobody could look at a place for too long.
    PlaceSilent {
        /// The place.
        place: String,
    },
    /// A live replica does not publish the key.
    Replica {
        /// The replica.
        replica: String,
    },
}

impl std::fmt::Display for Unseen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoReplica => f.write_str("no replica says what it publishes"),
            Self::PlaceLacks { place } => write!(f, "not at {place}"),
            Self::PlaceSilent { place } => write!(f, "nobody could look at {place}"),
            Self::Replica { replica } => write!(f, "replica {replica} does not publish it"),
        }
    }
}

impl Observations {
    /// Tells why `key` is not seen everywhere at this moment; `None` where it is.
    pub fn unseen(&self, key: &Standing, now: SystemTime, rules: &Rules) -> Option<Unseen> {
        if !must_be_found(key.purpose()) {
            return None;
        }
        self.not_published(key, now, rules).or_else(|| {
            let mut places = self.places.iter();
            places.find_map(|place| match &place.look {
                Some(look) if !look.keys.contains(&key.id) => Some(Unseen::PlaceLacks {
                    place: place.name.clone(),
                }),
                Some(look) if is_fresh(Some(look.at), now, rules.silence) => None,
                Some(_) | None => Some(Unseen::PlaceSilent {
                    place: place.name.clone(),
                }),
            })
        })
    }

    /// Tells why a key that was seen everywhere has to be seen anew; `None` where what was seen still counts.
    ///
    /// A look that failed says nothing by itself. Where nobody looked for longer than `silence`, verifiers could not either:
    /// after a long outage the lead begins again.
    pub fn lost(&self, key: &Standing, now: SystemTime, rules: &Rules) -> Option<Unseen> {
        if !must_be_found(key.purpose()) {
            return None;
        }
        if self.places.is_empty() {
            let spoke = self.replicas.iter().map(|report| report.at_seconds).max();
            if !is_fresh(spoke.and_then(from_unix_seconds), now, rules.silence) {
                return Some(Unseen::NoReplica);
            }
        }
        let mut places = self.places.iter();
        let place = places.find_map(|place| {
            let name = || place.name.clone();
            match &place.look {
                _ if !is_fresh(place.covered, now, rules.silence) => Some(Unseen::PlaceSilent { place: name() }),
                Some(look) if !look.keys.contains(&key.id) => Some(Unseen::PlaceLacks { place: name() }),
                Some(_) | None => None,
            }
        });
        place.or_else(|| match self.not_published(key, now, rules) {
            Some(Unseen::NoReplica) | None => None,
            lacking => lacking,
        })
    }

    fn not_published(&self, key: &Standing, now: SystemTime, rules: &Rules) -> Option<Unseen> {
        let live = || self.replicas.iter().filter(|one| one.is_live(now, rules.silence));
        if live().next().is_none() {
            return Some(Unseen::NoReplica);
        }
        let lacking = live().find(|report| !report.keys.contains(&key.id))?;
        Some(Unseen::Replica {
            replica: lacking.replica.clone(),
        })
    }
}

/// Tells whether `moment` lies at most `within` before `now`; whoever's clock is ahead counts as fresh.
fn is_fresh(moment: Option<SystemTime>, now: SystemTime, within: Duration) -> bool {
    moment.is_some_and(|moment| unix_seconds(now) <= unix_seconds(moment).saturating_add(within.as_secs()))
}
