//! Tokens of simulated instances against a configured attestor, over real TLS on loopback.

mod battery;
mod claims;
mod metadata;
mod settings;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{
    GcpInstanceAttestor,
    sim::{GceSim, Instance},
};
use crate::{
    attest::{
        AttestRefusal, Attestation, Attestor, AttestorContext, AttestorName, Challenges, Evidence, Misconfigured,
        OwnDocuments, OwnStore, Possession, Verdict,
    },
    clock::{self, Clock as _, FakeClock, unix_seconds},
    fetch::Fetch,
    http::{listener::Stop, tls::Certificate},
    secret::Secret,
    sim::{ca, server::Loopback},
    spiffe::TrustDomain,
};

const AUDIENCE: &str = "https://id.acme.example";
const PROJECTS: &str = "projects = [\"123456789012\"]\n";

/// An issuer and the metadata server of one instance.
struct Stage {
    gce: Arc<GceSim>,
    clock: Arc<FakeClock>,
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
        let gce = started(&loopback, &clock);
        Self {
            gce,
            clock,
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

    /// Returns the table of an attestor that finds the keys by discovery.
    fn discovering(&self) -> String {
        format!(
            "{PROJECTS}issuer = \"{}\"\nca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\n",
            self.gce.issuer(),
            self.file("ca.pem").display(),
        )
    }

    /// Returns the table of an attestor whose keys are pinned.
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

    fn token(&self, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.gce.sign(&claims).unwrap()
    }

    async fn judge(&self, attestor: &GcpInstanceAttestor, token: &str) -> Verdict {
        attestor.judge(&evidence(token), self.now()).await
    }

    async fn attested(&self, attestor: &GcpInstanceAttestor) -> Attestation {
        attested(self.judge(attestor, &self.token(|_| {})).await)
    }

    /// Returns why the instance's token is refused after a change of its claims.
    async fn refused(&self, change: impl FnOnce(&mut Map<String, Value>)) -> AttestRefusal {
        refused(self.judge(&attestor(&self.pinning()), &self.token(change)).await)
    }
}

fn started(loopback: &Loopback, clock: &Arc<FakeClock>) -> Arc<GceSim> {
    let told: Arc<dyn clock::Clock> = Arc::<FakeClock>::clone(clock);
    GceSim::start(loopback, Instance::example(clock.now()), told).unwrap()
}

fn configured(table: &str) -> Result<GcpInstanceAttestor, Misconfigured> {
    let context = AttestorContext {
        challenges: Challenges::default(),
        name: AttestorName::parse("instances").unwrap(),
        issuer: AUDIENCE.to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        own: OwnDocuments::default(),
        store: OwnStore::default(),
        fetch: Arc::new(Fetch::system()),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
    };
    GcpInstanceAttestor::configure(context, table.parse().unwrap())
}

fn attestor(table: &str) -> GcpInstanceAttestor {
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

/// Changes a member of the claim `google.compute_engine`.
fn engine(claims: &mut Map<String, Value>, change: impl FnOnce(&mut Map<String, Value>)) {
    change(claims["google"]["compute_engine"].as_object_mut().unwrap());
}
