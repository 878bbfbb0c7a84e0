//! Machines with a key of their own, from outside: one joins, rotates, and is copied.

use cambio::{
    attest::bound_key::evidence,
    jose::{SigningAlgorithm, SigningKey},
    secret::SystemRandom,
};
use serde_json::{Value, json};

use crate::world::{Answer, World};

const BOUND_KEYS: &str = "/v1/bound-keys";

/// An attestor of machines, and what they may have.
async fn plant() -> World {
    World::start_with(|configuration| {
        let tables = "[[attestor]]\nname = \"plant\"\nkind = \"bound_key\"\nmax_key_age = \"9m\"\n\n\
                      [[attestor]]\nname = \"depot\"\nkind = \"join_token\"\n\n\
                      [[entry]]\nname = \"machine\"\nattestor = \"plant\"\nmatch = { \"bound_key.machine\" = \"press-7\" }\n\
                      spiffe_id = \"/machine/{bound_key.machine}\"\n\n\
                      [[relying_party]]\nname = \"inner\"\nkind = \"svid\"\naudience = \"https://inner.test\"\n\n\
                      [[grant]]\nname = \"machines\"\nentries = [\"machine\"]\nrelying_parties = [\"inner\"]\nttl = \"20m\"\n\
                      release = [\"svid\"]\n\n[[grant]]";
        configuration.replacen("[[grant]]", tables, 1)
    })
    .await
}

fn key() -> SigningKey {
    SigningKey::generate(SigningAlgorithm::Es256).unwrap()
}

