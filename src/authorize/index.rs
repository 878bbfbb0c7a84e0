//! From an entry and a relying party to the few grants that name both.
//!
//! Grants with the same conditions share one Cedar policy, and pairs with the same grants' conditions share one slice. The
//! answer of a slice must equal that of all grants together; a test holds it against a naive evaluator.

use std::{
    collections::{BTreeSet, HashMap},
    sync::OnceLock,
    time::Duration,
};

use cedar_policy::{PolicyId, PolicySet};

use crate::{
    authorize::{
        Grant, GrantName, Release,
        cedar::{CedarRefused, Language, Slice, permit},
    },
    identify::{Condition, Conditions},
    spiffe::SpiffeId,
};

/// The position of an entry, a relying party or a grant among those of its generation.
pub(super) type Position = u32;

/// All grants, by the pairs of entry and relying party that they name.
#[derive(Debug)]
pub(super) struct Index {
    rules: Vec<Rule>,
    conditions: Vec<Conditions>,
    permits: Vec<Permits>,
    pairs: HashMap<(Position, Position), Pair>,
}

/// What is left of a grant once it is indexed.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: GrantName,
    pub(super) ttl: Duration,
    pub(super) release: Release,
    pub(super) accept_lifetime: bool,
    pub(super) actors: Box<[SpiffeId]>,
    /// Position among the distinct conditions.
    conditions: Position,
}

impl Rule {
    /// Tells whether the grant is for this actor, or for the workload itself where nobody acts (TX-18).
    pub(super) fn is_for(&self, acting: Option<&SpiffeId>) -> bool {
        match acting {
            None => self.actors.is_empty(),
            Some(actor) => self.actors.contains(actor),
        }
    }
}

/// The grants that name one entry and one relying party.
#[derive(Debug)]
pub(super) struct Pair {
    permits: Position,
    /// Positions of the rules, shortest ttl first, then by name.
    rules: Box<[Position]>,
}

/// One policy for each of a few distinct sets of conditions.
#[derive(Debug)]
struct Permits {
    /// Positions of the conditions.
    distinct: Box<[Position]>,
    /// Prebuilt for the first [`PREBUILT`]; the rest at their first use, so that a huge policy loads fast and stays small.
    slice: OnceLock<Result<Slice, CedarRefused>>,
}

/// A slice takes about 5 KiB and 15 microseconds: so many fit into 50 MiB and a fifth of a second.
const PREBUILT: usize = 10_000;

impl Index {
    /// Returns the grants that name both.
    pub(super) fn pair(&self, entry: Position, relying_party: Position) -> Option<&Pair> {
        self.pairs.get(&(entry, relying_party))
    }

    /// Returns the policies to ask about the pair.
    pub(super) fn slice(&self, pair: &Pair) -> Result<&Slice, CedarRefused> {
        let permits = self.permits.get(pair.permits as usize).ok_or_else(CedarRefused::lost)?;
        permits.slice(&self.conditions)
    }

    /// Returns the pair's rules that `reasons` satisfy, the decisive one first.
    pub(super) fn satisfied<'a>(&'a self, pair: &'a Pair, reasons: &[PolicyId]) -> Vec<&'a Rule> {
        let satisfied: Vec<Position> = reasons.iter().filter_map(condition_of).collect();
        self.of(pair)
            .filter(|rule| satisfied.contains(&rule.conditions))
            .collect()
    }

    /// Returns the pair's rules with their conditions.
    pub(super) fn explained<'a>(&'a self, pair: &'a Pair) -> impl Iterator<Item = (&'a Rule, &'a Conditions)> {
        self.of(pair)
            .filter_map(|rule| Some((rule, self.conditions.get(rule.conditions as usize)?)))
    }

    fn of<'a>(&'a self, pair: &'a Pair) -> impl Iterator<Item = &'a Rule> {
        pair.rules
            .iter()
            .filter_map(|position| self.rules.get(*position as usize))
    }
}

impl Permits {
    fn slice(&self, conditions: &[Conditions]) -> Result<&Slice, CedarRefused> {
        let slice = self.slice.get_or_init(|| build(&self.distinct, conditions));
        slice.as_ref().map_err(Clone::clone)
    }
}

fn build(distinct: &[Position], conditions: &[Conditions]) -> Result<Slice, CedarRefused> {
    let mut policies = Vec::with_capacity(distinct.len());
    let mut attributes = BTreeSet::new();
    for position in distinct {
        let conditions = conditions.get(*position as usize).ok_or_else(CedarRefused::lost)?;
        attributes.extend(conditions.iter().map(|(attribute, _)| attribute));
        policies.push(permit(&position.to_string(), conditions)?);
    }
    let set = PolicySet::from_policies(policies).map_err(CedarRefused::of)?;
    Ok(Slice::new(set, attributes))
}

