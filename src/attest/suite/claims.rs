//! What the claims of every signed token must say; a kind's tests name the numbers and the claims that are its own.

use serde_json::{Map, Value, json};

use super::{TokenStage, attested, evidence, refused, seconds};
use crate::{attest::Attestor as _, clock::unix_seconds};

/// Changes claims in one point.
pub(in crate::attest) type Change = fn(&mut Map<String, Value>);

/// Claims that a token of any kind has, missing or of another type.
pub(in crate::attest) const OF_ANY_TOKEN: &[(&str, Change)] = &[
    ("sub", |claims| drop(claims.remove("sub"))),
    ("exp", |claims| drop(claims.remove("exp"))),
    ("exp", |claims| claims["exp"] = json!("9999999999")),
    ("iat", |claims| drop(claims.remove("iat"))),
    ("nbf", |claims| drop(claims.insert("nbf".to_owned(), json!("0")))),
    ("aud", |claims| drop(claims.remove("aud"))),
    ("jti", |claims| drop(claims.insert("jti".to_owned(), json!("")))),
];

pub(in crate::attest) async fn gives_no_attribute_that_it_did_not_announce<S: TokenStage>(
    stage: &S,
    attestor: &S::Judge,
) {
    let attestation = stage.attested(attestor).await;

    for (name, _) in attestation.attributes().iter() {
        assert!(attestor.attributes().contains(&name), "{name}");
    }
    for name in attestor.immutable() {
        assert!(attestor.attributes().contains(name), "{name}");
    }
}

pub(in crate::attest) fn pins_no_attribute_that_it_did_not_announce(attestor: &impl crate::attest::Attestor) {
    let pins = attestor.pins().unwrap();

    for name in pins.ids.iter().flatten().chain(&pins.names) {
        assert!(attestor.attributes().contains(name), "{name}");
    }
}

/// A good token lives `life` seconds, and is handed out again while it does.
pub(in crate::attest) async fn a_token_serves_until_it_expires<S: TokenStage>(stage: &S, life: u64, times: &[u64]) {
    let attestor = S::attestor(&stage.pinning());
    let token = stage.token(|_| {});
    let expires = stage.now() + seconds(life);

    for later in times {
        let now = stage.now() + seconds(*later);
        let attestation = attested(attestor.judge(&evidence(&token), now).await);

        assert!(attestation.ledger().is_none(), "the same token is handed out again");
        assert_eq!(
            attestation.stands_until(),
            expires.min(now + seconds(3600)),
            "after {later} s"
        );
    }
}

pub(in crate::attest) async fn an_attestation_stands_an_hour_although_the_token_lives_longer<S: TokenStage>(stage: &S) {
    let exp = unix_seconds(stage.now()) + 86_400;
    let token = stage.token(|claims| claims["exp"] = json!(exp));

    let attestation = attested(stage.judge(&S::attestor(&stage.pinning()), &token).await);

    assert_eq!(attestation.stands_until(), stage.now() + seconds(3600));
}

pub(in crate::attest) async fn a_token_lives_so_long_and_not_a_second_more<S: TokenStage>(stage: &S, longest: u64) {
    let iat = unix_seconds(stage.now());
    let living = |life: u64| {
        stage.token(|claims| {
            claims["iat"] = json!(iat);
            claims["exp"] = json!(iat + life);
        })
    };
    let attestor = S::attestor(&stage.pinning());

    attested(stage.judge(&attestor, &living(longest)).await);
    let refusal = refused(stage.judge(&attestor, &living(longest + 1)).await);

    assert_eq!(refusal.code(), "attest.claim_invalid", "{refusal}");
    let found = format!("{} s after `iat`", longest + 1);
    assert!(refusal.to_string().contains(&found), "{refusal}");
}

/// `token` begins now and lives `life` seconds.
pub(in crate::attest) async fn expiry_and_beginning_have_a_leeway_of_30_s<S: TokenStage>(
    stage: &S,
    token: &str,
    life: u64,
) {
    let attestor = S::attestor(&stage.pinning());
    let evidence = evidence(token);
    let (begins, expires) = (stage.now(), stage.now() + seconds(life));

    attested(attestor.judge(&evidence, expires + seconds(29)).await);
    let over = refused(attestor.judge(&evidence, expires + seconds(30)).await);
    attested(attestor.judge(&evidence, begins - seconds(30)).await);
    let early = refused(attestor.judge(&evidence, begins - seconds(31)).await);

    assert_eq!(over.code(), "attest.evidence_expired");
    assert_eq!(early.code(), "attest.evidence_not_yet_valid");
}

pub(in crate::attest) async fn refuses_each_audience<S: TokenStage>(stage: &S, audiences: &[Value]) {
    for audience in audiences {
        let refusal = stage.refused(|claims| claims["aud"] = audience.clone()).await;

        assert_eq!(refusal.code(), "attest.audience_mismatch", "{audience}: {refusal}");
    }
}

/// A change of a claim is refused with that claim's name.
pub(in crate::attest) async fn names_each_claim<S: TokenStage>(stage: &S, rows: &[(&str, Change)]) {
    for (claim, change) in rows {
        let refusal = stage.refused(change).await;

        assert_eq!(refusal.code(), "attest.claim_invalid", "{claim}: {refusal}");
        let named = format!("claim `{claim}` is ");
        assert!(refusal.to_string().starts_with(&named), "{claim}: {refusal}");
    }
}

/// `token` is an access token (`at+jwt`) with the claims of a good one.
pub(in crate::attest) async fn refuses_an_access_token<S: TokenStage>(stage: &S, token: &str) {
    let refusal = refused(stage.judge(&S::attestor(&stage.pinning()), token).await);

    assert_eq!(
        refusal.to_string(),
        "claim `typ` is `at+jwt`, expected `JWT` or nothing"
    );
}
