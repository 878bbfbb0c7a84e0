//! What an X.509-SVID says, read back with another library than the one that wrote it.

use std::{collections::HashSet, sync::LazyLock, time::Duration};

use rcgen::{CertificateParams, KeyPair};
use x509_parser::{certificate::X509Certificate, der_parser::asn1_rs::FromDer as _, extensions::GeneralName};

use super::*;
use crate::{
    authorize::sample::{ask, sample},
    mint::{
        Svid, SvidShape,
        csr::SubjectPublicKey,
        fixture::{minter, now, ring},
    },
    store::Unrecorded,
};

static REQUEST: LazyLock<SubjectPublicKey> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key).unwrap();
    SubjectPublicKey::from_der(request.der()).unwrap()
});

fn shape(life: Duration) -> X509Shape {
    X509Shape {
        key: SubjectKey::Certified(REQUEST.clone()),
        dns_names: vec!["shop.acme.example".to_owned()],
        life,
    }
}

async fn minted(shape: X509Shape) -> Result<Unrecorded<Svid>, MintRefusal> {
    let permission = sample().decide(ask()).unwrap();
    minter().await.mint(permission, SvidShape::X509(shape), now()).await
}

fn x509(svid: &Unrecorded<Svid>) -> &X509Svid {
    match svid.describe() {
        Svid::X509(svid) => svid,
        Svid::Jwt(svid) => panic!("{svid:?}"),
    }
}

fn read<'a>(der: &'a CertificateDer<'static>) -> X509Certificate<'a> {
    X509Certificate::from_der(der).unwrap().1
}

#[tokio::test]
async fn x509_svid_1_names_the_permitted_spiffe_id_and_the_granted_dns_names() {
    let permission = sample().decide(ask()).unwrap();

    let svid = minted(shape(Duration::from_mins(5))).await.unwrap();

    let own = read(&x509(&svid).chain()[0]);
    let names = own.subject_alternative_name().unwrap().unwrap();
    assert_eq!(
        names.value.general_names,
        [
            GeneralName::URI(permission.subject().as_str()),
            GeneralName::DNSName("shop.acme.example")
        ]
    );
    assert_eq!(own.public_key().raw, REQUEST.spki());
    assert_eq!(svid.digest(), Digest::of(&x509(&svid).chain()[0]));
}

#[tokio::test]
async fn x509_svid_4_the_subject_is_the_entry_and_a_digest_of_the_spiffe_id() {
    let permission = sample().decide(ask()).unwrap();
    let digest = Digest::of(permission.subject().as_str().as_bytes()).to_string();
    let digest: String = digest.chars().take(8).collect();

    let svid = minted(shape(Duration::from_mins(5))).await.unwrap();

    let own = read(&x509(&svid).chain()[0]);
    let entry = permission.workload().entry().as_str();
    assert_eq!(own.subject().to_string(), format!("CN={entry}.{digest}"));
    assert!(!own.subject_alternative_name().unwrap().unwrap().critical);
}

#[tokio::test]
async fn x509_svid_5_the_chain_leads_to_a_root_with_the_trust_domain_as_its_name() {
    let ring = ring().await;
    let set = ring.load();
    let root = set.published_roots().remove(0).certificate;
    let intermediate = set.intermediate().unwrap().certificates()[0].clone();

    for (certificate, path_length) in [(&root, 1), (&intermediate, 0)] {
        let read = read(certificate);
        let constraints = read.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(path_length));
        let usage = read.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
        assert!(!usage.value.digital_signature());
        let names = read.subject_alternative_name().unwrap().unwrap();
        assert_eq!(
            names.value.general_names,
            [GeneralName::URI("spiffe://prod.acme.example")]
        );
    }
    let years = read(&root).validity().time_to_expiration();
    let days = (read(&root).validity().not_after.timestamp() - read(&root).validity().not_before.timestamp()) / 86_400;
    assert_eq!(days, 3652, "{years:?}");
}

#[tokio::test]
async fn lives_as_long_as_asked_and_never_longer_than_permitted() {
    let permitted = sample().decide(ask()).unwrap().lifetime();

    let short = minted(shape(Duration::from_mins(1))).await.unwrap();
    let long = minted(shape(Duration::from_hours(240))).await.unwrap();

    assert_eq!(x509(&short).expires(), now() + Duration::from_mins(1));
    assert_eq!(x509(&long).expires(), now() + permitted);
    let own = read(&x509(&short).chain()[0]);
    assert_eq!(
        own.validity().not_after.timestamp() - own.validity().not_before.timestamp(),
        90
    );
}

