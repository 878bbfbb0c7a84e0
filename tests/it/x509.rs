//! X.509-SVIDs from outside: how one is got, what verifies it, how it ends, and what nobody gets.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use cambio::{clock::unix_seconds, secret::Digest};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType};
use rustls::pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use serde_json::{Value, json};
use webpki::{CertRevocationList, RevocationOptionsBuilder};
use x509_parser::{
    certificate::X509Certificate, der_parser::asn1_rs::FromDer as _, revocation_list::CertificateRevocationList,
};

use crate::world::{Answer, JWT, SVID_X509, WORKLOAD, World, count, key, unique};

/// Two relying parties for certificates, for one of which there is no grant.
const MESH: &str = "[[relying_party]]\nname = \"mesh\"\nkind = \"svid\"\nx509 = true\nshared_audience = true\n\
                    dns_names = [\"shop.cambio.test\"]\n\n\
                    [[relying_party]]\nname = \"vault\"\nkind = \"svid\"\nx509 = true\nshared_audience = true\nsubject = \"/rp/vault/shop\"\n\n";

pub(crate) fn with_mesh(configuration: &str) -> String {
    let granted = configuration.replace("relying_parties = [", "relying_parties = [\"mesh\", ");
    granted.replacen("[[grant]]", &format!("{MESH}[[grant]]"), 1)
}

async fn world() -> World {
    World::start_with(|configuration| with_mesh(&configuration)).await
}

pub(crate) fn csr(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::default();
    change(&mut params);
    params.serialize_request(key).unwrap().pem().unwrap()
}

pub(crate) fn plain_csr() -> String {
    csr(&KeyPair::generate().unwrap(), |_| {})
}

pub(crate) async fn ask(world: &World, token: &str, csr: &str, party: &str) -> Answer {
    let body = json!({ "evidence": { "token": token }, "csr": csr, "relying_party": party });
    world.post(SVID_X509, "application/json", body.to_string(), &[]).await
}

async fn svid(world: &World) -> Answer {
    let answer = ask(world, &world.good(), &plain_csr(), "mesh").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

pub(crate) fn certificates(answer: &Answer, member: &str) -> Vec<CertificateDer<'static>> {
    let pem = answer.text_at(&format!("/{member}"));
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(Result::unwrap)
        .collect()
}

pub(crate) async fn published_root(world: &World) -> CertificateDer<'static> {
    let bundle = world.metadata("/.well-known/spiffe/bundle.json").await.json();
    let keys = bundle["keys"].as_array().unwrap().clone();
    let roots: Vec<_> = keys.iter().filter(|key| key["use"] == "x509-svid").collect();
    assert_eq!(roots.len(), 1);
    let der = BASE64_STANDARD.decode(roots[0]["x5c"][0].as_str().unwrap()).unwrap();
    CertificateDer::from(der)
}

/// The list of the active intermediate, as verifiers fetch it.
pub(crate) async fn list(world: &World) -> Vec<u8> {
    let keys = world.admin("GET", "/v1/keys", None).await.json();
    let keys = keys["keys"].as_array().unwrap().clone();
    let signs = |key: &&Value| key["purpose"] == "x509_intermediate" && key["state"] == "active";
    let intermediate = keys.iter().find(signs).unwrap();
    let path = format!("/.well-known/crl/{}.crl", intermediate["kid"].as_str().unwrap());
    let answer = world
        .client
        .get(format!("{}{path}", world.development.issuer))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/pkix-crl");
    answer.bytes().await.unwrap().to_vec()
}

