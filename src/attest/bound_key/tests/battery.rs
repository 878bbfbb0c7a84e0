//! The battery that every kind of attestor passes: each way in which evidence can be forged, broken or late.

use aws_lc_rs::hmac;

use super::*;

fn part(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn t_26_reads_no_claim_before_the_signature() {
    let stage = Stage::new();
    let mine = stage.registered().await;
    let forged = stage.changed(&key(), |claims| claims["exp"] = json!(1));
    let payload = forged.split('.').nth(1).unwrap();
    let header = part(&json!({ "alg": "ES256", "kid": mine.thumbprint().to_string(), "typ": evidence::TYP }));
    let signature = forged.rsplit('.').next().unwrap();

    let refusal = stage.refusal(&format!("{header}.{payload}.{signature}")).await;

    assert_eq!(refusal.code(), "attest.evidence_unverifiable");
    assert!(!refusal.is_proven());
}

#[tokio::test]
async fn t_21_t_54_neither_none_nor_an_hmac_with_the_public_key_is_a_signature() {
    let stage = Stage::new();
    let mine = stage.registered().await;
    let payload = part(&Value::Object(stage.claims()));
    for algorithm in ["none", "HS256", "HS512"] {
        let header = json!({ "alg": algorithm, "kid": mine.thumbprint().to_string(), "typ": evidence::TYP });
        let input = format!("{}.{payload}", part(&header));
        let secret = serde_json::to_vec(&jwk(&mine)).unwrap();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
        for signature in [String::new(), BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref())] {
            let verdict = stage.judge(&format!("{input}.{signature}")).await;
            assert!(matches!(verdict, Verdict::NotMine), "{algorithm}: {verdict:?}");
        }
    }
}

#[tokio::test]
async fn an_unknown_key_and_a_key_that_a_header_brings_are_refused() {
    let stage = Stage::new();
    stage.registered().await;
    let stranger = key();

    let unknown = stage.refusal(&stage.evidence(&stranger)).await;
    let header = part(&json!({ "alg": "ES256", "jwk": jwk(&stranger), "typ": evidence::TYP }));
    let brought = stage
        .judge(&format!("{header}.{}.AAAA", part(&Value::Object(stage.claims()))))
        .await;

    assert_eq!(unknown.code(), "attest.evidence_unverifiable");
    assert!(matches!(brought, Verdict::NotMine), "{brought:?}");
}

