//! The plugin against the simulated cloud, over TLS.

use std::{
    net::TcpListener,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use axum::{Router, response::Redirect, routing::post};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::super::*;
use crate::{
    clock::{self, Clock as _, FakeClock},
    exchange::{
        azure_entra::{
            sim::{
                Behaviour, EntraSim, Separator,
                tests::{CLIENT, Cloud, FakeDocuments, TENANT, signed},
            },
            tests::vectors,
        },
        credential::Field,
    },
    secret::SystemRandom,
    sim::{Bound, Ground, Listen, Mutation},
    spiffe::TrustDomain,
};

/// A throw-away certificate for loopback, and where it lies.
#[derive(Debug)]
struct Loopback {
    directory: TempDir,
    certificate: rustls::pki_types::CertificateDer<'static>,
    key: Vec<u8>,
}

impl Loopback {
    fn new() -> Self {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), cert.pem()).unwrap();
        Self {
            directory,
            certificate: cert.der().clone(),
            key: signing_key.serialize_der(),
        }
    }

    fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let configuration = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(configuration))
    }

    fn serve(&self, router: Router) -> String {
        let bound = self.bind().unwrap();
        (bound.serve)(router);
        bound.url
    }
}

impl Listen for Loopback {
    fn bind(&self) -> Result<Bound, std::io::Error> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("https://{}", listener.local_addr()?);
        let acceptor = self.acceptor();
        let serve = Box::new(move |router| {
            tokio::spawn(accept(listener, acceptor, router));
        });
        Ok(Bound { url, serve })
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _peer) = listener.accept().await.unwrap();
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let server = auto::Builder::new(TokioExecutor::new());
                let _closed = server.serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

/// The plugin, configured for a simulated cloud that is served over TLS.
struct World {
    cloud: Cloud,
    loopback: Loopback,
    relying_party: AzureEntra,
}

impl World {
    fn given(given: &Value) -> Self {
        let cloud = Cloud::given(given);
        let loopback = Loopback::new();
        let authority = loopback.serve(cloud.router.clone());
        let relying_party = plugin(&authority, Some(loopback.ca_file()));
        Self {
            cloud,
            loopback,
            relying_party,
        }
    }

    fn good() -> Self {
        Self::given(&Value::Null)
    }

    async fn exchange(&self) -> Result<CloudCredential, CloudRefusal> {
        self.exchange_for(&Value::Null).await
    }

    async fn exchange_for(&self, given: &Value) -> Result<CloudCredential, CloudRefusal> {
        let assertion = Secret::new(signed(given));
        self.relying_party.fetch(&assertion, self.cloud.clock.now()).await
    }

    fn meet(&self, mutations: impl IntoIterator<Item = Mutation>) {
        for mutation in mutations {
            self.cloud.sim.mutations().push(mutation);
        }
    }
}

fn plugin(authority: &str, ca_file: Option<PathBuf>) -> AzureEntra {
    let mut table = toml::Table::new();
    table.insert("tenant".to_owned(), TENANT.into());
    table.insert("client_id".to_owned(), CLIENT.into());
    table.insert("authority".to_owned(), authority.into());
    if let Some(ca_file) = ca_file {
        table.insert("ca_file".to_owned(), ca_file.to_str().unwrap().into());
    }
    let context = RelyingPartyContext {
        name: RelyingPartyName::parse("azure-prod").unwrap(),
        issuer: "https://id.acme.example".to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
    };
    configured(context, table).unwrap()
}

