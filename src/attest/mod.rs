//! Step 1: evidence becomes an attestation.
//!
//! One folder a protocol. An attestor judges evidence of one kind; none of them decides what a workload may have.

pub mod actor;
pub mod attribute;
pub mod aws_iam;
pub mod aws_instance;
pub mod azure_instance;
pub mod bound_key;
pub mod challenge;
pub mod dpop;
pub mod evidence;
mod form;
pub mod gcp_instance;
pub mod issuer_keys;
pub mod join_token;
pub mod joining;
pub mod kubernetes;
pub mod oidc;
pub mod own_documents;
pub mod own_store;
pub mod pins;
pub mod pkcs7;
pub mod refusal;
mod signed_token;
mod span;
pub mod spiffe;
mod standing;
#[cfg(test)]
#[cfg(feature = "dev")]
mod suite;
mod table;
mod token_claims;
pub mod unclaimed;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub use actor::{Delegation, MAX_ACTORS, MayAct};
pub use attribute::Attributes;
pub use challenge::{Challenge, Challenges};
pub use evidence::{ClientCertificate, Evidence, ExchangeId, Possession};
pub use own_documents::OwnDocuments;
pub use own_store::OwnStore;
pub use pins::{Danger, Pins};
pub use refusal::AttestRefusal;

use crate::{
    clock::Clock,
    fetch::Fetch,
    jose::Verified,
    name::Name,
    secret::{Digest, Secret},
    spiffe::{SvidRefused, TrustDomain, X509Svid},
    store::{Binding, LedgerUse, UseRule},
};

/// Marks the names of attestors.
#[derive(Debug)]
pub enum AttestorNamed {}

/// The name of a configured attestor.
pub type AttestorName = Name<AttestorNamed>;

/// Judges evidence of one kind.
pub trait Attestor: Send + Sync + fmt::Debug {
    /// Returns the configured name.
    fn name(&self) -> &AttestorName;

    /// Returns the attributes that this attestor may give, for the checks of entries and grants at load.
    fn attributes(&self) -> &[&'static str];

    /// Returns those of [`Self::attributes`] whose values can never pass to somebody else, so that a template may use
    /// them unpinned.
    fn immutable(&self) -> &[&'static str] {
        &[]
    }

    /// Returns what entries must pin; `None` where the attributes of a workload cannot pass to another.
    fn pins(&self) -> Option<&Pins> {
        None
    }

    /// Returns what join tokens for it may say; `None` for kinds that take none.
    fn joins(&self) -> Option<&joining::Joins> {
        None
    }

    /// Returns what keeps the keys of machines; `None` for kinds that keep none.
    fn keeps_keys(&self) -> Option<&dyn joining::KeepsKeys> {
        None
    }

    /// Returns who judges client certificates before a connection stands; `None` for kinds that have none.
    fn client_certificates(&self) -> Option<&dyn ClientCertificates> {
        None
    }

    /// Judges `evidence`; the first attestor that answers other than [`Verdict::NotMine`] ends the search.
    fn judge<'a>(
        &'a self,
        evidence: &'a Evidence,
        now: SystemTime,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;
}

/// Judges the certificate of a client while its connection is made.
pub trait ClientCertificates: Send + Sync {
    /// Verifies a chain, leaf first; `None` where its trust domain is not this attestor's.
    fn verify(&self, certificate: &ClientCertificate, now: SystemTime) -> Option<Result<X509Svid, SvidRefused>>;
}

/// Verifies the certificate of a connection with the keys of the moment; the attestor of its trust domain decides, and
/// without one it is `None`.
pub fn verify_client_certificate(
    attestors: &[Arc<dyn Attestor>],
    certificate: &ClientCertificate,
    now: SystemTime,
) -> Option<Result<X509Svid, SvidRefused>> {
    attestors
        .iter()
        .filter_map(|attestor| attestor.client_certificates())
        .find_map(|judge| judge.verify(certificate, now))
}

/// What an attestor says of evidence.
#[derive(Debug)]
pub enum Verdict {
    /// The evidence is genuine and in order.
    Attested(Box<Attestation>),
    /// The evidence is of another kind or another issuer.
    NotMine,
    /// The evidence is this attestor's to judge and does not stand.
    Refused(AttestRefusal),
}

/// Verified facts about a workload, how long they stand, and how the evidence may be used again.
///
/// Only [`conclude`] makes one.
#[derive(Clone, Debug)]
pub struct Attestation {
    attestor: AttestorName,
    issuer: String,
    subject: String,
    attributes: Attributes,
    evidence_sha256: Digest,
    session: Digest,
    freshness: Freshness,
    stands_until: SystemTime,
    ledger: Option<LedgerUse>,
    delegation: Delegation,
}

/// Whether the evidence itself is still valid, or only the standing that it once gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Past its `exp` or its age; acceptable only as a resume by the bound DPoP key or client certificate.
    Expired,
    /// Valid as presented.
    Fresh,
}

