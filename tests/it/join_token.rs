//! Machines from outside: an operator makes a token on the admin socket, and one machine joins by it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use cambio::{
    attest::{
        self, Attestor, AttestorContext, AttestorName, Challenges, Evidence, OwnDocuments, OwnStore, Possession,
        Verdict,
        joining::{self, Described, JoinToken, Labels, MachineName, Ordered},
    },
    clock,
    fetch::Fetch,
    secret::{Secret, SystemRandom},
    spiffe::TrustDomain,
    store::{
        LedgerVerdict, Store,
        postgres::{PostgresOptions, PostgresStore},
    },
};
use serde_json::{Value, json};

use crate::{
    server::server,
    world::{Answer, World},
};

/// An attestor of machines; only presses have an entry.
async fn plant() -> World {
    World::start_with(|configuration| {
        let tables = "[[attestor]]\nname = \"plant\"\nkind = \"join_token\"\nlabels = [\"role\"]\nsession_max = \"10m\"\n\n\
                      [[entry]]\nname = \"press\"\nattestor = \"plant\"\nmatch = { \"join.label.role\" = \"press\" }\n\
                      spiffe_id = \"/machine/{join.machine}\"\n\n\
                      [[relying_party]]\nname = \"inner\"\nkind = \"svid\"\naudience = \"https://inner.test\"\n\n\
                      [[grant]]\nname = \"presses\"\nentries = [\"press\"]\nrelying_parties = [\"inner\"]\nttl = \"20m\"\n\
                      release = [\"svid\"]\n\n[[grant]]";
        configuration.replacen("[[grant]]", tables, 1)
    })
    .await
}

