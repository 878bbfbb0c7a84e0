//! T-26: a token that is wrong in exactly one point is refused for that point.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;

fn parts(token: &Secret) -> Vec<String> {
    token.expose().split('.').map(str::to_owned).collect()
}

fn encoded(value: &serde_json::Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn t_26_each_check_refuses_for_its_own_reason() {
    let stage = Stage::github("").await;
    let before = |seconds_ago| crate::clock::unix_seconds(now() - seconds(seconds_ago));
    let after = |ahead| crate::clock::unix_seconds(now() + seconds(ahead));
    let other = Ci::new(stage.ci.issuer())
        .unwrap()
        .with_kid(stage.ci.jwks()["keys"][0]["kid"].as_str().unwrap());
    let rows = [
        (
            "sig",
            fresh().signed_by(&other),
            "attest.evidence_unverifiable",
            "not the RS256 signature",
        ),
        (
            "alg",
            fresh().with_header("alg", "PS256").signed_by(&stage.ci),
            "attest.evidence_unverifiable",
            "signed with PS256, expected one of: RS256",
        ),
        (
            "kid",
            fresh().with_header("kid", "another").signed_by(&stage.ci),
            "attest.evidence_unverifiable",
            "names key `another`",
        ),
        (
            "typ",
            fresh().with_header("typ", "at+jwt").signed_by(&stage.ci),
            "attest.claim_invalid",
            "`typ` is `at+jwt`",
        ),
        (
            "aud",
            fresh().for_audience("https://other").signed_by(&stage.ci),
            "attest.audience_mismatch",
            "`https://other`",
        ),
        (
            "exp",
            fresh()
                .issued_at(now() - seconds(300))
                .with("exp", before(60))
                .signed_by(&stage.ci),
            "attest.evidence_expired",
            "expired",
        ),
        (
            "nbf",
            fresh().with("nbf", after(60)).signed_by(&stage.ci),
            "attest.evidence_not_yet_valid",
            "only in",
        ),
        (
            "iat",
            fresh().with("iat", after(60)).signed_by(&stage.ci),
            "attest.evidence_not_yet_valid",
            "only in",
        ),
        (
            "sub",
            fresh().without("sub").signed_by(&stage.ci),
            "attest.claim_invalid",
            "`sub` is missing",
        ),
        (
            "jti",
            fresh().without("jti").signed_by(&stage.ci),
            "attest.claim_invalid",
            "`jti` is missing",
        ),
    ];
    for (check, token, code, text) in rows {
        let refusal = refused(stage.judge_token(token.unwrap(), Possession::Bearer, now()).await);

        assert_eq!(refusal.code(), code, "{check}: {refusal}");
        assert!(refusal.to_string().contains(text), "{check}: {refusal}");
    }
    let foreign = fresh()
        .with("iss", "https://other.example")
        .signed_by(&stage.ci)
        .unwrap();
    let verdict = stage.judge_token(foreign, Possession::Bearer, now()).await;
    assert!(matches!(verdict, Verdict::NotMine), "iss: {verdict:?}");
    stage.attested(fresh()).await;
}

#[tokio::test]
async fn t_26_reads_no_claim_before_the_signature() {
    let stage = Stage::github("").await;
    let forger = Ci::new(stage.ci.issuer())
        .unwrap()
        .with_kid(stage.ci.jwks()["keys"][0]["kid"].as_str().unwrap());
    let wrong_everywhere = fresh()
        .for_audience("https://other")
        .issued_at(now() - seconds(100_000))
        .with("repository_owner_id", "66")
        .with("event_name", "pull_request");

    let refusal = refused(
        stage
            .judge_token(wrong_everywhere.signed_by(&forger).unwrap(), dpop(), now())
            .await,
    );

    assert_eq!(refusal.code(), "attest.evidence_unverifiable");
}

#[tokio::test]
async fn t_21_refuses_hs256_with_the_issuers_public_key_as_secret() {
    let stage = Stage::github("").await;
    let jwk = stage.ci.jwks()["keys"][0].clone();
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let good = parts(&fresh().signed_by(&stage.ci).unwrap());
    for secret in [
        modulus,
        jwk.to_string().into_bytes(),
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
    ] {
        for algorithm in ["HS256", "HS384", "HS512", "hs256"] {
            let header = encoded(&json!({ "alg": algorithm, "kid": jwk["kid"], "typ": "JWT" }));
            let input = format!("{header}.{}", good[1]);
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
            let token = Secret::new(format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref())));

            let verdict = stage.judge_token(token, Possession::Bearer, now()).await;

            assert!(matches!(verdict, Verdict::NotMine), "{algorithm}: {verdict:?}");
        }
    }
}

