//! Starts the simulated Google with one provider and one service account for one workload, for the development world.
//!
//! Seeds nothing that the live cloud would refuse: it goes through the same administration.

use std::{collections::BTreeMap, error::Error, future::Future, path::Path, pin::Pin, sync::Arc};

use serde_json::json;

use super::GcpSim;
use crate::{
    exchange::gcp_sts::rules::provider::{ProviderName, ProviderSettings, TrustStore},
    sim::{Ground, Seeded, Told, ca},
};

const PROJECT: u64 = 123_456_789_012;
const POOL: &str = "cambio-dev";
const SERVICE_ACCOUNT: &str = "deploy@acme-dev.iam.gserviceaccount.com";

type Start = Result<Seeded, Box<dyn Error + Send + Sync>>;

/// Starts and seeds the simulator.
pub(in crate::exchange::gcp_sts) fn seed(ground: Ground) -> Pin<Box<dyn Future<Output = Start> + Send>> {
    Box::pin(async move { start(ground) })
}

fn start(ground: Ground) -> Start {
    let sim = Arc::new(GcpSim::new(ground.documents, ground.clock, ground.random));
    let provider = ProviderName::new(PROJECT, POOL, "cambio")?;
    sim.create_pool(PROJECT, POOL)?;
    let settings = ProviderSettings {
        issuer_uri: ground.issuer,
        attribute_mapping: BTreeMap::from([("google.subject".to_owned(), "assertion.sub".to_owned())]),
        attribute_condition: Some(format!("google.subject == '{}'", ground.subject)),
        ..ProviderSettings::default()
    };
    sim.create_provider(provider.clone(), settings)?;
    sim.create_service_account(SERVICE_ACCOUNT, "104857600000000000001")?;
    let member = format!(
        "principal://iam.googleapis.com/projects/{PROJECT}/locations/global/workloadIdentityPools/{POOL}/subject/{}",
        ground.subject
    );
    sim.bind(SERVICE_ACCOUNT, &member)?;
    let by_certificate = provider_of_certificates(&sim, &ground.ca_file, &ground.subject)?;
    let mutual = ground.listen.bind_mutual()?;
    let mutual_url = mutual.url.clone();
    (mutual.serve)(Arc::clone(&sim).sts_router());
    let (sts, iamcredentials) = (ground.listen.bind()?, ground.listen.bind()?);
    let (sts_url, iamcredentials_url) = (sts.url.clone(), iamcredentials.url.clone());
    (sts.serve)(Arc::clone(&sim).sts_router());
    (iamcredentials.serve)(Arc::clone(&sim).iamcredentials_router());
    let ca_file = ground.ca_file.display().to_string();
    let audience = provider.to_string();
    let mut relying_party = toml::Table::new();
    for (key, value) in [
        ("kind", "gcp_sts"),
        ("provider", &audience),
        ("service_account", SERVICE_ACCOUNT),
        ("sts_endpoint", &sts_url),
        ("iamcredentials_endpoint", &iamcredentials_url),
        ("ca_file", &ca_file),
    ] {
        relying_party.insert(key.to_owned(), value.into());
    }
    Ok(Seeded {
        relying_party,
        name: "gcp-dev",
        section: "gcp",
        ready: json!({
            "sts": sts_url, "iamcredentials": iamcredentials_url,
            "audience": audience, "service_account": SERVICE_ACCOUNT,
            "sts_mtls": mutual_url, "x509_audience": by_certificate.to_string(),
        }),
        try_next: vec![format!(
            "cambio exec gcp-dev -- sh -c 'curl -sS -w \"\\\\n\" --cacert {ca_file} -H \"Authorization: Bearer $GOOGLE_OAUTH_ACCESS_TOKEN\" \
             {iamcredentials_url}/v1/tokeninfo'"
        )],
        told: Some(told(Arc::clone(&sim), by_certificate)),
        simulator: sim,
    })
}

/// Creates a second provider of the pool, which takes certificates.
fn provider_of_certificates(
    sim: &GcpSim,
    ca_file: &Path,
    subject: &str,
) -> Result<ProviderName, Box<dyn Error + Send + Sync>> {
    let name = ProviderName::new(PROJECT, POOL, "cambio-x509")?;
    let settings = ProviderSettings {
        // Until the gateway has a root, the throw-away CA stands in its place; it issues no SVID.
        x509: Some(TrustStore {
            trust_anchors: vec![std::fs::read_to_string(ca_file)?],
            intermediate_cas: Vec::new(),
        }),
        attribute_mapping: BTreeMap::from([("google.subject".to_owned(), "assertion.san.uri[0]".to_owned())]),
        attribute_condition: Some(format!("google.subject == '{subject}'")),
        ..ProviderSettings::default()
    };
    sim.create_provider(name.clone(), settings)?;
    Ok(name)
}

/// Replaces the trust anchors by our roots, as a user does with the published ones.
fn told(sim: Arc<GcpSim>, provider: ProviderName) -> Told {
    Arc::new(move |roots: &[Vec<u8>]| {
        Ok(sim.replace_trust_anchors(&provider, roots.iter().map(|root| ca::pem(root)).collect())?)
    })
}
