//! Machines' keys against a configured attestor and a store in memory.

mod battery;

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use super::*;
use crate::{
    attest::{
        Challenges, OwnDocuments, Possession,
        joining::{KeepsKeys, Kept, NewKey, Ordered},
    },
    clock::{self, Clock as _, FakeClock, unix_seconds},
    fetch::Fetch,
    jose::{SigningAlgorithm, SigningKey},
    secret::{Secret, SystemRandom},
    spiffe::TrustDomain,
    store::{LedgerVerdict, Store, forgetful::ForgetfulStore},
};

const AUDIENCE: &str = "https://id.acme.example";

/// An attestor, the store that it keeps keys in, and a clock.
struct Stage {
    attestor: BoundKeyAttestor,
    store: Arc<dyn Store>,
    clock: Arc<FakeClock>,
}

impl Stage {
    fn new() -> Self {
        Self::with("plant", "labels = [\"role\"]", ForgetfulStore::new())
    }

    fn with(name: &str, table: &str, store: Arc<dyn Store>) -> Self {
        Self {
            attestor: configured(name, table, &store).unwrap(),
            store,
            clock: FakeClock::at("2026-01-16T14:40:00Z"),
        }
    }

    /// Makes a join token as an operator does, and presents it.
    async fn join_token(&self) -> Evidence {
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
        assert!(self.store.add_join_tokens(&[row], self.clock.now()).await.unwrap());
        presented(token.secret().expose())
    }

    async fn commit(&self, kept: &Kept) -> LedgerVerdict {
        let uses = [kept.ledger.clone()];
        let committed = self
            .store
            .commit(&uses, Box::new(|_verdicts| Vec::new()), self.clock.now())
            .await;
        committed.unwrap().verdicts[0]
    }

    /// Registers a key as a gateway does.
    async fn registered(&self) -> SigningKey {
        let key = key();
        let token = self.join_token().await;
        let kept = self.attestor.register(&token, &new(&key), self.clock.now()).await;
        assert_eq!(self.commit(&kept.unwrap().unwrap()).await, LedgerVerdict::First);
        key
    }

    async fn rotation(&self, from: &SigningKey, to: &SigningKey) -> Result<Kept, AttestRefusal> {
        let attestation = attested(self.judge(&self.evidence(from)).await);
        self.attestor.rotate(attestation, &new(to), self.clock.now()).await
    }

    async fn rotated(&self, from: &SigningKey) -> SigningKey {
        let to = key();
        let kept = self.rotation(from, &to).await.unwrap();
        assert_eq!(self.commit(&kept).await, LedgerVerdict::First);
        to
    }

    fn evidence(&self, key: &SigningKey) -> String {
        let named = (self.attestor.rules.issuer.as_str(), AUDIENCE);
        let made = evidence::make(key, named, &SystemRandom, self.clock.now()).unwrap();
        made.expose().to_owned()
    }

    fn claims(&self) -> Map<String, Value> {
        let now = unix_seconds(self.clock.now());
        let claims = json!({
            "iss": "urn:cambio:bound-key:plant", "aud": AUDIENCE, "iat": now, "exp": now + 300, "jti": "one",
        });
        claims.as_object().unwrap().clone()
    }

    fn changed(&self, key: &SigningKey, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        let made = evidence::signed(key, &Value::Object(claims)).unwrap();
        made.expose().to_owned()
    }

    async fn judge(&self, text: &str) -> Verdict {
        self.attestor.judge(&presented(text), self.clock.now()).await
    }

    async fn refusal(&self, text: &str) -> AttestRefusal {
        refused(self.judge(text).await)
    }
}

fn configured(name: &str, table: &str, store: &Arc<dyn Store>) -> Result<BoundKeyAttestor, Misconfigured> {
    let own = OwnStore::default();
    own.begin(Arc::clone(store));
    let context = AttestorContext {
        name: AttestorName::parse(name).unwrap(),
        issuer: AUDIENCE.to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        own: OwnDocuments::default(),
        challenges: Challenges::default(),
        store: own,
        fetch: Arc::new(Fetch::system()),
        clock: clock::system(),
    };
    BoundKeyAttestor::configure(context, table.parse().unwrap())
}

fn presented(text: &str) -> Evidence {
    Evidence::new(Secret::new(text), None, Possession::Bearer)
}

fn key() -> SigningKey {
    SigningKey::generate(SigningAlgorithm::Es256).unwrap()
}

fn jwk(key: &SigningKey) -> Map<String, Value> {
    let jwk = serde_json::to_value(key.public_jwk("key")).unwrap();
    jwk.as_object().unwrap().clone()
}

