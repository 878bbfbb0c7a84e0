//! The ready file: what runs where, for scripts and SDKs (ARCHITECTURE section 8).

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::development::Development;
use crate::sim::{ca::write_private, world};

/// Writes the ready file under a temporary name, mode 0600, then renames it: whoever sees it sees all of it.
pub(super) fn write(path: &Path, development: &Development) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(&content(development))?;
    let temporary = path.with_extension("partial");
    write_private(&temporary, &text).with_context(|| format!("`{}` cannot be written", temporary.display()))?;
    std::fs::rename(&temporary, path).with_context(|| format!("`{}` cannot be written", path.display()))
}

fn content(development: &Development) -> Value {
    let (world, place) = (&development.world, &development.place);
    let mut content = json!({
        "ca_file": world.files.ca,
        "config_file": place.configuration(),
        "issuer": development.issuer,
        "gateway": development.exchange_url,
        "admin": place.admin(),
        "audit_file": place.audit(),
        "ci_issuer": world.ci_url,
        "example": world::example_job(),
    });
    if let Some(members) = content.as_object_mut() {
        let mut names = Map::new();
        for cloud in &world.clouds {
            members.insert(cloud.section.to_owned(), cloud.ready.clone());
            names.insert(cloud.section.to_owned(), cloud.name.into());
        }
        members.insert("relying_parties".to_owned(), Value::Object(names));
    }
    content
}
