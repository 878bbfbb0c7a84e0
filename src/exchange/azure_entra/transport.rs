//! How a request of azure_identity reaches Entra, and what came back.
//!
//! Reads the answer before azure_identity does: azure_identity 1.0.0 cannot read a refusal whose description holds the
//! documented line breaks, and drops Retry-After. Never follows a redirect, and never reads more than the limit.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use azure_core::{
    error::{Error, ErrorKind},
    http::{AsyncRawResponse, Body, HttpClient, Method, Request, StatusCode, headers::Headers},
};

use crate::exchange::{
    CloudRefusal,
    azure_entra::{
        CLOUD,
        response::{self, Answer, Granted},
    },
};

/// LIMITS.md: 2 s to connect.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// LIMITS.md: 10 s for an upstream call, its second try included.
pub(super) const TOTAL_TIME: Duration = Duration::from_secs(10);

/// Most bytes of an answer: a token of an application with many roles has a few KiB. Ours.
pub(super) const ANSWER_BYTES: usize = 64 * 1024;

/// Makes the client that all exchanges of one relying party share; with `certificates` it trusts nothing else.
///
/// Uses no proxy: the one that the environment names was not configured.
///
/// # Errors
/// Fails where TLS cannot be set up.
pub(super) fn client(certificates: Option<Vec<reqwest::Certificate>>) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIME)
        .timeout(TOTAL_TIME)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never());
    match certificates {
        Some(certificates) => builder.tls_certs_only(certificates),
        None => builder,
    }
    .build()
}

/// One exchange's call: sends what azure_identity asks for and remembers the last answer.
#[derive(Debug)]
pub(super) struct Call {
    client: reqwest::Client,
    now: SystemTime,
    last: Mutex<Option<Result<Granted, CloudRefusal>>>,
}

impl Call {
    pub(super) fn new(client: reqwest::Client, now: SystemTime) -> Self {
        Self {
            client,
            now,
            last: Mutex::default(),
        }
    }

    /// Returns what the last try ended in; `None` if nothing was sent.
    pub(super) fn last(&self) -> Option<Result<Granted, CloudRefusal>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn send(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let (read, again) = match self.answer(request).await {
            Ok(answer) => {
                let read = response::read(&answer, self.now);
                (read, Ok(answer))
            }
            Err((refusal, kind)) => (Err(refusal), Err(kind)),
        };
        let throttled = matches!(read, Err(CloudRefusal::Throttled { .. }));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
        match again {
            // A kind that azure_core does not try again: the pause that Entra asks for is the budget's to keep.
            Ok(_answer) if throttled => Err(Error::with_message(ErrorKind::Other, "throttled")),
            Ok(answer) => Ok(AsyncRawResponse::from_bytes(
                StatusCode::from(answer.status),
                Headers::new(),
                answer.body,
            )),
            Err(kind) => Err(Error::with_message(kind, "no answer")),
        }
    }

    async fn answer(&self, request: &Request) -> Result<Answer, (CloudRefusal, ErrorKind)> {
        let (Method::Post, Body::Bytes(body)) = (request.method(), request.body()) else {
            return Err((
                unavailable("azure_identity asked for another request than a form"),
                ErrorKind::Other,
            ));
        };
        let mut sent = self.client.post(request.url().clone()).body(body.clone());
        for (name, value) in request.headers().iter() {
            sent = sent.header(name.as_str(), value.as_str());
        }
        let mut response = sent.send().await.map_err(|why| failed(&why))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|why| failed(&why))? {
            if body.len() + chunk.len() > ANSWER_BYTES {
                let refusal = CloudRefusal::Oversized {
                    cloud: CLOUD,
                    limit_bytes: ANSWER_BYTES,
                };
                return Err((refusal, ErrorKind::Other));
            }
            body.extend_from_slice(&chunk);
        }
        let retry_after = response.headers().get(reqwest::header::RETRY_AFTER);
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after: retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned),
            body,
        })
    }
}

impl HttpClient for Call {
    fn execute_request<'s, 'r, 'f>(
        &'s self,
        request: &'r Request,
    ) -> Pin<Box<dyn Future<Output = azure_core::Result<AsyncRawResponse>> + Send + 'f>>
    where
        's: 'f,
        'r: 'f,
        Self: 'f,
    {
        Box::pin(self.send(request))
    }
}

fn failed(why: &reqwest::Error) -> (CloudRefusal, ErrorKind) {
    if why.is_connect() {
        (
            unavailable(&format!("no connection: {}", innermost(why))),
            ErrorKind::Connection,
        )
    } else if why.is_timeout() {
        (unavailable("no answer in time"), ErrorKind::Io)
    } else {
        (
            unavailable(&format!("the connection broke: {}", innermost(why))),
            ErrorKind::Io,
        )
    }
}

/// The cause that says most, such as an untrusted certificate; never the URL of the request.
fn innermost(why: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = why;
    while let Some(next) = cause.source() {
        cause = next;
    }
    response::shown(&cause.to_string())
}

fn unavailable(reason: &str) -> CloudRefusal {
    CloudRefusal::Unavailable {
        cloud: CLOUD,
        reason: reason.to_owned(),
    }
}
