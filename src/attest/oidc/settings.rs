//! The attestor's table of the configuration.
//!
//! It must never let a table load that would take evidence of anybody: an issuer that serves everybody needs owners.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{
    facts::{AllowedOwner, Mapping, OwnerRule},
    issuer::{self, FoundIssuer, Shared},
    pins,
    preset::{Event, GENERIC, Kind, PRESETS, Preset, Use},
    rules::Rules,
    vocabulary,
};
use crate::{
    attest::{
        AttestorContext, Misconfigured, Pins,
        issuer_keys::{
            Keys,
            key_source::{Asked, Reach},
        },
        span::{self, Span, bounded},
        standing::{Resume, Standing},
        table::{self, misconfigured},
    },
    jose::Algorithm,
};

/// The table, without `name` and `kind`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    #[serde(default = "generic")]
    preset: String,
    issuer: Option<String>,
    audience: Option<String>,
    #[serde(default)]
    owners: Vec<AllowedOwner>,
    #[serde(default)]
    events: Vec<String>,
    max_age: Option<Span>,
    session_max: Option<Span>,
    algorithms: Option<Vec<String>>,
    discovery_url: Option<String>,
    jwks_uri: Option<String>,
    jwks_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    allow_addresses: Vec<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    #[serde(default)]
    immutable: Vec<String>,
    job_ends: Option<String>,
    #[serde(default)]
    dangerous_shared_issuer: bool,
}

/// A table that was checked, taken apart into what the attestor is made of.
pub(super) struct Checked {
    pub(super) rules: Rules,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) keys: Keys,
    pub(super) attributes: Vec<&'static str>,
    pub(super) immutable: Vec<&'static str>,
    pub(super) pins: Pins,
}

impl Settings {
    /// Reads the table.
    pub(super) fn parse(table: toml::Table) -> Result<Self, Misconfigured> {
        table::read(table)
    }

    /// Checks the table against its preset.
    pub(super) fn check(self, context: &AttestorContext) -> Result<Checked, Misconfigured> {
        let preset = self.preset()?;
        let algorithms = self.algorithms(&preset)?;
        let (mappings, immutable) = self.mappings(&preset)?;
        let owner = self.owner(&preset, &mappings)?;
        let event = self.event(&preset, &mappings)?;
        let issuer = self.issuer(&preset)?;
        let keys = self.key_source(&issuer.url).keys(&context.fetch, &algorithms)?;
        let vendor = (self.preset != GENERIC).then(|| self.preset.clone());
        let mut attributes: Vec<_> = mappings.iter().map(|mapping| mapping.attribute).collect();
        attributes.extend(vendor.is_some().then_some(vocabulary::VENDOR));
        let max_age = bounded("max_age", self.max_age, MAX_AGE)?.or(preset.max_age());
        let session_max = span::session(self.session_max)?;
        let audience = self.audience.or_else(|| audience(&preset, &issuer));
        Ok(Checked {
            pins: pins::of(&preset, &mappings, &self.events),
            rules: Rules {
                issuer: issuer.url,
                issuer_parts: issuer.parts,
                audience: audience.unwrap_or_else(|| context.issuer.clone()),
                standing: Standing {
                    max_age,
                    session_max,
                    resume: if preset.use_rule == Use::Keyed {
                        Resume::ByBoundKey
                    } else {
                        Resume::Never
                    },
                },
                use_rule: preset.use_rule,
                token_id: preset.token_id,
                job_ends: self.job_ends.or(preset.job_ends),
                subject: preset.subject,
                owner,
                owners: self.owners,
                event,
                events: self.events,
                mappings,
                vendor,
            },
            algorithms,
            keys,
            attributes,
            immutable,
        })
    }

    fn preset(&self) -> Result<Preset, Misconfigured> {
        let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
        let loaded = Preset::load(&self.preset).ok_or_else(|| {
            let problem = format!("found preset `{}`, expected one of: {}", self.preset, names.join(", "));
            misconfigured("config.preset_unknown", "preset", problem)
        })?;
        loaded.map_err(|error| misconfigured("config.preset_broken", "preset", error.to_string()))
    }

