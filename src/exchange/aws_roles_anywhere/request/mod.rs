//! CreateSession on the wire: one signed POST.
//!
//! Never finds credentials, a region or an endpoint by itself; never follows a redirect, never reads more than the limit,
//! and never tries more than twice.

pub(super) mod signature;

use std::{
    fmt,
    future::Future,
    time::{Duration, SystemTime},
};

use reqwest::header;
use serde_json::{Map, Value};
use url::Url;

use self::signature::{PATH, Signed, Unsigned};
use super::{
    CLOUD,
    response::{self, Answer},
};
use crate::exchange::CloudRefusal;

/// LIMITS.md: an upstream call connects within 2 s ..
const CONNECT: Duration = Duration::from_secs(2);
/// .. and ends within 10 s, its second try included.
const TOTAL: Duration = Duration::from_secs(10);
/// The pause before the second try: long enough for a failed backend to be left, short against the call's time. Ours.
const PAUSE: Duration = Duration::from_millis(200);
/// Most bytes of an answer; a session token has no documented bound. Ours.
pub(super) const ANSWER_BYTES: usize = 64 * 1024;

/// Where Roles Anywhere is.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// The origin, without a trailing slash.
    pub(super) origin: String,
    /// What stands in the `Host` header.
    pub(super) host: String,
    /// The region of the credential scope.
    pub(super) region: String,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) profile_arn: &'a str,
    pub(super) role_arn: &'a str,
    pub(super) trust_anchor_arn: &'a str,
    /// What the session is called, where the profile takes it.
    pub(super) session_name: Option<&'a str>,
    /// How long the credentials shall last.
    pub(super) duration: Duration,
}

impl Endpoint {
    /// Takes an https URL without path, query and credentials.
    pub(super) fn new(text: &str, region: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let origin = url.origin().ascii_serialization();
        let is_origin = url.scheme() == "https" && url.username().is_empty() && origin == text;
        let host = origin.strip_prefix("https://").filter(|_| is_origin)?.to_owned();
        Some(Self {
            origin,
            host,
            region: region.to_owned(),
        })
    }

    /// Returns the request that is to be signed.
    pub(super) fn unsigned<'a>(
        &'a self,
        (query, body): (&'a [(&'a str, &'a str)], &'a [u8]),
        now: SystemTime,
    ) -> Unsigned<'a> {
        Unsigned {
            host: &self.host,
            region: &self.region,
            query,
            body,
            now,
        }
    }
}

impl Asked<'_> {
    /// Returns the query; the service's own client puts the ARNs there, not into the body (clouds.md 2.3 [S RA-helper]).
    pub(super) fn query(&self) -> [(&'static str, &str); 3] {
        [
            ("profileArn", self.profile_arn),
            ("roleArn", self.role_arn),
            ("trustAnchorArn", self.trust_anchor_arn),
        ]
    }

    /// Returns the body.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut body = Map::from_iter([("durationSeconds".to_owned(), Value::from(self.duration.as_secs()))]);
        if let Some(name) = self.session_name {
            body.insert("roleSessionName".to_owned(), name.into());
        }
        Value::Object(body).to_string().into_bytes()
    }
}

/// One relying party's client of Roles Anywhere.
#[derive(Clone)]
pub(super) struct Sessions {
    client: reqwest::Client,
    endpoint: Endpoint,
}

impl Sessions {
    /// Returns a client; with `certificates` it trusts nothing else. It uses no proxy.
    ///
    /// # Errors
    /// Fails where TLS cannot be set up.
    pub(super) fn new(endpoint: Endpoint, certificates: Option<Vec<reqwest::Certificate>>) -> reqwest::Result<Self> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("cambio/", env!("CARGO_PKG_VERSION")));
        let client = match certificates {
            Some(certificates) => builder.tls_certs_only(certificates),
            None => builder,
        }
        .build()?;
        Ok(Self { client, endpoint })
    }

    /// Returns where it is.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a signed request, once more where the first try met a transient error, all within [`TOTAL`].
    pub(super) async fn create(&self, signed: &Signed, body: Vec<u8>) -> Result<Answer, CloudRefusal> {
        let url = format!("{}{PATH}?{}", self.endpoint.origin, signed.query);
        let mut request = self.client.post(url).body(body);
        for (name, value) in &signed.headers {
            request = request.header(*name, value);
        }
        within(TOTAL, twice(request)).await
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

async fn twice(request: reqwest::RequestBuilder) -> Result<Answer, CloudRefusal> {
    let again = request.try_clone();
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
    let text = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.trim().to_owned());
    Ok(Answer {
        status: response.status().as_u16(),
        error_type: text("x-amzn-errortype"),
        retry_after: text(header::RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok()),
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
