//! Tokens of a simulated tenant against a configured attestor, over real TLS on loopback.

mod battery;
mod claims;
mod metadata;
mod settings;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    AzureInstanceAttestor,
    sim::{AzureMachine, AzureSim, TokenVersion},
};
use crate::{
    attest::{
        Misconfigured, Verdict,
        suite::{self, Place, TokenStage, attested, refused},
    },
    clock::{self, FakeClock, unix_seconds},
};

const AUDIENCE: &str = "api://cambio.acme.example";
const TENANT: &str = "0f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f";

/// A tenant and one machine.
struct Stage {
    azure: Arc<AzureSim>,
    place: Place,
}

impl TokenStage for Stage {
    type Judge = AzureInstanceAttestor;

    fn start() -> Self {
        let place = Place::find();
        let azure = started(&place, AzureMachine::example());
        Self { azure, place }
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn attestor(table: &str) -> AzureInstanceAttestor {
        attestor(table)
    }

    fn table(&self) -> String {
        format!(
            "tenants = [\"{TENANT}\"]\naudience = \"{AUDIENCE}\"\nauthority = \"{}\"\n{}",
            self.azure.authority(),
            self.place.reach(),
        )
    }

    fn claims(&self) -> Map<String, Value> {
        self.azure.claims(AUDIENCE, TokenVersion::Two)
    }

    fn sign(&self, claims: &Map<String, Value>) -> String {
        self.azure.sign(claims).unwrap()
    }
}

fn started(place: &Place, machine: AzureMachine) -> Arc<AzureSim> {
    let told: Arc<dyn clock::Clock> = Arc::<FakeClock>::clone(&place.clock);
    AzureSim::start(&place.loopback, machine, told).unwrap()
}

fn configured(table: &str) -> Result<AzureInstanceAttestor, Misconfigured> {
    AzureInstanceAttestor::configure(suite::context("machines"), table.parse().unwrap())
}

fn attestor(table: &str) -> AzureInstanceAttestor {
    configured(table).unwrap_or_else(|refused| panic!("{refused:?}"))
}
