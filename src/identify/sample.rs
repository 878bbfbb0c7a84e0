//! Builders for the tests of identify and authorize; each holds all of a real thing and is changed by one.

use std::time::{Duration, SystemTime};

use crate::{
    attest::{Attestation, Attributes},
    clock,
    identify::{AttestorFacts, Condition, Conditions, Entry, EntrySource, Registry, Workload},
    spiffe::TrustDomain,
};

/// What the `github` attestor of these tests gives.
pub(crate) const GITHUB: [&str; 12] = [
    "ci.actor",
    "ci.environment",
    "ci.event",
    "ci.job",
    "ci.owner_id",
    "ci.ref",
    "ci.repo_id",
    "ci.repo_name",
    "ci.run_id",
    "ci.runner",
    "ci.sha",
    "ci.workflow_ref",
];

/// Which of them the owner of a job cannot choose.
pub(crate) const IMMUTABLE: [&str; 2] = ["ci.owner_id", "ci.repo_id"];

pub(crate) fn facts() -> AttestorFacts<'static> {
    AttestorFacts {
        attributes: &GITHUB,
        immutable: &IMMUTABLE,
    }
}

pub(crate) fn now() -> SystemTime {
    clock::parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

pub(crate) fn trust_domain() -> TrustDomain {
    TrustDomain::parse("prod.acme.example").unwrap()
}

/// A job of repository `acme/shop` on its main branch, attested for an hour.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    attributes: Vec<(&'static str, String)>,
    stands_until: SystemTime,
    expired: bool,
}

pub(crate) fn github_job() -> Job {
    let values = [
        "octocat",
        "production",
        "push",
        "deploy",
        "1234567",
        "refs/heads/main",
        "7654321",
        "shop",
        "9876543210",
        "github-hosted",
        "0123456789abcdef0123456789abcdef01234567",
        "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
    ];
    Job {
        attributes: GITHUB.into_iter().zip(values.map(str::to_owned)).collect(),
        stands_until: now() + Duration::from_hours(1),
        expired: false,
    }
}

impl Job {
    pub(crate) fn with(mut self, attribute: &'static str, value: &str) -> Self {
        self = self.without(attribute);
        self.attributes.push((attribute, value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, attribute: &str) -> Self {
        self.attributes.retain(|(name, _)| *name != attribute);
        self
    }

    pub(crate) fn standing(mut self, left: Duration) -> Self {
        self.stands_until = now() + left;
        self
    }

    /// The job's token is past its `exp`.
    pub(crate) fn expired(mut self) -> Self {
        self.expired = true;
        self
    }

    pub(crate) fn attested(self) -> Attestation {
        self.attested_by("github")
    }

    pub(crate) fn attested_by(self, attestor: &str) -> Attestation {
        let mut attributes = Attributes::default();
        for (name, value) in self.attributes {
            attributes.insert(name, value).unwrap();
        }
        let attestation = Attestation::for_test(attestor, attributes, self.stands_until);
        if self.expired {
            return attestation.expired_for_test();
        }
        attestation
    }

    /// The job as the workload of an entry that admits everything.
    pub(crate) fn workload(self, entry: &str, spiffe_id: &str) -> Workload {
        let source = entry_source(entry, spiffe_id);
        let conditions = Conditions::default();
        let facts = AttestorFacts {
            attributes: &GITHUB,
            immutable: &GITHUB,
        };
        let any = spiffe_id.contains('{');
        let conditions = if any { conditions } else { source.conditions.clone() };
        let entry = Entry::new(EntrySource { conditions, ..source }, facts).unwrap();
        registry(vec![entry]).identify(self.attested()).unwrap()
    }
}

/// Conditions as a grant or an entry states them: each a list of literals, an empty one for `{ absent = true }`.
pub(crate) fn conditions(stated: &[(&str, &[&str])]) -> Conditions {
    let condition = |values: &[&str]| match values {
        [] => Condition::Absent,
        values => Condition::one_of(values.iter().copied()).unwrap(),
    };
    stated
        .iter()
        .map(|(attribute, values)| (*attribute, condition(values)))
        .collect()
}

/// An entry for repository 7654321.
pub(crate) fn entry_source(name: &str, spiffe_id: &str) -> EntrySource {
    EntrySource {
        position: 0,
        name: crate::identify::EntryName::parse(name).unwrap(),
        attestor: crate::attest::AttestorName::parse("github").unwrap(),
        conditions: conditions(&[("ci.repo_id", &["7654321"])]),
        spiffe_id: spiffe_id.to_owned(),
    }
}

pub(crate) fn entry(position: usize, name: &str, stated: &[(&str, &[&str])], spiffe_id: &str) -> Entry {
    let source = EntrySource {
        position,
        conditions: conditions(stated),
        ..entry_source(name, spiffe_id)
    };
    Entry::new(source, facts()).unwrap()
}

pub(crate) fn registry(entries: Vec<Entry>) -> Registry {
    Registry::new(trust_domain(), entries).unwrap()
}