#[tokio::test]
async fn never_outlives_its_intermediate_and_none_is_made_after_it() {
    let minter = minter().await;
    let end = minter.keys().load().intermediate().unwrap().expires();
    let mint = |now| {
        minter.mint(
            sample().decide(ask()).unwrap(),
            SvidShape::X509(shape(Duration::from_mins(5))),
            now,
        )
    };

    let last = mint(end - Duration::from_mins(1)).await.unwrap();
    let none = mint(end).await;

    assert_eq!(x509(&last).expires(), end);
    assert!(matches!(none, Err(MintRefusal::KeyUnavailable { .. })), "{none:?}");
}

#[tokio::test]
async fn serial_numbers_are_positive_long_and_never_the_same_for_one_key() {
    let minter = minter().await;
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let permission = sample().decide(ask()).unwrap();
        let shape = SvidShape::X509(shape(Duration::from_mins(5)));

        let svid = minter.mint(permission, shape, now()).await.unwrap();

        let serial = x509(&svid).serial().to_vec();
        assert_eq!((serial.len(), serial[0] & 0xc0), (16, 0x40));
        assert_eq!(read(&x509(&svid).chain()[0]).raw_serial(), serial);
        assert!(seen.insert(serial));
    }
}

#[tokio::test]
async fn a_key_that_is_made_here_signs_what_its_certificate_verifies() {
    for algorithm in [
        X509KeyAlgorithm::P256,
        X509KeyAlgorithm::P384,
        X509KeyAlgorithm::Rsa2048,
    ] {
        let shape = X509Shape {
            key: SubjectKey::Generated(algorithm),
            ..shape(Duration::from_mins(5))
        };

        let svid = minted(shape).await.unwrap();

        let svid = x509(&svid);
        let key = svid.private_key_pkcs8().unwrap();
        assert_eq!(svid.key_algorithm(), Some(algorithm));
        let public = read(&svid.chain()[0]).public_key().raw.to_vec();
        let pair = KeyPair::try_from(key.as_slice()).unwrap();
        assert_eq!(
            rcgen::PublicKeyData::subject_public_key_info(&pair),
            public,
            "{algorithm:?}"
        );
        assert!(svid.sign(b"message").is_ok());
        assert!(!format!("{svid:?}").contains("pkcs8"));
    }
}

#[tokio::test]
async fn the_key_of_a_request_is_not_ours_to_sign_with() {
    let svid = minted(shape(Duration::from_mins(5))).await.unwrap();

    let svid = x509(&svid);
    assert_eq!(svid.sign(b"message"), Err(NotSigned::NotOurs));
    assert!(svid.private_key_pkcs8().is_none());
    assert_eq!(svid.key_algorithm(), None);
}

#[tokio::test]
async fn nothing_is_minted_without_a_key() {
    let shape = X509Shape {
        key: SubjectKey::Requested,
        ..shape(Duration::from_mins(5))
    };

    assert!(matches!(minted(shape).await, Err(MintRefusal::CsrMissing)));
}

#[tokio::test]
async fn webpki_takes_the_chain_to_the_published_root_for_both_purposes() {
    let minter = minter().await;
    let permission = sample().decide(ask()).unwrap();
    let svid = minter
        .mint(permission, SvidShape::X509(shape(Duration::from_mins(5))), now())
        .await
        .unwrap();
    let root = minter.keys().load().published_roots().remove(0).certificate;
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    let chain = x509(&svid).chain();
    let own = webpki::EndEntityCert::try_from(&chain[0]).unwrap();
    let since = rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(unix_seconds(now())));

    for usage in [webpki::KeyUsage::client_auth(), webpki::KeyUsage::server_auth()] {
        own.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            std::slice::from_ref(&anchor),
            &chain[1..],
            since,
            usage,
            None,
            None,
        )
        .unwrap();
    }
}

#[test]
fn names_of_any_entry_fit_the_source_identity() {
    let id = SpiffeId::parse("spiffe://prod.acme.example/ci/shop").unwrap();

    assert_eq!(profile::svid_name(&"e".repeat(200), &id).len(), 61);
    assert_eq!(profile::svid_name("shop", &id).len(), 13);
}

/// Certificates that OpenSSL judges in one call.
const BATCH: usize = 250;

fn written(directory: &std::path::Path, name: &str, certificates: &[CertificateDer<'static>]) -> std::path::PathBuf {
    let path = directory.join(name);
    let mut pem = String::new();
    for one in certificates {
        let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, one);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        pem.push_str(&encoded);
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    std::fs::write(&path, pem).unwrap();
    path
}

/// Asks OpenSSL which of `files` it takes; `None` where it is not installed.
fn openssl(root: &std::path::Path, intermediate: &std::path::Path, files: &[std::path::PathBuf]) -> Option<usize> {
    let mut taken = 0;
    for purpose in ["sslclient", "sslserver"] {
        let output = std::process::Command::new("openssl")
            .args([
                "verify",
                "-x509_strict",
                "-check_ss_sig",
                "-purpose",
                purpose,
                "-attime",
            ])
            .arg(unix_seconds(now()).to_string())
            .arg("-CAfile")
            .arg(root)
            .arg("-untrusted")
            .arg(intermediate)
            .args(files)
            .output()
            .ok()?;
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        taken = answer.lines().filter(|line| line.ends_with(": OK")).count();
        if taken < files.len() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            return Some(taken);
        }
    }
    Some(taken)
}

