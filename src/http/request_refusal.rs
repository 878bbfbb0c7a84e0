//! What is wrong with a request itself, before any of the six steps.
//!
//! It never repeats a secret that was sent; statuses are in `error`.

/// What is wrong with the request itself, before any step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestRefusal {
    /// The body is not what the endpoint takes.
    #[error("{problem}")]
    BodyInvalid {
        /// What was found against what was expected.
        problem: String,
    },
    /// More bytes than a request may have.
    #[error("the body has more than {limit_bytes} bytes")]
    BodyTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive within {limit_seconds} s")]
    BodyTooSlow {
        /// The limit.
        limit_seconds: u64,
    },
    /// Not the grant type of RFC 8693.
    #[error("`grant_type` is `{found}`, expected `urn:ietf:params:oauth:grant-type:token-exchange`")]
    GrantTypeUnsupported {
        /// What was sent.
        found: String,
    },
    /// A header that counts is there twice or is not text.
    #[error("header `{name}` {problem}")]
    HeaderInvalid {
        /// The header.
        name: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// Another method than the endpoint has.
    #[error("this endpoint takes {expected}")]
    MethodNotAllowed {
        /// The methods it takes.
        expected: &'static str,
    },
    /// More requests in flight than the gateway takes.
    #[error("the gateway has as many requests in flight as it takes, try again")]
    Overloaded,
    /// A parameter is missing, repeated or has a value that is not taken.
    #[error("parameter `{name}` {problem}")]
    ParameterInvalid {
        /// The parameter.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// More requests than this source or workload may send.
    #[error("more than {per_second} requests a second from this {whose}")]
    RateLimited {
        /// `source address` or `workload`.
        whose: &'static str,
        /// The sustained rate.
        per_second: u32,
        /// When to try again.
        retry_after_seconds: u64,
    },
    /// `resource` instead of `audience`.
    #[error("`resource` is not taken, name a relying party as `audience`")]
    ResourceUnsupported,
    /// No such path.
    #[error("there is no such path")]
    RouteUnknown,
    /// The request took longer than any may.
    #[error("the request took longer than {limit_seconds} s")]
    TimedOut {
        /// The limit.
        limit_seconds: u64,
    },
}

impl RequestRefusal {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BodyInvalid { .. } => "request.body_invalid",
            Self::BodyTooLarge { .. } => "request.body_too_large",
            Self::BodyTooSlow { .. } => "request.body_too_slow",
            Self::GrantTypeUnsupported { .. } => "request.grant_type_unsupported",
            Self::HeaderInvalid { .. } => "request.header_invalid",
            Self::MethodNotAllowed { .. } => "request.method_not_allowed",
            Self::Overloaded => "request.overloaded",
            Self::ParameterInvalid { .. } => "request.parameter_invalid",
            Self::RateLimited { .. } => "request.rate_limited",
            Self::ResourceUnsupported => "request.resource_unsupported",
            Self::RouteUnknown => "request.route_unknown",
            Self::TimedOut { .. } => "request.timed_out",
        }
    }
}
