//! The client against the simulator over TLS, and the configuration table.

mod certificate;
pub(super) mod vectors;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use axum::Router;
use gcp_auth::TokenProvider as _;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio_rustls::TlsAcceptor;

use self::vectors::{FakeDocuments, NOW, SUBJECT, claims, header_of, sign};
use super::{
    BUILTIN, CALLER_SCOPE, CLOUD, GcpSts, Presented, SubjectToken, configured,
    federated::Federated,
    preflight,
    response::{self, Answer},
    rules::{limits::LifetimeExtension, provider::ProviderName},
    sim::{Availability, GcpSim},
};
use crate::{
    attest::Misconfigured,
    authorize::{LifetimeMode, RelyingPartyName},
    bounded_file::sample,
    clock::{Clock as _, FakeClock, unix_seconds},
    exchange::{CloudCredential, CloudRefusal, RelyingParty as _, RelyingPartyContext, credential::Field},
    secret::{Secret, SystemRandom},
    sim::{Bound, Ground, Listen, Mutation},
    spiffe::TrustDomain,
};

const ISSUER: &str = "https://id.acme.example";
const PROVIDER: &str =
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/cambio-dev/providers/cambio";
const ACCOUNT: &str = "deploy@acme-dev.iam.gserviceaccount.com";

/// Serves TLS on loopback under one throw-away CA, as long as the test runs.
#[derive(Debug)]
struct Loopback {
    tls: Arc<rustls::ServerConfig>,
    ca_file: PathBuf,
    _directory: tempfile::TempDir,
}

impl Loopback {
    fn new() -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, authority.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        Self {
            tls: Arc::new(tls),
            ca_file,
            _directory: directory,
        }
    }
}

impl Listen for Loopback {
    fn bind(&self) -> io::Result<Bound> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("https://{}", listener.local_addr()?);
        let acceptor = TlsAcceptor::from(self.tls.clone());
        let serve = move |router: Router| {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, router) = (acceptor.clone(), router.clone());
                    tokio::spawn(async move {
                        let Ok(stream) = acceptor.accept(stream).await else {
                            return;
                        };
                        let server = auto::Builder::new(TokioExecutor::new());
                        let _closed = server
                            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
                            .await;
                    });
                }
            });
        };
        Ok(Bound {
            url,
            serve: Box::new(serve),
        })
    }
}

/// The seeded simulator behind TLS, and what configures a client for it.
struct World {
    sim: Arc<GcpSim>,
    documents: Arc<FakeDocuments>,
    clock: Arc<FakeClock>,
    table: toml::Table,
    loopback: Arc<Loopback>,
}

impl World {
    async fn start() -> Self {
        let loopback = Arc::new(Loopback::new());
        let documents = Arc::new(FakeDocuments::default());
        let clock = FakeClock::at(NOW);
        let ground = Ground {
            documents: documents.clone(),
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            issuer: ISSUER.to_owned(),
            subject: SUBJECT.to_owned(),
            listen: loopback.clone(),
            ca_file: loopback.ca_file.clone(),
            directory: PathBuf::new(),
        };
        let seeded = (BUILTIN.sim.unwrap())(ground).await.unwrap();
        assert_eq!((seeded.name, seeded.section), ("gcp-dev", "gcp"));
        assert_eq!(seeded.ready["audience"], PROVIDER);
        let mut table = seeded.relying_party;
        assert_eq!(table.remove("kind"), Some("gcp_sts".into()));
        Self {
            sim: seeded.simulator.downcast().unwrap(),
            documents,
            clock,
            table,
            loopback,
        }
    }

    fn party(&self, change: impl FnOnce(&mut toml::Table)) -> GcpSts {
        let mut table = self.table.clone();
        change(&mut table);
        configured(context(self.clock.clone()), table).unwrap()
    }

    fn impersonating(&self) -> GcpSts {
        self.party(|_| {})
    }

    fn federated(&self) -> GcpSts {
        self.party(|table| {
            table.remove("service_account");
        })
    }

    fn svid(&self) -> Secret {
        self.svid_with(|_| {})
    }

    fn svid_with(&self, change: impl FnOnce(&mut Value)) -> Secret {
        let mut claims = claims(unix_seconds(self.clock.now()));
        claims["aud"] = PROVIDER.into();
        change(&mut claims);
        Secret::new(sign(&header_of("RS256", "r1"), &claims, false))
    }

