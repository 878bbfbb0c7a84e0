//! A root that stays outside, from an empty store to its replacement, with crashes and whatever else may come.

use std::{
    future::Future as _,
    task::{Context, Waker},
    time::Duration,
};

use rcgen::ExtendedKeyUsagePurpose;

use super::*;
use crate::{
    clock::{Clock as _, unix_seconds},
    jose::SigningAlgorithm,
    mint::{
        MintRefusal,
        authority::State,
        outside::fixture::{DAY, OutsideCa},
        rotation::{
            Alarm, Standing, Waits,
            forced::Selection,
            ground::{Ground, Process},
        },
    },
    store::Store as _,
};

fn ground() -> Ground {
    Ground::new().with_root(RootPlace::Outside)
}

fn ca(ground: &Ground) -> OutsideCa {
    OutsideCa::root(ground.clock.now(), |_| {})
}

async fn requested(process: &Process) -> CertificateRequest {
    process.engine.request().await.unwrap()
}

async fn install(process: &Process, text: &str, other: OtherRoot) -> Result<Installed, RotationFailed> {
    let chain = UnverifiedChain::from_text(text).unwrap();
    process.engine.install(&chain, other).await
}

/// Certifies what waits under `ca` and installs it.
async fn certified(ground: &Ground, process: &Process, ca: &OutsideCa, other: OtherRoot) -> Installed {
    let request = requested(process).await;
    let text = ca.answer(&request.pem, ground.clock.now(), |_| {});
    install(process, &text, other).await.unwrap()
}

fn refusal<T: std::fmt::Debug>(ended: Result<T, RotationFailed>) -> &'static str {
    match ended {
        Err(RotationFailed::Chain(refused)) => refused.code(),
        other => panic!("{other:?}"),
    }
}

async fn of(ground: &Ground, purpose: Purpose) -> Vec<Standing> {
    let keys = ground.keys().await;
    keys.into_iter().filter(|key| key.purpose() == purpose).collect()
}

async fn states(ground: &Ground, purpose: Purpose) -> Vec<State> {
    let mut states: Vec<_> = of(ground, purpose).await.iter().map(|key| key.state).collect();
    states.sort_unstable();
    states
}

/// Returns the key that signs X.509-SVIDs.
async fn signer(process: &Process) -> Result<String, MintRefusal> {
    let signing = process
        .ring
        .sign(Purpose::X509Intermediate, SigningAlgorithm::Es256, |_| Ok("input"));
    signing.await.map(|signed| signed.key_id)
}

fn kinds(process: &Process) -> Vec<&'static str> {
    let condition = process.engine.condition();
    condition.alarms.iter().map(Alarm::kind).collect()
}

fn roots(process: &Process) -> usize {
    process.ring.load().published_roots().len()
}

#[tokio::test]
async fn no_root_is_made_here_and_a_request_waits_from_the_first_round_on() {
    let ground = ground();

    let one = ground.start(0).await;
    one.engine.tick().await.unwrap();

    assert!(states(&ground, Purpose::X509Root).await.is_empty());
    let waiting = of(&ground, Purpose::X509Intermediate).await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        (waiting[0].state, waiting[0].waits),
        (State::Prepared, Some(Waits::Chain))
    );
    assert_eq!(kinds(&one), ["nothing_active", "chain_wanted"]);
    assert!(matches!(signer(&one).await, Err(MintRefusal::KeyUnavailable { .. })));
    let tokens = one
        .ring
        .sign(Purpose::Jwt, SigningAlgorithm::Es256, |_| Ok("input"))
        .await;
    assert!(tokens.is_ok(), "tokens need no root");
    assert_eq!(roots(&one), 0);
}

