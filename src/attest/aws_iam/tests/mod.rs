//! Tokens of a simulated account against a configured attestor, over real TLS on loopback.

mod battery;
mod claims;
mod metadata;
mod settings;
mod use_rule;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{
    AwsIamAttestor,
    sim::{AwsAccountSim, Ec2Instance},
};
use crate::{
    attest::{
        AttestRefusal, Attestation, Attestor, AttestorContext, AttestorName, Challenges, Evidence, Misconfigured,
        OwnDocuments, OwnStore, Possession, Verdict,
    },
    clock::{self, Clock as _, FakeClock, unix_seconds},
    fetch::Fetch,
    http::{listener::Stop, tls::Certificate},
    secret::{Digest, Secret, SystemRandom},
    sim::{ca, server::Loopback},
    spiffe::TrustDomain,
};

const AUDIENCE: &str = "https://id.acme.example";
const OWN: &str = "https://sts.amazonaws.com/";

/// An account with an issuer, an STS and one instance.
struct Stage {
    aws: Arc<AwsAccountSim>,
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
        let aws = started(&loopback, &clock, Ec2Instance::example());
        Self {
            aws,
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

    /// Returns the table of an attestor of these accounts, by their numbers and issuers.
    fn table_of(&self, accounts: &[(&str, &str)]) -> String {
        let accounts: Vec<String> = accounts
            .iter()
            .map(|(account, issuer)| format!("{{ account = \"{account}\", issuer = \"{issuer}\", name = \"shop\" }}"))
            .collect();
        format!(
            "accounts = [{}]\nca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\n",
            accounts.join(", "),
            self.file("ca.pem").display(),
        )
    }

    fn table(&self) -> String {
        self.table_of(&[("123456789012", self.aws.issuer())])
    }

    fn claims(&self) -> Map<String, Value> {
        self.aws.claims(AUDIENCE)
    }

    fn token(&self, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.aws.sign(&claims).unwrap()
    }

    async fn judge(&self, attestor: &AwsIamAttestor, token: &str) -> Verdict {
        attestor.judge(&evidence(token), self.now()).await
    }

    async fn attested(&self, attestor: &AwsIamAttestor) -> Attestation {
        attested(self.judge(attestor, &self.token(|_| {})).await)
    }

    /// Returns why the role's token is refused after a change of its claims.
    async fn refused(&self, change: impl FnOnce(&mut Map<String, Value>)) -> AttestRefusal {
        refused(self.judge(&attestor(&self.table()), &self.token(change)).await)
    }
}

fn started(loopback: &Loopback, clock: &Arc<FakeClock>, instance: Ec2Instance) -> Arc<AwsAccountSim> {
    let told: Arc<dyn clock::Clock> = Arc::<FakeClock>::clone(clock);
    AwsAccountSim::start(loopback, instance, told, Arc::new(SystemRandom)).unwrap()
}

fn configured(table: &str) -> Result<AwsIamAttestor, Misconfigured> {
    let context = AttestorContext {
        challenges: Challenges::default(),
        name: AttestorName::parse("roles").unwrap(),
        issuer: AUDIENCE.to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        own: OwnDocuments::default(),
        store: OwnStore::default(),
        fetch: Arc::new(Fetch::system()),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
    };
    AwsIamAttestor::configure(context, table.parse().unwrap())
}

fn attestor(table: &str) -> AwsIamAttestor {
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

/// Changes a member of AWS's own claim.
fn own(claims: &mut Map<String, Value>, member: &str, value: Value) {
    claims[OWN].as_object_mut().unwrap().insert(member.to_owned(), value);
}
