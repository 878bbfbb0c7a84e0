//! Each way in which a token can be forged or broken.
//!
//! Each check is a function over a [`Forgeable`] stage; `battery!` makes `#[tokio::test]`s of them all in a kind's own
//! module, so that a failure says whose it is.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{TokenStage, refused, seconds};
use crate::{
    attest::{Attestor as _, Evidence, Possession, Verdict},
    secret::Secret,
    sim::Listen as _,
};

/// What a forger knows of a kind's issuer.
pub(in crate::attest) trait Forgeable: TokenStage {
    /// The id of the issuer's first key, which is an RSA key.
    const KID: &'static str;

    /// Returns the issuer of good tokens.
    fn issuer(&self) -> String;

    /// Returns issuers that an eye may take for [`Self::issuer`]; one more slash and a list are tried for every kind.
    fn other_issuers(&self) -> Vec<String>;

    /// Returns the issuer's key set.
    fn jwks(&self) -> Value;

    /// Signs as another issuer of this kind, whose key has the same id.
    fn sign_as_another(&self, claims: &Map<String, Value>) -> String;

    /// Returns headers under which no key vouches for a good token's claims and signature.
    fn other_headers() -> Vec<Value>;

    /// Returns the table of an attestor whose issuer is at `url`, and what such tokens call it.
    fn moved_to(&self, url: &str) -> (String, String);
}

macro_rules! battery {
    ($stage:ty) => {
        #[tokio::test]
        async fn t_26_reads_no_claim_before_the_signature() {
            crate::attest::suite::battery::reads_no_claim_before_the_signature::<$stage>().await;
        }

        #[tokio::test]
        async fn t_21_t_54_neither_none_nor_an_hmac_with_the_public_key_is_a_signature() {
            crate::attest::suite::battery::neither_none_nor_an_hmac_is_a_signature::<$stage>().await;
        }

        #[tokio::test]
        async fn what_is_no_token_of_the_issuer_is_nobodys() {
            crate::attest::suite::battery::what_is_no_token_of_the_issuer_is_nobodys::<$stage>().await;
        }

        #[tokio::test]
        async fn an_unknown_key_an_algorithm_of_another_kind_and_another_header_are_refused() {
            crate::attest::suite::battery::other_headers_are_refused::<$stage>().await;
        }

        #[tokio::test]
        async fn t_14_takes_16_kib_and_refuses_one_byte_more() {
            crate::attest::suite::battery::takes_16_kib_and_refuses_one_byte_more::<$stage>().await;
        }

        #[tokio::test]
        async fn while_the_issuer_is_silent_nobody_is_attested_by_discovery() {
            crate::attest::suite::battery::while_the_issuer_is_silent_nobody_is_attested::<$stage>().await;
        }

        #[tokio::test]
        async fn tm_09_a_private_address_that_is_not_listed_is_never_asked() {
            crate::attest::suite::battery::an_address_that_is_not_listed_is_never_asked::<$stage>().await;
        }
    };
}
pub(in crate::attest) use battery;

pub(in crate::attest) async fn reads_no_claim_before_the_signature<S: Forgeable>() {
    let stage = S::start();
    let other = json!("https://other.example");
    let mut claims = stage.claims();
    claims["aud"] = if claims["aud"].is_array() {
        json!([other])
    } else {
        other
    };
    claims["exp"] = json!(1);
    let token = stage.sign_as_another(&claims);

    for table in [stage.table(), stage.pinning()] {
        let refusal = refused(stage.judge(&S::attestor(&table), &token).await);

        assert_eq!(refusal.code(), "attest.evidence_unverifiable", "{table}");
    }
}

