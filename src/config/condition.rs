//! Conditions on attributes: the `match` tables of entries and grants.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    diagnostic::{Fault, Problems},
    path::KeyPath,
};
use crate::identify::{Condition, Conditions, condition::ConditionRefused};

/// A condition as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RawCondition {
    /// The attribute must be absent.
    Absent(RawAbsent),
    /// The attribute must have this value.
    Equals(String),
    /// The attribute must have one of these values.
    OneOf(Vec<String>),
}

/// `{ absent = true }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAbsent {
    /// Always `true`.
    #[schemars(required)]
    absent: Option<bool>,
}

/// Reads a `match` table.
pub(super) fn read(raw: BTreeMap<String, RawCondition>, path: &KeyPath, problems: &mut Problems) -> Conditions {
    raw.into_iter()
        .filter_map(|(attribute, raw)| {
            let condition = problems.take(&path.key(&attribute), condition(raw))?;
            Some((attribute, condition))
        })
        .collect()
}

fn condition(raw: RawCondition) -> Result<Condition, Fault> {
    let values = match raw {
        RawCondition::Absent(RawAbsent { absent: Some(true) }) => return Ok(Condition::Absent),
        RawCondition::Absent(RawAbsent { absent: _ }) => {
            let expected = "`absent = true`; an attribute that must be there is given its values";
            return Err(Fault::new(
                "config.value_invalid",
                "`absent` that is not `true`",
                expected,
            ));
        }
        RawCondition::Equals(value) => vec![value],
        RawCondition::OneOf(values) => values,
    };
    let mut seen = BTreeSet::new();
    if let Some(twice) = values.iter().find(|value| !seen.insert(value.as_str())) {
        return Err(Fault::new(
            "config.value_invalid",
            format_args!("`{twice}` twice"),
            "each value once",
        ));
    }
    Condition::one_of(values).map_err(|refused| {
        let code = match refused {
            ConditionRefused::TooLong { .. } | ConditionRefused::TooMany { .. } => "config.out_of_range",
            ConditionRefused::EmptyValue
            | ConditionRefused::Invisible { .. }
            | ConditionRefused::NoValue
            | ConditionRefused::Pattern { .. } => "config.value_invalid",
        };
        Fault::in_words(code, &refused)
    })
}
