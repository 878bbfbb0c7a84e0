//! Runs every sourced vector against the rules and against the simulator on the wire.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ground::{
    self, Answer, ES256, ES384, ES512, FakeDocuments, ISSUER, NOW, NOW_SECONDS, OTHER_RSA, RSA, empty_aws, post,
};
use crate::{
    clock::{self, FakeClock},
    exchange::{
        aws::{Code, Refusal, arn, role_session, trust::TrustPolicy},
        aws_sts::{
            rules::{
                context, limits, provider, session_policy,
                token::{self, Claims},
            },
            sim::{AwsSim, OidcProvider, Role},
        },
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    now: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    id: String,
    kind: String,
    mark: String,
    on: Vec<String>,
    #[serde(rename = "source")]
    _source: String,
    text: String,
    given: Map<String, Value>,
    expected: Expected,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    code: Option<String>,
    #[serde(default = "accepted")]
    status: u16,
    message: Option<String>,
    verified: Option<bool>,
    arn: Option<String>,
    tags: Option<Value>,
    transitive_keys: Option<Vec<String>>,
    source_identity: Option<String>,
    duration: Option<u64>,
}

fn accepted() -> u16 {
    200
}

fn vectors() -> Vec<Vector> {
    let file: File = serde_json::from_str(include_str!("../../../../tests/vectors/clouds/aws_sts.json")).unwrap();
    assert_eq!(file.now, NOW);
    file.vectors
}

#[test]
fn every_vector_has_its_own_id_a_known_mark_and_a_place_to_run() {
    let vectors = vectors();

    let mut ids: Vec<&str> = vectors.iter().map(|vector| vector.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), vectors.len());
    for vector in &vectors {
        assert!(
            ["D", "S", "O", "M"].contains(&vector.mark.as_str()),
            "{}: {}",
            vector.id,
            vector.mark
        );
        assert!(
            !vector.on.is_empty() && vector.on.iter().all(|on| on == "rules" || on == "sim"),
            "{}",
            vector.id
        );
    }
}