/// What an attestor found in verified evidence.
#[derive(Debug)]
pub struct Findings<'a> {
    /// Who judged.
    pub attestor: &'a AttestorName,
    /// The issuer of the evidence.
    pub issuer: String,
    /// The issuer's own name for the workload.
    pub subject: String,
    /// The evidence's unique id, where it has one.
    pub token_id: Option<String>,
    /// SHA-256 of the signing input, which stands for the id where there is none.
    pub signing_input_sha256: Digest,
    /// The canonical attributes.
    pub attributes: Attributes,
    /// Whether the evidence is still valid.
    pub freshness: Freshness,
    /// When the evidence itself expires.
    pub expires: SystemTime,
    /// When the attestation ends.
    pub stands_until: SystemTime,
    /// How often the evidence may be used; `None` = until it expires.
    pub use_rule: Option<UseRule>,
}

/// Concludes an attestation from verified evidence.
///
/// The proof shows that the findings come from bytes whose signature was checked.
pub fn conclude(_proof: &impl Proof, evidence: &Evidence, findings: Findings<'_>) -> Attestation {
    let id = findings
        .token_id
        .as_deref()
        .map_or(findings.signing_input_sha256, |id| Digest::of(id.as_bytes()));
    let session = Digest::of_parts(&[findings.issuer.as_bytes(), id.as_bytes()]);
    let ledger = findings
        .use_rule
        .map(|rule| ledger_use(&findings, evidence, session, rule));
    Attestation {
        attestor: findings.attestor.clone(),
        issuer: findings.issuer,
        subject: findings.subject,
        attributes: findings.attributes,
        evidence_sha256: evidence.sha256(),
        session,
        freshness: findings.freshness,
        stands_until: findings.stands_until,
        ledger,
        delegation: Delegation::default(),
    }
}

/// What only a verifier can make: a signature over the bytes it was read from was found good, or the store knows their
/// digest (invariant 5).
pub trait Proof: sealed::Sealed {}

impl<T> Proof for Verified<T> {}
impl Proof for X509Svid {}
impl Proof for aws_iam::presigned::Confirmed {}
impl Proof for pkcs7::Verified {}
impl Proof for joining::KnownToken {}

mod sealed {
    /// Nobody else may call something a proof.
    #[expect(unnameable_types, reason = "that is the seal")]
    pub trait Sealed {}

    impl<T> Sealed for crate::jose::Verified<T> {}
    impl Sealed for crate::spiffe::X509Svid {}
    impl Sealed for crate::attest::aws_iam::presigned::Confirmed {}
    impl Sealed for crate::attest::pkcs7::Verified {}
    impl Sealed for super::joining::KnownToken {}
}

fn ledger_use(findings: &Findings<'_>, evidence: &Evidence, key: Digest, rule: UseRule) -> LedgerUse {
    let binding = evidence.possession().binding();
    let forgotten = findings.expires + CLOCK_LEEWAY + Duration::from_secs(5); // LIMITS: `exp` + leeway + 5 s
    let remember_until = match binding {
        Binding::Bearer | Binding::IdempotencyKey(_) => forgotten,
        Binding::Certificate(_) | Binding::Dpop(_) => forgotten.max(findings.stands_until),
    };
    LedgerUse {
        key,
        binding,
        rule,
        stands_until: findings.stands_until,
        ends: None,
        remember_until,
        proof: evidence.possession().proof(),
        keeps: None,
    }
}

/// How far an inbound `exp`, `nbf` or `iat` may lie off our clock (LIMITS.md; TM-54).
pub const CLOCK_LEEWAY: Duration = Duration::from_secs(30);

impl Attestation {
    /// Returns who judged.
    pub fn attestor(&self) -> &AttestorName {
        &self.attestor
    }

