//! All registration entries of one policy generation, with their own index.
//!
//! At most one entry may match a workload; that is proven at load, never decided by order.

use std::collections::{HashMap, HashSet};

use crate::{
    attest::{Attestation, Attributes},
    identify::{
        Unidentified, Workload,
        condition::{Condition, Literals},
        entry::{Entry, workload_id},
        overlap::overlapping,
        problem::{Problem, Table},
    },
    spiffe::{SpiffeId, TrustDomain},
};

/// All registration entries, indexed by attestor and their most selective literal.
#[derive(Debug)]
pub struct Registry {
    trust_domain: TrustDomain,
    entries: Box<[Registered]>,
    attestors: HashMap<String, ByAttestor>,
}

#[derive(Debug)]
struct Registered {
    entry: Entry,
    /// The SPIFFE ID, where no attribute shapes it.
    fixed: Option<SpiffeId>,
}

/// Positions of one attestor's entries; each stands in exactly one of the two lists.
#[derive(Debug, Default)]
struct ByAttestor {
    by_literal: HashMap<String, HashMap<String, Vec<usize>>>,
    unselective: Vec<usize>,
}

impl Registry {
    /// Indexes `entries`.
    ///
    /// # Errors
    /// Returns all that is wrong: `config.duplicate_name`, `config.entry_overlap`, `config.spiffe_id_invalid`.
    pub fn new(trust_domain: TrustDomain, entries: Vec<Entry>) -> Result<Self, Vec<Problem>> {
        let mut problems: Vec<Problem> = duplicates(&entries).collect();
        problems.extend(overlaps(&entries));
        let mut registered = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry
                .template()
                .fixed()
                .map(|path| workload_id(&trust_domain, &path))
                .transpose()
            {
                Ok(fixed) => registered.push(Registered { entry, fixed }),
                Err(reason) => problems.push(Table::Entry.at(entry.position(), ["spiffe_id"]).problem(
                    "config.spiffe_id_invalid",
                    reason,
                    "a SPIFFE ID of at most 512 bytes",
                )),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            attestors: index(&registered),
            trust_domain,
            entries: registered.into_boxed_slice(),
        })
    }

    /// Returns the trust domain whose SPIFFE IDs it gives.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Returns the entries in the order of the configuration.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter().map(|registered| &registered.entry)
    }

    /// Names the attested workload.
    ///
    /// # Errors
    /// Refuses a workload that no entry matches, and one whose attributes do not fit the entry's template.
    pub fn identify(&self, attestation: Attestation) -> Result<Workload, Unidentified> {
        let attributes = attestation.attributes();
        let Some(found) = self
            .candidates(&attestation)
            .find(|registered| registered.entry.conditions().hold(attributes))
        else {
            return Err(Unidentified::NoEntry {
                closest_entry: self.closest(&attestation),
                attestation: Box::new(attestation),
            });
        };
        let entry = found.entry.name().clone();
        match found.name(&self.trust_domain, attributes) {
            Ok(spiffe_id) => Ok(Workload::new(attestation, spiffe_id, entry)),
            Err(reason) => Err(Unidentified::Template {
                attestation: Box::new(attestation),
                entry,
                reason,
            }),
        }
    }

    /// Returns every entry that could match, and few others.
    fn candidates<'a>(&'a self, attestation: &'a Attestation) -> impl Iterator<Item = &'a Registered> {
        let attestor = self.attestors.get(attestation.attestor().as_str());
        let positions = attestor.into_iter().flat_map(move |attestor| {
            let selected = attestor
                .by_literal
                .iter()
                .filter_map(|(attribute, by_value)| by_value.get(attestation.attributes().get(attribute)?));
            selected.flatten().chain(&attestor.unselective)
        });
        positions.filter_map(|position| self.entries.get(*position))
    }

    /// Describes the entry with the fewest failed conditions, and the first of them.
    fn closest(&self, attestation: &Attestation) -> Option<String> {
        let attributes = attestation.attributes();
        let failures = |registered: &&Registered| {
            let failed = registered.entry.conditions().count_failed(attributes);
            (failed, registered.entry.name().clone())
        };
        let near = self.candidates(attestation).take(MAX_COMPARED).min_by_key(failures);
        let closest = near.or_else(|| {
            self.entries
                .iter()
                .filter(|registered| registered.entry.attestor() == attestation.attestor())
                .take(MAX_COMPARED)
                .min_by_key(failures)
        })?;
        let failed = closest.entry.conditions().failed(attributes).next()?;
        Some(format!("entry `{}`: {failed}", closest.entry.name()))
    }
}