    async fn fetch(&self, party: &GcpSts, svid: &Secret) -> Result<CloudCredential, CloudRefusal> {
        let now = self.clock.now();
        let presented = Presented {
            subject: SubjectToken::Jwt(svid),
            ends: now + Duration::from_mins(5),
            lifetime: Duration::from_mins(20),
        };
        party.fetch(&presented, now).await
    }

    async fn principal(&self, credential: &CloudCredential) -> String {
        let url = format!(
            "{}/v1/tokeninfo",
            self.table["iamcredentials_endpoint"].as_str().unwrap()
        );
        let ca = std::fs::read(&self.loopback.ca_file).unwrap();
        let answer = super::request::client(Some(reqwest::Certificate::from_pem_bundle(&ca).unwrap()), None)
            .unwrap()
            .get(url)
            .bearer_auth(credential.bearer().unwrap().expose())
            .send()
            .await
            .unwrap();
        let body: Value = answer.json().await.unwrap();
        body["principal"].as_str().unwrap_or("nobody").to_owned()
    }
}

fn context(clock: Arc<FakeClock>) -> RelyingPartyContext {
    RelyingPartyContext {
        name: RelyingPartyName::parse("gcp-prod").unwrap(),
        issuer: ISSUER.to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        clock,
    }
}

fn read(table: &str) -> Result<GcpSts, Misconfigured> {
    configured(context(FakeClock::at(NOW)), table.parse().unwrap())
}

fn misconfigured(more: &str) -> Misconfigured {
    read(&format!("provider = \"{PROVIDER}\"\n{more}")).unwrap_err()
}

fn field<'a>(credential: &'a CloudCredential, name: &str) -> &'a Field {
    let (_, field) = credential.fields().iter().find(|(field, _)| *field == name).unwrap();
    field
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        retry_after: None,
        body: body.into(),
    }
}

fn now() -> SystemTime {
    FakeClock::at(NOW).now()
}

// ---- exchanges

#[tokio::test]
async fn an_impersonated_token_lives_as_long_as_permitted_and_is_accepted() {
    let world = World::start().await;

    let credential = world.fetch(&world.impersonating(), &world.svid()).await.unwrap();

    assert_eq!(credential.expires(), world.clock.now() + Duration::from_mins(20));
    let ends = unix_seconds(world.clock.now()) + 1200;
    assert!(matches!(field(&credential, "expires_in"), Field::SecondsLeft));
    assert!(matches!(field(&credential, "expires_on"), Field::Number(seconds) if *seconds == ends));
    assert!(matches!(field(&credential, "token_type"), Field::Text(text) if text == "Bearer"));
    assert!(matches!(field(&credential, "access_token"), Field::Secret(_)));
    assert_eq!(world.principal(&credential).await, format!("serviceAccount:{ACCOUNT}"));
    assert_eq!(world.sim.calls(), 2);
}

#[tokio::test]
async fn a_federated_token_ends_with_the_svid_and_is_accepted() {
    let world = World::start().await;

    let credential = world.fetch(&world.federated(), &world.svid()).await.unwrap();

    assert_eq!(credential.expires(), world.clock.now() + Duration::from_mins(5));
    assert!(
        world
            .principal(&credential)
            .await
            .ends_with(&format!("/subject/{SUBJECT}"))
    );
    assert_eq!(world.sim.calls(), 1);
}

#[tokio::test]
async fn delegates_are_walked_in_order() {
    let world = World::start().await;
    let (first, target) = (
        "first@acme-dev.iam.gserviceaccount.com",
        "target@acme-dev.iam.gserviceaccount.com",
    );
    world.sim.create_service_account(first, "2").unwrap();
    world.sim.create_service_account(target, "3").unwrap();
    world.sim.bind(first, &format!("serviceAccount:{ACCOUNT}")).unwrap();
    world.sim.bind(target, &format!("serviceAccount:{first}")).unwrap();
    let party = world.party(|table| {
        table.insert("service_account".to_owned(), target.into());
        table.insert("delegates".to_owned(), vec![ACCOUNT, first].into());
    });

    let credential = world.fetch(&party, &world.svid()).await.unwrap();

    assert_eq!(world.principal(&credential).await, format!("serviceAccount:{target}"));
}