/// The id of a policy is the position of its conditions.
fn condition_of(id: &PolicyId) -> Option<Position> {
    let text: &str = id.as_ref();
    text.parse().ok()
}

/// Collects grants, then builds what is distinct among them once.
#[derive(Debug, Default)]
pub(super) struct Builder {
    rules: Vec<Rule>,
    known: HashMap<Conditions, Position>,
    pairs: HashMap<(Position, Position), Vec<Position>>,
}

impl Builder {
    /// Adds a grant that names these pairs.
    pub(super) fn add(&mut self, grant: Grant, pairs: impl Iterator<Item = (Position, Position)>) {
        let next = position(self.known.len());
        let conditions = *self.known.entry(grant.conditions).or_insert(next);
        let rule = position(self.rules.len());
        self.rules.push(Rule {
            name: grant.name,
            ttl: grant.ttl,
            release: grant.release,
            accept_lifetime: grant.accept_lifetime,
            actors: grant.actors.into_boxed_slice(),
            conditions,
        });
        for pair in pairs {
            self.pairs.entry(pair).or_default().push(rule);
        }
    }

    /// Builds the index; one policy of each shape is validated against the schema.
    pub(super) fn build(self, language: &Language) -> Result<Index, CedarRefused> {
        let conditions = in_order(self.known);
        validate_shapes(&conditions, language)?;
        let mut permits: Vec<Permits> = Vec::new();
        let mut known: HashMap<Box<[Position]>, Position> = HashMap::new();
        let mut pairs = HashMap::with_capacity(self.pairs.len());
        for (pair, mut rules) in self.pairs {
            let rule = |position: &Position| self.rules.get(*position as usize);
            rules.sort_unstable_by(|one, two| rank(rule(one)).cmp(&rank(rule(two))));
            rules.dedup();
            let distinct: BTreeSet<Position> = rules.iter().filter_map(rule).map(|rule| rule.conditions).collect();
            let distinct: Box<[Position]> = distinct.into_iter().collect();
            let permits = *known.entry(distinct).or_insert_with_key(|distinct| {
                permits.push(Permits {
                    distinct: distinct.clone(),
                    slice: OnceLock::new(),
                });
                position(permits.len().saturating_sub(1))
            });
            let rules = rules.into_boxed_slice();
            pairs.insert(pair, Pair { permits, rules });
        }
        for permits in permits.iter().take(PREBUILT) {
            permits.slice(&conditions)?;
        }
        Ok(Index {
            rules: self.rules,
            conditions,
            permits,
            pairs,
        })
    }
}

/// The shortest ttl decides, then the name.
fn rank(rule: Option<&Rule>) -> Option<(Duration, &GrantName)> {
    rule.map(|rule| (rule.ttl, &rule.name))
}

fn in_order(known: HashMap<Conditions, Position>) -> Vec<Conditions> {
    let mut conditions: Vec<(Position, Conditions)> = known
        .into_iter()
        .map(|(conditions, position)| (position, conditions))
        .collect();
    conditions.sort_unstable_by_key(|(position, _)| *position);
    conditions.into_iter().map(|(_, conditions)| conditions).collect()
}

/// Validates one policy of each shape in strict mode: those of one shape differ in their literals only.
fn validate_shapes(conditions: &[Conditions], language: &Language) -> Result<(), CedarRefused> {
    let mut shapes = BTreeSet::new();
    for conditions in conditions {
        if shapes.insert(shape(conditions)) {
            let policy = permit("shape", conditions)?;
            language.validate(&PolicySet::from_policies([policy]).map_err(CedarRefused::of)?)?;
        }
    }
    Ok(())
}

/// Conditions of one form compile to the same policy but for their literals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Absent,
    One,
    Several,
}

fn shape(conditions: &Conditions) -> Vec<(&str, Form)> {
    let form = |condition: &Condition| match condition {
        Condition::Absent => Form::Absent,
        Condition::OneOf(literals) if literals.iter().len() == 1 => Form::One,
        Condition::OneOf(_) => Form::Several,
    };
    conditions
        .iter()
        .map(|(attribute, condition)| (attribute, form(condition)))
        .collect()
}

/// Positions count what `compile` admits, which is far below 2^32.
pub(super) fn position(of: usize) -> Position {
    Position::try_from(of).unwrap_or(Position::MAX)
}
