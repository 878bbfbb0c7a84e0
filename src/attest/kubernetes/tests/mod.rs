//! Tokens of simulated clusters against a configured attestor, over real TLS on loopback.

mod battery;
mod claims;
mod review;
mod settings;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{
    KubernetesAttestor,
    sim::{ClusterSim, Pod},
};
use crate::{
    attest::{
        AttestRefusal, Attestation, Attestor, AttestorContext, AttestorName, Challenges, Evidence, Misconfigured,
        OwnDocuments, OwnStore, Possession, Verdict,
    },
    clock::{self, Clock as _, FakeClock},
    fetch::Fetch,
    http::{listener::Stop, tls::Certificate},
    secret::Secret,
    sim::{Listen as _, ca, server::Loopback},
    spiffe::TrustDomain,
};

const AUDIENCE: &str = "https://id.acme.example";
const REVIEWER: &str = "reviewer-token";

/// A cluster that answers, and one pod in it.
struct Stage {
    cluster: Arc<ClusterSim>,
    clock: Arc<FakeClock>,
    url: String,
    pod: Pod,
    directory: tempfile::TempDir,
    loopback: Loopback,
    _stop: watch::Sender<bool>,
}

impl Stage {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = ca::create(directory.path(), clock::system().now()).unwrap();
        let certificate = Certificate::load(&files.certificate, &files.key).unwrap();
        let (switch, stop) = Stop::switch();
        let loopback = Loopback::new(certificate.server_config().unwrap(), stop);
        let clock = FakeClock::at("2026-01-16T14:40:00Z");
        let (cluster, url) = started(&loopback, "kid-1", &clock);
        cluster.let_review(REVIEWER);
        std::fs::write(directory.path().join("reviewer"), format!("{REVIEWER}\n")).unwrap();
        let pod = cluster.run("shop", "deploy", "deploy-7d9f");
        Self {
            cluster,
            clock,
            url,
            pod,
            directory,
            loopback,
            _stop: switch,
        }
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the table of an attestor that finds the cluster's keys by discovery.
    fn discovering(&self) -> String {
        format!(
            "cluster = \"prod\"\nissuer = \"{}\"\nca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\n",
            self.url,
            self.file("ca.pem").display(),
        )
    }

    /// Returns the table of an attestor whose keys are pinned.
    fn pinning(&self) -> String {
        std::fs::write(self.file("jwks.json"), self.cluster.jwks().to_string()).unwrap();
        format!(
            "cluster = \"prod\"\nissuer = \"{}\"\njwks_file = \"{}\"\n",
            self.url,
            self.file("jwks.json").display(),
        )
    }

    /// Returns the table of a review, for behind another.
    fn reviewing(&self) -> String {
        format!(
            "[token_review]\nurl = \"{}\"\ncredential_file = \"{}\"\nca_file = \"{}\"\n\
             allow_addresses = [\"127.0.0.0/8\"]\n",
            self.url,
            self.file("reviewer").display(),
            self.file("ca.pem").display(),
        )
    }

    fn reviewed(&self) -> KubernetesAttestor {
        attestor(&format!("{}{}", self.discovering(), self.reviewing()))
    }

    fn claims(&self) -> Map<String, Value> {
        self.cluster.claims(&self.pod, AUDIENCE)
    }

    fn token(&self, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.cluster.sign(&claims).unwrap()
    }

    async fn judge(&self, attestor: &KubernetesAttestor, token: &str) -> Verdict {
        attestor.judge(&evidence(token), self.now()).await
    }

    async fn attested(&self, attestor: &KubernetesAttestor) -> Attestation {
        attested(self.judge(attestor, &self.token(|_| {})).await)
    }

    /// Returns why the cluster's token is refused after a change of its claims.
    async fn refused(&self, change: impl FnOnce(&mut Map<String, Value>)) -> AttestRefusal {
        refused(self.judge(&attestor(&self.pinning()), &self.token(change)).await)
    }
}

fn started(loopback: &Loopback, kid: &str, clock: &Arc<FakeClock>) -> (Arc<ClusterSim>, String) {
    let bound = loopback.bind().unwrap();
    let clock: Arc<dyn clock::Clock> = Arc::<FakeClock>::clone(clock);
    let cluster = Arc::new(ClusterSim::new(bound.url.clone(), kid, clock).unwrap());
    (bound.serve)(Arc::clone(&cluster).router());
    (cluster, bound.url)
}

fn configured(table: &str) -> Result<KubernetesAttestor, Misconfigured> {
    let context = AttestorContext {
        name: AttestorName::parse("prod-cluster").unwrap(),
        issuer: AUDIENCE.to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        own: OwnDocuments::default(),
        challenges: Challenges::default(),
        store: OwnStore::default(),
        fetch: Arc::new(Fetch::system()),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
    };
    KubernetesAttestor::configure(context, table.parse().unwrap())
}

fn attestor(table: &str) -> KubernetesAttestor {
    configured(table).unwrap_or_else(|refused| panic!("{refused:?}"))
}

fn evidence(token: &str) -> Evidence {
    Evidence::new(Secret::new(token), None, Possession::Bearer)
}

fn attested(verdict: Verdict) -> Attestation {
    match verdict {
        Verdict::Attested(attestation) => *attestation,
        Verdict::NotMine => panic!("not mine"),
        Verdict::Refused(refusal) => panic!("{refusal} ({refusal:?})"),
    }
}

fn refused(verdict: Verdict) -> AttestRefusal {
    match verdict {
        Verdict::Refused(refusal) => refusal,
        Verdict::NotMine => panic!("not mine"),
        Verdict::Attested(attestation) => panic!("{attestation:?}"),
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Changes a member of the claim `kubernetes.io`.
fn private(claims: &mut Map<String, Value>, change: impl FnOnce(&mut Map<String, Value>)) {
    change(claims["kubernetes.io"].as_object_mut().unwrap());
}
