//! Every path of every listener: what it takes, and that it takes nothing else.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use cambio::http::router::EXCHANGE_ROUTES;
use serde_json::{Value, json};

use crate::world::{ACCESS_TOKEN, Answer, CHALLENGE, EXCHANGE, GRANT_TYPE, JWT, SVID_X509, TOKEN, WHOAMI, World};

/// The metadata listener's paths.
const METADATA: [&str; 4] = [
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/spiffe/bundle.json",
];

/// The admin socket's paths with the methods that they take.
const ADMIN: [(&str, &[&str]); 18] = [
    ("/health", &["GET"]),
    ("/metrics", &["GET"]),
    ("/ready", &["GET"]),
    ("/v1/audit", &["GET"]),
    ("/v1/bundle", &["GET"]),
    ("/v1/clock/confirm", &["POST"]),
    ("/v1/join-tokens", &["GET", "POST"]),
    ("/v1/join-tokens/{id}", &["DELETE"]),
    ("/v1/keys", &["GET"]),
    ("/v1/keys/chain", &["POST"]),
    ("/v1/keys/csr", &["POST"]),
    ("/v1/keys/revoke", &["POST"]),
    ("/v1/keys/rotate", &["POST"]),
    ("/v1/locks", &["GET", "POST"]),
    ("/v1/locks/{id}", &["DELETE"]),
    ("/v1/machines", &["GET"]),
    ("/v1/machines/{id}", &["DELETE"]),
    ("/v1/revocations", &["GET", "POST"]),
];

/// The exchange listener's paths, each with what it answers a good request.
const EXCHANGE_ROWS: [(&str, &str); 7] = [
    ("POST", "/v1/bound-keys"),
    ("POST", CHALLENGE),
    ("POST", EXCHANGE),
    ("POST", SVID_X509),
    ("POST", TOKEN),
    ("POST", WHOAMI),
    ("GET", "/openapi.json"),
];

