//! What verified claims say of the job: attributes, owner, event, and whether the subject agrees.
//!
//! It must never cut, repair or guess a value, and never take a claim of another type for an absent one (T-49).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    preset::{After, Event, Kind, Sign, Subject, is_digits, is_uuid},
    view::View,
    vocabulary::VENDOR,
};
use crate::{
    attest::{AttestRefusal, Attributes},
    jose::{excerpt, strict_json::type_name},
};

/// What one claim becomes.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub(super) claim: String,
    pub(super) attribute: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) one_of: Vec<String>,
    pub(super) values: BTreeMap<String, String>,
}

/// Which claims tell the owner, and how they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnerRule {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) name: Option<String>,
}

/// An owner whose workloads are taken.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AllowedOwner {
    /// For people; decides only where there is no id.
    pub(super) name: String,
    /// The immutable id.
    pub(super) id: Option<String>,
}

/// Returns the attributes; a claim that is absent gives none.
pub(super) fn attributes(
    view: &View<'_>,
    mappings: &[Mapping],
    vendor: Option<&str>,
) -> Result<Attributes, AttestRefusal> {
    let mut attributes = Attributes::default();
    if let Some(vendor) = vendor {
        attributes.insert(VENDOR, vendor)?;
    }
    for mapping in mappings {
        if let Some(value) = mapping.value(view)? {
            attributes.insert(mapping.attribute, value)?;
        }
    }
    Ok(attributes)
}

/// Refuses workloads of other owners: an issuer such as GitHub's serves everybody (T-63, T-64).
pub(super) fn refuse_other_owners(
    view: &View<'_>,
    owner: &OwnerRule,
    allowed: &[AllowedOwner],
) -> Result<(), AttestRefusal> {
    let id = value(view, &owner.id, owner.kind)?.unwrap_or_default();
    let name = owner.name.as_deref().map(|name| text(view, name)).transpose()?;
    let name = name.flatten().unwrap_or_default();
    let same = |one: &AllowedOwner| match &one.id {
        Some(allowed) => *allowed == id,
        None => one.name == name,
    };
    if !allowed.iter().any(same) {
        return Err(AttestRefusal::OwnerNotAllowed {
            found: format!("`{}` (id `{}`)", excerpt(name), excerpt(&id)),
        });
    }
    Ok(())
}

/// Refuses what anybody can start, unless the configuration names it (T-66).
pub(super) fn refuse_events(
    view: &View<'_>,
    subject: &str,
    rule: &Event,
    named: &[String],
) -> Result<(), AttestRefusal> {
    let is_named = |event: &str| named.iter().any(|named| named == event);
    let event = match &rule.claim {
        Some(claim) => {
            let event = text(view, claim)?.ok_or_else(|| missing(claim, "the event that started the job"))?;
            if !is_named(event) && !rule.admitted.iter().any(|admitted| admitted == event) {
                return Err(AttestRefusal::EventForbidden { found: excerpt(event) });
            }
            Some(event)
        }
        None => None,
    };
    for sign in &rule.signs {
        if shows(sign, view, subject)? && !is_named(&sign.event) && !event.is_some_and(is_named) {
            let found = event.map_or_else(|| sign.event.clone(), excerpt);
            return Err(AttestRefusal::EventForbidden {
                found: format!("{found} (claim `{}` says {})", sign.claim, sign.event),
            });
        }
    }
    Ok(())
}

fn shows(sign: &Sign, view: &View<'_>, subject: &str) -> Result<bool, AttestRefusal> {
    if let Some(expected) = sign.is {
        return match view.get(&sign.claim) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(found)) => Ok(*found == expected),
            Some(other) => Err(wrong_type(&sign.claim, other, "a boolean")),
        };
    }
    let found = match sign.claim.as_str() {
        "sub" => subject,
        claim => text(view, claim)?.unwrap_or_default(),
    };
    let one =
        |text: &Option<String>, shows: fn(&str, &str) -> bool| text.as_deref().is_some_and(|text| shows(found, text));
    Ok(one(&sign.begins, |found, text| found.starts_with(text))
        || one(&sign.ends, |found, text| found.ends_with(text))
        || one(&sign.holds, |found, text| found.contains(text)))
}

/// Refuses a subject in the vendor's own form whose names or ids are not those of the claims, or which nothing reads
/// (T-65).
pub(super) fn refuse_other_subject(view: &View<'_>, subject: &str, rule: &Subject) -> Result<(), AttestRefusal> {
    if !subject.starts_with(&rule.prefix) {
        return Ok(());
    }
    if !rule.patterns.is_empty() && !view.subject_was_read() {
        return Err(other_subject(subject, "a subject of the vendor's grammar".to_owned()));
    }
    let expected: Vec<String> = rule
        .forms
        .iter()
        .filter_map(|form| filled(form, view, rule.escaped))
        .collect();
    let agrees = expected.iter().any(|form| {
        subject
            .strip_prefix(form.as_str())
            .is_some_and(|rest| match rule.after {
                After::Anything => true,
                After::Colon => rest.is_empty() || rest.starts_with(':'),
                After::Nothing => rest.is_empty(),
            })
    });
    if agrees || rule.forms.is_empty() {
        return Ok(());
    }
    let expected: Vec<String> = expected.iter().map(|form| format!("`{}`", excerpt(form))).collect();
    let expected = format!(
        "a subject that begins with {}, as the other claims say",
        expected.join(" or ")
    );
    Err(other_subject(subject, expected))
}

