//! The life of authorities, as far as it begins.

use std::time::Duration;

use super::*;
use crate::{
    mint::{
        MintRefusal,
        fixture::{certification, now, source},
        keys::KeySource as _,
        outside::RootPlace,
    },
    store::{AuthorityRow, BoxFuture, Store, forgetful::ForgetfulStore, sqlite::SqliteStore},
};

/// A process that publishes what it is told.
#[derive(Debug)]
struct Publishes(fn(&str) -> bool);

impl Serving for Publishes {
    fn freshen(&self) -> BoxFuture<'_, Result<(), Stale>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn publishes(&self, id: &str) -> bool {
        self.0(id)
    }
}

/// Rows of an active ES256 key for JWT-SVIDs and of `count` - 1 retired ones.
fn rows(count: usize) -> Vec<AuthorityRow> {
    let mut rows = rows_active(count);
    for row in rows.iter_mut().skip(1) {
        row.state = "retired".to_owned();
    }
    rows
}

/// Rows of `count` active ES256 keys for JWT-SVIDs.
fn rows_active(count: usize) -> Vec<AuthorityRow> {
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
            certificates: Vec::new(),
            removes_seconds: 0,
        }
    };
    (0..count).map(row).collect()
}

async fn opened(rows: &[AuthorityRow]) -> Result<KeyRing, KeyRingRefused> {
    let store = ForgetfulStore::new();
    assert!(store.replace_authorities(0, rows).await.unwrap());
    KeyRing::open(&*store, &source(1), certification(), now()).await
}

#[tokio::test]
async fn an_empty_store_gets_its_first_authorities_and_they_sign_at_once() {
    let store = ForgetfulStore::new();

    let ring = KeyRing::open(&*store, &source(1), certification(), now())
        .await
        .unwrap();

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
            (Purpose::X509Root, SigningAlgorithm::Es256, State::Active),
            (Purpose::X509Intermediate, SigningAlgorithm::Es256, State::Active),
        ]
    );
    assert_eq!(set.authorities()[0].expires(), now() + Duration::from_hours(30 * 24));
}

#[tokio::test]
async fn a_second_start_finds_the_same_keys() {
    let store = ForgetfulStore::new();
    let first = KeyRing::open(&*store, &source(1), certification(), now())
        .await
        .unwrap();

    let second = KeyRing::open(&*store, &source(1), certification(), now())
        .await
        .unwrap();

    assert_eq!(first.load().published(), second.load().published());
    assert_eq!(first.load().generation(), second.load().generation());
}

#[tokio::test]
async fn tm_15_another_key_encryption_key_opens_nothing() {
    let store = ForgetfulStore::new();
    KeyRing::open(&*store, &source(1), certification(), now())
        .await
        .unwrap();

    let refused = KeyRing::open(&*store, &source(2), certification(), now()).await;

    assert!(matches!(refused, Err(KeyRingRefused::Source(_))), "{refused:?}");
}

#[tokio::test]
async fn the_audit_key_is_not_published_and_signs_no_svid() {
    let ring = KeyRing::open(&*ForgetfulStore::new(), &source(1), certification(), now())
        .await
        .unwrap();
    let audit = ring.audit_key().unwrap().public_jwk();

    assert!(ring.load().published().iter().all(|key| key.kid() != audit.kid()));
    ring.serve(Arc::new(Publishes(|_| true)));
    let signed = ring
        .sign(Purpose::Jwt, SigningAlgorithm::Es256, |_| Ok("input"))
        .await
        .unwrap();
    assert_ne!(signed.key_id, audit.kid());
}

#[tokio::test]
async fn ten_published_keys_are_taken_and_the_eleventh_is_refused() {
    // The root is one of them.
    assert_eq!(opened(&rows(9)).await.unwrap().load().published().len(), 9);
    assert!(matches!(
        opened(&rows(10)).await,
        Err(KeyRingRefused::TooMany { found: 11 })
    ));
}

/// What a process says of every key, with a word for it.
type Said = (&'static str, fn(&str) -> bool);

/// How the private half of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Foreign,
    Missing,
    There,
}

#[tokio::test]
async fn t_12_where_journal_and_keys_disagree_nothing_signs_with_an_unpublished_key() {
    let served: [Said; 2] = [("served", |_| true), ("not served", |_| false)];
    for state in State::ALL {
        for half in [Half::There, Half::Missing, Half::Foreign] {
            for (how, publishes) in served {
                let mut rows = rows(2);
                let foreign = rows.pop().unwrap();
                rows[0].state = state.as_str().to_owned();
                match half {
                    Half::Foreign => rows[0].sealed = foreign.sealed,
                    Half::Missing => rows[0].sealed = Vec::new(),
                    Half::There => {}
                }

                let ring = opened(&rows).await;
                let signs = match ring {
                    Ok(ring) => {
                        ring.serve(Arc::new(Publishes(publishes)));
                        let signed = ring.sign(Purpose::Jwt, SigningAlgorithm::Es256, |_| Ok("input")).await;
                        signed.is_ok()
                    }
                    Err(refused) => {
                        assert!(matches!(refused, KeyRingRefused::Source(_)), "{refused:?}");
                        assert!(state != State::Removed && half != Half::There, "{state:?} {half:?}");
                        false
                    }
                };

                let may = state == State::Active && half == Half::There && how == "served";
                assert_eq!(signs, may, "{state:?}, private half {half:?}, {how}");
            }
        }
    }
}

