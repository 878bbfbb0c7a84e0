//! What a process signs with while its copy ages, and what it refuses to take over.

use super::{
    super::{ground::Ground, step::Step},
    *,
};
use crate::{
    jose::SigningAlgorithm,
    mint::{
        MintRefusal,
        authority::{Purpose, prepare},
    },
};

async fn signs(ring: &KeyRing) -> Result<String, MintRefusal> {
    let signed = ring.sign(Purpose::Jwt, SigningAlgorithm::Es256, |_| Ok("input")).await;
    signed.map(|signed| signed.key_id)
}

#[tokio::test]
async fn tm_20_a_process_that_lost_the_store_signs_for_10_s_and_no_longer() {
    let mut ground = Ground::new();
    let (ring, _replica) = Replica::open(ground.parts()).await.unwrap();
    ground.crash();

    ground.clock.advance(LAG);
    assert!(signs(&ring).await.is_ok());

    ground.clock.advance(Duration::from_millis(1));
    let refused = signs(&ring).await;
    assert!(
        matches!(refused, Err(MintRefusal::KeyUnavailable { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn tm_20_a_process_that_stood_still_takes_over_what_changed_before_it_signs() {
    let ground = Ground::new();
    let (ring, replica) = Replica::open(ground.parts()).await.unwrap();
    let old = signs(&ring).await.unwrap();
    let stored = ground.store.authorities().await.unwrap();
    let parts = ground.parts();
    let made = prepare(
        &*parts.source,
        parts.certification(RootPlace::Store),
        (Purpose::Jwt, "ES256"),
        (&stored.rows, ground.clock.now()),
    );
    let mut next = made.await.unwrap();
    next.state = "observed".to_owned();
    let mut rows = stored.rows.clone();
    rows.push(next.clone());
    let step = Step::Activate {
        id: next.id.clone(),
        retires: Some(old),
    };
    let rows = step.apply(&rows, None, ground.clock.now(), &ground.rules);
    assert!(
        ground
            .store
            .replace_authorities(stored.generation, &rows)
            .await
            .unwrap()
    );

    ground.clock.advance(LAG + Duration::from_millis(1));

    assert_eq!(signs(&ring).await.unwrap(), next.id);
    assert!(replica.publishes(&next.id));
    assert_eq!(replica.published().load().sequence(), stored.generation + 1);
    assert_eq!(replica.age(), Duration::ZERO);
}

#[tokio::test]
async fn tm_42_a_store_that_went_back_is_not_taken_over() {
    let ground = Ground::new();
    let (_ring, replica) = Replica::open(ground.parts()).await.unwrap();
    let mut stored = ground.store.authorities().await.unwrap();
    stored.generation -= 1;
    stored.rows.clear();

    let refused = replica.adopt(&stored);

    assert!(
        matches!(refused, Err(NotRenewed::WentBack { found: 0, known: 1 })),
        "{refused:?}"
    );
    assert!(!replica.set().published().is_empty());
}

#[tokio::test]
async fn rows_that_cannot_be_believed_are_not_taken_over_and_end_the_signing() {
    let ground = Ground::new();
    let (ring, replica) = Replica::open(ground.parts()).await.unwrap();
    let mut stored = ground.store.authorities().await.unwrap();
    stored.rows[1].sealed = Vec::new();
    assert!(
        ground
            .store
            .replace_authorities(stored.generation, &stored.rows)
            .await
            .unwrap()
    );

    assert!(matches!(replica.refresh().await, Err(NotRenewed::Refused(_))));
    assert!(signs(&ring).await.is_ok(), "what it knew is not yet too old");

    ground.clock.advance(LAG + Duration::from_millis(1));
    assert!(signs(&ring).await.is_err());
    assert_eq!(replica.published().load().ids().len(), 3, "the documents stay");
}

#[tokio::test]
async fn a_ring_and_its_documents_agree_from_the_start() {
    let ground = Ground::new();

    let (ring, replica) = Replica::open(ground.parts()).await.unwrap();

    let set = ring.load();
    let published: std::collections::BTreeSet<String> = set
        .authorities()
        .iter()
        .filter(|one| matches!(one.purpose(), Purpose::Jwt | Purpose::X509Root))
        .map(|one| one.id().to_owned())
        .collect();
    assert_eq!(replica.published().load().ids(), &published);
    assert_eq!(published.len(), 3);
    assert!(signs(&ring).await.is_ok());
}
