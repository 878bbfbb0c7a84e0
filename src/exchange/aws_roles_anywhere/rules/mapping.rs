//! Which fields of a certificate become session tags.
//!
//! Source: clouds.md 2.2 [D RA-guide; botocore]. Never makes a tag that STS would not take: such a value is left out.

use super::{
    Refusal,
    certificate::{EndEntity, Name},
    limits,
};
use crate::exchange::aws::role_session::{TAG_VALUE, is_tag_char};

/// A part of a certificate that can be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `x509SAN`.
    AlternativeName,
    /// `x509Issuer`.
    Issuer,
    /// `x509Subject`.
    Subject,
}

impl Field {
    /// All fields, in the order in which the cloud lists them `[M]`.
    pub const ALL: [Self; 3] = [Self::Issuer, Self::AlternativeName, Self::Subject];

    /// Returns the field's name on the wire and at the beginning of its tags.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlternativeName => "x509SAN",
            Self::Issuer => "x509Issuer",
            Self::Subject => "x509Subject",
        }
    }

    /// Reads a field's name.
    ///
    /// # Errors
    /// `ValidationException`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        Self::ALL.into_iter().find(|field| field.name() == text).ok_or_else(|| {
            Refusal::constraint(
                &format!("Value '{text}' at 'certificateField'"),
                "Member must satisfy enum value set: [x509Issuer, x509SAN, x509Subject]",
            )
        })
    }
}

/// A profile's attribute mappings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mappings(Vec<(Field, Vec<String>)>);

impl Default for Mappings {
    /// As a new profile has them.
    fn default() -> Self {
        let rules = |specifiers: &[&str]| specifiers.iter().map(|one| (*one).to_owned()).collect();
        Self(vec![
            (Field::Issuer, rules(&["*"])),
            (Field::AlternativeName, rules(&["DNS", "URI", "Name/*"])),
            (Field::Subject, rules(&["*"])),
        ])
    }
}

impl Mappings {
    /// Returns the rules of each mapped field.
    pub fn rules(&self) -> impl Iterator<Item = (Field, &[String])> {
        self.0.iter().map(|(field, specifiers)| (*field, specifiers.as_slice()))
    }

    /// Replaces the rules of a field, as PutAttributeMapping does.
    ///
    /// # Errors
    /// `ValidationException` for a specifier of more than 60 characters.
    pub fn put(&mut self, field: Field, specifiers: Vec<String>) -> Result<(), Refusal> {
        for specifier in &specifiers {
            let found = specifier.chars().count();
            limits::length("mappingRules.member.specifier", found, &limits::SPECIFIER)?;
        }
        self.0.retain(|(other, _)| *other != field);
        self.0.push((field, specifiers));
        self.0.sort_by_key(|(field, _)| *field);
        Ok(())
    }

    /// Removes rules of a field, all of them where none is named, as DeleteAttributeMapping does.
    pub fn delete(&mut self, field: Field, specifiers: &[String]) {
        for (found, rules) in &mut self.0 {
            if *found == field {
                rules.retain(|rule| !specifiers.is_empty() && !specifiers.contains(rule));
            }
        }
        self.0.retain(|(_, rules)| !rules.is_empty());
    }

    /// Returns the session tags of a certificate, sorted by key.
    pub fn tags(&self, certificate: &EndEntity) -> Vec<(String, String)> {
        let mut tags = Vec::new();
        for (field, value) in fields(certificate) {
            let (kind, specifier) = field;
            if self.maps(kind, &specifier) && is_tag_value(&value) {
                tags.push((format!("{}/{specifier}", kind.name()), value));
            }
        }
        tags.sort_unstable();
        tags
    }

    fn maps(&self, field: Field, specifier: &str) -> bool {
        let mapped = self.0.iter().filter(|(found, _)| *found == field);
        mapped.flat_map(|(_, rules)| rules).any(|rule| {
            let below = |all: &str| specifier.starts_with(all) && all.ends_with('/');
            rule == specifier || rule.strip_suffix('*').is_some_and(|all| all.is_empty() || below(all))
        })
    }
}

/// Returns all fields with their specifiers; values of one attribute that stands several times are joined by `/`.
fn fields(certificate: &EndEntity) -> Vec<((Field, String), String)> {
    let mut fields = Vec::new();
    let mut named = |field: Field, before: &str, name: &Name| {
        for (attribute, value) in &name.0 {
            let key = (field, format!("{before}{attribute}"));
            match fields.iter_mut().find(|(found, _)| *found == key) {
                Some((_, joined)) => *joined = format!("{joined}/{value}"),
                None => fields.push((key, value.clone())),
            }
        }
    };
    named(Field::Issuer, "", &certificate.issuer);
    named(Field::Subject, "", &certificate.subject);
    if let Some(directory) = &certificate.alternative.directory {
        named(Field::AlternativeName, "Name/", directory);
    }
    let alternative = &certificate.alternative;
    for (specifier, value) in [("DNS", &alternative.dns), ("URI", &alternative.uri)] {
        if let Some(value) = value {
            fields.push(((Field::AlternativeName, specifier.to_owned()), value.clone()));
        }
    }
    fields
}

/// A value that does not fit a tag is ignored [D RA-guide]; that length counts as well is `[M]`.
fn is_tag_value(value: &str) -> bool {
    TAG_VALUE.contains(&value.chars().count()) && value.chars().all(is_tag_char)
}