#[test]
fn the_rules_judge_every_vector_as_its_source_says() {
    let wrong: Vec<String> = vectors()
        .iter()
        .filter(|vector| vector.on.iter().any(|on| on == "rules"))
        .filter_map(|vector| difference(vector, &by_rules(vector)))
        .collect();

    assert!(
        wrong.is_empty(),
        "{} vectors differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn the_simulator_answers_every_vector_as_its_source_says() {
    let mut wrong = Vec::new();
    for vector in vectors().iter().filter(|vector| vector.on.iter().any(|on| on == "sim")) {
        wrong.extend(difference(vector, &by_simulator(vector).await));
    }

    assert!(
        wrong.is_empty(),
        "{} vectors differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn difference(vector: &Vector, outcome: &Result<Value, Refusal>) -> Option<String> {
    let Vector { id, text, expected, .. } = vector;
    let differs = match outcome {
        Ok(found) => {
            expected.code.is_some()
                || [
                    ("arn", json!(expected.arn)),
                    ("tags", json!(expected.tags)),
                    ("transitive_keys", json!(expected.transitive_keys)),
                    ("source_identity", json!(expected.source_identity)),
                    ("duration", json!(expected.duration)),
                ]
                .iter()
                .any(|(name, wanted)| !wanted.is_null() && found.get(name) != Some(wanted))
        }
        Err(refusal) => {
            expected.code.as_deref() != Some(refusal.code.name())
                || expected.status != refusal.code.status()
                || expected
                    .message
                    .as_ref()
                    .is_some_and(|message| *message != refusal.message)
                || expected.verified.is_some_and(|verified| verified != refusal.verified)
        }
    };
    differs.then(|| format!("{id} ({text}): expected {expected:?}, found {outcome:?}"))
}

// What a vector says, as one case.

struct Case {
    header: Value,
    claims: Value,
    request: Vec<(String, String)>,
    token_is_given: bool,
    provider: OidcProvider,
    role: Role,
    discovery: Value,
    jwks: Value,
    documents: Arc<FakeDocuments>,
}

impl Case {
    fn of(vector: &Vector) -> Self {
        let given = |name: &str| vector.given.get(name).cloned().map_or(Value::Null, expand);
        let header = merged(ground::header(), &given("header"));
        let claims = merged(ground::claims(NOW_SECONDS), &given("claims"));
        let signer = match (vector.given.get("signed_by"), header["alg"].as_str()) {
            (Some(_other), _) => &OTHER_RSA,
            (None, Some("ES256")) => &ES256,
            (None, Some("ES384")) => &ES384,
            (None, Some("ES512")) => &ES512,
            (None, _) => &RSA,
        };
        let request_given = given("request");
        let defaults = ground::parameters(&signer.sign(&header, &claims))
            .into_iter()
            .map(|(name, value)| (name, json!(value)));
        let request = merged(Value::Object(defaults.collect()), &request_given);
        let discovery = merged(ground::discovery(), &given("discovery"));
        let jwks = keys(&given("jwks"));
        let documents = match vector.given.get("unreachable") {
            Some(_) => FakeDocuments::unreachable(),
            None => FakeDocuments::new(discovery.clone(), jwks.clone()),
        };
        Self {
            header,
            claims,
            request: request
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            token_is_given: request_given.get("WebIdentityToken").is_some(),
            provider: oidc_provider(&given("provider")),
            role: role(vector),
            discovery,
            jwks,
            documents,
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.request
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        single => vec![text(single)],
    }
}

fn oidc_provider(given: &Value) -> OidcProvider {
    let mut provider = ground::provider();
    for (name, value) in given.as_object().into_iter().flatten() {
        match name.as_str() {
            "account" => provider.account = text(value),
            "client_ids" => provider.client_ids = texts(value),
            "thumbprints" => provider.thumbprints = texts(value),
            "url" => provider.url = text(value),
            other => panic!("a vector gives a provider `{other}`"),
        }
    }
    provider
}

fn role(vector: &Vector) -> Role {
    let mut role = ground::role();
    if let Some(policy) = vector.given.get("trust_policy") {
        role.trust_policy = policy.to_string();
    }
    if let Some(length) = vector.given.get("trust_policy_length").and_then(Value::as_u64) {
        let mut policy = ground::trust_policy();
        let bare = policy
            .to_string()
            .chars()
            .filter(|character| !character.is_whitespace())
            .count();
        let sid = "a".repeat(usize::try_from(length).unwrap() - bare - r#""Sid":"","#.len());
        policy["Statement"][0]["Sid"] = json!(sid);
        role.trust_policy = policy.to_string();
    }
    if let Some(seconds) = vector.given.get("max_session_duration").and_then(Value::as_u64) {
        role.max_session_duration = Duration::from_secs(seconds);
    }
    role
}

fn keys(given: &Value) -> Value {
    let Some(counts) = given.as_object() else {
        return ground::jwks();
    };
    let copies = |key: &Value, count: u64| {
        (0..count)
            .map(|index| {
                if index == 0 {
                    key.clone()
                } else {
                    merged(key.clone(), &json!({"kid": format!("copy-{index}")}))
                }
            })
            .collect::<Vec<_>>()
    };
    let count = |name: &str| counts.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut keys = copies(&RSA.jwk, count("RSA"));
    keys.extend(copies(&ES256.jwk, count("EC")));
    json!({ "keys": keys })
}

/// Replaces members; null removes.
fn merged(mut into: Value, changes: &Value) -> Value {
    let members = into.as_object_mut().unwrap();
    for (name, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    into
}

/// Writes out what a vector abbreviates.
fn expand(value: Value) -> Value {
    let Value::Object(members) = value else {
        return value;
    };
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    if let Some(repeat) = members.get("$repeat") {
        let prefix = members.get("$prefix").map(text).unwrap_or_default();
        return json!(prefix + &text(&repeat[0]).repeat(number(&repeat[1])));
    }
    if let Some(count) = members.get("$count") {
        return (0..number(count))
            .map(|index| json!(format!("client-{index}")))
            .collect();
    }
    if let Some(count) = members.get("$tags") {
        return Value::Object(
            (0..number(count))
                .map(|index| (format!("k{index}"), json!(["v"])))
                .collect(),
        );
    }
    if let Some(tag) = members.get("$tag") {
        return Value::Object(Map::from_iter([(text(&tag[0]), json!([tag[1]]))]));
    }
    Value::Object(members.into_iter().map(|(name, value)| (name, expand(value))).collect())
}

// Against the rules.

fn by_rules(vector: &Vector) -> Result<Value, Refusal> {
    let case = Case::of(vector);
    match vector.kind.as_str() {
        "assume" => assume_by_rules(&case),
        "code" => Err(Refusal::known(code(&vector.given), "")),
        "create_provider" => {
            provider::url(&case.provider.url)?;
            provider::client_ids(&case.provider.client_ids)?;
            provider::thumbprints(&case.provider.thumbprints)?;
            Ok(json!({"arn": provider::arn("aws", &case.provider.account, &case.provider.url)}))
        }
        "create_role" => TrustPolicy::parse(&case.role.trust_policy).map(|_policy| Value::Null),
        "discovery" => provider::discovery(&case.discovery, ISSUER).map(|()| Value::Null),
        "refusal" => Err(refusal(&vector.given)),
        other => panic!("{}: unknown kind `{other}`", vector.id),
    }
}

fn assume_by_rules(case: &Case) -> Result<Value, Refusal> {
    let policy_arns: Vec<String> = case
        .request
        .iter()
        .filter(|(name, _)| name.starts_with("PolicyArns"))
        .map(|(_, arn)| arn.clone())
        .collect();
    let number = |name: &str| case.parameter(name).map(|text| text.parse().unwrap());
    let request = limits::Request {
        role_arn: case.parameter("RoleArn"),
        role_session_name: case.parameter("RoleSessionName"),
        web_identity_token: case.parameter("WebIdentityToken"),
        provider_id: case.parameter("ProviderId"),
        policy_arns: &policy_arns,
        policy: case.parameter("Policy"),
        duration_seconds: number("DurationSeconds"),
        minimum_session_token_size: number("MinimumSessionTokenSize"),
    };
    limits::request(&request)?;
    let role = arn::role_arn(request.role_arn.unwrap())?;
    let (header, claims) = if case.token_is_given {
        token::split_unverified(request.web_identity_token.unwrap())?
    } else {
        (case.header.clone(), case.claims.clone())
    };
    let algorithm = token::algorithm(&header)?;
    let read = Claims::read(&claims)?;
    if (&role.account, &read.issuer) != (&case.provider.account, &case.provider.url) {
        return Err(Refusal::no_provider(&read.issuer));
    }
    provider::discovery(&case.discovery, &case.provider.url)
        .map_err(|why| Refusal::no_verification_key().because(why.to_string()))?;
    provider::key_count(&case.jwks, algorithm)?;
    read.timely(clock::parse_rfc3339(NOW).unwrap())?;
    let audience = read.audience(&case.provider.client_ids)?;
    let session = token::session(&claims)?;
    let arn = provider::arn(&role.partition, &case.provider.account, &case.provider.url);
    let context = context::web_identity(&arn, &read, &audience, &session, request.role_session_name.unwrap());
    TrustPolicy::parse(&case.role.trust_policy)?
        .evaluate(&context)
        .into_result()?;
    let seconds = request
        .duration_seconds
        .unwrap_or(role_session::DEFAULT_DURATION_SECONDS);
    role_session::within_role_maximum(
        seconds,
        i64::try_from(case.role.max_session_duration.as_secs()).unwrap(),
    )?;
    request.policy.map_or(Ok(()), session_policy::check)?;
    role_session::packed_percent(&request.policy.into_iter().collect::<Vec<_>>(), &session.tags)?;
    Ok(json!({
        "tags": session.tags.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "transitive_keys": session.transitive_keys,
        "source_identity": session.source_identity,
        "duration": seconds,
    }))
}

fn code(given: &Map<String, Value>) -> Code {
    let name = text(&given["code"]);
    [
        Code::ConcurrentModification,
        Code::EntityAlreadyExists,
        Code::InvalidInput,
        Code::LimitExceeded,
        Code::OpenIdIdpCommunicationError,
        Code::ServiceFailure,
    ]
    .into_iter()
    .find(|code| code.name() == name)
    .unwrap()
}

fn refusal(given: &Map<String, Value>) -> Refusal {
    match given["refusal"].as_str().unwrap() {
        "provider_unreachable" => Refusal::provider_unreachable(),
        "region_disabled" => Refusal::region_disabled("eu-central-1"),
        "rejected_claim" => Refusal::rejected_claim(),
        "throttled" => Refusal::throttled(),
        "thumbprint_mismatch" => Refusal::thumbprint_mismatch(),
        other => panic!("unknown refusal `{other}`"),
    }
}

// Against the simulator.

async fn by_simulator(vector: &Vector) -> Result<Value, Refusal> {
    let case = Case::of(vector);
    let aws = empty_aws(Arc::clone(&case.documents), FakeClock::at(NOW));
    match vector.kind.as_str() {
        "create_provider" => {
            if vector.given.contains_key("twice") {
                aws.create_oidc_provider(case.provider.clone()).unwrap();
            }
            return aws.create_oidc_provider(case.provider).map(|arn| json!({ "arn": arn }));
        }
        "create_role" => return aws.create_role(case.role).map(|arn| json!({ "arn": arn })),
        "assume" => {}
        "refusal" => aws.refuse_next(refusal(&vector.given)),
        other => panic!("{}: unknown kind `{other}`", vector.id),
    }
    aws.create_oidc_provider(case.provider.clone()).unwrap();
    aws.create_role(case.role.clone()).unwrap();
    let answer = post(&aws, &case.request).await;
    on_the_wire(&aws, &answer)
}

/// Takes the outcome from the wire; only whether it is verified, and the session, come from the simulator's memory.
fn on_the_wire(aws: &AwsSim, answer: &Answer) -> Result<Value, Refusal> {
    let Some(code) = answer.text("Code") else {
        assert_eq!(answer.status, 200, "{answer:?}");
        let session = aws.sessions().pop().unwrap();
        return Ok(json!({
            "tags": session.tags,
            "transitive_keys": session.transitive_keys,
            "source_identity": session.source_identity,
            "duration": session.duration.as_secs(),
        }));
    };
    let mut refusal = aws.refusals().pop().unwrap();
    assert_eq!(refusal.code.name(), code);
    assert_eq!(refusal.code.status(), answer.status.as_u16());
    refusal.message = answer.text("Message").unwrap();
    Err(refusal)
}
