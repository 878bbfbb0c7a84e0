//! Who we believe: the `[[attestor]]` tables.
//!
//! What is in a table beside `name` and `kind` belongs to the plugin of that kind.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    diagnostic::{Fault, Problems},
    name::Names,
    path::KeyPath,
};
use crate::{attest::AttestorName, name::nearest::nearest};

/// `[[attestor]]` as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RawAttestor {
    /// Name, for `entry.attestor`: 1 to 64 characters of a-z, 0-9, `-`, `_`.
    #[schemars(required, extend("examples" = ["github"]))]
    name: Option<String>,
    /// Kind of attestor; its other keys are on the kind's page.
    #[schemars(required, extend("examples" = ["oidc"]))]
    kind: Option<String>,
    #[serde(flatten)]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    table: toml::Table,
}

/// A read `[[attestor]]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct AttestorTable {
    /// Where it stands.
    pub at: KeyPath,
    /// Its position among the tables of its kind, counted from 0.
    pub position: usize,
    /// Its name.
    pub name: AttestorName,
    /// Its kind, one of [`crate::attest::BUILTINS`].
    pub kind: String,
    /// What the plugin is configured from.
    pub table: toml::Table,
}

/// Reads the `[[attestor]]` tables.
pub(super) fn read(
    raw: Vec<RawAttestor>,
    kinds: &[&str],
    names: &mut Names,
    problems: &mut Problems,
) -> Vec<AttestorTable> {
    let list = KeyPath::root().key("attestor");
    let mut out = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let at = list.index(index);
        let name = raw.name.and_then(|name| names.declare(&name, index, &list, problems));
        let kind = raw
            .kind
            .and_then(|kind| problems.take(&at.key("kind"), known_kind(kind, kinds)));
        if let (Some(name), Some(kind)) = (name, kind) {
            out.push(AttestorTable {
                at,
                position: index,
                name,
                kind,
                table: raw.table,
            });
        }
    }
    out
}

/// Returns the kind if it is compiled in.
///
/// # Errors
/// Refuses any other, with the nearest.
pub(super) fn known_kind(kind: String, kinds: &[&str]) -> Result<String, Fault> {
    if kinds.contains(&kind.as_str()) {
        return Ok(kind);
    }
    let expected = format!("one of {}", kinds.join(", "));
    let fault = Fault::new("config.kind_unknown", format_args!("`{kind}`"), expected);
    Err(match nearest(&kind, kinds.iter().copied()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault,
    })
}