fn other_subject(subject: &str, expected: String) -> AttestRefusal {
    AttestRefusal::Claim {
        claim: "sub".to_owned(),
        found: format!("`{}`", excerpt(subject)),
        expected,
    }
}

impl Mapping {
    fn value(&self, view: &View<'_>) -> Result<Option<String>, AttestRefusal> {
        match value(view, &self.claim, self.kind)? {
            None if self.required => Err(missing(&self.claim, self.kind.expected())),
            Some(value) if !self.one_of.is_empty() && !self.one_of.contains(&value) => {
                Err(self.other_value(&value, self.one_of.iter()))
            }
            Some(value) if !self.values.is_empty() => match self.values.get(&value) {
                Some(ours) => Ok(Some(ours.clone())),
                None => Err(self.other_value(&value, self.values.keys())),
            },
            found @ (None | Some(_)) => Ok(found),
        }
    }

    fn other_value<'s>(&self, found: &str, expected: impl Iterator<Item = &'s String>) -> AttestRefusal {
        let expected: Vec<&str> = expected.map(String::as_str).collect();
        AttestRefusal::Claim {
            claim: self.claim.clone(),
            found: format!("`{}`", excerpt(found)),
            expected: format!("one of: {}", expected.join(", ")),
        }
    }
}

/// Returns a claim of one kind; `None` where it is absent, null or empty.
fn value(view: &View<'_>, claim: &str, kind: Kind) -> Result<Option<String>, AttestRefusal> {
    let found = match view.get(claim) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(found) => found,
    };
    if let (Kind::Sole, Value::Array(all)) = (kind, found) {
        return sole(claim, all);
    }
    let read = read(found, kind);
    read.map(Some).ok_or_else(|| AttestRefusal::Claim {
        claim: claim.to_owned(),
        found: shown(found),
        expected: kind.expected().to_owned(),
    })
}

/// Returns the only string of an array: which of several is meant cannot be told.
fn sole(claim: &str, all: &[Value]) -> Result<Option<String>, AttestRefusal> {
    match all {
        [Value::String(only)] if !only.is_empty() => Ok(Some(only.clone())),
        all => match all.iter().find(|one| !one.is_string()) {
            None => Ok(None),
            Some(other) => Err(wrong_type(claim, other, "an array of strings")),
        },
    }
}

/// Returns a string claim; `None` where it is absent or empty.
fn text<'v>(view: &'v View<'_>, name: &str) -> Result<Option<&'v str>, AttestRefusal> {
    match view.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(other) => Err(wrong_type(name, other, "a string")),
    }
}

fn wrong_type(claim: &str, found: &Value, expected: &str) -> AttestRefusal {
    AttestRefusal::Claim {
        claim: claim.to_owned(),
        found: type_name(found).to_owned(),
        expected: expected.to_owned(),
    }
}

/// Returns the refusal of a claim that is not there.
pub(super) fn missing(claim: &str, expected: &str) -> AttestRefusal {
    AttestRefusal::Claim {
        claim: claim.to_owned(),
        found: "missing".to_owned(),
        expected: expected.to_owned(),
    }
}

fn read(value: &Value, kind: Kind) -> Option<String> {
    match value {
        Value::Bool(flag) => matches!(kind, Kind::Flag | Kind::Scalar).then(|| flag.to_string()),
        Value::Number(number) => match kind {
            Kind::Number | Kind::Scalar => number.as_u64().map(|number| number.to_string()),
            Kind::BracedUuid | Kind::Digits | Kind::Flag | Kind::Sole | Kind::Text | Kind::Uuid => None,
        },
        Value::String(text) => read_text(text, kind).map(str::to_owned),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn read_text(text: &str, kind: Kind) -> Option<&str> {
    match kind {
        Kind::BracedUuid => {
            let inner = text.strip_prefix('{')?.strip_suffix('}')?;
            is_uuid(inner).then_some(inner)
        }
        Kind::Digits => is_digits(text).then_some(text),
        Kind::Flag => (text == "true" || text == "false").then_some(text),
        Kind::Number | Kind::Sole => None,
        Kind::Scalar | Kind::Text => Some(text),
        Kind::Uuid => is_uuid(text).then_some(text),
    }
}

fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| type_name(value).to_owned(), |text| format!("`{}`", excerpt(text)))
}

/// Fills `{claim}` and `{claim/1}` (what follows the claim's first `/`); `None` where a claim is absent.
fn filled(form: &str, view: &View<'_>, escaped: bool) -> Option<String> {
    let mut out = String::new();
    let mut rest = form;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        let value = match name.strip_suffix("/1") {
            Some(name) => view.get(name)?.as_str()?.split_once('/')?.1,
            None => view.get(name)?.as_str()?,
        };
        out.push_str(before);
        if escaped {
            out.push_str(&value.replace(':', "%3A"));
        } else {
            out.push_str(value);
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}
