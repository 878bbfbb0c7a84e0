//! What may it have: the `[[grant]]` tables.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    condition::{self, RawCondition},
    diagnostic::{Fault, Problems},
    duration,
    name::Names,
    path::KeyPath,
};
use crate::{
    authorize::{GrantName, RelyingPartyName},
    identify::{Conditions, EntryName},
    name::Name,
};

/// `[[grant]]` as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGrant {
    /// Name, for the trail: 1 to 64 characters of a-z, 0-9, `-`, `_`.
    #[schemars(required, extend("examples" = ["shop-to-prod"]))]
    name: Option<String>,
    /// Names of the entries that it is for.
    #[schemars(required, extend("examples" = [["shop-deploy"]]))]
    entries: Option<Vec<String>>,
    /// Names of the relying parties whose credentials they may hold.
    #[schemars(required, extend("examples" = [["aws-prod"]]))]
    relying_parties: Option<Vec<String>>,
    /// Further conditions: a string, a list of strings, or `{ absent = true }`.
    #[serde(default, rename = "match")]
    #[schemars(extend("default" = {}))]
    conditions: BTreeMap<String, RawCondition>,
    /// SPIFFE IDs, as paths, of whom one must act for the workload; without them nobody may.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    actors: Vec<String>,
    /// How long a credential may live: 1m to 12h.
    #[schemars(required, extend("examples" = ["20m"]))]
    ttl: Option<String>,
    /// What is handed out besides credentials: `svid` for the SVID itself.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    release: Vec<Release>,
    /// Take the relying party's fixed lifetime although it is longer than `ttl`.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    accept_lifetime: bool,
}

/// What a grant hands out besides credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Release {
    /// The SVID itself.
    Svid,
}

/// A read `[[grant]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTable {
    /// Where it stands.
    pub at: KeyPath,
    /// Its position among the tables of its kind, counted from 0.
    pub position: usize,
    /// Its name.
    pub name: GrantName,
    /// The entries that it is for; at least one.
    pub entries: Vec<EntryName>,
    /// The relying parties whose credentials they may hold; at least one.
    pub relying_parties: Vec<RelyingPartyName>,
    /// Further conditions on attributes.
    pub conditions: Conditions,
    /// Paths of the SPIFFE IDs of whom one must act for the workload.
    pub actors: Vec<String>,
    /// How long a credential may live.
    pub ttl: Duration,
    /// What is handed out besides credentials.
    pub release: Vec<Release>,
    /// Whether a relying party's fixed lifetime is taken although it is longer.
    pub accept_lifetime: bool,
}

/// Reads the `[[grant]]` tables.
pub(super) fn read(
    raw: Vec<RawGrant>,
    entries: &Names,
    relying_parties: &Names,
    problems: &mut Problems,
) -> Vec<GrantTable> {
    let list = KeyPath::root().key("grant");
    let mut names = Names::of("grant");
    let mut out = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let at = list.index(index);
        let name = raw.name.and_then(|name| names.declare(&name, index, &list, problems));
        let entries = raw
            .entries
            .and_then(|texts| refer(&texts, entries, &at.key("entries"), problems));
        let relying_parties = raw
            .relying_parties
            .and_then(|texts| refer(&texts, relying_parties, &at.key("relying_parties"), problems));
        let conditions = condition::read(raw.conditions, &at.key("match"), problems);
        let ttl = raw
            .ttl
            .and_then(|text| problems.take(&at.key("ttl"), duration::parse(&text, MIN_TTL, MAX_TTL)));
        if let (Some(name), Some(entries), Some(relying_parties), Some(ttl)) = (name, entries, relying_parties, ttl) {
            out.push(GrantTable {
                at,
                position: index,
                name,
                entries,
                relying_parties,
                conditions,
                actors: raw.actors,
                ttl,
                release: raw.release,
                accept_lifetime: raw.accept_lifetime,
            });
        }
    }
    out
}

fn refer<Of>(texts: &[String], names: &Names, place: &KeyPath, problems: &mut Problems) -> Option<Vec<Name<Of>>> {
    if texts.is_empty() {
        problems.refuse(
            place,
            Fault::new("config.value_invalid", "an empty list", "at least one name"),
        );
    }
    let mut out: Vec<Name<Of>> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let place = place.index(index);
        let Some(name) = names.refer(text, &place, problems) else {
            continue;
        };
        if out.contains(&name) {
            let fault = Fault::new(
                "config.name_duplicate",
                format_args!("`{text}` twice"),
                "each name once",
            );
            problems.refuse(&place, fault);
        }
        out.push(name);
    }
    (!out.is_empty()).then_some(out)
}

/// No cloud gives less than a minute; a shorter one would be gone before its first use.
const MIN_TTL: Duration = Duration::from_mins(1);

/// An attestation stands for at most 12 hours, so nothing that rests on it lasts longer.
const MAX_TTL: Duration = Duration::from_hours(12);
