//! Which subjects a template can give for the workloads of one entry.

use std::collections::BTreeSet;

use crate::identify::{Condition, Conditions, Template};

/// For each segment, what it can be.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Vec<Texts>);

#[derive(Clone, Debug)]
enum Texts {
    /// One of these.
    Listed(BTreeSet<String>),
    /// Anything that begins and ends so.
    Open { before: String, after: String },
}

impl Pattern {
    /// Returns what `template` gives where `conditions` hold.
    pub(super) fn of(template: &Template, conditions: &Conditions) -> Self {
        let texts = |segment: &crate::identify::template::Segment| {
            let (before, after) = (&segment.before, &segment.after);
            match segment.attribute.as_deref().map(|attribute| conditions.get(attribute)) {
                None => Texts::Listed(BTreeSet::from([before.clone()])),
                Some(Some(Condition::OneOf(literals))) => {
                    Texts::Listed(literals.iter().map(|value| format!("{before}{value}{after}")).collect())
                }
                Some(Some(Condition::Absent) | None) => Texts::Open {
                    before: before.clone(),
                    after: after.clone(),
                },
            }
        };
        Self(template.segments().iter().map(texts).collect())
    }

    /// Tells whether some text fits both, or may.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(one, two)| one.meets(two))
    }

    /// Returns the path, if there is only one.
    pub(super) fn only(&self) -> Option<String> {
        let mut path = String::new();
        for texts in &self.0 {
            let Texts::Listed(listed) = texts else {
                return None;
            };
            let mut listed = listed.iter();
            path.push('/');
            path.push_str(listed.next()?);
            if listed.next().is_some() {
                return None;
            }
        }
        Some(path)
    }

    /// Tells whether `conditions` leave `attribute` one value.
    pub(super) fn is_pinned(attribute: &str, conditions: &Conditions) -> bool {
        match conditions.get(attribute) {
            Some(Condition::OneOf(literals)) => literals.iter().len() == 1,
            Some(Condition::Absent) | None => false,
        }
    }
}

impl Texts {
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Listed(one), Self::Listed(two)) => !one.is_disjoint(two),
            (Self::Listed(listed), Self::Open { before, after })
            | (Self::Open { before, after }, Self::Listed(listed)) => listed
                .iter()
                .any(|text| text.starts_with(before.as_str()) && text.ends_with(after.as_str())),
            (
                Self::Open { before, after },
                Self::Open {
                    before: begin,
                    after: end,
                },
            ) => {
                (before.starts_with(begin.as_str()) || begin.starts_with(before.as_str()))
                    && (after.ends_with(end.as_str()) || end.ends_with(after.as_str()))
            }
        }
    }
}
