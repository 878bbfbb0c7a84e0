//! Where an identity may go: the `[[relying_party]]` tables.
//!
//! What is in a table beside the keys named here belongs to the plugin of that kind.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{attestor::known_kind, diagnostic::Problems, name::Names, path::KeyPath};
use crate::authorize::RelyingPartyName;

/// `[[relying_party]]` as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RawRelyingParty {
    /// Name, for `grant.relying_parties` and requests: 1 to 64 characters of a-z, 0-9, `-`, `_`.
    #[schemars(required, extend("examples" = ["aws-prod"]))]
    name: Option<String>,
    /// Kind of relying party; its other keys are on the kind's page.
    #[schemars(required, extend("examples" = ["aws_sts"]))]
    kind: Option<String>,
    /// Another trust scope may have the same audience: a token for one opens the other as well.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    shared_audience: bool,
    /// Several workloads may have the same subject there: it cannot tell them apart.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    shared_subject: bool,
    #[serde(flatten)]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    table: toml::Table,
}

/// A read `[[relying_party]]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct RelyingPartyTable {
    /// Where it stands.
    pub at: KeyPath,
    /// Its position among the tables of its kind, counted from 0.
    pub position: usize,
    /// Its name.
    pub name: RelyingPartyName,
    /// Its kind, one of [`crate::exchange::BUILTINS`].
    pub kind: String,
    /// Whether another trust scope may have the same audience.
    pub shared_audience: bool,
    /// Whether several workloads may have the same subject there.
    pub shared_subject: bool,
    /// What the plugin is configured from.
    pub table: toml::Table,
}

/// Reads the `[[relying_party]]` tables.
pub(super) fn read(
    raw: Vec<RawRelyingParty>,
    kinds: &[&str],
    names: &mut Names,
    problems: &mut Problems,
) -> Vec<RelyingPartyTable> {
    let list = KeyPath::root().key("relying_party");
    let mut out = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let at = list.index(index);
        let name = raw.name.and_then(|name| names.declare(&name, index, &list, problems));
        let kind = raw
            .kind
            .and_then(|kind| problems.take(&at.key("kind"), known_kind(kind, kinds)));
        if let (Some(name), Some(kind)) = (name, kind) {
            out.push(RelyingPartyTable {
                at,
                position: index,
                name,
                kind,
                shared_audience: raw.shared_audience,
                shared_subject: raw.shared_subject,
                table: raw.table,
            });
        }
    }
    out
}