pub(crate) fn verified(
    world: &World,
    chain: &[CertificateDer<'static>],
    root: &CertificateDer<'static>,
    list: &[u8],
) -> Result<(), webpki::Error> {
    let anchor = webpki::anchor_from_trusted_cert(root).unwrap();
    let list = CertRevocationList::Borrowed(webpki::BorrowedCertRevocationList::from_der(list).unwrap());
    let lists = [&list];
    let revocation = RevocationOptionsBuilder::new(&lists)
        .unwrap()
        .with_depth(webpki::RevocationCheckDepth::EndEntity)
        .with_expiration_policy(webpki::ExpirationPolicy::Enforce)
        .build();
    webpki::EndEntityCert::try_from(&chain[0])
        .unwrap()
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &chain[1..],
            UnixTime::since_unix_epoch(Duration::from_secs(unix_seconds(world.now()))),
            webpki::KeyUsage::client_auth(),
            Some(revocation),
            None,
        )
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn x509_svid_17_a_certificate_verifies_with_the_published_root_and_holds_what_was_granted() {
    let world = world().await;
    let workload = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();

    let answer = ask(&world, &world.good(), &csr(&workload, |_| {}), "mesh").await;

    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (200, "no-store"),
        "{}",
        answer.text
    );
    let (chain, root) = (certificates(&answer, "chain"), published_root(&world).await);
    assert_eq!(certificates(&answer, "bundle"), std::slice::from_ref(&root));
    verified(&world, &chain, &root, &list(&world).await).unwrap();
    let own = webpki::EndEntityCert::try_from(&chain[0]).unwrap();
    assert_eq!(own.valid_uri_names().collect::<Vec<_>>(), [WORKLOAD]);
    assert_eq!(own.valid_dns_names().collect::<Vec<_>>(), ["shop.cambio.test"]);
    assert_eq!(
        own.subject_public_key_info().as_ref(),
        workload.subject_public_key_info()
    );
    assert_eq!(answer.text_at("/spiffe_id"), WORKLOAD);
    let (_, read) = X509Certificate::from_der(&chain[0]).unwrap();
    assert!(
        read.subject().to_string().starts_with("CN=shop-deploy."),
        "{}",
        read.subject()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_without_one_durable_entry_that_names_serial_and_digest() {
    let world = world().await;

    let answer = svid(&world).await;

    let entries = world.trail_of(&answer.text_at("/exchange_id")).await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["kind"], "mint");
    assert_eq!(entries[0]["svid"]["id"], answer.text_at("/serial"));
    let own = certificates(&answer, "chain").remove(0);
    assert_eq!(entries[0]["svid"]["sha256"], Digest::of(&own).to_string());
    assert_eq!(entries[0]["svid"]["subject"], WORKLOAD);
    assert_eq!(entries[0]["svid"]["expires"], answer.text_at("/expires"));
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_locks_and_the_use_of_evidence_decide_as_everywhere() {
    let world = world().await;
    let token = world.good();

    let first = ask(&world, &token, &plain_csr(), "mesh").await;
    let again = ask(&world, &token, &plain_csr(), "mesh").await;
    let ungranted = ask(&world, &world.good(), &plain_csr(), "vault").await;
    let unknown = ask(&world, &world.good(), &plain_csr(), "nothing").await;
    let lock = world.lock("relying_party", "mesh").await;
    let locked = ask(&world, &world.good(), &plain_csr(), "mesh").await;
    world.unlock(&lock).await;
    let unproven = ask(&world, "x.y.z", &plain_csr(), "mesh").await;

    assert_eq!((first.status, again.code().as_str()), (200, "attest.evidence_replayed"));
    assert_eq!(
        (ungranted.status, ungranted.code().as_str()),
        (403, "authorize.no_grant")
    );
    assert_eq!(unknown.code(), "authorize.relying_party_unknown");
    assert_eq!((locked.status, locked.code().as_str()), (403, "authorize.locked"));
    assert_eq!(unproven.code(), "attest.evidence_malformed");
    let trail = world.trail().await;
    assert_eq!((count(&trail, "mint"), count(&trail, "denial")), (1, 4), "{trail:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_bound_to_a_key_gets_as_many_certificates_as_the_key_asks_for() {
    let world = world().await;
    let (token, key) = (world.good(), key());
    let ask = async |csr: String| {
        let body = json!({ "evidence": { "token": token }, "csr": csr, "relying_party": "mesh" });
        let proof = world.proof(&key, SVID_X509, &token);
        let headers = [("dpop", proof.as_str())];
        world
            .post(SVID_X509, "application/json", body.to_string(), &headers)
            .await
    };

    let (first, second) = (ask(plain_csr()).await, ask(plain_csr()).await);

    assert_eq!(
        (first.status, second.status),
        (200, 200),
        "{}{}",
        first.text,
        second.text
    );
    assert_ne!(first.text_at("/serial"), second.text_at("/serial"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_certificate_request_may_not_be() {
    let world = world().await;
    let key = KeyPair::generate().unwrap();
    let authority = csr(&key, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let name = SanType::URI("spiffe://dev.cambio.test/admin".try_into().unwrap());
    let names = csr(&key, |params| params.subject_alt_names = vec![name]);
    let usage = csr(&key, |params| {
        params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    });
    let ed25519 = csr(&KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), |_| {});
    let broken = broken_signature(&key);
    let weak = BASE64_STANDARD.encode(weak_rsa());

    for (csr, status, code) in [
        (authority, 400, "csr.asks_for_authority"),
        (names, 400, "csr.asks_for_names"),
        (usage, 400, "csr.asks_for_extensions"),
        (ed25519, 400, "csr.key_unsupported"),
        (weak, 400, "csr.key_weak"),
        (broken, 400, "csr.signature_broken"),
        ("canary".to_owned(), 400, "csr.malformed"),
        ("A".repeat(8 * 1024 + 1), 413, "csr.too_large"),
    ] {
        let token = world.good();
        let refused = ask(&world, &token, &csr, "mesh").await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (status, code),
            "{}",
            refused.text
        );
        assert!(!refused.text.contains("canary"));
        // Nothing was attested, so the evidence is as good as before.
        assert_eq!(ask(&world, &token, &plain_csr(), "mesh").await.status, 200, "{code}");
    }
}

/// A request whose last byte, which belongs to the signature, is another.
fn broken_signature(key: &KeyPair) -> String {
    let request = CertificateParams::default().serialize_request(key).unwrap();
    let mut der = request.der().to_vec();
    let last = der.last_mut().unwrap();
    *last ^= 1;
    BASE64_STANDARD.encode(der)
}

/// A request for an RSA key with the exponent 1, which no library makes.
fn weak_rsa() -> Vec<u8> {
    let tagged = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], content].concat()
    };
    let modulus = [&[0][..], &[0xc5; 256]].concat();
    let key = tagged(0x30, &[tagged(2, &modulus), vec![2, 1, 1]].concat());
    let rsa = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let spki = tagged(0x30, &[&rsa[..], &tagged(3, &[vec![0], key].concat())].concat());
    let content = tagged(0x30, &[vec![2, 1, 0, 0x30, 0], spki, vec![0xa0, 0]].concat());
    let sha256 = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b, 5, 0];
    tagged(0x30, &[content, sha256.to_vec(), tagged(3, &[0; 257])].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_request_at_the_wrong_place() {
    let world = world().await;

    let exchanged = world.exchange(&world.good(), &["mesh"]).await;
    let token = world.token(&world.good(), "mesh", Some(JWT)).await;
    let unexpected = ask(&world, &world.good(), &plain_csr(), "gcp-dev").await;

    for (refused, code) in [
        (exchanged, "mint.csr_missing"),
        (token, "mint.csr_missing"),
        (unexpected, "mint.csr_unexpected"),
    ] {
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, code),
            "{}",
            refused.text
        );
    }
    let trail = world.trail().await;
    assert_eq!((count(&trail, "denial"), count(&trail, "mint")), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_on_the_list_before_the_operator_is_told() {
    let world = world().await;
    let root = published_root(&world).await;
    let (one, two, three) = (svid(&world).await, svid(&world).await, svid(&world).await);
    let chain = |answer: &Answer| certificates(answer, "chain");
    let revoke = async |target: &str, value: &str| {
        let body = json!({ "target": target, "value": value, "reason": "a test" });
        world.admin("POST", "/v1/revocations", Some(&body)).await
    };

    let by_serial = revoke("serial", &one.text_at("/serial")).await;
    assert_eq!(by_serial.status, 201, "{}", by_serial.text);
    let now = list(&world).await;
    assert_eq!(
        verified(&world, &chain(&one), &root, &now),
        Err(webpki::Error::CertRevoked)
    );
    verified(&world, &chain(&two), &root, &now).unwrap();

    let by_exchange = revoke("exchange_id", &two.text_at("/exchange_id")).await;
    assert_eq!(by_exchange.text_at("/revocations/0/spiffe_id"), WORKLOAD);
    let now = list(&world).await;
    assert_eq!(
        verified(&world, &chain(&two), &root, &now),
        Err(webpki::Error::CertRevoked)
    );
    verified(&world, &chain(&three), &root, &now).unwrap();

    // The two that are revoked already are found again, and stand on the list once.
    let by_workload = revoke("spiffe_id", WORKLOAD).await;
    assert_eq!(by_workload.json()["revocations"].as_array().unwrap().len(), 3);
    let now = list(&world).await;
    assert_eq!(
        verified(&world, &chain(&three), &root, &now),
        Err(webpki::Error::CertRevoked)
    );
    let (_, read) = CertificateRevocationList::from_der(&now).unwrap();
    assert_eq!(read.iter_revoked_certificates().count(), 3);

    let trail = world.trail().await;
    let revoked = |entry: &&Value| {
        entry["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("revoked"))
    };
    assert_eq!(trail.iter().filter(revoked).count(), 3);
    let shown = world.admin("GET", "/v1/revocations", None).await.json();
    assert_eq!(shown["revocations"].as_array().unwrap().len(), 3);
    for (target, value) in [
        ("serial", "00"),
        ("serial", "x"),
        ("spiffe_id", "spiffe://dev.cambio.test/nobody"),
        ("exchange_id", unique().as_str()),
        ("planet", "mars"),
    ] {
        assert_eq!(
            revoke(target, value).await.code(),
            "request.parameter_invalid",
            "{target}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_and_keys_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let place = crate::world::place(directory.path());
    let before = World::start_at(&place, |configuration| with_mesh(&configuration))
        .await
        .unwrap();
    let root = published_root(&before).await;
    let answer = svid(&before).await;
    let body = json!({ "target": "serial", "value": answer.text_at("/serial"), "reason": "a test" });
    assert_eq!(before.admin("POST", "/v1/revocations", Some(&body)).await.status, 201);
    before.development.stop().await;

    let after = World::start_at(&place, |configuration| with_mesh(&configuration))
        .await
        .unwrap();

    assert_eq!(published_root(&after).await, root);
    let refused = verified(&after, &certificates(&answer, "chain"), &root, &list(&after).await);
    assert_eq!(refused, Err(webpki::Error::CertRevoked));
}

#[tokio::test(flavor = "multi_thread")]
async fn spiffe_bundle_3_spiffe_bundle_8_the_bundle_names_the_root_and_changes_with_the_keys_only() {
    let world = world().await;

    let bundle = world.metadata("/.well-known/spiffe/bundle.json").await;
    let again = world.metadata("/.well-known/spiffe/bundle.json").await;

    assert_eq!(bundle.header("etag"), again.header("etag"));
    let keys = world.admin("GET", "/v1/keys", None).await.json();
    assert_eq!(bundle.json()["spiffe_sequence"], keys["generation"]);
    let all = bundle.json()["keys"].as_array().unwrap().clone();
    let root = all.iter().find(|key| key["use"] == "x509-svid").unwrap();
    let members: Vec<_> = root.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["kty", "crv", "x", "y", "use", "x5c"]);
    assert_eq!(root["x5c"].as_array().unwrap().len(), 1);
    let der = published_root(&world).await;
    let (_, read) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(read.issuer().as_raw(), read.subject().as_raw());
    read.verify_signature(None).unwrap();
    let uses: Vec<&Value> = all.iter().map(|key| &key["use"]).collect();
    assert_eq!(uses, ["jwt-svid", "jwt-svid", "x509-svid"]);
    let shown = world.admin("GET", "/v1/bundle", None).await;
    assert_eq!(shown.text, bundle.text);
}
