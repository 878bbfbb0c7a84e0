//! What a CI vendor's tokens look like, read from `presets/*.toml`.
//!
//! A vendor is data: nothing here may name one in code.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::pattern::Pattern;
use crate::{attest::span::Span, jose::Algorithm, store::UseRule};

/// The presets that are compiled in, by name: every file of `presets/`, listed by the build script.
pub(super) const PRESETS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/presets.rs"));

/// The preset for issuers that no other preset knows.
pub(super) const GENERIC: &str = "generic";

/// What identifies a workload of an issuer that no preset knows, as far as `claims` gives it.
pub(super) const GENERIC_IDS: &[&str] = &["ci.repo_id", "iac.workspace_id", "oidc.subject"];

/// One vendor's tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Preset {
    /// The vendor's name, for people.
    #[expect(dead_code, reason = "read by those who read the file")]
    pub(super) title: String,
    /// Which issuers the vendor's tokens come from.
    #[serde(default)]
    pub(super) issuer: Issuer,
    /// The audience of all tokens, where the vendor lets nobody choose it: a template over the issuer's parts.
    pub(super) audience: Option<Pattern>,
    /// What the vendor signs with.
    pub(super) algorithms: Vec<String>,
    /// How old a token may be; none beyond `exp` where it is absent.
    pub(super) max_age: Option<Span>,
    /// How often a token may be used.
    pub(super) use_rule: Use,
    /// Whether each token has a `jti`.
    pub(super) token_id: TokenId,
    /// A date claim at which the vendor ends the job; never `exp`.
    pub(super) job_ends: Option<String>,
    /// How `sub` is built from claims.
    pub(super) subject: Option<Subject>,
    /// Which claims tell the owner.
    pub(super) owner: Option<Owner>,
    /// Which claim tells what started the job.
    #[serde(default)]
    pub(super) event: Event,
    /// What entries must pin.
    #[serde(default)]
    pub(super) pins: Pins,
    /// Whether the operator gives the tokens claims of their own, so that a configuration may say what they mean.
    #[serde(default)]
    pub(super) own_claims: bool,
    /// What the claims mean; `sub:x` and `iss:x` are parts of the subject and of the issuer.
    #[serde(default)]
    pub(super) claims: BTreeMap<String, Claim>,
    /// A full set of claims, from the vendor's documentation.
    #[serde(default)]
    #[cfg_attr(
        not(any(test, feature = "dev")),
        expect(dead_code, reason = "tokens are only made in development")
    )]
    pub(super) sample: toml::Table,
}

impl Preset {
    /// Reads the preset called `name`; `None` if there is none.
    pub(super) fn load(name: &str) -> Option<Result<Self, toml::de::Error>> {
        let (_, text) = PRESETS.iter().find(|(known, _)| *known == name)?;
        Some(table(text).and_then(toml::Table::try_into))
    }

    /// Returns the algorithms that are of our list.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        self.algorithms.iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// Returns how old a token may be.
    pub(super) fn max_age(&self) -> Option<Duration> {
        self.max_age.map(|Span(age)| age)
    }
}

/// Reads a preset's file; what it does not say is said by the preset that it extends.
fn table(text: &str) -> Result<toml::Table, toml::de::Error> {
    let mut own: toml::Table = toml::from_str(text)?;
    let extended = own.remove("extends");
    let base = extended.as_ref().and_then(toml::Value::as_str);
    let base = PRESETS.iter().find(|(name, _)| Some(*name) == base);
    if let Some((_, base)) = base {
        for (key, value) in toml::from_str::<toml::Table>(base)? {
            own.entry(key).or_insert(value);
        }
    }
    Ok(own)
}

/// Which issuers a vendor's tokens come from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Issuer {
    /// The one that all customers share.
    pub(super) shared: Option<String>,
    /// Those of one customer each; `{owner.id}` and `{owner.name}` are those of `owners`.
    #[serde(default)]
    pub(super) forms: Vec<Pattern>,
    /// Whether customers run issuers of their own, on any other host.
    #[serde(default)]
    pub(super) elsewhere: bool,
}

/// How often evidence may be used (FLOWS.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Use {
    /// By whoever proves the same key as the first use.
    Keyed,
    /// Exactly once.
    Once,
    /// By anybody until it expires.
    UntilExpiry,
}

impl Use {
    /// Returns the ledger's rule; `None` = no ledger row.
    pub(super) fn ledger(self) -> Option<UseRule> {
        match self {
            Self::Keyed => Some(UseRule::Keyed),
            Self::Once => Some(UseRule::Once),
            Self::UntilExpiry => None,
        }
    }
}

/// Whether tokens have a `jti`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TokenId {
    /// Used where it is there.
    Optional,
    /// A token without one is refused.
    Required,
}

