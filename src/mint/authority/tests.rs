//! The life of authorities, as far as it begins.

use super::*;
use crate::{
    clock::parse_rfc3339, jose::Seal, mint::keys::store::StoreKeys, secret::SystemRandom,
    store::forgetful::ForgetfulStore,
};

fn now() -> SystemTime {
    parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

fn source(kek: u8) -> StoreKeys {
    StoreKeys::new(Seal::new(&[kek; 32]).unwrap(), Arc::new(SystemRandom))
}

/// Rows of `count` active ES256 keys for JWT-SVIDs.
fn rows(count: usize) -> Vec<AuthorityRow> {
    let keys = source(1);
    let row = |_| {
        let (key, sealed) = keys.generate(Purpose::Jwt, SigningAlgorithm::Es256).unwrap();
        AuthorityRow {
            id: key.public_jwk().kid().to_owned(),
            purpose: "jwt".to_owned(),
            algorithm: "ES256".to_owned(),
            state: "active".to_owned(),
            created_seconds: 0,
            activates_seconds: 0,
            expires_seconds: 10,
            sealed,
        }
    };
    (0..count).map(row).collect()
}

async fn opened(rows: &[AuthorityRow]) -> Result<KeyRing, KeyRingRefused> {
    let store = ForgetfulStore::new();
    assert!(store.replace_authorities(0, rows).await.unwrap());
    KeyRing::open(&*store, &source(1), now()).await
}

#[tokio::test]
async fn an_empty_store_gets_its_first_authorities_and_they_sign_at_once() {
    let store = ForgetfulStore::new();

    let ring = KeyRing::open(&*store, &source(1), now()).await.unwrap();

    let set = ring.load();
    let made: Vec<_> = set
        .authorities()
        .iter()
        .map(|one| (one.purpose(), one.algorithm(), one.state()))
        .collect();
    assert_eq!(
        made,
        [
            (Purpose::Jwt, SigningAlgorithm::Rs256, State::Active),
            (Purpose::Jwt, SigningAlgorithm::Es256, State::Active),
            (Purpose::Audit, SigningAlgorithm::Es256, State::Active),
        ]
    );
    assert_eq!(set.authorities()[0].expires(), now() + Duration::from_hours(30 * 24));
}

#[tokio::test]
async fn a_second_start_finds_the_same_keys() {
    let store = ForgetfulStore::new();
    let first = KeyRing::open(&*store, &source(1), now()).await.unwrap();

    let second = KeyRing::open(&*store, &source(1), now()).await.unwrap();

    assert_eq!(first.load().published(), second.load().published());
    assert_eq!(first.load().generation(), second.load().generation());
}

#[tokio::test]
async fn tm_15_another_key_encryption_key_opens_nothing() {
    let store = ForgetfulStore::new();
    KeyRing::open(&*store, &source(1), now()).await.unwrap();

    let refused = KeyRing::open(&*store, &source(2), now()).await;

    assert!(matches!(refused, Err(KeyRingRefused::Source(_))), "{refused:?}");
}

#[tokio::test]
async fn the_audit_key_is_not_published_and_signs_no_svid() {
    let ring = KeyRing::open(&*ForgetfulStore::new(), &source(1), now()).await.unwrap();
    let audit = ring.audit_key().unwrap().public_jwk();

    assert!(ring.load().published().iter().all(|key| key.kid() != audit.kid()));
    let signed = ring
        .sign(Purpose::Jwt, SigningAlgorithm::Es256, |_| Ok("input"))
        .await
        .unwrap();
    assert_ne!(signed.key_id, audit.kid());
}

#[tokio::test]
async fn ten_published_keys_are_taken_and_the_eleventh_is_refused() {
    assert_eq!(opened(&rows(10)).await.unwrap().load().published().len(), 10);
    assert!(matches!(
        opened(&rows(11)).await,
        Err(KeyRingRefused::TooMany { found: 11 })
    ));
}

#[tokio::test]
async fn a_key_signs_only_while_it_is_active() {
    for state in ["prepared", "published", "retired", "removed"] {
        let mut rows = rows(1);
        rows[0].state = state.to_owned();
        let ring = opened(&rows).await.unwrap();

        let refused = ring.sign(Purpose::Jwt, SigningAlgorithm::Es256, |_| Ok("input")).await;

        assert!(matches!(refused, Err(MintRefusal::KeyUnavailable { .. })), "{state}");
        assert_eq!(
            ring.load().published().len(),
            usize::from(["published", "retired"].contains(&state)),
            "{state}"
        );
    }
}

#[tokio::test]
async fn refuses_rows_with_words_it_does_not_know() {
    type Change = fn(&mut AuthorityRow);
    let changes: [(&str, Change); 4] = [
        ("purpose", |row| row.purpose = "x509".to_owned()),
        ("algorithm", |row| row.algorithm = "HS256".to_owned()),
        ("state", |row| row.state = "forgotten".to_owned()),
        ("expires", |row| row.expires_seconds = u64::MAX),
    ];
    for (field, change) in changes {
        let mut rows = rows(1);
        change(&mut rows[0]);

        let refused = opened(&rows).await;

        assert!(
            matches!(&refused, Err(KeyRingRefused::RowUnreadable { field: found, .. }) if *found == field),
            "{field}: {refused:?}"
        );
    }
}
