//! What verified claims say of the job: attributes, owner, event, and whether the subject agrees.
//!
//! It must never cut, repair or guess a value, and never take a claim of another type for an absent one (T-49).

use serde_json::Value;

use super::{
    preset::{Event, Kind, Owner, Subject},
    vocabulary::VENDOR,
};
use crate::{
    attest::{AttestRefusal, Attributes},
    jose::{Claims, excerpt, strict_json::type_name},
};

/// What one claim becomes.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub(super) claim: String,
    pub(super) attribute: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) one_of: Vec<String>,
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
    claims: &Claims,
    mappings: &[Mapping],
    vendor: Option<&str>,
) -> Result<Attributes, AttestRefusal> {
    let mut attributes = Attributes::default();
    if let Some(vendor) = vendor {
        attributes.insert(VENDOR, vendor)?;
    }
    for mapping in mappings {
        if let Some(value) = mapping.value(claims)? {
            attributes.insert(mapping.attribute, value)?;
        }
    }
    Ok(attributes)
}

/// Refuses workloads of other owners: an issuer such as GitHub's serves everybody (T-63, T-64).
pub(super) fn refuse_other_owners(
    claims: &Claims,
    owner: &Owner,
    allowed: &[AllowedOwner],
) -> Result<(), AttestRefusal> {
    let id = text(claims, &owner.id)?.unwrap_or_default();
    let name = text(claims, &owner.name)?.unwrap_or_default();
    let same = |one: &AllowedOwner| match &one.id {
        Some(allowed) => allowed == id,
        None => one.name == name,
    };
    if !allowed.iter().any(same) {
        return Err(AttestRefusal::OwnerNotAllowed {
            found: format!("`{}` (id `{}`)", excerpt(name), excerpt(id)),
        });
    }
    Ok(())
}

/// Refuses what anybody can start, unless the configuration names it (T-66).
pub(super) fn refuse_events(
    claims: &Claims,
    subject: &str,
    rule: &Event,
    named: &[String],
) -> Result<(), AttestRefusal> {
    let event = text(claims, &rule.claim)?.ok_or_else(|| missing(&rule.claim, "the event that started the job"))?;
    if named.iter().any(|named| named == event) {
        return Ok(());
    }
    if !rule.admitted.iter().any(|admitted| admitted == event) {
        return Err(AttestRefusal::EventForbidden { found: excerpt(event) });
    }
    match &rule.refused_subject_ending {
        Some(ending) if subject.ends_with(ending) => Err(AttestRefusal::EventForbidden {
            found: format!("{} (subject ends in {ending})", excerpt(event)),
        }),
        Some(_) | None => Ok(()),
    }
}

/// Refuses a subject in the vendor's own form whose names or ids are not those of the claims (T-65).
pub(super) fn refuse_other_subject(claims: &Claims, subject: &str, rule: &Subject) -> Result<(), AttestRefusal> {
    if !subject.starts_with(&rule.prefix) {
        return Ok(());
    }
    let expected: Vec<String> = rule.forms.iter().filter_map(|form| filled(form, claims)).collect();
    let agrees = expected.iter().any(|form| {
        subject
            .strip_prefix(form.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    });
    if agrees {
        return Ok(());
    }
    let expected: Vec<String> = expected.iter().map(|form| format!("`{}`", excerpt(form))).collect();
    Err(AttestRefusal::Claim {
        claim: "sub".to_owned(),
        found: format!("`{}`", excerpt(subject)),
        expected: format!(
            "a subject that begins with {}, as the other claims say",
            expected.join(" or ")
        ),
    })
}

impl Mapping {
    fn value(&self, claims: &Claims) -> Result<Option<String>, AttestRefusal> {
        let expected = match self.kind {
            Kind::Digits => "a string of 1 to 20 digits",
            Kind::Flag => "`true` or `false`",
            Kind::Number => "a whole number",
            Kind::Scalar => "a string, a whole number or a boolean",
            Kind::Text => "a string",
        };
        let value = match claims.get(&self.claim) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.is_empty() => None,
            Some(value) => {
                let read = read(value, self.kind);
                Some(read.ok_or_else(|| self.refused(shown(value), expected.to_owned()))?)
            }
        };
        match value {
            None if self.required => Err(missing(&self.claim, expected)),
            Some(value) if !self.one_of.is_empty() && !self.one_of.contains(&value) => Err(self.refused(
                format!("`{}`", excerpt(&value)),
                format!("one of: {}", self.one_of.join(", ")),
            )),
            None | Some(_) => Ok(value),
        }
    }

    fn refused(&self, found: String, expected: String) -> AttestRefusal {
        AttestRefusal::Claim {
            claim: self.claim.clone(),
            found,
            expected,
        }
    }
}

/// Returns a string claim; `None` where it is absent or empty.
pub(super) fn text<'c>(claims: &'c Claims, name: &str) -> Result<Option<&'c str>, AttestRefusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(other) => Err(AttestRefusal::Claim {
            claim: name.to_owned(),
            found: type_name(other).to_owned(),
            expected: "a string".to_owned(),
        }),
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
    match (kind, value) {
        (Kind::Digits, Value::String(text)) => is_digits(text).then(|| text.clone()),
        (Kind::Flag, Value::String(text)) => (text == "true" || text == "false").then(|| text.clone()),
        (Kind::Flag | Kind::Scalar, Value::Bool(flag)) => Some(flag.to_string()),
        (Kind::Number | Kind::Scalar, Value::Number(number)) => number.as_u64().map(|number| number.to_string()),
        (Kind::Text | Kind::Scalar, Value::String(text)) => Some(text.clone()),
        (Kind::Digits | Kind::Text, Value::Bool(_) | Value::Number(_))
        | (Kind::Flag, Value::Number(_))
        | (Kind::Number, Value::Bool(_) | Value::String(_))
        | (
            Kind::Digits | Kind::Flag | Kind::Number | Kind::Scalar | Kind::Text,
            Value::Null | Value::Array(_) | Value::Object(_),
        ) => None,
    }
}

// 20 digits hold every 64-bit id.
fn is_digits(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn shown(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| type_name(value).to_owned(), |text| format!("`{}`", excerpt(text)))
}

/// Fills `{claim}` and `{claim/1}` (what follows the claim's first `/`); `None` where a claim is absent.
fn filled(form: &str, claims: &Claims) -> Option<String> {
    let mut out = String::new();
    let mut rest = form;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        let value = match name.strip_suffix("/1") {
            Some(name) => claims.get(name)?.as_str()?.split_once('/')?.1,
            None => claims.get(name)?.as_str()?,
        };
        out.push_str(before);
        // GitHub writes `:` in a value as `%3A`, so that a value cannot end its part.
        out.push_str(&value.replace(':', "%3A"));
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}
