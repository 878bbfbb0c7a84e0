//! The development instance of Compute Engine.

use std::{error::Error, sync::Arc};

use serde_json::json;

use super::{GceSim, Instance};
use crate::sim::{Ground, Platform, SeedPlatforms};

/// Starts an instance.
pub(in crate::attest::gcp_instance) const SEED: SeedPlatforms = |ground| Box::pin(async move { start(&ground) });

fn start(ground: &Ground) -> Result<Vec<Platform>, Box<dyn Error + Send + Sync>> {
    let instance = Instance::example(ground.clock.now());
    let simulated = GceSim::start(&*ground.listen, instance.clone(), Arc::clone(&ground.clock))?;
    let mut attestor = ground.reach();
    attestor.extend([
        ("kind".to_owned(), "gcp_instance".into()),
        ("issuer".to_owned(), simulated.issuer().into()),
        (
            "projects".to_owned(),
            toml::Value::Array(vec![instance.project_number.to_string().into()]),
        ),
    ]);
    let host = simulated.metadata().trim_start_matches("http://").to_owned();
    Ok(vec![Platform {
        name: "gcp_instance",
        attestor,
        matches: toml::Table::from_iter([("gcp.service_account_id".to_owned(), instance.service_account_id.into())]),
        variables: vec![("GCE_METADATA_HOST", host)],
        token: None,
        ready: json!({ "issuer": simulated.issuer() }),
        simulator: simulated,
    }])
}
