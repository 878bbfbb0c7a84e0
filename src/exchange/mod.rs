//! Step 5: an SVID becomes the native credential of a relying party.
//!
//! One folder a kind of relying party. None of them decides whether a workload may; that is [`Permission`]'s to prove.

pub mod aws;
pub mod aws_roles_anywhere;
pub mod aws_sts;
pub mod azure_entra;
pub mod budget;
pub mod credential;
pub mod gcp_sts;
pub mod held;
pub mod refusal;
pub mod svid;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

pub use credential::CloudCredential;
pub use refusal::CloudRefusal;

use crate::{
    attest::Misconfigured,
    authorize::{Permission, RelyingPartyName, Terms},
    clock::Clock,
    mint::{Svid, SvidShape},
    secret::Digest,
    store::Unreleased,
};

/// Turns SVIDs into the native credentials of one configured relying party.
pub trait RelyingParty: Send + Sync + fmt::Debug {
    /// Returns the configured name.
    fn name(&self) -> &RelyingPartyName;

    /// Returns the kind, as configured.
    fn kind(&self) -> &'static str;

    /// Returns what is laid down about every SVID for it.
    fn terms(&self) -> &Terms;

    /// Returns what the SVID must hold besides audience and subject.
    ///
    /// # Errors
    /// Refuses where a claim would break one of the relying party's rules.
    fn shape(&self, permission: &Permission) -> Result<SvidShape, CloudRefusal>;

    /// Returns the digest of this relying party's whole configuration and of the upstream request without the SVID, the
    /// exchange id, the duration and what derives from them; `None` where there is no upstream and nothing to hold.
    fn request_digest(&self, permission: &Permission) -> Option<Digest>;

    /// Returns what upstream calls are counted against, for example an account; `None` where there is no upstream.
    fn upstream(&self) -> Option<budget::Upstream>;

    /// Returns the OAuth scope that the credential carries, if it is a bearer token with one.
    fn scope(&self) -> Option<&str>;

    /// Holds the SVID against the relying party's rules, calls it once, and closes the result until it is recorded.
    fn exchange(&self, svid: Svid, now: SystemTime) -> Pin<Box<dyn Future<Output = Exchanged> + Send + '_>>;
}

/// What an exchange ended in; neither can be read by the caller before its entry is durable.
pub type Exchanged = Result<Unreleased<CloudCredential>, Unreleased<CloudRefusal>>;

/// What a relying party is configured from.
#[derive(Clone, Debug)]
pub struct RelyingPartyContext {
    /// The configured name.
    pub name: RelyingPartyName,
    /// Our issuer URL: default audiences begin with it.
    pub issuer: String,
    /// Our trust domain.
    pub trust_domain: crate::spiffe::TrustDomain,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// A kind of relying party that is compiled in.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// The configuration's `kind`.
    pub kind: &'static str,
    /// Its page of the manual.
    pub manual: &'static str,
    /// A sample `[[relying_party]]` table, parsed by a test.
    pub sample: &'static str,
    /// Makes a relying party from its table (without `name` and `kind`).
    pub configure: fn(RelyingPartyContext, toml::Table) -> Result<Arc<dyn RelyingParty>, Misconfigured>,
    /// Starts and seeds the simulated cloud; `None` for a kind without a cloud.
    #[cfg(feature = "dev")]
    pub sim: Option<crate::sim::Seed>,
}

/// The kinds of relying party that are compiled in.
pub const BUILTINS: &[Builtin] = &[
    aws_roles_anywhere::BUILTIN,
    aws_sts::BUILTIN,
    azure_entra::BUILTIN,
    gcp_sts::BUILTIN,
    svid::BUILTIN,
];
