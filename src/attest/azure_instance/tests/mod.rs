//! Tokens of a simulated tenant against a configured attestor, over real TLS on loopback.

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
    AzureInstanceAttestor,
    sim::{AzureMachine, AzureSim, TokenVersion},
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

const AUDIENCE: &str = "api://cambio.acme.example";
const TENANT: &str = "0f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f";

/// A tenant and one machine.
struct Stage {
    azure: Arc<AzureSim>,
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
        let azure = started(&loopback, &clock, AzureMachine::example());
        Self {
            azure,
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

    fn table(&self) -> String {
        format!(
            "tenants = [\"{TENANT}\"]\naudience = \"{AUDIENCE}\"\nauthority = \"{}\"\nca_file = \"{}\"\n\
             allow_addresses = [\"127.0.0.0/8\"]\n",
            self.azure.authority(),
            self.file("ca.pem").display(),
        )
    }

    fn claims(&self) -> Map<String, Value> {
        self.azure.claims(AUDIENCE, TokenVersion::Two)
    }

    fn token(&self, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.azure.sign(&claims).unwrap()
    }

    async fn judge(&self, attestor: &AzureInstanceAttestor, token: &str) -> Verdict {
        attestor.judge(&evidence(token), self.now()).await
    }

    async fn attested(&self, attestor: &AzureInstanceAttestor) -> Attestation {
        attested(self.judge(attestor, &self.token(|_| {})).await)
    }

    /// Returns why the machine's token is refused after a change of its claims.
    async fn refused(&self, change: impl FnOnce(&mut Map<String, Value>)) -> AttestRefusal {
        refused(self.judge(&attestor(&self.table()), &self.token(change)).await)
    }
}

fn started(loopback: &Loopback, clock: &Arc<FakeClock>, machine: AzureMachine) -> Arc<AzureSim> {
    let told: Arc<dyn clock::Clock> = Arc::<FakeClock>::clone(clock);
    AzureSim::start(loopback, machine, told).unwrap()
}

fn configured(table: &str) -> Result<AzureInstanceAttestor, Misconfigured> {
    let context = AttestorContext {
        challenges: Challenges::default(),
        name: AttestorName::parse("machines").unwrap(),
        issuer: "https://id.acme.example".to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        own: OwnDocuments::default(),
        store: OwnStore::default(),
        fetch: Arc::new(Fetch::system()),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
    };
    AzureInstanceAttestor::configure(context, table.parse().unwrap())
}

fn attestor(table: &str) -> AzureInstanceAttestor {
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
