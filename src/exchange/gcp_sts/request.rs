//! What goes to Google: one token exchange, and one impersonation where an account is configured.
//!
//! Never follows a redirect, never reads more than the limit, and never tries more than twice.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use gcp_auth::TokenProvider;
use reqwest::header;
use serde_json::json;

use crate::{
    exchange::{
        CloudRefusal,
        gcp_sts::{
            CALLER_SCOPE, CLOUD,
            configuration::Impersonated,
            response::{self, Answer, Granted},
            rules::{certificate::TOKEN_TYPE, provider::ProviderName},
        },
    },
    secret::Secret,
};

/// LIMITS.md: 2 s to connect.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// LIMITS.md: 10 s for an upstream call, its second try included.
const TOTAL_TIME: Duration = Duration::from_secs(10);
/// The pause before the second try: long enough for a failed backend to be left, short against the call's time. Ours.
const PAUSE: Duration = Duration::from_millis(200);
/// Most bytes of an answer: a token has at most 12,288, so anything near this is no answer of these services. Ours.
pub(super) const ANSWER_BYTES: usize = 64 * 1024;

/// Makes a client; with `certificates` it trusts nothing else, with an `identity` it presents that.
///
/// Uses no proxy: the one that the environment names was not configured.
///
/// # Errors
/// Fails where TLS cannot be set up.
pub(super) fn client(
    certificates: Option<Vec<reqwest::Certificate>>,
    identity: Option<reqwest::Identity>,
) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIME)
        .timeout(TOTAL_TIME)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(concat!("cambio/", env!("CARGO_PKG_VERSION")));
    let builder = match certificates {
        Some(certificates) => builder.tls_certs_only(certificates),
        None => builder,
    };
    match identity {
        Some(identity) => builder.identity(identity),
        None => builder,
    }
    .build()
}

/// What is exchanged.
#[derive(Debug)]
pub(super) enum SubjectToken<'a> {
    /// A chain of certificates, presented by mutual TLS as well.
    Certificates {
        /// The JSON list of them.
        list: String,
        /// The first of them with its key.
        identity: reqwest::Identity,
    },
    /// A JWT-SVID.
    Jwt(&'a Secret),
}

/// Google's two services.
#[derive(Clone, Debug)]
pub(super) struct Google {
    client: reqwest::Client,
    certificates: Option<Vec<reqwest::Certificate>>,
    sts: String,
    iamcredentials: String,
}

impl Google {
    /// Takes what the configuration checked: origins without a trailing slash.
    ///
    /// # Errors
    /// Fails where TLS cannot be set up.
    pub(super) fn new(
        certificates: Option<Vec<reqwest::Certificate>>,
        sts: String,
        iamcredentials: String,
    ) -> reqwest::Result<Self> {
        Ok(Self {
            client: client(certificates.clone(), None)?,
            certificates,
            sts,
            iamcredentials,
        })
    }

    pub(super) fn sts(&self) -> &str {
        &self.sts
    }

    pub(super) fn iamcredentials(&self) -> &str {
        &self.iamcredentials
    }

