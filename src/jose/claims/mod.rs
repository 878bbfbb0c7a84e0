//! Claims with their types checked.
//!
//! A claim of the wrong type is an error, it must never pass for an absent one: that reading of `nbf: "…"` was a bypass
//! elsewhere (T-49).

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

use super::{
    NumericDate, NumericDateRefused, excerpt,
    strict_json::{self, JsonRefused, Limits, type_name},
};

/// The claims object of a token; cheap to clone.
#[derive(Clone, PartialEq)]
pub struct Claims(Arc<Map<String, Value>>);

impl Claims {
    /// Reads a JSON object strictly.
    ///
    /// # Errors
    /// Refuses what [`strict_json::parse`] refuses, and everything but an object.
    pub fn parse(bytes: &[u8]) -> Result<Self, ClaimsRefused> {
        let value = strict_json::parse(bytes, &Limits::default()).map_err(ClaimsRefused::Json)?;
        match value {
            Value::Object(members) => Ok(Self(Arc::new(members))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(ClaimsRefused::NotAnObject {
                    found: type_name(&value),
                })
            }
        }
    }

    /// Returns the whole object.
    pub fn root(&self) -> Object<'_> {
        Object(&self.0)
    }

    /// Returns a claim as it stands.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns all claims.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns a text claim, `None` where it is absent.
    ///
    /// # Errors
    /// Refuses every other type.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, ClaimRefused> {
        self.root().text(name)
    }

    /// Returns a text claim that must be there and hold something.
    ///
    /// # Errors
    /// Refuses absence, the empty text and every other type.
    pub fn required_text(&self, name: &'static str) -> Result<&str, ClaimRefused> {
        self.root().required_text(name)
    }

    /// Returns a boolean claim, `None` where it is absent.
    ///
    /// # Errors
    /// Refuses every other type.
    pub fn boolean(&self, name: &'static str) -> Result<Option<bool>, ClaimRefused> {
        self.root().boolean(name)
    }

    /// Returns a claim that is a whole number, `None` where it is absent.
    ///
    /// # Errors
    /// Refuses every other type, negative numbers and fractions.
    pub fn whole_number(&self, name: &'static str) -> Result<Option<u64>, ClaimRefused> {
        self.root().whole_number(name)
    }

    /// Returns a date, `None` where it is absent.
    ///
    /// # Errors
    /// Refuses whatever [`NumericDate::from_value`] refuses.
    pub fn numeric_date(&self, name: &'static str) -> Result<Option<NumericDate>, ClaimRefused> {
        self.root().numeric_date(name)
    }

    /// Returns a date that must be there.
    ///
    /// # Errors
    /// Refuses absence, and whatever [`NumericDate::from_value`] refuses.
    pub fn required_numeric_date(&self, name: &'static str) -> Result<NumericDate, ClaimRefused> {
        self.numeric_date(name)?.ok_or(ClaimRefused::Missing { name })
    }

    /// Returns an object claim, `None` where it is absent.
    ///
    /// # Errors
    /// Refuses every other type.
    pub fn object(&self, name: &'static str) -> Result<Option<Object<'_>>, ClaimRefused> {
        self.root().object(name)
    }

    /// Returns the audience.
    ///
    /// # Errors
    /// Refuses absence, an empty list, an empty text, and everything but a text or a list of texts.
    pub fn audience(&self) -> Result<Audience<'_>, ClaimRefused> {
        let name = "aud";
        let value = self.get(name).ok_or(ClaimRefused::Missing { name })?;
        let values = match value {
            Value::String(text) => vec![text.as_str()],
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().ok_or_else(|| wrong_type(name, item, "a list of strings")))
                .collect::<Result<_, _>>()?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                return Err(wrong_type(name, value, "a string or a list of strings"));
            }
        };
        if values.is_empty() || values.iter().any(|value| value.is_empty()) {
            return Err(ClaimRefused::Empty { name });
        }
        Ok(Audience(values))
    }
}

impl fmt::Debug for Claims {
    /// Shows the names only: claims hold e-mail addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys().map(|name| excerpt(name))).finish()
    }
}

/// One JSON object within claims.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Object<'a>(&'a Map<String, Value>);

