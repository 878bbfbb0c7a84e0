//! How the token endpoint refuses: each case with its AADSTS code and the cloud's text.
//!
//! Microsoft says that codes and texts change, so nothing outside the simulator may branch on a text.

use std::time::SystemTime;

use crate::{
    clock,
    exchange::azure_entra::rules::{code, token::LONGEST_LIFE},
};

/// Where the texts of missing trust send their reader.
const GUIDE: &str = "https://docs.microsoft.com/en-us/azure/active-directory/develop/workload-identity-federation";

/// A refusal of the token endpoint.
///
/// Its `Display` is the cloud's own text, without code and trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The tenant holds no such application.
    #[error(
        "Application with identifier '{application}' was not found in the directory '{tenant}'. This can happen if the \
         application has not been installed by the administrator of the tenant or consented to by any user in the tenant. \
         You may have sent your authentication request to the wrong tenant."
    )]
    ApplicationNotFound {
        /// The client id that was sent.
        application: String,
        /// The tenant it was sent to.
        tenant: String,
    },
    /// The assertion is not a JWT that Entra reads.
    #[error("Assertion is invalid: {reason}.")]
    AssertionInvalid {
        /// What was found and what was expected.
        reason: String,
    },
    /// The assertion expired or is not valid yet.
    #[error(
        "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, expiry time of \
         assertion {}. Review the documentation at \
         https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials.",
        ticks(Some(*now)), ticks(clock::from_unix_seconds(*valid_from)), ticks(clock::from_unix_seconds(*expires))
    )]
    AssertionOutsideTime {
        /// Entra's time.
        now: SystemTime,
        /// The `nbf` claim, else `iat`, else 0; seconds since 1970.
        valid_from: u64,
        /// The `exp` claim; seconds since 1970.
        expires: u64,
    },
    /// No credential with this issuer and subject has this audience.
    #[error(
        "No matching federated identity record found for presented assertion audience '{audience}'. Please check your \
         federated identity credential Subject, Audience and Issuer against the presented assertion. {GUIDE}"
    )]
    AudienceMismatch {
        /// The `aud` claim.
        audience: String,
    },
    /// A conditional access policy blocks the workload.
    #[error("Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.")]
    ConditionalAccess,
    /// The assertion was issued by Entra itself.
    #[error("AAD-issued tokens may not be used for federated identity flows.")]
    EntraIssued,
    /// The assertion was issued by Entra itself, for a user.
    #[error("Forbidden token type. Only app-only tokens may be used as Federated Identity Credentials for AAD issuer.")]
    EntraIssuedForUser,
    /// The grant is not `client_credentials`.
    #[error("The app requested an unsupported grant type '{found}'.")]
    GrantTypeUnsupported {
        /// The `grant_type` that was sent.
        found: String,
    },
    /// No credential has this issuer.
    #[error(
        "No matching federated identity record found for presented assertion issuer '{issuer}'. Please check your \
         federated identity credential Subject, Audience and Issuer against the presented assertion. {GUIDE}"
    )]
    IssuerMismatch {
        /// The `iss` claim.
        issuer: String,
    },
    /// The issuer's discovery document or keys could not be fetched.
    #[error("Request to External OIDC endpoint failed.")]
    IssuerUnreachable,
    /// The issuer publishes no key with the assertion's key id.
    #[error(
        "The certificate with identifier {key_id} used to sign the federated credential could not be found in the metadata \
         of identity provider {issuer}. Please validate that your Identity Provider's metadata exposes the key used to sign \
         the incoming token."
    )]
    KeyNotFound {
        /// The `kid` header; empty if there is none.
        key_id: String,
        /// The `iss` claim.
        issuer: String,
    },
    /// The assertion lives too long, or says not when it was issued.
    #[error(
        "External OIDC Provider token must have a lifetime of less than or equal to {}. Token issued at {issued_at}. Token \
         expires on {expires}.",
        days(LONGEST_LIFE.as_secs())
    )]
    LifetimeTooLong {
        /// The `iat` claim, 0 if missing; seconds since 1970.
        issued_at: u64,
        /// The `exp` claim; seconds since 1970.
        expires: u64,
    },
    /// The application has no federated credential at all.
    #[error("The client '{application}' has no configured federated identity credentials.")]
    NoCredentials {
        /// The client id that was sent.
        application: String,
    },
    /// A credential would match, but this replica of Entra does not know it yet.
    #[error(
        "No matching federated identity record found for presented assertion. Assertion Issuer: '{issuer}'. Assertion \
         Subject: '{subject}'. Assertion Audience: '{audience}'."
    )]
    NotPropagated {
        /// The `iss` claim.
        issuer: String,
        /// The `sub` claim.
        subject: String,
        /// The `aud` claim.
        audience: String,
    },
    /// A parameter of the form is missing.
    #[error("The request body must contain the following parameter: '{name}'.")]
    ParameterMissing {
        /// The parameter.
        name: &'static str,
    },
    /// The application is a public client.
    #[error("Client is public so neither 'client_assertion' nor 'client_secret' should be presented.")]
    PublicClient,
    /// The scope is not one resource's `.default`.
    #[error("The provided value for the input parameter 'scope' is not valid. The scope '{scope}' is not valid.")]
    ScopeInvalid {
        /// The `scope` that was sent.
        scope: String,
    },
    /// A client secret was sent, and it expired.
    #[error("The provided client secret keys for app '{application}' are expired.")]
    SecretExpired {
        /// The client id that was sent.
        application: String,
    },
    /// The signature does not verify with the key of that id.
    #[error("Client assertion failed signature validation.")]
    SignatureInvalid,
    /// A credential's subject differs from the assertion's in case only.
    #[error(
        "No matching federated identity record found for presented assertion subject '{subject}'. The subject matches with \
         case-insensitive comparison, but not with case-sensitive comparison. Please check your federated identity \
         credential Subject, Audience and Issuer against the presented assertion. {GUIDE}"
    )]
    SubjectCaseDiffers {
        /// The `sub` claim.
        subject: String,
    },
    /// No credential with this issuer has this subject.
    #[error(
        "No matching federated identity record found for presented assertion subject '{subject}'. Check your federated \
         identity credential Subject, Audience and Issuer against the presented assertion. {GUIDE}"
    )]
    SubjectMismatch {
        /// The `sub` claim.
        subject: String,
    },
    /// The tenant does not exist.
    #[error(
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct \
         cloud."
    )]
    TenantNotFound {
        /// The tenant in the path.
        tenant: String,
    },
}