/// A refusal compares so many entries at most, so that a stranger's requests stay cheap in a large registry.
const MAX_COMPARED: usize = 256;

impl Registered {
    fn name(&self, trust_domain: &TrustDomain, attributes: &Attributes) -> Result<SpiffeId, String> {
        if let Some(fixed) = &self.fixed {
            return Ok(fixed.clone());
        }
        let path = self
            .entry
            .template()
            .fill(attributes)
            .map_err(|refused| refused.to_string())?;
        workload_id(trust_domain, &path)
    }
}

fn duplicates(entries: &[Entry]) -> impl Iterator<Item = Problem> {
    let mut seen = HashSet::new();
    entries
        .iter()
        .filter(move |entry| !seen.insert(entry.name()))
        .map(|entry| {
            Table::Entry.at(entry.position(), ["name"]).problem(
                "config.duplicate_name",
                format!("`{}` a second time", entry.name()),
                "a name of its own",
            )
        })
}

fn overlaps(entries: &[Entry]) -> impl Iterator<Item = Problem> {
    overlapping(entries).into_iter().filter_map(|(one, two)| {
        let (one, two) = (entries.get(one)?, entries.get(two)?);
        Some(Table::Entry.at(two.position(), ["match"]).problem(
            "config.entry_overlap",
            format!(
                "entries `{}` and `{}` of attestor `{}`, which one workload may both match",
                one.name(),
                two.name(),
                two.attestor()
            ),
            "an attribute that both constrain to different values",
        ))
    })
}

/// Indexes each entry under the literal condition that fewest other entries share.
fn index(entries: &[Registered]) -> HashMap<String, ByAttestor> {
    let mut uses: HashMap<(&str, &str, &str), usize> = HashMap::new();
    for (entry, attribute, literals) in literal_conditions(entries) {
        for value in literals.iter() {
            *uses.entry((entry.attestor().as_str(), attribute, value)).or_default() += 1;
        }
    }
    let crowd = |entry: &Entry, attribute: &str, literals: &Literals| {
        let shared = |value| {
            uses.get(&(entry.attestor().as_str(), attribute, value))
                .copied()
                .unwrap_or(0)
        };
        literals.iter().map(shared).max().unwrap_or(0)
    };
    let mut attestors: HashMap<String, ByAttestor> = HashMap::new();
    for (position, registered) in entries.iter().enumerate() {
        let entry = &registered.entry;
        let attestor = attestors.entry(entry.attestor().to_string()).or_default();
        match literals_of(entry).min_by_key(|(attribute, literals)| (crowd(entry, attribute, literals), *attribute)) {
            None => attestor.unselective.push(position),
            Some((attribute, literals)) => {
                let by_value = attestor.by_literal.entry(attribute.to_owned()).or_default();
                for value in literals.iter() {
                    by_value.entry(value.to_owned()).or_default().push(position);
                }
            }
        }
    }
    attestors
}

fn literal_conditions(entries: &[Registered]) -> impl Iterator<Item = (&Entry, &str, &Literals)> {
    entries.iter().flat_map(|registered| {
        let entry = &registered.entry;
        literals_of(entry).map(move |(attribute, literals)| (entry, attribute, literals))
    })
}

fn literals_of(entry: &Entry) -> impl Iterator<Item = (&str, &Literals)> {
    entry
        .conditions()
        .iter()
        .filter_map(|(attribute, condition)| match condition {
            Condition::Absent => None,
            Condition::OneOf(literals) => Some((attribute, literals)),
        })
}

#[cfg(test)]
mod tests;