    /// Returns the issuer of the evidence.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the issuer's own name for the workload.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns the canonical attributes.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Returns the SHA-256 of the evidence, which may be logged.
    pub fn evidence_sha256(&self) -> Digest {
        self.evidence_sha256
    }

    /// Returns what identifies this attestation session: issuer and `jti`, or the digest of the evidence.
    pub fn session(&self) -> Digest {
        self.session
    }

    /// Returns whether the evidence itself is still valid.
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// Returns when the attestation ends.
    pub fn stands_until(&self) -> SystemTime {
        self.stands_until
    }

    /// Returns the use to hold against the ledger; `None` for evidence that may be used until it expires.
    pub fn ledger(&self) -> Option<&LedgerUse> {
        self.ledger.as_ref()
    }

    /// Returns what the evidence says about who acts for the workload.
    pub fn delegation(&self) -> &Delegation {
        &self.delegation
    }

    /// Adds what the verified evidence says about who acts.
    #[must_use]
    pub(in crate::attest) fn delegated(mut self, delegation: Delegation) -> Self {
        self.delegation = delegation;
        self
    }

    /// Makes a fresh attestation without evidence, for tests of the later steps.
    #[cfg(test)]
    pub(crate) fn for_test(attestor: &str, attributes: Attributes, stands_until: SystemTime) -> Self {
        Self {
            attestor: AttestorName::parse(attestor).expect("an attestor's name"),
            issuer: "https://ci.test".to_owned(),
            subject: "repo:acme/shop".to_owned(),
            attributes,
            evidence_sha256: Digest::of(b"evidence"),
            session: Digest::of(b"session"),
            freshness: Freshness::Fresh,
            stands_until,
            ledger: None,
            delegation: Delegation::default(),
        }
    }

    /// Makes the evidence one that is past its `exp`, for tests of the later steps.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn expired_for_test(mut self) -> Self {
        self.freshness = Freshness::Expired;
        self
    }

    /// Shortens the standing to what the ledger remembers of the first use; it never moves later.
    #[must_use]
    pub fn standing_until(mut self, stands_until: SystemTime) -> Self {
        self.stands_until = self.stands_until.min(stands_until);
        self
    }
}

/// What an attestor is configured from.
#[derive(Clone, Debug)]
pub struct AttestorContext {
    /// The configured name.
    pub name: AttestorName,
    /// Our issuer URL: the default audience of evidence.
    pub issuer: String,
    /// Our trust domain.
    pub trust_domain: TrustDomain,
    /// Our own published documents, whose keys verify our own SVIDs.
    pub own: OwnDocuments,
    /// Makes challenges, and tells ours from others.
    pub challenges: Challenges,
    /// Our own store, for kinds that keep what they judge by.
    pub store: OwnStore,
    /// The one outbound client for issuers' documents.
    pub fetch: Arc<Fetch>,
    /// Tells the time to background refreshes.
    pub clock: Arc<dyn Clock>,
}

/// A kind of attestor that is compiled in.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// The configuration's `kind`.
    pub kind: &'static str,
    /// Its page of the manual.
    pub manual: &'static str,
    /// A sample `[[attestor]]` table, parsed by a test.
    pub sample: &'static str,
    /// Says whether a token has the outer form of this kind; what it answers depends on the token alone.
    pub form: fn(&Secret) -> Result<(), AttestRefusal>,
    /// Makes an attestor from its table (without `name` and `kind`).
    pub configure: fn(AttestorContext, toml::Table) -> Result<Arc<dyn Attestor>, Misconfigured>,
    /// Starts and seeds the simulated platforms that this kind believes; `None` for a kind without a platform.
    #[cfg(feature = "dev")]
    pub sim: Option<crate::sim::SeedPlatforms>,
}

/// The kinds of attestor that are compiled in.
pub const BUILTINS: &[Builtin] = &[
    aws_iam::BUILTIN,
    aws_instance::BUILTIN,
    azure_instance::BUILTIN,
    bound_key::BUILTIN,
    gcp_instance::BUILTIN,
    join_token::BUILTIN,
    kubernetes::BUILTIN,
    oidc::BUILTIN,
    spiffe::BUILTIN,
];

/// A plugin's table does not configure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Misconfigured {
    /// The stable code, for example `config.owners_required`.
    pub code: &'static str,
    /// The key within the plugin's table that is wrong; empty for the table itself.
    pub key: String,
    /// What was found against what was expected.
    pub problem: String,
}
