//! The answer of a slice equals that of the whole set: held against Cedar with all policies in one set, each with its full
//! scope, and against a naive evaluator that knows nothing of Cedar.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Write,
    time::Duration,
};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression,
};
use proptest::prelude::*;

use crate::{
    authorize::{
        Denial, Grant, RelyingPartyName,
        sample::{Ask, Sample, ask, aws, grant, sample},
    },
    identify::{
        EntryName,
        sample::{conditions, entry, github_job},
    },
};

const ATTRIBUTES: [&str; 3] = ["ci.ref", "ci.event", "ci.environment"];
const ENTRIES: [&str; 3] = ["e0", "e1", "e2"];
const RELYING_PARTIES: [&str; 3] = ["r0", "r1", "r2"];

/// For some attributes the values that are admitted; none admits only an absent attribute.
type Stated = Vec<(&'static str, Vec<&'static str>)>;

#[derive(Clone, Debug)]
struct Rule {
    entries: Vec<&'static str>,
    relying_parties: Vec<&'static str>,
    stated: Stated,
}

#[derive(Clone, Debug)]
struct Forbid {
    entry: Option<&'static str>,
    relying_party: Option<&'static str>,
    stated: Stated,
}

/// One workload: its entry, the attributes it has, and what it asks for.
type Asked = (&'static str, &'static str, BTreeMap<&'static str, &'static str>);

