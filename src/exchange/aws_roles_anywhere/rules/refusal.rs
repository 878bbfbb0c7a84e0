//! How Roles Anywhere refuses: its exceptions, their status, its texts.
//!
//! Never invents an exception that the API model lacks, but for throttling, which no model of AWS lists.

use std::fmt;

use crate::exchange::aws;

/// An exception as it stands in `X-Amzn-ErrorType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Certificate, signature, profile, anchor or the role's trust policy says no.
    AccessDenied,
    /// The named object does not exist.
    ResourceNotFound,
    /// The service failed.
    ServiceUnavailable,
    /// Too many requests; the name is `[M]`.
    Throttling,
    /// An object would have too many tags.
    TooManyTags,
    /// The request breaks a constraint of the API model.
    Validation,
}

impl Code {
    /// Returns the exception's name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Returns the HTTP status. Source: clouds.md 2.5 [D botocore]; 429 is `[M]`.
    pub fn status(self) -> u16 {
        self.row().1
    }

    fn row(self) -> (&'static str, u16) {
        match self {
            Self::AccessDenied => ("AccessDeniedException", 403),
            Self::ResourceNotFound => ("ResourceNotFoundException", 404),
            Self::ServiceUnavailable => ("ServiceUnavailableException", 503),
            Self::Throttling => ("ThrottlingException", 429),
            Self::TooManyTags => ("TooManyTagsException", 400),
            Self::Validation => ("ValidationException", 400),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What Roles Anywhere answers to what it does not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} ({}): {message}", code.status())]
pub struct Refusal {
    /// The exception.
    pub code: Code,
    /// The text as the cloud sends it.
    pub message: String,
    /// Whether exception and text are documented or were observed; `false` is from memory.
    pub verified: bool,
    /// What was found and what was expected, where the cloud keeps that to itself.
    pub detail: Option<String>,
}

impl Refusal {
    /// Returns a refusal whose exception and text are documented or were observed.
    pub fn known(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            verified: true,
            detail: None,
        }
    }

    /// Returns a refusal whose exception or text is from memory.
    pub fn unverified(code: Code, message: impl Into<String>) -> Self {
        Self {
            verified: false,
            ..Self::known(code, message)
        }
    }

    /// Adds what was found and what was expected.
    #[must_use]
    pub fn because(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }

    /// No path leads from the certificate to the trust anchor.
    ///
    /// Source: clouds.md 2.5 [O RA-helper #108].
    pub fn untrusted() -> Self {
        Self::known(Code::AccessDenied, "Untrusted Signing Certificate")
    }

    /// The certificate itself is not acceptable; which text the service gives is `[M]`.
    pub fn certificate(detail: impl Into<String>) -> Self {
        Self::unverified(Code::AccessDenied, "Untrusted certificate").because(detail)
    }

    /// The profile does not let the caller name the session.
    ///
    /// Source: clouds.md 2.5 [D RA-guide; O RA-helper #19].
    pub fn session_name_not_accepted() -> Self {
        Self::known(Code::AccessDenied, "Not authorized to set roleSessionName.")
    }

    /// The role is not in the profile, or its trust policy says no.
    ///
    /// Source: clouds.md 2.5; the text is the observed one's beginning [O RA-helper #77].
    pub fn cannot_assume(role_arn: &str) -> Self {
        Self::known(Code::AccessDenied, format!("Unable to assume role for {role_arn}"))
    }

    /// The signature does not verify; text `[M]`.
    pub fn signature(detail: impl Into<String>) -> Self {
        Self::unverified(Code::AccessDenied, "Signature mismatch").because(detail)
    }

    /// A value breaks a constraint of the API model.
    ///
    /// Source: clouds.md 2.5, pattern of the text [O stratus-red-team #331].
    pub fn constraint(shown: &str, constraint: &str) -> Self {
        Self::known(
            Code::Validation,
            format!("1 validation error detected: {shown} failed to satisfy constraint: {constraint}"),
        )
    }

    /// The request cannot be read; text `[M]`.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::unverified(Code::Validation, "Invalid request").because(detail)
    }

    /// Too many requests; code and text `[M]`.
    pub fn throttled() -> Self {
        Self::unverified(Code::Throttling, "Rate exceeded")
    }

    /// The service failed; text `[M]`.
    pub fn unavailable() -> Self {
        Self::unverified(Code::ServiceUnavailable, "Service is unavailable")
    }
}

/// A rule that all of AWS shares said no: its text stays, its exception is this service's.
impl From<aws::Refusal> for Refusal {
    fn from(shared: aws::Refusal) -> Self {
        Self {
            code: if shared.code.status() >= 500 {
                Code::ServiceUnavailable
            } else {
                Code::Validation
            },
            message: shared.message,
            verified: shared.verified,
            detail: shared.detail,
        }
    }
}
