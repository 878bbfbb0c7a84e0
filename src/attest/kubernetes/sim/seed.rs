//! The development cluster: one pod, whose token the simulated kubelet mounts and renews.

use std::{error::Error, path::Path, sync::Arc, time::Duration};

use serde_json::json;

use super::{ClusterSim, Pod};
use crate::{
    secret::hex,
    sim::{Ground, Platform, SeedPlatforms, ca::write_private},
};

/// Starts a cluster with one pod.
pub(in crate::attest::kubernetes) const SEED: SeedPlatforms = |ground| Box::pin(async move { start(&ground) });

fn start(ground: &Ground) -> Result<Vec<Platform>, Box<dyn Error + Send + Sync>> {
    let bound = ground.listen.bind()?;
    let url = bound.url;
    let cluster = Arc::new(ClusterSim::new(url.clone(), "development", Arc::clone(&ground.clock))?);
    (bound.serve)(Arc::clone(&cluster).router());
    let reviewer = ground.directory.join("reviewer-token");
    let mut credential = [0; 16];
    ground.random.fill(&mut credential)?;
    write_private(&reviewer, hex(&credential).as_bytes())?;
    cluster.let_review(&hex(&credential));
    let pod = cluster.run("shop", "deploy", "deploy-7d4b9");
    let mounted = ground.directory.join("pod-token");
    let (issuer, audience) = (Arc::clone(&cluster), ground.issuer.clone());
    let mount = move |path: &Path| mount(&issuer, (&pod, &audience), path);
    mount(&mounted)?;
    tokio::spawn(renew(mount, mounted.clone()));
    let mut review = ground.reach();
    review.extend([
        ("url".to_owned(), url.as_str().into()),
        ("credential_file".to_owned(), reviewer.display().to_string().into()),
    ]);
    let mut attestor = ground.reach();
    attestor.extend([
        ("kind".to_owned(), "kubernetes".into()),
        ("cluster".to_owned(), "dev".into()),
        ("issuer".to_owned(), url.as_str().into()),
        ("token_review".to_owned(), review.into()),
    ]);
    let matches = [("k8s.namespace", "shop"), ("k8s.service_account", "deploy")];
    Ok(vec![Platform {
        name: "kubernetes",
        attestor,
        matches: matches
            .map(|(key, value)| (key.to_owned(), value.into()))
            .into_iter()
            .collect(),
        variables: vec![("CAMBIO_TOKEN_FILE", mounted.display().to_string())],
        token: None,
        ready: json!({ "issuer": url }),
        simulator: cluster,
    }])
}

fn mount(cluster: &ClusterSim, (pod, audience): (&Pod, &str), path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let token = cluster.sign(&cluster.claims(pod, audience))?;
    // As the kubelet: readers see the old token or the new one.
    let temporary = path.with_extension("new");
    write_private(&temporary, token.as_bytes())?;
    Ok(std::fs::rename(&temporary, path)?)
}

/// Renews the token until its directory is gone.
async fn renew(mount: impl Fn(&Path) -> Result<(), Box<dyn Error + Send + Sync>> + Send, path: std::path::PathBuf) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        if mount(&path).is_err() {
            return;
        }
    }
}

/// Long before the hour that a token lives; the kubelet renews after 80 % of it.
const RENEWAL: Duration = Duration::from_mins(10);