impl Refusal {
    /// Returns the AADSTS number.
    pub fn number(&self) -> u32 {
        match self {
            Self::ApplicationNotFound { .. } => 700_016,
            Self::AssertionInvalid { .. } => 50_013,
            Self::AssertionOutsideTime { .. } => 700_024,
            Self::AudienceMismatch { .. } => 700_212,
            Self::ConditionalAccess => 53_003,
            Self::EntraIssued => 700_222,
            Self::EntraIssuedForUser => 700_229,
            Self::GrantTypeUnsupported { .. } => 70_003,
            Self::IssuerMismatch { .. } => 700_211,
            Self::IssuerUnreachable => 50_166,
            Self::KeyNotFound { .. } => 7_000_272,
            Self::LifetimeTooLong { .. } => 70_023,
            Self::NoCredentials { .. } => 70_025,
            Self::NotPropagated { .. } => 70_021,
            Self::ParameterMissing { .. } => 900_144,
            Self::PublicClient => 700_025,
            Self::ScopeInvalid { .. } => 70_011,
            Self::SecretExpired { .. } => 7_000_222,
            Self::SignatureInvalid => 700_027,
            Self::SubjectCaseDiffers { .. } => 7_002_138,
            Self::SubjectMismatch { .. } => 700_213,
            Self::TenantNotFound { .. } => 90_002,
        }
    }

    /// Returns the OAuth `error` that arrives with it; empty where nothing is known.
    pub fn error(&self) -> &'static str {
        code::find(self.number()).map_or("", |code| code.error)
    }
}

/// Writes a moment with seven decimals, as the cloud prints .NET ticks.
fn ticks(moment: Option<SystemTime>) -> String {
    let text = moment.map_or_else(|| "9999-12-31T23:59:59Z".to_owned(), clock::rfc3339);
    format!("{}.0000000Z", text.trim_end_matches('Z'))
}

/// Writes a duration as .NET prints a `TimeSpan`: `1.01:00:00` is 25 hours.
fn days(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    format!("{days}.{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60)
}
