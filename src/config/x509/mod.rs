//! Who certifies our intermediates: the `[x509]` table.

use schemars::JsonSchema;
use serde::Deserialize;

/// `[x509]` as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawX509 {
    /// Where the key of the root is: sealed in the store, or outside, with an authority that certifies our intermediates.
    #[serde(default)]
    #[schemars(with = "Root", extend("default" = "store"))]
    root: Option<Root>,
}

/// Where the key of the root is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// With an authority that is not ours.
    Outside,
    /// Sealed in the store.
    #[default]
    Store,
}

/// Who certifies our intermediates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct X509 {
    /// Where the key of the root is.
    pub root: Root,
}

/// Reads `[x509]`.
pub(super) fn read(raw: &RawX509) -> X509 {
    X509 {
        root: raw.root.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
