//! Join tokens against a configured attestor and a store in memory.

mod battery;
mod races;

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    attest::{
        Challenges, OwnDocuments, Possession,
        joining::{Described, Labels, MachineName, Ordered},
    },
    clock::{self, Clock as _, FakeClock},
    fetch::Fetch,
    secret::SystemRandom,
    spiffe::TrustDomain,
    store::{JoinTokenRow, Store, forgetful::ForgetfulStore},
};

/// An attestor, the store that it looks tokens up in, and a clock.
struct Stage {
    attestor: JoinTokenAttestor,
    store: Arc<dyn Store>,
    clock: Arc<FakeClock>,
}

impl Stage {
    fn new() -> Self {
        let store: Arc<dyn Store> = ForgetfulStore::new();
        Self::with("plant", TABLE, store)
    }

    fn with(name: &str, table: &str, store: Arc<dyn Store>) -> Self {
        Self {
            attestor: configured(name, table, &store).unwrap(),
            store,
            clock: FakeClock::at("2026-01-16T14:40:00Z"),
        }
    }

    /// Makes a token as an operator does.
    async fn made(&self) -> (JoinToken, JoinTokenRow) {
        let ordered = Ordered {
            attestor: self.attestor.name.clone(),
            machine: Described {
                name: MachineName::parse("press-7").unwrap(),
                labels: Labels::new([("role".to_owned(), "press".to_owned())]).unwrap(),
            },
            life: Duration::from_mins(10),
            made_by: "uid 0".to_owned(),
        };
        let (token, row) = ordered.make(&SystemRandom, self.clock.now()).unwrap();
        let rows = std::slice::from_ref(&row);
        assert!(self.store.add_join_tokens(rows, self.clock.now()).await.unwrap());
        (token, row)
    }

    async fn judge(&self, text: &str) -> Verdict {
        self.attestor.judge(&evidence(text), self.clock.now()).await
    }
}

const TABLE: &str = "labels = [\"role\", \"site\"]";

fn configured(name: &str, table: &str, store: &Arc<dyn Store>) -> Result<JoinTokenAttestor, Misconfigured> {
    let own = OwnStore::default();
    own.begin(Arc::clone(store));
    let context = AttestorContext {
        name: AttestorName::parse(name).unwrap(),
        issuer: "https://id.acme.example".to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        own: OwnDocuments::default(),
        challenges: Challenges::default(),
        store: own,
        fetch: Arc::new(Fetch::system()),
        clock: clock::system(),
    };
    JoinTokenAttestor::configure(context, table.parse().unwrap())
}

fn evidence(text: &str) -> Evidence {
    Evidence::new(Secret::new(text), None, Possession::Bearer)
}

fn attested(verdict: Verdict) -> Attestation {
    match verdict {
        Verdict::Attested(attestation) => *attestation,
        other => panic!("{other:?}"),
    }
}

fn refused(verdict: Verdict) -> AttestRefusal {
    match verdict {
        Verdict::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_names_its_machine_and_its_labels() {
    let stage = Stage::new();
    let (token, row) = stage.made().await;

    let attestation = attested(stage.judge(token.secret().expose()).await);

    let found: Vec<_> = attestation.attributes().iter().collect();
    assert_eq!(found, [("join.label.role", "press"), ("join.machine", "press-7")]);
    assert_eq!(attestation.issuer(), "urn:cambio:join-token:plant");
    assert_eq!(attestation.subject(), "press-7");
    assert_eq!(attestation.evidence_sha256(), row.sha256);
}

#[tokio::test]
async fn its_one_use_is_what_the_store_and_a_removal_know_it_by() {
    let stage = Stage::new();
    let (token, row) = stage.made().await;

    let attestation = attested(stage.judge(token.secret().expose()).await);

    let used = attestation.ledger().unwrap();
    assert_eq!((used.key, used.rule), (row.ledger_key, UseRule::Once));
    assert_eq!(joining::removal(&row).key, row.ledger_key);
    assert!(used.remember_until > clock::from_unix_seconds(row.expires_seconds).unwrap());
}

#[test]
fn session_max_is_an_hour_unless_told_and_12_at_most() {
    let store: Arc<dyn Store> = ForgetfulStore::new();
    let session = |table: &str| configured("plant", table, &store).map(|attestor| attestor.checked.session_max);

    assert_eq!(session("").unwrap(), Duration::from_hours(1));
    assert_eq!(session("session_max = \"12h\"").unwrap(), Duration::from_hours(12));
    for wrong in ["session_max = \"43201s\"", "session_max = \"0s\""] {
        let refused = session(wrong).unwrap_err();
        assert_eq!(
            (refused.code, refused.key.as_str()),
            ("config.duration_range", "session_max")
        );
    }
}

#[tokio::test]
async fn the_standing_ends_with_session_max_whatever_is_left_of_the_token() {
    let store: Arc<dyn Store> = ForgetfulStore::new();
    let stage = Stage::with("plant", "labels = [\"role\"]\nsession_max = \"2h\"", store);
    let (token, _) = stage.made().await;

    let attestation = attested(stage.judge(token.secret().expose()).await);

    assert_eq!(attestation.stands_until(), stage.clock.now() + Duration::from_hours(2));
}

#[test]
fn a_key_that_is_none_and_a_label_that_is_none_do_not_load() {
    let store: Arc<dyn Store> = ForgetfulStore::new();
    for (table, code, key) in [
        ("colour = \"red\"", "config.attestor_table", "colour"),
        ("labels = [\"Role\"]", "config.label_invalid", "labels"),
        ("labels = [\"a\", \"a\"]", "config.label_invalid", "labels"),
        ("session_max = 3600", "config.attestor_table", "session_max"),
    ] {
        let refused = configured("plant", table, &store).unwrap_err();
        assert_eq!((refused.code, refused.key.as_str()), (code, key), "{table}");
    }
}

#[test]
fn no_attribute_is_a_dotted_prefix_of_another_and_all_are_told_at_load() {
    let store: Arc<dyn Store> = ForgetfulStore::new();
    let attestor = configured("plant", TABLE, &store).unwrap();
    let all = attestor.attributes();

    assert_eq!(all, ["join.label.role", "join.label.site", "join.machine"]);
    for one in all {
        assert!(all.iter().all(|other| !other.starts_with(&format!("{one}."))), "{one}");
    }
}