#[tokio::test]
async fn the_chain_that_answers_the_request_signs_at_once_and_pins_its_root() {
    let ground = ground();
    let (one, other) = (ground.start(0).await, ground.start(1).await);
    one.engine.tick().await.unwrap();
    let ca = ca(&ground);
    // No lead is to be waited for, not even to the next whole second.
    ground.clock.advance(Duration::from_millis(500));

    let installed = certified(&ground, &one, &ca, OtherRoot::Refuse).await;

    assert_eq!(signer(&one).await.unwrap(), installed.id);
    other.engine.tick().await.unwrap();
    assert_eq!(signer(&other).await.unwrap(), installed.id);
    assert_eq!(one.ring.load().published_roots()[0].certificate, ca.der);
    let ends = unix_seconds(ground.clock.now() + DAY * 30);
    assert_eq!(unix_seconds(installed.ends), ends);
    assert_eq!(states(&ground, Purpose::X509Root).await, [State::Active]);
    assert!(kinds(&one).is_empty(), "{:?}", kinds(&one));
    let entries = ground.journal.take();
    let said = |words: &str| entries.iter().any(|entry| entry.contains(words));
    let root = &installed.root;
    assert!(
        said("key for x509_intermediate with ES256: -> prepared"),
        "{entries:#?}"
    );
    assert!(
        said(&format!("under root {root} was installed, its root: -> active")),
        "{entries:#?}"
    );
    assert!(
        said(&format!("key {}: observed -> active", installed.id)),
        "{entries:#?}"
    );
}

#[tokio::test]
async fn a_request_is_the_same_key_until_it_is_answered_also_after_a_crash() {
    let mut ground = ground();
    let ca = ca(&ground);
    let one = ground.start(0).await;
    let first = requested(&one).await;
    assert_eq!(requested(&one).await.id, first.id);
    drop(one);
    ground.crash();

    let next = ground.start(0).await;
    assert_eq!(requested(&next).await.id, first.id);
    let text = ca.answer(&first.pem, ground.clock.now(), |_| {});
    let installed = install(&next, &text, OtherRoot::Refuse).await.unwrap();

    assert_eq!(installed.id, first.id);
    assert_eq!(signer(&next).await.unwrap(), first.id);
    ground.pass(Duration::from_mins(5), &[&next]).await;
    assert_ne!(
        requested(&next).await.id,
        first.id,
        "an answered request is not shown again"
    );
}

#[tokio::test]
async fn the_same_chain_again_changes_nothing_and_another_without_a_request_is_refused() {
    let ground = ground();
    let one = ground.start(0).await;
    let ca = ca(&ground);
    let request = requested(&one).await;
    let text = ca.answer(&request.pem, ground.clock.now(), |_| {});
    let first = install(&one, &text, OtherRoot::Refuse).await.unwrap();
    let before = ground.store.authorities().await.unwrap();

    let again = install(&one, &text, OtherRoot::Refuse).await.unwrap();
    let anew = ca.answer(&request.pem, ground.clock.now(), |_| {});
    let anew = install(&one, &anew, OtherRoot::Refuse).await;

    assert_eq!(again, first);
    assert_eq!(refusal(anew), "chain.no_request");
    let after = ground.store.authorities().await.unwrap();
    assert_eq!((before.generation, before.rows), (after.generation, after.rows));
}

#[tokio::test]
async fn refuses_a_chain_for_another_key() {
    let ground = ground();
    let one = ground.start(0).await;
    let elsewhere = Ground::new().with_root(RootPlace::Outside);
    let other = requested(&elsewhere.start(0).await).await;
    requested(&one).await;

    let text = ca(&ground).answer(&other.pem, ground.clock.now(), |_| {});

    let refused = install(&one, &text, OtherRoot::Refuse).await;
    assert_eq!(refusal(refused), "chain.key_mismatch");
    assert_eq!(roots(&one), 0, "nothing of it was pinned");
}

#[tokio::test]
async fn refuses_a_chain_under_which_no_verifier_takes_an_svid() {
    let ground = ground();
    let one = ground.start(0).await;
    let request = requested(&one).await;

    // OpenSSL takes this usage for all others, webpki does not.
    let text = ca(&ground).answer(&request.pem, ground.clock.now(), |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    });

    assert_eq!(
        refusal(install(&one, &text, OtherRoot::Refuse).await),
        "chain.unverifiable"
    );
}

