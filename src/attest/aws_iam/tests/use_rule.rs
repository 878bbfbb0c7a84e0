//! How often a role's token serves, how old it may be, and who may come again with it.

use super::*;
use crate::{
    attest::{Freshness, suite::claims as every},
    store::UseRule,
};

fn bound(token: &str, now: SystemTime) -> Evidence {
    let possession = Possession::Dpop {
        thumbprint: Digest::of(b"key"),
        proof: Digest::of(b"proof"),
        remember_until: now,
    };
    Evidence::new(Secret::new(token), None, possession)
}

#[tokio::test]
async fn a_token_is_bound_to_its_first_use() {
    let stage = Stage::start();

    let attestation = stage.attested(&attestor(&stage.table())).await;

    let ledger = attestation.ledger().unwrap();
    assert_eq!(ledger.rule, UseRule::Keyed);
    assert_eq!(ledger.stands_until, stage.now() + seconds(3600));
    assert_eq!(attestation.freshness(), Freshness::Fresh);
}

#[tokio::test]
async fn two_tokens_are_two_sessions_and_one_is_one() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());
    let token = stage.token(|_| {});

    let first = attested(stage.judge(&attestor, &token).await);
    let again = attested(stage.judge(&attestor, &token).await);
    let other = stage.attested(&attestor).await;

    assert_eq!(first.session(), again.session());
    assert_ne!(first.session(), other.session());
}

#[tokio::test]
async fn a_token_is_ten_minutes_old_at_most_because_a_new_one_is_free() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());
    let exp = unix_seconds(stage.now()) + 3600;
    let token = stage.token(|claims| claims["exp"] = json!(exp));
    let at = |later: u64| {
        let (attestor, token, now) = (&attestor, &token, stage.now() + seconds(later));
        async move { attestor.judge(&evidence(token), now).await }
    };

    attested(at(600).await);
    let refusal = refused(at(601).await);

    assert_eq!(refusal.code(), "attest.evidence_too_old");
}

#[tokio::test]
async fn max_age_and_session_max_can_be_set() {
    let stage = Stage::start();
    let table = format!("{}max_age = \"1m\"\nsession_max = \"2h\"\n", stage.table());
    let attestor = attestor(&table);
    let token = stage.token(|_| {});

    let old = attestor.judge(&evidence(&token), stage.now() + seconds(61)).await;
    let young = attested(attestor.judge(&evidence(&token), stage.now() + seconds(60)).await);

    assert_eq!(refused(old).code(), "attest.evidence_too_old");
    assert_eq!(young.stands_until(), stage.now() + seconds(60 + 7200));
}

#[tokio::test]
async fn expiry_and_beginning_have_a_leeway_of_30_s() {
    let stage = Stage::start();
    let token = stage.token(|_| {}); // lives five minutes

    every::expiry_and_beginning_have_a_leeway_of_30_s(&stage, &token, 300).await;
}

#[tokio::test]
async fn a_token_that_is_over_resumes_for_its_key_alone_and_while_the_attestation_could_stand() {
    let stage = Stage::start();
    let attestor = attestor(&stage.table());
    let token = stage.token(|_| {});
    // The first use was at the latest when the token ended; from then the attestation stands an hour.
    let last = stage.now() + seconds(300 + 30 + 3600);

    let by_key = attestor.judge(&bound(&token, last), last - seconds(1)).await;
    let by_nobody = attestor.judge(&evidence(&token), last - seconds(1)).await;
    let too_late = attestor.judge(&bound(&token, last), last).await;

    assert_eq!(attested(by_key).freshness(), Freshness::Expired);
    assert_eq!(refused(by_nobody).code(), "attest.evidence_expired");
    assert_eq!(refused(too_late).code(), "attest.evidence_expired");
}
