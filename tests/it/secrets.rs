//! Nothing secret in anything that is kept or shown: trail, store, metrics, refusals (TM-52).

use std::{fs, path::Path, time::Duration};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use cambio::{secret::hex, sim::Mutation};
use serde_json::Value;

use crate::world::{ACCESS_TOKEN, Answer, EXCHANGE, JWT, World, key};

/// The members of answers that are secret.
const SECRET_MEMBERS: [&str; 4] = ["SecretAccessKey", "SessionToken", "access_token", "svid"];

#[tokio::test(flavor = "multi_thread")]
async fn tm_52_t_10_t_40d_no_token_secret_or_key_is_kept_or_shown() {
    let world = World::start().await;
    let mut secrets = Vec::new();
    let good = exchanges(&world).await;
    for answer in &good {
        collect(&answer.json(), &mut secrets);
    }
    assert!(secrets.len() >= 10, "only {} secrets were given out", secrets.len());
    secrets.extend(bad_requests(&world).await);
    // What was sent, and the signature of what was sent, which alone makes the rest a credential.
    let sent = world.sent.lock().unwrap().clone();
    secrets.extend(
        sent.iter()
            .filter_map(|token| token.rsplit('.').next())
            .map(str::to_owned),
    );
    secrets.extend(sent);
    let kek = fs::read(world.development.place.kek()).unwrap();
    let metrics = world.admin("GET", "/metrics", None).await.text;
    tokio::time::sleep(Duration::from_millis(300)).await;

    let mut places: Vec<(String, Vec<u8>)> = vec![("metrics".to_owned(), metrics.into_bytes())];
    files(world.development.place.store().parent().unwrap(), &mut places);
    places.push(("audit".to_owned(), fs::read(world.development.place.audit()).unwrap()));
    for refusal in world.refused.lock().unwrap().iter() {
        places.push(("refusal".to_owned(), refusal.clone().into_bytes()));
    }

    assert!(
        places
            .iter()
            .any(|(place, bytes)| place == "audit" && bytes.len() > 1000)
    );
    assert!(
        places
            .iter()
            .any(|(place, bytes)| place.ends_with("cambio.db") && !bytes.is_empty())
    );
    let mut spellings: Vec<Vec<u8>> = secrets
        .iter()
        .filter(|secret| secret.len() >= 16)
        .flat_map(|secret| spelled(secret.as_bytes()))
        .collect();
    spellings.extend(spelled(&kek));
    spellings.push(b"PRIVATE KEY".to_vec());
    spellings.sort();
    spellings.dedup();
    for (place, bytes) in &places {
        let hits: Vec<String> = hits(bytes, &spellings);
        assert!(hits.is_empty(), "{place} holds {hits:?}");
    }
}

/// The search finds a secret in each spelling; without this the test above could not fail.
#[test]
fn the_search_finds_every_spelling() {
    let secret = b"AKIA-canary-canary-canary";
    for spelling in spelled(secret) {
        let mut place = b"before ".to_vec();
        place.extend(&spelling);
        assert_eq!(hits(&place, &spelled(secret)).len(), 1);
    }
}

/// How a secret could stand in a file or a log: as it is, in hex or base64, or as numbers of a debug print.
pub(crate) fn spelled(secret: &[u8]) -> Vec<Vec<u8>> {
    let numbers: Vec<String> = secret.iter().map(u8::to_string).collect();
    vec![
        numbers.join(", ").into_bytes(),
        secret.to_vec(),
        hex(secret).into_bytes(),
        BASE64_STANDARD_NO_PAD.encode(secret).into_bytes(),
        BASE64_URL_SAFE_NO_PAD.encode(secret).into_bytes(),
    ]
}

/// Looks at each position once, by the first eight bytes of the spellings; names what it finds by those only.
pub(crate) fn hits(bytes: &[u8], spellings: &[Vec<u8>]) -> Vec<String> {
    use std::collections::HashMap;
    let mut by_start: HashMap<&[u8], Vec<&Vec<u8>>> = HashMap::new();
    for spelling in spellings {
        by_start.entry(&spelling[..8]).or_default().push(spelling);
    }
    let mut found: Vec<String> = (0..bytes.len().saturating_sub(7))
        .filter_map(|at| Some((at, by_start.get(&bytes[at..at + 8])?)))
        .flat_map(|(at, candidates)| candidates.iter().filter(move |one| bytes[at..].starts_with(one)))
        .map(|one| String::from_utf8_lossy(&one[..8]).into_owned())
        .collect();
    found.sort();
    found.dedup();
    found
}

