//! Concurrent requests for one credential: what becomes of those who wait when the one who fetches is gone.

use std::{sync::Arc, time::Duration};

use cambio::{
    attest::{Evidence, Possession},
    exchange::aws_sts::sim::AwsSim,
    gateway::{Answer, Ask, Request},
    secret::{Digest, Secret},
    sim::Mutation,
};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::world::World;

/// Asks for `aws-dev` in a task that can be ended half-way, always with the same evidence and key.
fn ask(world: &World, token: &str) -> JoinHandle<Answer> {
    let gateway = Arc::clone(world.development.running.gateway());
    let possession = Possession::IdempotencyKey(Digest::of(b"the key of all of them"));
    let request = Request {
        evidence: Evidence::new(Secret::new(token), None, possession),
        actor: None,
        wanted: vec![Ask::credential("aws-dev")],
        subject_key: None,
        source: None,
    };
    tokio::spawn(async move { gateway.exchange(request).await })
}

/// Returns the exchanges' ids in the order of their first intents, once there are as many intents.
async fn intents(world: &World, count: usize) -> Vec<String> {
    for _ in 0..400 {
        let entries = world.trail().await;
        let found: Vec<&Value> = entries.iter().filter(|entry| entry["kind"] == "intent").collect();
        if found.len() >= count {
            let id = |entry: &&Value| entry["exchange_id"].as_str().unwrap().to_owned();
            return found.iter().map(id).collect();
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("there were never {count} intents");
}

fn aws(world: &World) -> Arc<AwsSim> {
    world.development.world.simulator::<AwsSim>("aws").unwrap()
}

/// The result of the one relying party asked for: the refusal's code, empty for a credential.
fn code(answer: &Answer) -> &'static str {
    answer.results[0]
        .1
        .as_ref()
        .map_or_else(|refused| refused.cause().code(), |_granted| "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_fetches_itself_where_its_leader_ended_without_a_result() {
    let world = World::start().await;
    let (aws, token) = (aws(&world), world.good());
    aws.mutations().push(Mutation::Delay(Duration::from_secs(25)));
    let leader = ask(&world, &token);
    let first = intents(&world, 1).await;
    while aws.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let follower = ask(&world, &token);
    intents(&world, 2).await;
    assert_eq!(aws.calls(), 1, "the follower waits");

    leader.abort();
    let answer = follower.await.unwrap();

    assert_eq!(code(&answer), "");
    assert_eq!(aws.calls(), 2);
    let id = answer.exchange_id.unwrap();
    let entries = world.trail_of(id.as_str()).await;
    let kinds: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["intent", "intent", "outcome"]);
    assert!(
        entries[0].get("svid").is_none() && entries[1]["svid"]["sha256"].is_string(),
        "nothing was signed before an intent said so: {entries:?}"
    );
    let open = world.admin("GET", "/v1/audit?open=true", None).await;
    let open: Vec<Value> = open
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(
        open[0]["exchange_id"],
        first[0].as_str(),
        "that of the leader who vanished"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_takes_over_at_most_once() {
    let world = World::start().await;
    let (aws, token) = (aws(&world), world.good());
    for _ in 0..2 {
        aws.mutations().push(Mutation::Delay(Duration::from_secs(25)));
    }
    let leader = ask(&world, &token);
    intents(&world, 1).await;
    while aws.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut followers = Vec::new();
    for count in 2..=3 {
        followers.push(ask(&world, &token));
        intents(&world, count).await;
    }

    leader.abort();
    let ids = intents(&world, 4).await;
    while aws.calls() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The fourth intent is that of the follower who took over.
    let second_leader = usize::from(ids[3] != ids[1]);
    followers.remove(second_leader).abort();
    let last = followers.remove(0).await.unwrap();

    assert_eq!(code(&last), "exchange.cloud_unavailable");
    assert_eq!(aws.calls(), 2, "nobody asked a third time");
    let entries = world.trail_of(last.exchange_id.unwrap().as_str()).await;
    let kinds: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["intent", "outcome"], "what began is closed");
}
