//! The development virtual machine of Azure.

use std::{error::Error, sync::Arc};

use serde_json::json;

use super::{AzureMachine, AzureSim, TokenVersion};
use crate::sim::{Ground, Platform, SeedPlatforms};

/// Starts a machine, and registers the gateway as an application of its tenant.
pub(in crate::attest::azure_instance) const SEED: SeedPlatforms = |ground| Box::pin(async move { start(&ground) });

fn start(ground: &Ground) -> Result<Vec<Platform>, Box<dyn Error + Send + Sync>> {
    let machine = AzureMachine::example();
    let simulated = AzureSim::start(&*ground.listen, machine.clone(), Arc::clone(&ground.clock))?;
    // An application may be registered under an https URL, so that the gateway's issuer names it as everywhere.
    simulated.register(&ground.issuer, APPLICATION_ID, TokenVersion::One);
    let mut attestor = ground.reach();
    attestor.extend([
        ("kind".to_owned(), "azure_instance".into()),
        ("tenants".to_owned(), toml::Value::Array(vec![machine.tenant_id.into()])),
        ("audience".to_owned(), ground.issuer.as_str().into()),
        ("authority".to_owned(), simulated.authority().into()),
    ]);
    Ok(vec![Platform {
        name: "azure_instance",
        attestor,
        matches: toml::Table::from_iter([(
            "azure.principal_id".to_owned(),
            machine.system_assigned.principal_id.into(),
        )]),
        variables: vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", simulated.metadata().to_owned())],
        token: None,
        ready: json!({ "issuer": simulated.issuer(TokenVersion::One) }),
        simulator: simulated,
    }])
}

const APPLICATION_ID: &str = "3f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f";
