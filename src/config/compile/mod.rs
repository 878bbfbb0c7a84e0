//! Settings become the registry and the policy; what they find wrong is shown at its place in the file.

use super::{
    Settings,
    assemble::Assembly,
    diagnostic::{Diagnostic, Fault, Problems},
    grant::GrantTable,
    path::KeyPath,
    place,
};
use crate::{
    attest::AttestorName,
    authorize::{Grant, Policy, PolicySource, RawPolicyFile, Release, RelyingPartySource},
    exchange::RelyingParty,
    identify::{AttestorFacts, Entry, EntrySource, Problem, Registry, Table, danger, entry::workload_id},
    spiffe::SpiffeId,
};

/// Who is who, and who may what, of one generation.
#[derive(Debug)]
pub struct Compiled {
    /// The registration entries.
    pub registry: Registry,
    /// The grants and raw policies.
    pub policy: Policy,
}

impl Settings {
    /// Compiles entries, grants and raw policies for the plugins that were assembled.
    ///
    /// # Errors
    /// Returns all that is wrong, each at its place in the file.
    pub fn compile(&self, assembly: &Assembly, generation: u64) -> Result<Compiled, Vec<Diagnostic>> {
        let mut problems = Problems::default();
        let entries = self.entries(assembly, &mut problems);
        let grants = self.grants(&mut problems);
        if let Some(diagnostics) = self.found(problems) {
            return Err(diagnostics);
        }
        let relying_parties = self.relying_parties(assembly);
        let attestors: Vec<(AttestorName, Vec<&str>)> = assembly
            .attestors
            .iter()
            .map(|attestor| (attestor.name().clone(), attestor.attributes().to_vec()))
            .collect();
        let raw_policies: Vec<RawPolicyFile> = self
            .policies
            .iter()
            .map(|file| RawPolicyFile {
                name: file.path.display().to_string(),
                text: file.text.clone(),
            })
            .collect();
        let source = PolicySource {
            generation,
            trust_domain: self.trust_domain.clone(),
            entries: &entries,
            attestors: &attestors,
            relying_parties: &relying_parties,
            grants,
            raw_policies: &raw_policies,
        };
        let policy = Policy::compile(source);
        match (policy, Registry::new(self.trust_domain.clone(), entries)) {
            (Ok(policy), Ok(registry)) => Ok(Compiled { registry, policy }),
            (policy, registry) => {
                let mut problems = Problems::default();
                for found in policy.err().into_iter().chain(registry.err()).flatten() {
                    self.keep(found, &mut problems);
                }
                Err(self.found(problems).unwrap_or_default())
            }
        }
    }

    fn entries(&self, assembly: &Assembly, problems: &mut Problems) -> Vec<Entry> {
        let mut entries = Vec::new();
        for table in &self.entries {
            let Some(attestor) = assembly
                .attestors
                .iter()
                .find(|attestor| *attestor.name() == table.attestor)
            else {
                continue; // Refused when loaded.
            };
            let facts = AttestorFacts {
                attributes: attestor.attributes(),
                immutable: attestor.immutable(),
            };
            let source = EntrySource {
                position: table.position,
                name: table.name.clone(),
                attestor: table.attestor.clone(),
                conditions: table.conditions.clone(),
                spiffe_id: table.spiffe_id.clone(),
            };
            match Entry::new(source, facts) {
                Ok(entry) => {
                    let pins = attestor.pins().into_iter();
                    let found = pins.flat_map(|pins| danger::problems(&entry, pins, &table.dangerous_admits));
                    found.for_each(|problem| self.keep(problem, problems));
                    entries.push(entry);
                }
                Err(found) => found.into_iter().for_each(|problem| self.keep(problem, problems)),
            }
        }
        entries
    }

    fn grants(&self, problems: &mut Problems) -> Vec<Grant> {
        let mut grant = |table: &GrantTable| Grant {
            position: table.position,
            name: table.name.clone(),
            entries: table.entries.clone(),
            relying_parties: table.relying_parties.clone(),
            conditions: table.conditions.clone(),
            actors: self.actors(table, problems),
            ttl: table.ttl,
            release: if table.release.is_empty() {
                Release::Credentials
            } else {
                Release::CredentialsAndSvid
            },
            accept_lifetime: table.accept_lifetime,
        };
        self.grants.iter().map(&mut grant).collect()
    }

    /// Returns the SPIFFE IDs of a grant's actors.
    fn actors(&self, table: &GrantTable, problems: &mut Problems) -> Vec<SpiffeId> {
        let mut actors = Vec::new();
        for path in &table.actors {
            match workload_id(&self.trust_domain, path) {
                Ok(id) => actors.push(id),
                Err(reason) => {
                    let expected = "the path of a workload's SPIFFE ID such as `/agent/triage`";
                    let place = Table::Grant.at(table.position, ["actors"]);
                    self.keep(place.problem("config.spiffe_id_invalid", reason, expected), problems);
                }
            }
        }
        actors
    }

    fn relying_parties(&self, assembly: &Assembly) -> Vec<RelyingPartySource> {
        let tables = self.relying_parties.iter();
        let parties = tables.filter_map(|table| {
            let party = assembly
                .relying_parties
                .iter()
                .find(|party| *party.name() == table.name)?;
            Some(RelyingPartySource {
                name: table.name.clone(),
                terms: party.terms().clone(),
                scope: self.trust_scope(&**party),
                shared_audience: table.shared_audience,
                shared_subject: table.shared_subject,
            })
        });
        parties.collect()
    }

    /// Whose trust an audience stands for: the account, project or tenant; a party without a cloud stands for itself.
    ///
    /// Certificates have no audience, so that all who take them are one scope: what one of them opens, the others do.
    fn trust_scope(&self, party: &dyn RelyingParty) -> String {
        let domain = self.trust_domain.id();
        if party.terms().audience == domain.as_str() {
            return domain.as_str().to_owned();
        }
        party
            .upstream()
            .map_or_else(|| party.name().to_string(), |upstream| upstream.key)
    }

    /// Keeps a problem at its place; one of a raw policy stands at the pattern that found the file, and names the file.
    fn keep(&self, problem: Problem, problems: &mut Problems) {
        let Problem {
            code,
            at,
            mut found,
            expected,
        } = problem;
        let list = KeyPath::root().below(at.table.as_str()).index(at.position);
        let path = match at.table {
            Table::Entry | Table::Grant | Table::RelyingParty => list,
            Table::RawPolicy => match self.policies.get(at.position) {
                Some(file) => {
                    found = format!("{found} in `{}`", file.path.display());
                    file.at.clone()
                }
                None => list,
            },
        };
        let path = at.keys.iter().fold(path, |path, key| path.key(key));
        problems.refuse(&path, Fault::new(code, found, expected));
    }

    fn found(&self, problems: Problems) -> Option<Vec<Diagnostic>> {
        let (errors, _) = place::sorted(&self.document, problems, Vec::new());
        (!errors.is_empty()).then_some(errors)
    }
}

#[cfg(test)]
mod tests;
