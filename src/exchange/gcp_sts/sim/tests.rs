use std::{sync::atomic::Ordering, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use serde_json::{Value, json};

use super::super::tests::vectors::{
    EMAIL, PROVIDER, SCOPE, SUBJECT, UNIQUE_ID, World, claims, form, header_of, provider_name, request, send, settings,
    sign,
};
use crate::sim::Mutation;

const MEMBER: &str =
    "principalSet://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/prod/*";

fn good_form(world: &World) -> String {
    form(&request(&sign(&header_of("ES256", "k1"), &claims(world.now()), false)))
}

#[tokio::test]
async fn a_federated_token_is_accepted_until_the_subject_token_ends() {
    let world = World::with_provider(settings());
    let token = world.federated_token().await;

    let (status, body) = world.token_info(Some(&token)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body["principal"],
        format!(
            "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/prod/subject/{SUBJECT}"
        )
    );
    assert_eq!(body["scope"], SCOPE);
    assert_eq!(body["expireTime"], "2026-01-16T14:45:00Z");

    world.clock.advance(Duration::from_mins(5));
    assert_eq!(world.token_info(Some(&token)).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_impersonated_token_outlives_the_subject_token() {
    let world = World::with_provider(settings());
    world.sim.bind(EMAIL, MEMBER).unwrap();
    let federated = world.federated_token().await;
    let (_, body) = world.impersonate(&federated, EMAIL, &json!({"scope": [SCOPE]})).await;
    let token = body["accessToken"].as_str().unwrap();

    world.clock.advance(Duration::from_secs(3599));
    let (status, body) = world.token_info(Some(token)).await;
    assert_eq!(
        (status, &body["principal"]),
        (StatusCode::OK, &json!(format!("serviceAccount:{EMAIL}")))
    );

    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.token_info(Some(token)).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn token_info_refuses_no_token_and_an_unknown_one() {
    let world = World::new();

    assert_eq!(world.token_info(None).await.0, StatusCode::UNAUTHORIZED);
    let (status, body) = world.token_info(Some("ya29.d.unknown")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["error"]["status"], "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_federated_token_of_another_scope_may_not_impersonate() {
    let world = World::with_provider(settings());
    world.sim.bind(EMAIL, MEMBER).unwrap();
    let token = sign(&header_of("ES256", "k1"), &claims(world.now()), false);
    let mut fields = request(&token);
    fields["scope"] = json!("https://www.googleapis.com/auth/devstorage.read_only");
    let (_, body) = world.exchange(&form(&fields)).await;

    let (status, _) = world
        .impersonate(
            body["access_token"].as_str().unwrap(),
            EMAIL,
            &json!({"scope": [SCOPE]}),
        )
        .await;

    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_impersonation_refuses_what_is_no_lifetime_and_unknown_fields() {
    let world = World::with_provider(settings());
    world.sim.bind(EMAIL, MEMBER).unwrap();
    let bearer = world.federated_token().await;

    for body in [
        json!({"scope": [SCOPE], "lifetime": "3600"}),
        json!({"scope": [SCOPE], "lifetime": "0s"}),
        json!({"scope": [SCOPE], "lifetime": "-1s"}),
        json!({"scope": [SCOPE], "lifetimeSeconds": 5}),
        json!({"scope": [SCOPE], "delegates": [EMAIL]}),
        json!({"scope": [""]}),
    ] {
        let (status, answer) = world.impersonate(&bearer, EMAIL, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
        assert_eq!(
            answer["error"]["message"], "Request contains an invalid argument.",
            "{body}"
        );
    }
}

#[tokio::test]
async fn an_impersonation_takes_null_for_a_field_that_is_not_given() {
    let world = World::with_provider(settings());
    world.sim.bind(EMAIL, MEMBER).unwrap();
    let federated = world.federated_token().await;

    let as_google_auth_sends = json!({"delegates": null, "scope": [SCOPE], "lifetime": "3600s"});
    let (status, body) = world.impersonate(&federated, EMAIL, &as_google_auth_sends).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let no_lifetime = json!({"scope": [SCOPE], "lifetime": null});
    let (status, body) = world.impersonate(&federated, EMAIL, &no_lifetime).await;
    assert_eq!(status, StatusCode::OK, "{body}");

    let no_scope = json!({"scope": null});
    let (status, _) = world.impersonate(&federated, EMAIL, &no_scope).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn allowed_locations_are_answered_404_without_breaking() {
    let world = World::new();
    for path in [
        format!("/v1/projects/-/serviceAccounts/{EMAIL}/allowedLocations"),
        "/v1/projects/123456789012/locations/global/workloadIdentityPools/prod/allowedLocations".to_owned(),
    ] {
        let request = Request::get(&path).body(Body::empty()).unwrap();

        let (status, body) = send(world.sim.clone().iamcredentials_router(), request).await;

        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(body["error"]["status"], "NOT_FOUND", "{path}");
    }
}

#[tokio::test]
async fn another_method_of_the_api_is_refused_as_unsupported() {
    let world = World::with_provider(settings());
    let bearer = world.federated_token().await;
    let request = Request::post(format!("/v1/projects/-/serviceAccounts/{EMAIL}:signJwt"))
        .header(header::AUTHORIZATION, format!("Bearer {bearer}"))
        .body(Body::from("{}"))
        .unwrap();

    let (status, _) = send(world.sim.clone().iamcredentials_router(), request).await;

    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn unsupported_parameters_and_options_are_refused_not_ignored() {
    let world = World::with_provider(settings());
    for (name, value) in [
        ("actor_token", "x"),
        ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("options", r#"{"accessBoundary": {}}"#),
        ("options", r#"{"bindCertFingerprint": "x"}"#),
        ("options", "[]"),
    ] {
        let mut fields = request(&sign(&header_of("ES256", "k1"), &claims(world.now()), false));
        fields[name] = json!(value);

        let (status, body) = world.exchange(&form(&fields)).await;

        assert_eq!(status, StatusCode::BAD_REQUEST, "{name} {value}");
        assert_eq!(body["error"], "invalid_request", "{name} {value}");
    }
}

#[tokio::test]
async fn a_parameter_given_twice_is_refused() {
    let world = World::with_provider(settings());

    let (status, body) = world.exchange(&format!("{}&audience=x", good_form(&world))).await;

    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        body["error_description"],
        "The parameter audience is given more than once."
    );
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let world = World::with_provider(settings());
    let request = Request::post("/v1/token").body(Body::from(good_form(&world))).unwrap();

    assert_eq!(
        send(world.sim.clone().sts_router(), request).await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_token_that_is_none_is_refused() {
    let world = World::with_provider(settings());
    for token in ["a.b", "a.b.c", "bnVsbA.bnVsbA.x", "a.b.c.d"] {
        let (status, body) = world.exchange(&form(&request(token))).await;
        assert_eq!(
            (status, &body["error"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_grant")),
            "{token}"
        );
    }
}

#[tokio::test]
async fn claims_changed_after_signing_are_refused() {
    let world = World::with_provider(settings());
    let good = sign(&header_of("ES256", "k1"), &claims(world.now()), false);
    let mut changed = claims(world.now());
    changed["sub"] = json!("spiffe://prod.acme.example/admin");
    let other = sign(&header_of("ES256", "k1"), &changed, false);
    let (signed, _) = other.rsplit_once('.').unwrap();
    let (_, signature) = good.rsplit_once('.').unwrap();

    let (status, body) = world.exchange(&form(&request(&format!("{signed}.{signature}")))).await;

    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["error"], "invalid_grant");
}

#[tokio::test]
async fn the_algorithm_must_fit_the_key() {
    let world = World::with_provider(settings());

    let token = sign(&header_of("RS256", "k1"), &claims(world.now()), false);

    assert_eq!(world.exchange(&form(&request(&token))).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn every_exchange_fetches_the_issuers_documents_and_counts() {
    let world = World::with_provider(settings());

    world.exchange(&good_form(&world)).await;
    world.exchange(&good_form(&world)).await;

    assert_eq!(world.documents.fetched.load(Ordering::Relaxed), 2);
    assert_eq!(world.sim.calls(), 2);
}

#[tokio::test]
async fn mutations_meet_one_request_each_in_order() {
    let world = World::with_provider(settings());
    for mutation in [
        Mutation::Throttle,
        Mutation::ServerError,
        Mutation::Garbage,
        Mutation::Oversized,
    ] {
        world.sim.mutations().push(mutation);
    }
    let body = good_form(&world);

    let throttled = world.exchange(&body).await;
    assert_eq!(throttled.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(throttled.1["error"]["status"], "RESOURCE_EXHAUSTED");
    assert_eq!(world.exchange(&body).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(world.exchange(&body).await, (StatusCode::OK, Value::Null));
    assert_eq!(world.exchange(&body).await, (StatusCode::OK, Value::Null));
    assert_eq!(world.exchange(&body).await.1["token_type"], "Bearer");
}

#[tokio::test]
async fn a_mutation_also_meets_an_impersonation() {
    let world = World::with_provider(settings());
    let bearer = world.federated_token().await;
    world.sim.mutations().push(Mutation::Delay(Duration::from_millis(1)));
    world.sim.mutations().push(Mutation::ServerError);

    let delayed = world.impersonate(&bearer, EMAIL, &json!({"scope": [SCOPE]})).await;
    let failed = world.impersonate(&bearer, EMAIL, &json!({"scope": [SCOPE]})).await;

    assert_eq!(
        (delayed.0, failed.0),
        (StatusCode::FORBIDDEN, StatusCode::INTERNAL_SERVER_ERROR)
    );
}

#[test]
fn creations_refuse_what_exists_and_what_is_absent() {
    let world = World::with_provider(settings());
    let code = |result: Result<(), super::CreationRefused>| result.map_or_else(|why| why.code(), |()| "OK");
    let settings = || serde_json::from_value(settings()).unwrap();
    let elsewhere = || super::ProviderName::parse(&PROVIDER.replace("prod/", "other/")).unwrap();

    assert_eq!(code(world.sim.create_pool(123_456_789_012, "prod")), "ALREADY_EXISTS");
    assert_eq!(
        code(world.sim.create_provider(provider_name(), settings())),
        "ALREADY_EXISTS"
    );
    assert_eq!(
        code(world.sim.create_service_account(EMAIL, UNIQUE_ID)),
        "ALREADY_EXISTS"
    );
    assert_eq!(code(world.sim.create_provider(elsewhere(), settings())), "NOT_FOUND");
    assert_eq!(code(world.sim.bind("absent@x", MEMBER)), "NOT_FOUND");
    assert_eq!(code(world.sim.bind(EMAIL, "allUsers")), "INVALID_ARGUMENT");
    assert_eq!(
        code(world.sim.set_pool(1, "prod", super::Availability::Disabled)),
        "NOT_FOUND"
    );
    assert_eq!(
        code(world.sim.set_provider(&elsewhere(), super::Availability::Disabled)),
        "NOT_FOUND"
    );
}

#[test]
fn forgets_the_oldest_token_past_its_bound() {
    let world = World::new();
    let issue = || {
        let issued = super::Issued {
            holder: super::Holder::Account(EMAIL.to_owned()),
            scopes: Vec::new(),
            expires: std::time::UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX)),
        };
        world.sim.issue(issued).unwrap()
    };
    let first = issue();
    let second = issue();
    for _ in 2..super::REMEMBERED {
        issue();
    }
    assert!(world.sim.bearer(&first).is_some());

    issue();

    assert!(world.sim.bearer(&first).is_none());
    assert!(world.sim.bearer(&second).is_some());
}

#[test]
fn its_debug_form_holds_no_token() {
    assert_eq!(format!("{:?}", World::new().sim), "GcpSim { calls: 0, .. }");
}