pub(in crate::attest) async fn neither_none_nor_an_hmac_is_a_signature<S: Forgeable>() {
    let stage = S::start();
    let attestor = S::attestor(&stage.table());
    let good = stage.token(|_| {});
    let jwk = stage.jwks()["keys"][0].clone();
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for algorithm in ["none", "None", "HS256", "HS384", "HS512"] {
        let header = encoded(&json!({ "alg": algorithm, "kid": S::KID }));
        let input = format!("{header}.{}", payload(&good));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &modulus), input.as_bytes());
        for signature in [String::new(), BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref())] {
            let verdict = stage.judge(&attestor, &format!("{input}.{signature}")).await;

            assert!(matches!(verdict, Verdict::NotMine), "{algorithm}: {verdict:?}");
        }
    }
}

pub(in crate::attest) async fn what_is_no_token_of_the_issuer_is_nobodys<S: Forgeable>() {
    let stage = S::start();
    let attestor = S::attestor(&stage.table());
    let good = stage.token(|_| {});
    let broken = [
        String::new(),
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        good.replace('.', ".."),
        format!("{good}."),
        format!(" {good}"),
        format!("Bearer {good}"),
        stage.token(|claims| claims["iss"] = json!(format!("{}/", stage.issuer()))),
        stage.token(|claims| claims["iss"] = json!([stage.issuer()])),
        stage.token(|claims| drop(claims.remove("iss"))),
    ];
    let others = stage.other_issuers().into_iter();
    let others = others.map(|issuer| stage.token(|claims| claims["iss"] = json!(issuer)));
    for token in broken.into_iter().chain(others) {
        let verdict = stage.judge(&attestor, &token).await;

        assert!(matches!(verdict, Verdict::NotMine), "{token:.60}: {verdict:?}");
    }
    let of_another_kind = Evidence::new(Secret::new(good), Some("oidc".to_owned()), Possession::Bearer);
    let verdict = attestor.judge(&of_another_kind, stage.now()).await;
    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

pub(in crate::attest) async fn other_headers_are_refused<S: Forgeable>() {
    let stage = S::start();
    let attestor = S::attestor(&stage.table());
    let good = stage.token(|_| {});
    let signature = good.rsplit('.').next().unwrap().to_owned();
    for header in S::other_headers() {
        stage.place().clock.advance(seconds(31));
        let token = format!("{}.{}.{signature}", encoded(&header), payload(&good));

        let refusal = refused(stage.judge(&attestor, &token).await);

        assert_eq!(refusal.code(), "attest.evidence_unverifiable", "{header}: {refusal}");
    }
}

pub(in crate::attest) async fn takes_16_kib_and_refuses_one_byte_more<S: Forgeable>() {
    let stage = S::start();
    let attestor = S::attestor(&stage.pinning());

    let fits = stage.judge(&attestor, &"a".repeat(16_384)).await;
    let over = refused(stage.judge(&attestor, &"a".repeat(16_385)).await);

    assert!(matches!(fits, Verdict::NotMine), "{fits:?}");
    assert_eq!(over.code(), "attest.evidence_oversized");
}

pub(in crate::attest) async fn while_the_issuer_is_silent_nobody_is_attested<S: Forgeable>() {
    let stage = S::start();
    let bound = stage.place().loopback.bind().unwrap();
    let (table, issuer) = stage.moved_to(&bound.url);
    (bound.serve)(axum::Router::new()); // answers 404 to everything
    let token = stage.token(|claims| claims["iss"] = json!(issuer));

    let refusal = refused(stage.judge(&S::attestor(&table), &token).await);

    assert_eq!(refusal.code(), "issuer.unavailable", "{refusal}");
}

pub(in crate::attest) async fn an_address_that_is_not_listed_is_never_asked<S: Forgeable>() {
    let stage = S::start();
    let table = stage.table().replace("127.0.0.0/8", "10.0.0.0/8");

    let refusal = refused(stage.judge(&S::attestor(&table), &stage.token(|_| {})).await);

    assert_eq!(refusal.code(), "issuer.unavailable");
}

fn encoded(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn payload(token: &str) -> String {
    token.split('.').nth(1).unwrap().to_owned()
}
