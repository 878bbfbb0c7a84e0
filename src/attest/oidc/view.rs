//! What a token says under each name: its claims, the parts of its subject (`sub:x`) and of its issuer (`iss:x`).
//!
//! It must never give a part of a text that was not read by a pattern of the preset, nor a claim for a part.

use std::collections::BTreeMap;

use serde_json::Value;

use super::preset::Subject;
use crate::jose::Claims;

/// A verified token's claims, and the parts of its subject and issuer.
#[derive(Debug)]
pub(super) struct View<'c> {
    claims: &'c Claims,
    issuer: &'c NamedParts,
    subject: NamedParts,
}

/// Parts of a text by their names.
pub(super) type NamedParts = BTreeMap<String, Value>;

impl<'c> View<'c> {
    /// Reads the subject, if the preset says how.
    pub(super) fn new(claims: &'c Claims, issuer: &'c NamedParts, rule: Option<&Subject>, subject: &str) -> Self {
        let patterns = rule.map(|rule| rule.patterns.as_slice()).unwrap_or_default();
        let parts = patterns.iter().find_map(|pattern| pattern.read(subject));
        Self {
            claims,
            issuer,
            subject: parts.map(named).unwrap_or_default(),
        }
    }

    /// Returns what stands under `name`.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        if let Some(part) = name.strip_prefix(SUBJECT) {
            self.subject.get(part)
        } else if let Some(part) = name.strip_prefix(ISSUER) {
            self.issuer.get(part)
        } else {
            self.claims.get(name)
        }
    }

    /// Tells whether a pattern read the subject.
    pub(super) fn subject_was_read(&self) -> bool {
        !self.subject.is_empty()
    }
}

/// Owns the parts that a pattern read.
pub(super) fn named(parts: BTreeMap<&str, &str>) -> NamedParts {
    parts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect()
}

/// How the names of a subject's parts begin.
pub(super) const SUBJECT: &str = "sub:";

/// How the names of an issuer's parts begin.
pub(super) const ISSUER: &str = "iss:";
