//! Which entries of one attestor could name the same workload.
//!
//! Attributes are independent of each other, so two entries overlap exactly where every attribute that both constrain has
//! a value that satisfies both. Entries are first split by values, so that a large registry is not compared pair by pair.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::identify::{condition::Condition, entry::Entry};

/// Returns pairs of overlapping entries, by their positions in `entries`, at most [`MAX_PAIRS`].
pub(super) fn overlapping(entries: &[Entry]) -> BTreeSet<(usize, usize)> {
    let mut by_attestor: BTreeMap<&str, Vec<Member<'_>>> = BTreeMap::new();
    for (position, entry) in entries.iter().enumerate() {
        let members = by_attestor.entry(entry.attestor().as_str()).or_default();
        members.push(Member { position, entry });
    }
    let mut found = BTreeSet::new();
    for members in by_attestor.into_values() {
        split(&members, &mut Vec::new(), &mut found);
    }
    found
}

/// More overlaps than these are not listed: whoever sees so many has one mistake, not many.
pub(super) const MAX_PAIRS: usize = 50;

/// So few are compared pair by pair.
const FEW: usize = 16;

#[derive(Clone, Copy)]
struct Member<'a> {
    position: usize,
    entry: &'a Entry,
}

/// Splits by the attribute that separates best, each at most once on a path, then compares what is left.
fn split<'a>(members: &[Member<'a>], used: &mut Vec<&'a str>, found: &mut BTreeSet<(usize, usize)>) {
    if found.len() >= MAX_PAIRS {
        return;
    }
    let best = if members.len() > FEW {
        separator(members, used)
    } else {
        None
    };
    let Some(attribute) = best else {
        return compare(members, found);
    };
    let mut free = Vec::new();
    let mut groups: HashMap<Option<&str>, Vec<Member<'a>>> = HashMap::new();
    for member in members {
        match member.entry.conditions().get(attribute) {
            None => free.push(*member),
            Some(Condition::Absent) => groups.entry(None).or_default().push(*member),
            Some(Condition::OneOf(literals)) => {
                for value in literals.iter() {
                    groups.entry(Some(value)).or_default().push(*member);
                }
            }
        }
    }
    used.push(attribute);
    split(&free, used, found);
    for mut group in groups.into_values() {
        group.extend(&free);
        split(&group, used, found);
    }
    used.pop();
}

/// Returns the attribute after which fewest comparisons are left, if it spares any.
fn separator<'a>(members: &[Member<'a>], used: &[&str]) -> Option<&'a str> {
    let mut groups: HashMap<&'a str, (usize, HashMap<Option<&'a str>, usize>)> = HashMap::new();
    for member in members {
        for (attribute, condition) in member.entry.conditions().iter() {
            let (constrained, sizes) = groups.entry(attribute).or_default();
            *constrained += 1;
            match condition {
                Condition::Absent => *sizes.entry(None).or_default() += 1,
                Condition::OneOf(literals) => {
                    for value in literals.iter() {
                        *sizes.entry(Some(value)).or_default() += 1;
                    }
                }
            }
        }
    }
    // About how many comparisons are left once the members are split by the attribute.
    let cost = |constrained: usize, sizes: &HashMap<Option<&str>, usize>| {
        let free = members.len().saturating_sub(constrained);
        sizes.values().map(|size| size * size).sum::<usize>() + free * members.len()
    };
    groups
        .iter()
        .filter(|(attribute, _)| !used.contains(*attribute))
        .map(|(attribute, (constrained, sizes))| (cost(*constrained, sizes), *attribute))
        .min()
        .filter(|(cost, _)| *cost < members.len() * members.len())
        .map(|(_, attribute)| attribute)
}

fn compare(members: &[Member<'_>], found: &mut BTreeSet<(usize, usize)>) {
    for (nth, one) in members.iter().enumerate() {
        for two in members.iter().skip(nth + 1) {
            if one.entry.conditions().meet(two.entry.conditions()) {
                found.insert((one.position.min(two.position), one.position.max(two.position)));
                if found.len() >= MAX_PAIRS {
                    return;
                }
            }
        }
    }
}