#[tokio::test]
async fn the_alarm_comes_fifteen_days_before_the_end_and_the_successor_signs_in_time() {
    let ground = ground();
    let one = ground.start(0).await;
    let ca = ca(&ground);
    let first = certified(&ground, &one, &ca, OtherRoot::Refuse).await;
    ground.clock.advance(DAY * 14 + Duration::from_secs(86_399));
    one.engine.tick().await.unwrap();
    assert!(kinds(&one).is_empty(), "{:?}", kinds(&one));

    ground.clock.advance(Duration::from_secs(1));
    one.engine.tick().await.unwrap();
    assert_eq!(kinds(&one), ["chain_wanted"]);
    let waiting = of(&ground, Purpose::X509Intermediate).await;
    assert!(waiting.iter().any(|key| key.waits == Some(Waits::Chain)));

    let second = certified(&ground, &one, &ca, OtherRoot::Refuse).await;
    assert!(kinds(&one).is_empty(), "{:?}", kinds(&one));
    assert_eq!(signer(&one).await.unwrap(), first.id, "not before its time");
    ground.clock.advance(DAY * 10);
    one.engine.tick().await.unwrap();
    assert_eq!(signer(&one).await.unwrap(), second.id);
}

#[tokio::test]
async fn an_intermediate_that_nobody_certifies_in_time_is_told_and_stays_alone() {
    let ground = ground();
    let one = ground.start(0).await;
    certified(&ground, &one, &ca(&ground), OtherRoot::Refuse).await;
    ground.clock.advance(DAY * 31);
    ground.pass(Duration::from_mins(10), &[&one]).await;

    let kinds = kinds(&one);

    assert!(
        kinds.contains(&"chain_wanted") && kinds.contains(&"overdue"),
        "{kinds:?}"
    );
    assert_eq!(
        states(&ground, Purpose::X509Intermediate).await,
        [State::Prepared, State::Active]
    );
}

#[tokio::test]
async fn a_chain_replaces_another_that_was_installed_and_never_signed() {
    let ground = ground();
    let one = ground.start(0).await;
    let ca = ca(&ground);
    certified(&ground, &one, &ca, OtherRoot::Refuse).await;
    certified(&ground, &one, &ca, OtherRoot::Refuse).await;

    certified(&ground, &one, &ca, OtherRoot::Refuse).await;

    assert_eq!(
        states(&ground, Purpose::X509Intermediate).await,
        [State::Observed, State::Active, State::Removed]
    );
}

#[tokio::test]
async fn another_root_is_refused_unless_asked_for_and_then_takes_the_whole_way() {
    let ground = ground();
    let one = ground.start(0).await;
    one.engine.tick().await.unwrap();
    let (old, new) = (ca(&ground), ca(&ground));
    let first = certified(&ground, &one, &old, OtherRoot::Refuse).await;
    let request = requested(&one).await;
    let text = new.answer(&request.pem, ground.clock.now(), |_| {});

    assert_eq!(
        refusal(install(&one, &text, OtherRoot::Refuse).await),
        "chain.root_unknown"
    );
    let second = install(&one, &text, OtherRoot::Pin).await.unwrap();

    assert_eq!(roots(&one), 2, "verifiers must be able to take both");
    ground.pass(Duration::from_hours(24), &[&one]).await;
    assert_eq!(
        states(&ground, Purpose::X509Root).await,
        [State::Observed, State::Active]
    );
    let waiting = of(&ground, Purpose::X509Intermediate).await;
    let waiting = waiting.iter().find(|key| key.id == second.id).unwrap();
    assert_eq!((waiting.state, waiting.waits), (State::Prepared, Some(Waits::Root)));
    assert_eq!(signer(&one).await.unwrap(), first.id);

    ground.pass(Duration::from_hours(1), &[&one]).await;
    assert_eq!(
        states(&ground, Purpose::X509Root).await,
        [State::Active, State::Retired]
    );
    let rotate = Selection {
        purpose: Some(Purpose::X509Intermediate),
        algorithm: None,
    };
    one.engine.rotate(&rotate).await.unwrap();
    assert_eq!(signer(&one).await.unwrap(), second.id);
    assert_eq!(roots(&one), 2, "what the old one certified is still valid");

    ground.clock.advance(DAY * 33);
    ground.pass(Duration::from_mins(10), &[&one]).await;
    assert_eq!(roots(&one), 1);
    assert_eq!(one.ring.load().published_roots()[0].certificate, new.der);
}