/// How `sub` is built.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Subject {
    /// Subjects that begin so must follow `forms` and `patterns`; all, where it is absent.
    pub(super) prefix: String,
    /// Templates of how such a subject begins: `{claim}`, or `{claim/1}` for what follows its first `/`.
    pub(super) forms: Vec<String>,
    /// What may follow a form.
    pub(super) after: After,
    /// Whether the vendor writes `:` in a value as `%3A`.
    pub(super) escaped: bool,
    /// What the whole subject is read by, the first that fits; its parts are claims named `sub:`.
    pub(super) patterns: Vec<Pattern>,
}

/// What may follow the form of a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum After {
    /// Anything: the form ends in a separator.
    Anything,
    /// Nothing, or `:` and anything.
    #[default]
    Colon,
    /// Nothing.
    Nothing,
}

/// Which claims tell the owner.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owner {
    /// The immutable id.
    pub(super) id: String,
    /// The name, which can pass to somebody else (T-64), where a token tells it.
    pub(super) name: Option<String>,
}

/// What started the job, and what of it is refused unless the configuration names it (T-66).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Event {
    /// The claim that tells the event.
    pub(super) claim: Option<String>,
    /// Events that only people with write access cause; every other must be named.
    pub(super) admitted: Vec<String>,
    /// Signs of a job that is not the owner's own, whatever the event says.
    pub(super) signs: Vec<Sign>,
}

/// A sign that a job is not the owner's own: one of the things that it says is so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sign {
    /// Where it stands; `sub` for the subject.
    pub(super) claim: String,
    /// What to name in `events`, so that it is taken.
    pub(super) event: String,
    /// The claim's text begins so.
    pub(super) begins: Option<String>,
    /// The claim's text ends so.
    pub(super) ends: Option<String>,
    /// The claim's text holds this.
    pub(super) holds: Option<String>,
    /// The claim is this boolean.
    pub(super) is: Option<bool>,
}

/// What an entry must pin, unless it names the danger of not doing so.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pins {
    /// One of these, each a set of attributes: else it admits every repository (T-63).
    pub(super) ids: Vec<Vec<String>>,
    /// These are no substitute for ids: they can pass to somebody else (T-64).
    pub(super) names: Vec<String>,
    /// One of these keeps out what strangers propose (T-66).
    pub(super) guards: Vec<Guard>,
    /// Whether a job of a fork looks like any other, so that every entry needs a guard.
    pub(super) forks_look_alike: bool,
}

/// An attribute that strangers cannot have.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guard {
    /// The attribute.
    pub(super) attribute: String,
    /// The only value that guards; any that the entry names, where it is absent.
    pub(super) value: Option<String>,
}

/// What one claim means.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    /// The canonical attribute.
    pub(super) attribute: String,
    /// Which values it has.
    #[serde(default, rename = "type")]
    pub(super) kind: Kind,
    /// Whether a token without it is refused.
    #[serde(default)]
    pub(super) required: bool,
    /// Whether nobody else can ever have the same value.
    #[serde(default)]
    pub(super) immutable: bool,
    /// The only values, if they are few.
    #[serde(default)]
    pub(super) one_of: Vec<String>,
    /// The only values, and what they are called here.
    #[serde(default)]
    pub(super) values: BTreeMap<String, String>,
}

/// Which values a claim has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A UUID in lower case between braces, which are not of the value.
    BracedUuid,
    /// A string of decimal digits.
    Digits,
    /// `true` or `false`, as a boolean or as a string.
    Flag,
    /// A JSON number without fraction.
    Number,
    /// A string, a JSON number without fraction, or a boolean.
    Scalar,
    /// The only string of an array; an array of none or several has no value.
    Sole,
    /// Any string.
    #[default]
    Text,
    /// A UUID in lower case.
    Uuid,
}

impl Kind {
    /// Says what a claim of this kind is.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::BracedUuid => "a UUID in lower case between braces",
            Self::Digits => "a string of 1 to 20 digits",
            Self::Flag => "`true` or `false`",
            Self::Number => "a whole number",
            Self::Scalar => "a string, a whole number or a boolean",
            Self::Sole => "an array of strings",
            Self::Text => "a string",
            Self::Uuid => "a UUID in lower case",
        }
    }

    /// Says what is wrong with a configured value that no claim of this kind could ever have.
    pub(super) fn refuse_configured(self, value: &str) -> Option<&'static str> {
        match self {
            Self::BracedUuid | Self::Uuid => (!is_uuid(value)).then_some("a UUID in lower case, without braces"),
            Self::Digits => (!is_digits(value)).then_some("1 to 20 digits"),
            Self::Flag | Self::Number | Self::Scalar | Self::Sole | Self::Text => None,
        }
    }
}

// 20 digits hold every 64-bit id.
pub(super) fn is_digits(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Tells whether `text` is a UUID in lower case: one spelling, or a check and its use could disagree (T-39).
pub(super) fn is_uuid(text: &str) -> bool {
    let groups = text.split('-');
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    groups.clone().map(str::len).eq([8, 4, 4, 4, 12]) && groups.flat_map(str::bytes).all(hex)
}

#[cfg(test)]
mod tests;
