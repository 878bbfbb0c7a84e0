//! A relying party's refusal, with the cloud's own code and text kept.

use std::time::Duration;

use crate::{authorize::Permission, secret::Digest, store::Unreleased};

/// A relying party gave no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloudRefusal {
    /// The upstream budget is spent; nothing was sent.
    #[error("the call budget of {upstream} is spent, try again in {retry_after:?}")]
    BudgetSpent {
        /// What the calls are counted against.
        upstream: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// The answer is not what the protocol says.
    #[error("{cloud} answered {found}, expected {expected}")]
    Garbage {
        /// Which cloud.
        cloud: &'static str,
        /// What came back, in a few words, never the body.
        found: String,
        /// What should have.
        expected: &'static str,
    },
    /// The answer is longer than any answer of this cloud can be.
    #[error("{cloud} answered more than {limit_bytes} bytes")]
    Oversized {
        /// Which cloud.
        cloud: &'static str,
        /// The limit.
        limit_bytes: usize,
    },
    /// The SVID or the request breaks one of the cloud's documented rules; nothing was sent.
    #[error("{cloud} would refuse this with `{code}`: {problem}")]
    Preflight {
        /// Which cloud.
        cloud: &'static str,
        /// The code the cloud would give.
        code: String,
        /// What was found against what is allowed.
        problem: String,
    },
    /// The cloud refused.
    #[error("{cloud} refused with `{code}`: {message}")]
    Refused {
        /// Which cloud.
        cloud: &'static str,
        /// The cloud's own code, for example `InvalidIdentityToken` or `AADSTS700213`.
        code: String,
        /// The cloud's own text, control characters escaped, at most 512 bytes.
        message: String,
        /// The HTTP status it came with.
        status: u16,
    },
    /// The cloud asks to be called less often.
    #[error("{cloud} throttled with `{code}`")]
    Throttled {
        /// Which cloud.
        cloud: &'static str,
        /// The cloud's own code.
        code: String,
        /// When to try again, where the cloud says.
        retry_after: Option<Duration>,
    },
    /// The cloud did not answer, or with a server error.
    #[error("{cloud} is unavailable: {reason}")]
    Unavailable {
        /// Which cloud.
        cloud: &'static str,
        /// Timeout, connection or the cloud's own code.
        reason: String,
    },
}

impl CloudRefusal {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BudgetSpent { .. } => "exchange.budget_spent",
            Self::Garbage { .. } => "exchange.upstream_garbage",
            Self::Oversized { .. } => "exchange.upstream_oversized",
            Self::Preflight { .. } => "exchange.preflight_refused",
            Self::Refused { .. } => "exchange.cloud_refused",
            Self::Throttled { .. } => "exchange.cloud_throttled",
            Self::Unavailable { .. } => "exchange.cloud_unavailable",
        }
    }

    /// Returns the cloud's own code, where there is one.
    pub fn cloud_code(&self) -> Option<&str> {
        match self {
            Self::Preflight { code, .. } | Self::Refused { code, .. } | Self::Throttled { code, .. } => Some(code),
            Self::BudgetSpent { .. } | Self::Garbage { .. } | Self::Oversized { .. } | Self::Unavailable { .. } => None,
        }
    }

    /// Refuses an SVID of the form that a relying party did not ask for.
    pub fn wrong_form(cloud: &'static str, permission: &Permission) -> Unreleased<Self> {
        let refusal = Self::Preflight {
            cloud,
            code: "svid_form".to_owned(),
            problem: "the SVID is not of the form that this kind asks for".to_owned(),
        };
        let digest = refusal.digest(permission.exchange_id().as_str(), permission.relying_party().as_str());
        Unreleased::new(refusal, digest)
    }

    /// Returns the digest that stands for this refusal in the trail.
    pub fn digest(&self, exchange_id: &str, relying_party: &str) -> Digest {
        Digest::of_parts(&[
            b"refusal",
            exchange_id.as_bytes(),
            relying_party.as_bytes(),
            self.code().as_bytes(),
        ])
    }
}
