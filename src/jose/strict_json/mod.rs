//! JSON from strangers: every ambiguity that two parsers could read differently is refused.
//!
//! It must never recurse past its depth limit, and never keep the last of two members of one name.

use std::{
    cell::{Cell, RefCell},
    fmt,
    str::{self, Utf8Error},
};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, map::Entry};

use super::excerpt;

/// How much structure a document may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many arrays and objects may enclose a value.
    pub depth: usize,
    /// How many strings there may be, member names included.
    pub strings: usize,
}

impl Default for Limits {
    /// Returns the limits for everything that a stranger sends (TM-45).
    fn default() -> Self {
        Self {
            depth: 16,
            strings: 2_000,
        }
    }
}

/// Why a document was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonRefused {
    /// Arrays and objects are nested deeper than the limit.
    #[error("nested deeper than the {limit} levels expected at most")]
    Depth {
        /// The deepest level that is accepted.
        limit: usize,
    },
    /// One object has two members of one name; two readers could pick different ones.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc7519#section-4>
    #[error("found member `{name}` twice in one object, expected it once")]
    DuplicateMember {
        /// The name, shortened and escaped.
        name: String,
    },
    /// There are more strings than the limit.
    #[error("found more than the {limit} strings expected at most")]
    Strings {
        /// The largest number that is accepted.
        limit: usize,
    },
    /// The text is not one JSON document.
    #[error("found text that is not one JSON document")]
    Syntax(#[source] serde_json::Error),
    /// The bytes are not UTF-8.
    #[error("found bytes that are not UTF-8")]
    Utf8(#[source] Utf8Error),
}

/// Reads exactly one JSON document from `bytes`, in time linear in their number.
///
/// # Errors
/// Refuses duplicate member names at any depth, excess of `limits`, trailing data, invalid UTF-8 and invalid JSON.
pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Value, JsonRefused> {
    let text = str::from_utf8(bytes).map_err(JsonRefused::Utf8)?;
    let tally = Tally {
        limits: *limits,
        strings: Cell::new(0),
        refused: RefCell::new(None),
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Element {
        tally: &tally,
        depth: 0,
    }
    .deserialize(&mut deserializer);
    let read = read.and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|source| tally.refused.take().unwrap_or(JsonRefused::Syntax(source)))
}

/// Reads exactly one JSON object from `bytes`; `None` where the document is valid but something else.
///
/// # Errors
/// As [`parse`].
pub fn parse_object(bytes: &[u8], limits: &Limits) -> Result<Option<Map<String, Value>>, JsonRefused> {
    match parse(bytes, limits)? {
        Value::Object(members) => Ok(Some(members)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Ok(None),
    }
}

/// Names the JSON type of `value`, for an error's text.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// About as many claims as a CI job's token has: room that need not grow step by step.
const USUAL_MEMBERS: usize = 32;

/// What one document has used up, and the first reason to refuse it.
struct Tally {
    limits: Limits,
    strings: Cell<usize>,
    refused: RefCell<Option<JsonRefused>>,
}

impl Tally {
    /// Ends the parse; serde carries text only, so the reason itself waits in the tally.
    fn refuse<E: serde::de::Error>(&self, reason: JsonRefused) -> E {
        *self.refused.borrow_mut() = Some(reason);
        E::custom("refused")
    }

    fn count_string<E: serde::de::Error>(&self) -> Result<(), E> {
        let limit = self.limits.strings;
        if self.strings.get() >= limit {
            return Err(self.refuse(JsonRefused::Strings { limit }));
        }
        self.strings.set(self.strings.get() + 1);
        Ok(())
    }
}

/// One value at a known depth.
#[derive(Clone, Copy)]
struct Element<'t> {
    tally: &'t Tally,
    depth: usize,
}

impl Element<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let limit = self.tally.limits.depth;
        if self.depth >= limit {
            return Err(self.tally.refuse(JsonRefused::Depth { limit }));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.tally.count_string()?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        self.tally.count_string()?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::with_capacity(if self.depth == 0 { USUAL_MEMBERS } else { 0 });
        while let Some(name) = members.next_key::<String>()? {
            self.tally.count_string()?;
            match object.entry(name) {
                Entry::Occupied(known) => {
                    let name = excerpt(known.key());
                    return Err(self.tally.refuse(JsonRefused::DuplicateMember { name }));
                }
                Entry::Vacant(place) => {
                    place.insert(members.next_value_seed(inner)?);
                }
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests;
