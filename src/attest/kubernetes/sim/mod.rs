//! A simulated cluster: the API server's discovery, key set and token reviews, and the kubelet that mounts tokens.
//!
//! It judges tokens with another library than the attestor, and refuses in the API server's own shapes. The texts of its
//! errors are from memory and marked so; nothing depends on them.

mod seed;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value, json};

pub(super) use seed::SEED;

use crate::{
    clock::{Clock, unix_seconds},
    sim::{Mutation, Mutations, token_signer::TokenSigner},
};

/// What may go wrong while a cluster is made.
pub type ClusterError = Box<dyn std::error::Error + Send + Sync>;

/// A cluster with one signing key, and the pods that were run in it.
pub struct ClusterSim {
    issuer: String,
    signer: TokenSigner,
    clock: Arc<dyn Clock>,
    objects: Mutex<Objects>,
    mutations: Mutations,
}

/// A pod that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// The service account's id.
    pub service_account_uid: String,
    /// Its name.
    pub name: String,
    /// Its id.
    pub uid: String,
}

#[derive(Debug, Default)]
struct Objects {
    made: u64,
    /// Ids of service accounts by their subjects.
    accounts: BTreeMap<String, String>,
    /// Ids of pods by namespace and name.
    pods: BTreeMap<(String, String), String>,
    reviewers: BTreeSet<String>,
    strangers: BTreeSet<String>,
    questions: Vec<Value>,
}

impl std::fmt::Debug for ClusterSim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterSim")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl ClusterSim {
    /// Makes a cluster with a fresh RSA key of the name `kid`.
    ///
    /// # Errors
    /// Fails where no key can be made.
    pub fn new(issuer: String, kid: &str, clock: Arc<dyn Clock>) -> Result<Self, ClusterError> {
        Ok(Self {
            issuer,
            signer: TokenSigner::rs256(kid)?,
            clock,
            objects: Mutex::default(),
            mutations: Mutations::default(),
        })
    }

    /// Returns what tests may make the review do.
    pub fn mutations(&self) -> &Mutations {
        &self.mutations
    }

    /// Runs a pod; a name that was used before becomes another pod, with another id.
    pub fn run(&self, namespace: &str, service_account: &str, name: &str) -> Pod {
        let mut objects = self.objects();
        let subject = format!("system:serviceaccount:{namespace}:{service_account}");
        let service_account_uid = if let Some(uid) = objects.accounts.get(&subject) {
            uid.clone()
        } else {
            let uid = objects.uid();
            objects.accounts.insert(subject, uid.clone());
            uid
        };
        let uid = objects.uid();
        objects
            .pods
            .insert((namespace.to_owned(), name.to_owned()), uid.clone());
        Pod {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            service_account_uid,
            name: name.to_owned(),
            uid,
        }
    }

    /// Deletes a pod.
    pub fn delete_pod(&self, pod: &Pod) {
        let key = (pod.namespace.clone(), pod.name.clone());
        self.objects().pods.remove(&key);
    }

    /// Deletes the pod's service account.
    pub fn delete_account(&self, pod: &Pod) {
        self.objects().accounts.remove(&pod.subject());
    }

    /// Lets whoever has this token review others (`system:auth-delegator`).
    pub fn let_review(&self, token: &str) {
        self.objects().reviewers.insert(token.to_owned());
    }

    /// Knows this token, and lets it do nothing.
    pub fn know(&self, token: &str) {
        self.objects().strangers.insert(token.to_owned());
    }

    /// Returns the questions that were asked so far.
    pub fn questions(&self) -> Vec<Value> {
        self.objects().questions.clone()
    }

    /// Returns the claims of the token that the kubelet would mount into the pod.
    pub fn claims(&self, pod: &Pod, audience: &str) -> Map<String, Value> {
        let now = unix_seconds(self.clock.now());
        let claims = json!({
            "aud": [audience],
            "exp": now + LIFE.as_secs(),
            "iat": now,
            "iss": self.issuer,
            "jti": self.objects().uid(),
            "kubernetes.io": {
                "namespace": pod.namespace,
                "node": { "name": "worker-1", "uid": NODE_UID },
                "pod": { "name": pod.name, "uid": pod.uid },
                "serviceaccount": { "name": pod.service_account, "uid": pod.service_account_uid },
                "warnafter": now + LIFE.as_secs(),
            },
            "nbf": now,
            "sub": pod.subject(),
        });
        claims.as_object().cloned().unwrap_or_default()
    }

    /// Signs claims; the header has no `typ`, as the API server's.
    ///
    /// # Errors
    /// Fails where the library fails.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, ClusterError> {
        self.signer.sign_typed(None, claims)
    }

    /// Returns the key set.
    pub fn jwks(&self) -> Value {
        self.signer.jwks()
    }

    /// Returns the API server's routes.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/openid/v1/jwks", get(jwks))
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(review))
            .with_state(self)
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a token as the API server's authenticator does; the texts are from memory [M].
    fn authenticate(&self, token: &str, audiences: &[String]) -> Result<(Map<String, Value>, Vec<String>), String> {
        let claims = self.verified(token)?;
        let text = |pointer: &str| {
            let found = Value::Object(claims.clone());
            found
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let held: Vec<String> = match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(one)) => vec![one.clone()],
            _none => Vec::new(),
        };
        let both: Vec<String> = held.iter().filter(|one| audiences.contains(one)).cloned().collect();
        if both.is_empty() {
            return Err(format!(
                "token audiences {held:?} is invalid for the target audiences {audiences:?}"
            ));
        }
        if unix_seconds(self.clock.now()) >= claims.get("exp").and_then(Value::as_u64).unwrap_or_default() {
            return Err("service account token has expired".to_owned());
        }
        let objects = self.objects();
        let account = objects.accounts.get(&text("/sub"));
        let pod = objects
            .pods
            .get(&(text("/kubernetes.io/namespace"), text("/kubernetes.io/pod/name")));
        let bound = text("/kubernetes.io/pod/uid");
        if account != Some(&text("/kubernetes.io/serviceaccount/uid")) || (!bound.is_empty() && pod != Some(&bound)) {
            return Err("service account token has been invalidated".to_owned());
        }
        Ok((claims, both))
    }

    fn verified(&self, token: &str) -> Result<Map<String, Value>, String> {
        let jwk = serde_json::from_value(self.signer.jwk().clone()).map_err(|why| why.to_string())?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|why| why.to_string())?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false; // by the simulation's own clock
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        validation.set_issuer(&[&self.issuer]);
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation);
        decoded.map(|token| token.claims).map_err(|why| why.to_string())
    }
}

