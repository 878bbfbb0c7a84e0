//! Requirements of the standards, row by row, as a client on the network sees them.

use std::{collections::BTreeSet, os::unix::fs::PermissionsExt as _, time::Duration};

use cambio::{
    clock::unix_seconds,
    exchange::{
        aws::Refusal as AwsRefusal,
        aws_sts::{rules::provider, sim::AwsSim},
        azure_entra::{rules::limits::NewCredential, sim::EntraSim},
    },
};
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Map, Value, json};

use crate::world::{ACCESS_TOKEN, Answer, EXCHANGE, GRANT_TYPE, JWT, WORKLOAD, World, key, part};

const CLOUDS: [&str; 3] = ["aws-dev", "azure-dev", "gcp-dev"];
const OIDC: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const JWKS: &str = "/.well-known/jwks.json";

async fn svid(world: &World, party: &str) -> String {
    let answer = world.token(&world.good(), party, Some(JWT)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text_at("/access_token")
}

/// Verifies with another library than ours, against what we publish at `path`.
async fn verified(world: &World, svid: &str, path: &str, audience: &str) -> Result<Map<String, Value>, String> {
    let set: JwkSet = serde_json::from_value(without_use(world.metadata(path).await.json())).unwrap();
    let header = jsonwebtoken::decode_header(svid).map_err(|failed| failed.to_string())?;
    let jwk = set.find(&header.kid.unwrap()).ok_or("no such key")?;
    let key = DecodingKey::from_jwk(jwk).unwrap();
    let mut rules = Validation::new(header.alg);
    rules.set_audience(&[audience]);
    rules.set_issuer(&[&world.development.issuer]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    jsonwebtoken::decode(svid, &key, &rules)
        .map(|token| token.claims)
        .map_err(|failed| failed.to_string())
}

/// The library knows no `use: jwt-svid`.
fn without_use(mut document: Value) -> Value {
    for key in document["keys"].as_array_mut().unwrap() {
        key.as_object_mut().unwrap().remove("use");
    }
    document
}

fn exchange_form<'a>(token: &'a str, party: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("grant_type", GRANT_TYPE),
        ("subject_token", token),
        ("subject_token_type", JWT),
        ("audience", party),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn jwt_svid_5_spiffe_id_18_the_subject_is_the_workload_and_lies_in_the_signed_part() {
    let world = World::start().await;
    for party in CLOUDS {
        let svid = svid(&world, party).await;
        assert_eq!(part(&svid, 1)["sub"], WORKLOAD, "{party}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jwt_svid_6_jwt_svid_7_dec_5_there_is_one_audience_and_it_is_of_one_relying_party() {
    let world = World::start().await;
    let mut audiences = BTreeSet::new();
    for party in CLOUDS {
        let svid = svid(&world, party).await;
        audiences.insert(part(&svid, 1)["aud"].as_str().expect("one string").to_owned());
    }
    assert_eq!(audiences.len(), 3, "no two relying parties share one: {audiences:?}");

    let ours = world.development.issuer.clone();
    let as_array = world.sign(world.job().with("aud", json!([ours])));
    assert_eq!(
        world.exchange(&as_array, &["aws-dev"]).await.status,
        200,
        "an array of one is taken"
    );
    for bad in [
        json!([]),
        json!([[ours]]),
        json!({ "a": ours }),
        json!(1),
        Value::Null,
        json!(""),
    ] {
        let token = world.sign(world.job().with("aud", bad.clone()));
        assert_eq!(world.exchange(&token, &["aws-dev"]).await.status, 400, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jwt_svid_8_jwt_svid_13_jwt_svid_14_an_svid_is_short_lived_and_says_who_issued_it() {
    let world = World::start().await;
    let now = unix_seconds(world.now());
    for party in CLOUDS {
        let claims = part(&svid(&world, party).await, 1);
        let number = |name: &str| claims[name].as_u64().unwrap_or_else(|| panic!("{party}: no {name}"));
        assert_eq!(claims["iss"], world.development.issuer.as_str());
        assert!(number("iat") <= now && number("nbf") <= now);
        assert!(number("exp") > now && number("exp") - now <= 3600, "{party}");
        assert!(claims["jti"].as_str().is_some_and(|id| id.len() >= 16), "{party}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jwt_svid_9_dec_1_an_svid_verifies_with_both_published_documents_and_for_its_audience_only() {
    let world = World::start().await;
    let svid = svid(&world, "aws-dev").await;
    let audience = part(&svid, 1)["aud"].as_str().unwrap().to_owned();

    for path in [JWKS, "/.well-known/spiffe/bundle.json"] {
        assert_eq!(verified(&world, &svid, path, &audience).await.unwrap()["sub"], WORKLOAD);
        assert!(verified(&world, &svid, path, "https://other.test").await.is_err());
    }
    let uses = |document: Value| -> BTreeSet<String> {
        let keys = document["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key["use"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(uses(world.metadata(JWKS).await.json()), ["sig".to_owned()].into());
    let bundle = world.metadata("/.well-known/spiffe/bundle.json").await.json();
    assert_eq!(uses(bundle), ["jwt-svid".to_owned(), "x509-svid".to_owned()].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn dec_2_jwt_bcp_11_the_header_of_an_svid_has_algorithm_key_and_type_and_nothing_else() {
    let world = World::start().await;
    for party in CLOUDS {
        let header = part(&svid(&world, party).await, 0);
        let names: Vec<&str> = header.keys().map(String::as_str).collect();
        assert_eq!(names, ["alg", "kid", "typ"], "{party}");
        assert_eq!(header["typ"], "JWT");
    }
    for typ in ["at+jwt", "dpop+jwt", "JOSE+JSON", "application/jwt", "secevent+jwt"] {
        let token = world.sign(world.job().with_header("typ", typ));
        assert_eq!(
            world.exchange(&token, &["aws-dev"]).await.code(),
            "attest.claim_invalid",
            "{typ}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dec_6_a_key_of_unknown_use_is_passed_over_and_the_bundle_stands() {
    let world = World::start().await;
    let mut bundle = world.metadata("/.well-known/spiffe/bundle.json").await.json();
    let mut strange = bundle["keys"][0].clone();
    strange["use"] = json!("of-tomorrow");
    strange["kid"] = json!("strange");
    bundle["keys"].as_array_mut().unwrap().push(strange);

    let domain = cambio::spiffe::TrustDomain::parse("dev.cambio.test").unwrap();
    let read = cambio::spiffe::Bundle::parse(domain, bundle.to_string().as_bytes());

    assert!(read.is_ok(), "{read:?}");
    assert!(!format!("{read:?}").contains("\"strange\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn dec_13_cloud_6_clouds_get_rs256_and_nothing_is_signed_with_eddsa() {
    let world = World::start().await;
    for party in CLOUDS {
        let svid = svid(&world, party).await;
        assert_eq!(part(&svid, 0)["alg"], "RS256", "{party}");
        for claim in ["iss", "sub", "aud", "exp", "iat", "nbf", "jti"] {
            assert!(part(&svid, 1).contains_key(claim), "{party}: {claim}");
        }
    }
    for key in world.metadata(JWKS).await.json()["keys"].as_array().unwrap() {
        assert!(["RSA", "EC"].contains(&key["kty"].as_str().unwrap()), "{key}");
    }
    assert!(!world.metadata(OIDC).await.text.contains("EdDSA"));
}

#[tokio::test(flavor = "multi_thread")]
async fn jwk_6_no_published_key_has_a_private_member() {
    let world = World::start().await;
    for path in [JWKS, "/.well-known/spiffe/bundle.json"] {
        for key in world.metadata(path).await.json()["keys"].as_array().unwrap() {
            for member in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
                assert!(key.get(member).is_none(), "{path}: {member}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jwt_bcp_5_no_symmetric_algorithm_is_taken_with_any_secret() {
    let world = World::start().await;
    let claims = Value::from(part(&world.good(), 1));
    let kid = world.ci.jwks()["keys"][0]["kid"].clone();
    for algorithm in ["HS256", "HS384", "HS512"] {
        let header = json!({ "alg": algorithm, "kid": kid, "typ": "JWT" });
        for secret in ["", "secret", &world.ci.jwks().to_string()] {
            let secret = if secret.is_empty() { "\0" } else { secret };
            let token = crate::world::compact(&header, &claims, |input| crate::world::hs256(secret.as_bytes(), input));
            assert_eq!(
                world.exchange(&token, &["aws-dev"]).await.code(),
                "attest.evidence_unverifiable"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jwt_bcp_8_t_16_an_issuer_is_compared_byte_for_byte_and_never_fetched_otherwise() {
    let world = World::start().await;
    let ours = world.ci.issuer().to_owned();
    let host = ours.trim_start_matches("https://").to_owned();
    for issuer in [
        format!("{ours}/"),
        format!("{ours}.evil.test"),
        format!("https://evil.test/?{ours}"),
        format!("https://{host}@evil.test"),
        format!("https://evil.test#{ours}"),
        format!("https://evil.test\\@{host}"),
        ours.replace("https", "http"),
        ours.replace("https", "HTTPS"),
        format!(" {ours}"),
        format!("{ours}\u{0}"),
        ours.replace("127.0.0.1", "127.0.0.1."),
        ours.replace("127.0.0.1", "127.1"),
        String::new(),
    ] {
        let token = world.sign(world.job().with("iss", issuer.as_str()));
        let answer = world.exchange(&token, &["aws-dev"]).await;
        assert_eq!(answer.code(), "attest.evidence_unverifiable", "{issuer}");
    }
    assert_eq!(
        world.issuer.asked.load(std::sync::atomic::Ordering::Relaxed),
        0,
        "nothing was fetched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jwt_bcp_9_as_meta_7_t_39_names_are_compared_code_point_by_code_point() {
    let world = World::start().await;
    let ours = world.development.issuer.clone();
    for audience in [
        format!("{ours}/"),
        ours.to_uppercase(),
        format!(" {ours}"),
        format!("{ours}\u{a0}"),
        ours.split_at(ours.len() - 1).0.to_owned(),
    ] {
        let token = world.sign(world.job().for_audience(&audience));
        assert_eq!(
            world.exchange(&token, &["aws-dev"]).await.code(),
            "attest.audience_mismatch",
            "{audience:?}"
        );
    }
    for name in [
        "AWS-DEV",
        " aws-dev",
        "aws-dev ",
        "aws\u{a0}dev",
        "aws-de\u{200b}v",
        "aws-dev\u{301}",
        "\u{ff41}ws-dev",
    ] {
        let answer = world.exchange(&world.good(), &[name]).await;
        assert_eq!(answer.code(), "authorize.relying_party_unknown", "{name:?}");
    }
    for value in ["Shop-Deploy", " shop-deploy", "shop-deploy\u{a0}", ""] {
        let lock = json!({ "target": "entry", "value": value, "reason": "r" });
        assert_eq!(
            world.admin("POST", "/v1/locks", Some(&lock)).await.status,
            400,
            "{value:?} would shut nothing"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_1_only_the_grant_type_of_token_exchange_is_taken() {
    let world = World::start().await;
    for grant_type in [
        "client_credentials",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        &GRANT_TYPE.to_uppercase(),
    ] {
        let token = world.good();
        let mut form = exchange_form(&token, "gcp-dev");
        form[0].1 = grant_type;
        let answer = world.form(&form, &[]).await;
        assert_eq!(
            (answer.status, answer.text_at("/error").as_str()),
            (400, "unsupported_grant_type"),
            "{grant_type}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_2_tx_7_the_subject_token_and_its_declared_type_are_required() {
    let world = World::start().await;
    for kind in [
        "",
        ACCESS_TOKEN,
        "urn:ietf:params:oauth:token-type:saml2",
        "jwt",
        "urn:ietf:params:oauth:token-type:refresh_token",
    ] {
        let token = world.good();
        let mut form = exchange_form(&token, "gcp-dev");
        form[2].1 = kind;
        let answer = world.form(&form, &[]).await;
        assert_eq!(
            (answer.status, answer.text_at("/error").as_str()),
            (400, "invalid_request"),
            "{kind}"
        );
    }
    let token = world.good();
    let mut form = exchange_form(&token, "gcp-dev");
    form[2].1 = "urn:ietf:params:oauth:token-type:id_token";
    assert_eq!(world.form(&form, &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_3_tx_17_an_actor_token_is_refused_and_never_ignored() {
    let world = World::start().await;
    for more in [
        vec![("actor_token", "a")],
        vec![("actor_token", "a"), ("actor_token_type", JWT)],
        vec![("actor_token_type", JWT)],
    ] {
        let token = world.good();
        let mut form = exchange_form(&token, "gcp-dev");
        form.extend(more.clone());
        let answer = world.form(&form, &[]).await;
        assert_eq!(
            (answer.status, answer.text_at("/error").as_str()),
            (400, "invalid_request"),
            "{more:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_4_tx_5_exactly_one_audience_names_a_relying_party_and_no_resource_does() {
    let world = World::start().await;
    let token = world.good();
    let mut two = exchange_form(&token, "gcp-dev");
    two.push(("audience", "azure-dev"));
    assert_eq!(world.form(&two, &[]).await.text_at("/error"), "invalid_request");
    let none: Vec<_> = exchange_form(&token, "gcp-dev").into_iter().take(3).collect();
    assert_eq!(world.form(&none, &[]).await.text_at("/error"), "invalid_request");
    let mut resource = exchange_form(&token, "gcp-dev");
    resource.push(("resource", "https://storage.googleapis.com/"));
    assert_eq!(world.form(&resource, &[]).await.text_at("/error"), "invalid_target");
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_6_tx_10_tx_16_what_is_issued_by_default_and_on_request_and_how_it_is_named() {
    let world = World::start().await;
    let rows = [
        ("gcp-dev", None, ACCESS_TOKEN, "Bearer"),
        ("gcp-dev", Some(ACCESS_TOKEN), ACCESS_TOKEN, "Bearer"),
        ("gcp-dev", Some(JWT), JWT, "N_A"),
        ("azure-dev", None, ACCESS_TOKEN, "Bearer"),
        ("aws-dev", None, JWT, "N_A"),
        ("aws-dev", Some(JWT), JWT, "N_A"),
    ];
    for (party, requested, issued, kind) in rows {
        let answer = world.token(&world.good(), party, requested).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let found = (answer.text_at("/issued_token_type"), answer.text_at("/token_type"));
        assert_eq!(found, (issued.to_owned(), kind.to_owned()), "{party} {requested:?}");
    }
    let aws = world.token(&world.good(), "aws-dev", Some(ACCESS_TOKEN)).await;
    assert_eq!(
        (aws.status, aws.text_at("/error").as_str()),
        (400, "invalid_request"),
        "AWS has no bearer tokens"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_8_the_subject_token_is_the_only_credential() {
    let world = World::start().await;
    let token = world.good();
    let mut form = exchange_form(&token, "gcp-dev");
    form.extend([("client_id", "anybody"), ("client_secret", "anything")]);

    let answer = world.form(&form, &[("authorization", "Basic YTpi")]).await;

    assert_eq!(
        answer.status, 200,
        "unknown parameters and other credentials count for nothing: {}",
        answer.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_9_a_response_has_its_required_members_says_what_is_left_and_never_refreshes() {
    let world = World::start().await;
    for (party, requested) in [("gcp-dev", None), ("azure-dev", None), ("aws-dev", Some(JWT))] {
        let json = world.token(&world.good(), party, requested).await.json();
        for member in ["access_token", "issued_token_type", "token_type"] {
            assert!(json[member].is_string(), "{party}: {member}");
        }
        assert!(json["expires_in"].as_u64().is_some_and(|left| left > 0), "{party}");
        assert!(json.get("refresh_token").is_none(), "{party}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_11_tx_12_dec_7_a_bad_token_is_an_invalid_request_and_a_refused_target_an_invalid_target() {
    let world = World::start().await;
    let bad = world.token("garbage", "gcp-dev", None).await;
    assert_eq!((bad.status, bad.text_at("/error").as_str()), (400, "invalid_request"));
    let expired = world.sign(world.job().issued_at(world.now() - Duration::from_hours(1)));
    assert_eq!(
        world.token(&expired, "gcp-dev", None).await.text_at("/error"),
        "invalid_request"
    );
    let refused = world.token(&world.good(), "no-such-party", None).await;
    assert_eq!(refused.text_at("/error"), "invalid_target");
}

/// One refusal of each kind at the token endpoint.
async fn refusals(world: &World) -> Vec<Answer> {
    let hostile = "\"quoted\" \\back\u{7f}\u{202e}\u{e9}";
    vec![
        world.form(&[], &[]).await,
        world.form(&[("grant_type", hostile)], &[]).await,
        world.token("garbage", "gcp-dev", None).await,
        world.token(&world.good(), hostile, None).await,
        world
            .token(&world.sign(world.job().for_audience(hostile)), "gcp-dev", None)
            .await,
        world
            .token(&world.sign(world.job().with("event_name", hostile)), "gcp-dev", None)
            .await,
        world.token(&world.good(), "no-such-party", None).await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_13_an_error_s_description_is_printable_ascii_without_quotes_and_backslashes() {
    let world = World::start().await;
    for answer in refusals(&world).await {
        let description = answer.text_at("/error_description");
        let allowed = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b'"' && byte != b'\\';
        assert!(description.bytes().all(allowed), "{description:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_14_no_answer_with_or_about_a_token_is_stored() {
    let world = World::start().await;
    let mut answers = refusals(&world).await;
    answers.push(world.token(&world.good(), "gcp-dev", None).await);
    answers.push(world.exchange(&world.good(), &["aws-dev"]).await);
    answers.push(world.exchange(&world.good(), &["no-such-party"]).await);
    answers.push(world.exchange("garbage", &["aws-dev"]).await);
    answers.push(world.post(EXCHANGE, "application/json", "{", &[]).await);
    for answer in answers {
        assert_eq!(answer.header("cache-control"), "no-store", "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_24_a_refusal_says_its_code_and_nothing_that_could_be_used() {
    let world = World::start().await;
    let known: BTreeSet<&str> = ["error", "error_description", "code", "exchange_id", "cloud_code"].into();
    for answer in refusals(&world).await {
        let json = answer.json();
        for member in json.as_object().unwrap().keys() {
            assert!(known.contains(member.as_str()), "{member}");
        }
        assert!(!answer.text.contains("eyJ"), "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_13_no_control_or_bidi_character_of_a_caller_reaches_an_answer_or_the_trail() {
    let world = World::start().await;
    let hostile = "a\r\nadmin\u{202e}\u{0}\u{1b}[31m";
    for claim in ["sub", "event_name", "repository_owner", "aud", "actor"] {
        let token = world.sign(world.job().with(claim, hostile));
        let answer = world.exchange(&token, &["aws-dev"]).await;
        for text in [
            answer.text,
            world.admin("GET", "/v1/audit?newest=true&limit=1", None).await.text,
        ] {
            assert!(!text.contains(['\u{202e}', '\u{1b}', '\u{0}']), "{claim}: {text}");
            assert!(!text.contains("a\\r\\nadmin"), "{claim}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_20_nobody_acts_for_anybody() {
    let world = World::start().await;
    for party in CLOUDS {
        let claims = part(&svid(&world, party).await, 1);
        assert!(
            !claims.contains_key("act") && !claims.contains_key("may_act"),
            "{party}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tx_22_the_trail_tells_who_asked_for_what_under_which_rule_and_holds_no_token() {
    let world = World::start().await;
    let token = world.good();

    let answer = world.exchange(&token, &["aws-dev"]).await;

    let entries = world.trail_of(&answer.text_at("/exchange_id")).await;
    let intent = &entries[0];
    for pointer in [
        "/evidence/attestor",
        "/evidence/issuer",
        "/evidence/subject",
        "/evidence/sha256",
        "/spiffe_id",
        "/entry",
        "/relying_party",
        "/permission/rule/0",
        "/svid/id",
        "/svid/audience",
        "/svid/key_id",
        "/source_address",
        "/time",
    ] {
        assert!(
            intent.pointer(pointer).is_some_and(Value::is_string),
            "{pointer}: {intent}"
        );
    }
    assert!(!intent.to_string().contains(&token));
    let sessions = world.development.world.simulator::<AwsSim>("aws").unwrap().sessions();
    let id = answer.text_at("/exchange_id");
    assert!(
        sessions[0].session_name.ends_with(id.split_at(12).0),
        "CloudTrail leads back: {}",
        sessions[0].session_name
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn as_meta_2_as_meta_3_oidc_disc_2_the_documents_are_json_and_name_the_issuer_that_the_tokens_name() {
    let world = World::start().await;
    let issuer = part(&svid(&world, "aws-dev").await, 1)["iss"].clone();
    assert!(!issuer.as_str().unwrap().ends_with('/'));
    for path in [OIDC, OAUTH] {
        let answer = world.metadata(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "application/json"),
            "{path}"
        );
        let json = answer.json();
        assert_eq!(json["issuer"], issuer, "{path}");
        for (name, value) in json.as_object().unwrap() {
            assert!(
                !value.as_array().is_some_and(Vec::is_empty),
                "{path}: {name} is an empty array"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_meta_5_as_meta_6_only_what_is_served_is_advertised() {
    let world = World::start().await;
    let json = world.metadata(OAUTH).await.json();
    assert_eq!(json["grant_types_supported"], json!([GRANT_TYPE]));
    assert_eq!(json["token_endpoint_auth_methods_supported"], json!(["none"]));
    assert!(json.get("token_endpoint_auth_signing_alg_values_supported").is_none());
    assert_eq!(
        json["token_endpoint"],
        format!("{}/v1/token", world.development.exchange_url)
    );
    for absent in [
        "authorization_endpoint",
        "introspection_endpoint",
        "revocation_endpoint",
        "registration_endpoint",
    ] {
        assert!(json.get(absent).is_none(), "{absent}");
    }
    assert_eq!(json["dpop_signing_alg_values_supported"], json!(["ES256"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn oidc_disc_9_both_documents_agree_where_both_say_something() {
    let world = World::start().await;
    let (oidc, oauth) = (world.metadata(OIDC).await.json(), world.metadata(OAUTH).await.json());
    for (name, value) in oauth.as_object().unwrap() {
        if let Some(other) = oidc.get(name) {
            assert_eq!(other, value, "{name}");
        }
    }
    assert_eq!(
        world
            .send(world.client.get(oidc["jwks_uri"].as_str().unwrap()))
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn oidc_disc_5_an_etag_saves_the_body_and_the_caching_is_public() {
    let world = World::start().await;
    for path in [OIDC, OAUTH, JWKS, "/.well-known/spiffe/bundle.json"] {
        let first = world.metadata(path).await;
        assert_eq!(
            first.header("cache-control"),
            "public, max-age=300, stale-while-revalidate=86400",
            "{path}"
        );
        let url = format!("{}{path}", world.development.issuer);
        let again = world
            .send(world.client.get(url).header("if-none-match", first.header("etag")))
            .await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oidc_disc_6_another_host_is_refused() {
    let world = World::start().await;
    let issuer = world.development.issuer.clone();
    for host in ["evil.test", "127.0.0.1.evil.test", "", "evil.test:443"] {
        let request = format!("GET {OIDC} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = world.raw_to(&issuer, request.as_bytes()).await;
        assert_eq!(answer.status, 400, "{host:?}");
        assert!(!answer.text.contains("evil"), "{host:?}");
    }
}

#[test]
fn cloud_1_an_issuer_that_aws_would_not_take_is_refused_by_its_rules() {
    assert!(provider::url("https://id.acme.example").is_ok());
    for url in [
        "http://id.acme.example",
        "id.acme.example",
        "https://id.acme.example?a=b",
        "",
    ] {
        assert!(provider::url(url).is_err(), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_2_what_aws_says_of_unreachable_keys_reaches_the_caller_as_its_own_code() {
    let world = World::start().await;
    let aws = world.development.world.simulator::<AwsSim>("aws").unwrap();
    aws.refuse_next(AwsRefusal::no_verification_key());

    let answer = world.exchange(&world.good(), &["aws-dev"]).await;

    assert_eq!(answer.text_at("/refusals/aws-dev/cloud_code"), "InvalidIdentityToken");
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_4_an_entra_credential_has_one_audience_and_its_subject_counts_letter_by_letter() {
    let world = World::start().await;
    let entra = world.development.world.simulator::<EntraSim>("azure").unwrap();
    let cloud = world
        .development
        .world
        .clouds
        .iter()
        .find(|cloud| cloud.section == "azure")
        .unwrap();
    let (tenant, client) = (
        cloud.ready["tenant"].as_str().unwrap(),
        cloud.ready["client_id"].as_str().unwrap(),
    );
    let credential = |subject: &str, audiences: &[&str]| NewCredential {
        name: "another".to_owned(),
        issuer: world.development.issuer.clone(),
        subject: subject.to_owned(),
        audiences: audiences.iter().map(|audience| (*audience).to_owned()).collect(),
        description: None,
    };
    assert!(
        entra
            .add_credential(tenant, client, credential("spiffe://a", &["one", "two"]))
            .is_err()
    );

    assert!(entra.remove_credential(tenant, client, "cambio-dev"));
    let audience = format!("{}/azure/{client}", world.development.issuer);
    entra
        .add_credential(tenant, client, credential(&WORKLOAD.to_uppercase(), &[&audience]))
        .unwrap();
    let refused = world.exchange(&world.good(), &["azure-dev"]).await;

    assert_eq!(refused.code(), "exchange.cloud_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_40_the_audit_sink_cannot_be_reached_through_the_api_and_its_file_is_its_owner_s() {
    let world = World::start().await;
    world.exchange(&world.good(), &["aws-dev"]).await;
    for path in ["/v1/audit", "/v1/sinks", "/v1/config", "/v1/keys"] {
        for method in ["POST", "PUT", "PATCH"] {
            let answer = world.admin(method, path, Some(&json!({ "path": "/tmp/x" }))).await;
            assert!([404, 405].contains(&answer.status), "{method} {path}");
        }
    }
    for file in [
        world.development.place.audit(),
        world.development.place.store(),
        world.development.place.kek(),
    ] {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o177, 0, "{}: {mode:o}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_61_no_caller_makes_the_metrics_grow() {
    let world = World::start().await;
    let series = |text: String| text.lines().filter(|line| !line.starts_with('#')).count();
    world.exchange(&world.good(), &["no-such-party"]).await;
    world.token(&world.good(), "no-such-party", None).await;
    let before = series(world.admin("GET", "/metrics", None).await.text);

    for number in 0..40 {
        world.token(&world.good(), &format!("party-{number}"), None).await;
        world
            .exchange(
                &world.sign(world.job().with("run_id", format!("{number}"))),
                &["no-such-party"],
            )
            .await;
    }

    assert_eq!(series(world.admin("GET", "/metrics", None).await.text), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn dpop_3_dpop_5_a_proof_serves_once_and_its_error_has_its_own_name() {
    let world = World::start().await;
    let mine = key();
    let token = world.good();
    let proof = world.proof(&mine, crate::world::TOKEN, &token);
    let first = world
        .token_with(&token, "aws-dev", Some(JWT), &[("dpop", &proof)])
        .await;
    assert_eq!(first.status, 200, "{}", first.text);

    let again = world
        .token_with(&token, "aws-dev", Some(JWT), &[("dpop", &proof)])
        .await;

    assert_eq!(
        (again.status, again.text_at("/error").as_str()),
        (400, "invalid_dpop_proof")
    );
}
