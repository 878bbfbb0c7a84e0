//! The simulator as clients meet it, and its AWS in the AWS SDK's own eyes.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use aws_sdk_sts::{
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
};
use axum::{
    body::Body,
    http::{Request, header},
};

use super::ground::{self, AUDIENCE, NOW, ROLE, RSA, SUBJECT, aws, encoded, parameters, post, send};
use crate::{
    clock::{Clock, FakeClock, unix_seconds},
    exchange::aws_sts::sim::AwsSim,
    secret::SystemRandom,
    sim::{Documents, IssuerDocuments, Mutation, Unavailable},
};

fn token() -> String {
    RSA.sign(&ground::header(), &ground::claims(ground::NOW_SECONDS))
}

#[tokio::test]
async fn an_exchange_gives_the_documented_answer() {
    let aws = aws();

    let answer = post(&aws, &parameters(&token())).await;

    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.starts_with(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult>"
    ));
    assert_eq!(answer.text("SubjectFromWebIdentityToken").as_deref(), Some(SUBJECT));
    assert_eq!(answer.text("Audience").as_deref(), Some(AUDIENCE));
    assert_eq!(
        answer.text("Arn").as_deref(),
        Some("arn:aws:sts::123456789012:assumed-role/deploy/shop-deploy@0123456789ab")
    );
    assert_eq!(answer.text("Expiration").as_deref(), Some("2026-01-16T15:40:00Z"));
    let key = answer.text("AccessKeyId").unwrap();
    assert!(key.starts_with("ASIA") && key.len() == 20, "{key}");
    assert!(answer.text("AssumedRoleId").unwrap().starts_with("AROA"));
    assert_eq!(answer.text("RequestId").unwrap().len(), 36);
    assert_eq!(aws.calls(), 1);
}

