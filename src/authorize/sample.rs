//! Builders for the tests of authorize: a policy of one entry, one relying party and one grant, changed by one.

use std::time::Duration;

use crate::{
    attest::{AttestorName, ExchangeId},
    authorize::{
        AuthorizeRequest, Basis, Decision, Denial, Grant, GrantName, LifetimeMode, LockSet, Permission, Policy,
        PolicySource, RawPolicyFile, Release, RelyingPartyName, RelyingPartySource, Terms, Wants,
    },
    identify::{
        Entry, EntryName, Problem, Registry,
        sample::{GITHUB, Job, conditions, entry, github_job, now, trust_domain},
    },
    secret::SystemRandom,
};

/// All that a policy is compiled from.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) entries: Vec<Entry>,
    pub(crate) relying_parties: Vec<RelyingPartySource>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) raw: Vec<RawPolicyFile>,
}

/// Entry `shop-deploy` may hold credentials of `aws-prod` from environment `production` for 20 minutes.
pub(crate) fn sample() -> Sample {
    Sample {
        entries: vec![entry(
            0,
            "shop-deploy",
            &[("ci.repo_id", &["7654321"])],
            "/ci/acme/shop/deploy",
        )],
        relying_parties: vec![aws("aws-prod")],
        grants: vec![grant("shop-to-prod")],
        raw: Vec::new(),
    }
}

pub(crate) fn grant(name: &str) -> Grant {
    Grant {
        position: 0,
        name: GrantName::parse(name).unwrap(),
        entries: vec![EntryName::parse("shop-deploy").unwrap()],
        relying_parties: vec![RelyingPartyName::parse("aws-prod").unwrap()],
        conditions: conditions(&[("ci.environment", &["production"])]),
        actors: Vec::new(),
        ttl: Duration::from_mins(20),
        release: Release::Credentials,
        accept_lifetime: false,
    }
}

/// A relying party that gives 15 minutes to 12 hours, as asked.
pub(crate) fn aws(name: &str) -> RelyingPartySource {
    RelyingPartySource {
        name: RelyingPartyName::parse(name).unwrap(),
        terms: Terms {
            audience: format!("https://id.acme.example/aws/{name}"),
            subject: None,
            minimum: Duration::from_mins(15),
            maximum: Duration::from_hours(12),
            lifetime_mode: LifetimeMode::Requested,
            session_policy: false,
            svid_is_credential: false,
        },
        scope: format!("aws/{name}"),
        shared_audience: false,
        shared_subject: false,
    }
}

impl Sample {
    /// Changes it.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Changes the terms of the first relying party.
    pub(crate) fn with_terms(self, change: impl FnOnce(&mut Terms)) -> Self {
        self.with(|sample| change(&mut sample.relying_parties[0].terms))
    }

    /// Adds a file of raw policies.
    pub(crate) fn with_raw(self, text: &str) -> Self {
        self.with(|sample| {
            sample.raw.push(RawPolicyFile {
                name: format!("raw{}.cedar", sample.raw.len()),
                text: text.to_owned(),
            });
        })
    }

    pub(crate) fn compile(&self) -> Result<Policy, Vec<Problem>> {
        let given = |name: &str| (AttestorName::parse(name).unwrap(), GITHUB.to_vec());
        let attestors = [
            given("github"),
            (AttestorName::parse("cluster").unwrap(), vec!["k8s.namespace"]),
        ];
        Policy::compile(PolicySource {
            generation: 7,
            trust_domain: trust_domain(),
            entries: &self.entries,
            attestors: &attestors,
            relying_parties: &self.relying_parties,
            grants: self.grants.clone(),
            raw_policies: &self.raw,
        })
    }

    /// The codes of all problems, in order.
    pub(crate) fn problems(&self) -> Vec<&'static str> {
        let problems = self.compile().err().unwrap_or_default();
        problems.iter().map(|problem| problem.code).collect()
    }

    /// The one problem.
    pub(crate) fn problem(&self) -> Problem {
        let mut problems = self.compile().expect_err("a problem");
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }

    pub(crate) fn policy(&self) -> Policy {
        self.compile().expect("a policy without problems")
    }

    /// What is decided of `ask`.
    pub(crate) fn decide(&self, ask: Ask) -> Result<Permission, Denial> {
        let registry = Registry::new(trust_domain(), self.entries.clone()).expect("entries without problems");
        let mut workload = registry.identify(ask.job.attested()).expect("a workload");
        if let Some(actor) = ask.actor {
            let actor = registry.identify(actor.attested()).expect("an actor");
            workload = workload.acted_for_by(actor).expect("an actor that may act");
        }
        let request = AuthorizeRequest {
            exchange_id: ExchangeId::draw(&SystemRandom, std::time::SystemTime::UNIX_EPOCH).expect("randomness"),
            workload,
            relying_party: &ask.relying_party,
            wants: ask.wants,
            basis: ask.basis,
        };
        match self.policy().authorize(request, &ask.locks, now()) {
            Decision::Denied(denial) => Err(denial),
            Decision::Permitted(permission) => Ok(*permission),
        }
    }
}

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) job: Job,
    /// Who acts for it.
    pub(crate) actor: Option<Job>,
    pub(crate) relying_party: String,
    pub(crate) wants: Wants,
    pub(crate) basis: Basis,
    pub(crate) locks: LockSet,
}

/// The job asks for a credential of `aws-prod` with its own evidence, and nothing is locked.
pub(crate) fn ask() -> Ask {
    Ask {
        job: github_job(),
        actor: None,
        relying_party: "aws-prod".to_owned(),
        wants: Wants::Credential,
        basis: Basis::Presented,
        locks: LockSet::new([], now()),
    }
}
