//! A simulated AWS that trusts the gateway of the ground, and fetches its keys from the metadata listener.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use cambio::{
    exchange::{self, aws_sts::sim::AwsSim},
    secret::SystemRandom,
    sim::{self, Documents, IssuerDocuments, Unavailable, server::Loopback},
};
use serde_json::Value;

use crate::{
    ground::{Ground, HOST, ISSUER},
    load::{Client, get},
};

/// Starts it; returns it with the tables that the gateway is configured with.
pub(crate) async fn aws(ground: &Ground) -> (Arc<AwsSim>, String) {
    let client = Client::new(&ground.path("ca.pem"), ground.metadata_port);
    let tls = ground.certificate.server_config().expect("TLS settings");
    let seed = exchange::BUILTINS
        .iter()
        .find(|builtin| builtin.kind == "aws_sts")
        .and_then(|builtin| builtin.sim)
        .expect("a simulator");
    let seeded = seed(sim::Ground {
        documents: Arc::new(Metadata(client)),
        clock: Arc::clone(&ground.clock),
        random: Arc::new(SystemRandom),
        issuer: ISSUER.to_owned(),
        subject: "spiffe://bench.example/ci/acme/shop/deploy".to_owned(),
        listen: Arc::new(Loopback::new(tls, ground.stop.clone())),
        ca_file: ground.path("ca.pem"),
        directory: ground.path(""),
    })
    .await
    .expect("a simulated AWS");
    let table = toml::to_string(&seeded.relying_party).expect("a table");
    let tables = format!(
        "[[relying_party]]\nname = \"aws\"\n{table}\n[[grant]]\nname = \"to-aws\"\nentries = [\"shop-deploy\"]\n\
         relying_parties = [\"aws\"]\nttl = \"20m\"\n"
    );
    let simulator = seeded.simulator.downcast().expect("the simulator of AWS");
    (simulator, tables)
}

/// The documents as the metadata listener gives them: the issuer's name leads nowhere here, the port does.
struct Metadata(Client);

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metadata")
    }
}

impl Metadata {
    async fn json(&self, path: &str) -> Result<Value, Unavailable> {
        let unavailable = |reason: String| Unavailable {
            issuer: ISSUER.to_owned(),
            reason,
        };
        let mut connection = self
            .0
            .connect()
            .await
            .map_err(|failed| unavailable(failed.to_string()))?;
        let answer = connection.ask(&get(HOST, path)).await;
        let answer = answer.map_err(|failed| unavailable(failed.to_string()))?;
        serde_json::from_slice(&answer.body).map_err(|failed| unavailable(failed.to_string()))
    }
}

impl IssuerDocuments for Metadata {
    fn fetch<'a>(
        &'a self,
        _issuer: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Documents, Unavailable>> + Send + 'a>> {
        Box::pin(async move {
            Ok(Documents {
                discovery: self.json("/.well-known/openid-configuration").await?,
                jwks: self.json("/.well-known/jwks.json").await?,
            })
        })
    }
}
