//! A simulated Security Token Service that answers presigned questions, and the principals who sign them.
//!
//! It checks signatures from the request as it arrived; it shares no code with the attestor. The texts of its
//! errors are from memory and marked so; nothing depends on them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde_json::json;

use crate::{
    clock::{Clock, rfc3339},
    secret::{Digest, Secret},
    sim::{Mutation, Mutations, sigv4},
};

/// The service, with the principals that it knows.
pub struct StsSim {
    clock: Arc<dyn Clock>,
    principals: Mutex<BTreeMap<String, Principal>>,
    questions: Mutex<Vec<String>>,
    answers: Mutex<Vec<Response>>,
    mutations: Mutations,
}

/// Somebody with an access key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The id of the access key.
    pub access_key_id: String,
    /// The secret of the access key.
    pub secret_access_key: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
    /// The ARN that AWS answers.
    pub arn: String,
    /// The user id that AWS answers.
    pub user_id: String,
}

/// What is signed, each part to be changed by tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The host.
    pub host: String,
    /// The region of the scope.
    pub region: String,
    /// When it is signed.
    pub signed: SystemTime,
    /// For how long.
    pub expires: u64,
    /// The value of the header `x-cambio-challenge`.
    pub challenge: String,
}

impl std::fmt::Debug for StsSim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StsSim")
    }
}

impl Principal {
    /// Signs a question and returns its URL.
    pub fn presign(&self, question: &Question) -> String {
        let date = basic(question.signed);
        let day = date.get(..8).unwrap_or_default();
        let scope = format!("{day}/{}/sts/aws4_request", question.region);
        let mut pairs = vec![
            ("Action", "GetCallerIdentity".to_owned()),
            ("Version", "2011-06-15".to_owned()),
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", format!("{}/{scope}", self.access_key_id)),
            ("X-Amz-Date", date.clone()),
            ("X-Amz-Expires", question.expires.to_string()),
        ];
        if let Some(token) = &self.session_token {
            pairs.push(("X-Amz-Security-Token", token.clone()));
        }
        pairs.push(("X-Amz-SignedHeaders", "host;x-cambio-challenge".to_owned()));
        let query: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={}", sigv4::encode(value)))
            .collect();
        let query = query.join("&");
        let headers = format!("host:{}\nx-cambio-challenge:{}\n", question.host, question.challenge);
        let signature = self.signature(&query, &headers, (&date, &scope));
        format!("https://{}/?{query}&X-Amz-Signature={signature}", question.host)
    }

    /// Signature version 4, over a query that is in order.
    fn signature(&self, query: &str, headers: &str, (date, scope): (&str, &str)) -> String {
        let nothing = Digest::of(b"");
        let canonical = format!("GET\n/\n{query}\n{headers}\nhost;x-cambio-challenge\n{nothing}");
        sigv4::signature(&Secret::new(self.secret_access_key.as_str()), (date, scope), &canonical)
    }
}

