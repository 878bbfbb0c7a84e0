//! Registration entries: which attributes make which SPIFFE ID.
//!
//! An entry must never build an ID from what the workload can choose: a placeholder stands for an immutable attribute or
//! for one that the entry's own conditions pin.

use crate::{
    attest::AttestorName,
    identify::{
        condition::{Condition, Conditions},
        problem::{Problem, Table},
        template::Template,
    },
    name::Name,
    spiffe::{SpiffeId, TrustDomain, refuse_template_value},
};

/// A registration entry.
#[derive(Clone, Debug)]
pub struct Entry {
    position: usize,
    name: EntryName,
    attestor: AttestorName,
    conditions: Conditions,
    template: Template,
}

/// The name of an entry.
pub type EntryName = Name<Entry>;

/// An entry as it is configured.
#[derive(Clone, Debug)]
pub struct EntrySource {
    /// Its position among the `[[entry]]` tables, counted from 0.
    pub position: usize,
    /// Its name.
    pub name: EntryName,
    /// Whose attestations it names.
    pub attestor: AttestorName,
    /// What their attributes must be (`match`).
    pub conditions: Conditions,
    /// The template of the SPIFFE ID's path.
    pub spiffe_id: String,
}

/// What an attestor is known to give.
#[derive(Clone, Copy, Debug)]
pub struct AttestorFacts<'a> {
    /// Every attribute that it may give.
    pub attributes: &'a [&'a str],
    /// Those that whoever runs the workload cannot choose or rename, such as a repository's numeric id.
    pub immutable: &'a [&'a str],
}

impl Entry {
    /// Makes an entry.
    ///
    /// # Errors
    /// Returns all that is wrong with it: `config.attribute_unknown`, `config.entry_unconditional`,
    /// `config.spiffe_id_reserved`, `config.template_invalid`, `config.template_unpinned`, `config.template_value`.
    pub fn new(source: EntrySource, attestor: AttestorFacts<'_>) -> Result<Self, Vec<Problem>> {
        let mut problems: Vec<Problem> = unknown_attributes(&source, attestor.attributes).collect();
        let at_template = || Table::Entry.at(source.position, ["spiffe_id"]);
        let template = match Template::parse(&source.spiffe_id) {
            Ok(template) => template,
            Err(refused) => {
                let expected = "a template such as `/ci/acme/{ci.repo_name}`";
                problems.push(at_template().problem("config.template_invalid", refused.to_string(), expected));
                return Err(problems);
            }
        };
        problems.extend(placeholder_problems(&source, &template, attestor));
        if template.begins_with(SHAPED_SUBJECTS) {
            let expected = "a path outside `/rp/`, which is kept for shaped subjects";
            problems.push(at_template().problem("config.spiffe_id_reserved", quoted(&source.spiffe_id), expected));
        }
        if template.fixed().is_some() && !has_literal(&source.conditions) {
            problems.push(Table::Entry.at(source.position, ["match"]).problem(
                "config.entry_unconditional",
                "no value that an attribute must have",
                "at least one, or a placeholder in `spiffe_id`: else everything that the attestor accepts is this workload",
            ));
        }
        if problems.is_empty() {
            Ok(Self {
                position: source.position,
                name: source.name,
                attestor: source.attestor,
                conditions: source.conditions,
                template,
            })
        } else {
            Err(problems)
        }
    }

    /// Returns its position in the configuration.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Returns its name.
    pub fn name(&self) -> &EntryName {
        &self.name
    }

    /// Returns whose attestations it names.
    pub fn attestor(&self) -> &AttestorName {
        &self.attestor
    }

    /// Returns what their attributes must be.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Returns the template of the SPIFFE ID's path.
    pub fn template(&self) -> &Template {
        &self.template
    }
}

/// The first segment of the paths that only relying parties' shaped subjects use (ARCHITECTURE section 5).
pub(crate) const SHAPED_SUBJECTS: &str = "rp";

/// Makes the SPIFFE ID of a filled template.
///
/// # Errors
/// Says why the path is none that a workload may have.
pub(crate) fn workload_id(trust_domain: &TrustDomain, path: &str) -> Result<SpiffeId, String> {
    let id = SpiffeId::generate(trust_domain, path).map_err(|refused| refused.to_string())?;
    if path.split('/').nth(1) == Some(SHAPED_SUBJECTS) {
        return Err(format!("found `{path}`, expected a path outside `/rp/`"));
    }
    Ok(id)
}

fn unknown_attributes<'a>(source: &'a EntrySource, known: &'a [&'a str]) -> impl Iterator<Item = Problem> + 'a {
    source
        .conditions
        .iter()
        .filter(|(attribute, _)| !known.contains(attribute))
        .map(|(attribute, _)| {
            Table::Entry.at(source.position, ["match", attribute]).problem(
                "config.attribute_unknown",
                quoted(attribute),
                format!("an attribute that attestor `{}` gives", source.attestor),
            )
        })
}

fn placeholder_problems<'a>(
    source: &'a EntrySource,
    template: &'a Template,
    attestor: AttestorFacts<'a>,
) -> impl Iterator<Item = Problem> + 'a {
    template.placeholders().filter_map(move |attribute| {
        let at = Table::Entry.at(source.position, ["spiffe_id"]);
        match source.conditions.get(attribute) {
            Some(Condition::OneOf(literals)) => {
                let unfit = literals.iter().find(|value| refuse_template_value(value).is_err())?;
                Some(at.problem(
                    "config.template_value",
                    format!("`{unfit}` for `{{{attribute}}}`"),
                    "values of letters, digits, `.`, `-`, `_` only, because they become a segment of the SPIFFE ID",
                ))
            }
            Some(Condition::Absent) | None if !attestor.attributes.contains(&attribute) => Some(at.problem(
                "config.attribute_unknown",
                quoted(attribute),
                format!("an attribute that attestor `{}` gives", source.attestor),
            )),
            None if attestor.immutable.contains(&attribute) => None,
            Some(Condition::Absent) | None => Some(at.problem(
                "config.template_unpinned",
                format!("`{{{attribute}}}`, which the workload's owner may change"),
                "an immutable attribute, or one that this entry's `match` pins",
            )),
        }
    })
}

fn has_literal(conditions: &Conditions) -> bool {
    conditions
        .iter()
        .any(|(_, condition)| matches!(condition, Condition::OneOf(_)))
}

fn quoted(text: &str) -> String {
    format!("`{text}`")
}

#[cfg(test)]
mod tests;