#[tokio::test]
async fn a_lifetime_over_an_hour_needs_googles_policy() {
    let world = World::start().await;
    let party = world.party(|table| {
        table.insert("lifetime".to_owned(), "12h".into());
    });
    let svid = world.svid();
    let presented = Presented {
        subject: SubjectToken::Jwt(&svid),
        ends: now() + Duration::from_mins(5),
        lifetime: Duration::from_hours(12),
    };

    let refused = party.fetch(&presented, now()).await.unwrap_err();
    assert_eq!(
        refused,
        CloudRefusal::Refused {
            cloud: CLOUD,
            code: "INVALID_ARGUMENT".to_owned(),
            message: "The access token lifetime cannot exceed 3600 seconds.".to_owned(),
            status: 400,
        }
    );

    world
        .sim
        .set_lifetime_extension(ACCOUNT, LifetimeExtension::Allowed)
        .unwrap();
    let credential = party.fetch(&presented, now()).await.unwrap();
    assert_eq!(credential.expires(), now() + Duration::from_hours(12));
}

#[tokio::test]
async fn time_spent_before_the_impersonation_is_taken_off() {
    let world = World::start().await;
    let party = world.impersonating();
    let svid = world.svid();
    let presented = Presented {
        subject: SubjectToken::Jwt(&svid),
        ends: now() + Duration::from_mins(5),
        lifetime: Duration::from_mins(20),
    };
    world.clock.advance(Duration::from_secs(45));

    let credential = party.fetch(&presented, now()).await.unwrap();

    assert_eq!(credential.expires(), now() + Duration::from_mins(20));
}

#[tokio::test]
async fn keeps_googles_own_code_and_text() {
    let world = World::start().await;
    let svid = world.svid_with(|claims| claims["sub"] = "spiffe://prod.acme.example/other".into());

    let refused = world.fetch(&world.impersonating(), &svid).await.unwrap_err();

    assert_eq!(refused.code(), "exchange.cloud_refused");
    assert_eq!(refused.cloud_code(), Some("unauthorized_client"));
    assert_eq!(
        refused.to_string(),
        "Google refused with `unauthorized_client`: The given credential is rejected by the attribute condition."
    );
}

#[tokio::test]
async fn a_missing_binding_is_refused_with_the_permission() {
    let world = World::start().await;
    world
        .sim
        .create_service_account("other@acme-dev.iam.gserviceaccount.com", "2")
        .unwrap();
    let party = world.party(|table| {
        table.insert(
            "service_account".to_owned(),
            "other@acme-dev.iam.gserviceaccount.com".into(),
        );
    });

    let refused = world.fetch(&party, &world.svid()).await.unwrap_err();

    assert_eq!(refused.cloud_code(), Some("PERMISSION_DENIED"));
}

#[tokio::test]
async fn a_disabled_pool_and_an_unreachable_issuer_are_told_apart() {
    let world = World::start().await;
    world.documents.unreachable.store(true, Ordering::Relaxed);
    let unreachable = world.fetch(&world.federated(), &world.svid()).await.unwrap_err();
    world
        .sim
        .set_pool(123_456_789_012, "cambio-dev", Availability::Disabled)
        .unwrap();
    let disabled = world.fetch(&world.federated(), &world.svid()).await.unwrap_err();

    assert_eq!(unreachable.cloud_code(), Some("invalid_grant"));
    assert_eq!(disabled.cloud_code(), Some("invalid_target"));
}

#[tokio::test]
async fn one_server_error_is_tried_again_and_two_are_unavailable() {
    let world = World::start().await;
    world.sim.mutations().push(Mutation::ServerError);
    assert!(world.fetch(&world.federated(), &world.svid()).await.is_ok());
    assert_eq!(world.sim.calls(), 2);

    world.sim.mutations().push(Mutation::ServerError);
    world.sim.mutations().push(Mutation::ServerError);
    let refused = world.fetch(&world.federated(), &world.svid()).await.unwrap_err();

    assert_eq!(refused.to_string(), "Google is unavailable: status 500 with INTERNAL");
    assert_eq!(world.sim.calls(), 4);
}

