//! The client against the simulator, over HTTP and TLS.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{
    super::{
        Call,
        config::Settings,
        request::{Endpoint, Sts},
    },
    ground::{self, AUDIENCE, NOW, NOW_SECONDS, ROLE, RSA, aws},
};
use crate::{
    clock,
    exchange::{
        CloudCredential, CloudRefusal,
        aws::{self as shared, Refusal},
        aws_sts::sim::AwsSim,
        credential::Field,
    },
    jose::SigningAlgorithm,
    secret::Secret,
    sim::Mutation,
};

const SESSION: &str = "shop-deploy@0123456789ab";

fn settings() -> Settings {
    Settings {
        role_arn: ROLE.to_owned(),
        role: shared::arn::role_arn(ROLE).unwrap(),
        algorithm: SigningAlgorithm::Rs256,
        session_tags: Vec::new(),
        transitive_tags: Vec::new(),
        session_policy: None,
        policy_arns: Vec::new(),
    }
}

fn token(claims: &serde_json::Value) -> Secret {
    Secret::new(RSA.sign(&ground::header(), claims))
}

async fn plain(aws: &Arc<AwsSim>) -> Sts {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Arc::clone(aws).sts_router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    client(&url, None)
}

fn client(url: &str, ca_pem: Option<Vec<u8>>) -> Sts {
    Sts::new(&Endpoint {
        region: "eu-central-1".to_owned(),
        url: Some(url.to_owned()),
        ca_pem,
    })
    .unwrap()
}

async fn call(sts: &Sts, token: &Secret, duration: Duration) -> Result<CloudCredential, CloudRefusal> {
    let now = clock::parse_rfc3339(NOW).unwrap();
    let call = Call {
        session_name: SESSION,
        token,
        duration,
    };
    call.make(sts, &settings(), (&AUDIENCE.to_owned(), now)).await
}

async fn good_call(sts: &Sts) -> Result<CloudCredential, CloudRefusal> {
    call(sts, &token(&ground::claims(NOW_SECONDS)), Duration::from_mins(20)).await
}

#[tokio::test]
async fn a_call_gives_credentials_in_the_shape_of_the_sdks() {
    let aws = aws();
    let sts = plain(&aws).await;

    let credential = good_call(&sts).await.unwrap();

    assert_eq!(clock::rfc3339(credential.expires()), "2026-01-16T15:00:00Z");
    let names: Vec<&str> = credential.fields().iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "Version",
            "AccessKeyId",
            "SecretAccessKey",
            "SessionToken",
            "Expiration"
        ]
    );
    assert!(matches!(&credential.fields()[4].1, Field::Text(text) if text == "2026-01-16T15:00:00Z"));
    assert_eq!(aws.sessions().pop().unwrap().duration, Duration::from_mins(20));
}

#[tokio::test]
async fn tags_source_identity_and_policies_arrive() {
    let aws = aws();
    let mut trust = ground::trust_policy();
    trust["Statement"][0]["Action"] = json!([
        "sts:AssumeRoleWithWebIdentity",
        "sts:TagSession",
        "sts:SetSourceIdentity"
    ]);
    aws.update_trust_policy(ROLE, &trust.to_string()).unwrap();
    let sts = plain(&aws).await;
    let mut claims = ground::claims(NOW_SECONDS);
    claims["https://aws.amazon.com/tags"] =
        json!({"principal_tags": {"exchange_id": ["0123"]}, "transitive_tag_keys": ["exchange_id"]});
    claims["https://aws.amazon.com/source_identity"] = json!("shop.01234567");
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    let settings = Settings {
        session_policy: Some(policy.to_owned()),
        policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
        ..settings()
    };
    let token = token(&claims);
    let call = Call {
        session_name: SESSION,
        token: &token,
        duration: Duration::from_mins(15),
    };

    call.make(
        &sts,
        &settings,
        (&AUDIENCE.to_owned(), clock::parse_rfc3339(NOW).unwrap()),
    )
    .await
    .unwrap();

    let session = aws.sessions().pop().unwrap();
    assert_eq!(session.session_name, SESSION);
    assert_eq!(session.tags["exchange_id"], "0123");
    assert_eq!(session.transitive_keys, ["exchange_id"]);
    assert_eq!(session.source_identity.as_deref(), Some("shop.01234567"));
    assert_eq!(session.policy.as_deref(), Some(policy));
    assert_eq!(session.policy_arns, ["arn:aws:iam::aws:policy/ReadOnlyAccess"]);
}

#[tokio::test]
async fn a_refusal_keeps_the_clouds_code_and_text() {
    let aws = aws();
    let mut claims = ground::claims(NOW_SECONDS);
    claims["sub"] = json!("spiffe://prod.acme.example/ci/other");

    let refusal = call(&plain(&aws).await, &token(&claims), Duration::from_mins(20))
        .await
        .unwrap_err();

    let expected = CloudRefusal::Refused {
        cloud: "AWS STS",
        code: "AccessDenied".to_owned(),
        message: "Not authorized to perform sts:AssumeRoleWithWebIdentity".to_owned(),
        status: 403,
    };
    assert_eq!(refusal, expected);
    assert_eq!(aws.calls(), 1);
}

#[tokio::test]
async fn a_text_of_the_cloud_cannot_forge_a_log_line() {
    let aws = aws();
    aws.refuse_next(Refusal::no_provider(&format!("x\r\nadmin\u{202e}{}", "y".repeat(600))));

    let refusal = good_call(&plain(&aws).await).await.unwrap_err();

    let CloudRefusal::Refused { message, .. } = refusal else {
        panic!("{refusal:?}")
    };
    assert!(
        message.len() <= 512
            && message
                .chars()
                .all(|character| character.is_ascii_graphic() || character == ' ')
    );
}

