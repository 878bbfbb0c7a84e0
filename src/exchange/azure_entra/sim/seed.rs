//! Starts the simulated Entra with one application that trusts one workload, for the development world.
//!
//! Seeds nothing that the live cloud would refuse: it goes through the same administration.

use std::{error::Error, sync::Arc};

use serde_json::json;

use crate::{
    exchange::azure_entra::{
        rules::limits::NewCredential,
        sim::{ApplicationKind, EntraSim},
    },
    sim::{Ground, Seed, Seeded},
};

const TENANT: &str = "7d0c4b6e-2f51-4c5e-9a39-0f6a3f1c9b10";
const CLIENT_ID: &str = "c1a5e0d2-6b7f-4e8a-8d13-5b2e9f407a66";

/// Starts and seeds the simulator.
pub(in crate::exchange::azure_entra) const SEED: Seed = |ground| Box::pin(async move { start(ground) });

fn start(ground: Ground) -> Result<Seeded, Box<dyn Error + Send + Sync>> {
    let audience = format!("{}/azure/{CLIENT_ID}", ground.issuer);
    let sim = Arc::new(EntraSim::new(ground.documents, ground.clock, ground.random));
    sim.add_application(TENANT, CLIENT_ID, ApplicationKind::Confidential);
    let credential = NewCredential {
        name: "cambio-dev".to_owned(),
        issuer: ground.issuer,
        subject: ground.subject,
        audiences: vec![audience],
        description: Some("the development workload".to_owned()),
    };
    sim.add_credential(TENANT, CLIENT_ID, credential)?;
    let bound = ground.listen.bind()?;
    let authority = bound.url.clone();
    (bound.serve)(Arc::clone(&sim).router(authority.clone()));
    let ca_file = ground.ca_file.display().to_string();
    let mut relying_party = toml::Table::new();
    for (key, value) in [
        ("kind", "azure_entra"),
        ("tenant", TENANT),
        ("client_id", CLIENT_ID),
        ("authority", &authority),
        ("ca_file", &ca_file),
    ] {
        relying_party.insert(key.to_owned(), value.into());
    }
    Ok(Seeded {
        relying_party,
        name: "azure-dev",
        section: "azure",
        ready: json!({"authority": authority, "tenant": TENANT, "client_id": CLIENT_ID}),
        try_next: vec![format!(
            "cambio exec azure-dev -- sh -c 'curl -sS -w \"\\\\n\" --cacert {ca_file} -H \"Authorization: Bearer $AZURE_ACCESS_TOKEN\" \
             {authority}/_accepted'"
        )],
        told: None,
        simulator: sim,
    })
}
