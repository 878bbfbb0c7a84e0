//! THE map from a refusal to what a caller sees: status, OAuth error and public sentence.
//!
//! Nothing else knows a status code. What a caller learns depends on what it proved (ARCHITECTURE section 8).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    attest::{AttestRefusal, ExchangeId, challenge::ChallengeFailed},
    authorize::Denial,
    exchange::CloudRefusal,
    gateway::{answer::Cause, ask::NotOffered},
    http::request_refusal::RequestRefusal,
    mint::{MintRefusal, csr::CsrRefused, outside::ChainRefused},
};

/// A refusal as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The OAuth error (RFC 6749 section 5.2, RFC 8693 section 2.2.2).
    pub oauth: &'static str,
    /// The stable code.
    pub code: &'static str,
    /// What the caller may know.
    pub sentence: String,
    /// The relying party's own code, where it refused.
    pub cloud_code: Option<String>,
    /// After how many seconds it makes sense to try again.
    pub retry_after_seconds: Option<u64>,
}

impl From<&RequestRefusal> for Refusal {
    fn from(refusal: &RequestRefusal) -> Self {
        let (status, oauth) = match refusal {
            RequestRefusal::BodyInvalid { .. }
            | RequestRefusal::HeaderInvalid { .. }
            | RequestRefusal::ParameterInvalid { .. } => (StatusCode::BAD_REQUEST, "invalid_request"),
            RequestRefusal::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
            RequestRefusal::BodyTooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "invalid_request"),
            RequestRefusal::GrantTypeUnsupported { .. } => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
            RequestRefusal::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request"),
            RequestRefusal::Overloaded | RequestRefusal::TimedOut { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
            RequestRefusal::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
            RequestRefusal::ResourceUnsupported => (StatusCode::BAD_REQUEST, "invalid_target"),
            RequestRefusal::RouteUnknown => (StatusCode::NOT_FOUND, "invalid_request"),
        };
        let retry = if let RequestRefusal::RateLimited {
            retry_after_seconds, ..
        } = refusal
        {
            Some(*retry_after_seconds)
        } else {
            (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1)
        };
        Self {
            retry_after_seconds: retry,
            ..Self::new(status, oauth, refusal.code(), refusal.to_string())
        }
    }
}

impl From<&Cause> for Refusal {
    fn from(cause: &Cause) -> Self {
        match cause {
            Cause::Attest(refusal) => refusal.into(),
            Cause::Audit(_) | Cause::NotCommitted(_) => {
                unavailable(cause.code(), "the audit trail cannot be written, nothing was released")
            }
            Cause::Authorize(denial) => denial.into(),
            Cause::Exchange(refusal) => refusal.into(),
            Cause::Identify(refusal) => Self::new(
                StatusCode::FORBIDDEN,
                "invalid_target",
                refusal.code(),
                refusal.to_string(),
            ),
            Cause::Mint(refusal) => refusal.into(),
            Cause::NotOffered(refusal) => refusal.into(),
            Cause::Randomness(_) => unavailable(cause.code(), "the gateway cannot sign at the moment"),
            Cause::RateLimited {
                per_second,
                retry_after_seconds,
            } => (&RequestRefusal::RateLimited {
                whose: "workload",
                per_second: *per_second,
                retry_after_seconds: *retry_after_seconds,
            })
                .into(),
        }
    }
}

