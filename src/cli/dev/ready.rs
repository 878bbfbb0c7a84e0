//! The ready file: what runs where, for scripts and SDKs (ARCHITECTURE section 8).

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::development::Development;
use crate::sim::{Platform, ca::write_private, world};

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
        let platforms = world
            .platforms
            .iter()
            .map(|platform| (platform.name.to_owned(), platform_content(platform)));
        members.insert("platforms".to_owned(), platforms.collect::<Map<_, _>>().into());
        let cluster = world.platforms.iter().find(|platform| platform.name == "kubernetes");
        members
            .extend(cluster.and_then(|cluster| Some(("k8s_issuer".to_owned(), cluster.ready.get("issuer")?.clone()))));
        let mut names = Map::new();
        for cloud in &world.clouds {
            members.insert(cloud.section.to_owned(), cloud.ready.clone());
            names.insert(cloud.section.to_owned(), cloud.name.into());
        }
        members.insert("relying_parties".to_owned(), Value::Object(names));
    }
    content
}

/// What a workload of the platform finds, so that a shell can play it.
fn platform_content(platform: &Platform) -> Value {
    let variables: Map<_, _> = platform
        .variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
        .collect();
    let mut content = json!({ "variables": variables });
    if let (Some(members), Some(ready)) = (content.as_object_mut(), platform.ready.as_object()) {
        members.extend(ready.clone());
        members.extend(
            platform
                .token
                .as_ref()
                .map(|(variable, _)| ("token_variable".to_owned(), json!(variable))),
        );
    }
    content
}