    fn issuer(&self, preset: &Preset) -> Result<FoundIssuer, Misconfigured> {
        let asked = issuer::Asked {
            preset: &self.preset,
            issuer: self.issuer.as_deref(),
            owners: &self.owners,
            shared: if self.dangerous_shared_issuer {
                Shared::Accepted
            } else {
                Shared::Refused
            },
        };
        issuer::find(asked, preset)
    }

    fn key_source<'a>(&'a self, issuer: &'a str) -> Asked<'a> {
        Asked {
            issuer,
            discovery_url: self.discovery_url.as_deref(),
            jwks_uri: self.jwks_uri.as_deref(),
            jwks_file: self.jwks_file.as_deref(),
            reach: Reach {
                table: "",
                ca_file: self.ca_file.as_deref(),
                allow_addresses: &self.allow_addresses,
            },
        }
    }

    fn algorithms(&self, preset: &Preset) -> Result<Vec<Algorithm>, Misconfigured> {
        let offered = preset.algorithms();
        let Some(chosen) = &self.algorithms else {
            return Ok(offered);
        };
        let refused = |found: &str| {
            let problem = format!("found {found}, expected some of: {}", preset.algorithms.join(", "));
            misconfigured("config.algorithm_unsupported", "algorithms", problem)
        };
        if chosen.is_empty() {
            return Err(refused("none"));
        }
        chosen
            .iter()
            .map(|name| {
                let known = offered.iter().find(|known| known.as_str() == name);
                known.copied().ok_or_else(|| refused(&format!("`{name}`")))
            })
            .collect()
    }

    /// Returns what the claims become, and which of the attributes are immutable.
    fn mappings(&self, preset: &Preset) -> Result<(Vec<Mapping>, Vec<&'static str>), Misconfigured> {
        let own = !self.claims.is_empty() || !self.immutable.is_empty();
        if own && !preset.own_claims {
            let problem = format!(
                "preset `{}` fixes what its claims mean, expected `preset = \"generic\"`",
                self.preset
            );
            return Err(misconfigured("config.claims_fixed", "claims", problem));
        }
        let mut mappings = Vec::new();
        let mut immutable = Vec::new();
        for (claim, rule) in &preset.claims {
            let attribute = canonical("preset", &rule.attribute)?;
            immutable.extend(rule.immutable.then_some(attribute));
            mappings.push(Mapping {
                claim: claim.clone(),
                attribute,
                kind: rule.kind,
                required: rule.required,
                one_of: rule.one_of.clone(),
                values: rule.values.clone(),
            });
        }
        self.own_mappings(&mut mappings)?;
        for attribute in &self.immutable {
            let attribute = canonical("immutable", attribute)?;
            if !mappings.iter().any(|mapping| mapping.attribute == attribute) {
                let problem = format!("found `{attribute}`, expected one of those that `claims` gives");
                return Err(misconfigured("config.attribute_unknown", "immutable", problem));
            }
            immutable.push(attribute);
        }
        Ok((mappings, immutable))
    }

    fn own_mappings(&self, mappings: &mut Vec<Mapping>) -> Result<(), Misconfigured> {
        for (claim, attribute) in &self.claims {
            let attribute = canonical("claims", attribute)?;
            if mappings.iter().any(|mapping| mapping.attribute == attribute) {
                let problem = format!("found `{attribute}` for two claims, expected one claim for each attribute");
                return Err(misconfigured("config.attribute_twice", "claims", problem));
            }
            mappings.push(Mapping {
                claim: claim.clone(),
                attribute,
                kind: Kind::Scalar,
                required: false,
                one_of: Vec::new(),
                values: BTreeMap::new(),
            });
        }
        Ok(())
    }

