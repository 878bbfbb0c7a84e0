//! Tokens of simulated clusters against a configured attestor, over real TLS on loopback.

mod battery;
mod claims;
mod review;
mod settings;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    KubernetesAttestor,
    sim::{ClusterSim, Pod},
};
use crate::{
    attest::{
        Misconfigured, Verdict,
        suite::{self, Place, TokenStage, attested, refused, seconds},
    },
    clock::{self, FakeClock},
    sim::Listen as _,
};

const AUDIENCE: &str = "https://id.acme.example";
const REVIEWER: &str = "reviewer-token";

/// A cluster that answers, and one pod in it.
struct Stage {
    cluster: Arc<ClusterSim>,
    url: String,
    pod: Pod,
    place: Place,
}

impl TokenStage for Stage {
    type Judge = KubernetesAttestor;

    fn start() -> Self {
        let place = Place::find();
        let (cluster, url) = started(&place, "kid-1");
        cluster.let_review(REVIEWER);
        std::fs::write(place.file("reviewer"), format!("{REVIEWER}\n")).unwrap();
        let pod = cluster.run("shop", "deploy", "deploy-7d9f");
        Self {
            cluster,
            url,
            pod,
            place,
        }
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn attestor(table: &str) -> KubernetesAttestor {
        attestor(table)
    }

    fn table(&self) -> String {
        format!("cluster = \"prod\"\nissuer = \"{}\"\n{}", self.url, self.place.reach())
    }

    fn pinning(&self) -> String {
        std::fs::write(self.file("jwks.json"), self.cluster.jwks().to_string()).unwrap();
        format!(
            "cluster = \"prod\"\nissuer = \"{}\"\njwks_file = \"{}\"\n",
            self.url,
            self.file("jwks.json").display(),
        )
    }

    fn claims(&self) -> Map<String, Value> {
        self.cluster.claims(&self.pod, AUDIENCE)
    }

    fn sign(&self, claims: &Map<String, Value>) -> String {
        self.cluster.sign(claims).unwrap()
    }
}

impl Stage {
    /// Returns the table of a review, for behind another.
    fn reviewing(&self) -> String {
        format!(
            "[token_review]\nurl = \"{}\"\ncredential_file = \"{}\"\n{}",
            self.url,
            self.file("reviewer").display(),
            self.place.reach(),
        )
    }

    fn reviewed(&self) -> KubernetesAttestor {
        attestor(&format!("{}{}", self.table(), self.reviewing()))
    }
}

fn started(place: &Place, kid: &str) -> (Arc<ClusterSim>, String) {
    let bound = place.loopback.bind().unwrap();
    let clock: Arc<dyn clock::Clock> = Arc::<FakeClock>::clone(&place.clock);
    let cluster = Arc::new(ClusterSim::new(bound.url.clone(), kid, clock).unwrap());
    (bound.serve)(Arc::clone(&cluster).router());
    (cluster, bound.url)
}

fn configured(table: &str) -> Result<KubernetesAttestor, Misconfigured> {
    KubernetesAttestor::configure(suite::context("prod-cluster"), table.parse().unwrap())
}

fn attestor(table: &str) -> KubernetesAttestor {
    configured(table).unwrap_or_else(|refused| panic!("{refused:?}"))
}

/// Changes a member of the claim `kubernetes.io`.
fn private(claims: &mut Map<String, Value>, change: impl FnOnce(&mut Map<String, Value>)) {
    change(claims["kubernetes.io"].as_object_mut().unwrap());
}