async fn join_token(world: &World, attestor: &str) -> String {
    let body = json!({ "attestor": attestor, "machine": "press-7" });
    let made = world.admin("POST", "/v1/join-tokens", Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.text_at("/token")
}

/// Asks to keep `key`; `by` makes the proof.
async fn ask(world: &World, (name, token): (&str, &str), key: &SigningKey, by: &SigningKey) -> Answer {
    let proof = world.proof(by, BOUND_KEYS, token);
    let jwk = key.public_jwk("key");
    let body = json!({ name: token, "jwk": jwk, "proof": proof });
    world.post(BOUND_KEYS, "application/json", body.to_string(), &[]).await
}

async fn registers(world: &World, token: &str, key: &SigningKey) -> Answer {
    ask(world, ("join_token", token), key, key).await
}

fn made(world: &World, key: &SigningKey) -> String {
    let named = ("urn:cambio:bound-key:plant", world.development.issuer.as_str());
    let made = evidence::make(key, named, &SystemRandom, world.now()).unwrap();
    made.expose().to_owned()
}

async fn rotates(world: &World, from: &SigningKey, to: &SigningKey) -> Answer {
    ask(world, ("evidence", &made(world, from)), to, to).await
}

async fn joined(world: &World) -> SigningKey {
    let key = key();
    let answer = registers(world, &join_token(world, "plant").await, &key).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    key
}

async fn asks(world: &World, key: &SigningKey) -> Answer {
    world.exchange(&made(world, key), &["inner"]).await
}

async fn listed(world: &World) -> Vec<Value> {
    let listed = world.admin("GET", "/v1/machines", None).await.json();
    listed["machines"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_joins_once_and_proves_itself_each_time() {
    let world = plant().await;
    let (key, token) = (key(), join_token(&world, "plant").await);

    let joined = registers(&world, &token, &key).await;
    let evidence = made(&world, &key);
    let first = world.exchange(&evidence, &["inner"]).await;
    let replayed = world.exchange(&evidence, &["inner"]).await;
    let next = asks(&world, &key).await;

    assert_eq!(joined.status, 201, "{}", joined.text);
    assert_eq!(joined.text_at("/issuer"), "urn:cambio:bound-key:plant");
    assert_eq!(joined.text_at("/audience"), world.development.issuer);
    assert_eq!(joined.text_at("/thumbprint"), key.thumbprint().to_string());
    assert_eq!((first.status, next.status), (200, 200), "{}{}", first.text, next.text);
    assert_eq!(first.text_at("/spiffe_id"), "spiffe://dev.cambio.test/machine/press-7");
    assert_eq!(replayed.code(), "attest.evidence_replayed");
    let entries = world.trail_of(&joined.text_at("/exchange_id")).await;
    assert_eq!(
        (entries.len(), &entries[0]["kind"]),
        (1, &json!("change")),
        "{entries:?}"
    );
    assert_eq!(entries[0]["evidence"]["subject"], "press-7");
    assert!(
        world
            .trail()
            .await
            .iter()
            .all(|entry| !entry.to_string().contains(&token))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t_03_one_of_64_keys_is_registered_by_one_join_token() {
    let world = plant().await;
    let token = join_token(&world, "plant").await;
    let keys: Vec<_> = (0..64).map(|_| key()).collect();

    let answers = futures_util::future::join_all(keys.iter().map(|key| registers(&world, &token, key))).await;

    let kept = answers.iter().filter(|answer| answer.status == 201).count();
    let replayed = answers
        .iter()
        .filter(|answer| answer.text.contains("attest.evidence_replayed"));
    assert_eq!((kept, replayed.count()), (1, 63));
    assert_eq!(listed(&world).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_registered_once_and_only_by_its_holder() {
    let world = plant().await;
    let (mine, other) = (key(), key());
    let token = join_token(&world, "plant").await;

    let not_mine = ask(&world, ("join_token", &token), &mine, &other).await;
    let first = registers(&world, &token, &mine).await;
    let spare = join_token(&world, "plant").await;
    let twice = registers(&world, &spare, &mine).await;
    let with_another = registers(&world, &spare, &other).await;

    assert_eq!((not_mine.status, not_mine.code().as_str()), (400, "attest.key_refused"));
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(twice.code(), "attest.key_refused", "{}", twice.text);
    assert_eq!(
        with_another.status, 201,
        "a refusal does not use the token up: {}",
        with_another.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_token_opens_only_what_it_was_made_for() {
    let world = plant().await;
    let (for_a_key, for_itself) = (join_token(&world, "plant").await, join_token(&world, "depot").await);

    let as_evidence = world.exchange(&for_a_key, &["inner"]).await;
    let as_key = registers(&world, &for_itself, &key()).await;
    let of_a_job = ask(&world, ("evidence", &world.good()), &key(), &key()).await;

    assert_eq!(
        as_evidence.code(),
        "attest.evidence_unverifiable",
        "{}",
        as_evidence.text
    );
    assert_eq!(as_key.code(), "attest.evidence_unverifiable", "{}", as_key.text);
    assert_eq!(of_a_job.status, 400, "{}", of_a_job.text);
    let mine = key();
    let of_a_job = ask(&world, ("evidence", &world.good()), &mine, &mine).await;
    assert_eq!(of_a_job.code(), "attest.key_refused", "{}", of_a_job.text);
    assert_eq!(listed(&world).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn t_34_a_proof_over_another_token_keeps_no_key() {
    let world = plant().await;
    let (one, other) = (joined(&world).await, key());
    let (evidence, elsewhere) = (made(&world, &one), made(&world, &one));
    let proof = world.proof(&other, BOUND_KEYS, &elsewhere);
    let body = json!({ "evidence": evidence, "jwk": other.public_jwk("key"), "proof": proof });

    let answer = world.post(BOUND_KEYS, "application/json", body.to_string(), &[]).await;

    assert_eq!(answer.code(), "attest.dpop_invalid", "{}", answer.text);
    assert_eq!(asks(&world, &one).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_takes_over_at_once_and_a_lost_answer_is_given_again() {
    let world = plant().await;
    let (first, second) = (joined(&world).await, key());

    let rotated = rotates(&world, &first, &second).await;
    let again = rotates(&world, &first, &second).await;
    let old = asks(&world, &first).await;
    let new = asks(&world, &second).await;

    assert_eq!(
        (rotated.status, again.status),
        (201, 201),
        "{}{}",
        rotated.text,
        again.text
    );
    assert_eq!(
        (&rotated.json()["generation"], &again.json()["generation"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(old.code(), "attest.key_superseded", "{}", old.text);
    assert_eq!(new.status, 200, "{}", new.text);
    assert_eq!(listed(&world).await[0]["state"], "current");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_rotates_locks_the_machine() {
    let world = plant().await;
    let (first, second, third) = (joined(&world).await, key(), key());
    assert_eq!(rotates(&world, &first, &second).await.status, 201);
    assert_eq!(asks(&world, &second).await.status, 200);

    let copied = rotates(&world, &first, &third).await;
    let (of_copy, of_machine) = (asks(&world, &third).await, asks(&world, &second).await);

    assert_eq!((copied.status, copied.code().as_str()), (400, "attest.key_superseded"));
    assert_eq!(of_copy.code(), "attest.evidence_unverifiable", "{}", of_copy.text);
    assert_eq!(of_machine.code(), "attest.key_ended", "{}", of_machine.text);
    assert_eq!(rotates(&world, &second, &key()).await.code(), "attest.key_ended");
    assert_eq!(listed(&world).await[0]["state"], "locked");
    let entries = world.trail_of(&copied.text_at("/exchange_id")).await;
    assert_eq!(entries[0]["code"], "attest.key_superseded", "{entries:?}");
    assert_eq!(entries[0]["evidence"]["attestor"], "plant", "{entries:?}");
    assert_eq!(
        entries[0]["detail"],
        "a later key took the place of this one of machine `press-7`"
    );
    let metrics = world.admin("GET", "/metrics", None).await.text;
    assert!(metrics.contains("code=\"attest.key_superseded\""), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_rotations_that_come_at_once_one_is_made_and_the_others_lock_the_machine() {
    let world = plant().await;
    let first = joined(&world).await;
    let keys: Vec<_> = (0..16).map(|_| key()).collect();

    let answers = futures_util::future::join_all(keys.iter().map(|key| rotates(&world, &first, key))).await;

    let kept = answers.iter().filter(|answer| answer.status == 201).count();
    let copied = answers
        .iter()
        .filter(|answer| answer.text.contains("attest.key_superseded"));
    // The one that was first may have been locked before it was answered.
    assert!(kept <= 1, "{kept}");
    assert_eq!(copied.count(), 15);
    assert_eq!(listed(&world).await[0]["state"], "locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_33_a_key_that_nobody_rotates_ends_and_a_machine_that_was_removed_has_none() {
    let world = plant().await;
    let (old, removed) = (joined(&world).await, joined(&world).await);
    let rows = listed(&world).await;
    let thumbprint = json!(removed.thumbprint().to_string());
    let row = rows.iter().find(|row| row["thumbprint"] == thumbprint).unwrap();
    let path = format!("/v1/machines/{}", row["registration"].as_str().unwrap());

    let removal = world.admin("DELETE", &path, None).await;
    let of_removed = asks(&world, &removed).await;
    world.pass(std::time::Duration::from_mins(9)).await;
    let of_old = asks(&world, &old).await;

    assert_eq!(removal.status, 204, "{}", removal.text);
    assert_eq!(of_removed.code(), "attest.evidence_unverifiable", "{}", of_removed.text);
    assert_eq!(of_old.code(), "attest.key_ended", "{}", of_old.text);
}