#[test]
fn t_31_every_route_of_the_source_has_a_row_here() {
    let named = |file: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http").join(file)).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
        text.match_indices(".route(")
            .map(|(at, found)| text.split_at(at + found.len()).1.trim_start().to_owned())
            .map(|rest| {
                let rest = rest.trim_start_matches("&format!(").trim_start();
                rest.trim_start_matches('"')
                    .split(['"', ','])
                    .next()
                    .unwrap()
                    .replace("{path}", "")
            })
            .collect()
    };

    // The last is a list of revoked certificates, which tests of its own walk.
    let lists = "/.well-known/crl/{{file}}";
    let metadata: BTreeSet<String> = METADATA.into_iter().chain([lists]).map(str::to_owned).collect();
    assert_eq!(named("routes/metadata.rs"), metadata);
    let admin: BTreeSet<String> = ADMIN.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(named("routes/admin.rs"), admin);
    let exchange = [
        "/openapi.json",
        "bound_keys::PATH",
        "challenge::PATH",
        "exchange::PATH",
        "svid_x509::PATH",
        "token::PATH",
        "whoami::PATH",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(named("router.rs"), exchange);
    let rows: BTreeSet<_> = EXCHANGE_ROWS.into_iter().collect();
    assert_eq!(rows, EXCHANGE_ROUTES.into_iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn t_31_t_40e_every_endpoint_gives_nothing_to_a_caller_without_evidence() {
    let world = World::start().await;

    for (method, path) in EXCHANGE_ROUTES {
        let url = format!("{}{path}", world.development.exchange_url);
        let answer = world.send(world.client.request(method.parse().unwrap(), url)).await;

        // A challenge is no credential: it must be had before there is evidence.
        let open = [CHALLENGE, "/openapi.json"].contains(&path);
        assert_eq!(answer.status, if open { 200 } else { 400 }, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_answers_a_good_request() {
    let world = World::start().await;

    let exchanged = world
        .exchange(&world.good(), &["aws-dev", "azure-dev", "gcp-dev"])
        .await;
    assert_eq!(exchanged.status, 200, "{}", exchanged.text);
    assert_eq!(exchanged.header("cache-control"), "no-store");
    assert_eq!(exchanged.text_at("/spiffe_id"), crate::world::WORKLOAD);
    assert_eq!(exchanged.json()["refusals"], json!({}));
    assert_eq!(exchanged.json()["credentials"]["aws-dev"]["Version"], 1);
    for party in ["azure-dev", "gcp-dev"] {
        assert_eq!(
            exchanged.json()["credentials"][party]["token_type"],
            "Bearer",
            "{party}"
        );
    }
    let token = world.token(&world.good(), "gcp-dev", None).await;
    assert_eq!(token.status, 200, "{}", token.text);
    let challenge = world.post(CHALLENGE, "application/json", "", &[]).await;
    assert_eq!(challenge.status, 200, "{}", challenge.text);
    assert_eq!(challenge.header("cache-control"), "no-store");
    let url = format!("{}/openapi.json", world.development.exchange_url);
    let openapi = world.send(world.client.get(url)).await;
    for (_, path) in EXCHANGE_ROUTES {
        assert!(
            openapi.json()["paths"].get(path).is_some(),
            "{path} is not in the OpenAPI document"
        );
    }
    for path in METADATA {
        assert_eq!(world.metadata(path).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_44_each_challenge_is_another_and_stands_for_a_minute() {
    let world = World::start().await;

    let empty = world.post(CHALLENGE, "application/json", "", &[]).await;
    let object = world.post(CHALLENGE, "application/json", "{}", &[]).await;

    for answer in [&empty, &object] {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["expires_in"], 60);
        let text = answer.text_at("/challenge");
        assert_eq!(text.len(), 75, "{text}");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(text.bytes().all(plain), "{text}");
    }
    assert_ne!(empty.text_at("/challenge"), object.text_at("/challenge"));
    for body in ["[]", "{\"audience\":\"a\"}", "canary"] {
        let refused = world.post(CHALLENGE, "application/json", body, &[]).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "request.body_invalid"));
        assert!(!refused.text.contains("canary"), "{}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_socket_shows_health_readiness_metrics_locks_keys_and_audit() {
    let world = World::start().await;
    world.exchange(&world.good(), &["aws-dev"]).await;

    assert_eq!(
        world.admin("GET", "/health", None).await.json(),
        json!({ "status": "ok" })
    );
    let ready = world.admin("GET", "/ready", None).await;
    assert_eq!(
        (ready.status, &ready.json()["ready"]),
        (200, &json!(true)),
        "{}",
        ready.text
    );
    let metrics = world.admin("GET", "/metrics", None).await;
    assert!(metrics.text.contains("cambio_requests_total"), "{}", metrics.text);
    let keys = world.admin("GET", "/v1/keys", None).await;
    assert!(!keys.json()["keys"].as_array().unwrap().is_empty());
    assert_eq!(
        world.admin("GET", "/v1/locks", None).await.json(),
        json!({ "locks": [] })
    );
    assert_eq!(world.admin("GET", "/v1/audit", None).await.status, 200);
    for (path, code) in [
        ("/v1/audit?limit=x", "request.parameter_invalid"),
        ("/v1/audit?colour=red", "request.parameter_invalid"),
        ("/nothing", "request.route_unknown"),
    ] {
        assert_eq!(world.admin("GET", path, None).await.code(), code, "{path}");
    }
    for lock in [
        json!({ "target": "entry", "value": "shop-deploy" }),
        json!({ "target": "planet", "value": "mars", "reason": "r" }),
        json!({ "target": "entry", "value": "Not A Name", "reason": "r" }),
        json!({ "target": "spiffe_id", "value": "spiffe://dev.cambio.test/", "reason": "r" }),
        json!({ "target": "entry", "value": "a", "reason": "r".repeat(513) }),
        json!({ "target": "entry", "value": "a", "reason": "r", "until": 1 }),
    ] {
        assert_eq!(
            world.admin("POST", "/v1/locks", Some(&lock)).await.status,
            400,
            "{lock}"
        );
    }
    assert_eq!(world.admin("DELETE", "/v1/locks/0000", None).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn tm_50_the_admin_paths_are_not_on_the_public_listeners() {
    let world = World::start().await;

    for (path, _) in ADMIN {
        for base in [&world.development.exchange_url, &world.development.issuer] {
            let answer = world.send(world.client.get(format!("{base}{path}"))).await;
            assert_eq!(answer.status, 404, "{base}{path}");
        }
    }
    let socket = fs::metadata(world.development.place.admin()).unwrap();
    assert_eq!(
        socket.permissions().mode() & 0o777,
        0o600,
        "the socket is its owner's only"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_refuses_other_methods() {
    let world = World::start().await;
    let methods = ["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "BREW"];

    for (taken, path) in EXCHANGE_ROUTES {
        for method in methods.into_iter().filter(|method| *method != taken) {
            let url = format!("{}{path}", world.development.exchange_url);
            let answer = world.send(world.client.request(method.parse().unwrap(), url)).await;

            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.code(), "request.method_not_allowed", "{method} {path}");
            assert!(answer.header("allow").contains(taken), "{method} {path}");
        }
    }
    for path in METADATA {
        for method in methods.into_iter().filter(|method| *method != "GET") {
            let url = format!("{}{path}", world.development.issuer);
            let answer = world.send(world.client.request(method.parse().unwrap(), url)).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, "GET, HEAD"),
                "{method} {path}"
            );
        }
    }
    for (path, taken) in ADMIN {
        for method in methods.into_iter().filter(|method| !taken.contains(method)) {
            let answer = world.admin(method, &path.replace("{id}", "0"), None).await;
            assert_eq!(answer.status, 405, "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_are_refused() {
    let world = World::start().await;

    for path in [
        "/",
        "/v1",
        "/v1/token/",
        "/v1/tokens",
        "/V1/TOKEN",
        "/v2/token",
        "/.well-known/jwks.json",
    ] {
        let answer = world.post(path, "application/json", "{}", &[]).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "request.route_unknown"),
            "{path}"
        );
    }
    for path in [
        "/",
        "/.well-known",
        "/.well-known/jwks.json/",
        "/v1/token",
        "/.well-known/openid-configuration/x",
    ] {
        assert_eq!(world.metadata(path).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_40f_no_spelling_of_a_path_reaches_another_endpoint() {
    let world = World::start().await;

    for path in [
        "/v1/../v1/token",
        "//v1/token",
        "/v1//token",
        "/v1/./token",
        "/v1/token;x",
        "/v1%2ftoken",
        "/v1/%74oken%00",
        "/%76%31/token",
        "/v1/token%20",
        "/v1\\token",
        "/x/..%2fv1/token",
    ] {
        let answer = raw_post(&world, path, "").await;
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
    }
    for path in ["/v1/token?subject_token=a", "/v1/token?grant_type=b"] {
        let answer = raw_post(&world, path, "").await;
        assert_eq!(answer.status, 400, "nothing is read from the query: {path}");
        assert_eq!(answer.code(), "request.parameter_invalid");
    }
}

async fn raw_post(world: &World, path: &str, more_headers: &str) -> Answer {
    let host = world.development.exchange_url.trim_start_matches("https://");
    let request =
        format!("POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n{more_headers}\r\n");
    world.raw(request.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn t_14_takes_64_kib_of_body_and_refuses_one_byte_more() {
    let world = World::start().await;
    let body = |token: &str| json!({ "evidence": { "token": token }, "relying_parties": ["aws-dev"] }).to_string();
    let padded = |length: usize| {
        let body = body(&world.good());
        let spaces = " ".repeat(length - body.len());
        body + &spaces
    };

    let whole = world.post(EXCHANGE, "application/json", padded(65_536), &[]).await;
    assert_eq!(whole.status, 200, "{}", whole.text);
    let more = world.post(EXCHANGE, "application/json", padded(65_537), &[]).await;
    assert_eq!((more.status, more.code().as_str()), (413, "request.body_too_large"));

    let kind = "application/x-www-form-urlencoded";
    let more = world.post(TOKEN, kind, "a".repeat(65_537), &[]).await;
    assert_eq!((more.status, more.code().as_str()), (413, "request.body_too_large"));
    let chunk = format!("4000\r\n{}\r\n", "a".repeat(0x4000));
    let head = format!("POST {TOKEN} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    let endless = world.raw(format!("{head}{}", chunk.repeat(5)).as_bytes()).await;
    assert_eq!(endless.status, 413, "a body of unknown length is counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_14_takes_16_kib_of_token_and_refuses_one_byte_more() {
    let world = World::start().await;
    let of_length = |length: usize| {
        let fit = |padding: usize| world.sign(world.job().with("padding", "p".repeat(padding)));
        let shortest = fit(0).len();
        // Three bytes of claim are four of token; the ids keep their length, so that a try tells the rest.
        (0..12)
            .map(|more| fit((length - shortest) * 3 / 4 - 8 + more))
            .find(|token| token.len() == length)
    };
    let whole = of_length(16_384).or_else(|| of_length(16_383)).unwrap();
    assert_eq!(world.exchange(&whole, &["aws-dev"]).await.status, 200);

    for length in [16_385, 40_000] {
        let oversized = world.exchange(&"a".repeat(length), &["aws-dev"]).await;
        assert_eq!(
            (oversized.status, oversized.code().as_str()),
            (413, "attest.evidence_oversized"),
            "{length}"
        );
    }
    let oversized = world.token(&"a".repeat(16_385), "aws-dev", None).await;
    assert_eq!(
        (oversized.status, oversized.code().as_str()),
        (413, "attest.evidence_oversized")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tm_45_takes_100_header_lines_and_16_kib_and_refuses_more() {
    let world = World::start().await;
    let lines = |count: usize| "x: a\r\n".repeat(count);

    // `raw_post` sends three lines of its own.
    assert_eq!(raw_post(&world, "/nothing", &lines(97)).await.status, 404);
    assert_eq!(raw_post(&world, "/nothing", &lines(98)).await.status, 431);
    assert_eq!(
        raw_post(&world, "/nothing", &format!("x: {}\r\n", "a".repeat(12_000)))
            .await
            .status,
        404
    );
    let long = raw_post(&world, "/nothing", &format!("x: {}\r\n", "a".repeat(17_000))).await;
    assert_eq!(long.status, 431);
    // The client speaks HTTP/2 here.
    let url = format!("{}/nothing", world.development.exchange_url);
    let over_h2 = world.client.post(url).header("x", "a".repeat(17_000)).send().await;
    assert!(over_h2.is_err() || over_h2.unwrap().status() == 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn tm_46_refuses_a_body_that_does_not_arrive() {
    let world = World::start().await;
    let started = tokio::time::Instant::now();

    let request = "POST /v1/token HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc";
    let answer = world.raw(request.as_bytes()).await;

    assert_eq!((answer.status, answer.code().as_str()), (408, "request.body_too_slow"));
    assert!(started.elapsed() < Duration::from_secs(13), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn tm_48_a_request_that_two_servers_could_read_differently_is_refused() {
    let world = World::start().await;

    for head in [
        "POST /v1/token HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/token HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "POST /v1/token HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc",
        "POST /v1/token HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\nabc",
        "POST /v1/token HTTP/1.1\r\nhost: a\r\n x: folded\r\n\r\n",
        "POST /v1/token HTTP/1.1\r\nhost : a\r\n\r\n",
    ] {
        let answer = world.raw(head.as_bytes()).await;
        assert!(
            answer.status == 400 || answer.status == 0,
            "{head:?}: {} {}",
            answer.status,
            answer.text
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_40c_deep_wide_and_ambiguous_json_is_refused_quickly_and_not_repeated() {
    let world = World::start().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let wide = json!({ "evidence": { "token": "a" }, "relying_parties": vec!["canary"; 2_000] }).to_string();
    let rows = [
        deep,
        format!("{{\"evidence\":{}1{}}}", "[".repeat(16), "]".repeat(16)),
        wide,
        r#"{"canary":1,"canary":2}"#.to_owned(),
        r#"{"evidence":{"canary":1,"canary":1},"relying_parties":["a"]}"#.to_owned(),
        r#"{"evidence":{"token":"canary"},"relying_parties":["a"]} canary"#.to_owned(),
        "\u{feff}{}".to_owned(),
        r#"{"evidence":{"token":"\ud800"},"relying_parties":["a"]}"#.to_owned(),
    ];
    for body in rows {
        let started = tokio::time::Instant::now();
        let answer = world.post(EXCHANGE, "application/json", body.clone(), &[]).await;

        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "request.body_invalid"),
            "{body:.60}"
        );
        assert!(!answer.text.contains("canary"), "{}", answer.text);
        assert!(started.elapsed() < Duration::from_secs(2), "{body:.60}");
    }
    let not_utf8 = world
        .post(EXCHANGE, "application/json", vec![0xff, 0xfe, b'{'], &[])
        .await;
    assert_eq!(not_utf8.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_20_no_parameter_is_silently_dropped() {
    let world = World::start().await;
    let good = world.good();
    let base = vec![
        ("grant_type", GRANT_TYPE),
        ("subject_token", good.as_str()),
        ("subject_token_type", JWT),
        ("audience", "gcp-dev"),
        ("requested_token_type", ACCESS_TOKEN),
    ];

    for (name, value) in base.clone() {
        let mut twice = base.clone();
        twice.push((name, value));
        let answer = world.form(&twice, &[]).await;
        assert_eq!(
            (answer.status, answer.text_at("/error").as_str()),
            (400, "invalid_request"),
            "{name} twice"
        );
    }
    for name in ["grant_type", "subject_token", "subject_token_type", "audience"] {
        let missing: Vec<_> = base.iter().copied().filter(|(known, _)| *known != name).collect();
        let answer = world.form(&missing, &[]).await;
        assert_eq!(
            (answer.status, answer.text_at("/error").as_str()),
            (400, "invalid_request"),
            "no {name}"
        );
    }
    let percent: Vec<_> = good.bytes().map(|byte| format!("%25{byte:02x}")).collect();
    let encoded = format!(
        "grant_type={GRANT_TYPE}&subject_token={}&subject_token_type={JWT}&audience=gcp-dev",
        percent.concat()
    );
    let kind = "application/x-www-form-urlencoded";
    let doubly = world.post(TOKEN, kind, encoded, &[]).await;
    assert_eq!(doubly.status, 400, "nothing is decoded twice");
    let query = format!("{TOKEN}?subject_token=other");
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&base)
        .finish();
    let answer = world.post(&query, kind, body, &[]).await;
    assert_eq!(answer.status, 200, "the query counts for nothing: {}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_40g_no_header_of_a_caller_says_who_it_is() {
    let world = World::start().await;
    let hostile = [
        ("x-forwarded-for", "203.0.113.7"),
        ("forwarded", "for=203.0.113.7"),
        ("x-forwarded-host", "evil.test"),
        ("x-spiffe-id", "spiffe://dev.cambio.test/admin"),
        ("x_spiffe_id", "spiffe://dev.cambio.test/admin"),
        ("authorization", "Bearer admin"),
    ];

    let answer = world.exchange_with(&world.good(), &["aws-dev"], &hostile).await;

    assert_eq!(answer.text_at("/spiffe_id"), crate::world::WORKLOAD);
    let entries = world.trail_of(&answer.text_at("/exchange_id")).await;
    assert_eq!(entries[0]["source_address"], "127.0.0.1", "no proxy is configured");
    let discovery = world
        .send(
            world
                .client
                .get(format!("{}/.well-known/openid-configuration", world.development.issuer))
                .header("x-forwarded-host", "evil.test"),
        )
        .await;
    assert!(!discovery.text.contains("evil"));
    assert_eq!(
        discovery.json()["issuer"],
        Value::from(world.development.issuer.as_str())
    );
}
