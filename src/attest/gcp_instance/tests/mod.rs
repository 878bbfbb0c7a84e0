//! Tokens of simulated instances against a configured attestor, over real TLS on loopback.

mod battery;
mod claims;
mod metadata;
mod settings;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    GcpInstanceAttestor,
    sim::{GceSim, Instance},
};
use crate::{
    attest::{
        Attestor, Misconfigured,
        suite::{self, Place, TokenStage, attested, refused},
    },
    clock::{self, Clock as _, FakeClock, unix_seconds},
};

const AUDIENCE: &str = "https://id.acme.example";
const PROJECTS: &str = "projects = [\"123456789012\"]\n";

/// An issuer and the metadata server of one instance.
struct Stage {
    gce: Arc<GceSim>,
    place: Place,
}

impl TokenStage for Stage {
    type Judge = GcpInstanceAttestor;

    fn start() -> Self {
        let place = Place::find();
        let gce = started(&place);
        Self { gce, place }
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn attestor(table: &str) -> GcpInstanceAttestor {
        attestor(table)
    }

    fn table(&self) -> String {
        format!("{PROJECTS}issuer = \"{}\"\n{}", self.gce.issuer(), self.place.reach())
    }

    fn pinning(&self) -> String {
        std::fs::write(self.file("jwks.json"), self.gce.jwks().to_string()).unwrap();
        format!(
            "{PROJECTS}issuer = \"{}\"\njwks_file = \"{}\"\n",
            self.gce.issuer(),
            self.file("jwks.json").display(),
        )
    }

    fn claims(&self) -> Map<String, Value> {
        self.gce.claims(AUDIENCE)
    }

    fn sign(&self, claims: &Map<String, Value>) -> String {
        self.gce.sign(claims).unwrap()
    }
}

fn started(place: &Place) -> Arc<GceSim> {
    let told: Arc<dyn clock::Clock> = Arc::<FakeClock>::clone(&place.clock);
    GceSim::start(&place.loopback, Instance::example(place.clock.now()), told).unwrap()
}

fn configured(table: &str) -> Result<GcpInstanceAttestor, Misconfigured> {
    GcpInstanceAttestor::configure(suite::context("instances"), table.parse().unwrap())
}

fn attestor(table: &str) -> GcpInstanceAttestor {
    configured(table).unwrap_or_else(|refused| panic!("{refused:?}"))
}

/// Changes a member of the claim `google.compute_engine`.
fn engine(claims: &mut Map<String, Value>, change: impl FnOnce(&mut Map<String, Value>)) {
    change(claims["google"]["compute_engine"].as_object_mut().unwrap());
}