async fn exchanges(world: &World) -> Vec<Answer> {
    let mine = key();
    let token = world.good();
    let mut answers = vec![
        world
            .exchange(&world.good(), &["aws-dev", "azure-dev", "gcp-dev"])
            .await,
        world.token(&world.good(), "gcp-dev", Some(ACCESS_TOKEN)).await,
        world.token(&world.good(), "azure-dev", None).await,
    ];
    for party in ["aws-dev", "azure-dev", "gcp-dev"] {
        answers.push(world.token(&world.good(), party, Some(JWT)).await);
    }
    for _ in 0..2 {
        answers.push(world.exchange_proven(&mine, &token, &["aws-dev", "gcp-dev"]).await);
    }
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    answers
}

/// Sends every kind of bad request; returns the secrets in them besides the tokens.
#[expect(clippy::too_many_lines, reason = "one table")]
async fn bad_requests(world: &World) -> Vec<String> {
    let canary = |name: &str| format!("canary-{name}-{}", crate::world::unique());
    let mut secrets = Vec::new();
    let unnamed = |token: &World| token.sign(token.job().with("repository_id", "75"));
    let wrong_audience = world.sign(world.job().for_audience("https://other.test"));
    for token in [
        wrong_audience,
        unnamed(world),
        world.sign(world.job().issued_at(world.now() - Duration::from_hours(1))),
        world.sign(world.job().with_header("kid", "unknown")),
        world.sign(world.job().with_header("jku", "https://evil.test")),
        canary("garbage"),
        canary("dots") + "." + &canary("payload") + "." + &canary("signature"),
        canary("oversized") + &"a".repeat(17_000),
    ] {
        assert!(world.exchange(&token, &["aws-dev"]).await.status >= 400);
        assert!(world.token(&token, "aws-dev", None).await.status >= 400);
    }
    let token = world.good();
    for path in [EXCHANGE, "/v1/token"] {
        let proof = canary("proof");
        let idempotency = canary("idempotency");
        for (name, value) in [
            ("dpop", &proof),
            ("idempotency-key", &idempotency),
            ("authorization", &canary("authorization")),
        ] {
            let body = format!(r#"{{"evidence":{{"token":"{token}"}},"relying_parties":["no-such-party"]}}"#);
            world.post(path, "application/json", body, &[(name, value)]).await;
            secrets.push(value.clone());
        }
        let body = canary("body");
        for body in [
            body.clone(),
            format!("{{\"{body}\":1}}"),
            format!("{{\"{body}\":1,\"{body}\":2}}"),
            format!("subject_token={body}&subject_token={body}"),
            format!("{body}=1&{body}=1"),
        ] {
            world.post(path, "application/json", body, &[]).await;
        }
        secrets.push(body);
    }
    let audience = canary("audience");
    world.token(&world.good(), &audience, None).await;
    for mutation in [
        Mutation::Garbage,
        Mutation::ServerError,
        Mutation::Oversized,
        Mutation::Throttle,
    ] {
        let aws = world
            .development
            .world
            .simulator::<cambio::exchange::aws_sts::sim::AwsSim>("aws")
            .unwrap();
        aws.mutations().push(mutation.clone());
        aws.mutations().push(mutation);
        world.exchange(&world.good(), &["aws-dev"]).await;
    }
    secrets
}

/// Collects what is secret in an answer.
pub(crate) fn collect(value: &Value, secrets: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text) if SECRET_MEMBERS.contains(&name.as_str()) => {
                        secrets.push(text.to_owned());
                        secrets.extend(text.rsplit('.').next().map(str::to_owned));
                    }
                    Some(_) | None => collect(value, secrets),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, secrets)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn files(directory: &Path, places: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        places.push((path.display().to_string(), fs::read(&path).unwrap()));
    }
}
