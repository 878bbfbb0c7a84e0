//! The attestor's table of the configuration.
//!
//! It must never let a table load that would take evidence of anybody: an issuer that serves everybody needs owners.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{
    discovery,
    facts::{AllowedOwner, Mapping},
    keys::{Entrance, IssuerKeys, KeySource},
    preset::{Event, GENERIC, Kind, Owner, PRESETS, Preset},
    rules::Rules,
    span::Span,
    vocabulary,
};
use crate::{
    attest::{AttestorContext, Misconfigured},
    fetch::{AddressBlock, Fetch, Origin, OriginSettings},
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
    ca_file: Option<PathBuf>,
    #[serde(default)]
    allow_addresses: Vec<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    #[serde(default)]
    immutable: Vec<String>,
    job_ends: Option<String>,
}

/// A table that was checked, taken apart into what the attestor is made of.
pub(super) struct Checked {
    pub(super) rules: Rules,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) keys: IssuerKeys,
    pub(super) attributes: Vec<&'static str>,
    pub(super) immutable: Vec<&'static str>,
}

impl Settings {
    /// Reads the table.
    pub(super) fn parse(table: toml::Table) -> Result<Self, Misconfigured> {
        serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
            let key = error.path().to_string();
            let key = if key == "." { String::new() } else { key };
            misconfigured("config.attestor_table", &key, error.into_inner().to_string())
        })
    }

    /// Checks the table against its preset.
    pub(super) fn check(self, context: &AttestorContext) -> Result<Checked, Misconfigured> {
        let preset = self.preset()?;
        let issuer = self.issuer(&preset)?;
        let algorithms = self.algorithms(&preset)?;
        let (mappings, immutable) = self.mappings(&preset)?;
        let owner = self.owner(&preset, &mappings)?;
        let event = self.event(&preset, &mappings)?;
        let source = self.key_source(&context.fetch, &issuer)?;
        let vendor = (self.preset != GENERIC).then(|| self.preset.clone());
        let mut attributes: Vec<_> = mappings.iter().map(|mapping| mapping.attribute).collect();
        attributes.extend(vendor.is_some().then_some(vocabulary::VENDOR));
        let max_age = bounded("max_age", self.max_age, MAX_AGE)?.or(preset.max_age());
        let session_max = bounded("session_max", self.session_max, MAX_SESSION)?.unwrap_or(DEFAULT_SESSION);
        Ok(Checked {
            rules: Rules {
                issuer,
                audience: self.audience.unwrap_or_else(|| context.issuer.clone()),
                max_age,
                session_max,
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
            keys: IssuerKeys::new(source, algorithms.clone()),
            algorithms,
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

    fn issuer(&self, preset: &Preset) -> Result<String, Misconfigured> {
        let configured = self.issuer.as_ref().or(preset.issuer.as_ref());
        let issuer = configured.ok_or_else(|| {
            let problem = format!(
                "found none, expected the issuer's URL: preset `{}` has none of its own",
                self.preset
            );
            misconfigured("config.issuer_required", "issuer", problem)
        })?;
        if issuer.contains(['?', '#']) {
            let problem = format!("found `{issuer}`, expected an https URL without query and fragment");
            return Err(misconfigured("config.issuer_invalid", "issuer", problem));
        }
        Ok(issuer.clone())
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
        if own && self.preset != GENERIC {
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
            });
        }
        for (claim, attribute) in &self.claims {
            let attribute = canonical("claims", attribute)?;
            if mappings.iter().any(|mapping: &Mapping| mapping.attribute == attribute) {
                let problem = format!("found `{attribute}` for two claims, expected one claim for each attribute");
                return Err(misconfigured("config.attribute_twice", "claims", problem));
            }
            mappings.push(Mapping {
                claim: claim.clone(),
                attribute,
                kind: Kind::Scalar,
                required: false,
                one_of: Vec::new(),
            });
        }
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

    fn owner(&self, preset: &Preset, mappings: &[Mapping]) -> Result<Option<Owner>, Misconfigured> {
        if let Some(owner) = &preset.owner {
            if self.owners.is_empty() {
                let problem = format!(
                    "found none, expected the owners whose jobs are taken: the issuer of preset `{}` serves everybody",
                    self.preset
                );
                return Err(misconfigured("config.owners_required", "owners", problem));
            }
            if let Some(nameless) = self
                .owners
                .iter()
                .find(|one| one.id.as_deref().unwrap_or_default().is_empty())
            {
                let problem = format!(
                    "owner `{}` has no id, expected the value of claim `{}`: a name can pass to somebody else",
                    nameless.name, owner.id
                );
                return Err(misconfigured("config.owner_id_required", "owners", problem));
            }
            return Ok(Some(owner.clone()));
        }
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
        let name = name.unwrap_or_else(|| id.clone());
        Ok(Some(Owner { id, name }))
    }

    fn event(&self, preset: &Preset, mappings: &[Mapping]) -> Result<Option<Event>, Misconfigured> {
        if preset.event.is_some() || self.events.is_empty() {
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
        Ok(Some(Event {
            claim: claim.claim.clone(),
            admitted: Vec::new(),
            refused_subject_ending: None,
        }))
    }

    fn key_source(&self, fetch: &Fetch, issuer: &str) -> Result<KeySource, Misconfigured> {
        let (key, entrance) = match (&self.jwks_uri, &self.discovery_url) {
            (Some(_), Some(_)) => {
                let problem = "found `jwks_uri` as well, expected one of the two".to_owned();
                return Err(misconfigured("config.key_source_twice", "discovery_url", problem));
            }
            (Some(url), None) => ("jwks_uri", Entrance::KeySet(url.clone())),
            (None, Some(url)) => ("discovery_url", Entrance::Discovery(url.clone())),
            (None, None) => ("issuer", Entrance::Discovery(discovery::url_of(issuer))),
        };
        self.origin(fetch, "issuer", issuer)?; // also where the keys come from elsewhere, the issuer must be a URL
        let url = match &entrance {
            Entrance::Discovery(url) | Entrance::KeySet(url) => url,
        };
        let origin = self.origin(fetch, key, url)?;
        Ok(KeySource {
            issuer: issuer.to_owned(),
            origin,
            entrance,
        })
    }

    fn origin(&self, fetch: &Fetch, key: &str, url: &str) -> Result<Origin, Misconfigured> {
        let pem = self.ca_file.as_ref().map(fs::read).transpose().map_err(|error| {
            let file = self.ca_file.as_deref().unwrap_or_else(|| std::path::Path::new(""));
            let problem = format!("`{}` cannot be read: {error}", file.display());
            misconfigured("config.ca_file", "ca_file", problem)
        })?;
        let allow_addresses = self
            .allow_addresses
            .iter()
            .map(|text| text.parse::<AddressBlock>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| misconfigured("config.allow_addresses", "allow_addresses", error.to_string()))?;
        let settings = OriginSettings {
            url,
            authorities_pem: pem.as_deref(),
            allow_addresses: &allow_addresses,
        };
        let refused =
            |error: crate::fetch::OriginRefused| misconfigured("config.issuer_invalid", key, error.to_string());
        fetch.origin(&settings).map_err(refused)
    }
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

fn bounded(key: &str, span: Option<Span>, max: Duration) -> Result<Option<Duration>, Misconfigured> {
    let Some(Span(span)) = span else {
        return Ok(None);
    };
    if span.is_zero() || span > max {
        let problem = format!("found {} s, expected 1 to {} s", span.as_secs(), max.as_secs());
        return Err(misconfigured("config.duration_range", key, problem));
    }
    Ok(Some(span))
}

fn misconfigured(code: &'static str, key: &str, problem: String) -> Misconfigured {
    Misconfigured {
        code,
        key: key.to_owned(),
        problem,
    }
}

// LIMITS.md, attestation standing.
const DEFAULT_SESSION: Duration = Duration::from_hours(1);
const MAX_SESSION: Duration = Duration::from_hours(12);

// A token never lives longer (TM-54).
const MAX_AGE: Duration = Duration::from_hours(24);