impl Pod {
    /// Returns the name under which the API server knows the pod's service account.
    pub fn subject(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.service_account)
    }
}

impl Objects {
    fn uid(&mut self) -> String {
        self.made += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.made)
    }
}

async fn discovery(State(cluster): State<Arc<ClusterSim>>) -> Json<Value> {
    Json(json!({
        "issuer": cluster.issuer,
        "jwks_uri": format!("{}/openid/v1/jwks", cluster.issuer),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

async fn jwks(State(cluster): State<Arc<ClusterSim>>) -> Json<Value> {
    Json(cluster.jwks())
}

async fn review(
    State(cluster): State<Arc<ClusterSim>>,
    headers: HeaderMap,
    Json(mut question): Json<Value>,
) -> Response {
    cluster.objects().questions.push(question.clone());
    match cluster.mutations.take() {
        None => {}
        Some(Mutation::Delay(time)) => tokio::time::sleep(time).await,
        Some(Mutation::Garbage) => return (StatusCode::CREATED, "<html>").into_response(),
        Some(Mutation::Oversized) => return (StatusCode::CREATED, "x".repeat(TOO_MUCH)).into_response(),
        Some(Mutation::ServerError) => return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "etcd"),
        Some(Mutation::Throttle) => return failure(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "later"),
    }
    if let Some(refused) = refused_reviewer(&cluster, &headers) {
        return refused;
    }
    let token = question
        .pointer("/spec/token")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if token.is_empty() {
        let message = "token is required for TokenReview in authentication";
        return failure(StatusCode::BAD_REQUEST, "BadRequest", message);
    }
    let asked = question.pointer("/spec/audiences").and_then(Value::as_array);
    let asked: Vec<String> = asked
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let status = if asked.is_empty() {
        // Without audiences, the API server's own count, and the answer names none (T-68).
        status(&cluster, token, std::slice::from_ref(&cluster.issuer), false)
    } else {
        status(&cluster, token, &asked, true)
    };
    if let Some(review) = question.as_object_mut() {
        review.insert("metadata".to_owned(), json!({ "creationTimestamp": null }));
        review.insert("status".to_owned(), status);
    }
    (StatusCode::CREATED, Json(question)).into_response()
}

fn refused_reviewer(cluster: &ClusterSim, headers: &HeaderMap) -> Option<Response> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    let objects = cluster.objects();
    if objects.reviewers.contains(bearer) {
        return None;
    }
    if objects.strangers.contains(bearer) {
        let message = "tokenreviews.authentication.k8s.io is forbidden: User cannot create resource \"tokenreviews\" \
                       in API group \"authentication.k8s.io\" at the cluster scope";
        return Some(failure(StatusCode::FORBIDDEN, "Forbidden", message));
    }
    Some(failure(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized"))
}

fn status(cluster: &ClusterSim, token: &str, audiences: &[String], named: bool) -> Value {
    let (claims, both) = match cluster.authenticate(token, audiences) {
        Ok(found) => found,
        Err(why) => return json!({ "user": {}, "error": format!("[invalid bearer token, {why}]") }),
    };
    let claims = Value::Object(claims);
    let text = |pointer: &str| claims.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut extra = Map::new();
    for (member, pointer) in [
        ("authentication.kubernetes.io/node-name", "/kubernetes.io/node/name"),
        ("authentication.kubernetes.io/pod-name", "/kubernetes.io/pod/name"),
        ("authentication.kubernetes.io/pod-uid", "/kubernetes.io/pod/uid"),
    ] {
        if !text(pointer).is_empty() {
            extra.insert(member.to_owned(), json!([text(pointer)]));
        }
    }
    let groups = format!("system:serviceaccounts:{}", text("/kubernetes.io/namespace"));
    let mut status = json!({
        "authenticated": true,
        "user": {
            "username": text("/sub"),
            "uid": text("/kubernetes.io/serviceaccount/uid"),
            "groups": ["system:serviceaccounts", groups, "system:authenticated"],
            "extra": extra,
        },
    });
    if let Some(status) = status.as_object_mut().filter(|_| named) {
        status.insert("audiences".to_owned(), json!(both));
    }
    status
}

fn failure(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    (code, Json(status)).into_response()
}

/// The kubelet asks for an hour where the pod says nothing.
const LIFE: Duration = Duration::from_hours(1);
const NODE_UID: &str = "00000000-0000-4000-9000-000000000001";
/// More than any client should read.
const TOO_MUCH: usize = 2 * 1024 * 1024;
