//! A root that stays outside, through the admin socket and the command line, with OpenSSL and rcgen as authorities.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, CustomExtension,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};

use crate::{
    world::{Answer, WORKLOAD, World},
    x509::{ask, certificates, list, plain_csr, published_root, verified, with_mesh},
};

const DAY: Duration = Duration::from_hours(24);

fn outside(configuration: &str) -> String {
    format!("{}\n[x509]\nroot = \"outside\"\n", with_mesh(configuration))
}

async fn world() -> World {
    World::start_with(|configuration| outside(&configuration)).await
}

async fn request(world: &World) -> Answer {
    let body = json!({ "purpose": "x509_intermediate" });
    let answer = world.admin("POST", "/v1/keys/csr", Some(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

async fn install(world: &World, chain: &str, new_root: bool) -> Answer {
    let body = json!({ "chain": chain, "new_root": new_root });
    world.admin("POST", "/v1/keys/chain", Some(&body)).await
}

/// Returns where the keys stand that sign or wait, as an operator sees it.
async fn keys(world: &World, purpose: &str) -> Vec<Value> {
    let shown = world.admin("GET", "/v1/keys", None).await.json();
    let keys = shown["keys"].as_array().unwrap().clone();
    keys.into_iter().filter(|key| key["purpose"] == purpose).collect()
}

/// An authority outside.
struct Ca {
    key: KeyPair,
    params: CertificateParams,
    own: Certificate,
}

impl Ca {
    fn new(world: &World, change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::with_key(world, KeyPair::generate().unwrap(), change)
    }

    fn with_key(world: &World, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Acme Root");
        params.not_before = (world.now() - DAY).into();
        params.not_after = (world.now() + DAY * 3650).into();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        change(&mut params);
        let own = params.self_signed(&key).unwrap();
        Self { key, params, own }
    }

    /// Certifies what is asked for, changed by one thing.
    fn certifies(&self, world: &World, csr: &str, change: impl FnOnce(&mut CertificateParams)) -> String {
        let mut asked = CertificateSigningRequestParams::from_pem(csr).unwrap();
        asked.params.not_before = world.now().into();
        asked.params.not_after = (world.now() + DAY * 30).into();
        asked.params.serial_number = Some(SerialNumber::from_slice(&[0x51; 16]));
        asked.params.use_authority_key_identifier_extension = true;
        change(&mut asked.params);
        let issuer = Issuer::from_params(&self.params, &self.key);
        asked.signed_by(&issuer).unwrap().pem()
    }

    fn answers(&self, world: &World, csr: &str, change: impl FnOnce(&mut CertificateParams)) -> String {
        self.certifies(world, csr, change) + &self.own.pem()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_need_no_root_and_certificates_wait_for_a_chain() {
    let world = world().await;

    let token = world.exchange(&world.good(), &["gcp-dev"]).await;
    let refused = ask(&world, &world.good(), &plain_csr(), "mesh").await;
    let ready = world.admin("GET", "/ready", None).await;
    let metrics = world.admin("GET", "/metrics", None).await;

    assert_eq!(token.status, 200, "{}", token.text);
    assert_eq!((refused.status, refused.code().as_str()), (503, "key.unavailable"));
    assert_eq!(ready.status, 200, "{}", ready.text);
    assert!(
        ready.text_at("/subsystems/keys/reason").contains("waits for a chain"),
        "{}",
        ready.text
    );
    let metric = "cambio_key_alarms{kind=\"chain_wanted\"} 1";
    assert!(metrics.text.contains(metric), "{}", metrics.text);
    assert!(keys(&world, "x509_root").await.is_empty());
    let waiting = keys(&world, "x509_intermediate").await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        (&waiting[0]["state"], &waiting[0]["waits_for"]),
        (&json!("prepared"), &json!("chain"))
    );
    let bundle = world.metadata("/.well-known/spiffe/bundle.json").await;
    assert!(!bundle.text.contains("x509-svid"), "{}", bundle.text);
}

/// Returns the commands of the manual's page up to the first chain, for this world.
fn manual() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/outside-root.md");
    let page = fs::read_to_string(page).unwrap();
    let (section, _) = page.split_once("\n## ").unwrap();
    let blocks = section.split("```sh\n").skip(1);
    let commands: String = blocks.map(|block| block.split("```").next().unwrap()).collect();
    assert_eq!(commands.matches("cambio ").count(), 4, "{commands}");
    commands.replace("prod.acme.example", "dev.cambio.test")
}

/// Runs commands where `cambio` is the program under test.
fn run(world: &World, directory: &Path, commands: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_cambio");
    let commands = format!("cambio() {{ '{program}' \"$@\"; }}\n{commands}");
    Command::new("bash")
        .args(["-euc", &commands])
        .current_dir(directory)
        .env("CAMBIO_ADMIN", world.development.place.admin())
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_manual_lead_from_a_request_to_certificates() {
    if Command::new("openssl").arg("version").output().is_err() {
        return;
    }
    let world = world().await;
    let directory = tempfile::tempdir().unwrap();
    // OpenSSL takes the host's time, which goes on while the world's stands: the world is ahead.
    let host = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let behind = host.saturating_sub(world.now().duration_since(std::time::UNIX_EPOCH).unwrap());
    world.pass(behind + Duration::from_mins(5)).await;

    let ran = run(&world, directory.path(), &manual());

    let (said, told) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{said}{told}");
    assert!(
        told.contains("spiffe://dev.cambio.test") && told.contains("pathLen 0"),
        "{told}"
    );
    assert!(said.contains("is certified under the root"), "{said}");
    assert!(said.contains("x509-svid     CN=Acme root"), "{said}");
    let pem = fs::read(directory.path().join("root.pem")).unwrap();
    let root = CertificateDer::from_pem_slice(&pem).unwrap();
    assert_eq!(published_root(&world).await, root);
    let answer = ask(&world, &world.good(), &plain_csr(), "mesh").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let chain = certificates(&answer, "chain");
    verified(&world, &chain, &root, &list(&world).await).unwrap();
    let own = webpki::EndEntityCert::try_from(&chain[0]).unwrap();
    assert_eq!(own.valid_uri_names().collect::<Vec<_>>(), [WORKLOAD]);
    assert_eq!(certificates(&answer, "bundle"), [root]);
    let ready = world.admin("GET", "/ready", None).await.json();
    assert_eq!(ready["subsystems"]["keys"]["reason"], Value::Null);
    let trail = world.admin("GET", "/v1/audit?kind=change", None).await;
    assert!(trail.text.contains("a chain for key"), "{}", trail.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_survives_a_restart_and_is_answered_once() {
    let directory = tempfile::tempdir().unwrap();
    let place = crate::world::place(directory.path());
    let start = async || {
        World::start_at(&place, |configuration| outside(&configuration))
            .await
            .unwrap()
    };
    let before = start().await;
    let first = request(&before).await;
    before.development.stop().await;

    let world = start().await;
    let again = request(&world).await;
    assert_eq!(again.text_at("/kid"), first.text_at("/kid"));
    let chain = Ca::new(&world, |_| {}).answers(&world, &first.text_at("/csr"), |_| {});
    let (one, two) = (
        install(&world, &chain, false).await,
        install(&world, &chain, false).await,
    );

    assert_eq!((one.status, two.status), (200, 200), "{}{}", one.text, two.text);
    assert_eq!(one.json(), two.json());
    assert_eq!(one.text_at("/kid"), first.text_at("/kid"));
    world.development.stop().await;
    let world = start().await;
    let answer = ask(&world, &world.good(), &plain_csr(), "mesh").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// What somebody brought who certified something else than what was asked for.
fn flawed(world: &World, ca: &Ca, csr: &str) -> Vec<(&'static str, String)> {
    use ExtendedKeyUsagePurpose as E;
    let one = |change: fn(&mut CertificateParams)| ca.answers(world, csr, change);
    let good = ca.certifies(world, csr, |_| {});
    let root = ca.own.pem();
    let other = CertificateParams::default().serialize_request(&KeyPair::generate().unwrap());
    let other = other.unwrap().pem().unwrap();
    let ed25519 = Ca::with_key(world, KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), |_| {});
    let ending = Ca::new(world, |params| params.not_after = (world.now() + DAY * 29).into());
    let namesake = Ca::new(world, |_| {});
    vec![
        ("chain.duplicate_certificate", format!("{good}{root}{root}")),
        (
            "chain.extension_refused",
            one(|params| {
                let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
                unknown.set_criticality(true);
                params.custom_extensions = vec![unknown];
            }),
        ),
        ("chain.key_mismatch", ca.answers(world, &other, |_| {})),
        ("chain.key_unsupported", ed25519.answers(world, csr, |_| {})),
        (
            "chain.key_usage",
            one(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]),
        ),
        (
            "chain.life_refused",
            ca.answers(world, csr, |params| params.not_after = (world.now() + DAY * 365).into()),
        ),
        ("chain.malformed", format!("# canary\n{good}{root}")),
        (
            "chain.names_refused",
            one(|params| params.subject_alt_names = vec![SanType::URI("spiffe://other.test".try_into().unwrap())]),
        ),
        ("chain.not_authority", one(|params| params.is_ca = IsCa::ExplicitNoCa)),
        (
            "chain.not_valid_now",
            ca.answers(world, csr, |params| params.not_before = (world.now() + DAY).into()),
        ),
        ("chain.outlives_issuer", ending.answers(world, csr, |_| {})),
        (
            "chain.path_length",
            one(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ),
        ("chain.root_missing", good.clone()),
        ("chain.signature_broken", format!("{good}{}", namesake.own.pem())),
        ("chain.too_large", "A".repeat(32 * 1024 + 1)),
        (
            "chain.unverifiable",
            one(|params| params.extended_key_usages = vec![E::Any]),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_chain_may_not_be() {
    const ALL: [&str; 17] = [
        "chain.duplicate_certificate",
        "chain.extension_refused",
        "chain.key_mismatch",
        "chain.key_unsupported",
        "chain.key_usage",
        "chain.life_refused",
        "chain.malformed",
        "chain.names_refused",
        "chain.not_authority",
        "chain.not_valid_now",
        "chain.outlives_issuer",
        "chain.path_length",
        "chain.root_missing",
        "chain.signature_broken",
        "chain.too_large",
        "chain.unverifiable",
        "chain.no_request",
    ];
    let world = world().await;
    let ca = Ca::new(&world, |_| {});
    let csr = request(&world).await.text_at("/csr");
    let mut found = Vec::new();

    for (code, chain) in flawed(&world, &ca, &csr) {
        let refused = install(&world, &chain, false).await;
        assert_eq!(refused.code(), code, "{}", refused.text);
        assert!(!refused.text.contains("canary"));
        found.push(code);
    }
    assert!(keys(&world, "x509_root").await.is_empty(), "nothing of them was pinned");
    assert_eq!(
        install(&world, &ca.answers(&world, &csr, |_| {}), false).await.status,
        200
    );
    // The same request, answered anew: nothing waits for it any more.
    let late = install(&world, &ca.answers(&world, &csr, |_| {}), false).await;
    assert_eq!((late.status, late.code().as_str()), (409, "chain.no_request"));
    found.push("chain.no_request");
    assert_eq!(found, ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_root_is_refused_unless_it_is_asked_for() {
    let world = world().await;
    let (old, new) = (Ca::new(&world, |_| {}), Ca::new(&world, |_| {}));
    let certified = async |ca: &Ca, new_root: bool| {
        let csr = request(&world).await.text_at("/csr");
        install(&world, &ca.answers(&world, &csr, |_| {}), new_root).await
    };
    assert_eq!(certified(&old, false).await.status, 200);

    let refused = certified(&new, false).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "chain.root_unknown"));
    let pinned = certified(&new, true).await;

    assert_eq!(pinned.status, 200, "{}", pinned.text);
    let roots = keys(&world, "x509_root").await;
    let states: Vec<_> = roots.iter().map(|root| root["state"].as_str().unwrap()).collect();
    assert!(states.contains(&"active") && states.len() == 2, "{states:?}");
    assert!(roots.iter().all(|root| root["algorithm"] == "outside"));
    let bundle = world.metadata("/.well-known/spiffe/bundle.json").await.json();
    let published = bundle["keys"].as_array().unwrap().iter();
    assert_eq!(published.filter(|key| key["use"] == "x509-svid").count(), 2);
    let answer = ask(&world, &world.good(), &plain_csr(), "mesh").await;
    let root = CertificateDer::from(old.own.der().to_vec());
    verified(&world, &certificates(&answer, "chain"), &root, &list(&world).await).unwrap();

    // Dropped at once, it is not taken back.
    let compromised = json!({ "kid": pinned.text_at("/root"), "compromised": true });
    let revoked = world.admin("POST", "/v1/keys/revoke", Some(&compromised)).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text);
    let refused = certified(&new, true).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "chain.root_refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_root_is_in_the_store_nobody_outside_is_asked() {
    let world = World::start().await;

    let asked = json!({ "purpose": "x509_intermediate" });
    let asked = world.admin("POST", "/v1/keys/csr", Some(&asked)).await;
    let purpose = json!({ "purpose": "jwt" });
    let purpose = world.admin("POST", "/v1/keys/csr", Some(&purpose)).await;
    let chain = Ca::new(&world, |_| {}).own.pem();
    let brought = install(&world, &chain, false).await;
    let odd = json!({ "chain": chain, "new_root": "yes" });
    let odd = world.admin("POST", "/v1/keys/chain", Some(&odd)).await;
    let none = world.admin("POST", "/v1/keys/chain", Some(&json!({}))).await;

    for refused in [asked, purpose, brought, odd, none] {
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "request.parameter_invalid"),
            "{}",
            refused.text
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_keys_are_in_the_trail_once() {
    let directory = tempfile::tempdir().unwrap();
    let place = crate::world::place(directory.path());
    let first = async |world: &World| {
        let trail = world.trail().await;
        let details = trail
            .iter()
            .filter_map(|entry| entry["detail"].as_str().map(str::to_owned));
        details
            .filter(|detail| detail.contains("one of the first on record"))
            .collect::<Vec<_>>()
    };
    let world = World::start_at(&place, |configuration| configuration).await.unwrap();
    let recorded = first(&world).await;
    let shown = world.admin("GET", "/v1/keys", None).await.json();
    world.development.stop().await;

    let world = World::start_at(&place, |configuration| configuration).await.unwrap();

    assert_eq!(recorded.len(), 5, "{recorded:?}");
    for key in shown["keys"].as_array().unwrap() {
        let kid = key["kid"].as_str().unwrap();
        assert!(
            recorded.iter().any(|detail| detail.contains(kid)),
            "{kid}: {recorded:?}"
        );
    }
    assert_eq!(first(&world).await, recorded, "a second start records nothing anew");
}
