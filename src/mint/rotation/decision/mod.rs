//! What is due: a pure function of the rows, what was seen, and the time.
//!
//! It never lets a key sign that was not seen everywhere for the whole lead, and never leaves a purpose without a key that
//! signs because another is late.

use std::time::SystemTime;

use super::{
    observation::Observations,
    rules::{Lane, MOST_PUBLISHED, MOST_ROOTS, MOST_TOMBSTONES, Rules, TOMBSTONE_LIFE, must_be_found},
    standing::{Standing, Waits},
    step::Step,
};
use crate::mint::{
    authority::{Purpose, State},
    outside::RootPlace,
};

/// Returns the next change that is due, or `None`.
///
/// What takes away trust goes first: a key whose time is over leaves before another comes.
pub fn decide(keys: &[Standing], seen: &Observations, now: SystemTime, rules: &Rules) -> Option<Step> {
    removal(keys, now)
        .or_else(|| forgetting(keys, now))
        .or_else(|| loss(keys, seen, now, rules))
        .or_else(|| discard(keys, rules))
        .or_else(|| activation(keys, seen, now, rules))
        .or_else(|| observation(keys, seen, now, rules))
        .or_else(|| publication(keys))
        .or_else(|| end_of_a_kind(keys, rules))
        .or_else(|| preparation(keys, now, rules))
}

/// Returns whether one more key of `purpose` may be published.
pub fn has_room(keys: &[Standing], purpose: Purpose) -> bool {
    let listed = |key: &&Standing| key.is_listed();
    let roots = keys
        .iter()
        .filter(listed)
        .filter(|key| key.purpose() == Purpose::X509Root);
    match purpose {
        Purpose::Audit | Purpose::X509Intermediate => true,
        Purpose::Jwt => keys.iter().filter(listed).count() < MOST_PUBLISHED,
        Purpose::X509Root => keys.iter().filter(listed).count() < MOST_PUBLISHED && roots.count() < MOST_ROOTS,
    }
}

/// Returns the key of `of`'s lane that signs.
pub(super) fn active<'a>(keys: &'a [Standing], of: &Lane) -> Option<&'a Standing> {
    keys.iter().find(|key| key.state == State::Active && key.lane == *of)
}

/// A retired key of which nobody knows when it may go begins to count now.
fn removal(keys: &[Standing], now: SystemTime) -> Option<Step> {
    let mut retired = keys.iter().filter(|key| key.state == State::Retired);
    let key = retired.find(|key| key.removes <= now)?;
    let id = key.id.clone();
    Some(if key.removes == SystemTime::UNIX_EPOCH {
        Step::Retire { id }
    } else {
        Step::Remove { id }
    })
}

fn forgetting(keys: &[Standing], now: SystemTime) -> Option<Step> {
    let removed = || keys.iter().filter(|key| key.state == State::Removed);
    let oldest = removed().min_by_key(|key| key.removes)?;
    let over = oldest.removes + TOMBSTONE_LIFE <= now || removed().count() > MOST_TOMBSTONES;
    over.then(|| Step::Forget { id: oldest.id.clone() })
}

fn loss(keys: &[Standing], seen: &Observations, now: SystemTime, rules: &Rules) -> Option<Step> {
    keys.iter().filter(|key| key.state == State::Observed).find_map(|key| {
        let because = seen.lost(key, now, rules)?;
        let id = key.id.clone();
        Some(Step::Lose { id, because })
    })
}

/// A key that waits for a lane that nobody wants any more, or for a chain that nobody is asked for any more, has signed
/// nothing: it may go at once.
fn discard(keys: &[Standing], rules: &Rules) -> Option<Step> {
    let rotated = |key: &&Standing| rules.life(key.purpose()).is_some();
    let mut pending = keys.iter().filter(rotated).filter(|key| key.is_pending());
    let key = pending.find(|key| {
        let in_vain = key.waits == Some(Waits::Chain) && rules.root() == RootPlace::Store;
        in_vain || !rules.wants(key.purpose(), &key.lane.algorithm)
    })?;
    Some(Step::Discard { id: key.id.clone() })
}

fn activation(keys: &[Standing], seen: &Observations, now: SystemTime, rules: &Rules) -> Option<Step> {
    let ready = |key: &&Standing| {
        key.state == State::Observed && key.activates <= now && seen.unseen(key, now, rules).is_none()
    };
    keys.iter().filter(ready).find_map(|key| {
        let before = active(keys, &key.lane);
        let due = before.is_none_or(|before| before.yields(rules) <= now);
        due.then(|| Step::Activate {
            id: key.id.clone(),
            retires: before.map(|before| before.id.clone()),
        })
    })
}

fn observation(keys: &[Standing], seen: &Observations, now: SystemTime, rules: &Rules) -> Option<Step> {
    let everywhere = |key: &&Standing| key.state == State::Published && seen.unseen(key, now, rules).is_none();
    // A place that was silent for long would be lost again at once.
    let kept = |key: &&Standing| seen.lost(key, now, rules).is_none();
    let key = keys.iter().filter(everywhere).find(kept)?;
    Some(Step::Observe { id: key.id.clone() })
}

fn publication(keys: &[Standing]) -> Option<Step> {
    let mut prepared = keys.iter().filter(|key| key.state == State::Prepared);
    let key = prepared.find(|key| key.waits.is_none() && has_room(keys, key.purpose()))?;
    Some(Step::Publish { id: key.id.clone() })
}

/// Where a kind is no longer wanted, its key goes once every kind that is wanted for the purpose has one that signs.
fn end_of_a_kind(keys: &[Standing], rules: &Rules) -> Option<Step> {
    let signs = |lane| active(keys, lane).is_some();
    let mut unwanted = keys.iter().filter(|key| {
        let rotated = rules.life(key.purpose()).is_some();
        key.state == State::Active && rotated && !rules.wants(key.purpose(), &key.lane.algorithm)
    });
    let key = unwanted.find(|key| {
        let mut lanes = rules
            .lanes
            .iter()
            .filter(|lane| lane.purpose == key.purpose())
            .peekable();
        lanes.peek().is_some() && lanes.all(signs)
    })?;
    Some(Step::Retire { id: key.id.clone() })
}

fn preparation(keys: &[Standing], now: SystemTime, rules: &Rules) -> Option<Step> {
    let mut lanes = rules.lanes.iter().filter(|lane| rules.life(lane.purpose).is_some());
    let lane = lanes.find(|lane| {
        let waiting = keys.iter().any(|key| key.is_pending() && key.lane == **lane);
        let due = active(keys, lane).is_none_or(|active| active.needs_successor(now, rules));
        due && !waiting && possible(keys, lane, rules) && (!must_be_found(lane.purpose) || has_room(keys, lane.purpose))
    })?;
    Some(Step::Prepare { lane: lane.clone() })
}

/// An intermediate needs a root that signs, or somebody outside who will; a root outside is not made here.
fn possible(keys: &[Standing], lane: &Lane, rules: &Rules) -> bool {
    let here = |key: &Standing| key.purpose() == Purpose::X509Root && !key.is_outside();
    match (lane.purpose, rules.root()) {
        (Purpose::Audit | Purpose::Jwt, _)
        | (Purpose::X509Intermediate, RootPlace::Outside)
        | (Purpose::X509Root, RootPlace::Store) => true,
        (Purpose::X509Intermediate, RootPlace::Store) => keys.iter().any(|key| here(key) && key.state == State::Active),
        (Purpose::X509Root, RootPlace::Outside) => false,
    }
}

#[cfg(test)]
mod tests;