#[tokio::test]
async fn jwt_bcp_1_es512_is_not_of_the_list_and_a_key_for_it_disturbs_no_other() {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    let stage = Stage::github("").await;
    let key = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
    let (x, y) = key.public_key().as_ref()[1..].split_at(66);
    let coordinate = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let mut jwks = stage.ci.jwks();
    jwks["keys"].as_array_mut().unwrap().push(json!({
        "kty": "EC", "crv": "P-521", "alg": "ES512", "use": "sig", "kid": "p521", "x": coordinate(x), "y": coordinate(y),
    }));
    stage.site.answer(JWKS, Answer::json(&jwks));
    let good = parts(&fresh().signed_by(&stage.ci).unwrap());
    let header = encoded(&json!({ "alg": "ES512", "kid": "p521", "typ": "JWT" }));
    let input = format!("{header}.{}", good[1]);
    let signature = key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
    let genuine = Secret::new(format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)));

    let verdict = stage.judge_token(genuine, Possession::Bearer, now()).await;

    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
    stage.attested(fresh()).await;
}

#[tokio::test]
async fn t_54_refuses_unsigned_tokens_and_headers_that_bring_keys() {
    let stage = Stage::github("").await;
    let kid = stage.ci.jwks()["keys"][0]["kid"].clone();
    let good = parts(&fresh().signed_by(&stage.ci).unwrap());
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let header = encoded(&json!({ "alg": algorithm, "kid": kid, "typ": "JWT" }));
        for signature in ["", good[2].as_str()] {
            let token = Secret::new(format!("{header}.{}.{signature}", good[1]));
            let verdict = stage.judge_token(token, Possession::Bearer, now()).await;
            assert!(matches!(verdict, Verdict::NotMine), "{algorithm}: {verdict:?}");
        }
    }
    let asked = stage.resolver.asked();
    for (member, value) in [
        ("jku", json!(format!("{}{JWKS}", stage.site.url))),
        ("x5u", json!(stage.site.url)),
        ("jwk", stage.ci.jwks()["keys"][0].clone()),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        let verdict = stage.judge(fresh().with_header(member, value)).await;
        assert!(matches!(verdict, Verdict::NotMine), "{member}: {verdict:?}");
    }
    assert_eq!(stage.resolver.asked(), asked);
}

#[tokio::test]
async fn t_54_a_hostile_key_id_only_fails_to_be_found() {
    let stage = Stage::github("").await;
    for kid in [
        "../../../etc/passwd",
        "' OR 1=1 --",
        "https://evil.example/jwks",
        "${jndi:ldap://evil}",
        "*",
        "%00",
    ] {
        let refusal = stage.refused(fresh().with_header("kid", kid)).await;

        assert_eq!(refusal.code(), "attest.evidence_unverifiable", "{kid}");
    }
    assert_eq!(stage.site.requests(JWKS), 1);
}

