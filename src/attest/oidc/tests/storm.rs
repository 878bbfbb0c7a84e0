//! Strangers who send key ids that nobody has: what they cause, and whom they must not hold up.

use serde_json::json;

use super::*;
use crate::{attest::issuer_keys::MAX_WAITING, jose::Algorithm};

/// In a minute they are a hundred thousand.
const KEY_IDS_A_SECOND: u32 = 1_667;

#[tokio::test]
async fn t_56_in_a_storm_of_key_ids_valid_tokens_go_on_and_a_new_key_comes_with_the_next_fetch() {
    let stage = Stage::github("").await;
    stage.attested(fresh()).await;
    let next = Ci::new(&stage.site.url).unwrap();
    let both = [stage.ci.jwks(), next.jwks()].map(|set| set["keys"][0].clone());
    stage.site.answer(JWKS, Answer::json(&json!({ "keys": both })));
    let keys = stage.fetched();

    for second in 0..60 {
        let moment = now() + seconds(second);
        for nth in 0..KEY_IDS_A_SECOND {
            let kid = Digest::of(format!("{second} {nth}").as_bytes()).to_string();
            let found = keys.find(Some(&kid), Algorithm::Rs256, moment).await;
            assert!(matches!(found, Err(AttestRefusal::Unverifiable { .. })), "{found:?}");
        }

        let fetched = second / 30 + 1;
        assert_eq!(stage.site.requests(JWKS) as u64, fetched, "after {second} s");
        let job = || fresh().issued_at(moment);
        attested(stage.judge_with(job(), Possession::Bearer, moment).await);
        let token = job().signed_by(&next).unwrap();
        let of_the_new_key = stage.judge_token(token, Possession::Bearer, moment).await;
        if second < 30 {
            assert_eq!(refused(of_the_new_key).code(), "attest.evidence_unverifiable");
        } else {
            attested(of_the_new_key);
        }
    }
    assert!(keys.unknown_remembered() <= 128);
}

#[tokio::test]
async fn t_56_a_valid_token_does_not_wait_for_the_fetch_that_a_stranger_caused() {
    let stage = Arc::new(Stage::github("").await);
    stage.attested(fresh()).await;
    stage.site.answer(JWKS, Answer::Silence);
    let later = now() + seconds(31);
    let strange = {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move {
            let keys = stage.fetched();
            drop(keys.find(Some("unknown"), Algorithm::Rs256, later).await);
        })
    };
    while stage.site.requests(JWKS) < 2 {
        assert!(!strange.is_finished(), "nothing was fetched");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let job = fresh().issued_at(later);
    attested(stage.judge_with(job, Possession::Bearer, later).await);

    assert!(!strange.is_finished(), "the issuer answered meanwhile");
    strange.abort();
}

#[tokio::test]
async fn tm_11_256_requests_wait_for_a_slow_issuer_and_one_more_is_refused_at_once() {
    let stage = Stage::github("").await;
    stage.attested(fresh()).await;
    stage.site.answer(JWKS, Answer::Silence);
    let later = now() + seconds(31);
    let mut waiting = tokio::task::JoinSet::new();
    for nth in 0..MAX_WAITING {
        let keys = stage.fetched();
        waiting.spawn(async move { drop(keys.find(Some(&nth.to_string()), Algorithm::Rs256, later).await) });
    }
    while stage.site.requests(JWKS) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let refused = stage.fetched().find(Some("one more"), Algorithm::Rs256, later).await;

    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), "issuer.unavailable", "{refused}");
    assert!(waiting.try_join_next().is_none(), "one of them did not wait");
}
