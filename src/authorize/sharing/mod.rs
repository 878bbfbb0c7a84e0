//! What is refused at load where relying parties share an audience: an SVID must open nothing that its holder was not
//! permitted, and a subject must stand for one workload.
//!
//! Where it cannot be sure that two subjects differ, it must assume that they may be the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    authorize::{Grant, PolicySource, Release, RelyingPartySource, pattern::Pattern, subject::Subject},
    identify::{Entry, Problem, Table, Template},
    spiffe::SpiffeId,
};

/// Makes the subjects of all relying parties, in order.
pub(super) fn subjects(source: &PolicySource<'_>) -> Result<Vec<Subject>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut subjects = Vec::with_capacity(source.relying_parties.len());
    for (position, one) in source.relying_parties.iter().enumerate() {
        match subject(source, one) {
            Ok(subject) => subjects.push(subject),
            Err((code, found, expected)) => {
                problems.push(
                    Table::RelyingParty
                        .at(position, ["subject"])
                        .problem(code, found, expected),
                );
            }
        }
    }
    if problems.is_empty() {
        Ok(subjects)
    } else {
        Err(problems)
    }
}

fn subject(
    source: &PolicySource<'_>,
    one: &RelyingPartySource,
) -> Result<Subject, (&'static str, String, &'static str)> {
    let Some(text) = &one.terms.subject else {
        return Ok(Subject::Own);
    };
    let expected = "a path under `/rp/` such as `/rp/gcp/{ci.repo_name}`";
    let template =
        Template::parse(text).map_err(|refused| ("config.subject_invalid", refused.to_string(), expected))?;
    if !template.begins_with("rp") || template.segments().len() < 2 {
        return Err(("config.subject_not_reserved", format!("`{text}`"), expected));
    }
    match template.fixed() {
        None => Ok(Subject::Template(template)),
        Some(path) => SpiffeId::generate(&source.trust_domain, &path)
            .map(Subject::Fixed)
            .map_err(|refused| ("config.subject_invalid", refused.to_string(), expected)),
    }
}

/// One entry that some grant lets reach one relying party.
struct Reach<'a> {
    place: usize,
    one: &'a RelyingPartySource,
    entry: &'a Entry,
    /// The subject's template, where the relying party shapes it.
    shaped: Option<Template>,
    pattern: Pattern,
    grants: Vec<&'a Grant>,
}

/// Returns all that is wrong with audiences, subjects and what grants release.
pub(super) fn problems(source: &PolicySource<'_>) -> Vec<Problem> {
    let mut problems = audiences(source.relying_parties);
    for group in groups(source).into_values() {
        for reach in &group {
            problems.extend(unpinned(reach));
        }
        problems.extend(collisions(&group));
        problems.extend(releases(&group));
    }
    problems
}

fn audiences(relying_parties: &[RelyingPartySource]) -> Vec<Problem> {
    let mut first: BTreeMap<&str, &RelyingPartySource> = BTreeMap::new();
    let mut problems = Vec::new();
    for (position, one) in relying_parties.iter().enumerate() {
        let other = *first.entry(&one.terms.audience).or_insert(one);
        if other.scope != one.scope && !(other.shared_audience && one.shared_audience) {
            problems.push(Table::RelyingParty.at(position, ["audience"]).problem(
                "config.audience_shared",
                format!(
                    "`{}`, which `{}` of another scope has too",
                    one.terms.audience, other.name
                ),
                "an audience of its own, or `shared_audience = true` on both",
            ));
        }
    }
    problems
}

