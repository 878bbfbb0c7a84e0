//! Raw Cedar policies: forbid rules that operators write themselves.
//!
//! They can only take away. What permits is a grant, so a raw `permit` is refused at load.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use cedar_policy::{Effect, EntityUid, Policy, PolicyId, PolicySet, ResourceConstraint};

use crate::{
    authorize::cedar::{self, Language, Slice},
    identify::{Problem, Table},
};

/// A file of raw policies.
#[derive(Clone, Debug)]
pub struct RawPolicyFile {
    /// Its name, which the ids of its policies begin with.
    pub name: String,
    /// The policies as text.
    pub text: String,
}

/// LIMITS.md: so many raw policies may be without a `resource ==` scope, because they are evaluated always
/// (performance B3).
pub(super) const MAX_UNSCOPED: usize = 100;

/// The names that raw policies may refer to.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) attributes: &'a BTreeSet<&'a str>,
    pub(super) attestors: BTreeSet<&'a str>,
    pub(super) entries: BTreeSet<&'a str>,
    pub(super) relying_parties: BTreeSet<&'a str>,
}

/// The raw policies by the relying party that they are about.
#[derive(Debug, Default)]
pub(super) struct RawPolicies {
    always: Option<Arc<Slice>>,
    by_relying_party: HashMap<String, Arc<Slice>>,
}

impl RawPolicies {
    /// Parses, validates and indexes the files.
    pub(super) fn compile(
        files: &[RawPolicyFile],
        language: &Language,
        known: &Known<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut always = Vec::new();
        let mut scoped: BTreeMap<String, Vec<Policy>> = BTreeMap::new();
        let mut names = BTreeSet::new();
        for (position, file) in files.iter().enumerate() {
            if !names.insert(&file.name) {
                let found = format!("`{}` a second time", file.name);
                let at = Table::RawPolicy.at(position, []);
                problems.push(at.problem("config.duplicate_name", found, "each file once"));
            }
            for policy in parse(position, file, &mut problems) {
                problems.extend(refuse(position, &policy, language, known));
                match policy.resource_constraint() {
                    ResourceConstraint::Eq(relying_party) => {
                        scoped
                            .entry(relying_party.id().unescaped().to_owned())
                            .or_default()
                            .push(policy);
                    }
                    ResourceConstraint::Any
                    | ResourceConstraint::In(_)
                    | ResourceConstraint::Is(_)
                    | ResourceConstraint::IsIn(_, _) => always.push((position, policy)),
                }
            }
        }
        if let Some((position, _)) = always.get(MAX_UNSCOPED) {
            problems.push(Table::RawPolicy.at(*position, []).problem(
                "config.raw_unscoped_limit",
                format!("{} policies without `resource ==`", always.len()),
                format!("at most {MAX_UNSCOPED}, because they are evaluated in every decision"),
            ));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let always: Vec<Policy> = always.into_iter().map(|(_, policy)| policy).collect();
        Self::index(&always, scoped, known.attributes).map_err(|problem| vec![problem])
    }

    /// Returns what has to be asked about `relying_party`, if anything.
    pub(super) fn about(&self, relying_party: &str) -> Option<&Slice> {
        self.by_relying_party
            .get(relying_party)
            .or(self.always.as_ref())
            .map(AsRef::as_ref)
    }

    fn index(
        always: &[Policy],
        scoped: BTreeMap<String, Vec<Policy>>,
        attributes: &BTreeSet<&str>,
    ) -> Result<Self, Problem> {
        let slice = |policies: Vec<Policy>| {
            let read = policies
                .iter()
                .flat_map(|policy| mentioned(policy, attributes))
                .collect();
            PolicySet::from_policies(policies)
                .map(|set| Arc::new(Slice::new(set, read)))
                .map_err(|refused| {
                    let expected = "policies that can stand in one set";
                    Table::RawPolicy
                        .at(0, [])
                        .problem("config.raw_invalid", refused.to_string(), expected)
                })
        };
        let with_always = |own: Vec<Policy>| slice(own.into_iter().chain(always.iter().cloned()).collect());
        Ok(Self {
            by_relying_party: scoped
                .into_iter()
                .map(|(relying_party, own)| Ok((relying_party, with_always(own)?)))
                .collect::<Result<_, Problem>>()?,
            always: if always.is_empty() {
                None
            } else {
                Some(slice(always.to_vec())?)
            },
        })
    }
}

/// Returns the policies of a file, each with an id of its own: the file's name and its number in the file.
fn parse(position: usize, file: &RawPolicyFile, problems: &mut Vec<Problem>) -> Vec<Policy> {
    let at = || Table::RawPolicy.at(position, []);
    let set: PolicySet = match file.text.parse() {
        Ok(set) => set,
        Err(refused) => {
            let found = format!("`{}`: {refused}", file.name);
            problems.push(at().problem("config.raw_invalid", found, "Cedar policies"));
            return Vec::new();
        }
    };
    if let Some(template) = set.templates().next() {
        problems.push(at().problem(
            "config.raw_template",
            format!("`{}`: template `{}`", file.name, template.id()),
            "policies without slots",
        ));
    }
    let mut policies: Vec<&Policy> = set.policies().collect();
    policies.sort_by_key(|policy| number(policy.id()));
    let named = |(nth, policy): (usize, &&Policy)| policy.new_id(PolicyId::new(format!("{}#{}", file.name, nth + 1)));
    policies.iter().enumerate().map(named).collect()
}

/// Cedar numbers the policies of a text `policy0`, `policy1` and so on.
fn number(id: &PolicyId) -> usize {
    let text: &str = id.as_ref();
    text.trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

fn refuse<'a>(
    position: usize,
    policy: &'a Policy,
    language: &Language,
    known: &'a Known<'_>,
) -> impl Iterator<Item = Problem> + 'a {
    let at = move || Table::RawPolicy.at(position, []);
    let permit = (policy.effect() == Effect::Permit).then(|| {
        let expected = "only `forbid`: what permits is a `[[grant]]`";
        at().problem("config.raw_permit", format!("`{}`: a `permit`", policy.id()), expected)
    });
    let invalid = PolicySet::from_policies([policy.clone()])
        .map_err(|refused| refused.to_string())
        .and_then(|set| {
            language
                .validate_without_warnings(&set)
                .map_err(|refused| refused.to_string())
        })
        .err()
        .map(|refused| {
            let found = format!("`{}`: {refused}", policy.id());
            at().problem(
                "config.raw_invalid",
                found,
                "a policy that fits the schema in strict mode",
            )
        });
    let strange = unknown_attributes(policy, known.attributes)
        .into_iter()
        .map(move |attribute| {
            let found = format!("`{}`: `{attribute}`", policy.id());
            at().problem(
                "config.attribute_unknown",
                found,
                "an attribute that a configured attestor gives",
            )
        });
    let unknown = policy
        .entity_literals()
        .into_iter()
        .filter(|literal| !known.contains(literal))
        .map(move |literal| {
            let found = format!("`{}`: {literal}", policy.id());
            at().problem(
                "config.raw_name_unknown",
                found,
                "the name of a configured attestor, entry or relying party",
            )
        });
    permit.into_iter().chain(invalid).chain(unknown).chain(strange)
}

