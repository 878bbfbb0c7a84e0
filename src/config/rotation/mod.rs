//! How keys are replaced: the `[rotation]` table.

use std::{collections::BTreeSet, path::Path, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    diagnostic::{Fault, Problems},
    duration,
    file::{self, Rule},
    path::KeyPath,
};
use crate::fetch::{AddressBlock, NotABlock};

/// `[rotation]` as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRotation {
    /// URLs below which `/.well-known` shows our documents, at most 8; a new key signs only once it was seen at each.
    ///
    /// Empty: the issuer alone.
    #[serde(default)]
    #[schemars(extend("default" = [], "examples" = [["https://id.acme.example"]]))]
    places: Vec<String>,
    /// File of the only certificate authorities that are trusted at the places, as PEM; else those of the host.
    #[schemars(extend("default" = "", "examples" = ["/etc/cambio/public-ca.pem"]))]
    ca_file: Option<String>,
    /// Networks that the places may be in although their addresses are not public.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    allow_addresses: Vec<String>,
    /// How long a key was to be seen everywhere before it signs, from 24h to 7d.
    #[schemars(extend("default" = "24h"))]
    publish_lead: Option<String>,
    /// A shorter one, from 1s: verifiers that cache our keys for longer will refuse what a new key signs.
    #[schemars(extend("default" = "", "examples" = ["10s"]))]
    dangerous_publish_lead: Option<String>,
    /// Algorithms of JWT-SVIDs; a key of another one is retired once these sign.
    #[serde(default)]
    #[schemars(with = "Vec<Algorithm>", extend("default" = ["ES256", "RS256"]))]
    jwt_algorithms: Option<BTreeSet<Algorithm>>,
}

/// What JWT-SVIDs are signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// ECDSA on P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// RSA PKCS#1 v1.5.
    #[serde(rename = "RS256")]
    Rs256,
}

impl Algorithm {
    /// Returns the registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// How keys are replaced.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Where our documents are served, without slashes at the ends; empty for the issuer alone.
    pub places: Vec<String>,
    /// The only authorities that are trusted there, as PEM.
    pub authorities_pem: Option<Vec<u8>>,
    /// Networks that the places may be in although their addresses are not public.
    pub allow_addresses: Vec<AddressBlock>,
    /// How long a key is seen before it signs.
    pub lead: Lead,
    /// What JWT-SVIDs are signed with.
    pub jwt_algorithms: BTreeSet<Algorithm>,
}

/// How long a key is seen before it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead {
    /// As long as the most careful verifier needs, or longer.
    Careful(Duration),
    /// Shorter; caches are not waited for either.
    Dangerous(Duration),
}

/// Reads `[rotation]`.
pub(super) fn read(raw: RawRotation, directory: &Path, path: &KeyPath, problems: &mut Problems) -> Rotation {
    let places = path.key("places");
    if raw.places.len() > MOST_PLACES {
        let found = format!("{} places", raw.places.len());
        problems.refuse(&places, Fault::new("config.out_of_range", found, "at most 8"));
    }
    let place = |(index, text): (usize, &String)| problems.take(&places.index(index), place(text));
    let read = raw
        .places
        .iter()
        .take(MOST_PLACES)
        .enumerate()
        .filter_map(place)
        .collect();
    let blocks = path.key("allow_addresses");
    let block = |(index, text): (usize, &String)| {
        let block = text.parse::<AddressBlock>();
        let expected = "an address or network such as 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32";
        let block = block.map_err(|why: NotABlock| Fault::value(&why.found, expected));
        problems.take(&blocks.index(index), block)
    };
    let allow_addresses = raw.allow_addresses.iter().enumerate().filter_map(block).collect();
    let authorities_pem = raw.ca_file.filter(|name| !name.is_empty()).and_then(|name| {
        let bytes = file::read(&file::resolve(directory, &name), AUTHORITIES);
        problems.take(&path.key("ca_file"), bytes.map(|bytes| bytes.to_vec()))
    });
    if raw.jwt_algorithms.as_ref().is_some_and(BTreeSet::is_empty) {
        let fault = Fault::new("config.out_of_range", "no algorithm", "at least one");
        problems.refuse(&path.key("jwt_algorithms"), fault);
    }
    let mut span = |key: &str, text: Option<String>, least: Duration| {
        let read = duration::parse(&text.filter(|text| !text.is_empty())?, least, LONGEST_LEAD);
        problems.take(&path.key(key), read)
    };
    let careful = span("publish_lead", raw.publish_lead, LEAD).unwrap_or(LEAD);
    let dangerous = span(DANGEROUS, raw.dangerous_publish_lead, Duration::from_secs(1));
    let lead = dangerous.map_or(Lead::Careful(careful), Lead::Dangerous);
    if let Lead::Dangerous(lead) = lead {
        let found = format!("a publish lead of {}", duration::written(lead));
        let expected = "24h: a verifier that keeps our keys for longer refuses what a new key signs";
        problems.warn(&path.key(DANGEROUS), Fault::new("config.dangerous", found, expected));
    }
    Rotation {
        places: read,
        authorities_pem,
        allow_addresses,
        lead,
        jwt_algorithms: raw
            .jwt_algorithms
            .unwrap_or_else(|| [Algorithm::Es256, Algorithm::Rs256].into()),
    }
}

fn place(text: &str) -> Result<String, Fault> {
    let found = || format!("`{text}`");
    let expected = "an https URL without query, fragment and slash at its end";
    let url = url::Url::parse(text).ok().filter(|url| url.scheme() == "https");
    let plain = |url: &url::Url| url.query().is_none() && url.fragment().is_none() && !text.ends_with('/');
    match url.filter(plain) {
        Some(_) => Ok(text.to_owned()),
        None => Err(Fault::new("config.value_invalid", found(), expected)),
    }
}

const DANGEROUS: &str = "dangerous_publish_lead";
/// LIMITS.md: 24 h while the rule of any relying party is unverified.
const LEAD: Duration = Duration::from_hours(24);
/// Twice that fits between the making of a key and its first signature (15 - 5 days), with room for an outage.
const LONGEST_LEAD: Duration = Duration::from_hours(24 * 7);
/// Every one is asked each half minute.
const MOST_PLACES: usize = 8;
/// As large as a host's own list of authorities.
const AUTHORITIES: Rule = Rule {
    mode: file::ANY_MODE,
    max_bytes: 1024 * 1024,
};

#[cfg(test)]
mod tests;