/// Returns who reaches what, by audience; only audiences where sharing is possible.
fn groups<'a>(source: &'a PolicySource<'_>) -> BTreeMap<&'a str, Vec<Reach<'a>>> {
    let mut audiences: BTreeMap<&str, usize> = BTreeMap::new();
    for one in source.relying_parties {
        *audiences.entry(&one.terms.audience).or_default() += 1;
    }
    let entries: BTreeMap<&str, &Entry> = source
        .entries
        .iter()
        .map(|entry| (entry.name().as_str(), entry))
        .collect();
    let places: BTreeMap<&str, (usize, &RelyingPartySource)> = source
        .relying_parties
        .iter()
        .enumerate()
        .filter(|(_, one)| {
            let shared = audiences
                .get(one.terms.audience.as_str())
                .is_some_and(|count| *count > 1);
            shared || one.terms.subject.is_some() || one.terms.session_policy
        })
        .map(|(position, one)| (one.name.as_str(), (position, one)))
        .collect();
    let mut pairs: BTreeMap<(usize, &str), Reach<'a>> = BTreeMap::new();
    for grant in &source.grants {
        for (place, one) in grant
            .relying_parties
            .iter()
            .filter_map(|name| places.get(name.as_str()))
        {
            for entry in grant.entries.iter().filter_map(|name| entries.get(name.as_str())) {
                let reach = pairs
                    .entry((*place, entry.name().as_str()))
                    .or_insert_with(|| Reach::new(*place, one, entry));
                reach.grants.push(grant);
            }
        }
    }
    let mut groups: BTreeMap<&str, Vec<Reach<'_>>> = BTreeMap::new();
    for reach in pairs.into_values() {
        groups.entry(&reach.one.terms.audience).or_default().push(reach);
    }
    groups
}

impl<'a> Reach<'a> {
    fn new(place: usize, one: &'a RelyingPartySource, entry: &'a Entry) -> Self {
        let shaped = one.terms.subject.as_deref().and_then(|text| Template::parse(text).ok());
        let template = shaped.as_ref().unwrap_or(entry.template());
        Self {
            pattern: Pattern::of(template, entry.conditions()),
            place,
            one,
            entry,
            shaped,
            grants: Vec::new(),
        }
    }

    /// Tells whether two different workloads of the two could have one subject.
    fn collides(&self, other: &Self) -> bool {
        let one_id = self.only_id().is_some_and(|id| Some(id) == other.only_id());
        let same_shape = self.entry.template() == other.entry.template()
            && self.shaped == other.shaped
            && self.repeats(self.entry.template().placeholders());
        self.pattern.meets(&other.pattern) && !one_id && !same_shape
    }

    /// Tells whether two workloads of its one entry could have one subject.
    fn collides_with_itself(&self) -> bool {
        let conditions = self.entry.conditions();
        let placeholders = self.entry.template().placeholders();
        !self.repeats(placeholders.filter(|attribute| !Pattern::is_pinned(attribute, conditions)))
    }

    /// Tells whether the subject holds all of `placeholders`.
    fn repeats<'b>(&self, mut placeholders: impl Iterator<Item = &'b str>) -> bool {
        self.shaped.as_ref().is_none_or(|shaped| {
            let repeated: BTreeSet<&str> = shaped.placeholders().collect();
            placeholders.all(|attribute| repeated.contains(attribute))
        })
    }

    /// Returns the path of the SPIFFE ID, if the entry gives only one.
    fn only_id(&self) -> Option<String> {
        Pattern::of(self.entry.template(), self.entry.conditions()).only()
    }
}

/// A subject must be a function of the SPIFFE ID, so each of its placeholders stands in the entry's template too.
fn unpinned(reach: &Reach<'_>) -> Option<Problem> {
    let own: BTreeSet<&str> = reach.entry.template().placeholders().collect();
    let strange = reach
        .shaped
        .as_ref()?
        .placeholders()
        .find(|attribute| !own.contains(attribute) && !Pattern::is_pinned(attribute, reach.entry.conditions()))?;
    Some(Table::RelyingParty.at(reach.place, ["subject"]).problem(
        "config.subject_unpinned",
        format!(
            "`{{{strange}}}`, which is not in the SPIFFE ID of entry `{}`",
            reach.entry.name()
        ),
        "placeholders of the SPIFFE IDs of all entries that reach it",
    ))
}