impl Known<'_> {
    fn contains(&self, literal: &EntityUid) -> bool {
        let id = literal.id().unescaped();
        match literal.type_name().to_string().as_str() {
            cedar::ATTESTOR => self.attestors.contains(id),
            cedar::ENTRY => self.entries.contains(id),
            cedar::RELYING_PARTY => self.relying_parties.contains(id),
            _ => true, // SPIFFE IDs are not listed anywhere; other types the validator refuses.
        }
    }
}

/// Returns the attributes that the policy may look at: every known one that stands anywhere in it as a text.
fn mentioned<'a>(policy: &Policy, attributes: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    match policy.to_json() {
        Ok(json) => collect(&json, attributes, &mut found),
        Err(_unwritable) => found.clone_from(attributes), // then all of them are handed over
    }
    found
}

/// Returns the attributes that the policy asks for and nobody ever has.
///
/// Cedar's validator takes `principal has "typo"` for a test that always fails, and with it a part of a forbid rule that
/// never forbids.
fn unknown_attributes(policy: &Policy, attributes: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    if let Ok(json) = policy.to_json() {
        asked_for(&json, &mut asked);
    }
    asked.retain(|attribute| !attributes.contains(attribute.as_str()) && !cedar::CONTEXT.contains(&attribute.as_str()));
    asked
}

/// In Cedar's JSON form, `.` and `has` hold the attribute as `attr`, a text or a list of texts.
fn asked_for(json: &serde_json::Value, asked: &mut BTreeSet<String>) {
    match json {
        serde_json::Value::Array(values) => values.iter().for_each(|value| asked_for(value, asked)),
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("attr", serde_json::Value::String(attribute)) => {
                        asked.insert(attribute.clone());
                    }
                    ("attr", serde_json::Value::Array(path)) => {
                        asked.extend(path.iter().filter_map(|step| step.as_str().map(str::to_owned)));
                    }
                    _ => asked_for(value, asked),
                }
            }
        }
        serde_json::Value::Bool(_)
        | serde_json::Value::Null
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {}
    }
}

fn collect<'a>(json: &serde_json::Value, attributes: &BTreeSet<&'a str>, found: &mut BTreeSet<&'a str>) {
    match json {
        serde_json::Value::String(text) => found.extend(attributes.get(text.as_str())),
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, attributes, found)),
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                found.extend(attributes.get(key.as_str()));
                collect(value, attributes, found);
            }
        }
        serde_json::Value::Bool(_) | serde_json::Value::Null | serde_json::Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
