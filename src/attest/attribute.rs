//! Attributes: verified facts with canonical names.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer};

/// The attributes of one attestation, by canonical name such as `ci.repo_id`; cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Arc<BTreeMap<&'static str, String>>);

/// An attribute's value is too long or holds control characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "attribute `{name}` has a value of {found_bytes} bytes, or control characters; expected at most 255 bytes of text"
)]
pub struct AttributeRefused {
    /// The attribute.
    pub name: &'static str,
    /// How long the value is.
    pub found_bytes: usize,
}

/// LIMITS.md: an attribute value is at most 255 bytes (T-07, T-09).
pub const MAX_VALUE_BYTES: usize = 255;

impl Attributes {
    /// Adds a fact.
    ///
    /// # Errors
    /// Refuses a value over 255 bytes or with control characters; it is never cut or rewritten.
    pub fn insert(&mut self, name: &'static str, value: impl Into<String>) -> Result<(), AttributeRefused> {
        let value = value.into();
        if value.len() > MAX_VALUE_BYTES || value.chars().any(char::is_control) {
            return Err(AttributeRefused {
                name,
                found_bytes: value.len(),
            });
        }
        Arc::make_mut(&mut self.0).insert(name, value);
        Ok(())
    }

    /// Returns a fact's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_255_bytes_and_refuses_256() {
        let mut attributes = Attributes::default();

        assert!(attributes.insert("ci.ref", "a".repeat(255)).is_ok());
        assert!(attributes.insert("ci.ref", "a".repeat(256)).is_err());
    }

    #[test]
    fn refuses_control_characters() {
        assert!(Attributes::default().insert("ci.ref", "a\nb").is_err());
    }
}