/// Makes a token; returns what the operator sees.
async fn made(world: &World, role: &str) -> Value {
    let body = json!({ "attestor": "plant", "machine": "press-7", "labels": { "role": role } });
    let made = world.admin("POST", "/v1/join-tokens", Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

async fn joins(world: &World, token: &str) -> Answer {
    world.exchange(token, &["inner"]).await
}

async fn status(world: &World, id: &str) -> String {
    let listed = world.admin("GET", "/v1/join-tokens", None).await.json();
    let rows = listed["join_tokens"].as_array().unwrap();
    let row = rows.iter().find(|row| row["id"] == id).unwrap();
    text(row, "status").to_owned()
}

/// Returns the entries of the trail whose detail names the token.
async fn changes(world: &World, id: &str) -> Vec<String> {
    let trail = world.trail().await;
    let details = trail.iter().filter(|entry| entry["kind"] == "change");
    let details = details.filter_map(|entry| entry["detail"].as_str());
    details
        .filter(|detail| detail.contains(id))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_joins_once_and_the_trail_tells_who_made_the_token_and_who_used_it() {
    let world = plant().await;
    let made = made(&world, "press").await;
    let (token, id) = (text(&made, "token"), text(&made, "id"));
    assert_eq!(status(&world, id).await, "outstanding");

    let first = joins(&world, token).await;
    let second = joins(&world, token).await;

    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(first.text_at("/spiffe_id"), "spiffe://dev.cambio.test/machine/press-7");
    assert_eq!(
        (second.status, second.code().as_str()),
        (400, "attest.evidence_replayed")
    );
    assert_eq!(status(&world, id).await, "used");
    let entries = world.trail_of(&first.text_at("/exchange_id")).await;
    assert_eq!(entries[0]["evidence"]["sha256"], made["sha256"], "{entries:?}");
    assert_eq!(entries[0]["evidence"]["attributes"]["join.machine"], "press-7");
    let creation = changes(&world, id).await;
    assert_eq!(creation.len(), 1, "{creation:?}");
    assert!(creation[0].contains("made by uid "), "{creation:?}");
    assert!(creation[0].contains(text(&made, "sha256")), "{creation:?}");
    assert!(
        world
            .trail()
            .await
            .iter()
            .all(|entry| !entry.to_string().contains(token))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t_03_one_of_64_requests_joins_by_one_token() {
    let world = Arc::new(plant().await);
    for _round in 0..5 {
        let made = made(&world, "press").await;
        let requests = (0..64).map(|_request| joins(&world, text(&made, "token")));
        let answers = futures_util::future::join_all(requests).await;

        let joined = answers.iter().filter(|answer| answer.status == 200).count();
        let replayed = answers.iter().filter(|answer| answer.status == 400);
        assert_eq!((joined, replayed.count()), (1, 63));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_uses_the_token_up() {
    let world = plant().await;
    let no_entry = made(&world, "lathe").await;
    let no_grant = made(&world, "press").await;

    let denied = joins(&world, text(&no_entry, "token")).await;
    let again = joins(&world, text(&no_entry, "token")).await;
    let refused = world.exchange(text(&no_grant, "token"), &["aws-dev"]).await;
    let after = joins(&world, text(&no_grant, "token")).await;

    assert_eq!(denied.code(), "identify.no_entry", "{}", denied.text);
    assert_eq!(again.code(), "attest.evidence_replayed", "{}", again.text);
    assert_eq!(refused.code(), "authorize.no_grant", "{}", refused.text);
    assert_eq!(after.code(), "attest.evidence_replayed", "{}", after.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_removed_is_nobodys_and_one_that_was_used_cannot_be_removed() {
    let world = plant().await;
    let (removed, used) = (made(&world, "press").await, made(&world, "press").await);
    let path = |made: &Value| format!("/v1/join-tokens/{}", text(made, "id"));
    assert_eq!(joins(&world, text(&used, "token")).await.status, 200);

    let removal = world.admin("DELETE", &path(&removed), None).await;
    let too_late = world.admin("DELETE", &path(&used), None).await;
    let nobody = world.admin("DELETE", &path(&removed), None).await;

    assert_eq!(removal.status, 204, "{}", removal.text);
    assert_eq!(too_late.code(), "attest.evidence_replayed", "{}", too_late.text);
    assert_eq!(nobody.status, 404);
    let comes = joins(&world, text(&removed, "token")).await;
    assert_eq!(
        (comes.status, comes.code().as_str()),
        (400, "attest.evidence_unverifiable")
    );
    let entries = changes(&world, text(&removed, "id")).await;
    assert!(entries[1].contains("removed by uid "), "{entries:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_off_unknown_or_late_is_told_apart_by_what_was_proven() {
    let world = plant().await;
    let made = made(&world, "press").await;
    let token = text(&made, "token");
    let unknown = JoinToken::draw(&SystemRandom).unwrap();

    let cut = joins(&world, token.split_at(50).0).await;
    let nobodys = joins(&world, unknown.secret().expose()).await;
    world.pass(Duration::from_mins(10)).await;
    let late = joins(&world, token).await;

    assert_eq!(cut.code(), "attest.evidence_malformed", "{}", cut.text);
    assert_eq!(nobodys.code(), "attest.evidence_unverifiable", "{}", nobodys.text);
    assert_eq!(late.code(), "attest.evidence_expired", "{}", late.text);
    assert_eq!(status(&world, text(&made, "id")).await, "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_33_what_a_machine_got_ends_with_the_standing_and_renews_nothing() {
    let world = plant().await;
    let made = made(&world, "press").await;

    let first = joins(&world, text(&made, "token")).await;

    let expires = clock::parse_rfc3339(&first.text_at("/details/inner/expires")).unwrap();
    let left = expires.duration_since(world.now()).unwrap();
    assert!(left <= Duration::from_mins(10), "{left:?}");
    // The SVID that it got is evidence of another kind, for another audience: it opens nothing here.
    let svid = first.json()["credentials"]["inner"].to_string();
    let token = svid
        .split('"')
        .find(|text| text.matches('.').count() == 2)
        .unwrap()
        .to_owned();
    let renewed = joins(&world, &token).await;
    assert_eq!(renewed.status, 400, "{}", renewed.text);
}

/// What one of several replicas judges join tokens by: its own connection to the database, and an attestor that reads it.
struct Replica {
    store: Arc<dyn Store>,
    attestor: Arc<dyn Attestor>,
}

impl Replica {
    async fn start(url: &str) -> Self {
        let options = PostgresOptions::new(Secret::new(url));
        let store: Arc<dyn Store> = Arc::new(PostgresStore::open(&options).await.unwrap());
        let own = OwnStore::default();
        own.begin(Arc::clone(&store));
        let context = AttestorContext {
            name: AttestorName::parse("plant").unwrap(),
            issuer: "https://id.acme.example".to_owned(),
            trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
            own: OwnDocuments::default(),
            challenges: Challenges::default(),
            store: own,
            fetch: Arc::new(Fetch::system()),
            clock: clock::system(),
        };
        let attestor = (attest::join_token::BUILTIN.configure)(context, toml::Table::new()).unwrap();
        Self { store, attestor }
    }

    async fn made(&self, now: SystemTime) -> JoinToken {
        let ordered = Ordered {
            attestor: self.attestor.name().clone(),
            machine: Described {
                name: MachineName::parse("press-7").unwrap(),
                labels: Labels::default(),
            },
            life: joining::DEFAULT_LIFE,
            made_by: "uid 0".to_owned(),
        };
        let (token, row) = ordered.make(&SystemRandom, now).unwrap();
        assert!(self.store.add_join_tokens(&[row], now).await.unwrap());
        token
    }

    /// Judges the token and uses it, as a gateway does for one request.
    async fn redeem(&self, token: &JoinToken, now: SystemTime) -> LedgerVerdict {
        let evidence = Evidence::new(token.secret().clone(), None, Possession::Bearer);
        let Verdict::Attested(attestation) = self.attestor.judge(&evidence, now).await else {
            panic!("the token was not taken");
        };
        let uses = [attestation.ledger().unwrap().clone()];
        let committed = self.store.commit(&uses, Box::new(|_verdicts| Vec::new()), now).await;
        committed.unwrap().verdicts[0]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_03_one_of_64_tasks_on_two_replicas_joins_by_one_token_and_nobody_after_a_restart() {
    let Some(server) = server() else { return };
    let url = server.database();
    let replicas = [
        Arc::new(Replica::start(&url).await),
        Arc::new(Replica::start(&url).await),
    ];
    let now = clock::system().now();
    let mut last = None;
    for round in 0..20 {
        let token = replicas[round % 2].made(now).await;
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let (replica, token) = (Arc::clone(&replicas[task % 2]), token.clone());
                tokio::spawn(async move { replica.redeem(&token, now).await })
            })
            .collect();
        let mut firsts = 0;
        for task in tasks {
            firsts += usize::from(task.await.unwrap() == LedgerVerdict::First);
        }
        assert_eq!(firsts, 1, "round {round}");
        last = Some(token);
    }
    for replica in replicas {
        replica.store.close().await;
    }

    let restarted = Replica::start(&url).await;

    assert_eq!(restarted.redeem(&last.unwrap(), now).await, LedgerVerdict::Replayed);
    restarted.store.close().await;
}