#[tokio::test]
async fn throttling_is_not_tried_again() {
    let world = World::start().await;
    world.sim.mutations().push(Mutation::Throttle);

    let refused = world.fetch(&world.federated(), &world.svid()).await.unwrap_err();

    assert!(
        matches!(refused, CloudRefusal::Throttled { ref code, .. } if code == "RESOURCE_EXHAUSTED"),
        "{refused}"
    );
    assert_eq!(world.sim.calls(), 1);
}

#[tokio::test]
async fn garbage_and_oversized_answers_are_told_apart_and_not_tried_again() {
    let world = World::start().await;
    world.sim.mutations().push(Mutation::Garbage);
    world.sim.mutations().push(Mutation::Oversized);

    let garbage = world.fetch(&world.federated(), &world.svid()).await.unwrap_err();
    let oversized = world.fetch(&world.federated(), &world.svid()).await.unwrap_err();

    assert_eq!(
        garbage.to_string(),
        "Google answered status 200 with Syntax JSON, expected a token response"
    );
    assert_eq!(oversized.to_string(), "Google answered more than 65536 bytes");
    assert_eq!(world.sim.calls(), 2);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let world = World::start().await;
    let closed = world.loopback.bind().unwrap().url;
    let party = world.party(|table| {
        table.insert("sts_endpoint".to_owned(), closed.into());
    });

    let refused = world.fetch(&party, &world.svid()).await.unwrap_err();

    assert_eq!(refused.code(), "exchange.cloud_unavailable");
    assert!(refused.to_string().contains("no connection"), "{refused}");
}

