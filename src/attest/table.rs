//! An attestor's table of the configuration, read strictly.
//!
//! It must never let a key pass that the table does not have.

use serde::de::DeserializeOwned;

use super::Misconfigured;

/// Reads a table without `name` and `kind`.
pub(in crate::attest) fn read<T: DeserializeOwned>(table: toml::Table) -> Result<T, Misconfigured> {
    serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
        let key = error.path().to_string();
        let key = if key == "." { String::new() } else { key };
        misconfigured("config.attestor_table", &key, error.into_inner().to_string())
    })
}

/// Returns what is wrong with `key`, a path within the table.
pub(in crate::attest) fn misconfigured(code: &'static str, key: &str, problem: String) -> Misconfigured {
    Misconfigured {
        code,
        key: key.to_owned(),
        problem,
    }
}