    fn owner(&self, preset: &Preset, mappings: &[Mapping]) -> Result<Option<OwnerRule>, Misconfigured> {
        let Some(owner) = &preset.owner else {
            return self.owner_of_claims(mappings);
        };
        if self.owners.is_empty() {
            let problem = format!(
                "found none, expected the owners whose jobs are taken: the issuer of preset `{}` serves everybody",
                self.preset
            );
            return Err(misconfigured("config.owners_required", "owners", problem));
        }
        let read = mappings.iter().find(|mapping| mapping.claim == owner.id);
        let kind = read.map_or(Kind::Text, |mapping| mapping.kind);
        for one in &self.owners {
            let id = one.id.as_deref().unwrap_or_default();
            if id.is_empty() {
                let problem = format!(
                    "owner `{}` has no id, expected the value of claim `{}`: a name can pass to somebody else",
                    one.name, owner.id
                );
                return Err(misconfigured("config.owner_id_required", "owners", problem));
            }
            if let Some(expected) = kind.refuse_configured(id) {
                let problem = format!("owner `{}` has the id `{id}`, expected {expected}", one.name);
                return Err(misconfigured("config.owner_id_invalid", "owners", problem));
            }
        }
        Ok(Some(OwnerRule {
            id: owner.id.clone(),
            kind,
            name: owner.name.clone(),
        }))
    }

    /// Returns which claims tell the owner where only the configuration knows.
    fn owner_of_claims(&self, mappings: &[Mapping]) -> Result<Option<OwnerRule>, Misconfigured> {
        if self.owners.is_empty() {
            return Ok(None);
        }
        let claim = |attribute| {
            let found = mappings.iter().find(|mapping| mapping.attribute == attribute);
            found.map(|mapping| mapping.claim.clone())
        };
        let (Some(id), name) = (claim("ci.owner_id"), claim("ci.owner_name")) else {
            let problem = "`owners` needs a claim that tells the owner, expected `ci.owner_id` in `claims`".to_owned();
            return Err(misconfigured("config.owner_claim_required", "owners", problem));
        };
        if self.owners.iter().any(|one| one.id.is_none()) && name.is_none() {
            let problem = "an owner without id needs a claim that tells the name, expected `ci.owner_name` in `claims`";
            return Err(misconfigured(
                "config.owner_claim_required",
                "owners",
                problem.to_owned(),
            ));
        }
        Ok(Some(OwnerRule {
            id,
            kind: Kind::Scalar,
            name,
        }))
    }

    fn event(&self, preset: &Preset, mappings: &[Mapping]) -> Result<Event, Misconfigured> {
        let told = preset.event.claim.is_some() || !preset.event.signs.is_empty();
        if told || self.events.is_empty() {
            return Ok(preset.event.clone());
        }
        let claim = mappings.iter().find(|mapping| mapping.attribute == "ci.event");
        let claim = claim.ok_or_else(|| {
            let problem = format!(
                "preset `{}` has no events to name, or `claims` gives no `ci.event`",
                self.preset
            );
            misconfigured("config.event_claim_required", "events", problem)
        })?;
        Ok(Event {
            claim: Some(claim.claim.clone()),
            ..Event::default()
        })
    }
}

/// Returns the audience that the vendor puts into all tokens.
fn audience(preset: &Preset, issuer: &FoundIssuer) -> Option<String> {
    let fixed = preset.audience.as_ref()?;
    fixed.fill(|part| issuer.parts.get(part)?.as_str())
}

fn generic() -> String {
    GENERIC.to_owned()
}

fn canonical(key: &str, attribute: &str) -> Result<&'static str, Misconfigured> {
    vocabulary::canonical(attribute).ok_or_else(|| {
        let problem = format!(
            "found attribute `{attribute}`, expected one of: {}",
            vocabulary::ATTRIBUTES.join(", ")
        );
        misconfigured("config.attribute_unknown", key, problem)
    })
}

// A token never lives longer (TM-54).
const MAX_AGE: Duration = Duration::from_hours(24);
