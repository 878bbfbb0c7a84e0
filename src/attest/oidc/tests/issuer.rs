//! When an issuer is asked for its keys, and what happens while it is silent, broken or hostile.

use serde_json::json;

use super::*;

async fn judge_kid(stage: &Stage, kid: &str, now: SystemTime) -> AttestRefusal {
    refused(
        stage
            .judge_with(fresh().issued_at(now).with_header("kid", kid), Possession::Bearer, now)
            .await,
    )
}

#[tokio::test]
async fn t_13_t_16_hostile_issuers_cause_no_connection() {
    let stage = Stage::github("").await;
    let host = stage.site.url.strip_prefix("https://").unwrap().to_owned();
    for issuer in [
        String::new(),
        format!("{}/", stage.site.url),
        format!("{}.evil.example", stage.site.url),
        format!("{}.", stage.site.url),
        format!("{}#", stage.site.url),
        format!("{}?", stage.site.url),
        format!("{}//", stage.site.url),
        format!("{}/~~", stage.site.url),
        format!(" {}", stage.site.url),
        format!("{}\n", stage.site.url),
        format!("{}\u{0}", stage.site.url),
        format!("http://{host}"),
        format!("HTTPS://{host}"),
        format!("https://{}", host.to_uppercase()),
        format!("https://evil.example/?{}", stage.site.url),
        format!("https://{host}@evil.example"),
        format!("https://evil.example\\@{host}"),
        format!("https://user:pass@{host}"),
        format!("//{host}"),
        host.clone(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://127.0.0.1:22".to_owned(),
        "https://[::1]".to_owned(),
        "https://îssuer.test".to_owned(),
        "https://issuer%2etest".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1:25/_HELO".to_owned(),
        "javascript:alert(1)".to_owned(),
        "{issuer}".to_owned(),
        "*".to_owned(),
        "i".repeat(8_000),
    ] {
        let verdict = stage.judge(fresh().with("iss", issuer.as_str())).await;

        assert!(matches!(verdict, Verdict::NotMine), "{issuer:?}: {verdict:?}");
    }
    for issuer in [
        json!(7),
        json!([stage.site.url]),
        json!({ "iss": stage.site.url }),
        json!(null),
    ] {
        let verdict = stage.judge(fresh().with("iss", issuer.clone())).await;
        assert!(matches!(verdict, Verdict::NotMine), "{issuer}: {verdict:?}");
    }
    assert_eq!(stage.resolver.asked(), 0);
    assert_eq!(stage.site.connections(), 0);
}

#[tokio::test]
async fn t_13_refusals_show_hostile_text_escaped_and_short() {
    let stage = Stage::github("events = [\"x\"]").await;
    let hostile = format!("evil\r\n{{\"admin\":true}}\u{1b}[31m\u{202e}{}", "A".repeat(2_000));
    for job in [
        fresh().for_audience(&hostile),
        fresh().with("sub", format!("repo:{hostile}")),
        fresh()
            .with("repository_owner_id", "66")
            .with("repository_owner", hostile.as_str()),
        fresh().with("event_name", hostile.as_str()),
        fresh().with_header("typ", hostile.as_str()),
        fresh().with("repository_id", hostile.as_str()),
        fresh().with("environment", hostile.as_str()),
    ] {
        let refusal = stage.refused(job).await;

        let shown = refusal.to_string();
        assert!(!shown.contains(['\r', '\n', '\u{1b}', '\u{202e}']), "{shown}");
        assert!(shown.len() < 1_024, "{} bytes: {shown}", shown.len());
    }
}

#[tokio::test]
async fn t_10_no_refusal_shows_the_token() {
    let stage = Stage::github("").await;
    let token = fresh().for_audience("https://other").signed_by(&stage.ci).unwrap();
    let signature = token.expose().rsplit_once('.').unwrap().1.to_owned();

    let refusal = refused(stage.judge_token(token, Possession::Bearer, now()).await);

    assert!(!format!("{refusal:?} {refusal}").contains(&signature));
}

#[tokio::test]
async fn t_56_a_hundred_thousand_unknown_key_ids_cause_one_fetch_in_30_s() {
    let stage = Stage::github("").await;
    stage.attested(fresh()).await;
    let mut asked = stage.site.requests(JWKS);
    assert_eq!(asked, 1);
    let keys = stage.fetched();

    for window in 0..2 {
        let moment = now() + seconds(31 * (window + 1));
        for round in 0..50_000_u32 {
            let kid = format!("{window}-{round}");
            let found = keys.find(Some(&kid), crate::jose::Algorithm::Rs256, moment).await;
            assert!(matches!(found, Err(AttestRefusal::Unverifiable { .. })));
        }
        asked += 1;
        assert_eq!(stage.site.requests(JWKS), asked, "window {window}");
        attested(
            stage
                .judge_with(fresh().issued_at(moment), Possession::Bearer, moment)
                .await,
        );
    }
    assert!(stage.fetched().unknown_remembered() <= 128);
}

#[tokio::test]
async fn t_56_the_pause_also_follows_an_empty_set_and_a_failure() {
    for answer in [
        Answer::Body(b"{\"keys\":[]}".to_vec()),
        Answer::head("500 Oops", "", ""),
        Answer::Body(b"{".to_vec()),
    ] {
        let stage = Stage::github("").await;
        stage.site.answer(JWKS, answer.clone());

        for round in 0..100 {
            let refusal = judge_kid(&stage, &format!("kid-{round}"), now()).await;
            assert_eq!(refusal.code(), "issuer.unavailable", "{answer:?}");
        }
        assert_eq!(stage.site.requests(JWKS), 1, "{answer:?}");

        stage.site.answer(JWKS, Answer::json(&stage.ci.jwks()));
        let early = stage.judge_with(fresh(), Possession::Bearer, now() + seconds(29)).await;
        assert!(
            matches!(early, Verdict::Refused(AttestRefusal::IssuerUnavailable { .. })),
            "{early:?}"
        );
        attested(stage.judge_with(fresh(), Possession::Bearer, now() + seconds(30)).await);
        assert_eq!(stage.site.requests(JWKS), 2, "{answer:?}");
    }
}

#[tokio::test]
async fn t_57_an_empty_set_never_replaces_good_keys() {
    let stage = Stage::github("").await;
    stage.attested(fresh()).await;
    stage.site.answer(JWKS, Answer::Body(b"{\"keys\":[]}".to_vec()));

    let later = now() + seconds(60);
    assert_eq!(
        judge_kid(&stage, "unknown", later).await.code(),
        "attest.evidence_unverifiable"
    );

    assert_eq!(stage.site.requests(JWKS), 2);
    attested(
        stage
            .judge_with(fresh().issued_at(later), Possession::Bearer, later)
            .await,
    );
}

#[tokio::test]
async fn an_unknown_key_id_is_not_asked_for_again_within_300_s() {
    let stage = Stage::github("").await;
    stage.attested(fresh()).await;
    let asked_after = |moment: u64| {
        let stage = &stage;
        async move {
            judge_kid(stage, "unknown", now() + seconds(moment)).await;
            stage.site.requests(JWKS)
        }
    };

    assert_eq!(asked_after(40).await, 2);
    assert_eq!(asked_after(80).await, 2);
    assert_eq!(asked_after(339).await, 2);
    assert_eq!(asked_after(340).await, 3);
}

#[tokio::test]
async fn a_new_key_is_found_once_the_issuer_publishes_it() {
    let stage = Stage::github("").await;
    stage.attested(fresh()).await;
    let rotated = Ci::new(&stage.site.url).unwrap();
    stage.site.answer(JWKS, Answer::json(&rotated.jwks()));
    let later = now() + seconds(31);

    let token = fresh().issued_at(later).signed_by(&rotated).unwrap();

    attested(stage.judge_token(token, Possession::Bearer, later).await);
    let withdrawn = stage
        .judge_with(fresh().issued_at(later), Possession::Bearer, later)
        .await;
    assert_eq!(refused(withdrawn).code(), "attest.evidence_unverifiable");
}

#[tokio::test]
async fn a_hundred_cold_requests_make_one_fetch() {
    let stage = Arc::new(Stage::github("").await);
    let mut tasks = tokio::task::JoinSet::new();
    for round in 0..100 {
        let stage = Arc::clone(&stage);
        tasks.spawn(async move {
            stage.attested(fresh().with("jti", format!("job-{round}"))).await;
        });
    }

    let finished = tasks.join_all().await;

    assert_eq!(finished.len(), 100);
    assert_eq!(stage.site.requests(JWKS), 1);
    assert_eq!(stage.site.requests(DISCOVERY), 1);
}

#[tokio::test]
async fn tm_13_serves_the_last_good_keys_for_24_h_and_then_no_more() {
    let stage = Stage::github("").await;
    stage.attested(fresh()).await;
    stage.site.answer(DISCOVERY, Answer::head("503 Down", "", ""));
    let judged_after = |age: u64| {
        let moment = now() + seconds(age);
        stage.judge_with(fresh().issued_at(moment), Possession::Bearer, moment)
    };

    attested(judged_after(86_400).await);

    let refusal = refused(judged_after(86_401 + 30).await);
    assert_eq!(refusal.code(), "issuer.unavailable");
}

#[tokio::test]
async fn old_keys_are_refreshed_behind_the_callers_back() {
    let stage = Stage::github("").await;
    let jwks = stage.ci.jwks().to_string();
    stage
        .site
        .answer(JWKS, Answer::head("200 OK", "cache-control: max-age=1\r\n", &jwks));
    stage.attested(fresh()).await;
    let soon = now() + seconds(299);
    attested(
        stage
            .judge_with(fresh().issued_at(soon), Possession::Bearer, soon)
            .await,
    );
    assert_eq!(stage.site.requests(JWKS), 1, "max-age counts as at least 5 minutes");

    let later = now() + seconds(300);
    attested(
        stage
            .judge_with(fresh().issued_at(later), Possession::Bearer, later)
            .await,
    );

    for _ in 0..100 {
        if stage.site.requests(JWKS) == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("found {} fetches, expected 2", stage.site.requests(JWKS));
}

#[tokio::test]
async fn t_17_refuses_a_key_set_on_another_host_unless_it_is_configured() {
    let stage = Stage::github("").await;
    let elsewhere = Site::start().await;
    elsewhere.answer("/keys", Answer::json(&stage.ci.jwks()));
    let mut discovery = stage.ci.discovery();
    discovery["jwks_uri"] = json!(format!("{}/keys", elsewhere.url));
    stage.site.answer(DISCOVERY, Answer::json(&discovery));

    let refusal = stage.refused(fresh()).await;

    assert_eq!(refusal.code(), "issuer.unavailable");
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn t_17_refuses_a_discovery_document_that_redirects() {
    for status in [301, 302, 303, 307, 308] {
        let stage = Stage::github("").await;
        let elsewhere = Site::start().await;
        let head = format!("location: {}{DISCOVERY}\r\n", elsewhere.url);
        stage
            .site
            .answer(DISCOVERY, Answer::head(&format!("{status} Away"), &head, ""));

        assert_eq!(stage.refused(fresh()).await.code(), "issuer.unavailable", "{status}");
        assert_eq!(elsewhere.connections(), 0, "{status}");
    }
}

#[tokio::test]
async fn t_57_refuses_a_discovery_document_of_another_issuer() {
    let stage = Stage::github("").await;
    let mut discovery = stage.ci.discovery();
    discovery["issuer"] = json!("https://token.actions.githubusercontent.com");
    stage.site.answer(DISCOVERY, Answer::json(&discovery));

    assert_eq!(stage.refused(fresh()).await.code(), "issuer.unavailable");
    assert_eq!(stage.site.requests(JWKS), 0);
}

#[tokio::test]
async fn tm_12_refuses_key_sets_with_symmetric_keys_or_two_of_one_id() {
    let key = |stage: &Stage| stage.ci.jwks()["keys"][0].clone();
    for poison in ["symmetric", "duplicate", "too many"] {
        let stage = Stage::github("").await;
        let keys = match poison {
            "symmetric" => vec![key(&stage), json!({ "kty": "oct", "kid": "s", "k": "c2VjcmV0" })],
            "duplicate" => vec![key(&stage), key(&stage)],
            _ => (0..101)
                .map(|number| {
                    let mut key = key(&stage);
                    key["kid"] = json!(format!("key-{number}"));
                    key
                })
                .collect(),
        };
        stage.site.answer(JWKS, Answer::json(&json!({ "keys": keys })));

        assert_eq!(stage.refused(fresh()).await.code(), "issuer.unavailable", "{poison}");
    }
}

#[tokio::test]
async fn fetches_a_configured_key_set_without_discovery() {
    let stage = Stage::github("").await;
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), &stage.site.ca_pem).unwrap();
    let table = format!(
        "preset = \"github_actions\"\nissuer = \"https://ci.elsewhere.example\"\njwks_uri = \"{}{JWKS}\"\n\
         owners = [{{ name = \"octo-org\", id = \"65\" }}]\nca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]",
        stage.site.url,
        ca.path().display()
    );
    let attestor = OidcAttestor::configure(context(&stage.resolver), table.parse().unwrap()).unwrap();
    let token = fresh()
        .with("iss", "https://ci.elsewhere.example")
        .signed_by(&stage.ci)
        .unwrap();

    attested(
        attestor
            .judge(&Evidence::new(token, None, Possession::Bearer), now())
            .await,
    );

    assert_eq!(stage.site.requests(DISCOVERY), 0);
}

#[tokio::test]
async fn verifies_es256_where_the_preset_has_it_and_refuses_it_for_github() {
    let generic = Stage::of("generic", "").await;
    let github = Stage::github("").await;
    for (stage, taken) in [(&generic, true), (&github, false)] {
        let ci = Ci::with_key(&stage.site.url, es256_key());
        stage.site.answer(JWKS, Answer::json(&ci.jwks()));

        let verdict = stage
            .judge_token(fresh().signed_by(&ci).unwrap(), Possession::Bearer, now())
            .await;

        assert_eq!(matches!(verdict, Verdict::Attested(_)), taken, "{verdict:?}");
    }
}
