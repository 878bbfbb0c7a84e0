//! Conditions on attributes, as entries and grants state them.
//!
//! They compare bytes. They must never fold case, trim, normalise or match a pattern: two forms of one name would let a
//! check and its use disagree (T-39).

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};

use crate::attest::{Attributes, attribute::MAX_VALUE_BYTES};

/// What one attribute must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The workload must not have the attribute at all; an empty value is a value.
    Absent,
    /// The attribute must be one of these.
    OneOf(Literals),
}

/// At least one literal value, sorted, none twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Literals(Box<[String]>);

impl Condition {
    /// Demands one of `values`.
    ///
    /// # Errors
    /// Refuses an empty list, and values that no attribute could ever have or that do not look like what they are.
    pub fn one_of<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Result<Self, ConditionRefused> {
        let mut values: Vec<String> = values.into_iter().map(Into::into).collect();
        values.iter().try_for_each(|value| refuse_value(value))?;
        values.sort_unstable();
        values.dedup();
        if values.is_empty() {
            return Err(ConditionRefused::NoValue);
        }
        if values.len() > MAX_LITERALS {
            return Err(ConditionRefused::TooMany { found: values.len() });
        }
        Ok(Self::OneOf(Literals(values.into_boxed_slice())))
    }

    /// Tells whether `value` is as demanded; `None` is an attribute that the workload does not have.
    pub fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::Absent => value.is_none(),
            Self::OneOf(literals) => value.is_some_and(|value| literals.contains(value)),
        }
    }

    /// Tells whether some value satisfies both.
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) => true,
            (Self::Absent, Self::OneOf(_)) | (Self::OneOf(_), Self::Absent) => false,
            (Self::OneOf(one), Self::OneOf(two)) => one.iter().any(|value| two.contains(value)),
        }
    }
}

/// A list is read through in every decision, so its length bounds what one costs (TM-29).
pub const MAX_LITERALS: usize = 256;

impl Literals {
    /// Tells whether `value` is one of them, byte for byte.
    pub fn contains(&self, value: &str) -> bool {
        self.0.binary_search_by(|literal| literal.as_str().cmp(value)).is_ok()
    }

    /// Returns them in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let literals = match self {
            Self::Absent => return f.write_str("no value"),
            Self::OneOf(literals) => literals,
        };
        for (position, value) in literals.iter().take(SHOWN_LITERALS).enumerate() {
            write!(f, "{}`{value}`", if position == 0 { "" } else { " or " })?;
        }
        match literals.iter().len().saturating_sub(SHOWN_LITERALS) {
            0 => Ok(()),
            more => write!(f, " or {more} more"),
        }
    }
}

/// A denial names so many of the expected values; the configuration has the rest.
const SHOWN_LITERALS: usize = 4;

/// Conditions on several attributes, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct Conditions(BTreeMap<String, Condition>);

impl Conditions {
    /// Returns the condition on `attribute`.
    pub fn get(&self, attribute: &str) -> Option<&Condition> {
        self.0.get(attribute)
    }

    /// Returns attributes and what they must be, in the order of the attributes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Condition)> {
        self.0
            .iter()
            .map(|(attribute, condition)| (attribute.as_str(), condition))
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the conditions that `attributes` fail, in the order of the attributes.
    pub fn failed<'a>(&'a self, attributes: &'a Attributes) -> impl Iterator<Item = FailedCondition> + 'a {
        self.iter().filter_map(|(attribute, condition)| {
            let found = attributes.get(attribute);
            (!condition.holds(found)).then(|| FailedCondition {
                attribute: attribute.to_owned(),
                found: found.map(str::to_owned),
                expected: condition.to_string(),
            })
        })
    }

    /// Returns how many of them `attributes` fail.
    pub fn count_failed(&self, attributes: &Attributes) -> usize {
        let fails = |(attribute, condition): &(&str, &Condition)| !condition.holds(attributes.get(attribute));
        self.iter().filter(fails).count()
    }