#[tokio::test]
async fn a_third_root_finds_no_room_and_a_retired_one_is_not_taken_back() {
    let ground = ground();
    let one = ground.start(0).await;
    one.engine.tick().await.unwrap();
    let (first, second, third) = (ca(&ground), ca(&ground), ca(&ground));
    certified(&ground, &one, &first, OtherRoot::Refuse).await;
    certified(&ground, &one, &second, OtherRoot::Pin).await;
    let request = requested(&one).await;
    let under = |ca: &OutsideCa| ca.answer(&request.pem, ground.clock.now(), |_| {});

    let refused = install(&one, &under(&third), OtherRoot::Pin).await;
    assert!(
        matches!(refused, Err(RotationFailed::Forced(NotForced::NoRoom { .. }))),
        "{refused:?}"
    );
    ground.pass(Duration::from_hours(25), &[&one]).await;
    let retired = install(&one, &under(&first), OtherRoot::Pin).await;
    assert_eq!(refusal(retired), "chain.root_refused");
}

#[tokio::test]
async fn the_key_of_a_pinned_root_under_another_certificate_is_refused() {
    let ground = ground();
    let one = ground.start(0).await;
    let now = ground.clock.now();
    let key = rcgen::KeyPair::generate().unwrap();
    let again = rcgen::KeyPair::from_pem(&key.serialize_pem()).unwrap();
    let (root, reissued) = (
        OutsideCa::root_of(key, now, |_| {}),
        OutsideCa::root_of(again, now, |_| {}),
    );
    certified(&ground, &one, &root, OtherRoot::Refuse).await;
    let request = requested(&one).await;

    let refused = install(&one, &reissued.answer(&request.pem, now, |_| {}), OtherRoot::Pin).await;

    assert_eq!(refusal(refused), "chain.root_refused");
}

#[tokio::test]
async fn a_compromised_root_goes_with_all_that_stands_below_it() {
    let ground = ground();
    let one = ground.start(0).await;
    one.engine.tick().await.unwrap();
    let bad = ca(&ground);
    let installed = certified(&ground, &one, &bad, OtherRoot::Refuse).await;

    let revoked = one.engine.revoke(&installed.root).await.unwrap();
    one.engine.tick().await.unwrap();

    assert_eq!((revoked.successor, roots(&one)), (None, 0));
    assert!(matches!(signer(&one).await, Err(MintRefusal::KeyUnavailable { .. })));
    assert_eq!(kinds(&one), ["nothing_active", "chain_wanted"]);
    let request = requested(&one).await;
    let text = bad.answer(&request.pem, ground.clock.now(), |_| {});
    assert_eq!(
        refusal(install(&one, &text, OtherRoot::Refuse).await),
        "chain.root_refused"
    );
    let good = certified(&ground, &one, &ca(&ground), OtherRoot::Refuse).await;
    assert_eq!(signer(&one).await.unwrap(), good.id);
}

#[tokio::test]
async fn a_compromised_intermediate_has_no_successor_until_somebody_certifies_one() {
    let ground = ground();
    let one = ground.start(0).await;
    let ca = ca(&ground);
    let bad = certified(&ground, &one, &ca, OtherRoot::Refuse).await;

    let revoked = one.engine.revoke(&bad.id).await.unwrap();
    one.engine.tick().await.unwrap();

    assert_eq!(revoked.successor, None);
    assert!(matches!(signer(&one).await, Err(MintRefusal::KeyUnavailable { .. })));
    assert_eq!(kinds(&one), ["nothing_active", "chain_wanted"]);
    let next = certified(&ground, &one, &ca, OtherRoot::Refuse).await;
    assert_eq!(signer(&one).await.unwrap(), next.id);
}

