//! The whole way of a key, with two processes, crashes at every step, and everything around it failing.

use std::{
    future::Future,
    pin::pin,
    sync::atomic::Ordering,
    task::{Context, Waker},
    time::Duration,
};

use super::{
    super::{
        ground::{Ground, Process},
        observation::Unseen,
        sample::DAY,
    },
    *,
};
use crate::{
    clock::Clock as _,
    jose::SigningAlgorithm,
    mint::authority::{Purpose, State},
    store::Store as _,
};

fn es256() -> Selection {
    Selection {
        purpose: Some(Purpose::Jwt),
        algorithm: Some("ES256".to_owned()),
    }
}

async fn signer(process: &Process) -> String {
    let signed = process
        .ring
        .sign(Purpose::Jwt, SigningAlgorithm::Es256, |_| Ok("input"))
        .await;
    signed.unwrap().key_id
}

#[tokio::test]
async fn a_forced_rotation_goes_through_every_state_and_each_is_in_the_trail() {
    let ground = Ground::new();
    let (one, other) = (ground.start(0).await, ground.start(1).await);
    let first = signer(&one).await;
    one.engine.tick().await.unwrap();
    other.engine.tick().await.unwrap();

    one.engine.rotate(&es256()).await.unwrap();
    assert_eq!(ground.states("ES256").await, ["published", "active"]);
    ground.pass(Duration::from_mins(5), &[&other, &one]).await;
    assert_eq!(ground.states("ES256").await, ["observed", "active"]);
    ground.pass(DAY + Duration::from_mins(10), &[&one, &other]).await;
    assert_eq!(ground.states("ES256").await, ["active", "retired"]);
    ground.pass(DAY * 2, &[&one, &other]).await;
    assert_eq!(ground.states("ES256").await, ["active", "removed"]);

    let second = signer(&one).await;
    assert_eq!(signer(&other).await, second);
    assert_ne!(first, second);
    let entries = ground.journal.take();
    let expected = [
        "a rotation was asked for: jwt, ES256".to_owned(),
        format!("key for jwt with ES256: -> prepared ({second})"),
        format!("key {second}: prepared -> published"),
        format!("key {second}: published -> observed"),
        format!("key {second}: observed -> active, key {first}: active -> retired"),
        format!("key {first}: retired -> removed"),
    ];
    assert_eq!(entries.len(), expected.len(), "{entries:#?}");
    for (position, (entry, expected)) in entries.iter().zip(expected).enumerate() {
        assert_eq!(*entry, format!("{expected}, at generation {}", position + 2));
    }
}

#[tokio::test]
async fn tm_21_two_processes_that_decide_at_once_do_no_harm() {
    let ground = Ground::new();
    let (one, other) = (ground.start(0).await, ground.start(1).await);
    one.engine.tick().await.unwrap();
    let mut sequence = 0;
    for round in 0..1_800 {
        if round % 800 == 10 {
            one.engine.rotate(&es256()).await.unwrap();
        }
        ground.clock.advance(Duration::from_mins(5));

        let (first, second) = tokio::join!(one.engine.tick(), other.engine.tick());
        first.unwrap();
        second.unwrap();

        let stored = ground.store.authorities().await.unwrap();
        assert!(stored.generation >= sequence);
        sequence = stored.generation;
        let keys = ground.keys().await;
        for lane in &ground.rules.lanes {
            let of = |state| {
                keys.iter()
                    .filter(|key| key.lane == *lane && key.state == state)
                    .count()
            };
            assert_eq!(of(State::Active), 1);
            let pending = keys.iter().filter(|key| key.lane == *lane && key.is_pending());
            assert!(pending.count() <= 1);
        }
        assert_eq!(signer(&one).await, signer(&other).await);
    }
    assert_eq!(
        ground
            .states("ES256")
            .await
            .iter()
            .filter(|state| **state == "removed")
            .count(),
        2
    );
}

