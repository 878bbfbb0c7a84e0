//! What every attestor of signed tokens must do, whoever signs them.
//!
//! A kind's tests set up a [`TokenStage`]; `battery` breaks its tokens in each way, `claims` changes them in one point.

pub(in crate::attest) mod battery;
pub(in crate::attest) mod claims;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value};
use tokio::sync::watch;

use super::{
    AttestRefusal, Attestation, Attestor, AttestorContext, AttestorName, Challenges, Evidence, OwnDocuments, OwnStore,
    Possession, Verdict,
};
use crate::{
    clock::{self, Clock as _, FakeClock},
    fetch::Fetch,
    secret::Secret,
    sim::server::Loopback,
    spiffe::TrustDomain,
};

/// When every stage begins.
const BEGINNING: &str = "2026-01-16T14:40:00Z";

/// Where a stage stands: a clock, and loopback under a throw-away CA.
pub(in crate::attest) struct Place {
    pub(in crate::attest) clock: Arc<FakeClock>,
    pub(in crate::attest) loopback: Loopback,
    directory: tempfile::TempDir,
    _stop: watch::Sender<bool>,
}

impl Place {
    pub(in crate::attest) fn find() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (loopback, _files, switch) = Loopback::throw_away(directory.path(), clock::system().now()).unwrap();
        Self {
            clock: FakeClock::at(BEGINNING),
            loopback,
            directory,
            _stop: switch,
        }
    }

    /// Returns the path of a file that ends with the stage; `ca.pem` is the CA's certificate.
    pub(in crate::attest) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the lines with which a table reaches what listens here.
    pub(in crate::attest) fn reach(&self) -> String {
        let ca_file = self.file("ca.pem");
        format!(
            "ca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\n",
            ca_file.display()
        )
    }
}

/// A simulated issuer of tokens, and the attestor that believes it.
pub(in crate::attest) trait TokenStage {
    type Judge: Attestor;

    fn start() -> Self;

    fn place(&self) -> &Place;

    /// Configures an attestor; a table that does not load fails the test.
    fn attestor(table: &str) -> Self::Judge;

    /// Returns the table of an attestor that finds the issuer's keys by discovery.
    fn table(&self) -> String;

    /// Returns the table of an attestor whose keys are pinned, where the kind has such tables.
    fn pinning(&self) -> String {
        self.table()
    }

    /// Returns all claims of a good token.
    fn claims(&self) -> Map<String, Value>;

    fn sign(&self, claims: &Map<String, Value>) -> String;

    fn now(&self) -> SystemTime {
        self.place().clock.now()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place().file(name)
    }

    /// Returns a good token after a change of its claims.
    fn token(&self, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.sign(&claims)
    }

    async fn judge(&self, attestor: &Self::Judge, token: &str) -> Verdict {
        attestor.judge(&evidence(token), self.now()).await
    }

    async fn attested(&self, attestor: &Self::Judge) -> Attestation {
        attested(self.judge(attestor, &self.token(|_| {})).await)
    }

    /// Returns why a good token is refused after a change of its claims.
    async fn refused(&self, change: impl FnOnce(&mut Map<String, Value>)) -> AttestRefusal {
        refused(self.judge(&Self::attestor(&self.pinning()), &self.token(change)).await)
    }
}

/// Returns what an attestor of this name is configured with.
pub(in crate::attest) fn context(name: &str) -> AttestorContext {
    AttestorContext {
        name: AttestorName::parse(name).unwrap(),
        issuer: "https://id.acme.example".to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        own: OwnDocuments::default(),
        challenges: Challenges::default(),
        store: OwnStore::default(),
        fetch: Arc::new(Fetch::system()),
        clock: FakeClock::at(BEGINNING),
    }
}

pub(in crate::attest) fn evidence(token: &str) -> Evidence {
    Evidence::new(Secret::new(token), None, Possession::Bearer)
}

pub(in crate::attest) fn attested(verdict: Verdict) -> Attestation {
    match verdict {
        Verdict::Attested(attestation) => *attestation,
        Verdict::NotMine => panic!("not mine"),
        Verdict::Refused(refusal) => panic!("{refusal} ({refusal:?})"),
    }
}

pub(in crate::attest) fn refused(verdict: Verdict) -> AttestRefusal {
    match verdict {
        Verdict::Refused(refusal) => refusal,
        Verdict::NotMine => panic!("not mine"),
        Verdict::Attested(attestation) => panic!("{attestation:?}"),
    }
}

pub(in crate::attest) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