#[tokio::test]
async fn a_get_with_a_query_is_taken_too() {
    let aws = aws();
    let request = Request::get(format!("/?{}", encoded(&parameters(&token()))))
        .body(Body::empty())
        .unwrap();

    let answer = send(&aws, request).await;

    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn an_authorization_header_is_ignored() {
    let aws = aws();
    let request = Request::post("/")
        .header(header::AUTHORIZATION, "AWS4-HMAC-SHA256 Credential=nonsense")
        .body(Body::from(encoded(&parameters(&token()))))
        .unwrap();

    let answer = send(&aws, request).await;

    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_parameter_that_stands_twice_is_refused() {
    let mut twice = parameters(&token());
    twice.push(("RoleArn".to_owned(), ROLE.to_owned()));

    let answer = post(&aws(), &twice).await;

    assert_eq!(answer.text("Code").as_deref(), Some("MalformedQueryString"));
}

#[tokio::test]
async fn another_action_or_version_is_refused() {
    let mut other = parameters(&token());
    other[1].1 = "2011-06-16".to_owned();

    let answer = post(&aws(), &other).await;

    assert_eq!(answer.text("Code").as_deref(), Some("InvalidAction"));
}

#[tokio::test]
async fn text_from_a_token_cannot_become_markup() {
    let mut claims = ground::claims(ground::NOW_SECONDS);
    claims["iss"] = "https://x/<Code>&'\"".into();

    let answer = post(&aws(), &parameters(&RSA.sign(&ground::header(), &claims))).await;

    assert!(
        answer.body.contains("https://x/&lt;Code&gt;&amp;&apos;&quot;"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_claim_changed_after_signing_is_refused() {
    let signed = token();
    let (head, signature) = signed.rsplit_once('.').unwrap();
    let mut claims = ground::claims(ground::NOW_SECONDS);
    claims["exp"] = (ground::NOW_SECONDS + 301).into();
    let forged = RSA.sign(&ground::header(), &claims);
    let (changed, _) = forged.rsplit_once('.').unwrap();
    assert_ne!(head, changed);

    let answer = post(&aws(), &parameters(&format!("{changed}.{signature}"))).await;

    assert_eq!(answer.text("Message").as_deref(), Some("Token signature invalid"));
}

#[tokio::test]
async fn a_refusal_keeps_the_reason_for_tests_only() {
    let aws = aws();
    let mut claims = ground::claims(ground::NOW_SECONDS);
    claims["sub"] = "spiffe://prod.acme.example/ci/other".into();

    let answer = post(&aws, &parameters(&RSA.sign(&ground::header(), &claims))).await;

    let detail = aws.refusals().pop().unwrap().detail.unwrap();
    assert!(!answer.body.contains("StringEquals"));
    assert_eq!(
        detail,
        format!(
            "sts:AssumeRoleWithWebIdentity is not allowed: statement 1, `id.acme.example:sub` is \
             `spiffe://prod.acme.example/ci/other`, StringEquals expects `{SUBJECT}`"
        )
    );
}

#[tokio::test]
async fn a_session_is_recorded_with_all_that_was_asked() {
    let aws = aws();
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    let mut asked = parameters(&token());
    for (name, value) in [
        ("Policy", policy),
        ("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
        ("DurationSeconds", "900"),
    ] {
        asked.push((name.to_owned(), value.to_owned()));
    }

    let answer = post(&aws, &asked).await;

    let session = aws.sessions().pop().unwrap();
    assert_eq!(session.role_arn, ROLE);
    assert_eq!(session.session_name, "shop-deploy@0123456789ab");
    assert_eq!(session.policy.as_deref(), Some(policy));
    assert_eq!(session.policy_arns, ["arn:aws:iam::aws:policy/ReadOnlyAccess"]);
    assert_eq!(session.duration, Duration::from_mins(15));
    assert_eq!(Some(session.access_key_id), answer.text("AccessKeyId"));
    assert!(answer.text("PackedPolicySize").is_some());
}

#[tokio::test]
async fn each_mutation_meets_exactly_one_request() {
    let aws = aws();
    for mutation in [
        Mutation::Garbage,
        Mutation::Oversized,
        Mutation::ServerError,
        Mutation::Throttle,
    ] {
        aws.mutations().push(mutation);
    }

    let garbage = post(&aws, &parameters(&token())).await;
    let oversized = post(&aws, &parameters(&token())).await;
    let failed = post(&aws, &parameters(&token())).await;
    let throttled = post(&aws, &parameters(&token())).await;
    let plain = post(&aws, &parameters(&token())).await;

    assert_eq!((garbage.status.as_u16(), garbage.text("Credentials")), (200, None));
    assert!(oversized.body.len() > 1024 * 1024);
    assert_eq!(
        (failed.status.as_u16(), failed.text("Type").as_deref()),
        (500, Some("Receiver"))
    );
    assert_eq!(throttled.text("Code").as_deref(), Some("Throttling"));
    assert_eq!(plain.status, 200);
    assert_eq!(aws.calls(), 5);
}

// GetCallerIdentity, signed by the AWS SDK.

struct Served {
    aws: Arc<AwsSim>,
    clock: Arc<FakeClock>,
    url: String,
    issued: Credentials,
}

/// Serves over plain HTTP at the host's time, because the SDK signs with it, and holds one set of credentials.
async fn served() -> Served {
    let clock = FakeClock::at(NOW);
    clock.set(crate::clock::system().now());
    let documents = ground::FakeDocuments::new(ground::discovery(), ground::jwks());
    let aws = ground::empty_aws(documents, Arc::clone(&clock));
    aws.create_oidc_provider(ground::provider()).unwrap();
    aws.create_role(ground::role()).unwrap();
    let now = i64::try_from(unix_seconds(clock.now())).unwrap();
    let answer = post(&aws, &parameters(&RSA.sign(&ground::header(), &ground::claims(now)))).await;
    let field = |name: &str| answer.text(name).unwrap();
    let issued = Credentials::new(
        field("AccessKeyId"),
        field("SecretAccessKey"),
        Some(field("SessionToken")),
        None,
        "test",
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Arc::clone(&aws).sts_router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Served {
        aws,
        clock,
        url,
        issued,
    }
}

/// Asks who holds `credentials`; the error's status and code where refused.
async fn identity(url: &str, credentials: Credentials) -> Result<String, (u16, String)> {
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(url)
        .retry_config(RetryConfig::disabled())
        .credentials_provider(credentials)
        .build();
    match aws_sdk_sts::Client::from_conf(config)
        .get_caller_identity()
        .send()
        .await
    {
        Ok(identity) => Ok(identity.arn().unwrap().to_owned()),
        Err(SdkError::ServiceError(error)) => Err((
            error.raw().status().as_u16(),
            error.err().code().unwrap_or("none").to_owned(),
        )),
        Err(other) => panic!("{other:?}"),
    }
}

fn changed(issued: &Credentials, key: Option<&str>, secret: Option<&str>, token: Option<&str>) -> Credentials {
    Credentials::new(
        key.unwrap_or(issued.access_key_id()),
        secret.unwrap_or(issued.secret_access_key()),
        token.or(issued.session_token()).map(str::to_owned),
        None,
        "test",
    )
}

#[tokio::test]
async fn issued_credentials_open_get_caller_identity() {
    let Served { url, issued, .. } = served().await;

    let arn = identity(&url, issued).await;

    assert_eq!(
        arn.unwrap(),
        "arn:aws:sts::123456789012:assumed-role/deploy/shop-deploy@0123456789ab"
    );
}

#[tokio::test]
async fn another_secret_key_does_not_match() {
    let Served { url, issued, .. } = served().await;

    let refused = identity(&url, changed(&issued, None, Some("wrong"), None)).await;

    assert_eq!(refused.unwrap_err(), (403, "SignatureDoesNotMatch".to_owned()));
}

#[tokio::test]
async fn an_unknown_access_key_is_refused() {
    let Served { url, issued, .. } = served().await;

    let refused = identity(&url, changed(&issued, Some("ASIAAAAAAAAAAAAAAAAA"), None, None)).await;

    assert_eq!(refused.unwrap_err(), (403, "InvalidClientTokenId".to_owned()));
}

#[tokio::test]
async fn another_session_token_is_refused() {
    let Served { url, issued, .. } = served().await;

    let refused = identity(&url, changed(&issued, None, None, Some("other"))).await;

    assert_eq!(refused.unwrap_err(), (403, "InvalidClientTokenId".to_owned()));
}

#[tokio::test]
async fn credentials_end_with_their_hour() {
    let Served { url, clock, issued, .. } = served().await;
    clock.advance(Duration::from_secs(3601));

    let refused = identity(&url, issued).await;

    assert_eq!(refused.unwrap_err(), (403, "ExpiredToken".to_owned()));
}

#[tokio::test]
async fn a_signature_of_another_quarter_hour_is_refused() {
    let Served { url, clock, issued, .. } = served().await;
    clock.advance(Duration::from_mins(16));

    let refused = identity(&url, issued).await;

    assert_eq!(refused.unwrap_err(), (403, "SignatureDoesNotMatch".to_owned()));
}

#[tokio::test]
async fn an_unsigned_get_caller_identity_is_refused() {
    let Served { aws, .. } = served().await;
    let asked = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];

    let answer = post(&aws, &asked.map(|(name, value)| (name.to_owned(), value.to_owned()))).await;

    assert_eq!(
        (answer.status.as_u16(), answer.text("Code").unwrap()),
        (403, "MissingAuthenticationToken".to_owned())
    );
}

/// Sends a GetCallerIdentity with headers of the caller's choice; returns status and code.
async fn signed_as(headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = Request::post("/")
        .header(header::HOST, "sts.test")
        .header("x-amz-date", "20260116T144000Z");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Body::from("Action=GetCallerIdentity&Version=2011-06-15");

    let answer = send(&aws(), request.body(body).unwrap()).await;

    (answer.status.as_u16(), answer.text("Code").unwrap())
}

const CREDENTIAL: &str = "AWS4-HMAC-SHA256 Credential=ASIAAAAAAAAAAAAAAAAA/20260116/eu-central-1/sts/aws4_request";

#[tokio::test]
async fn a_signature_without_signed_headers_is_incomplete() {
    let authorization = format!("{CREDENTIAL}, Signature=00");

    let refused = signed_as(&[("authorization", &authorization)]).await;

    assert_eq!(refused, (400, "IncompleteSignature".to_owned()));
}

#[tokio::test]
async fn a_signature_that_does_not_cover_the_host_is_incomplete() {
    let authorization = format!("{CREDENTIAL}, SignedHeaders=x-amz-date, Signature=00");

    let refused = signed_as(&[("authorization", &authorization)]).await;

    assert_eq!(refused, (400, "IncompleteSignature".to_owned()));
}

#[tokio::test]
async fn a_signature_for_another_service_does_not_match() {
    let authorization = format!("{CREDENTIAL}, SignedHeaders=host;x-amz-date, Signature=00").replace("/sts/", "/iam/");

    let refused = signed_as(&[("authorization", &authorization)]).await;

    assert_eq!(refused, (403, "SignatureDoesNotMatch".to_owned()));
}

#[tokio::test]
async fn an_amz_header_that_is_not_signed_does_not_match() {
    let authorization = format!("{CREDENTIAL}, SignedHeaders=host;x-amz-date, Signature=00");

    let refused = signed_as(&[("authorization", &authorization), ("x-amz-security-token", "added")]).await;

    assert_eq!(refused, (403, "SignatureDoesNotMatch".to_owned()));
}

/// An issuer that never answers.
#[derive(Debug)]
struct Silent;

impl IssuerDocuments for Silent {
    fn fetch<'a>(
        &'a self,
        _issuer: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Documents, Unavailable>> + Send + 'a>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn an_issuer_that_never_answers_is_given_up_after_five_seconds() {
    let aws = Arc::new(AwsSim::new(
        Arc::new(Silent),
        FakeClock::at(NOW),
        Arc::new(SystemRandom),
    ));
    aws.create_oidc_provider(ground::provider()).unwrap();
    aws.create_role(ground::role()).unwrap();
    let begun = std::time::Instant::now();

    let answer = post(&aws, &parameters(&token())).await;

    assert!(
        answer
            .text("Message")
            .unwrap()
            .starts_with("Couldn't retrieve verification key")
    );
    assert!((4..8).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}