    /// Tells whether all hold.
    pub fn hold(&self, attributes: &Attributes) -> bool {
        self.iter()
            .all(|(attribute, condition)| condition.holds(attributes.get(attribute)))
    }

    /// Tells whether some workload satisfies both: attributes are independent, so it is decided attribute by attribute.
    pub fn meet(&self, other: &Self) -> bool {
        self.iter()
            .all(|(attribute, condition)| other.get(attribute).is_none_or(|theirs| condition.meets(theirs)))
    }
}

impl<T: Into<String>> FromIterator<(T, Condition)> for Conditions {
    fn from_iter<I: IntoIterator<Item = (T, Condition)>>(conditions: I) -> Self {
        Self(
            conditions
                .into_iter()
                .map(|(attribute, condition)| (attribute.into(), condition))
                .collect(),
        )
    }
}

/// A condition that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedCondition {
    /// The attribute.
    pub attribute: String,
    /// Its value; `None` where the workload does not have it.
    pub found: Option<String>,
    /// What would have been accepted.
    pub expected: String,
}

impl fmt::Display for FailedCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Some(found) => write!(f, "`{}` is `{found}`, expected {}", self.attribute, self.expected),
            None => write!(f, "`{}` is absent, expected {}", self.attribute, self.expected),
        }
    }
}

/// A condition that could never hold, or that does not look like what it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConditionRefused {
    /// A value is empty.
    #[error("found an empty value, expected text; `{{ absent = true }}` demands that there is none")]
    EmptyValue,
    /// A value holds white space at an end, or characters that cannot be seen.
    #[error(
        "found {found:?}, expected text without control or invisible characters and without white space at its ends"
    )]
    Invisible {
        /// The value.
        found: String,
    },
    /// The list is empty.
    #[error("found an empty list, expected at least one value")]
    NoValue,
    /// A value looks like a pattern (TM-27).
    #[error("found `{found}`, expected a literal value: there are no patterns")]
    Pattern {
        /// The value.
        found: String,
    },
    /// A value is longer than an attribute may be.
    #[error("found a value of {found_bytes} bytes, expected at most {MAX_VALUE_BYTES}")]
    TooLong {
        /// How long it is.
        found_bytes: usize,
    },
    /// The list is too long to be read through in every decision.
    #[error("found {found} values, expected at most {MAX_LITERALS}")]
    TooMany {
        /// How many there are.
        found: usize,
    },
}

fn refuse_value(value: &str) -> Result<(), ConditionRefused> {
    if value.is_empty() {
        return Err(ConditionRefused::EmptyValue);
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(ConditionRefused::TooLong {
            found_bytes: value.len(),
        });
    }
    if value.trim() != value || value.chars().any(is_invisible) {
        return Err(ConditionRefused::Invisible {
            found: value.to_owned(),
        });
    }
    if value.contains('*') {
        return Err(ConditionRefused::Pattern {
            found: value.to_owned(),
        });
    }
    Ok(())
}

/// Tells whether a reader of the configuration would not see the character for what it is.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Reads a string, a list of strings or `{ absent = true }`.
struct Reader;

impl<'de> de::Visitor<'de> for Reader {
    type Value = Condition;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a list of strings, or { absent = true }")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Condition, E> {
        Condition::one_of([value]).map_err(E::custom)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Condition, A::Error> {
        let mut values: Vec<String> = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Condition::one_of(values).map_err(de::Error::custom)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Condition, A::Error> {
        let only: Option<(String, bool)> = map.next_entry()?;
        let more: Option<(String, de::IgnoredAny)> = map.next_entry()?;
        match only {
            Some((key, true)) if key == "absent" && more.is_none() => Ok(Condition::Absent),
            Some(_) | None => Err(de::Error::custom("found another table, expected { absent = true }")),
        }
    }
}

#[cfg(test)]
mod tests;