/// Returns a key as if its proof was verified.
fn new(key: &SigningKey) -> NewKey {
    NewKey::new(&jwk(key), key.thumbprint().digest()).unwrap()
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
async fn a_registered_key_names_its_machine_each_time_with_evidence_that_serves_once() {
    let stage = Stage::new();
    let key = stage.registered().await;

    let attestation = attested(stage.judge(&stage.evidence(&key)).await);
    let next = attested(stage.judge(&stage.evidence(&key)).await);

    let facts = attestation.attributes();
    assert_eq!(facts.get("bound_key.machine"), Some("press-7"));
    assert_eq!(facts.get("bound_key.label.role"), Some("press"));
    assert_eq!(facts.get("bound_key.key"), Some(key.thumbprint().to_string().as_str()));
    assert!(facts.get("bound_key.registration").is_some());
    assert_eq!(attestation.subject(), "press-7");
    assert_eq!(attestation.ledger().unwrap().rule, UseRule::Once);
    assert_ne!(attestation.session(), next.session());
    assert_eq!(attestation.stands_until(), stage.clock.now() + Duration::from_hours(1));
}

#[tokio::test]
async fn a_join_token_registers_one_key_and_a_key_is_registered_once() {
    let stage = Stage::new();
    let (one, other) = (key(), key());
    let (token, second) = (stage.join_token().await, stage.join_token().await);
    let now = stage.clock.now();
    let register = async |token: &Evidence, key: &SigningKey| stage.attestor.register(token, &new(key), now).await;
    // All are prepared before any is committed, as by requests that come at the same moment.
    let first = register(&token, &one).await.unwrap().unwrap();
    let same_token = register(&token, &other).await.unwrap().unwrap();
    let same_key = register(&second, &one).await.unwrap().unwrap();

    assert_eq!(stage.commit(&first).await, LedgerVerdict::First);
    assert_eq!(stage.commit(&same_token).await, LedgerVerdict::Replayed);
    assert_eq!(stage.commit(&same_key).await, LedgerVerdict::ProofReused);

    let later = register(&second, &one).await.unwrap_err();
    assert_eq!(later.code(), "attest.key_refused", "{later}");
    assert_eq!(stage.store.bound_keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_join_token_for_another_attestor_or_that_has_ended_registers_nothing() {
    let stage = Stage::new();
    let token = stage.join_token().await;
    let other = Stage::with("depot", "labels = [\"role\"]", Arc::clone(&stage.store));

    let elsewhere = other.attestor.register(&token, &new(&key()), stage.clock.now()).await;
    stage.clock.advance(Duration::from_mins(10));
    let late = stage.attestor.register(&token, &new(&key()), stage.clock.now()).await;

    assert!(elsewhere.unwrap().is_none());
    assert_eq!(late.unwrap_err().code(), "attest.evidence_expired");
}

#[tokio::test]
async fn the_old_key_stops_at_once_and_the_new_one_goes_on() {
    let stage = Stage::new();
    let first = stage.registered().await;
    let second = stage.rotated(&first).await;
    let third = stage.rotated(&second).await;

    for old in [&first, &second] {
        let refusal = stage.refusal(&stage.evidence(old)).await;
        assert_eq!(refusal.code(), "attest.key_superseded");
    }
    let attestation = attested(stage.judge(&stage.evidence(&third)).await);
    assert_eq!(attestation.attributes().get("bound_key.machine"), Some("press-7"));
    assert_eq!(stage.store.bound_keys().await.unwrap()[0].generation, 3);
}

#[tokio::test]
async fn of_two_rotations_of_one_key_that_come_at_once_one_is_made() {
    let stage = Stage::new();
    let first = stage.registered().await;
    let (one, other) = (key(), key());
    let prepared = [
        stage.rotation(&first, &one).await.unwrap(),
        stage.rotation(&first, &other).await.unwrap(),
    ];

    assert_eq!(stage.commit(&prepared[0]).await, LedgerVerdict::First);
    assert_eq!(stage.commit(&prepared[1]).await, LedgerVerdict::ProofReused);

    attested(stage.judge(&stage.evidence(&one)).await);
    let refusal = stage.refusal(&stage.evidence(&other)).await;
    assert_eq!(refusal.code(), "attest.evidence_unverifiable");
}

#[tokio::test]
async fn t_34_a_key_is_replaced_only_by_evidence_of_its_own_machine() {
    let stage = Stage::new();
    let (mine, theirs) = (stage.registered().await, stage.registered().await);
    let before = stage
        .store
        .bound_key(theirs.thumbprint().digest())
        .await
        .unwrap()
        .unwrap();

    let kept = stage.rotation(&mine, &key()).await.unwrap();
    let taken = stage.rotation(&mine, &theirs).await.unwrap_err();

    assert_ne!(kept.row.registration, before.registration);
    assert_eq!(taken.code(), "attest.key_refused", "{taken}");
    assert_eq!(stage.store.bound_key(before.thumbprint).await.unwrap(), Some(before));
}

#[tokio::test]
async fn a_key_ends_with_max_key_age_to_the_second_and_a_new_one_begins_anew() {
    let store: Arc<dyn Store> = ForgetfulStore::new();
    let stage = Stage::with("plant", "labels = [\"role\"]\nmax_key_age = \"2d\"", store);
    let first = stage.registered().await;

    stage.clock.advance(Duration::from_secs(2 * 24 * 60 * 60 - 1));
    attested(stage.judge(&stage.evidence(&first)).await);
    let second = stage.rotated(&first).await;
    stage.clock.advance(Duration::from_secs(2 * 24 * 60 * 60 - 1));
    attested(stage.judge(&stage.evidence(&second)).await);
    stage.clock.advance(Duration::from_secs(1));

    let refusal = stage.refusal(&stage.evidence(&second)).await;
    assert_eq!(refusal.code(), "attest.key_ended");
    assert!(refusal.to_string().contains("2 days"), "{refusal}");
}

#[tokio::test]
async fn a_machine_that_was_locked_or_removed_has_no_key() {
    let stage = Stage::new();
    let (locked, removed) = (stage.registered().await, stage.registered().await);
    let row = async |key: &SigningKey| stage.store.bound_key(key.thumbprint().digest()).await.unwrap().unwrap();
    let registration = row(&locked).await.registration;
    let lock = crate::attest::joining::locking(&registration, &presented("a copy's"), stage.clock.now());
    let uses = [lock];
    let committed = stage
        .store
        .commit(&uses, Box::new(|_| Vec::new()), stage.clock.now())
        .await;
    assert_eq!(committed.unwrap().verdicts, [LedgerVerdict::First]);
    assert!(
        stage
            .store
            .remove_bound_key(&row(&removed).await.registration)
            .await
            .unwrap()
    );

    let of_locked = stage.refusal(&stage.evidence(&locked)).await;
    let of_removed = stage.refusal(&stage.evidence(&removed)).await;

    assert_eq!(of_locked.code(), "attest.key_ended");
    assert_eq!(of_removed.code(), "attest.evidence_unverifiable");
}

#[test]
fn a_key_is_kept_only_as_a_p_256_key_that_made_the_proof() {
    let (one, other) = (key(), key());
    let code = |jwk: &Map<String, Value>, proven: &SigningKey| {
        NewKey::new(jwk, proven.thumbprint().digest()).map_or_else(|refused| refused.code(), |_| "kept")
    };
    let rsa = SigningKey::generate(SigningAlgorithm::Rs256).unwrap();
    let mut private = jwk(&one);
    private.insert("d".to_owned(), "AAAA".into());

    assert_eq!(code(&jwk(&one), &one), "kept");
    assert_eq!(code(&jwk(&one), &other), "attest.key_refused");
    assert_eq!(code(&jwk(&rsa), &rsa), "attest.key_refused");
    assert_eq!(code(&private, &one), "attest.key_refused");
    assert!(!new(&one).jwk().contains("kid"), "only what the thumbprint covers");
}

#[test]
fn max_key_age_is_30_days_unless_told_and_a_year_at_most() {
    let store: Arc<dyn Store> = ForgetfulStore::new();
    let age = |table: &str| configured("plant", table, &store).map(|attestor| attestor.checked.max_key_age);

    assert_eq!(age("").unwrap(), Duration::from_hours(24 * 30));
    assert_eq!(age("max_key_age = \"365d\"").unwrap(), Duration::from_hours(24 * 365));
    for wrong in ["max_key_age = \"366d\"", "max_key_age = \"0s\""] {
        let refused = age(wrong).unwrap_err();
        assert_eq!(
            (refused.code, refused.key.as_str()),
            ("config.duration_range", "max_key_age")
        );
    }
}

#[test]
fn a_key_that_is_none_and_a_label_that_is_none_do_not_load() {
    let store: Arc<dyn Store> = ForgetfulStore::new();
    for (table, code, key) in [
        ("colour = \"red\"", "config.attestor_table", "colour"),
        ("labels = [\"Role\"]", "config.label_invalid", "labels"),
        ("session_max = \"13h\"", "config.duration_range", "session_max"),
    ] {
        let refused = configured("plant", table, &store).unwrap_err();
        assert_eq!((refused.code, refused.key.as_str()), (code, key), "{table}");
    }
}
