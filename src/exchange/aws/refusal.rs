//! How AWS refuses: its codes, their status, its texts.
//!
//! Never invents a code: what no source names is one of these codes with a text marked unverified.

use std::fmt;

/// An error code of IAM or STS as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The trust policy, or a missing role, says no.
    AccessDenied,
    /// The object changed meanwhile.
    ConcurrentModification,
    /// An object of that name exists in the account.
    EntityAlreadyExists,
    /// The session credential that signed the request has expired.
    ExpiredToken,
    /// The web identity token is past its time.
    ExpiredTokenException,
    /// The identity provider could not be reached; may be tried again.
    IdpCommunicationError,
    /// The identity provider said no.
    IdpRejectedClaim,
    /// The request's signature has a part missing.
    IncompleteSignature,
    /// The service failed.
    InternalFailure,
    /// No such operation in that version.
    InvalidAction,
    /// The access key or session token is not known.
    InvalidClientTokenId,
    /// The web identity token cannot be accepted.
    InvalidIdentityToken,
    /// A field of an IAM request is not acceptable.
    InvalidInput,
    /// A session tag is not acceptable.
    InvalidParameterValue,
    /// An account's quota is exhausted.
    LimitExceeded,
    /// A policy document cannot be read.
    MalformedPolicyDocument,
    /// The request cannot be read.
    MalformedQueryString,
    /// The request must be signed and is not.
    MissingAuthenticationToken,
    /// The named object does not exist.
    NoSuchEntity,
    /// IAM cannot reach the provider's URL.
    OpenIdIdpCommunicationError,
    /// Session policy and tags are too large together.
    PackedPolicyTooLarge,
    /// STS is not activated in the region.
    RegionDisabledException,
    /// The service failed, in IAM's words.
    ServiceFailure,
    /// The request's signature does not match.
    SignatureDoesNotMatch,
    /// Too many requests.
    Throttling,
    /// A parameter breaks a constraint of the API model.
    ValidationError,
}

impl Code {
    /// Returns the code as it stands in `<Code>`.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Returns the HTTP status the code comes with.
    ///
    /// Source: clouds.md 1.1 and 1.3 [D botocore sts, iam]; 403 of `AccessDenied` is `[M]`.
    pub fn status(self) -> u16 {
        self.row().1
    }

    /// Tells whether the cloud blames the sender, as `<Type>` says.
    pub fn fault(self) -> &'static str {
        if self.status() >= 500 { "Receiver" } else { "Sender" }
    }

    fn row(self) -> (&'static str, u16) {
        match self {
            Self::AccessDenied => ("AccessDenied", 403),
            Self::ConcurrentModification => ("ConcurrentModification", 409),
            Self::EntityAlreadyExists => ("EntityAlreadyExists", 409),
            Self::ExpiredToken => ("ExpiredToken", 403),
            Self::ExpiredTokenException => ("ExpiredTokenException", 400),
            Self::IdpCommunicationError => ("IDPCommunicationError", 400),
            Self::IdpRejectedClaim => ("IDPRejectedClaim", 403),
            Self::IncompleteSignature => ("IncompleteSignature", 400),
            Self::InternalFailure => ("InternalFailure", 500),
            Self::InvalidAction => ("InvalidAction", 400),
            Self::InvalidClientTokenId => ("InvalidClientTokenId", 403),
            Self::InvalidIdentityToken => ("InvalidIdentityToken", 400),
            Self::InvalidInput => ("InvalidInput", 400),
            Self::InvalidParameterValue => ("InvalidParameterValue", 400),
            Self::LimitExceeded => ("LimitExceeded", 409),
            Self::MalformedPolicyDocument => ("MalformedPolicyDocument", 400),
            Self::MalformedQueryString => ("MalformedQueryString", 400),
            Self::MissingAuthenticationToken => ("MissingAuthenticationToken", 403),
            Self::NoSuchEntity => ("NoSuchEntity", 404),
            Self::OpenIdIdpCommunicationError => ("OpenIdIdpCommunicationError", 400),
            Self::PackedPolicyTooLarge => ("PackedPolicyTooLarge", 400),
            Self::RegionDisabledException => ("RegionDisabledException", 403),
            Self::ServiceFailure => ("ServiceFailure", 500),
            Self::SignatureDoesNotMatch => ("SignatureDoesNotMatch", 403),
            Self::Throttling => ("Throttling", 400),
            Self::ValidationError => ("ValidationError", 400),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What AWS answers to what it does not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} ({}): {message}", code.status())]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// The text as the cloud sends it.
    pub message: String,
    /// Whether code and text are documented or were observed; `false` is from memory.
    pub verified: bool,
    /// What was found and what was expected, where the cloud keeps that to itself.
    pub detail: Option<String>,
}

