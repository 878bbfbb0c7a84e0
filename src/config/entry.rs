//! Who is it: the `[[entry]]` tables.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    condition::{self, RawCondition},
    diagnostic::{Fault, Problems},
    name::Names,
    path::KeyPath,
};
use crate::{
    attest::{AttestorName, Danger},
    identify::{Conditions, EntryName},
};

/// `[[entry]]` as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEntry {
    /// Name, for `grant.entries`: 1 to 64 characters of a-z, 0-9, `-`, `_`.
    #[schemars(required, extend("examples" = ["shop-deploy"]))]
    name: Option<String>,
    /// Name of the attestor whose workloads it names.
    #[schemars(required, extend("examples" = ["github"]))]
    attestor: Option<String>,
    /// What attributes must be: a string, a list of strings, or `{ absent = true }`.
    #[serde(default, rename = "match")]
    #[schemars(extend("default" = {}))]
    conditions: BTreeMap<String, RawCondition>,
    /// Path of the SPIFFE ID, which may hold `{attribute}` placeholders.
    #[schemars(required, extend("examples" = ["/ci/acme/shop/deploy"]))]
    spiffe_id: Option<String>,
    /// Whom it may name although nobody meant them: `any_repository`, `fork`, `renamed_repository`.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    dangerous_admits: Vec<RawDanger>,
}

/// Whom an entry may name although nobody meant them.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum RawDanger {
    /// Jobs of every repository of the attestor's owners.
    AnyRepository,
    /// Jobs that run what strangers proposed.
    Fork,
    /// Whoever has the name after it was passed on.
    RenamedRepository,
}

impl From<RawDanger> for Danger {
    fn from(raw: RawDanger) -> Self {
        match raw {
            RawDanger::AnyRepository => Self::AnyRepository,
            RawDanger::Fork => Self::Fork,
            RawDanger::RenamedRepository => Self::RenamedRepository,
        }
    }
}

/// A read `[[entry]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryTable {
    /// Where it stands.
    pub at: KeyPath,
    /// Its position among the tables of its kind, counted from 0.
    pub position: usize,
    /// Its name.
    pub name: EntryName,
    /// Whose workloads it names.
    pub attestor: AttestorName,
    /// What attributes must be.
    pub conditions: Conditions,
    /// The template of the SPIFFE ID's path, as written.
    pub spiffe_id: String,
    /// Whom it may name although nobody meant them.
    pub dangerous_admits: Vec<Danger>,
}

/// Reads the `[[entry]]` tables.
pub(super) fn read(
    raw: Vec<RawEntry>,
    attestors: &Names,
    names: &mut Names,
    problems: &mut Problems,
) -> Vec<EntryTable> {
    let list = KeyPath::root().key("entry");
    let mut out = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let at = list.index(index);
        let name = raw.name.and_then(|name| names.declare(&name, index, &list, problems));
        let attestor = raw
            .attestor
            .and_then(|name| attestors.refer(&name, &at.key("attestor"), problems));
        let conditions = condition::read(raw.conditions, &at.key("match"), problems);
        let spiffe_id = raw
            .spiffe_id
            .and_then(|text| problems.take(&at.key("spiffe_id"), path_template(text)));
        if let (Some(name), Some(attestor), Some(spiffe_id)) = (name, attestor, spiffe_id) {
            out.push(EntryTable {
                at,
                position: index,
                name,
                attestor,
                conditions,
                spiffe_id,
                dangerous_admits: raw.dangerous_admits.into_iter().map(Danger::from).collect(),
            });
        }
    }
    out
}

fn path_template(text: String) -> Result<String, Fault> {
    if text.starts_with('/') {
        Ok(text)
    } else {
        let expected = "a path that begins with `/`; the trust domain is ours";
        Err(Fault::value(&text, expected))
    }
}