#[tokio::test]
async fn what_is_no_evidence_of_a_machine_is_another_attestors() {
    let stage = Stage::new();
    let mine = stage.registered().await;
    let good = stage.evidence(&mine);
    let plain = {
        let header = part(&json!({ "alg": "ES256", "kid": mine.thumbprint().to_string(), "typ": "JWT" }));
        format!("{header}.{}", good.split_once('.').unwrap().1)
    };
    for text in [
        String::new(),
        "a.b.c".to_owned(),
        format!("{good}."),
        format!(" {good}"),
        plain,
        stage.changed(&mine, |claims| claims["iss"] = json!("urn:cambio:bound-key:depot")),
        stage.changed(&mine, |claims| drop(claims.remove("iss"))),
        stage.join_token().await.token_unverified().expose().to_owned(),
    ] {
        let verdict = stage.judge(&text).await;
        assert!(matches!(verdict, Verdict::NotMine), "{text:.60}: {verdict:?}");
    }
    let of_another_kind = Evidence::new(Secret::new(good), Some("oidc".to_owned()), Possession::Bearer);
    let verdict = stage.attestor.judge(&of_another_kind, stage.clock.now()).await;
    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

#[tokio::test]
async fn each_claim_must_say_what_it_should() {
    let stage = Stage::new();
    let mine = stage.registered().await;
    let now = unix_seconds(stage.clock.now());
    attested(stage.judge(&stage.changed(&mine, |_| {})).await);
    let rows: [(&str, Value, &str); 10] = [
        ("aud", json!("https://other.example"), "attest.audience_mismatch"),
        (
            "aud",
            json!([AUDIENCE, "https://other.example"]),
            "attest.audience_mismatch",
        ),
        ("aud", Value::Null, "attest.claim_invalid"),
        ("exp", json!(now + 301), "attest.claim_invalid"),
        ("exp", json!(now - 30), "attest.evidence_expired"),
        ("exp", Value::Null, "attest.claim_invalid"),
        ("iat", json!(now + 31), "attest.evidence_not_yet_valid"),
        ("iat", Value::Null, "attest.claim_invalid"),
        ("jti", Value::Null, "attest.claim_invalid"),
        ("jti", json!("a".repeat(256)), "attest.claim_invalid"),
    ];
    for (claim, value, code) in rows {
        let text = stage.changed(&mine, |claims| {
            if value.is_null() {
                claims.remove(claim);
            } else {
                claims.insert(claim.to_owned(), value.clone());
            }
        });
        let refusal = stage.refusal(&text).await;
        assert_eq!(refusal.code(), code, "{claim} {value}: {refusal}");
        assert!(refusal.is_proven());
    }
}

#[tokio::test]
async fn evidence_counts_until_30_s_after_its_end() {
    let stage = Stage::new();
    let mine = stage.registered().await;
    let text = stage.changed(&mine, |_| {});

    stage.clock.advance(Duration::from_secs(329));
    attested(stage.judge(&text).await);
    stage.clock.advance(Duration::from_secs(1));

    assert_eq!(stage.refusal(&text).await.code(), "attest.evidence_expired");
}

#[tokio::test]
async fn t_39_a_kid_has_one_form() {
    let stage = Stage::new();
    let mine = stage.registered().await;
    let good = stage.evidence(&mine);
    let kid = mine.thumbprint().to_string();
    for other in [
        format!("{kid}="),
        format!(" {kid}"),
        kid.to_uppercase(),
        "A".repeat(44),
        String::from("AA"),
    ] {
        let header = part(&json!({ "alg": "ES256", "kid": other, "typ": evidence::TYP }));
        let text = format!("{header}.{}", good.split_once('.').unwrap().1);
        assert_eq!(
            stage.refusal(&text).await.code(),
            "attest.evidence_unverifiable",
            "{other}"
        );
    }
}

#[tokio::test]
async fn t_14_takes_16_kib_and_refuses_one_byte_more() {
    let stage = Stage::new();

    let fits = stage.judge(&"a".repeat(16_384)).await;
    let over = stage.refusal(&"a".repeat(16_385)).await;

    assert!(matches!(fits, Verdict::NotMine), "{fits:?}");
    assert_eq!(over.code(), "attest.evidence_oversized");
}

#[tokio::test]
async fn without_the_store_nobody_is_attested() {
    let memory = ForgetfulStore::new();
    let stage = Stage::with("plant", "labels = [\"role\"]", Arc::clone(&memory) as Arc<dyn Store>);
    let mine = stage.registered().await;
    drop(memory.crash());

    let refusal = stage.refusal(&stage.evidence(&mine)).await;

    assert_eq!(refusal.code(), "store.unavailable");
}

#[tokio::test]
async fn a_row_that_nobody_wrote_attests_nobody() {
    let stage = Stage::new();
    for (jwk, machine) in [
        ("{}", "press-7"),
        ("", "press-7"),
        ("other", "press-7"),
        ("own", "press 7"),
    ] {
        let mine = key();
        let own = new(&mine).jwk().to_owned();
        let jwk = match jwk {
            "own" => own,
            "other" => new(&key()).jwk().to_owned(),
            text => text.to_owned(),
        };
        let token = stage.join_token().await;
        let kept = stage.attestor.register(&token, &new(&mine), stage.clock.now()).await;
        let mut kept = kept.unwrap().unwrap();
        let row = BoundKeyRow {
            jwk,
            machine: machine.to_owned(),
            ..kept.row.clone()
        };
        kept.ledger.keeps = Some(Arc::new(crate::store::BoundKeyChange::Register(Box::new(row))));
        assert_eq!(stage.commit(&kept).await, LedgerVerdict::First);

        let refusal = stage.refusal(&stage.evidence(&mine)).await;

        assert_eq!(refusal.code(), "attest.evidence_unverifiable", "{machine}: {refusal}");
    }
}