/// One request of each kind of key.
fn requests() -> Vec<SubjectPublicKey> {
    let keys = [
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap(),
        KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_4096).unwrap(),
    ];
    let requests = keys
        .iter()
        .map(|key| CertificateParams::default().serialize_request(key).unwrap());
    requests
        .map(|request| SubjectPublicKey::from_der(request.der()).unwrap())
        .collect()
}

#[tokio::test]
async fn openssl_webpki_and_our_own_check_agree_on_2_000_chains() {
    let minter = minter().await;
    let root = minter.keys().load().published_roots().remove(0).certificate;
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    let since = rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(unix_seconds(now())));
    let requests = requests();
    let directory = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let mut chain = Vec::new();
    for number in 0..2_000 {
        let names = (0..number % 5).map(|name| format!("n{name}.acme.example")).collect();
        let shape = X509Shape {
            key: SubjectKey::Certified(requests[number % requests.len()].clone()),
            dns_names: names,
            life: Duration::from_secs(60 + u64::try_from(number).unwrap()),
        };
        // Minting includes our own check.
        let permission = sample().decide(ask()).unwrap();
        let svid = minter.mint(permission, SvidShape::X509(shape), now()).await.unwrap();
        chain = x509(&svid).chain().to_vec();
        let own = webpki::EndEntityCert::try_from(&chain[0]).unwrap();
        own.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            std::slice::from_ref(&anchor),
            &chain[1..],
            since,
            webpki::KeyUsage::server_auth(),
            None,
            None,
        )
        .unwrap();
        files.push(written(directory.path(), &format!("{number}.pem"), &chain[..1]));
    }

    let root = written(directory.path(), "root.pem", std::slice::from_ref(&root));
    let intermediate = written(directory.path(), "intermediate.pem", &chain[1..]);
    for batch in files.chunks(BATCH) {
        let Some(taken) = openssl(&root, &intermediate, batch) else {
            eprintln!("SKIPPED: openssl is not installed, so that only webpki judged the 2,000 chains");
            return;
        };
        assert_eq!(taken, batch.len());
    }
}

#[tokio::test]
async fn what_was_changed_after_signing_is_refused_by_all_three() {
    let minter = minter().await;
    let permission = sample().decide(ask()).unwrap();
    let id = permission.subject().clone();
    let wished = shape(Duration::from_mins(5));
    let svid = minter.mint(permission, SvidShape::X509(wished), now()).await.unwrap();
    let svid = x509(&svid);
    let root = minter.keys().load().published_roots().remove(0).certificate;
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    let since = rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(unix_seconds(now())));
    let directory = tempfile::tempdir().unwrap();
    let root = written(directory.path(), "root.pem", std::slice::from_ref(&root));
    let intermediate = written(directory.path(), "intermediate.pem", &svid.chain()[1..]);
    let length = svid.chain()[0].len();
    let above = x509::Above::read(&svid.chain()[1]).unwrap();

    for position in (4..length).step_by(29) {
        let mut changed = svid.chain()[0].to_vec();
        changed[position] ^= 1;
        let own = CertificateDer::from(changed);

        let chain = [std::slice::from_ref(&own), &svid.chain()[1..]].concat();
        let spki = REQUEST.spki();
        let wanted = Wanted {
            spiffe_id: &id,
            dns_names: &["shop.acme.example".to_owned()],
            spki: &spki,
            serial: svid.serial(),
            ends: svid.expires(),
            now: now(),
        };
        assert!(
            x509::check(&chain, &above, wanted).is_err(),
            "our own check takes byte {position}"
        );
        let judged = webpki::EndEntityCert::try_from(&own).and_then(|own| {
            let (anchors, above) = (std::slice::from_ref(&anchor), &chain[1..]);
            let usage = webpki::KeyUsage::client_auth();
            own.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, anchors, above, since, usage, None, None)
                .map(drop)
        });
        assert!(judged.is_err(), "webpki takes byte {position}");
        let file = written(directory.path(), "own.pem", std::slice::from_ref(&own));
        let taken = openssl(&root, &intermediate, &[file]);
        assert!(taken.is_none_or(|taken| taken == 0), "OpenSSL takes byte {position}");
    }
}
