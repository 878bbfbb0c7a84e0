//! Configured names: of attestors, entries, grants and relying parties.
//!
//! One grammar for all, so that a name can stand in a log line, a metric label, an AWS session name and a Cedar id unescaped.

pub mod nearest;

use std::{fmt, marker::PhantomData};

/// A configured name: 1 to 64 characters of `[a-z0-9_-]`, the first a letter or digit.
///
/// `Of` tells what is named, so that an entry's name cannot stand where a grant's is wanted.
pub struct Name<Of> {
    text: String,
    of: PhantomData<fn() -> Of>,
}

/// The text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a name: expected 1 to 64 characters of a-z, 0-9, `-`, `_`, the first a letter or digit")]
pub struct NotAName {
    /// What was found.
    pub found: String,
}

impl<Of> Name<Of> {
    /// Reads a name.
    ///
    /// # Errors
    /// Refuses any other character and any other length.
    pub fn parse(text: &str) -> Result<Self, NotAName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        let first = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if first && text.len() <= MAX_BYTES && text.bytes().all(allowed) {
            Ok(Self {
                text: text.to_owned(),
                of: PhantomData,
            })
        } else {
            Err(NotAName {
                found: text.chars().take(MAX_BYTES).collect(),
            })
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Long enough for people, short enough for every cloud's session name once cut.
const MAX_BYTES: usize = 64;

impl<Of> Clone for Name<Of> {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone(),
            of: PhantomData,
        }
    }
}

impl<Of> PartialEq for Name<Of> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<Of> Eq for Name<Of> {}

impl<Of> PartialOrd for Name<Of> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<Of> Ord for Name<Of> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl<Of> std::hash::Hash for Name<Of> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl<Of> fmt::Display for Name<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<Of> fmt::Debug for Name<Of> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<Of> serde::Serialize for Name<Of> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing;

    #[test]
    fn takes_64_characters_and_refuses_65() {
        assert!(Name::<Thing>::parse(&"a".repeat(64)).is_ok());
        assert!(Name::<Thing>::parse(&"a".repeat(65)).is_err());
    }

    #[test]
    fn refuses_what_would_need_escaping() {
        for text in ["", "-a", "A", "a b", "a/b", "a.b", "ä", "a\n"] {
            assert!(Name::<Thing>::parse(text).is_err(), "{text:?}");
        }
    }
}