#[tokio::test]
async fn a_compromised_root_of_ours_takes_its_intermediates_with_it_and_others_follow() {
    let ground = Ground::new();
    let one = ground.start(0).await;
    one.engine.tick().await.unwrap();
    let bad = of(&ground, Purpose::X509Root).await.remove(0).id;
    let intermediate = signer(&one).await.unwrap();

    one.engine.revoke(&bad).await.unwrap();
    one.engine.tick().await.unwrap();

    assert_ne!(signer(&one).await.unwrap(), intermediate);
    assert_eq!(roots(&one), 1);
}

#[tokio::test]
async fn a_root_ends_with_an_alarm_in_time() {
    let ground = ground();
    let one = ground.start(0).await;
    let now = ground.clock.now();
    let ends = now + DAY * 45;
    let ca = OutsideCa::root(now, |params| params.not_after = ends.into());
    certified(&ground, &one, &ca, OtherRoot::Refuse).await;
    ground.clock.advance(DAY * 14 + Duration::from_secs(86_399));
    one.engine.tick().await.unwrap();
    assert!(!kinds(&one).contains(&"root_ends"));

    ground.clock.advance(Duration::from_secs(1));
    one.engine.tick().await.unwrap();

    assert!(kinds(&one).contains(&"root_ends"), "{:?}", kinds(&one));
}

#[tokio::test]
async fn a_store_with_a_root_of_its_own_passes_to_one_outside_and_back() {
    let mut ground = Ground::new();
    let one = ground.start(0).await;
    one.engine.tick().await.unwrap();
    let ours = signer(&one).await.unwrap();
    drop(one);

    ground = ground.with_root(RootPlace::Outside);
    ground.place.keep_none();
    let one = ground.start(0).await;
    one.engine.tick().await.unwrap();
    let ca = ca(&ground);
    let request = requested(&one).await;
    let text = ca.answer(&request.pem, ground.clock.now(), |_| {});
    assert_eq!(
        refusal(install(&one, &text, OtherRoot::Refuse).await),
        "chain.root_unknown"
    );
    let theirs = install(&one, &text, OtherRoot::Pin).await.unwrap();
    assert_eq!(signer(&one).await.unwrap(), ours);
    ground.pass(Duration::from_hours(25), &[&one]).await;
    assert_eq!(
        states(&ground, Purpose::X509Root).await,
        [State::Active, State::Retired]
    );
    ground.clock.advance(DAY * 24);
    one.engine.tick().await.unwrap();
    assert_eq!(signer(&one).await.unwrap(), theirs.id);
    requested(&one).await;
    drop(one);

    ground = ground.with_root(RootPlace::Store);
    ground.place.keep_none();
    let one = ground.start(0).await;
    // Two roots are published: the third has to wait until the one of before is gone.
    ground.clock.advance(DAY * 9);
    ground.pass(Duration::from_hours(26), &[&one]).await;
    let root = of(&ground, Purpose::X509Root).await;
    let active: Vec<_> = root.iter().filter(|key| key.state == State::Active).collect();
    assert!(active.len() == 1 && !active[0].is_outside(), "{root:?}");
    let waiting = of(&ground, Purpose::X509Intermediate).await;
    assert!(waiting.iter().all(|key| key.waits.is_none()), "{waiting:?}");
    assert!(matches!(
        one.engine.request().await,
        Err(RotationFailed::Forced(NotForced::RootInStore))
    ));
    ground.pass(DAY * 2, &[&one]).await;
    assert_ne!(signer(&one).await.unwrap(), theirs.id);
}

