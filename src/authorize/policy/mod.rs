//! The whole policy of one generation, and the one `authorize`.
//!
//! Default deny; `forbid` wins; whatever cannot be evaluated denies. A policy is never changed once it is compiled: a reload
//! compiles another and swaps it as a whole.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::SystemTime,
};

use cedar_policy::EntityUid;

use crate::{
    attest::{AttestorName, ExchangeId, Freshness},
    authorize::{
        Decision, Denial, Grant, LockSet, Party, Permission, Release, RelyingPartyName, Terms, Wants,
        cedar::{CedarRefused, Language, Question},
        grant_rules,
        index::{Builder, Index, Pair, Position, Rule, position},
        lifetime::{self, Allowance},
        near_miss::{self, NearMiss},
        raw::{Known, RawPolicies, RawPolicyFile},
        sharing,
        subject::Subject,
    },
    identify::{Entry, EntryName, Problem, Table, Workload},
    spiffe::TrustDomain,
};

/// The whole policy of one generation.
#[derive(Debug)]
pub struct Policy {
    generation: u64,
    trust_domain: TrustDomain,
    language: Language,
    entries: HashMap<String, Position>,
    relying_parties: HashMap<String, Accepting>,
    index: Index,
    raw: RawPolicies,
}

/// A relying party as `authorize` needs it.
#[derive(Debug)]
struct Accepting {
    position: Position,
    party: Arc<Party>,
    subject: Subject,
    resource: EntityUid,
}

/// What a policy is compiled from.
#[derive(Debug)]
pub struct PolicySource<'a> {
    /// Counts the reloads.
    pub generation: u64,
    /// Our trust domain.
    pub trust_domain: TrustDomain,
    /// The registration entries.
    pub entries: &'a [Entry],
    /// The attributes that each attestor may give.
    pub attestors: &'a [(AttestorName, Vec<&'a str>)],
    /// The relying parties, in the order of the configuration.
    pub relying_parties: &'a [RelyingPartySource],
    /// The grants.
    pub grants: Vec<Grant>,
    /// The raw policies, in the order of the configuration.
    pub raw_policies: &'a [RawPolicyFile],
}

/// A relying party as the policy needs it at load.
#[derive(Clone, Debug)]
pub struct RelyingPartySource {
    /// Its name.
    pub name: RelyingPartyName,
    /// What it lays down.
    pub terms: Terms,
    /// Whose trust the audience stands for, for example an account or an app; relying parties of one scope may share it.
    pub scope: String,
    /// Whether another scope may have the same audience (`shared_audience`).
    pub shared_audience: bool,
    /// Whether several workloads may have the same subject (`shared_subject`).
    pub shared_subject: bool,
}

/// One request for one relying party.
#[derive(Debug)]
pub struct AuthorizeRequest<'a> {
    /// The request's id.
    pub exchange_id: ExchangeId,
    /// Who asks.
    pub workload: Workload,
    /// Whose credential, as the caller names it.
    pub relying_party: &'a str,
    /// What it wants to hold.
    pub wants: Wants,
    /// What the request rests on.
    pub basis: Basis,
}

/// What a request rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Evidence that is valid as presented.
    Presented,
    /// An earlier presentation, resumed by the key that it was bound to.
    Resumed,
}

impl Policy {
    /// Compiles a generation.
    ///
    /// # Errors
    /// Returns all that is wrong with it, each with a code of the manual's table of configuration problems.
    pub fn compile(source: PolicySource<'_>) -> Result<Self, Vec<Problem>> {
        let attributes: BTreeSet<&str> = source
            .attestors
            .iter()
            .flat_map(|(_, given)| given.iter().copied())
            .collect();
        let language = Language::new(&attributes).map_err(|refused| {
            let expected = "attributes that a Cedar schema can hold";
            vec![
                Table::Grant
                    .at(0, [])
                    .problem("config.schema_invalid", refused.to_string(), expected),
            ]
        })?;
        let known = Known::of(&source, &attributes);
        let mut problems = grant_rules::problems(&source);
        let raw = keep(
            RawPolicies::compile(source.raw_policies, &language, &known),
            &mut problems,
        );
        let subjects = keep(sharing::subjects(&source), &mut problems);
        problems.extend(sharing::problems(&source));
        let (Some(raw), Some(subjects), true) = (raw, subjects, problems.is_empty()) else {
            return Err(problems);
        };
        Self::build(source, language, raw, subjects)
    }