impl From<&AttestRefusal> for Refusal {
    fn from(refusal: &AttestRefusal) -> Self {
        use AttestRefusal as A;
        let bad = |sentence: String| Self::new(StatusCode::BAD_REQUEST, "invalid_request", refusal.code(), sentence);
        match refusal {
            A::Actor(actor) => {
                let actor = Self::from(&**actor);
                Self {
                    sentence: format!("the actor token: {}", actor.sentence),
                    ..actor
                }
            }
            A::Attribute(attribute) => bad(format!("{refusal}: {attribute}")),
            A::AudienceMismatch { .. }
            | A::Claim { .. }
            | A::EventForbidden { .. }
            | A::Expired { .. }
            | A::IdempotencyKeyWeak { .. }
            | A::KeyEnded { .. }
            | A::KeyRefused { .. }
            | A::KeySuperseded { .. }
            | A::KindUnknown { .. }
            | A::Malformed { .. }
            | A::NotYetValid { .. }
            | A::OwnerNotAllowed { .. }
            | A::Replayed
            | A::ResumeUnknown
            | A::ReviewRefused { .. }
            | A::SessionOver
            | A::Stolen
            | A::TooOld { .. } => bad(refusal.to_string()),
            A::Dpop { .. } | A::ProofReused => Self {
                oauth: "invalid_dpop_proof",
                ..bad(refusal.to_string())
            },
            A::IssuerUnavailable { .. } => unavailable(refusal.code(), "the issuer's keys are not available"),
            A::LedgerUnavailable { .. } => unavailable(refusal.code(), "the ledger of used evidence is not available"),
            A::Oversized { .. } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "invalid_request",
                refusal.code(),
                refusal.to_string(),
            ),
            A::ReviewUnavailable { .. } => unavailable(
                refusal.code(),
                "the cluster's API server cannot be asked about the token",
            ),
            A::Unverifiable { .. } => bad("the evidence cannot be verified".to_owned()),
        }
    }
}

impl From<&ChallengeFailed> for Refusal {
    fn from(failed: &ChallengeFailed) -> Self {
        match failed {
            ChallengeFailed::NoKey | ChallengeFailed::Randomness(_) => {
                unavailable(failed.code(), "the gateway cannot make a challenge at the moment")
            }
        }
    }
}

impl From<&Denial> for Refusal {
    fn from(denial: &Denial) -> Self {
        match denial {
            Denial::ActorNotGranted { .. }
            | Denial::ConditionFailed { .. }
            | Denial::Forbidden { .. }
            | Denial::LifetimeBelowMinimum { .. }
            | Denial::Locked { .. }
            | Denial::NoGrant { .. }
            | Denial::RelyingPartyUnknown { .. }
            | Denial::SubjectRefused { .. }
            | Denial::SvidNotReleased { .. } => Self::new(
                StatusCode::FORBIDDEN,
                "invalid_target",
                denial.code(),
                denial.to_string(),
            ),
            Denial::LocksStale { .. } => unavailable(denial.code(), "the locks cannot be read at the moment"),
            Denial::PolicyError { .. } => Self::new(
                StatusCode::FORBIDDEN,
                "invalid_target",
                denial.code(),
                "a policy cannot be evaluated".to_owned(),
            ),
        }
    }
}

impl From<&NotOffered> for Refusal {
    fn from(refusal: &NotOffered) -> Self {
        let oauth = match refusal {
            NotOffered::AccessToken => "invalid_request",
            NotOffered::Scope { .. } => "invalid_scope",
        };
        Self::new(StatusCode::BAD_REQUEST, oauth, refusal.code(), refusal.to_string())
    }
}

impl From<&CloudRefusal> for Refusal {
    fn from(refusal: &CloudRefusal) -> Self {
        let (status, retry) = match refusal {
            CloudRefusal::BudgetSpent { retry_after, .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(retry_after.as_secs().max(1)))
            }
            CloudRefusal::Garbage { .. }
            | CloudRefusal::Oversized { .. }
            | CloudRefusal::Preflight { .. }
            | CloudRefusal::Refused { .. } => (StatusCode::BAD_GATEWAY, None),
            CloudRefusal::Throttled { retry_after, .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                Some(retry_after.map_or(1, |after| after.as_secs().max(1))),
            ),
            CloudRefusal::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, Some(1)),
        };
        Self {
            cloud_code: refusal.cloud_code().map(str::to_owned),
            retry_after_seconds: retry,
            ..Self::new(status, "invalid_target", refusal.code(), refusal.to_string())
        }
    }
}

impl From<&CsrRefused> for Refusal {
    fn from(refusal: &CsrRefused) -> Self {
        let status = match refusal {
            CsrRefused::AsksForAuthority
            | CsrRefused::AsksForExtensions { .. }
            | CsrRefused::AsksForNames
            | CsrRefused::KeyUnsupported { .. }
            | CsrRefused::KeyWeak(_)
            | CsrRefused::Malformed { .. }
            | CsrRefused::Signature { .. } => StatusCode::BAD_REQUEST,
            CsrRefused::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        };
        Self::new(status, "invalid_request", refusal.code(), refusal.to_string())
    }
}

