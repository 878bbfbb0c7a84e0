//! Whose tokens a configured attestor takes: the issuer's URL, checked against the forms that its vendor uses.
//!
//! It must never take an issuer that stands for more than one tenant, nor another owner's than those of `owners`, nor a
//! platform's issuer under a preset that does not know how to tell the platform's customers apart (T-48, T-63).

use super::{
    facts::AllowedOwner,
    pattern::Parts,
    preset::{GENERIC, PRESETS, Preset},
    view::{NamedParts, named},
};
use crate::attest::{Misconfigured, table::misconfigured};

/// An issuer, and what its URL says.
#[derive(Debug)]
pub(super) struct FoundIssuer {
    pub(super) url: String,
    pub(super) parts: NamedParts,
}

/// What the configuration says of an issuer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) preset: &'a str,
    pub(super) issuer: Option<&'a str>,
    pub(super) owners: &'a [AllowedOwner],
    pub(super) shared: Shared,
}

/// Whether a platform's issuer may stand under the preset `generic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shared {
    Accepted,
    Refused,
}

/// Returns the issuer that the configuration and its preset mean.
///
/// # Errors
/// Refuses URLs that no token's `iss` has, those of other owners or other vendors, and those of several tenants.
pub(super) fn find(asked: Asked<'_>, preset: &Preset) -> Result<FoundIssuer, Misconfigured> {
    let url = match (asked.issuer, preset.issuer.shared.as_deref()) {
        (Some(url), _) | (None, Some(url)) => url.to_owned(),
        (None, None) => of_owners(asked, preset)?,
    };
    refuse_several_tenants(&url)?;
    let mut parts = NamedParts::new();
    if let Some(found) = preset.issuer.forms.iter().find_map(|form| form.read(&url)) {
        refuse_other_owners(asked, &found, &url)?;
        parts = named(found);
    } else if preset.issuer.shared.as_deref() != Some(url.as_str()) {
        refuse_other_form(asked, preset, &url)?;
    }
    parts.insert(HOST.to_owned(), host(&url).into());
    Ok(FoundIssuer { url, parts })
}

/// Writes the issuer from the owners: the first of the vendor's forms that they fill.
fn of_owners(asked: Asked<'_>, preset: &Preset) -> Result<String, Misconfigured> {
    let filled = |owner: &AllowedOwner| {
        let value = |name: &str| match name {
            OWNER_ID => owner.id.as_deref(),
            OWNER_NAME => Some(owner.name.as_str()),
            _other => None,
        };
        preset.issuer.forms.iter().find_map(|form| form.fill(value))
    };
    let mut urls: Vec<Option<String>> = asked.owners.iter().map(filled).collect();
    urls.dedup();
    match urls.as_slice() {
        [Some(only)] => Ok(only.clone()),
        [] | [None] => Err(misconfigured(
            "config.issuer_required",
            "issuer",
            format!(
                "found none, expected the issuer's URL: preset `{}` has none of its own",
                asked.preset
            ),
        )),
        _several => Err(misconfigured(
            "config.issuer_ambiguous",
            "owners",
            format!(
                "found owners of several issuers, expected one: with preset `{}` each has an attestor of its own",
                asked.preset
            ),
        )),
    }
}

/// Refuses what no token's `iss` is: a template, and the names that stand for all tenants of an identity platform (T-48).
fn refuse_several_tenants(url: &str) -> Result<(), Misconfigured> {
    if url.contains(['?', '#', '{', '}', '*']) {
        let problem = format!("found `{url}`, expected an https URL without query, fragment, placeholders and `*`");
        return Err(misconfigured("config.issuer_invalid", "issuer", problem));
    }
    let pseudo = |segment: &&str| PSEUDO_TENANTS.iter().any(|name| segment.eq_ignore_ascii_case(name));
    if let Some(found) = url.split('/').find(pseudo) {
        let problem = format!("found `{url}`, expected the issuer of one tenant: `{found}` stands for all");
        return Err(misconfigured("config.issuer_pseudo_tenant", "issuer", problem));
    }
    Ok(())
}

/// Refuses an issuer that names another owner than every one of `owners`.
fn refuse_other_owners(asked: Asked<'_>, parts: &Parts<'_>, url: &str) -> Result<(), Misconfigured> {
    for owner in asked.owners {
        for (part, ours) in [(OWNER_ID, owner.id.as_deref()), (OWNER_NAME, Some(owner.name.as_str()))] {
            if let Some(theirs) = parts.get(part)
                && Some(*theirs) != ours
            {
                let problem = format!(
                    "found `{url}`, which is the issuer of `{theirs}`, expected that of owner `{}` (id `{}`)",
                    owner.name,
                    owner.id.as_deref().unwrap_or_default()
                );
                return Err(misconfigured("config.issuer_of_another", "issuer", problem));
            }
        }
    }
    Ok(())
}

/// Refuses an issuer on the vendor's own host that is of none of its forms, and one on another vendor's host.
fn refuse_other_form(asked: Asked<'_>, preset: &Preset, url: &str) -> Result<(), Misconfigured> {
    let host = host(url);
    if serves(preset, &host) || !preset.issuer.elsewhere {
        let problem = format!(
            "found `{url}`, expected an issuer as preset `{}` knows them; its page shows the forms",
            asked.preset
        );
        return Err(misconfigured("config.issuer_form", "issuer", problem));
    }
    let platform = PRESETS.iter().map(|(name, _)| *name).find(|name| {
        let other = Preset::load(name).and_then(Result::ok);
        *name != asked.preset && other.is_some_and(|other| serves(&other, &host))
    });
    match platform {
        Some(_) if asked.preset == GENERIC && asked.shared == Shared::Accepted => Ok(()),
        Some(other) => Err(misconfigured(
            "config.issuer_of_platform",
            "issuer",
            format!(
                "found `{url}`, which serves all customers of a platform, expected `preset = \"{other}\"`, which tells \
                 them apart; with preset `generic`, `dangerous_shared_issuer = true` takes it all the same"
            ),
        )),
        None => Ok(()),
    }
}

/// Tells whether a host is the vendor's.
fn serves(preset: &Preset, host: &str) -> bool {
    let shared = preset.issuer.shared.as_deref().map(self::host);
    shared.is_some_and(|shared| shared == host) || preset.issuer.forms.iter().any(|form| form.serves(host))
}

/// Returns a URL's host in lower case, without port and final dot.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default();
    host.trim_end_matches('.').to_ascii_lowercase()
}

const HOST: &str = "host";
const OWNER_ID: &str = "owner.id";
const OWNER_NAME: &str = "owner.name";

// T-48; the last two are Entra's tenant of personal accounts and the UUID that is none.
const PSEUDO_TENANTS: [&str; 5] = [
    "common",
    "consumers",
    "organizations",
    "9188040d-6c67-4c5b-b112-36a304b66dad",
    "00000000-0000-0000-0000-000000000000",
];