    /// Exchanges a subject token for a federated token of `scope`.
    pub(super) async fn federate(
        &self,
        provider: &ProviderName,
        scope: &str,
        subject: &SubjectToken<'_>,
        now: SystemTime,
    ) -> Result<Granted, CloudRefusal> {
        let (kind, token) = match subject {
            SubjectToken::Certificates { list, .. } => (TOKEN_TYPE, list.as_str()),
            SubjectToken::Jwt(token) => ("urn:ietf:params:oauth:token-type:jwt", token.expose()),
        };
        let audience = provider.to_string();
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", &audience),
            ("scope", scope),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", kind),
            ("subject_token", token),
        ];
        let client = match subject {
            SubjectToken::Certificates { identity, .. } => self.presenting(identity)?,
            SubjectToken::Jwt(_) => self.client.clone(),
        };
        let request = client.post(format!("{}/v1/token", self.sts)).form(&form);
        response::federated(&twice(request).await?, now)
    }

    /// Returns a client for one exchange, which presents the certificate that the subject token begins with.
    fn presenting(&self, identity: &reqwest::Identity) -> Result<reqwest::Client, CloudRefusal> {
        client(self.certificates.clone(), Some(identity.clone())).map_err(|why| CloudRefusal::Preflight {
            cloud: CLOUD,
            code: "invalid_request".to_owned(),
            problem: format!("the TLS client cannot be made: {}", innermost(&why)),
        })
    }

    /// Asks for a token of a service account, with a bearer token of `bearer`.
    pub(super) async fn impersonate(
        &self,
        bearer: &dyn TokenProvider,
        impersonated: &Impersonated,
        scope: &str,
        lifetime: Duration,
    ) -> Result<Granted, CloudRefusal> {
        let token = bearer
            .token(&[CALLER_SCOPE])
            .await
            .map_err(|why| CloudRefusal::Unavailable {
                cloud: CLOUD,
                reason: format!(
                    "no bearer token for the impersonation: {}",
                    response::shown(&why.to_string())
                ),
            })?;
        let resource = |account: &String| format!("projects/-/serviceAccounts/{account}");
        let body = json!({
            "scope": scope.split(' ').collect::<Vec<_>>(),
            "delegates": impersonated.delegates.iter().map(resource).collect::<Vec<_>>(),
            "lifetime": format!("{}s", lifetime.as_secs()),
        });
        let account = resource(&impersonated.service_account);
        let request = self
            .client
            .post(format!("{}/v1/{account}:generateAccessToken", self.iamcredentials))
            .bearer_auth(token.as_str())
            .json(&body);
        response::impersonated(&twice(request).await?)
    }
}

/// Sends a request, once more where the first try met a transient error, all within [`TOTAL_TIME`].
async fn twice(request: reqwest::RequestBuilder) -> Result<Answer, CloudRefusal> {
    let again = request.try_clone();
    within(TOTAL_TIME, async move {
        let first = once(request).await;
        let transient = match &first {
            Ok(answer) => answer.is_transient(),
            Err(refusal) => matches!(refusal, CloudRefusal::Unavailable { .. }),
        };
        let Some(again) = again.filter(|_| transient) else {
            return first;
        };
        tokio::time::sleep(PAUSE).await;
        once(again).await
    })
    .await
}

pub(super) async fn within<T>(
    time: Duration,
    work: impl Future<Output = Result<T, CloudRefusal>>,
) -> Result<T, CloudRefusal> {
    match tokio::time::timeout(time, work).await {
        Ok(result) => result,
        Err(_elapsed) => Err(unavailable(format!("no answer within {} s", time.as_secs()))),
    }
}

async fn once(request: reqwest::RequestBuilder) -> Result<Answer, CloudRefusal> {
    let mut response = request.send().await.map_err(|why| failed(&why))?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|why| failed(&why))? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(CloudRefusal::Oversized {
                cloud: CLOUD,
                limit_bytes: ANSWER_BYTES,
            });
        }
        body.extend_from_slice(&chunk);
    }
    let retry_after = response.headers().get(header::RETRY_AFTER);
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after: retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok()),
        body,
    })
}

fn failed(why: &reqwest::Error) -> CloudRefusal {
    if why.is_connect() {
        unavailable(format!("no connection: {}", innermost(why)))
    } else if why.is_timeout() {
        unavailable("no answer in time".to_owned())
    } else {
        unavailable(format!("the connection broke: {}", innermost(why)))
    }
}

/// Returns the cause that says most, such as an untrusted certificate; never the URL of the request.
fn innermost(why: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = why;
    while let Some(next) = cause.source() {
        cause = next;
    }
    response::shown(&cause.to_string())
}

fn unavailable(reason: String) -> CloudRefusal {
    CloudRefusal::Unavailable { cloud: CLOUD, reason }
}
