//! What Google's workload identity federation accepts, as pure functions with the origin of every rule.
//!
//! Serves preflight, `explain` and the simulator. Never asks a clock, a network or a configuration file.

pub mod certificate;
pub mod limits;
pub mod principal;
pub mod provider;
pub mod token;
#[cfg(feature = "dev")]
pub mod trust;

#[cfg(test)]
mod tests;

/// Where a rule is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The part of Google's interface that the rule belongs to.
    pub part: &'static str,
    /// How sure the rule is.
    pub mark: Mark,
}

impl Origin {
    /// Names a rule's origin.
    pub const fn new(part: &'static str, mark: Mark) -> Self {
        Self { part, mark }
    }
}

/// How sure a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Google documents it: a page or an API discovery document.
    Documented,
    /// A user quoted the server's real answer.
    Observed,
    /// From memory, not confirmed against the live cloud: shown as unverified wherever a user sees it.
    Unverified,
}

/// The parts of Google's interface that [`Origin`] names.
pub mod part {
    /// Pools and providers: IAM API v1, `projects.locations.workloadIdentityPools.providers`.
    pub const PROVIDER: &str = "iam v1 workloadIdentityPools.providers";
    /// The subject token: STS API v1, `token`, field `subjectToken`.
    pub const SUBJECT_TOKEN: &str = "sts v1 token, subjectToken";
    /// The token endpoint and its errors: STS API v1, `token`.
    pub const TOKEN_ENDPOINT: &str = "sts v1 token";
    /// Impersonation: IAM Credentials API v1, `generateAccessToken`.
    pub const IMPERSONATION: &str = "iamcredentials v1 generateAccessToken";
}
