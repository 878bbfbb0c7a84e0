//! What a CI vendor's tokens look like, read from `presets/*.toml`.
//!
//! A vendor is data: nothing here may name one in code.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::span::Span;
use crate::{jose::Algorithm, store::UseRule};

/// The presets that are compiled in, by name.
pub(super) const PRESETS: &[(&str, &str)] = &[
    ("generic", include_str!("presets/generic.toml")),
    ("github_actions", include_str!("presets/github_actions.toml")),
    ("gitlab", include_str!("presets/gitlab.toml")),
    ("hcp_terraform", include_str!("presets/hcp_terraform.toml")),
];

/// The preset for issuers that no other preset knows.
pub(super) const GENERIC: &str = "generic";

/// One vendor's tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Preset {
    /// The vendor's name, for people.
    #[expect(dead_code, reason = "read by those who read the file")]
    pub(super) title: String,
    /// The issuer, where all customers share one.
    pub(super) issuer: Option<String>,
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
    pub(super) event: Option<Event>,
    /// What the claims mean.
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
        Some(toml::from_str(text))
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
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subject {
    /// Subjects that begin so must follow one of `forms`.
    pub(super) prefix: String,
    /// Templates of how such a subject begins: `{claim}`, or `{claim/1}` for what follows its first `/`.
    pub(super) forms: Vec<String>,
}

/// Which claims tell the owner.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owner {
    /// The immutable id.
    pub(super) id: String,
    /// The name, which can pass to somebody else (T-64).
    pub(super) name: String,
}

/// Which claim tells what started the job.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    /// The claim.
    pub(super) claim: String,
    /// Events that only people with write access cause; every other must be named in the configuration.
    pub(super) admitted: Vec<String>,
    /// A subject that ends so is of a change somebody merely proposed, whatever the event says (T-66).
    pub(super) refused_subject_ending: Option<String>,
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
}

/// Which values a claim has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A string of decimal digits.
    Digits,
    /// `true` or `false`, as a boolean or as a string.
    Flag,
    /// A JSON number without fraction.
    Number,
    /// A string, a JSON number without fraction, or a boolean.
    Scalar,
    /// Any string.
    #[default]
    Text,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::oidc::vocabulary::canonical;

    fn all() -> impl Iterator<Item = (&'static str, Preset)> {
        PRESETS.iter().map(|(name, text)| {
            let preset = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (*name, preset)
        })
    }

    #[test]
    fn every_preset_parses_and_uses_canonical_attributes_once() {
        for (name, preset) in all() {
            let mut seen = Vec::new();
            for claim in preset.claims.values() {
                assert!(canonical(&claim.attribute).is_some(), "{name}: {}", claim.attribute);
                assert!(!seen.contains(&&claim.attribute), "{name}: {} twice", claim.attribute);
                seen.push(&claim.attribute);
            }
            assert_eq!(preset.algorithms().len(), preset.algorithms.len(), "{name}");
        }
    }

    #[test]
    fn t_64_every_vendor_pins_the_owner_by_an_immutable_id() {
        for (name, preset) in all().filter(|(name, _)| *name != GENERIC) {
            let owner = preset.owner.unwrap_or_else(|| panic!("{name} has no owner"));
            let id = &preset.claims[&owner.id];
            assert!(id.required && id.immutable, "{name}: {}", owner.id);
        }
    }

    #[test]
    fn every_sample_holds_the_required_claims() {
        for (name, preset) in all() {
            for (claim, rule) in &preset.claims {
                assert!(!rule.required || preset.sample.contains_key(claim), "{name}: {claim}");
            }
            for claim in ["iss", "sub", "aud", "exp", "iat", "jti"] {
                assert!(preset.sample.contains_key(claim), "{name}: {claim}");
            }
        }
    }
}