#[tokio::test]
async fn a_server_under_another_ca_is_unavailable() {
    let world = World::start().await;
    let other = Loopback::new();
    let party = world.party(|table| {
        table.insert("ca_file".to_owned(), other.ca_file.display().to_string().into());
    });

    let refused = world.fetch(&party, &world.svid()).await.unwrap_err();

    assert!(matches!(refused, CloudRefusal::Unavailable { .. }), "{refused}");
    assert_eq!(world.sim.calls(), 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let world = World::start().await;
    let bound = world.loopback.bind().unwrap();
    let target = format!("{}/v1/token", world.table["sts_endpoint"].as_str().unwrap());
    (bound.serve)(Router::new().fallback(move || async move { axum::response::Redirect::temporary(&target) }));
    let party = world.party(|table| {
        table.insert("sts_endpoint".to_owned(), bound.url.clone().into());
    });

    let refused = world.fetch(&party, &world.svid()).await.unwrap_err();

    assert_eq!(
        refused.to_string(),
        "Google answered status 307, expected status 200 or an error of Google's"
    );
    assert_eq!(world.sim.calls(), 0);
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_unavailable() {
    let never = std::future::pending::<Result<(), CloudRefusal>>();

    let refused = super::request::within(Duration::from_millis(5), never)
        .await
        .unwrap_err();

    assert_eq!(refused.code(), "exchange.cloud_unavailable");
}

// ---- preflight

#[tokio::test]
async fn what_google_would_refuse_is_not_sent() {
    let world = World::start().await;
    let party = world.federated();
    for (code, svid) in [
        (
            "invalid_grant",
            world.svid_with(|claims| claims["aud"] = "sts.amazonaws.com".into()),
        ),
        (
            "invalid_grant",
            world.svid_with(|claims| claims["iss"] = "https://id.other.example".into()),
        ),
        (
            "invalid_grant",
            world.svid_with(|claims| claims["exp"] = unix_seconds(now()).into()),
        ),
        (
            "invalid_request",
            world.svid_with(|claims| claims["sub"] = "x".repeat(128).into()),
        ),
        ("invalid_grant", Secret::new("no token")),
    ] {
        let refused = world.fetch(&party, &svid).await.unwrap_err();
        assert_eq!(refused.code(), "exchange.preflight_refused");
        assert_eq!(refused.cloud_code(), Some(code), "{refused}");
    }
    assert_eq!(world.sim.calls(), 0);
}

#[test]
fn a_subject_of_127_bytes_passes_the_preflight_and_of_128_does_not() {
    assert!(preflight::subject(&"a".repeat(127)).is_ok());
    assert_eq!(
        preflight::subject(&"a".repeat(128)).unwrap_err().to_string(),
        "Google would refuse this with `invalid_request`: the subject has 128 bytes, \
         Google takes at most 127 as google.subject"
    );
}

// ---- answers

#[test]
fn reads_a_life_of_1_to_3600_seconds_as_number_or_text() {
    let life = |value: &str| {
        let body = format!(r#"{{"access_token":"t","token_type":"Bearer","expires_in":{value}}}"#);
        response::federated(&answer(200, &body), now()).map(|granted| granted.expires.duration_since(now()).unwrap())
    };

    assert_eq!(life("1").unwrap(), Duration::from_secs(1));
    assert_eq!(life("\"3599\"").unwrap(), Duration::from_secs(3599));
    assert_eq!(life("3600").unwrap(), Duration::from_hours(1));
    for wrong in ["0", "3601", "-1", "1.5", "\"\"", "null", "[]"] {
        assert!(matches!(life(wrong), Err(CloudRefusal::Garbage { .. })), "{wrong}");
    }
}

#[test]
fn takes_a_token_of_12288_bytes_and_refuses_12289_an_empty_and_a_broken_one() {
    let token = |token: &str| {
        let body = serde_json::json!({"access_token": token, "token_type": "Bearer", "expires_in": 1}).to_string();
        response::federated(&answer(200, &body), now())
    };

    assert!(token(&"t".repeat(12_288)).is_ok());
    for wrong in [&"t".repeat(12_289), "", "a\r\nb", "a b"] {
        assert!(
            matches!(token(wrong), Err(CloudRefusal::Garbage { .. })),
            "{} bytes",
            wrong.len()
        );
    }
}

#[test]
fn another_token_type_is_garbage() {
    let body = r#"{"access_token":"t","token_type":"N_A","expires_in":1}"#;

    let refused = response::federated(&answer(200, body), now()).unwrap_err();

    assert_eq!(
        refused.to_string(),
        "Google answered the token type `N_A`, expected the token type `Bearer`"
    );
}

#[test]
fn an_expire_time_that_is_none_is_garbage() {
    let body = r#"{"accessToken":"t","expireTime":"tomorrow"}"#;

    let refused = response::impersonated(&answer(200, body)).unwrap_err();

    assert!(refused.to_string().contains("`tomorrow`"), "{refused}");
}

#[test]
fn a_token_that_outlives_what_was_permitted_is_refused_past_the_clock_leeway() {
    let until = |seconds: u64| {
        let body = format!(r#"{{"access_token":"t","token_type":"Bearer","expires_in":{seconds}}}"#);
        let granted = response::federated(&answer(200, &body), now()).unwrap();
        response::credential(granted, now() + Duration::from_mins(5), now())
    };

    assert_eq!(until(299).unwrap().expires(), now() + Duration::from_secs(299));
    assert_eq!(until(330).unwrap().expires(), now() + Duration::from_mins(5));
    assert!(matches!(until(331), Err(CloudRefusal::Garbage { .. })));
}

#[test]
fn a_token_that_has_ended_is_refused() {
    let body = r#"{"accessToken":"t","expireTime":"2026-01-16T14:40:00Z"}"#;
    let granted = response::impersonated(&answer(200, body)).unwrap();

    assert!(response::credential(granted, now() + Duration::from_mins(5), now()).is_err());
}

#[test]
fn reads_both_shapes_of_errors_and_escapes_their_texts() {
    let refused = |body: &str| response::impersonated(&answer(403, body)).unwrap_err().to_string();

    assert_eq!(
        refused(r#"{"error":"invalid_grant","error_description":"a\u202eb"}"#),
        "Google refused with `invalid_grant`: a\\u{202e}b"
    );
    assert_eq!(
        refused(r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#),
        "Google refused with `PERMISSION_DENIED`: no"
    );
    assert_eq!(
        refused("<html>"),
        "Google answered status 403 without an error, expected an error of Google's"
    );
}

#[test]
fn shows_512_bytes_of_a_foreign_text_and_no_more() {
    assert_eq!(response::shown(&"a".repeat(513)), "a".repeat(512));
}

#[test]
fn a_retry_after_is_kept_and_makes_a_503_a_throttling() {
    let answer = Answer {
        status: 503,
        retry_after: Some(7),
        body: Vec::new(),
    };

    assert!(!answer.is_transient());
    assert_eq!(
        response::impersonated(&answer).unwrap_err(),
        CloudRefusal::Throttled {
            cloud: CLOUD,
            code: "status 503".to_owned(),
            retry_after: Some(Duration::from_secs(7)),
        }
    );
}

#[tokio::test]
async fn a_federated_token_gives_itself_for_its_scope_only_and_shows_no_token() {
    let body = r#"{"access_token":"canary","token_type":"Bearer","expires_in":300}"#;
    let granted = response::federated(&answer(200, body), now()).unwrap();
    let federated = Federated::new(&granted, CALLER_SCOPE, now()).unwrap();

    assert_eq!(federated.token(&[CALLER_SCOPE]).await.unwrap().as_str(), "canary");
    assert!(federated.token(&["https://www.googleapis.com/auth/iam"]).await.is_err());
    assert!(federated.token(&[]).await.is_err());
    assert!(federated.project_id().await.is_err());
    assert!(!format!("{federated:?} {granted:?}").contains("canary"));
}

// ---- configuration

#[test]
fn the_sample_configures() {
    let party = read(BUILTIN.sample).unwrap();

    assert_eq!(party.kind(), "gcp_sts");
    assert_eq!(party.name().as_str(), "gcp-prod");
    assert_eq!(party.terms().lifetime_mode, LifetimeMode::Requested);
    assert_eq!(party.terms().maximum, Duration::from_hours(1));
    assert_eq!(party.terms().audience, party.provider.to_string());
    assert_eq!(party.upstream().unwrap().key, "gcp_sts/123456789012");
    assert_eq!(party.upstream().unwrap().per_second, 100);
    assert_eq!(party.scope(), Some(CALLER_SCOPE));
}

#[test]
fn without_an_account_the_credential_follows_the_svid() {
    let party = read(&format!("provider = \"{PROVIDER}\"")).unwrap();

    assert_eq!(party.terms().lifetime_mode, LifetimeMode::FollowsSvid);
    assert_eq!(party.terms().maximum, Duration::from_hours(1));
    assert!(!party.terms().svid_is_credential);
    assert_eq!(party.provider, ProviderName::parse(PROVIDER).unwrap());
}

#[test]
fn a_provider_that_is_none_is_refused_with_what_is_expected() {
    for wrong in [
        PROVIDER.replace("//iam", "iam"),
        PROVIDER.replace("123456789012", "acme-prod"),
        PROVIDER.replace("cambio-dev", "gcp-dev"),
    ] {
        let refused = read(&format!("provider = \"{wrong}\"")).unwrap_err();
        assert_eq!(refused.key, "provider", "{refused}");
        assert_eq!(refused.code, "config.gcp_sts_invalid");
    }
}

#[test]
fn each_wrong_value_is_refused_under_its_key() {
    let account = format!("service_account = \"{ACCOUNT}\"\n");
    for (key, more) in [
        ("", "colour = 1".to_owned()),
        ("", "algorithm = \"ES384\"".to_owned()),
        ("scopes", "scopes = []".to_owned()),
        ("scopes", "scopes = [\"a b\"]".to_owned()),
        ("service_account", "service_account = \"me@example.org\"".to_owned()),
        (
            "service_account",
            "service_account = \"a/b@x.gserviceaccount.com\"".to_owned(),
        ),
        ("service_account", "service_account = \"\"".to_owned()),
        ("delegates", format!("delegates = [\"{ACCOUNT}\"]")),
        ("delegates", format!("{account}delegates = [\"x\"]")),
        ("lifetime", "lifetime = \"1h\"".to_owned()),
        ("lifetime", format!("{account}lifetime = \"43201s\"")),
        ("lifetime", format!("{account}lifetime = \"0s\"")),
        ("lifetime", format!("{account}lifetime = \"1d\"")),
        ("lifetime", format!("{account}lifetime = \"\"")),
        ("lifetime", format!("{account}lifetime = \"1é\"")),
        ("subject", "subject = \"/ci/x\"".to_owned()),
        ("subject", "subject = \"/rp/\"".to_owned()),
        ("subject", "subject = \"/rp/a b\"".to_owned()),
        (
            "sts_endpoint",
            "sts_endpoint = \"http://sts.googleapis.com\"".to_owned(),
        ),
        (
            "sts_endpoint",
            "sts_endpoint = \"https://sts.googleapis.com/\"".to_owned(),
        ),
        (
            "iamcredentials_endpoint",
            "iamcredentials_endpoint = \"https://a@b.example\"".to_owned(),
        ),
        ("ca_file", "ca_file = \"/nonexistent/ca.pem\"".to_owned()),
    ] {
        let refused = misconfigured(&more);
        assert_eq!(refused.key, key, "{more}: {refused}");
    }
}

#[test]
fn takes_1_mib_of_authorities_and_refuses_one_byte_more() {
    for (bytes, key) in [(1024 * 1024, None), (1024 * 1024 + 1, Some("ca_file"))] {
        let file = sample::authorities(bytes);
        let named = format!("ca_file = '{}'", file.path().display());

        let refused = read(&format!("provider = \"{PROVIDER}\"\n{named}"))
            .err()
            .map(|refused| refused.key);

        assert_eq!(refused.as_deref(), key, "{bytes}");
    }
}

#[test]
fn a_lifetime_of_12_h_is_taken() {
    let table = format!("provider = \"{PROVIDER}\"\nservice_account = \"{ACCOUNT}\"\nlifetime = \"12h\"");

    assert_eq!(read(&table).unwrap().terms().maximum, Duration::from_hours(12));
}

#[test]
fn a_shaped_subject_of_127_bytes_loads_and_of_128_does_not() {
    // `spiffe://prod.acme.example` has 26 bytes and `/rp/` 4.
    let load = |bytes: usize| {
        let subject = format!("/rp/{}", "a".repeat(bytes - 30));
        read(&format!("provider = \"{PROVIDER}\"\nsubject = \"{subject}\"")).map(|_| ())
    };

    assert_eq!(load(127), Ok(()));
    assert_eq!(load(128).unwrap_err().key, "subject");
}

#[test]
fn a_templated_subject_is_measured_with_one_character_a_placeholder() {
    let load = |fixed: usize| {
        let subject = format!("/rp/{}{{ci.repo_id}}", "a".repeat(fixed - 30));
        read(&format!("provider = \"{PROVIDER}\"\nsubject = \"{subject}\"")).map(|_| ())
    };

    assert_eq!(load(126), Ok(()));
    assert_eq!(load(127).unwrap_err().key, "subject");
}

#[test]
fn the_request_digest_tells_apart_what_google_is_asked_for() {
    let base = format!("provider = \"{PROVIDER}\"\n");
    let variants: Vec<_> = [
        String::new(),
        "scopes = [\"https://www.googleapis.com/auth/devstorage.read_only\"]".to_owned(),
        format!("service_account = \"{ACCOUNT}\""),
        "service_account = \"1\"\ndelegates = [\"2\"]".to_owned(),
        "service_account = \"1\"\ndelegates = [\"2\", \"3\"]".to_owned(),
        "sts_endpoint = \"https://sts.other.example\"".to_owned(),
        "iamcredentials_endpoint = \"https://iamcredentials.other.example\"".to_owned(),
    ]
    .iter()
    .map(|more| read(&format!("{base}{more}")).unwrap().digest())
    .collect();

    for (index, digest) in variants.iter().enumerate() {
        assert_eq!(variants.iter().position(|other| other == digest), Some(index));
    }
    assert_eq!(variants[0], read(&base).unwrap().digest());
}

#[test]
fn certificates_are_exchanged_at_a_host_of_their_own_and_have_no_audience() {
    let party = read(&format!(
        "provider = '{PROVIDER}'\nx509 = true\nsubject = '/rp/gcp/shop'"
    ))
    .unwrap();

    assert_eq!(party.terms.audience, "spiffe://prod.acme.example");
    assert_eq!(party.google.sts(), "https://sts.mtls.googleapis.com");
    let token = read(&format!("provider = '{PROVIDER}'")).unwrap();
    assert_eq!(
        (&*token.terms.audience, token.google.sts()),
        (PROVIDER, "https://sts.googleapis.com")
    );
}

#[test]
fn an_algorithm_of_tokens_is_refused_for_certificates() {
    let refused = read(&format!("provider = '{PROVIDER}'\nx509 = true\nalgorithm = 'RS256'")).unwrap_err();

    assert_eq!(refused.key, "algorithm");
}