    fn build(
        source: PolicySource<'_>,
        language: Language,
        raw: RawPolicies,
        subjects: Vec<Subject>,
    ) -> Result<Self, Vec<Problem>> {
        let entries: HashMap<String, Position> = names(source.entries.iter().map(|entry| entry.name().as_str()));
        let places: HashMap<String, Position> = names(source.relying_parties.iter().map(|one| one.name.as_str()));
        let mut builder = Builder::default();
        for grant in source.grants {
            let at = |names: &HashMap<String, Position>, name: &str| names.get(name).copied();
            let ours: Vec<Position> = grant
                .entries
                .iter()
                .filter_map(|name| at(&entries, name.as_str()))
                .collect();
            let theirs: Vec<Position> = grant
                .relying_parties
                .iter()
                .filter_map(|name| at(&places, name.as_str()))
                .collect();
            let pairs = ours
                .iter()
                .flat_map(|entry| theirs.iter().map(|relying_party| (*entry, *relying_party)));
            builder.add(grant, pairs);
        }
        let index = builder.build(&language).map_err(|refused| {
            let expected = "conditions that a Cedar policy can hold";
            vec![
                Table::Grant
                    .at(0, [])
                    .problem("config.policy_invalid", refused.to_string(), expected),
            ]
        })?;
        let accepting = |(nth, (one, subject)): (usize, (&RelyingPartySource, Subject))| {
            let accepting = Accepting {
                position: position(nth),
                party: Arc::new(Party {
                    name: one.name.clone(),
                    terms: one.terms.clone(),
                }),
                subject,
                resource: language.resource(one.name.as_str()),
            };
            (one.name.to_string(), accepting)
        };
        let relying_parties = source
            .relying_parties
            .iter()
            .zip(subjects)
            .enumerate()
            .map(accepting)
            .collect();
        Ok(Self {
            generation: source.generation,
            trust_domain: source.trust_domain,
            language,
            entries,
            relying_parties,
            index,
            raw,
        })
    }

    /// Returns the generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the relying parties that a grant names for `entry`, in the order of their names.
    pub fn granted_to(&self, entry: &EntryName) -> Vec<&RelyingPartyName> {
        let Some(entry) = self.entries.get(entry.as_str()) else {
            return Vec::new();
        };
        let granted = self.relying_parties.values();
        let granted = granted.filter(|accepting| self.index.pair(*entry, accepting.position).is_some());
        let mut names: Vec<_> = granted.map(|accepting| &accepting.party.name).collect();
        names.sort_unstable_by_key(|name| name.as_str());
        names
    }

    /// Decides whether a workload may hold what it wants, for how long and by which rule.
    pub fn authorize(&self, request: AuthorizeRequest<'_>, locks: &LockSet, now: SystemTime) -> Decision {
        match self.decide(request, locks, now) {
            Ok(permission) => Decision::Permitted(Box::new(permission)),
            Err(denial) => Decision::Denied(denial),
        }
    }

    fn decide(&self, request: AuthorizeRequest<'_>, locks: &LockSet, now: SystemTime) -> Result<Permission, Denial> {
        let accepting = self.relying_party(request.relying_party)?;
        locks.refuse(&request.workload, &accepting.party.name, now)?;
        let pair = self.pair(&request.workload, accepting)?;
        let matching = self.matching(&request, accepting, pair)?;
        let (decisive, released) = release(&request, accepting, matching)?;
        let attestation = request.workload.attestation();
        let allowance = Allowance {
            ttl: decisive.ttl,
            accept_lifetime: decisive.accept_lifetime,
            standing: attestation.stands_until().duration_since(now).unwrap_or_default(),
            basis: basis(&request),
        };
        let (lifetime, lifetime_note) =
            lifetime::permit(&accepting.party.terms, allowance).map_err(|below| Denial::LifetimeBelowMinimum {
                relying_party: accepting.party.name.to_string(),
                permitted_seconds: below.permitted.as_secs(),
                minimum_seconds: below.minimum.as_secs(),
            })?;
        let shaped = accepting
            .subject
            .shape(&request.workload, &self.trust_domain)
            .map_err(|reason| Denial::SubjectRefused {
                relying_party: accepting.party.name.to_string(),
                reason,
            })?;
        Ok(Permission {
            exchange_id: request.exchange_id,
            workload: request.workload,
            party: Arc::clone(&accepting.party),
            shaped,
            lifetime,
            lifetime_note,
            rule: released.into_iter().map(|rule| rule.name.clone()).collect(),
            policy_generation: self.generation,
        })
    }

    fn relying_party(&self, name: &str) -> Result<&Accepting, Denial> {
        self.relying_parties
            .get(name)
            .ok_or_else(|| Denial::RelyingPartyUnknown {
                found: name.chars().take(SHOWN).collect(),
            })
    }

