//! Identity documents of simulated instances against a configured attestor.

mod battery;
mod document;
mod settings;

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use super::{
    sim::{InstanceSim, RegionSim},
    *,
};
use crate::{
    attest::{Challenges, OwnDocuments, OwnStore, Possession},
    clock::{FakeClock, parse_rfc3339},
    fetch::Fetch,
    spiffe::TrustDomain,
};

const ACCOUNT: &str = "123456789012";
const INSTANCE: &str = "i-0123456789abcdef0";
const STARTED: &str = "2026-01-16T14:39:00Z";

static FRANKFURT: LazyLock<Arc<RegionSim>> = LazyLock::new(|| Arc::new(RegionSim::new("eu-central-1", 7).unwrap()));
static DUBLIN: LazyLock<Arc<RegionSim>> = LazyLock::new(|| Arc::new(RegionSim::new("eu-west-1", 8).unwrap()));

/// A minute after the instance started.
fn now() -> SystemTime {
    parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

fn instance() -> InstanceSim {
    InstanceSim::start(Arc::clone(&FRANKFURT), ACCOUNT, INSTANCE, STARTED)
}

/// Returns evidence of the instance's document after a change of it.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut document = instance().document();
    change(&mut document);
    FRANKFURT.rsa2048(document.to_string().as_bytes())
}

/// A directory with the certificate of Frankfurt, and the table that names it.
struct Table {
    directory: tempfile::TempDir,
    text: String,
}

impl Table {
    fn good() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("eu-central-1.pem");
        std::fs::write(&file, FRANKFURT.certificate_pem()).unwrap();
        let text = format!(
            "accounts = [\"{ACCOUNT}\"]\n[certificate_files]\neu-central-1 = \"{}\"\n",
            file.display()
        );
        Self { directory, text }
    }

    fn with(mut self, line: &str) -> Self {
        self.text = format!("{line}\n{}", self.text);
        self
    }

    fn configured(&self) -> Result<AwsInstanceAttestor, Misconfigured> {
        let context = AttestorContext {
            name: AttestorName::parse("instances").unwrap(),
            issuer: "https://id.acme.example".to_owned(),
            trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
            own: OwnDocuments::default(),
            store: OwnStore::default(),
            challenges: Challenges::default(),
            fetch: Arc::new(Fetch::system()),
            clock: FakeClock::at("2026-01-16T14:40:00Z"),
        };
        AwsInstanceAttestor::configure(context, self.text.parse().unwrap())
    }
}

fn attestor() -> AwsInstanceAttestor {
    Table::good()
        .configured()
        .unwrap_or_else(|refused| panic!("{refused:?}"))
}

fn evidence(text: &str) -> Evidence {
    Evidence::new(Secret::new(text), None, Possession::Bearer)
}

fn judged_at(text: &str, now: SystemTime) -> Verdict {
    attestor().verdict(&evidence(text), now)
}

fn attested(text: &str) -> Attestation {
    match judged_at(text, now()) {
        Verdict::Attested(attestation) => *attestation,
        Verdict::NotMine => panic!("not mine"),
        Verdict::Refused(refusal) => panic!("{refusal} ({refusal:?})"),
    }
}

fn refused(text: &str) -> AttestRefusal {
    refused_at(text, now())
}

fn refused_at(text: &str, now: SystemTime) -> AttestRefusal {
    match judged_at(text, now) {
        Verdict::Refused(refusal) => refusal,
        Verdict::NotMine => panic!("not mine"),
        Verdict::Attested(attestation) => panic!("{attestation:?}"),
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