impl<'a> Object<'a> {
    /// Returns a member as it stands.
    pub fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    /// Returns all members.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns a text member, `None` where it is absent.
    ///
    /// # Errors
    /// Refuses every other type.
    pub fn text(self, name: &'static str) -> Result<Option<&'a str>, ClaimRefused> {
        self.typed(name, "a string", Value::as_str)
    }

    /// Returns a text member that must be there and hold something.
    ///
    /// # Errors
    /// Refuses absence, the empty text and every other type.
    pub fn required_text(self, name: &'static str) -> Result<&'a str, ClaimRefused> {
        match self.text(name)? {
            None => Err(ClaimRefused::Missing { name }),
            Some("") => Err(ClaimRefused::Empty { name }),
            Some(text) => Ok(text),
        }
    }

    /// Returns a boolean member, `None` where it is absent.
    ///
    /// # Errors
    /// Refuses every other type.
    pub fn boolean(self, name: &'static str) -> Result<Option<bool>, ClaimRefused> {
        self.typed(name, "a boolean", Value::as_bool)
    }

    /// Returns a member that is a whole number, `None` where it is absent.
    ///
    /// # Errors
    /// Refuses every other type, negative numbers and fractions.
    pub fn whole_number(self, name: &'static str) -> Result<Option<u64>, ClaimRefused> {
        self.typed(name, "a whole number", Value::as_u64)
    }

    /// Returns a date, `None` where it is absent.
    ///
    /// # Errors
    /// Refuses whatever [`NumericDate::from_value`] refuses.
    pub fn numeric_date(self, name: &'static str) -> Result<Option<NumericDate>, ClaimRefused> {
        self.get(name)
            .map(NumericDate::from_value)
            .transpose()
            .map_err(|source| ClaimRefused::Date { name, source })
    }

    /// Returns an object member, `None` where it is absent.
    ///
    /// # Errors
    /// Refuses every other type.
    pub fn object(self, name: &'static str) -> Result<Option<Self>, ClaimRefused> {
        self.typed(name, "an object", |value| value.as_object().map(Self))
    }

    fn typed<T>(
        self,
        name: &'static str,
        expected: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ClaimRefused> {
        self.get(name)
            .map(|value| read(value).ok_or_else(|| wrong_type(name, value, expected)))
            .transpose()
    }
}

/// The audience of a token: at least one value, none of them empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience<'a>(Vec<&'a str>);

impl<'a> Audience<'a> {
    /// Tells whether `value` is one of the values, byte for byte.
    pub fn contains(&self, value: &str) -> bool {
        self.0.contains(&value)
    }

    /// Returns the value if it is the only one.
    pub fn sole(&self) -> Option<&'a str> {
        match self.0.as_slice() {
            [value] => Some(value),
            _several => None,
        }
    }

    /// Returns all values in the token's order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().copied()
    }
}

/// Why a claims object was refused as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsRefused {
    /// The bytes are not strict JSON.
    #[error("claims are not strict JSON")]
    Json(#[source] JsonRefused),
    /// The document is not an object.
    #[error("found {found}, expected an object of claims")]
    NotAnObject {
        /// The JSON type.
        found: &'static str,
    },
}

/// Why one claim was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimRefused {
    /// A date is of the wrong type or out of range.
    #[error("claim `{name}` is not a date")]
    Date {
        /// The claim.
        name: &'static str,
        /// What was found and what was expected.
        source: NumericDateRefused,
    },
    /// The claim holds nothing.
    #[error("claim `{name}` is empty, expected a value")]
    Empty {
        /// The claim.
        name: &'static str,
    },
    /// The claim is absent.
    #[error("claim `{name}` is missing, expected it")]
    Missing {
        /// The claim.
        name: &'static str,
    },
    /// The claim has another type.
    #[error("claim `{name}` is {found}, expected {expected}")]
    WrongType {
        /// The claim.
        name: &'static str,
        /// The JSON type that was found.
        found: &'static str,
        /// The JSON type that was expected.
        expected: &'static str,
    },
}

fn wrong_type(name: &'static str, value: &Value, expected: &'static str) -> ClaimRefused {
    let found = type_name(value);
    ClaimRefused::WrongType { name, found, expected }
}

#[cfg(test)]
mod tests;