fn collisions(group: &[Reach<'_>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut told = BTreeSet::new();
    for reach in group.iter().filter(|reach| reach.shaped.is_some()) {
        if reach.collides_with_itself() && !reach.one.shared_subject && told.insert((reach.place, reach.place)) {
            problems.push(shared(reach, reach));
        }
    }
    for (one, two) in comparable(group) {
        let (less, more) = if one.one.shared_subject { (two, one) } else { (one, two) };
        let allowed = one.one.shared_subject && two.one.shared_subject;
        let place = (less.place, more.place);
        if !allowed && !told.contains(&place) && one.collides(two) {
            told.insert(place);
            problems.push(shared(less, more));
        }
    }
    problems
}

/// Returns the pairs whose subjects may be the same. Most subjects are one text each, and those meet in equal texts only.
fn comparable<'a, 'b>(group: &'b [Reach<'a>]) -> impl Iterator<Item = (&'b Reach<'a>, &'b Reach<'a>)> {
    let mut open: Vec<&Reach<'_>> = Vec::new();
    let mut by_text: BTreeMap<String, Vec<&Reach<'_>>> = BTreeMap::new();
    for reach in group.iter().filter(|reach| reach.shaped.is_some()) {
        match reach.pattern.only() {
            Some(text) => by_text.entry(text).or_default().push(reach),
            None => open.push(reach),
        }
    }
    let plain: Vec<&Reach<'_>> = by_text.values().flatten().copied().collect();
    let with_plain = open.clone().into_iter().flat_map(move |one| {
        let plain: Vec<_> = plain.iter().map(|two| (one, *two)).collect();
        plain
    });
    with_plain
        .chain(pairs(open))
        .chain(by_text.into_values().flat_map(pairs))
}

fn pairs<T: Copy>(all: Vec<T>) -> impl Iterator<Item = (T, T)> {
    (0..all.len()).flat_map(move |nth| {
        let rest: Vec<T> = all.iter().skip(nth).copied().collect();
        let first = rest.first().copied();
        let others = rest.into_iter().skip(1);
        others.filter_map(move |other| Some((first?, other)))
    })
}

fn shared(one: &Reach<'_>, two: &Reach<'_>) -> Problem {
    let found = if std::ptr::eq(one, two) {
        format!("a subject that several workloads of entry `{}` have", one.entry.name())
    } else {
        format!(
            "a subject that entry `{}` has at `{}` and entry `{}` at `{}`",
            one.entry.name(),
            one.one.name,
            two.entry.name(),
            two.one.name
        )
    };
    let expected = "a subject for each SPIFFE ID that repeats every placeholder, or `shared_subject = true`";
    Table::RelyingParty
        .at(one.place, ["subject"])
        .problem("config.subject_shared", found, expected)
}

/// Refuses to hand out SVIDs that open more than the credential they stand for.
fn releases(group: &[Reach<'_>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for reach in group {
        for grant in reach.grants.iter().filter(|grant| hands_out(grant, reach.one)) {
            if reach.one.terms.session_policy {
                problems.push(Table::Grant.at(grant.position, ["release"]).problem(
                    "config.release_session_policy",
                    format!(
                        "the SVID for `{}`, whose session policy its holder could leave out",
                        reach.one.name
                    ),
                    "no `release = [\"svid\"]` for a relying party with a session policy",
                ));
            }
            let wider = group.iter().find(|other| opens_more(reach, grant, other));
            if let Some(other) = wider {
                problems.push(Table::Grant.at(grant.position, ["release"]).problem(
                    "config.release_wider",
                    format!(
                        "the SVID for `{}`, which also opens `{}`, where entry `{}` is admitted under other conditions or for other actors",
                        reach.one.name,
                        other.one.name,
                        other.entry.name()
                    ),
                    "an audience or a subject of its own for each, or the same grant for both",
                ));
            }
        }
    }
    problems
}

/// Tells whether the holder of the SVID gets at `other` what no grant with the same conditions, for the same actors, hands out
/// there.
fn opens_more(reach: &Reach<'_>, handed: &Grant, other: &Reach<'_>) -> bool {
    let same_place = reach.place == other.place;
    if same_place || !reach.pattern.meets(&other.pattern) {
        return false;
    }
    let same_entry = reach.entry.name() == other.entry.name();
    let equal = |grant: &&Grant| {
        grant.conditions == handed.conditions && admits_actors_of(grant, handed) && hands_out(grant, other.one)
    };
    !(same_entry && other.grants.iter().any(equal))
}

/// Relying parties look past `act`, so an SVID opens as much for whoever acts as for the workload itself.
fn admits_actors_of(grant: &Grant, handed: &Grant) -> bool {
    grant.actors.is_empty() == handed.actors.is_empty()
        && handed.actors.iter().all(|actor| grant.actors.contains(actor))
}

fn hands_out(grant: &Grant, one: &RelyingPartySource) -> bool {
    match grant.release {
        Release::Credentials => one.terms.svid_is_credential,
        Release::CredentialsAndSvid => true,
    }
}

#[cfg(test)]
mod tests;