fn now() -> SystemTime {
    clock::parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

#[tokio::test]
async fn an_svid_becomes_a_token_that_the_cloud_accepts() {
    let world = World::good();

    let credential = world.exchange().await.unwrap();

    let accepted = world.cloud.accepts(credential.bearer().unwrap().expose()).await;
    assert_eq!(accepted.body["appid"], CLIENT);
    assert_eq!(accepted.body["resource"], "https://management.azure.com");
    assert_eq!(accepted.body["expires_on"], clock::unix_seconds(credential.expires()));
    let names: Vec<_> = credential.fields().iter().map(|(name, _field)| *name).collect();
    assert_eq!(names, ["access_token", "token_type", "expires_in", "expires_on"]);
    assert!(matches!(&credential.fields()[1].1, Field::Text(text) if text == "Bearer"));
    assert_eq!(world.cloud.sim.calls(), 1);
}

#[tokio::test]
async fn each_exchange_asks_the_cloud_anew_so_that_no_workload_gets_anothers_token() {
    let world = World::good();

    let first = world.exchange().await.unwrap();
    let second = world.exchange().await.unwrap();

    assert_ne!(first.bearer(), second.bearer());
    assert_eq!(world.cloud.sim.calls(), 2);
}

#[tokio::test]
async fn each_vector_of_an_assertion_reaches_the_caller_with_the_clouds_code() {
    let mut refused = 0;
    for row in vectors::rows("exchange") {
        let given = &row["given"];
        if !given["form"].is_null() || !given["tenant"].is_null() {
            continue;
        }
        let world = World::given(given);

        let found = world.exchange_for(given).await;

        if row["expect"].is_null() {
            assert!(found.is_ok(), "{found:?}, but: {row}");
            continue;
        }
        refused += 1;
        let found = found.unwrap_err();
        let code = format!("AADSTS{}", row["expect"]["code"]);
        assert_eq!(found.cloud_code(), Some(code.as_str()), "{found:?}, but: {row}");
    }
    assert!(refused > 15, "only {refused} rows were refused");
}

#[tokio::test]
async fn a_refusal_keeps_code_text_and_status_however_its_parts_are_separated() {
    for separator in [Separator::Lines, Separator::Blanks] {
        let world = World::given(&json!({"credentials": []}));
        world.cloud.sim.behave(Behaviour {
            separator,
            ..Behaviour::default()
        });

        let refusal = world.exchange().await.unwrap_err();

        assert_eq!(
            refusal,
            CloudRefusal::Refused {
                cloud: "Entra",
                code: "AADSTS70025".to_owned(),
                message: format!("The client '{CLIENT}' has no configured federated identity credentials."),
                status: 401,
            }
        );
        assert_eq!(world.cloud.sim.calls(), 1);
    }
}

#[tokio::test]
async fn a_throttled_call_is_not_repeated_and_its_pause_is_reported() {
    let world = World::good();
    world.meet([Mutation::Throttle]);

    let refusal = world.exchange().await.unwrap_err();

    assert_eq!(
        refusal,
        CloudRefusal::Throttled {
            cloud: "Entra",
            code: "AADSTS50196".to_owned(),
            retry_after: Some(Duration::from_mins(1)),
        }
    );
    assert_eq!(world.cloud.sim.calls(), 1);
}

#[tokio::test]
async fn one_server_error_is_tried_again() {
    let world = World::good();
    world.meet([Mutation::ServerError]);

    assert!(world.exchange().await.is_ok());
    assert_eq!(world.cloud.sim.calls(), 2);
}

#[tokio::test]
async fn two_server_errors_end_the_exchange() {
    let world = World::good();
    world.meet([Mutation::ServerError, Mutation::ServerError]);

    let refusal = world.exchange().await.unwrap_err();

    assert_eq!(refusal.to_string(), "Entra is unavailable: status 500 with AADSTS50000");
    assert_eq!(world.cloud.sim.calls(), 2);
}

#[tokio::test]
async fn garbage_is_told_from_a_refusal() {
    let world = World::good();
    world.meet([Mutation::Garbage]);

    let refusal = world.exchange().await.unwrap_err();

    assert!(matches!(refusal, CloudRefusal::Garbage { .. }), "{refusal:?}");
    assert_eq!(world.cloud.sim.calls(), 1);
}

#[tokio::test]
async fn an_oversized_answer_is_not_read_to_its_end() {
    let world = World::good();
    world.meet([Mutation::Oversized]);

    let refusal = world.exchange().await.unwrap_err();

    assert_eq!(
        refusal,
        CloudRefusal::Oversized {
            cloud: "Entra",
            limit_bytes: 65_536,
        }
    );
    assert_eq!(world.cloud.sim.calls(), 1);
}

#[tokio::test]
async fn an_answer_of_64_kib_is_read_and_a_byte_more_is_not() {
    for (bytes, is_read) in [(65_536, true), (65_537, false)] {
        let loopback = Loopback::new();
        let router = Router::new().fallback(post(move || async move { " ".repeat(bytes) }));
        let relying_party = plugin(&loopback.serve(router), Some(loopback.ca_file()));

        let refusal = relying_party
            .fetch(&Secret::new(signed(&Value::Null)), now())
            .await
            .unwrap_err();

        assert_eq!(matches!(refusal, CloudRefusal::Garbage { .. }), is_read, "{refusal:?}");
        assert_eq!(
            matches!(refusal, CloudRefusal::Oversized { .. }),
            !is_read,
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn a_slow_answer_is_unavailable_in_time() {
    let mut world = World::good();
    world.meet([Mutation::Delay(Duration::from_secs(5))]);
    let application = world.relying_party.application.clone();
    world.relying_party.application = application.with_patience(Duration::from_millis(300));

    let refusal = world.exchange().await.unwrap_err();

    assert_eq!(refusal.to_string(), "Entra is unavailable: no answer within 300ms");
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = format!("https://{}", listener.local_addr().unwrap());
    drop(listener);
    let relying_party = plugin(&authority, None);

    let refusal = relying_party
        .fetch(&Secret::new(signed(&Value::Null)), now())
        .await
        .unwrap_err();

    assert!(refusal.to_string().contains("no connection"), "{refusal}");
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_not_trusted() {
    let world = World::good();
    let authority = world.loopback.serve(world.cloud.router.clone());
    let relying_party = plugin(&authority, Some(Loopback::new().ca_file_kept()));

    let refusal = relying_party
        .fetch(&Secret::new(signed(&Value::Null)), now())
        .await
        .unwrap_err();

    assert!(refusal.to_string().contains("certificate"), "{refusal}");
    assert_eq!(world.cloud.sim.calls(), 0);
}

impl Loopback {
    fn ca_file_kept(self) -> PathBuf {
        self.directory.keep().join("ca.pem")
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let world = World::good();
    let elsewhere = world.loopback.serve(world.cloud.router.clone());
    let target = format!("{elsewhere}/{TENANT}/oauth2/v2.0/token");
    let router = Router::new().fallback(post(move || async move { Redirect::temporary(&target) }));
    let relying_party = plugin(&world.loopback.serve(router), Some(world.loopback.ca_file()));

    let refusal = relying_party
        .fetch(&Secret::new(signed(&Value::Null)), now())
        .await
        .unwrap_err();

    assert_eq!(
        refusal.to_string(),
        "Entra answered status 307, expected status 200 or an OAuth error"
    );
    assert_eq!(world.cloud.sim.calls(), 0);
}

#[tokio::test]
async fn what_the_rules_refuse_is_not_sent() {
    let world = World::good();
    let expired = json!({"claims": {"exp": 1_768_574_400}});

    let refusal = world.exchange_for(&expired).await.unwrap_err();

    assert!(
        matches!(&refusal, CloudRefusal::Preflight { code, .. } if code == "AADSTS700024"),
        "{refusal:?}"
    );
    assert_eq!(world.cloud.sim.calls(), 0);
}

#[tokio::test]
async fn dec_11_a_subject_of_601_characters_is_not_sent() {
    let world = World::good();
    let long = json!({"claims": {"sub": "s".repeat(601)}});

    let refusal = world.exchange_for(&long).await.unwrap_err();

    assert!(
        refusal
            .to_string()
            .contains("found 601 characters of subject, expected at most 600"),
        "{refusal}"
    );
    assert_eq!(world.cloud.sim.calls(), 0);
}

#[tokio::test]
async fn the_seeded_simulator_admits_the_one_workload_that_it_was_told() {
    let loopback = Arc::new(Loopback::new());
    let documents = Cloud::good().documents;
    let ground = Ground {
        documents: Arc::<FakeDocuments>::clone(&documents),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
        random: Arc::new(SystemRandom),
        issuer: "https://id.acme.example".to_owned(),
        subject: "spiffe://prod.acme.example/rp/azure/shop".to_owned(),
        listen: Arc::<Loopback>::clone(&loopback),
        ca_file: loopback.ca_file(),
        directory: PathBuf::new(),
    };

    let seeded = (BUILTIN.sim.unwrap())(ground).await.unwrap();

    let mut table = seeded.relying_party;
    assert_eq!(table.remove("kind").unwrap().as_str(), Some("azure_entra"));
    let context = RelyingPartyContext {
        name: RelyingPartyName::parse(seeded.name).unwrap(),
        issuer: "https://id.acme.example".to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
    };
    let relying_party = configured(context, table).unwrap();
    let audience = relying_party.terms().audience.clone();
    let assertion = Secret::new(signed(&json!({"claims": {"aud": audience}})));
    assert!(relying_party.fetch(&assertion, now()).await.is_ok());
    let sim = seeded.simulator.downcast::<EntraSim>().unwrap();
    assert_eq!(sim.calls(), 1);
    assert_eq!(documents.1.load(Ordering::SeqCst), 1);
}
