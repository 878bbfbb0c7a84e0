//! Tokens against a configured attestor; the issuer is real TLS on loopback.

mod claims;
mod issuer;
mod matrix;
mod pinned;
mod settings;
mod storm;
mod vendors;

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use super::{
    OidcAttestor,
    fixture::{self, Ci, Job, github_job},
};
use crate::{
    attest::{
        AttestRefusal, Attestation, Attestor, AttestorContext, AttestorName, Challenges, Evidence, OwnDocuments,
        OwnStore, Possession, Verdict,
        issuer_keys::{IssuerKeys, Keys},
    },
    clock::{FakeClock, parse_rfc3339},
    fetch::{
        Fetch,
        fixture::{Answer, FakeResolver, Site},
    },
    jose::{SigningAlgorithm, SigningKey},
    secret::{Digest, Secret},
    spiffe::TrustDomain,
};

pub(super) const AUDIENCE: &str = "https://id.acme.example";
const JWKS: &str = "/.well-known/jwks";
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// An issuer that answers, and an attestor that is configured for it.
struct Stage {
    site: Site,
    ci: Ci,
    attestor: OidcAttestor,
    resolver: Arc<FakeResolver>,
    _ca: tempfile::NamedTempFile,
}

impl Stage {
    /// Sets the GitHub preset up with owner 65, and `extra` settings.
    async fn github(extra: &str) -> Self {
        Self::of(
            "github_actions",
            &format!("owners = [{{ name = \"octo-org\", id = \"65\" }}]\n{extra}"),
        )
        .await
    }

    async fn of(preset: &str, extra: &str) -> Self {
        let site = Site::start().await;
        let ci = Ci::new(&site.url).unwrap();
        site.answer(DISCOVERY, Answer::json(&ci.discovery()));
        site.answer(JWKS, Answer::json(&ci.jwks()));
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), &site.ca_pem).unwrap();
        let resolver = FakeResolver::loopback();
        let table = format!(
            "preset = \"{preset}\"\nissuer = \"{}\"\nca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\n{extra}",
            site.url,
            ca.path().display(),
        );
        let attestor = OidcAttestor::configure(context(&resolver), table.parse().unwrap()).unwrap();
        Self {
            site,
            ci,
            attestor,
            resolver,
            _ca: ca,
        }
    }

    /// Sets a preset up with its own issuer, whose keys are on the site; `aud` is what the vendor puts there.
    async fn vendor(preset: &str, extra: &str) -> Self {
        let site = Site::start().await;
        let ci = Ci::with_key(fixture::issuer_of(preset), vendors_key());
        site.answer(JWKS, Answer::json(&ci.jwks()));
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), &site.ca_pem).unwrap();
        let resolver = FakeResolver::loopback();
        let table = format!(
            "preset = \"{preset}\"\njwks_uri = \"{}{JWKS}\"\nca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\n{extra}",
            site.url,
            ca.path().display(),
        );
        let table = table.parse().unwrap_or_else(|error| panic!("{preset}: {error}"));
        let attestor =
            OidcAttestor::configure(context(&resolver), table).unwrap_or_else(|error| panic!("{preset}: {error}"));
        Self {
            site,
            ci,
            attestor,
            resolver,
            _ca: ca,
        }
    }

    fn fetched(&self) -> Arc<IssuerKeys> {
        match &self.attestor.keys {
            Keys::Fetched(keys) => Arc::clone(keys),
            Keys::Pinned(keys) => panic!("{keys:?}"),
        }
    }

    async fn judge(&self, job: Job) -> Verdict {
        self.judge_with(job, Possession::Bearer, now()).await
    }

    async fn judge_with(&self, job: Job, possession: Possession, now: SystemTime) -> Verdict {
        self.judge_token(job.signed_by(&self.ci).unwrap(), possession, now)
            .await
    }

    async fn judge_token(&self, token: Secret, possession: Possession, now: SystemTime) -> Verdict {
        self.attestor.judge(&Evidence::new(token, None, possession), now).await
    }

    async fn attested(&self, job: Job) -> Attestation {
        attested(self.judge(job).await)
    }

    async fn refused(&self, job: Job) -> AttestRefusal {
        refused(self.judge(job).await)
    }
}

fn context(resolver: &Arc<FakeResolver>) -> AttestorContext {
    AttestorContext {
        name: AttestorName::parse("github").unwrap(),
        issuer: AUDIENCE.to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        own: OwnDocuments::default(),
        challenges: Challenges::default(),
        store: OwnStore::default(),
        fetch: Arc::new(Fetch::new(Arc::clone(resolver) as Arc<dyn crate::fetch::Resolver>)),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
    }
}

fn now() -> SystemTime {
    parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

fn fresh() -> Job {
    github_job().issued_at(now())
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
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

fn dpop() -> Possession {
    Possession::Dpop {
        thumbprint: Digest::of(b"key"),
        proof: Digest::of(b"proof"),
        remember_until: now() + seconds(65),
    }
}

/// One key for all vendors: a new one each would take most of the tests' time.
fn vendors_key() -> SigningKey {
    static PKCS8: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let key = SigningKey::generate(SigningAlgorithm::Rs256).unwrap();
        key.to_pkcs8().unwrap().to_vec()
    });
    SigningKey::from_pkcs8(SigningAlgorithm::Rs256, &PKCS8).unwrap()
}

fn es256_key() -> SigningKey {
    SigningKey::generate(SigningAlgorithm::Es256).unwrap()
}