impl From<&ChainRefused> for Refusal {
    fn from(refusal: &ChainRefused) -> Self {
        use ChainRefused as C;
        let status = match refusal {
            C::NoRequest | C::RootRefused { .. } | C::RootUnknown { .. } => StatusCode::CONFLICT,
            C::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            C::Duplicate { .. }
            | C::Extension { .. }
            | C::KeyMismatch { .. }
            | C::KeyUnsupported { .. }
            | C::KeyUsage { .. }
            | C::Life { .. }
            | C::Malformed { .. }
            | C::Names { .. }
            | C::NotAuthority { .. }
            | C::NotValid { .. }
            | C::OutlivesIssuer { .. }
            | C::PathLength { .. }
            | C::RootMissing { .. }
            | C::Signature { .. }
            | C::Unverifiable { .. } => StatusCode::BAD_REQUEST,
        };
        Self::new(status, "invalid_request", refusal.code(), refusal.to_string())
    }
}

impl From<&MintRefusal> for Refusal {
    fn from(refusal: &MintRefusal) -> Self {
        match refusal {
            MintRefusal::KeyUnavailable { .. } | MintRefusal::Randomness(_) => {
                unavailable(refusal.code(), "the gateway cannot sign at the moment")
            }
            MintRefusal::ActorInCertificate { .. } | MintRefusal::CsrMissing | MintRefusal::CsrUnexpected => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                refusal.code(),
                refusal.to_string(),
            ),
            MintRefusal::ClaimReserved { .. } | MintRefusal::Lint { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                refusal.code(),
                "the gateway made an SVID that does not pass its own check, nothing was released".to_owned(),
            ),
        }
    }
}

fn unavailable(code: &'static str, sentence: &str) -> Refusal {
    let refusal = Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
        code,
        sentence.to_owned(),
    );
    Refusal {
        retry_after_seconds: Some(1),
        ..refusal
    }
}

impl Refusal {
    fn new(status: StatusCode, oauth: &'static str, code: &'static str, sentence: String) -> Self {
        Self {
            status,
            oauth,
            code,
            sentence,
            cloud_code: None,
            retry_after_seconds: None,
        }
    }

    /// Writes the refusal as an OAuth error (RFC 6749 section 5.2).
    pub fn into_oauth(self, exchange_id: Option<&ExchangeId>) -> Response {
        let body = OauthError {
            error: self.oauth,
            error_description: self.sentence.chars().map(oauth_character).collect(),
            code: self.code,
            exchange_id: exchange_id.map(ToString::to_string),
            cloud_code: self.cloud_code.clone(),
        };
        self.respond(Json(body).into_response())
    }

    /// Writes the refusal as problem details (RFC 9457).
    pub fn into_problem(self, exchange_id: Option<&ExchangeId>) -> Response {
        let mut response = Json(self.problem(exchange_id)).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        self.respond(response)
    }

    /// Returns the problem details.
    pub fn problem(&self, exchange_id: Option<&ExchangeId>) -> Problem {
        Problem {
            r#type: format!("urn:cambio:error:{}", self.code),
            title: self.code,
            status: self.status.as_u16(),
            detail: self.sentence.clone(),
            code: self.code,
            exchange_id: exchange_id.map(ToString::to_string),
            cloud_code: self.cloud_code.clone(),
        }
    }

    fn respond(self, mut response: Response) -> Response {
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// RFC 6749 section 5.2: `error_description` has neither `"` nor `\`, and printable ASCII only.
fn oauth_character(character: char) -> char {
    match character {
        '"' | '\\' => '\'',
        ' '..='~' => character,
        _ => '?',
    }
}

#[derive(Debug, Serialize)]
struct OauthError {
    error: &'static str,
    error_description: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_code: Option<String>,
}

/// Problem details (RFC 9457) with the stable code.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// `urn:cambio:error:<code>`.
    pub r#type: String,
    /// The code again, as RFC 9457 wants a title.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What was found against what was expected, as far as the caller may know.
    pub detail: String,
    /// The stable code; the manual has a page for each.
    pub code: &'static str,
    /// The request's id, which the audit trail names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange_id: Option<String>,
    /// The relying party's own code, where it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_code: Option<String>,
}