#[tokio::test]
async fn a_root_outside_is_not_rotated_from_here() {
    let ground = ground();
    let one = ground.start(0).await;
    certified(&ground, &one, &ca(&ground), OtherRoot::Refuse).await;
    let roots = Selection {
        purpose: Some(Purpose::X509Root),
        algorithm: None,
    };

    let refused = one.engine.rotate(&roots).await;

    assert!(
        matches!(refused, Err(RotationFailed::Forced(NotForced::NothingActive))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_chain_that_the_trail_cannot_keep_is_not_installed() {
    let ground = ground();
    let one = ground.start(0).await;
    let request = requested(&one).await;
    let text = ca(&ground).answer(&request.pem, ground.clock.now(), |_| {});
    ground.journal.broken.store(true, std::sync::atomic::Ordering::Relaxed);

    let failed = install(&one, &text, OtherRoot::Refuse).await;

    assert!(matches!(failed, Err(RotationFailed::Journal(_))), "{failed:?}");
    assert_eq!(roots(&one), 0);
}

#[tokio::test]
async fn a_store_whose_request_nobody_answered_gets_a_root_of_its_own_at_once() {
    let mut ground = ground();
    let one = ground.start(0).await;
    requested(&one).await;
    drop(one);

    ground = ground.with_root(RootPlace::Store);
    ground.place.keep_none();
    let one = ground.start(0).await;
    one.engine.tick().await.unwrap();

    assert!(signer(&one).await.is_ok());
    let intermediates = states(&ground, Purpose::X509Intermediate).await;
    assert_eq!(intermediates, [State::Active, State::Removed]);
}

#[tokio::test]
async fn g_4_a_process_killed_at_any_point_of_an_installation_leaves_it_to_the_next() {
    let mut unfinished = 0;
    for polls in 0..48 {
        let mut ground = ground();
        let ca = ca(&ground);
        let one = ground.start(0).await;
        let request = requested(&one).await;
        let text = ca.answer(&request.pem, ground.clock.now(), |_| {});
        let chain = UnverifiedChain::from_text(&text).unwrap();
        let mut installing = Box::pin(one.engine.install(&chain, OtherRoot::Refuse));
        let mut ready = false;
        for _ in 0..polls {
            ready = installing
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_ready();
            if ready {
                break;
            }
            tokio::task::yield_now().await;
        }
        unfinished += usize::from(!ready);
        drop(installing);
        drop(one);
        ground.crash();

        let next = ground.start(0).await;
        next.engine.tick().await.unwrap();
        let installed = install(&next, &text, OtherRoot::Refuse).await.unwrap();
        next.engine.tick().await.unwrap();

        assert_eq!(installed.id, request.id, "killed after {polls} polls");
        assert_eq!(signer(&next).await.unwrap(), request.id, "killed after {polls} polls");
        assert_eq!(
            states(&ground, Purpose::X509Root).await,
            [State::Active],
            "killed after {polls} polls"
        );
    }
    assert!(
        (4..48).contains(&unfinished),
        "killed too early or too late: {unfinished}"
    );
}

#[tokio::test]
async fn ten_published_keys_leave_no_room_for_a_first_root_and_nine_do() {
    for (retired, taken) in [(7, true), (8, false)] {
        let ground = ground();
        let one = ground.start(0).await;
        let request = requested(&one).await;
        let stored = ground.store.authorities().await.unwrap();
        let mut rows = stored.rows;
        for _ in 0..retired {
            let source = ground.parts().source;
            let (key, sealed) = source.generate(Purpose::Jwt, SigningAlgorithm::Es256).unwrap();
            rows.push(AuthorityRow {
                id: key.public_jwk().kid().to_owned(),
                state: State::Retired.as_str().to_owned(),
                removes_seconds: unix_seconds(ground.clock.now() + DAY),
                sealed,
                ..rows[1].clone()
            });
        }
        assert!(
            ground
                .store
                .replace_authorities(stored.generation, &rows)
                .await
                .unwrap()
        );

        let text = ca(&ground).answer(&request.pem, ground.clock.now(), |_| {});
        let installed = install(&one, &text, OtherRoot::Refuse).await;

        assert_eq!(installed.is_ok(), taken, "{installed:?}");
        assert_eq!(roots(&one), usize::from(taken));
    }
}
