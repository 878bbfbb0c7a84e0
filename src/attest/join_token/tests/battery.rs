//! The battery that every kind of attestor passes: each way in which a token can be made up, broken or late.

use super::*;
use crate::{attest::unclaimed, store::StoreError};

#[tokio::test]
async fn a_token_that_nobody_made_is_nobodys() {
    let stage = Stage::new();
    stage.made().await;
    let unknown = JoinToken::draw(&SystemRandom).unwrap();

    let verdict = stage.judge(unknown.secret().expose()).await;

    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
    let answer = unclaimed::refusal(&evidence(unknown.secret().expose()));
    assert_eq!(answer.code(), "attest.evidence_unverifiable");
}

#[tokio::test]
async fn a_token_that_was_removed_is_answered_like_one_that_nobody_made() {
    let stage = Stage::new();
    let (token, row) = stage.made().await;

    assert!(stage.store.remove_join_token(&row.id).await.unwrap());

    let verdict = stage.judge(token.secret().expose()).await;
    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

#[tokio::test]
async fn a_token_ends_to_the_second() {
    let stage = Stage::new();
    let (token, _) = stage.made().await;

    stage.clock.advance(Duration::from_secs(599));
    attested(stage.judge(token.secret().expose()).await);
    stage.clock.advance(Duration::from_secs(1));

    let refusal = refused(stage.judge(token.secret().expose()).await);
    assert_eq!(refusal.code(), "attest.evidence_expired");
    assert!(refusal.is_proven());
}

#[tokio::test]
async fn t_37_a_token_for_another_attestor_is_not_taken() {
    let stage = Stage::new();
    let (token, _) = stage.made().await;
    let other = Stage::with("depot", TABLE, Arc::clone(&stage.store));

    let verdict = other.judge(token.secret().expose()).await;

    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

#[tokio::test]
async fn what_is_no_join_token_is_another_attestors() {
    let stage = Stage::new();
    let (token, _) = stage.made().await;
    let good = token.secret().expose();
    for text in [
        "",
        "garbage",
        "a.b.c",
        "cambio-join.",
        good.split_at(59).0,
        &format!("{good}A"),
        &format!(" {good}"),
        &format!("Bearer {good}"),
        &good.to_uppercase(),
    ] {
        let verdict = stage.judge(text).await;
        assert!(matches!(verdict, Verdict::NotMine), "{text}: {verdict:?}");
    }
    let of_another_kind = Evidence::new(token.secret().clone(), Some("oidc".to_owned()), Possession::Bearer);
    let verdict = stage.attestor.judge(&of_another_kind, stage.clock.now()).await;
    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

#[test]
fn t_27_a_token_that_was_cut_off_learns_so_with_and_without_its_kind() {
    let token = JoinToken::draw(&SystemRandom).unwrap();
    let cut = token.secret().expose().split_at(40).0;
    for kind in [None, Some("join_token".to_owned())] {
        let refusal = unclaimed::refusal(&Evidence::new(Secret::new(cut), kind, Possession::Bearer));

        assert_eq!(refusal.code(), "attest.evidence_malformed");
        assert_eq!(
            refusal.to_string(),
            "the evidence is malformed: it has 40 characters, a join token has 60"
        );
    }
}

#[tokio::test]
async fn t_14_takes_16_kib_and_refuses_one_byte_more() {
    let stage = Stage::new();

    let fits = stage.judge(&"a".repeat(16_384)).await;
    let over = refused(stage.judge(&"a".repeat(16_385)).await);

    assert!(matches!(fits, Verdict::NotMine), "{fits:?}");
    assert_eq!(over.code(), "attest.evidence_oversized");
    let code = |length: usize| form(&Secret::new("a".repeat(length))).unwrap_err().code();
    assert_eq!(
        (code(16_384), code(16_385)),
        ("attest.evidence_malformed", "attest.evidence_oversized")
    );
}

#[tokio::test]
async fn without_the_store_nobody_is_attested() {
    let memory = ForgetfulStore::new();
    let stage = Stage::with("plant", TABLE, Arc::clone(&memory) as Arc<dyn Store>);
    let (token, _) = stage.made().await;
    drop(memory.crash());

    let refusal = refused(stage.judge(token.secret().expose()).await);

    assert_eq!(refusal.code(), "store.unavailable");
    assert!(!refusal.is_proven());
}

#[tokio::test]
async fn before_the_store_is_open_nobody_is_attested() {
    let own = OwnStore::default();
    assert!(matches!(own.open(), Err(StoreError::Unavailable { .. })));
    let token = JoinToken::draw(&SystemRandom).unwrap();
    let name = AttestorName::parse("plant").unwrap();

    let refusal = KnownToken::look_up(&token, &name, &own).await.unwrap_err();

    assert_eq!(refusal.code(), "store.unavailable");
}

#[tokio::test]
async fn a_row_that_nobody_wrote_attests_nobody() {
    let stage = Stage::new();
    for (machine, labels) in [("press 7", "{}"), ("press-7", "[]"), ("press-7", "{\"role\":\"a b\"}")] {
        let (_, row) = stage.made().await;
        stage.store.remove_join_token(&row.id).await.unwrap();
        let token = JoinToken::draw(&SystemRandom).unwrap();
        let row = JoinTokenRow {
            sha256: token.sha256(),
            machine: machine.to_owned(),
            labels: labels.to_owned(),
            ..row
        };
        stage.store.add_join_tokens(&[row], stage.clock.now()).await.unwrap();

        let refusal = refused(stage.judge(token.secret().expose()).await);

        assert_eq!(refusal.code(), "attest.evidence_unverifiable", "{machine} {labels}");
    }
}