    fn pair(&self, workload: &Workload, accepting: &Accepting) -> Result<&Pair, Denial> {
        self.entries
            .get(workload.entry().as_str())
            .and_then(|entry| self.index.pair(*entry, accepting.position))
            .ok_or_else(|| Denial::NoGrant {
                entry: workload.entry().to_string(),
                relying_party: accepting.party.name.to_string(),
            })
    }

    /// Returns the rules that permit it, the decisive one first; never none.
    fn matching<'a>(
        &'a self,
        request: &AuthorizeRequest<'_>,
        accepting: &Accepting,
        pair: &'a Pair,
    ) -> Result<Vec<&'a Rule>, Denial> {
        let unevaluable = |reason: String| Denial::PolicyError { reason };
        let refused = |refused: CedarRefused| unevaluable(refused.to_string());
        if let Some(slice) = self.raw.about(accepting.party.name.as_str()) {
            let question = Question {
                workload: &request.workload,
                resource: &accepting.resource,
                wants: request.wants,
                basis: basis(request),
            };
            let answer = self.language.ask_raw(slice, question).map_err(refused)?;
            if let Some(policy) = answer.reasons.iter().map(ToString::to_string).min() {
                return Err(Denial::Forbidden { policy });
            }
            answer.error.map_or(Ok(()), |reason| Err(unevaluable(reason)))?;
        }
        let slice = self.index.slice(pair).map_err(refused)?;
        let answer = self.language.ask_grants(slice, &request.workload).map_err(refused)?;
        answer.error.map_or(Ok(()), |reason| Err(unevaluable(reason)))?;
        let mut matching = self.index.satisfied(pair, &answer.reasons);
        let acting = request.workload.actors().first();
        matching.retain(|rule| rule.is_for(acting));
        if !matching.is_empty() {
            return Ok(matching);
        }
        let attributes = request.workload.attestation().attributes();
        Err(
            match near_miss::closest(self.index.explained(pair), acting, attributes) {
                NearMiss::Held => unevaluable("all conditions of a grant hold, yet Cedar permits nothing".to_owned()),
                NearMiss::Missed(denial) => denial,
                NearMiss::Others => not_granted(&request.workload, accepting),
            },
        )
    }
}

/// Returns the denial where no rule names the current actor, or each names one and the workload acts itself (TX-18).
fn not_granted(workload: &Workload, accepting: &Accepting) -> Denial {
    Denial::ActorNotGranted {
        actor: workload.actors().first().map_or_else(
            || "each is for an actor, and nobody acts".to_owned(),
            |actor| format!("none of them is for `{actor}` to act"),
        ),
        entry: workload.entry().to_string(),
        relying_party: accepting.party.name.to_string(),
    }
}

/// Returns what the request rests on; evidence past its time is never taken for presented, whatever the caller says.
fn basis(request: &AuthorizeRequest<'_>) -> Basis {
    match request.workload.attestation().freshness() {
        Freshness::Expired => Basis::Resumed,
        Freshness::Fresh => request.basis,
    }
}

/// Names are at most 64 characters, so more of an unknown one says nothing.
const SHOWN: usize = 64;

/// Returns the decisive rule and all that permit what is wanted.
fn release<'a>(
    request: &AuthorizeRequest<'_>,
    accepting: &Accepting,
    matching: Vec<&'a Rule>,
) -> Result<(&'a Rule, Vec<&'a Rule>), Denial> {
    let first = matching.first().copied();
    let released: Vec<&Rule> = match request.wants {
        Wants::Credential => matching,
        Wants::Svid if accepting.party.terms.svid_is_credential => matching,
        Wants::Svid => matching
            .into_iter()
            .filter(|rule| match rule.release {
                Release::Credentials => false,
                Release::CredentialsAndSvid => true,
            })
            .collect(),
    };
    match released.first().copied() {
        Some(decisive) => Ok((decisive, released)),
        None => Err(Denial::SvidNotReleased {
            grant: first.map(|rule| rule.name.to_string()).unwrap_or_default(),
            relying_party: accepting.party.name.to_string(),
        }),
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> HashMap<String, Position> {
    names
        .enumerate()
        .map(|(nth, name)| (name.to_owned(), position(nth)))
        .collect()
}

fn keep<T>(made: Result<T, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    match made {
        Ok(made) => Some(made),
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}

impl<'a> Known<'a> {
    fn of(source: &'a PolicySource<'a>, attributes: &'a BTreeSet<&'a str>) -> Self {
        Self {
            attributes,
            attestors: source.attestors.iter().map(|(name, _)| name.as_str()).collect(),
            entries: source.entries.iter().map(|entry| entry.name().as_str()).collect(),
            relying_parties: source.relying_parties.iter().map(|one| one.name.as_str()).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