/// Polls a round `times` times and kills the process.
async fn killed_after(process: &Process, times: usize) -> bool {
    let mut round = pin!(process.engine.tick());
    for _ in 0..times {
        if round.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

#[tokio::test]
async fn g_4_a_process_killed_at_any_point_of_any_step_is_continued_by_the_next() {
    for phase in [Duration::ZERO, DAY + Duration::from_mins(10), DAY * 2] {
        for polls in 0..24 {
            let mut ground = Ground::new();
            let process = ground.start(0).await;
            ground.pass(Duration::from_mins(5), &[&process]).await;
            let stored = ground.store.authorities().await.unwrap();
            let due = forced::rotate(&stored.rows, &es256(), ground.clock.now(), &ground.rules).unwrap();
            assert!(ground.store.replace_authorities(stored.generation, &due).await.unwrap());
            ground.pass(phase, &[&process]).await;

            killed_after(&process, polls).await;
            drop(process);
            ground.crash();
            let next = ground.start(0).await;
            let legal = ground.keys().await;
            assert!(
                legal.iter().filter(|key| key.state == State::Active).count() == 5,
                "{legal:?}"
            );
            signer(&next).await;
            ground.pass(DAY * 4, &[&next]).await;

            let states = ground.states("ES256").await;
            assert_eq!(states, ["active", "removed"], "killed after {polls} polls at {phase:?}");
        }
    }
}

#[tokio::test]
async fn a_replica_that_stands_still_holds_a_key_up_until_its_silence_is_long() {
    let ground = Ground::new();
    let (one, other) = (ground.start(0).await, ground.start(1).await);
    one.engine.tick().await.unwrap();
    other.engine.tick().await.unwrap();
    ground.place.keep_only(0);

    one.engine.rotate(&es256()).await.unwrap();
    ground.pass(Duration::from_mins(10), &[&one]).await;
    assert_eq!(ground.states("ES256").await, ["published", "active"]);
    ground.pass(Duration::from_mins(10), &[&one]).await;
    assert_eq!(ground.states("ES256").await, ["observed", "active"]);

    ground.pass(DAY * 2, &[&one]).await;
    assert_eq!(ground.states("ES256").await, ["active", "retired"]);
    assert_eq!(
        signer(&other).await,
        signer(&one).await,
        "it reads the store before it signs"
    );
}

#[tokio::test]
async fn a_replica_that_left_in_order_holds_nobody_up() {
    let ground = Ground::new();
    let (one, other) = (ground.start(0).await, ground.start(1).await);
    one.engine.tick().await.unwrap();
    other.engine.tick().await.unwrap();
    ground.place.keep_only(0);
    other.engine.leave().await.unwrap();

    one.engine.rotate(&es256()).await.unwrap();

    assert_eq!(ground.states("ES256").await, ["observed", "active"]);
}

#[tokio::test]
async fn a_place_that_nobody_reaches_stops_the_rotation_and_raises_an_alarm() {
    let ground = Ground::new();
    let one = ground.start(0).await;
    one.engine.tick().await.unwrap();
    ground.place.dark.store(true, Ordering::Relaxed);

    one.engine.rotate(&es256()).await.unwrap();
    ground.pass(DAY * 3, &[&one]).await;

    assert_eq!(ground.states("ES256").await, ["published", "active"]);
    let condition = one.engine.condition();
    assert_eq!(condition.unreachable["issuer"], "nobody answers");
    // What was seen last is older than the key.
    let lacks = Unseen::PlaceLacks {
        place: "issuer".to_owned(),
    };
    assert!(
        condition
            .alarms
            .iter()
            .any(|alarm| matches!(alarm, Alarm::Unseen { because, .. } if *because == lacks)),
        "{:?}",
        condition.alarms
    );
    ground.place.dark.store(false, Ordering::Relaxed);
    ground.pass(DAY + Duration::from_mins(15), &[&one]).await;
    assert_eq!(ground.states("ES256").await, ["active", "retired"]);
    assert!(one.engine.condition().alarms.is_empty());
}

#[tokio::test]
async fn an_outage_in_the_middle_of_the_lead_makes_it_begin_again() {
    let mut ground = Ground::new();
    let one = ground.start(0).await;
    one.engine.tick().await.unwrap();
    one.engine.rotate(&es256()).await.unwrap();
    ground.pass(Duration::from_hours(12), &[&one]).await;
    assert_eq!(ground.states("ES256").await, ["observed", "active"]);
    drop(one);
    ground.crash();
    ground.clock.advance(DAY * 40);

    let one = ground.start(0).await;
    ground.pass(Duration::from_hours(23), &[&one]).await;

    assert_eq!(ground.states("ES256").await, ["observed", "active"]);
    assert!(
        one.engine
            .condition()
            .alarms
            .iter()
            .any(|alarm| alarm.kind() == "overdue")
    );
    signer(&one).await;
    ground.pass(Duration::from_hours(2), &[&one]).await;
    assert_eq!(ground.states("ES256").await, ["active", "retired"]);
}

#[tokio::test]
async fn nothing_changes_that_the_trail_cannot_keep() {
    let ground = Ground::new();
    let one = ground.start(0).await;
    one.engine.tick().await.unwrap();
    let before = ground.store.authorities().await.unwrap();
    ground.journal.broken.store(true, Ordering::Relaxed);

    let rotated = one.engine.rotate(&es256()).await;
    let revoked = one.engine.revoke(&signer(&one).await).await;

    assert!(matches!(rotated, Err(RotationFailed::Journal(_))), "{rotated:?}");
    assert!(matches!(revoked, Err(RotationFailed::Journal(_))), "{revoked:?}");
    let after = ground.store.authorities().await.unwrap();
    assert_eq!((before.generation, before.rows), (after.generation, after.rows));
}

#[tokio::test]
async fn a_failed_round_is_told_until_one_succeeds() {
    let ground = Ground::new();
    let one = ground.start(0).await;
    one.engine.tick().await.unwrap();
    ground.clock.advance(DAY * 16);
    ground.journal.broken.store(true, Ordering::Relaxed);

    assert!(one.engine.tick().await.is_err());
    let failure = one.engine.condition().failure.clone().unwrap();
    assert!(failure.contains("the disk is full"), "{failure}");

    ground.journal.broken.store(false, Ordering::Relaxed);
    one.engine.tick().await.unwrap();
    assert_eq!(one.engine.condition().failure, None);
}

#[tokio::test]
async fn a_compromised_key_is_out_of_the_documents_at_once_and_another_signs() {
    let ground = Ground::new();
    let (one, other) = (ground.start(0).await, ground.start(1).await);
    let bad = signer(&one).await;

    let revoked = one.engine.revoke(&bad).await.unwrap();

    let successor = revoked.successor.unwrap();
    assert_eq!(signer(&one).await, successor);
    assert!(!one.engine.replica().published().load().publishes(&bad));
    assert!(one.engine.replica().published().load().publishes(&successor));
    other.engine.tick().await.unwrap();
    assert_eq!(signer(&other).await, successor);
    assert!(!other.engine.replica().published().load().publishes(&bad));
    assert!(matches!(
        one.engine.revoke(&bad).await,
        Err(RotationFailed::Forced(NotForced::KeyUnknown { .. }))
    ));
}

#[tokio::test]
async fn the_key_of_checkpoints_can_be_revoked_but_not_rotated() {
    let ground = Ground::new();
    let one = ground.start(0).await;
    let audit = Selection {
        purpose: Some(Purpose::Audit),
        algorithm: None,
    };
    assert!(matches!(
        one.engine.rotate(&audit).await,
        Err(RotationFailed::Forced(NotForced::NothingActive))
    ));
    let old = one.ring.audit_key().unwrap().public_jwk();

    one.engine.revoke(old.kid()).await.unwrap();

    assert_ne!(one.ring.audit_key().unwrap().public_jwk(), old);
}