#[tokio::test]
async fn a_ring_that_nobody_publishes_for_signs_nothing() {
    let ring = opened(&rows(1)).await.unwrap();

    let refused = ring.sign(Purpose::Jwt, SigningAlgorithm::Es256, |_| Ok("input")).await;

    assert!(matches!(refused, Err(MintRefusal::KeyUnavailable { .. })));
    assert!(refused.unwrap_err().to_string().contains("not in the documents"));
}

#[tokio::test]
async fn published_are_the_states_between_prepared_and_removed() {
    for state in State::ALL {
        let mut rows = rows(1);
        rows[0].state = state.as_str().to_owned();

        let published = opened(&rows).await.unwrap().load().published().len();

        let listed = state != State::Prepared && state != State::Removed;
        assert_eq!(published, usize::from(listed), "{state:?}");
    }
}

#[tokio::test]
async fn t_12_rows_that_contradict_each_other_or_the_time_are_refused() {
    type Change = fn(&mut Vec<AuthorityRow>);
    let changes: [(&str, Change); 3] = [
        ("is there twice", |rows| {
            rows[1].state = "retired".to_owned();
            rows[1].id = rows[0].id.clone();
        }),
        ("is active beside another of its purpose and algorithm", |_| {}),
        ("is active before its time", |rows| {
            rows.truncate(1);
            rows[0].activates_seconds = crate::clock::unix_seconds(now()) + 601;
        }),
    ];
    for (expected, change) in changes {
        let mut rows = rows_active(2);
        change(&mut rows);

        let refused = opened(&rows).await;

        assert!(
            matches!(&refused, Err(KeyRingRefused::Contradiction { problem, .. }) if *problem == expected),
            "{expected}: {refused:?}"
        );
    }
    let mut rows = rows_active(1);
    rows[0].activates_seconds = crate::clock::unix_seconds(now()) + 600;
    assert!(opened(&rows).await.is_ok());
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

#[tokio::test]
async fn a_root_outside_leaves_the_first_authorities_without_any_for_certificates() {
    let store = ForgetfulStore::new();
    let certification = Certification {
        root: RootPlace::Outside,
        ..certification()
    };

    let ring = KeyRing::open(&*store, &source(1), certification, now()).await.unwrap();
    let again = KeyRing::open(&*store, &source(1), certification, now()).await.unwrap();

    let set = ring.load();
    let purposes: Vec<_> = set.authorities().iter().map(Authority::purpose).collect();
    assert_eq!(purposes, [Purpose::Jwt, Purpose::Jwt, Purpose::Audit]);
    assert!(set.published_roots().is_empty());
    assert_eq!(set.generation(), again.load().generation());
}

#[tokio::test]
async fn sixteen_tries_make_the_first_authorities_and_fewer_are_refused() {
    let store = ForgetfulStore::new();
    store.lose_swaps(15);
    let ring = KeyRing::open(&*store, &source(1), certification(), now())
        .await
        .unwrap();
    assert_eq!(ring.load().authorities().len(), 5);

    let store = ForgetfulStore::new();
    store.lose_swaps(16);
    let refused = KeyRing::open(&*store, &source(1), certification(), now()).await;
    assert!(
        matches!(refused, Err(KeyRingRefused::Contended { tries: 16 })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_on_an_empty_store_have_one_key_set() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("store.db").display());
    let sqlite = SqliteStore::open(&url).await.unwrap();
    let stores: [Arc<dyn Store>; 2] = [ForgetfulStore::new(), Arc::new(sqlite)];
    for store in stores {
        let starts = (0..8).map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { KeyRing::open(&*store, &source(1), certification(), now()).await })
        });
        let mut seen = Vec::new();
        for started in starts.collect::<Vec<_>>() {
            let set = started.await.unwrap().unwrap().load();
            let ids: Vec<_> = set.authorities().iter().map(|one| one.id().to_owned()).collect();
            seen.push((set.generation(), ids));
        }
        seen.dedup();
        assert_eq!(seen.len(), 1, "{store:?}: {seen:?}");
        assert_eq!((seen[0].0, seen[0].1.len()), (1, 5));
    }
}