#[tokio::test]
async fn one_throttling_is_tried_again() {
    let aws = aws();
    aws.mutations().push(Mutation::Throttle);

    let credential = good_call(&plain(&aws).await).await;

    assert!(credential.is_ok(), "{credential:?}");
    assert_eq!(aws.calls(), 2);
}

#[tokio::test]
async fn two_throttlings_are_reported_with_the_clouds_code() {
    let aws = aws();
    aws.mutations().push(Mutation::Throttle);
    aws.mutations().push(Mutation::Throttle);

    let refusal = good_call(&plain(&aws).await).await.unwrap_err();

    assert!(
        matches!(&refusal, CloudRefusal::Throttled { code, .. } if code == "Throttling"),
        "{refusal:?}"
    );
    assert_eq!(aws.calls(), 2);
}

#[tokio::test]
async fn two_server_errors_are_unavailability() {
    let aws = aws();
    aws.mutations().push(Mutation::ServerError);
    aws.mutations().push(Mutation::ServerError);

    let refusal = good_call(&plain(&aws).await).await.unwrap_err();

    assert!(
        matches!(&refusal, CloudRefusal::Unavailable { reason, .. } if reason.starts_with("InternalFailure (HTTP 500)")),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn a_provider_that_aws_cannot_reach_is_unavailability() {
    let aws = aws();
    aws.refuse_next(Refusal::provider_unreachable());
    aws.refuse_next(Refusal::provider_unreachable());

    let refusal = good_call(&plain(&aws).await).await.unwrap_err();

    assert!(
        matches!(&refusal, CloudRefusal::Unavailable { reason, .. } if reason.starts_with("IDPCommunicationError")),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn an_answer_that_is_not_the_protocol_is_garbage() {
    let aws = aws();
    for _attempt in 0..2 {
        aws.mutations().push(Mutation::Garbage);
    }

    let refusal = good_call(&plain(&aws).await).await.unwrap_err();

    assert!(matches!(refusal, CloudRefusal::Garbage { .. }), "{refusal:?}");
}

#[tokio::test]
async fn an_endless_answer_is_not_read() {
    let aws = aws();
    for _attempt in 0..2 {
        aws.mutations().push(Mutation::Oversized);
    }

    let refusal = good_call(&plain(&aws).await).await.unwrap_err();

    assert_eq!(
        refusal,
        CloudRefusal::Oversized {
            cloud: "AWS STS",
            limit_bytes: 65_536
        }
    );
}

#[tokio::test]
async fn a_cloud_that_does_not_answer_is_given_up_after_ten_seconds() {
    let aws = aws();
    aws.mutations().push(Mutation::Delay(Duration::from_secs(30)));
    let begun = std::time::Instant::now();

    let refusal = good_call(&plain(&aws).await).await.unwrap_err();

    assert!(matches!(refusal, CloudRefusal::Unavailable { .. }), "{refusal:?}");
    assert!((9..15).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_cloud_that_is_not_there_is_unavailable() {
    let refusal = good_call(&client("http://127.0.0.1:1", None)).await.unwrap_err();

    assert!(matches!(refusal, CloudRefusal::Unavailable { .. }), "{refusal:?}");
}

// Preflight: nothing is sent.

async fn refused_before_sending(claims: serde_json::Value, duration: Duration) -> String {
    let aws = aws();

    let refusal = call(&plain(&aws).await, &token(&claims), duration).await.unwrap_err();

    assert_eq!(aws.calls(), 0);
    let CloudRefusal::Preflight { code, .. } = refusal else {
        panic!("{refusal:?}")
    };
    code
}

#[tokio::test]
async fn a_duration_below_900_s_is_not_sent() {
    let code = refused_before_sending(ground::claims(NOW_SECONDS), Duration::from_secs(899)).await;

    assert_eq!(code, "ValidationError");
}

#[tokio::test]
async fn an_expired_svid_is_not_sent() {
    let code = refused_before_sending(ground::claims(NOW_SECONDS - 300), Duration::from_mins(15)).await;

    assert_eq!(code, "ExpiredTokenException");
}

#[tokio::test]
async fn an_svid_for_another_audience_is_not_sent() {
    let mut claims = ground::claims(NOW_SECONDS);
    claims["aud"] = json!("https://id.acme.example/aws/210987654321");

    assert_eq!(
        refused_before_sending(claims, Duration::from_mins(15)).await,
        "InvalidIdentityToken"
    );
}

// TLS.

pub(super) struct Authority {
    pub(super) pem: String,
    pub(super) config: rustls::ServerConfig,
}

pub(super) fn authority() -> Authority {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    Authority {
        pem: certificate.pem(),
        config,
    }
}

pub(super) fn serve_tls(listener: TcpListener, router: Router, acceptor: TlsAcceptor) {
    tokio::spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            let (acceptor, router) = (acceptor.clone(), router.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = TowerToHyperService::new(router);
                let _closed = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
}

async fn tls(aws: &Arc<AwsSim>, config: rustls::ServerConfig) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    serve_tls(listener, Arc::clone(aws).sts_router(), Arc::new(config).into());
    url
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_configured() {
    let (aws, authority) = (aws(), authority());
    let url = tls(&aws, authority.config).await;

    let credential = good_call(&client(&url, Some(authority.pem.into_bytes()))).await;

    assert!(credential.is_ok(), "{credential:?}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_ends_the_call_before_the_svid_is_sent() {
    let (aws, authority, other) = (aws(), authority(), authority());
    let url = tls(&aws, authority.config).await;

    let refusal = good_call(&client(&url, Some(other.pem.into_bytes())))
        .await
        .unwrap_err();

    assert!(matches!(refusal, CloudRefusal::Unavailable { .. }), "{refusal:?}");
    assert_eq!(aws.calls(), 0);
}
