//! Client certificates from outside: real handshakes with SVIDs of ours, what a bad certificate sees, and evidence that is
//! bound to one.

use std::{os::unix::fs::OpenOptionsExt as _, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use rcgen::{CertificateParams, IsCa, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::world::{self, Answer, EXCHANGE, SVID_X509, TOKEN, World, key, unique, with_issuer};

/// Certificates by the relying party `mesh`, and an attestor that takes them; who holds one may hold the next.
const MESH: &str = "[[attestor]]\nname = \"svids\"\nkind = \"spiffe\"\ntrust_domains = [{ name = \"dev.cambio.test\" }]\n\n\
                    [[entry]]\nname = \"holder\"\nattestor = \"svids\"\n\
                    match = { \"spiffe.path\" = \"/ci/acme/shop/deploy\", \"spiffe.svid_type\" = \"x509_svid\" }\n\
                    spiffe_id = \"/mesh/shop\"\n\n\
                    [[relying_party]]\nname = \"mesh\"\nkind = \"svid\"\nx509 = true\nshared_audience = true\n\n\
                    [[relying_party]]\nname = \"inner\"\nkind = \"svid\"\naudience = \"https://inner.test\"\n\n\
                    [[grant]]\nname = \"holders\"\nentries = [\"holder\"]\nrelying_parties = [\"inner\"]\nttl = \"20m\"\nrelease = [\"svid\"]\n\n";

async fn world() -> World {
    World::start_with(|configuration| with_mesh(&configuration)).await
}

fn with_mesh(configuration: &str) -> String {
    let granted = configuration.replace("relying_parties = [", "relying_parties = [\"mesh\", ");
    granted.replacen("[[grant]]", &format!("{MESH}[[grant]]"), 1)
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
        Self::of_key(world, &KeyPair::generate().unwrap(), &world.good()).await
    }

    /// Gets an SVID for `key` with a CI job's token.
    async fn of_key(world: &World, key: &KeyPair, token: &str) -> Self {
        let csr = CertificateParams::default()
            .serialize_request(key)
            .unwrap()
            .pem()
            .unwrap();
        let body = json!({ "evidence": { "token": token }, "csr": csr, "relying_party": "mesh" });
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

    /// Presents a token over a connection of its own, with the headers besides.
    async fn exchange(&self, world: &World, token: &str, parties: &[&str], headers: &[(&str, &str)]) -> Answer {
        exchange(world, &self.client(world), token, parties, headers).await
    }

    /// Writes both files as an agent of a workload does.
    fn written(&self, directory: &std::path::Path) -> (PathBuf, PathBuf) {
        let (chain, key) = (directory.join("svid.pem"), directory.join("svid.key"));
        std::fs::write(&chain, &self.chain).unwrap();
        let mut private = std::fs::OpenOptions::new();
        let private = private.write(true).create(true).truncate(true).mode(0o600).open(&key);
        std::io::Write::write_all(&mut private.unwrap(), self.key.as_bytes()).unwrap();
        (chain, key)
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

async fn exchange(
    world: &World,
    client: &reqwest::Client,
    token: &str,
    parties: &[&str],
    headers: &[(&str, &str)],
) -> Answer {
    let body = json!({ "evidence": { "token": token }, "relying_parties": parties });
    let mut request = client.post(format!("{}{EXCHANGE}", world.development.exchange_url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.header("content-type", "application/json");
    world.send(request.body(body.to_string())).await
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

const STOLEN: (u16, &str) = (400, "attest.evidence_stolen");

fn said(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

fn is(answer: &Answer, (status, code): (u16, &str)) -> bool {
    said(answer) == (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_3_the_certificate_of_the_first_use_and_no_other_may_use_evidence_again() {
    let world = world().await;
    let (mine, other) = (Held::by_a_job(&world).await, Held::by_a_job(&world).await);
    let token = world.good();

    let first = mine.exchange(&world, &token, &["aws-dev"], &[]).await;
    assert_eq!(first.status, 200, "{}", first.text);

    for party in ["aws-dev", "gcp-dev"] {
        let again = mine.exchange(&world, &token, &[party], &[]).await;
        assert_eq!(again.status, 200, "{party}: {}", again.text);
        let stolen = other.exchange(&world, &token, &[party], &[]).await;
        assert!(is(&stolen, STOLEN), "another certificate, {party}: {}", stolen.text);
        let bare = world.exchange(&token, &[party]).await;
        assert!(is(&bare, STOLEN), "none, {party}: {}", bare.text);
    }
    let again = mine.exchange(&world, &token, &["aws-dev"], &[]).await;
    assert_eq!(again.status, 200, "what was refused took nothing: {}", again.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_3_a_thief_learns_of_no_held_credential_and_the_refusal_is_an_entry() {
    let world = world().await;
    let (mine, thief) = (Held::by_a_job(&world).await, Held::by_a_job(&world).await);
    let token = world.good();
    let first = mine.exchange(&world, &token, &["aws-dev"], &[]).await;
    let again = mine.exchange(&world, &token, &["aws-dev"], &[]).await;
    let held = world.trail_of(&again.text_at("/exchange_id")).await;
    assert_eq!(held[0]["kind"], "held", "{held:?}");

    let stolen = thief.exchange(&world, &token, &["aws-dev"], &[]).await;

    assert!(is(&stolen, STOLEN), "{}", stolen.text);
    let secret = first.text_at("/credentials/aws-dev/SecretAccessKey");
    assert!(!stolen.text.contains(&secret));
    let entries = world.trail_of(&stolen.text_at("/exchange_id")).await;
    let kinds: Vec<_> = entries.iter().map(|entry| (&entry["kind"], &entry["code"])).collect();
    assert_eq!(kinds, [(&json!("denial"), &json!("attest.evidence_stolen"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_3_evidence_is_bound_in_one_way_and_no_other_way_follows() {
    let world = world().await;
    let held = Held::by_a_job(&world).await;
    let (proof_key, idempotency) = (key(), unique());
    let idempotent = [("idempotency-key", idempotency.as_str())];

    let by_certificate = world.good();
    let first = held.exchange(&world, &by_certificate, &["aws-dev"], &[]).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let proven = world.exchange_proven(&proof_key, &by_certificate, &["aws-dev"]).await;
    assert!(is(&proven, STOLEN), "a proof: {}", proven.text);
    let known = world.exchange_with(&by_certificate, &["aws-dev"], &idempotent).await;
    assert!(is(&known, STOLEN), "an Idempotency-Key: {}", known.text);

    let by_proof = world.good();
    let first = world.exchange_proven(&proof_key, &by_proof, &["aws-dev"]).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let shown = held.exchange(&world, &by_proof, &["aws-dev"], &[]).await;
    assert!(is(&shown, STOLEN), "a certificate after a proof: {}", shown.text);

    let by_key = world.good();
    let first = world.exchange_with(&by_key, &["aws-dev"], &idempotent).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let shown = held.exchange(&world, &by_key, &["aws-dev"], &[]).await;
    assert!(
        is(&shown, STOLEN),
        "a certificate after an Idempotency-Key: {}",
        shown.text
    );

    let bare = world.good();
    assert_eq!(world.exchange(&bare, &["aws-dev"]).await.status, 200);
    let shown = held.exchange(&world, &bare, &["aws-dev"], &[]).await;
    assert!(is(&shown, (400, "attest.evidence_replayed")), "{}", shown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_3_two_ways_at_once_are_refused_and_use_nothing_up() {
    const TWO: (u16, &str) = (400, "request.header_invalid");
    let world = world().await;
    let held = Held::by_a_job(&world).await;
    let token = world.good();
    let proof = world.proof(&key(), EXCHANGE, &token);
    let idempotency = unique();
    let (dpop, idempotent) = (("dpop", proof.as_str()), ("idempotency-key", idempotency.as_str()));

    let refused = held.exchange(&world, &token, &["aws-dev"], &[dpop]).await;
    assert!(is(&refused, TWO), "certificate and proof: {}", refused.text);
    assert!(
        refused
            .text_at("/detail")
            .contains("`dpop` is there beside the client certificate")
    );
    let refused = held.exchange(&world, &token, &["aws-dev"], &[idempotent]).await;
    assert!(is(&refused, TWO), "certificate and Idempotency-Key: {}", refused.text);
    let refused = world.exchange_with(&token, &["aws-dev"], &[dpop, idempotent]).await;
    assert!(is(&refused, TWO), "proof and Idempotency-Key: {}", refused.text);
    let refused = held.exchange(&world, &token, &["aws-dev"], &[dpop, idempotent]).await;
    assert!(is(&refused, TWO), "all three: {}", refused.text);

    let given = held.exchange(&world, &token, &["aws-dev"], &[]).await;
    assert_eq!(given.status, 200, "{}", given.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_3_the_token_endpoint_binds_as_well() {
    let world = world().await;
    let (mine, other) = (Held::by_a_job(&world).await, Held::by_a_job(&world).await);
    let token = world.good();
    let ask = async |client: reqwest::Client| {
        let form = [
            ("grant_type", world::GRANT_TYPE),
            ("subject_token", token.as_str()),
            ("subject_token_type", world::JWT),
            ("audience", "gcp-dev"),
        ];
        let url = format!("{}{TOKEN}", world.development.exchange_url);
        world.send(client.post(url).form(&form)).await
    };

    assert_eq!(ask(mine.client(&world)).await.status, 200);
    assert_eq!(ask(mine.client(&world)).await.status, 200);
    let stolen = ask(other.client(&world)).await;

    assert!(is(&stolen, STOLEN), "{}", stolen.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_34_a_renewed_certificate_of_the_same_key_is_another_one() {
    let world = world().await;
    let pair = KeyPair::generate().unwrap();
    let (before, renewed) = (
        Held::of_key(&world, &pair, &world.good()).await,
        Held::of_key(&world, &pair, &world.good()).await,
    );
    let token = world.good();
    assert_eq!(before.exchange(&world, &token, &["aws-dev"], &[]).await.status, 200);

    let refused = renewed.exchange(&world, &token, &["aws-dev"], &[]).await;

    assert!(is(&refused, STOLEN), "{}", refused.text);
    let fresh = renewed.exchange(&world, &world.good(), &["aws-dev"], &[]).await;
    assert_eq!(fresh.status, 200, "with new evidence: {}", fresh.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_3_expired_evidence_is_resumed_by_its_certificate_only() {
    let world = world().await;
    let (mine, other) = (Held::by_a_job(&world).await, Held::by_a_job(&world).await);
    let (used, unused) = (world.good(), world.good());
    assert_eq!(mine.exchange(&world, &used, &["aws-dev"], &[]).await.status, 200);

    world.pass(Duration::from_mins(8)).await; // The tokens live 5 minutes, the certificates longer.

    let resumed = mine.exchange(&world, &used, &["gcp-dev"], &[]).await;
    assert_eq!(resumed.status, 200, "{}", resumed.text);
    let stolen = other.exchange(&world, &used, &["gcp-dev"], &[]).await;
    assert!(is(&stolen, STOLEN), "{}", stolen.text);
    let bare = world.exchange(&used, &["gcp-dev"]).await;
    assert_eq!(bare.code(), "attest.evidence_expired", "{}", bare.text);
    let unknown = mine.exchange(&world, &unused, &["gcp-dev"], &[]).await;
    assert_eq!(unknown.code(), "attest.resume_unknown", "{}", unknown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_04_a_revoked_certificate_binds_nothing_on_a_connection_that_is_still_open() {
    let world = world().await;
    let held = Held::by_a_job(&world).await;
    let open = held.client(&world);
    let (used, unused) = (world.good(), world.good());
    let given = exchange(&world, &open, &used, &["aws-dev"], &[]).await;
    assert_eq!(given.status, 200, "{}", given.text);

    let revoked = json!({ "target": "serial", "value": held.serial, "reason": "a test" });
    assert!(world.admin("POST", "/v1/revocations", Some(&revoked)).await.status < 300);

    for token in [&used, &unused] {
        let refused = exchange(&world, &open, token, &["aws-dev"], &[]).await;
        assert_eq!(refused.code(), "attest.evidence_unverifiable", "{}", refused.text);
    }
    let other = Held::by_a_job(&world).await;
    let given = other.exchange(&world, &unused, &["aws-dev"], &[]).await;
    assert_eq!(given.status, 200, "the refusal used nothing up: {}", given.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_6_a_certificate_in_a_header_binds_nothing() {
    let world = world().await;
    let held = Held::by_a_job(&world).await;
    let spoofed = held.chain.replace('\n', "%0A");
    for header in [
        "client-cert",
        "x-forwarded-client-cert",
        "x-client-cert",
        "ssl-client-cert",
    ] {
        let token = world.good();
        assert_eq!(held.exchange(&world, &token, &["aws-dev"], &[]).await.status, 200);

        let stolen = world.exchange_with(&token, &["aws-dev"], &[(header, &spoofed)]).await;

        assert!(is(&stolen, STOLEN), "{header}: {}", stolen.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_3_one_of_two_certificates_wins_a_race_of_64_and_keeps_it_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let place = world::place(directory.path());
    // What the second start makes anew, the evidence and its issuer must not depend on.
    let kept = |configuration: String| {
        let named = "kind = \"oidc\"\n";
        let audience = format!("{named}audience = \"https://gateway.test\"\n");
        with_mesh(&configuration).replacen(named, &audience, 1) + world::GENEROUS
    };
    let before = World::start_at(&place, kept).await.unwrap();
    let signed = || before.sign(before.job().for_audience("https://gateway.test"));
    let (first, second) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let pair = [
        Held::of_key(&before, &first, &signed()).await,
        Held::of_key(&before, &second, &signed()).await,
    ];
    let token = signed();

    let clients = [pair[0].client(&before), pair[1].client(&before)];
    let requests = (0..64).map(|task| exchange(&before, &clients[task % 2], &token, &["aws-dev"], &[]));
    let answers = futures_util::future::join_all(requests).await;

    let given = |certificate: usize| {
        let of_one = answers.iter().skip(certificate).step_by(2);
        of_one.filter(|answer| answer.status == 200).count()
    };
    let stolen = answers.iter().filter(|answer| is(answer, STOLEN)).count();
    let winner = usize::from(given(1) > 0);
    assert_eq!((given(winner), given(1 - winner), stolen), (32, 0, 32));

    let authority = directory.path().join("ca-before.pem");
    let present = before.development.world.files.ca.clone();
    std::fs::copy(&present, &authority).unwrap();
    before.development.stop().await;
    let after = World::start_at(&place, |configuration| {
        let configuration = with_issuer(&kept(configuration), before.ci.issuer());
        let (head, tail) = configuration.split_once("kind = \"oidc\"").unwrap();
        let (present, authority) = (present.display().to_string(), authority.display().to_string());
        format!("{head}kind = \"oidc\"{}", tail.replacen(&present, &authority, 1))
    })
    .await
    .unwrap();

    let again = pair[winner].exchange(&after, &token, &["aws-dev"], &[]).await;
    assert_eq!(again.status, 200, "{}", again.text);
    let stolen = pair[1 - winner].exchange(&after, &token, &["aws-dev"], &[]).await;
    assert!(is(&stolen, STOLEN), "{}", stolen.text);
    after.development.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_5_no_alias_and_no_bound_access_token_are_advertised() {
    let world = world().await;
    for document in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ] {
        let metadata = world.metadata(document).await.json();

        // The endpoint itself takes certificates, and no token of ours carries `cnf` (RFC 8705 sections 3.3 and 5).
        assert_eq!(
            metadata["token_endpoint"],
            format!("{}{TOKEN}", world.development.exchange_url)
        );
        for absent in ["mtls_endpoint_aliases", "tls_client_certificate_bound_access_tokens"] {
            assert!(metadata.get(absent).is_none(), "{document}: {absent}");
        }
    }
}

/// Runs `cambio creds aws-dev` off the threads that serve the world; returns exit code, stdout and stderr.
async fn creds(world: &World, state: &std::path::Path, token: &str, options: &[&str]) -> (i32, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cambio"));
    command
        .args(["creds", "aws-dev", "--shape", "json"])
        .args(options)
        .env_clear()
        .env("CAMBIO_GATEWAY", &world.development.exchange_url)
        .env("CAMBIO_CA_FILE", &world.development.world.files.ca)
        .env("CAMBIO_ID_TOKEN", token)
        .env("CAMBIO_STATE_DIR", state)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn mtls_3_the_command_line_binds_by_its_certificate_and_keeps_no_key() {
    let world = world().await;
    let directory = tempfile::tempdir().unwrap();
    let held = Held::by_a_job(&world).await;
    let (chain, private) = held.written(directory.path());
    let state = directory.path().join("state");
    let options = [
        "--client-certificate",
        chain.to_str().unwrap(),
        "--client-key",
        private.to_str().unwrap(),
    ];
    let token = world.good();

    for run in 0..2 {
        let (exit, stdout, stderr) = creds(&world, &state, &token, &options).await;
        assert_eq!(exit, 0, "run {run}: {stderr}");
        assert!(stdout.contains("SecretAccessKey"));
    }

    assert!(!state.exists(), "a DPoP key was made");
    let (exit, stdout, stderr) = creds(&world, &state, &token, &[]).await;
    assert_eq!((exit, stdout.as_str()), (4, ""), "{stderr}");
    let (exit, _, stderr) = creds(&world, &state, &token, &options[..2]).await;
    assert_eq!(exit, 2, "{stderr}");
    assert!(stderr.contains("--client-key"), "{stderr}");
}
