//! Client certificates from outside: real handshakes with SVIDs of ours, and what a bad certificate sees.

use std::{sync::Arc, time::Duration};

use rcgen::{CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::world::{Answer, EXCHANGE, SVID_X509, World};

/// Certificates by the relying party `mesh`, and an attestor that takes them; who holds one may hold the next.
const MESH: &str = "[[attestor]]\nname = \"svids\"\nkind = \"spiffe\"\ntrust_domains = [{ name = \"dev.cambio.test\" }]\n\n\
                    [[entry]]\nname = \"holder\"\nattestor = \"svids\"\n\
                    match = { \"spiffe.path\" = \"/ci/acme/shop/deploy\", \"spiffe.svid_type\" = \"x509_svid\" }\n\
                    spiffe_id = \"/mesh/shop\"\n\n\
                    [[relying_party]]\nname = \"mesh\"\nkind = \"svid\"\nx509 = true\nshared_audience = true\n\n\
                    [[relying_party]]\nname = \"inner\"\nkind = \"svid\"\naudience = \"https://inner.test\"\n\n\
                    [[grant]]\nname = \"holders\"\nentries = [\"holder\"]\nrelying_parties = [\"inner\"]\nttl = \"20m\"\nrelease = [\"svid\"]\n\n";

async fn world() -> World {
    World::start_with(|configuration| {
        let granted = configuration.replace("relying_parties = [", "relying_parties = [\"mesh\", ");
        granted.replacen("[[grant]]", &format!("{MESH}[[grant]]"), 1)
    })
    .await
}

/// A certificate chain and its key, as PEM.
struct Held {
    chain: String,
    key: String,
    serial: String,
}

impl Held {
    /// Gets an SVID with a CI job's token.
    async fn by_a_job(world: &World) -> Self {
        let key = KeyPair::generate().unwrap();
        let csr = CertificateParams::default()
            .serialize_request(&key)
            .unwrap()
            .pem()
            .unwrap();
        let body = json!({ "evidence": { "token": world.good() }, "csr": csr, "relying_party": "mesh" });
        let answer = world.post(SVID_X509, "application/json", body.to_string(), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Self {
            chain: answer.text_at("/chain"),
            key: key.serialize_pem(),
            serial: answer.text_at("/serial"),
        }
    }

    /// Makes a certificate that its own key signed.
    fn by_itself(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![uri("spiffe://dev.cambio.test/ci/acme/shop/deploy")];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        change(&mut params);
        Self {
            chain: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
            serial: String::new(),
        }
    }

    fn client(&self, world: &World) -> reqwest::Client {
        let authority = std::fs::read(&world.development.world.files.ca).unwrap();
        let identity = reqwest::Identity::from_pem(format!("{}{}", self.chain, self.key).as_bytes()).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
            .identity(identity)
            .timeout(Duration::from_mins(1))
            .no_proxy()
            .build()
            .unwrap()
    }

    async fn ask(&self, world: &World) -> Answer {
        ask(world, &self.client(world), &json!({ "kind": "spiffe" })).await
    }

    /// Connects and returns what the client's TLS is told; nothing is sent, so that the alert is what is read.
    async fn alert(&self, world: &World) -> String {
        match connected(world, Arc::new(tls(world, self))).await {
            Err(failed) => failed.to_string(),
            Ok(mut stream) => match stream.read_u8().await {
                Err(failed) => failed.to_string(),
                Ok(byte) => panic!("the gateway sent {byte}"),
            },
        }
    }
}

async fn connected(world: &World, tls: Arc<rustls::ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let url = url::Url::parse(&world.development.exchange_url).unwrap();
    let host = url.host_str().unwrap().to_owned();
    let stream = TcpStream::connect((host.as_str(), url.port().unwrap())).await?;
    let name = ServerName::try_from(host).unwrap();
    TlsConnector::from(tls).connect(name, stream).await
}

async fn ask(world: &World, client: &reqwest::Client, evidence: &Value) -> Answer {
    let body = json!({ "evidence": evidence, "relying_parties": ["inner"] });
    let request = client.post(format!("{}{EXCHANGE}", world.development.exchange_url));
    world
        .send(
            request
                .header("content-type", "application/json")
                .body(body.to_string()),
        )
        .await
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_1_a_certificate_of_ours_is_evidence_and_the_trail_names_its_digest() {
    let world = world().await;
    let held = Held::by_a_job(&world).await;

    let answer = held.ask(&world).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.text_at("/spiffe_id"), "spiffe://dev.cambio.test/mesh/shop");
    let trail = world.trail_of(&answer.text_at("/exchange_id")).await;
    assert!(!trail.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_certificate_stays_as_it_was() {
    let world = world().await;

    assert_eq!(world.exchange(&world.good(), &["gcp-dev"]).await.status, 200);
    let refused = ask(&world, &world.client, &json!({ "kind": "spiffe" })).await;

    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "request.body_invalid"),
        "{}",
        refused.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_6_a_certificate_in_a_header_is_never_read() {
    let world = world().await;
    let held = Held::by_a_job(&world).await;
    let spoofed = held.chain.replace('\n', "%0A");
    let body = json!({ "evidence": { "kind": "spiffe" }, "relying_parties": ["inner"] }).to_string();

    for header in [
        "client-cert",
        "x-forwarded-client-cert",
        "x-client-cert",
        "ssl-client-cert",
    ] {
        let answer = world
            .post(EXCHANGE, "application/json", body.clone(), &[(header, &spoofed)])
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "request.body_invalid"),
            "{header}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_certificate_fails_the_handshake_with_an_alert() {
    let world = world().await;
    for (held, alert) in [
        (Held::by_itself(|_| {}), "UnknownC"),
        (
            Held::by_itself(|leaf| leaf.subject_alt_names = vec![uri("spiffe://stranger.test/shop")]),
            "UnknownC",
        ),
        (
            Held::by_itself(|leaf| leaf.subject_alt_names.push(uri("spiffe://dev.cambio.test/b"))),
            "BadCertificate",
        ),
        (
            Held::by_itself(|leaf| leaf.subject_alt_names = vec![uri("spiffe://dev.cambio.test")]),
            "BadCertificate",
        ),
        (
            Held::by_itself(|leaf| leaf.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained)),
            "BadCertificate",
        ),
        (
            Held::by_itself(|leaf| leaf.key_usages.push(KeyUsagePurpose::KeyCertSign)),
            "BadCertificate",
        ),
    ] {
        let found = held.alert(&world).await;
        assert!(found.contains(alert), "expected {alert}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_connects_no_more_and_an_open_connection_serves_it_no_longer() {
    let world = world().await;
    let held = Held::by_a_job(&world).await;
    let open = held.client(&world);
    let evidence = json!({ "kind": "spiffe" });
    assert_eq!(ask(&world, &open, &evidence).await.status, 200);

    let revoked = json!({ "target": "serial", "value": held.serial, "reason": "a test" });
    let told = world.admin("POST", "/v1/revocations", Some(&revoked)).await;
    assert!(told.status < 300, "{}", told.text);

    let refused = ask(&world, &open, &evidence).await;
    assert_eq!(refused.code(), "attest.evidence_unverifiable", "{}", refused.text);
    let found = held.alert(&world).await;
    assert!(found.contains("Revoked"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_04_an_expired_certificate_connects_no_more() {
    let world = world().await;
    let held = Held::by_a_job(&world).await;
    assert_eq!(held.ask(&world).await.status, 200);

    world.clock.advance(Duration::from_hours(2));

    let found = held.alert(&world).await;
    assert!(found.contains("Expired"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_04_no_session_of_the_exchange_listener_is_resumed() {
    let world = world().await;
    let held = Held::by_a_job(&world).await;
    let config = Arc::new(tls(&world, &held));

    for _ in 0..2 {
        let mut stream = connected(&world, Arc::clone(&config)).await.unwrap();
        let request = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer).await;
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        let kind = stream.get_ref().1.handshake_kind();
        assert_ne!(kind, Some(rustls::HandshakeKind::Resumed));
    }
}

fn tls(world: &World, held: &Held) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(&world.development.world.files.ca).unwrap())
        .unwrap();
    let chain = CertificateDer::pem_slice_iter(held.chain.as_bytes())
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_slice(held.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap()
}
