//! The eight invariants of the architecture page, each proven on the wire.

use std::{sync::Arc, time::Duration};

use cambio::{
    clock::{self, unix_seconds},
    exchange::{aws_sts::sim::AwsSim, gcp_sts::sim::GcpSim},
    sim::Mutation,
};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    refusals::{with_orders, with_policy},
    world::{ACCESS_TOKEN, Answer, JWT, World, compact, count, key, part, place},
};

/// Makes every commit fail: the table of the trail is gone.
pub(crate) async fn break_store(world: &World) {
    let options = SqliteConnectOptions::new().filename(world.development.place.store());
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("ALTER TABLE trail RENAME TO trail_gone")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

const BUNDLE: &str = "/.well-known/spiffe/bundle.json";

fn aws(world: &World) -> Arc<AwsSim> {
    world.development.world.simulator::<AwsSim>("aws").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_the_intent_is_in_the_trail_before_the_cloud_is_called() {
    let world = World::start().await;
    let aws = aws(&world);
    aws.mutations().push(Mutation::Delay(Duration::from_secs(3)));
    let token = world.good();

    let (answer, during) = tokio::join!(world.exchange(&token, &["aws-dev"]), async {
        while aws.calls() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.trail().await
    });

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!((count(&during, "intent"), count(&during, "outcome")), (1, 0));
    let intent = during.iter().find(|entry| entry["kind"] == "intent").unwrap();
    for member in ["id", "sha256", "key_id", "audience", "subject", "expires"] {
        assert!(intent["svid"][member].is_string(), "{member}: {intent}");
    }
    assert!(intent["permission"]["rule"].is_array() && intent["permission"]["policy_generation"].is_u64());
    let after = world.trail_of(&answer.text_at("/exchange_id")).await;
    assert_eq!((count(&after, "intent"), count(&after, "outcome")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_without_a_durable_entry_no_cloud_is_called_and_nothing_is_released() {
    let world = World::start_with(|configuration| with_orders(&configuration)).await;
    assert_eq!(world.exchange(&world.good(), &["aws-dev", "orders"]).await.status, 200);
    let calls = aws(&world).calls();

    break_store(&world).await;
    let answers = [
        world.exchange(&world.good(), &["aws-dev", "orders"]).await,
        world.token(&world.good(), "aws-dev", Some(JWT)).await,
        world.token(&world.good(), "orders", None).await,
        world.exchange(&world.good(), &["no-such-party"]).await,
    ];

    for answer in answers {
        assert_eq!((answer.status, answer.code().as_str()), (503, "store.unavailable"));
        assert!(
            !answer.text.contains("eyJ"),
            "something signed was released: {}",
            answer.text
        );
    }
    assert_eq!(aws(&world).calls(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_every_answer_has_its_entries() {
    let world = World::start().await;
    let held_key = key();
    let held_token = world.good();

    let rows = [
        (
            world.exchange(&world.good(), &["aws-dev"]).await,
            vec!["intent", "outcome"],
        ),
        (world.exchange(&world.good(), &["no-such-party"]).await, vec!["denial"]),
        (
            world.exchange_proven(&held_key, &held_token, &["aws-dev"]).await,
            vec!["intent", "outcome"],
        ),
        (
            world.exchange_proven(&held_key, &held_token, &["aws-dev"]).await,
            vec!["held"],
        ),
        (world.exchange(&held_token, &["aws-dev"]).await, vec!["denial"]),
    ];

    for (answer, kinds) in rows {
        let entries = world.trail_of(&answer.text_at("/exchange_id")).await;
        let found: Vec<&str> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
        assert_eq!(found, kinds, "{}", answer.text);
    }
    let minted = world.token(&world.good(), "aws-dev", Some(JWT)).await;
    let entries = world.trail_of(minted.header("cambio-exchange-id")).await;
    assert_eq!((entries.len(), &entries[0]["kind"]), (1, &json!("mint")));
}

/// A gate, what closes it, and the code it answers.
const GATES: [(&str, &str); 4] = [
    ("lock", "authorize.locked"),
    ("no grant", "authorize.no_grant"),
    ("forbid", "authorize.forbidden"),
    ("condition", "authorize.condition_failed"),
];

/// A world in which `gate` is closed for `aws-dev` and `gcp-dev` once it is reloaded or locked.
async fn close(world: &World, gate: &str, forbid: &std::path::Path) {
    let path = world.development.place.configuration();
    let configuration = std::fs::read_to_string(&path).unwrap();
    let changed = match gate {
        "lock" => {
            world.lock("entry", "shop-deploy").await;
            return;
        }
        "no grant" => {
            let (before, after) = configuration.split_once("relying_parties = [").unwrap();
            let (_all, after) = after.split_once(']').unwrap();
            format!("{before}relying_parties = [\"azure-dev\"]{after}")
        }
        "forbid" => with_policy(&configuration, forbid),
        "condition" => configuration.replace(
            "ttl = \"20m\"",
            "ttl = \"20m\"\nmatch = { \"ci.environment\" = \"prod\" }",
        ),
        other => panic!("{other}"),
    };
    std::fs::write(&path, changed).unwrap();
    world.development.reload().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one table of gates and paths")]
async fn invariant_2_t_18_t_19_t_40h_each_gate_denies_on_each_path() {
    for (gate, code) in GATES {
        let directory = tempfile::tempdir().unwrap();
        let forbid = directory.path().join("forbid.cedar");
        std::fs::write(&forbid, "forbid (principal, action, resource);").unwrap();
        let world = World::start().await;
        let (held_key, resume_key) = (key(), key());
        let (held, resumed) = (world.good(), world.good());
        assert_eq!(world.exchange_proven(&held_key, &held, &["aws-dev"]).await.status, 200);
        assert_eq!(
            world.exchange_proven(&resume_key, &resumed, &["gcp-dev"]).await.status,
            200
        );
        let again = world.exchange_proven(&held_key, &held, &["aws-dev"]).await;
        let entries = world.trail_of(&again.text_at("/exchange_id")).await;
        assert_eq!(
            count(&entries, "held"),
            1,
            "the credential is held before the gate closes"
        );

        close(&world, gate, &forbid).await;
        let generation = world.trail().await;
        let (aws, gcp) = (aws(&world), world.development.world.simulator::<GcpSim>("gcp").unwrap());
        let calls = (aws.calls(), gcp.calls());
        let mut answers: Vec<(&str, Answer)> = vec![
            ("/v1/token jwt", world.token(&world.good(), "aws-dev", Some(JWT)).await),
            (
                "/v1/token access_token",
                world.token(&world.good(), "gcp-dev", Some(ACCESS_TOKEN)).await,
            ),
            (
                "/v1/exchange",
                world.exchange(&world.good(), &["aws-dev", "gcp-dev"]).await,
            ),
            ("held", world.exchange_proven(&held_key, &held, &["aws-dev"]).await),
        ];
        world.pass(Duration::from_mins(6)).await;
        answers.push((
            "resume",
            world.exchange_proven(&resume_key, &resumed, &["gcp-dev"]).await,
        ));

        for (path, answer) in answers {
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (403, code),
                "{gate} on {path}: {}",
                answer.text
            );
        }
        assert_eq!((aws.calls(), gcp.calls()), calls, "{gate}: no cloud was called");
        let entries = world.trail().await;
        let denials = entries
            .iter()
            .filter(|entry| entry["kind"] == "denial" && entry["code"] == code)
            .count();
        assert_eq!(denials, 6, "{gate}: each refusal is in the trail");
        assert_eq!(
            count(&entries, "intent"),
            count(&generation, "intent"),
            "{gate}: nothing was signed"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_a_denial_signs_nothing_and_t_35_gives_a_refusal_or_a_credential_never_both() {
    let world = World::start().await;

    let answer = world.exchange(&world.good(), &["aws-dev", "no-such-party"]).await;

    assert_eq!(answer.status, 200);
    let json = answer.json();
    let names = |member: &str| -> Vec<String> { json[member].as_object().unwrap().keys().cloned().collect() };
    assert_eq!(
        (names("credentials"), names("refusals")),
        (vec!["aws-dev".to_owned()], vec!["no-such-party".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_tx_21_lifetimes_only_shrink() {
    let world = World::start_with(|configuration| {
        with_orders(&configuration).replace("owners = [", "session_max = \"30m\"\nowners = [")
    })
    .await;
    let mine = key();
    let token = world.good();
    let began = world.now();
    let lifetime = |answer: &Answer, party: &str| -> i64 {
        let expires = answer.text_at(&format!("/details/{party}/expires"));
        let expires = clock::parse_rfc3339(&expires).unwrap();
        i64::try_from(unix_seconds(expires)).unwrap() - i64::try_from(unix_seconds(world.now())).unwrap()
    };

    let first = world.exchange_proven(&mine, &token, &["aws-dev", "orders"]).await;
    assert_eq!(lifetime(&first, "aws-dev"), 1200, "the grant's 20 minutes");
    assert_eq!(lifetime(&first, "orders"), 1200);

    world.pass(Duration::from_mins(14)).await;
    let resumed = world.exchange_proven(&mine, &token, &["aws-dev", "orders"]).await;
    assert!(
        lifetime(&resumed, "orders") <= 16 * 60,
        "16 minutes of standing are left: {}",
        resumed.text
    );

    world.pass(Duration::from_mins(2)).await;
    let short = world.exchange_proven(&mine, &token, &["aws-dev", "orders"]).await;
    assert_eq!(
        short.text_at("/refusals/aws-dev/code"),
        "authorize.lifetime_below_minimum"
    );
    let ends = lifetime(&short, "orders");
    assert!(ends <= 14 * 60, "the standing never moves: {ends} s");
    let stands_until = began + Duration::from_mins(30);
    assert!(world.now() + Duration::from_secs(u64::try_from(ends).unwrap()) <= stands_until);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_a_raise_to_the_cloud_s_minimum_and_a_fixed_lifetime_are_recorded() {
    let world =
        World::start_with(|configuration| configuration.replace("owners = [", "session_max = \"10m\"\nowners = ["))
            .await;

    let answer = world.exchange(&world.good(), &["aws-dev", "azure-dev"]).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    let entries = world.trail_of(&answer.text_at("/exchange_id")).await;
    let note = |party: &str| {
        let intent = entries
            .iter()
            .find(|entry| entry["kind"] == "intent" && entry["relying_party"] == party);
        intent.unwrap()["permission"]["lifetime_note"].clone()
    };
    assert_eq!(note("aws-dev"), "lifetime.raised");
    assert_eq!(note("azure-dev"), "lifetime.exceeds_standing");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_concurrent_cold_requests_make_one_call_and_each_has_its_own_entry() {
    let world = World::start().await;
    let aws = aws(&world);
    aws.mutations().push(Mutation::Delay(Duration::from_secs(2)));
    let mine = key();
    let token = world.good();
    let requests = (0..50).map(|_| world.exchange_proven(&mine, &token, &["aws-dev"]));

    let answers = futures_util::future::join_all(requests).await;

    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{:?}",
        answers.iter().map(Answer::code).collect::<Vec<_>>()
    );
    assert_eq!(aws.calls(), 1);
    let keys: std::collections::BTreeSet<String> = answers
        .iter()
        .map(|answer| answer.text_at("/credentials/aws-dev/AccessKeyId"))
        .collect();
    assert_eq!(keys.len(), 1);
    let ids: std::collections::BTreeSet<String> = answers.iter().map(|answer| answer.text_at("/exchange_id")).collect();
    assert_eq!(ids.len(), 50);
    let entries = world.trail().await;
    for id in &ids {
        let own: Vec<_> = entries
            .iter()
            .filter(|entry| entry["exchange_id"] == id.as_str())
            .collect();
        let handed_out = own
            .iter()
            .any(|entry| entry["kind"] == "outcome" || entry["kind"] == "held");
        assert!(handed_out, "{id} has no entry about what it was given");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_sessions_never_share_a_credential() {
    let world = World::start().await;
    let (mine, other) = (key(), key());
    let (token, next) = (world.good(), world.good());
    let id = |answer: &Answer| answer.text_at("/credentials/aws-dev/AccessKeyId");

    let first = world.exchange_proven(&mine, &token, &["aws-dev"]).await;
    let again = world.exchange_proven(&mine, &token, &["aws-dev"]).await;
    let elsewhere = world.exchange_proven(&other, &next, &["aws-dev"]).await;

    assert_eq!(id(&first), id(&again));
    assert_ne!(id(&first), id(&elsewhere));
    assert_eq!(aws(&world).calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_t_23_a_lock_denies_a_held_credential_at_once() {
    let world = World::start().await;
    let mine = key();
    let token = world.good();
    assert_eq!(world.exchange_proven(&mine, &token, &["aws-dev"]).await.status, 200);

    let lock = world.lock("relying_party", "aws-dev").await;
    let denied = world.exchange_proven(&mine, &token, &["aws-dev"]).await;
    assert_eq!(denied.code(), "authorize.locked");

    world.unlock(&lock).await;
    let given = world.exchange_proven(&mine, &token, &["aws-dev"]).await;
    let entries = world.trail_of(&given.text_at("/exchange_id")).await;
    assert_eq!(count(&entries, "held"), 1);
    assert_eq!(aws(&world).calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_t_55_a_credential_is_not_held_past_a_change_of_configuration() {
    let world = World::start().await;
    let mine = key();
    let token = world.good();
    assert_eq!(world.exchange_proven(&mine, &token, &["aws-dev"]).await.status, 200);

    let path = world.development.place.configuration();
    let configuration = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        configuration.replace(
            "session_tags = [\"ci.repo_id\", \"ci.sha\"]",
            "session_tags = [\"ci.repo_id\"]",
        ),
    )
    .unwrap();
    world.development.reload().await;
    assert_eq!(world.exchange_proven(&mine, &token, &["aws-dev"]).await.status, 200);

    assert_eq!(aws(&world).calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_while_the_cloud_is_down_a_held_credential_serves_until_60_s_before_its_end() {
    let world = World::start().await;
    let mine = key();
    let token = world.good();
    assert_eq!(world.exchange_proven(&mine, &token, &["aws-dev"]).await.status, 200);
    world.pass(Duration::from_mins(12)).await;
    for _ in 0..4 {
        aws(&world).mutations().push(Mutation::ServerError);
    }

    // 8 of 20 minutes are left: too few to be handed out while the cloud answers.
    let fallback = world.exchange_proven(&mine, &token, &["aws-dev"]).await;

    assert_eq!(fallback.status, 200, "{}", fallback.text);
    let entries = world.trail_of(&fallback.text_at("/exchange_id")).await;
    assert!(
        entries.iter().any(|entry| entry["fetched_by"].is_string()),
        "{entries:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_t_27_jwt_bcp_3_every_single_bit_of_the_signed_bytes_counts() {
    let world = World::start().await;
    let token = world.good();
    let length = token.len();

    for position in [0, 5, length / 3, length / 2, length * 2 / 3, length - 20, length - 1] {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).unwrap();
        if forged != token {
            let code = world.exchange(&forged, &["aws-dev"]).await.code();
            // A letter may as well break the base64url or the JSON.
            let refused = ["attest.evidence_malformed", "attest.evidence_unverifiable"];
            assert!(refused.contains(&code.as_str()), "position {position}: {code}");
        }
    }
    for cut in [1, 2, 100, length - 1] {
        let (begin, end) = token.split_at(cut);
        for part in [begin, end] {
            let refused = world.exchange(part, &["aws-dev"]).await;
            assert_eq!(refused.status, 400, "{}", refused.text);
            assert!(refused.code().starts_with("attest.evidence_"), "{}", refused.text);
        }
    }
    assert_eq!(
        world.exchange(&token, &["aws-dev"]).await.status,
        200,
        "nothing of this used it up"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_t_22_what_a_request_says_besides_the_evidence_names_nobody() {
    let world = World::start().await;
    let (header, claims) = (
        json!({ "alg": "none" }),
        json!({ "sub": "spiffe://dev.cambio.test/admin" }),
    );
    let unsigned = compact(&header, &claims, |_| Vec::new());

    let answer = world
        .form(
            &[
                ("grant_type", crate::world::GRANT_TYPE),
                ("subject_token", &world.good()),
                ("subject_token_type", JWT),
                ("audience", "gcp-dev"),
                ("client_assertion", &unsigned),
                ("client_id", "admin"),
            ],
            &[],
        )
        .await;

    let entries = world.trail_of(answer.header("cambio-exchange-id")).await;
    assert_eq!(entries[0]["spiffe_id"], crate::world::WORKLOAD);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_6_bearer_evidence_serves_one_request_and_a_denial_consumes_it() {
    let world = World::start().await;
    let token = world.good();

    assert_eq!(
        world.exchange(&token, &["no-such-party"]).await.code(),
        "authorize.relying_party_unknown"
    );
    let after_a_denial = world.exchange(&token, &["aws-dev"]).await;

    assert_eq!(after_a_denial.code(), "attest.evidence_replayed");
    let unnamed = world.sign(world.job().with("repository_id", "75"));
    assert_eq!(world.exchange(&unnamed, &["aws-dev"]).await.code(), "identify.no_entry");
    assert_eq!(
        world.exchange(&unnamed, &["aws-dev"]).await.code(),
        "attest.evidence_replayed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_6_t_03_of_64_concurrent_uses_of_bearer_evidence_one_succeeds() {
    let world = World::start().await;
    let token = world.good();

    let answers = futures_util::future::join_all((0..64).map(|_| world.token(&token, "aws-dev", Some(JWT)))).await;

    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(
        answers
            .iter()
            .filter(|answer| answer.status != 200)
            .all(|answer| answer.code() == "attest.evidence_replayed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_6_of_concurrent_exchanges_of_bearer_evidence_one_gets_its_credential() {
    let world = World::start().await;
    for _ in 0..4 {
        let token = world.good();
        let requests = (0..12).map(|_| world.exchange(&token, &["aws-dev"]));

        let answers = futures_util::future::join_all(requests).await;

        let codes: Vec<String> = answers.iter().map(Answer::code).collect();
        let given = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(given, 1, "{codes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_6_a_thief_s_race_never_denies_the_holder_of_the_key() {
    let world = World::start().await;
    let mine = key();
    let token = world.good();
    assert_eq!(
        world.exchange_proven(&mine, &token, &["no-such-party"]).await.status,
        403
    );

    let thefts = futures_util::future::join_all((0..8).map(|_| world.exchange(&token, &["aws-dev"])));
    let uses = futures_util::future::join_all((0..8).map(|_| world.exchange_proven(&mine, &token, &["aws-dev"])));
    let (thefts, uses) = tokio::join!(thefts, uses);

    assert!(thefts.iter().all(|answer| answer.code() == "attest.evidence_stolen"));
    let codes: Vec<String> = uses.iter().map(Answer::code).collect();
    assert!(uses.iter().all(|answer| answer.status == 200), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_6_expired_evidence_resumes_by_its_key_only_and_its_standing_never_moves() {
    let world = World::start_with(|configuration| with_orders(&configuration)).await;
    let (mine, other) = (key(), key());
    let token = world.good();
    assert_eq!(world.exchange_proven(&mine, &token, &["gcp-dev"]).await.status, 200);

    for minutes in [40, 10, 9] {
        world.pass(Duration::from_mins(minutes)).await;
        let by_key = world.exchange_proven(&mine, &token, &["orders"]).await;
        assert_eq!(by_key.status, 200, "{}", by_key.text);
        assert_eq!(
            world.exchange(&token, &["gcp-dev"]).await.code(),
            "attest.evidence_expired"
        );
        assert_eq!(
            world.exchange_proven(&other, &token, &["gcp-dev"]).await.code(),
            "attest.evidence_stolen"
        );
        let retry = crate::world::unique();
        let by_idempotency = world
            .exchange_with(&token, &["gcp-dev"], &[("idempotency-key", &retry)])
            .await;
        assert_eq!(by_idempotency.code(), "attest.evidence_expired");
    }
    world.pass(Duration::from_mins(2)).await;
    let over = world.exchange_proven(&mine, &token, &["gcp-dev"]).await;
    assert_eq!(over.code(), "attest.session_over", "61 minutes after the first use");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_one_key_set_survives_a_restart_and_so_does_spiffe_bundle_12_the_sequence() {
    let directory = tempfile::tempdir().unwrap();
    let place = place(directory.path());
    let world = World::start_at(&place, |configuration| configuration).await.unwrap();
    assert_eq!(world.exchange(&world.good(), &["aws-dev"]).await.status, 200);
    let before = world.admin("GET", "/v1/keys", None).await.json();
    let sequence = |document: Value| document["spiffe_sequence"].as_u64().unwrap();
    let earlier = sequence(world.metadata(BUNDLE).await.json());
    let entries = world.trail().await.len();
    world.development.stop().await;

    let again = World::start_at(&place, |configuration| configuration).await.unwrap();

    assert_eq!(
        again.admin("GET", "/v1/keys", None).await.json()["keys"],
        before["keys"],
        "one key set for ever"
    );
    assert_eq!(again.exchange(&again.good(), &["aws-dev"]).await.status, 200);
    assert!(again.trail().await.len() > entries, "the trail goes on");
    assert!(sequence(again.metadata(BUNDLE).await.json()) >= earlier);
    again.development.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_a_key_that_signs_is_published_in_both_documents() {
    let world = World::start().await;
    let kids = |document: &Value| -> Vec<String> {
        document["keys"]
            .as_array()
            .unwrap()
            .iter()
            // A root in the bundle has no `kid`.
            .filter_map(|key| key["kid"].as_str().map(str::to_owned))
            .collect()
    };
    let jwks = kids(&world.metadata("/.well-known/jwks.json").await.json());
    let bundle = kids(&world.metadata("/.well-known/spiffe/bundle.json").await.json());

    for party in ["aws-dev", "azure-dev", "gcp-dev"] {
        let svid = world
            .token(&world.good(), party, Some(JWT))
            .await
            .text_at("/access_token");
        let kid = part(&svid, 0)["kid"].as_str().unwrap().to_owned();
        assert!(jwks.contains(&kid) && bundle.contains(&kid), "{party}: {kid}");
    }
    let states = world.admin("GET", "/v1/keys", None).await.json();
    let audit: Vec<_> = states["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key["purpose"] == "audit")
        .cloned()
        .collect();
    assert!(
        audit
            .iter()
            .all(|key| !jwks.contains(&key["kid"].as_str().unwrap().to_owned())),
        "the audit key signs nothing that anybody verifies with the JWKS"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_the_metadata_listener_serves_when_all_else_is_gone() {
    let world = World::start().await;
    let documents = [
        "/.well-known/openid-configuration",
        "/.well-known/jwks.json",
        "/.well-known/spiffe/bundle.json",
        "/.well-known/oauth-authorization-server",
    ];
    let mut before = Vec::new();
    for path in documents {
        before.push(world.metadata(path).await.text);
    }

    break_store(&world).await;
    world.issuer.behave(crate::world::Behaviour::Fails);
    std::fs::remove_file(world.development.place.configuration()).unwrap();
    world.development.reload().await;
    world.clock.set(std::time::UNIX_EPOCH);

    assert_eq!(world.exchange(&world.good(), &["aws-dev"]).await.status, 503);
    for (path, before) in documents.into_iter().zip(before) {
        let after = world.metadata(path).await;
        assert_eq!((after.status, after.text), (200, before), "{path}");
    }
    let ready = world.admin("GET", "/ready", None).await;
    assert_eq!(ready.status, 503, "{}", ready.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_25_a_reload_passes_the_same_checks_as_a_start_and_a_bad_file_changes_nothing() {
    let world = World::start().await;
    let path = world.development.place.configuration();
    let configuration = std::fs::read_to_string(&path).unwrap();
    let bad = [
        configuration.replace("[[grant]]", "[[grants]]"),
        configuration.replace("owners = [", "# owners = ["),
        configuration.replace("entries = [\"shop-deploy\"]", "entries = [\"nobody\"]"),
    ];
    for changed in bad {
        let directory = tempfile::tempdir().unwrap();
        let started = World::start_at(&place(directory.path()), |_| changed.clone()).await;
        assert!(started.is_err(), "a start takes it: {changed}");

        std::fs::write(&path, &changed).unwrap();
        world.development.reload().await;

        assert_eq!(
            world.exchange(&world.good(), &["aws-dev"]).await.status,
            200,
            "the last good policy stands"
        );
        let ready = world.admin("GET", "/ready", None).await.json();
        assert!(
            ready["subsystems"]["policy"]["reason"].is_string(),
            "the alarm is raised: {ready}"
        );
        let trail = world
            .admin("GET", "/v1/audit?kind=change&newest=true&limit=1", None)
            .await;
        let detail = trail.json()["detail"].as_str().unwrap_or_default().to_owned();
        let told = "a reload was refused, the last good configuration is kept: config.";
        assert!(detail.starts_with(told), "{detail}");
        assert!(detail.contains(&format!(" at {}:", path.display())), "{detail}");
    }
    std::fs::write(&path, &configuration).unwrap();
    world.development.reload().await;
    let ready = world.admin("GET", "/ready", None).await.json();
    assert!(ready["subsystems"]["policy"]["reason"].is_null());
}
