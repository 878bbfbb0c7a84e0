//! What is refused of grants at load: names that nobody bears, conditions that nobody meets, lifetimes that nobody gives.
//!
//! It must report everything at once, never stop at the first.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::{
    authorize::{Grant, LifetimeMode, PolicySource, RelyingPartySource, grant::MAX_TTL},
    identify::{Entry, Problem, Table},
};

/// So many pairs of entry and relying party may all grants name together: it bounds the index.
pub(super) const MAX_PAIRS: usize = 1_000_000;

/// What grants may refer to, by name.
struct Named<'a> {
    entries: HashMap<&'a str, &'a Entry>,
    relying_parties: HashMap<&'a str, &'a RelyingPartySource>,
    attributes: HashMap<&'a str, BTreeSet<&'a str>>,
}

/// Returns all that is wrong with the grants.
pub(super) fn problems(source: &PolicySource<'_>) -> Vec<Problem> {
    let named = Named {
        entries: source
            .entries
            .iter()
            .map(|entry| (entry.name().as_str(), entry))
            .collect(),
        relying_parties: source
            .relying_parties
            .iter()
            .map(|one| (one.name.as_str(), one))
            .collect(),
        attributes: source
            .attestors
            .iter()
            .map(|(name, given)| (name.as_str(), given.iter().copied().collect()))
            .collect(),
    };
    let mut problems: Vec<Problem> = duplicates(source).collect();
    for grant in &source.grants {
        problems.extend(names(grant, &named));
        problems.extend(conditions(grant, &named));
        problems.extend(lifetimes(grant, &named));
    }
    problems.extend(too_many_pairs(&source.grants));
    problems
}

fn duplicates<'a>(source: &'a PolicySource<'_>) -> impl Iterator<Item = Problem> + 'a {
    let (mut grants, mut relying_parties) = (HashSet::new(), HashSet::new());
    let again = |table: Table, position: usize, name: String| {
        let found = format!("`{name}` a second time");
        table
            .at(position, ["name"])
            .problem("config.duplicate_name", found, "a name of its own")
    };
    let grants = source
        .grants
        .iter()
        .filter(move |grant| !grants.insert(&grant.name))
        .map(move |grant| again(Table::Grant, grant.position, grant.name.to_string()));
    let relying_parties = source
        .relying_parties
        .iter()
        .enumerate()
        .filter(move |(_, one)| !relying_parties.insert(&one.name))
        .map(move |(position, one)| again(Table::RelyingParty, position, one.name.to_string()));
    grants.chain(relying_parties)
}

fn names(grant: &Grant, named: &Named<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let at = |key: &'static str| Table::Grant.at(grant.position, [key]);
    for name in grant
        .entries
        .iter()
        .filter(|name| !named.entries.contains_key(name.as_str()))
    {
        problems.push(at("entries").problem(
            "config.entry_unknown",
            format!("`{name}`"),
            "the name of an `[[entry]]`",
        ));
    }
    let unknown = |name: &&crate::authorize::RelyingPartyName| !named.relying_parties.contains_key(name.as_str());
    for name in grant.relying_parties.iter().filter(unknown) {
        let expected = "the name of a `[[relying_party]]`";
        problems.push(at("relying_parties").problem("config.relying_party_unknown", format!("`{name}`"), expected));
    }
    for (key, empty) in [
        ("entries", grant.entries.is_empty()),
        ("relying_parties", grant.relying_parties.is_empty()),
    ] {
        if empty {
            problems.push(at(key).problem("config.grant_empty", "an empty list", "at least one name"));
        }
    }
    problems
}

/// A condition on an attribute that an entry's attestor never gives is a typing error: it would never hold, or always.
fn conditions(grant: &Grant, named: &Named<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let attestors: BTreeSet<&str> = grant
        .entries
        .iter()
        .filter_map(|name| named.entries.get(name.as_str()))
        .map(|entry| entry.attestor().as_str())
        .collect();
    for (attribute, _) in grant.conditions.iter() {
        for attestor in &attestors {
            if !named
                .attributes
                .get(attestor)
                .is_some_and(|given| given.contains(attribute))
            {
                problems.push(Table::Grant.at(grant.position, ["match", attribute]).problem(
                    "config.attribute_unknown",
                    format!("`{attribute}`"),
                    format!("an attribute that attestor `{attestor}` gives"),
                ));
            }
        }
    }
    problems
}

fn lifetimes(grant: &Grant, named: &Named<'_>) -> Vec<Problem> {
    let at = || Table::Grant.at(grant.position, ["ttl"]);
    let found = || format!("{} s", grant.ttl.as_secs());
    if grant.ttl.as_secs() == 0 {
        return vec![at().problem("config.ttl_zero", found(), "at least 1 s")];
    }
    if grant.ttl > MAX_TTL {
        let expected = format!("at most {} s", MAX_TTL.as_secs());
        return vec![at().problem("config.ttl_above_limit", found(), expected)];
    }
    let relying_parties = grant
        .relying_parties
        .iter()
        .filter_map(|name| named.relying_parties.get(name.as_str()));
    relying_parties.filter_map(|one| lifetime(grant, one)).collect()
}

fn lifetime(grant: &Grant, one: &RelyingPartySource) -> Option<Problem> {
    let terms = &one.terms;
    let at = || Table::Grant.at(grant.position, ["ttl"]);
    let found = || format!("{} s", grant.ttl.as_secs());
    if grant.ttl > terms.maximum {
        let expected = format!("at most the {} s that `{}` gives", terms.maximum.as_secs(), one.name);
        return Some(at().problem("config.ttl_above_maximum", found(), expected));
    }
    match terms.lifetime_mode {
        LifetimeMode::Fixed if grant.ttl < terms.maximum && !grant.accept_lifetime => Some(at().problem(
            "config.lifetime_not_accepted",
            found(),
            format!(
                "{} s, or `accept_lifetime = true`: `{}` alone decides how long its credentials live",
                terms.maximum.as_secs(),
                one.name
            ),
        )),
        LifetimeMode::FollowsSvid | LifetimeMode::Requested if grant.ttl < terms.minimum => {
            let expected = format!("at least the {} s that `{}` gives", terms.minimum.as_secs(), one.name);
            Some(at().problem("config.ttl_below_minimum", found(), expected))
        }
        LifetimeMode::Fixed | LifetimeMode::FollowsSvid | LifetimeMode::Requested => None,
    }
}

fn too_many_pairs(grants: &[Grant]) -> Option<Problem> {
    let mut pairs: usize = 0;
    let over = grants.iter().find(|grant| {
        pairs = pairs.saturating_add(grant.entries.len().saturating_mul(grant.relying_parties.len()));
        pairs > MAX_PAIRS
    })?;
    Some(Table::Grant.at(over.position, []).problem(
        "config.too_many_pairs",
        format!("more than {MAX_PAIRS} pairs of entry and relying party with this grant"),
        format!("at most {MAX_PAIRS} in all grants together"),
    ))
}

#[cfg(test)]
mod tests;