impl Refusal {
    /// Returns a refusal whose code and text are documented or were observed.
    pub fn known(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            verified: true,
            detail: None,
        }
    }

    /// Returns a refusal whose code or text is from memory.
    pub fn unverified(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            verified: false,
            detail: None,
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

    /// Marks code or text as from memory.
    #[must_use]
    pub fn as_unverified(self) -> Self {
        Self {
            verified: false,
            ..self
        }
    }

    /// No statement of the trust policy lets the request pass, or the role does not exist.
    ///
    /// Source: clouds.md 1.3, text [O configure-aws-credentials #357]; status and "role missing" `[M]`.
    pub fn not_authorized() -> Self {
        Self::known(
            Code::AccessDenied,
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        )
    }

    /// The account has no provider whose URL is the token's issuer.
    ///
    /// Source: clouds.md 1.3 [D re:Post-oidc; O configure-aws-credentials #280].
    pub fn no_provider(issuer: &str) -> Self {
        let text = format!("No OpenIDConnect provider found in your account for {issuer}");
        Self::known(Code::InvalidIdentityToken, text)
    }

    /// Discovery document or key set cannot be had, or holds no key for the token.
    ///
    /// Source: clouds.md 1.3; the first clause [D re:Post-iit], the rest of the text `[M]`.
    pub fn no_verification_key() -> Self {
        Self::unverified(
            Code::InvalidIdentityToken,
            "Couldn't retrieve verification key from your identity provider,  please reference \
             AssumeRoleWithWebIdentity documentation for requirements",
        )
    }

    /// The provider's certificate is of no known authority and its thumbprint is not configured.
    ///
    /// Source: clouds.md 1.3 [O configure-aws-credentials #357].
    pub fn thumbprint_mismatch() -> Self {
        Self::known(
            Code::InvalidIdentityToken,
            "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
        )
    }

    /// The token's signature does not verify.
    ///
    /// Source: clouds.md 1.3 `[M]`.
    pub fn bad_signature() -> Self {
        Self::unverified(Code::InvalidIdentityToken, "Token signature invalid")
    }

    /// The identity provider rejected the claim.
    ///
    /// Source: clouds.md 1.3 [D botocore]; only the text's beginning is documented there.
    pub fn rejected_claim() -> Self {
        Self::unverified(
            Code::IdpRejectedClaim,
            "The identity provider (IdP) reported that authentication failed. This might be because the claim is \
             invalid.",
        )
    }

    /// The identity provider did not answer.
    ///
    /// Source: clouds.md 1.3 [D botocore; S aws-sdk-sts marks it transient]; text `[M]`.
    pub fn provider_unreachable() -> Self {
        Self::unverified(
            Code::IdpCommunicationError,
            "The request could not be fulfilled because the identity provider (IDP) that was asked to verify the \
             incoming identity token could not be reached.",
        )
    }

    /// STS is not activated in the region.
    ///
    /// Source: clouds.md 1.3, code and status `[D]`; text `[M]`.
    pub fn region_disabled(region: &str) -> Self {
        let text = format!("STS is not activated in this region for account: {region}");
        Self::unverified(Code::RegionDisabledException, text)
    }

    /// Too many requests.
    ///
    /// Source: clouds.md 1.3 [S aia comment].
    pub fn throttled() -> Self {
        Self::known(Code::Throttling, "Rate exceeded")
    }
}