#[tokio::test]
async fn t_29_refuses_a_token_of_one_issuer_signed_by_anothers_key_of_the_same_id() {
    let ours = Stage::github("").await;
    let theirs = Stage::github("").await;
    let kid = ours.ci.jwks()["keys"][0]["kid"].as_str().unwrap().to_owned();
    let stranger = Ci::new(&theirs.site.url).unwrap().with_kid(&kid);
    theirs.site.answer(JWKS, Answer::json(&stranger.jwks()));
    attested(
        theirs
            .judge_token(fresh().signed_by(&stranger).unwrap(), Possession::Bearer, now())
            .await,
    );
    ours.attested(fresh()).await;

    let crossed = fresh()
        .with("iss", ours.site.url.as_str())
        .signed_by(&stranger)
        .unwrap();

    let refusal = refused(ours.judge_token(crossed.clone(), Possession::Bearer, now()).await);
    assert_eq!(refusal.code(), "attest.evidence_unverifiable");
    let verdict = theirs.judge_token(crossed, Possession::Bearer, now()).await;
    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

#[tokio::test]
async fn t_14_takes_16_kib_and_refuses_one_byte_more() {
    let stage = Stage::github("").await;
    let padded = |header: usize, bytes: usize| {
        let job = fresh()
            .with_header("padding", "h".repeat(header))
            .with("padding", "p".repeat(bytes));
        job.signed_by(&stage.ci).unwrap()
    };
    // Base64 grows by 4 characters for 3 bytes, so a few lengths about the computed one are tried.
    let missing = 16_384 - padded(0, 0).expose().len();
    let tried = (0..4).flat_map(|header| (0..12).map(move |less| (header, missing * 3 / 4 - less)));
    let exact = tried
        .map(|(header, bytes)| padded(header, bytes))
        .find(|token| token.expose().len() == 16_384);

    attested(stage.judge_token(exact.unwrap(), Possession::Bearer, now()).await);

    let over = Secret::new("a".repeat(16_385));
    let refusal = refused(stage.judge_token(over, Possession::Bearer, now()).await);
    assert!(
        matches!(refusal, AttestRefusal::Oversized { found_bytes: 16_385 }),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn t_15_ten_million_dots_cost_nothing() {
    let stage = Stage::github("").await;
    let begun = std::time::Instant::now();

    for length in [3, 16_384, 1 << 20, 10_000_000] {
        let verdict = stage
            .judge_token(Secret::new(".".repeat(length)), Possession::Bearer, now())
            .await;
        assert!(
            matches!(verdict, Verdict::NotMine | Verdict::Refused(_)),
            "{length}: {verdict:?}"
        );
    }

    assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
    assert_eq!(stage.resolver.asked(), 0);
}

#[tokio::test]
async fn t_51_t_52_takes_compact_jws_only() {
    let stage = Stage::github("").await;
    let good = parts(&fresh().signed_by(&stage.ci).unwrap());
    let json = json!({ "payload": good[1], "protected": good[0], "signature": good[2] }).to_string();
    for token in [
        json,
        format!("{}.{}", good[0], good[1]),
        format!("{}.{}.{}.x.y", good[0], good[1], good[2]),
        format!("{}.{}.{}.", good[0], good[1], good[2]),
        format!("{}.{}.{}=", good[0], good[1], good[2]),
        format!(" {}.{}.{}", good[0], good[1], good[2]),
        format!("{}.{}.{}\n", good[0], good[1], good[2]),
        format!("Bearer {}.{}.{}", good[0], good[1], good[2]),
    ] {
        let verdict = stage.judge_token(Secret::new(token), Possession::Bearer, now()).await;
        assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
    }
}

#[tokio::test]
async fn t_20_refuses_a_claim_that_stands_twice() {
    let stage = Stage::github("").await;
    let good = fresh().signed_by(&stage.ci).unwrap();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(&parts(&good)[1]).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    let twice = payload.replacen('{', "{\"repository_id\":\"1\",", 1);
    let token = format!(
        "{}.{}.{}",
        parts(&good)[0],
        BASE64_URL_SAFE_NO_PAD.encode(twice),
        parts(&good)[2]
    );

    let verdict = stage.judge_token(Secret::new(token), Possession::Bearer, now()).await;

    assert!(matches!(verdict, Verdict::NotMine), "{verdict:?}");
}

#[tokio::test]
async fn evidence_of_another_kind_is_not_ours() {
    let stage = Stage::github("").await;
    let token = || fresh().signed_by(&stage.ci).unwrap();

    let ours = Evidence::new(token(), Some("oidc".to_owned()), Possession::Bearer);
    let other = Evidence::new(token(), Some("aws_iam".to_owned()), Possession::Bearer);

    assert!(matches!(stage.attestor.judge(&ours, now()).await, Verdict::Attested(_)));
    assert!(matches!(stage.attestor.judge(&other, now()).await, Verdict::NotMine));
}