impl StsSim {
    /// Makes a service that knows nobody.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            principals: Mutex::default(),
            questions: Mutex::default(),
            answers: Mutex::default(),
            mutations: Mutations::default(),
        }
    }

    /// Lets somebody be known.
    pub fn know(&self, principal: Principal) {
        let mut known = self.principals.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(principal.access_key_id.clone(), principal);
    }

    /// Returns what tests may make the service do.
    pub fn mutations(&self) -> &Mutations {
        &self.mutations
    }

    /// Makes the service answer the next question with this, whatever is asked.
    pub fn answer_next(&self, answer: impl IntoResponse) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push(answer.into_response());
    }

    /// Makes the service send the next question elsewhere.
    pub fn redirect_next(&self, to: &str) {
        self.answer_next(Redirect::temporary(to));
    }

    /// Returns the queries that were asked, in order.
    pub fn questions(&self) -> Vec<String> {
        let questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        questions.clone()
    }

    /// Returns the one route.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new().route("/", get(answer)).with_state(self)
    }

    /// Returns the answer about whoever signed the query, or what AWS says instead.
    fn judge(&self, query: &str, headers: &HeaderMap) -> Result<Response, (StatusCode, &'static str)> {
        let (signed, signature) = query.split_once("&X-Amz-Signature=").unwrap_or((query, ""));
        // The attestor writes the names in an order of its own; what is signed is sorted.
        let (signature, rest) = signature.split_once('&').unwrap_or((signature, ""));
        let mut pairs: Vec<&str> = signed
            .split('&')
            .chain(rest.split('&'))
            .filter(|one| !one.is_empty())
            .collect();
        pairs.sort_unstable();
        let value = |name: &str| {
            let pair = pairs.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            unpercent(pair.unwrap_or_default())
        };
        let credential = value("X-Amz-Credential");
        let (id, scope) = credential.split_once('/').unwrap_or_default();
        let known = self.principals.lock().unwrap_or_else(PoisonError::into_inner);
        let principal = known.get(id).ok_or((StatusCode::FORBIDDEN, "InvalidClientTokenId"))?;
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let signed_headers = format!(
            "host:{}\nx-cambio-challenge:{}\n",
            header("host"),
            header("x-cambio-challenge")
        );
        let date = value("X-Amz-Date");
        if principal.signature(&pairs.join("&"), &signed_headers, (&date, scope)) != signature {
            return Err((StatusCode::FORBIDDEN, "SignatureDoesNotMatch"));
        }
        if principal.session_token.clone().unwrap_or_default() != value("X-Amz-Security-Token") {
            return Err((StatusCode::FORBIDDEN, "InvalidClientTokenId"));
        }
        let life = Duration::from_secs(value("X-Amz-Expires").parse().unwrap_or_default());
        if date < basic(self.clock.now() - life) {
            return Err((StatusCode::FORBIDDEN, "SignatureDoesNotMatch")); // from memory: "Signature expired"
        }
        let account = principal.arn.split(':').nth(4).unwrap_or_default();
        let answer = json!({ "GetCallerIdentityResponse": {
            "GetCallerIdentityResult": { "Account": account, "Arn": principal.arn, "UserId": principal.user_id },
            "ResponseMetadata": { "RequestId": "00000000-0000-4000-8000-000000000001" },
        }});
        Ok(axum::Json(answer).into_response())
    }
}

async fn answer(State(service): State<Arc<StsSim>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let query = query.unwrap_or_default();
    service
        .questions
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(query.clone());
    match service.mutations.take() {
        None => {}
        Some(Mutation::Delay(time)) => tokio::time::sleep(time).await,
        Some(Mutation::Garbage) => return "<html>".into_response(),
        Some(Mutation::Oversized) => return "x".repeat(TOO_MUCH).into_response(),
        Some(Mutation::ServerError) => return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
        Some(Mutation::Throttle) => return failure(StatusCode::BAD_REQUEST, "Throttling"),
    }
    if let Some(answer) = service.answers.lock().unwrap_or_else(PoisonError::into_inner).pop() {
        return answer;
    }
    if headers
        .get(header::ACCEPT)
        .is_none_or(|accept| accept != "application/json")
    {
        return "<GetCallerIdentityResponse/>".into_response();
    }
    match service.judge(&query, &headers) {
        Ok(answer) => answer,
        Err((status, code)) => failure(status, code),
    }
}

fn failure(status: StatusCode, code: &str) -> Response {
    let body = json!({ "Error": { "Type": "Sender", "Code": code, "Message": code }, "RequestId": "r" });
    (status, axum::Json(body)).into_response()
}

/// `20260116T144000Z`.
fn basic(moment: SystemTime) -> String {
    rfc3339(moment).chars().filter(|one| !"-:".contains(*one)).collect()
}

fn unpercent(value: &str) -> String {
    url::form_urlencoded::parse(format!("v={value}").as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// More than any client should read.
const TOO_MUCH: usize = 10 * 1024 * 1024;