fn stated() -> impl Strategy<Value = Stated> {
    let condition = prop_oneof![
        3 => Just(None),
        2 => prop::sample::subsequence(vec!["x", "y", "z\"}"], 0..=3).prop_map(Some)
    ];
    prop::array::uniform3(condition).prop_map(|all| {
        ATTRIBUTES
            .into_iter()
            .zip(all)
            .filter_map(|(name, values)| Some((name, values?)))
            .collect()
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let some = |of: [&'static str; 3]| prop::sample::subsequence(of.to_vec(), 1..=3);
    (some(ENTRIES), some(RELYING_PARTIES), stated()).prop_map(|(entries, relying_parties, stated)| Rule {
        entries,
        relying_parties,
        stated,
    })
}

fn forbid() -> impl Strategy<Value = Forbid> {
    let maybe = |of: [&'static str; 3]| prop::option::of(prop::sample::select(of.to_vec()));
    (maybe(ENTRIES), maybe(RELYING_PARTIES), stated()).prop_map(|(entry, relying_party, stated)| Forbid {
        entry,
        relying_party,
        stated,
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let value = prop::option::of(prop::sample::select(vec!["x", "y", "z\"}", "other"]));
    let one = |of: [&'static str; 3]| prop::sample::select(of.to_vec());
    (one(ENTRIES), one(RELYING_PARTIES), prop::array::uniform3(value)).prop_map(|(entry, relying_party, values)| {
        let given = ATTRIBUTES
            .into_iter()
            .zip(values)
            .filter_map(|(name, value)| Some((name, value?)));
        (entry, relying_party, given.collect())
    })
}

fn holds(stated: &Stated, attributes: &BTreeMap<&str, &str>) -> bool {
    stated.iter().all(|(name, values)| match attributes.get(name) {
        None => values.is_empty(),
        Some(value) => values.contains(value),
    })
}

/// Conditions as a person would write them in Cedar.
fn when(stated: &Stated) -> String {
    let mut text = "true".to_owned();
    for (name, values) in stated {
        let listed: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
        if values.is_empty() {
            write!(text, " && !(principal has {name:?})").unwrap();
        } else {
            let any = listed.join(", ");
            write!(
                text,
                " && principal has {name:?} && [{any}].contains(principal[{name:?}])"
            )
            .unwrap();
        }
    }
    text
}

fn forbid_text(forbid: &Forbid) -> String {
    let entry = forbid.entry.map_or_else(
        || "principal".to_owned(),
        |name| format!("principal in Entry::{name:?}"),
    );
    let place = forbid.relying_party.map_or_else(
        || "resource".to_owned(),
        |name| format!("resource == RelyingParty::{name:?}"),
    );
    format!(
        "forbid({entry}, action, {place}) when {{ {} }};\n",
        when(&forbid.stated)
    )
}

/// All policies in one set: every grant for every pair, every forbid.
fn whole_set(rules: &[Rule], forbids: &[Forbid]) -> PolicySet {
    let mut text = String::new();
    for rule in rules {
        for entry in &rule.entries {
            for place in &rule.relying_parties {
                let scope = format!("principal in Entry::{entry:?}, action, resource == RelyingParty::{place:?}");
                writeln!(text, "permit({scope}) when {{ {} }};", when(&rule.stated)).unwrap();
            }
        }
    }
    text.extend(forbids.iter().map(forbid_text));
    text.parse().unwrap()
}

fn cedar_allows(set: &PolicySet, (entry, place, attributes): &Asked) -> bool {
    let uid = |of: &str, id: &str| -> EntityUid { format!("{of}::{id:?}").parse().unwrap() };
    let principal = uid("Workload", "any");
    let given = attributes
        .iter()
        .map(|(name, value)| {
            (
                (*name).to_owned(),
                RestrictedExpression::new_string((*value).to_owned()),
            )
        })
        .collect();
    let parents = HashSet::from([uid("Entry", entry)]);
    let entity = Entity::new(principal.clone(), given, parents).unwrap();
    let entities = Entities::from_entities([entity], None).unwrap();
    let request = Request::new(
        principal,
        uid("Action", "exchange"),
        uid("RelyingParty", place),
        Context::empty(),
        None,
    );
    Authorizer::new()
        .is_authorized(&request.unwrap(), set, &entities)
        .decision()
        == Decision::Allow
}

fn grant_of(position: usize, rule: &Rule) -> Grant {
    let stated: Vec<(&str, &[&str])> = rule
        .stated
        .iter()
        .map(|(name, values)| (*name, values.as_slice()))
        .collect();
    Grant {
        position,
        entries: rule
            .entries
            .iter()
            .map(|name| EntryName::parse(name).unwrap())
            .collect(),
        relying_parties: rule
            .relying_parties
            .iter()
            .map(|name| RelyingPartyName::parse(name).unwrap())
            .collect(),
        conditions: conditions(&stated),
        ttl: Duration::from_mins(20 + position as u64),
        ..grant(&format!("g{position}"))
    }
}

fn compiled_from(rules: &[Rule], forbids: &[Forbid]) -> Sample {
    let raw: String = forbids.iter().map(forbid_text).collect();
    sample()
        .with(|it| {
            it.entries = ENTRIES
                .iter()
                .enumerate()
                .map(|(nth, name)| entry(nth, name, &[("ci.job", &[name])], &format!("/ci/{name}")))
                .collect();
            it.relying_parties = RELYING_PARTIES.iter().map(|name| aws(name)).collect();
            it.grants = rules
                .iter()
                .enumerate()
                .map(|(nth, rule)| grant_of(nth, rule))
                .collect();
        })
        .with_raw(&raw)
}

fn question((entry, place, attributes): &Asked) -> Ask {
    let bare = ATTRIBUTES.iter().fold(github_job(), |job, name| job.without(name));
    let job = attributes.iter().fold(bare, |job, (name, value)| job.with(name, value));
    Ask {
        job: job.with("ci.job", entry),
        relying_party: (*place).to_owned(),
        ..ask()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn t_40h_the_answer_of_a_slice_equals_that_of_the_whole_set_and_forbid_always_wins(
        rules in prop::collection::vec(rule(), 0..8),
        forbids in prop::collection::vec(forbid(), 0..4),
        questions in prop::collection::vec(asked(), 1..8),
    ) {
        let whole = whole_set(&rules, &forbids);
        let sample = compiled_from(&rules, &forbids);

        for asked in &questions {
            let (entry, place, attributes) = asked;
            let permitting: BTreeSet<String> = rules
                .iter()
                .enumerate()
                .filter(|(_, rule)| {
                    rule.entries.contains(entry) && rule.relying_parties.contains(place) && holds(&rule.stated, attributes)
                })
                .map(|(nth, _)| format!("g{nth}"))
                .collect();
            let forbidding = forbids.iter().any(|forbid| {
                forbid.entry.is_none_or(|name| name == *entry)
                    && forbid.relying_party.is_none_or(|name| name == *place)
                    && holds(&forbid.stated, attributes)
            });

            let decision = sample.decide(question(asked));

            prop_assert_eq!(decision.is_ok(), cedar_allows(&whole, asked), "the whole set");
            match decision {
                Ok(permission) => {
                    let named: BTreeSet<String> = permission.rule().iter().map(ToString::to_string).collect();
                    prop_assert!(!forbidding, "a forbid was overridden");
                    prop_assert_eq!(named, permitting);
                }
                Err(Denial::Forbidden { .. }) => prop_assert!(forbidding, "no forbid applies"),
                Err(Denial::ConditionFailed { .. } | Denial::NoGrant { .. }) => {
                    prop_assert!(!forbidding || permitting.is_empty(), "forbid is told first");
                    prop_assert!(permitting.is_empty(), "a grant was overlooked");
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
