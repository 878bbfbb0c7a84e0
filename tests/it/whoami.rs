//! Who a workload is, asked from outside: it uses evidence, leaves an entry, and tells of nobody else.

use cambio::jose::SigningKey;
use serde_json::json;

use crate::world::{Answer, EXCHANGE, WHOAMI, World};

impl World {
    async fn whoami(&self, token: &str, headers: &[(&str, &str)]) -> Answer {
        let body = json!({ "evidence": { "token": token } });
        self.post(WHOAMI, "application/json", body.to_string(), headers).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_an_entry_of_the_trail_and_signs_nothing() {
    let world = World::start().await;

    let told = world.whoami(&world.good(), &[]).await;

    assert_eq!(told.status, 200, "{}", told.text);
    assert_eq!(told.header("cache-control"), "no-store");
    assert_eq!(told.text_at("/spiffe_id"), crate::world::WORKLOAD);
    let entries = world.trail_of(&told.text_at("/exchange_id")).await;
    let [entry] = &entries[..] else {
        panic!("{entries:?}");
    };
    assert_eq!(
        (&entry["kind"], &entry["entry"]),
        (&json!("whoami"), &json!("shop-deploy"))
    );
    assert!(entry.get("token_id").is_none(), "{entry}");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_without_a_proof_is_used_up() {
    let world = World::start().await;
    let token = world.good();

    let told = world.whoami(&token, &[]).await;
    let again = world.whoami(&token, &[]).await;
    let exchanged = world.exchange(&token, &["gcp-dev"]).await;

    assert_eq!(told.status, 200, "{}", told.text);
    for refused in [again, exchanged] {
        assert_eq!(refused.code(), "attest.evidence_replayed", "{}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_bound_to_the_key_that_asked_first() {
    let world = World::start().await;
    let token = world.good();
    let (owner, thief) = (key(), key());

    let told = world
        .whoami(&token, &[("dpop", &world.proof(&owner, WHOAMI, &token))])
        .await;
    let stolen = world
        .whoami(&token, &[("dpop", &world.proof(&thief, WHOAMI, &token))])
        .await;
    let other_path = world
        .whoami(&token, &[("dpop", &world.proof(&owner, EXCHANGE, &token))])
        .await;
    let exchanged = world.exchange_proven(&owner, &token, &["gcp-dev"]).await;

    assert_eq!(told.status, 200, "{}", told.text);
    assert_eq!(stolen.code(), "attest.evidence_stolen");
    assert_eq!(other_path.code(), "attest.dpop_invalid", "{}", other_path.text);
    assert_eq!(exchanged.status, 200, "{}", exchanged.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_of_those_relying_parties_only_that_a_grant_names_for_the_entry() {
    let other = "[[relying_party]]\nname = \"others\"\nkind = \"svid\"\naudience = \"https://others.test\"\n\n";
    let world = World::start_with(|text| text.replacen("[[grant]]", &format!("{other}[[grant]]"), 1)).await;

    let told = world.whoami(&world.good(), &[]).await;

    assert_eq!(told.status, 200, "{}", told.text);
    assert!(!told.text.contains("others"), "{}", told.text);
    assert_eq!(told.json()["relying_parties"]["aws-dev"]["permitted"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_is_told_with_the_reason() {
    let world = World::start().await;
    world.lock("relying_party", "aws-dev").await;

    let told = world.whoami(&world.good(), &[]).await;

    let code = told.text_at("/relying_parties/aws-dev/refusal/code");
    assert_eq!(code, "authorize.locked", "{}", told.text);
    assert_eq!(told.json()["relying_parties"]["gcp-dev"]["permitted"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_learns_nothing() {
    let world = World::start().await;

    let garbage = world.whoami("a.b.c", &[]).await;
    let unknown = world
        .post(
            WHOAMI,
            "application/json",
            r#"{"evidence":{"token":"x"},"relying_parties":[]}"#,
            &[],
        )
        .await;

    assert_eq!(garbage.code(), "attest.evidence_malformed");
    assert_eq!(unknown.code(), "request.body_invalid");
}

fn key() -> SigningKey {
    cambio::cli::proof_key::generate().unwrap()
}
