//! The Rust library of SPIFFE as a judge: it takes our SVIDs and our bundle, and refuses what is none.
//!
//! Where it refuses, our own verifier is asked as well: two readers of one specification must agree.

use std::time::{Duration, SystemTime};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use cambio::spiffe as ours;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, RsaKeySize, SanType,
};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use spiffe::{
    Certificate, JwtBundle, JwtBundleError, JwtBundleSet, JwtSvid, JwtSvidError, JwtVerificationErrorKind, TrustDomain,
    X509Bundle, X509Svid, X509SvidError, cert::error::CertificateError,
};

use crate::{
    world::{JWT, WORKLOAD, World},
    x509::{ask, certificates, csr, list, verified, with_mesh},
};

const DOMAIN: &str = "dev.cambio.test";
const ORDERS: &str = "https://orders.test";

/// Two verifiers of tokens, one for each algorithm, a third whose tokens live for the shortest time that a grant can give, and a mesh.
const PARTIES: &str = "[[relying_party]]\nname = \"orders\"\nkind = \"svid\"\naudience = \"https://orders.test\"\n\n\
                       [[relying_party]]\nname = \"orders-es\"\nkind = \"svid\"\naudience = \"https://es.orders.test\"\n\
                       algorithm = \"ES256\"\n\n\
                       [[relying_party]]\nname = \"brief\"\nkind = \"svid\"\naudience = \"https://brief.test\"\n\n\
                       [[grant]]\nname = \"brief\"\nentries = [\"shop-deploy\"]\nrelying_parties = [\"brief\"]\nttl = \"1m\"\n\n";

async fn world() -> World {
    World::start_with(|configuration| {
        let meshed = with_mesh(&configuration);
        let granted = meshed.replacen(
            "relying_parties = [",
            "relying_parties = [\"orders\", \"orders-es\", ",
            1,
        );
        granted.replacen("[[grant]]", &format!("{PARTIES}[[grant]]"), 1)
    })
    .await
}

fn domain() -> TrustDomain {
    TrustDomain::new(DOMAIN).unwrap()
}

async fn document(world: &World) -> Value {
    world.metadata("/.well-known/spiffe/bundle.json").await.json()
}

/// Returns the keys of a bundle that are for `purpose`.
fn keys(document: &Value, purpose: &str) -> Vec<Value> {
    let keys = document["keys"].as_array().unwrap().clone();
    keys.into_iter().filter(|key| key["use"] == purpose).collect()
}

/// Gives `keys` to the library, which reads one JWK at a time: the document's form is ours to read.
fn jwt_bundle<'k>(keys: impl IntoIterator<Item = &'k Value>) -> Result<JwtBundleSet, JwtBundleError> {
    let mut bundle = JwtBundle::new(domain());
    for key in keys {
        bundle.add_jwk_authority_json(key.to_string().as_bytes())?;
    }
    let mut set = JwtBundleSet::new();
    set.add_bundle(bundle);
    Ok(set)
}

fn x509_bundle(document: &Value) -> X509Bundle {
    let mut bundle = X509Bundle::new(domain());
    for key in keys(document, "x509-svid") {
        let der = BASE64_STANDARD.decode(key["x5c"][0].as_str().unwrap()).unwrap();
        bundle.add_authority(&der).unwrap();
    }
    bundle
}

async fn token(world: &World, party: &str) -> String {
    let answer = world.token(&world.good(), party, Some(JWT)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text_at("/access_token")
}

/// Returns a chain as the library wants it: one certificate after the other.
fn joined(chain: &[CertificateDer<'_>]) -> Vec<u8> {
    chain.iter().flat_map(|one| one.iter().copied()).collect()
}

/// What the library says of a token, where the backend verified it.
fn verdict(refused: &JwtSvidError) -> Option<JwtVerificationErrorKind> {
    match refused {
        JwtSvidError::InvalidToken(reason) => Some(reason.kind()),
        _another => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jwt_svid_the_library_takes_our_tokens_of_each_algorithm_with_our_bundle() {
    let world = world().await;
    let document = document(&world).await;
    let authorities = keys(&document, "jwt-svid");
    let bundle = jwt_bundle(&authorities).unwrap();

    for (party, audience) in [("orders", ORDERS), ("orders-es", "https://es.orders.test")] {
        let token = token(&world, party).await;

        let svid = JwtSvid::parse_and_validate(&token, &bundle, &[audience]).unwrap();

        assert_eq!(svid.spiffe_id().to_string(), WORKLOAD);
        assert_eq!(svid.audience(), [audience]);
        assert!(authorities.iter().any(|key| key["kid"] == svid.key_id()), "{party}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jwt_svid_the_library_refuses_another_audience_a_foreign_key_id_and_what_was_changed() {
    let world = world().await;
    let document = document(&world).await;
    let authorities = keys(&document, "jwt-svid");
    let bundle = jwt_bundle(&authorities).unwrap();
    let token = token(&world, "orders").await;
    let refused = |token: &str, bundle: &JwtBundleSet, audience: &str| {
        JwtSvid::parse_and_validate(token, bundle, &[audience]).unwrap_err()
    };
    assert!(JwtSvid::parse_and_validate(&token, &bundle, &[ORDERS]).is_ok());

    let elsewhere = refused(&token, &bundle, "https://other.test");
    assert_eq!(verdict(&elsewhere), Some(JwtVerificationErrorKind::AudienceMismatch));

    // The signature's first character, so that none of its bits is padding.
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let signature: String = std::iter::once(other).chain(signature.chars().skip(1)).collect();
    let tampered = refused(&format!("{signed}.{signature}"), &bundle, ORDERS);
    assert_eq!(verdict(&tampered), Some(JwtVerificationErrorKind::InvalidSignature));

    let svid = JwtSvid::parse_insecure(&token).unwrap();
    let others = authorities.iter().filter(|key| key["kid"] != svid.key_id());
    let unknown = refused(&token, &jwt_bundle(others).unwrap(), ORDERS);
    assert!(
        matches!(&unknown, JwtSvidError::AuthorityNotFound(kid) if kid == svid.key_id()),
        "{unknown}"
    );

    let foreign = refused(&token, &JwtBundleSet::new(), ORDERS);
    assert!(
        matches!(&foreign, JwtSvidError::BundleNotFound(of) if *of == domain()),
        "{foreign}"
    );

    // Another key under the same key id: what a forger without the private key would have to publish.
    let stranger = cambio::jose::SigningKey::generate(cambio::jose::SigningAlgorithm::Rs256).unwrap();
    let mut swapped = serde_json::to_value(stranger.public_jwk(svid.key_id())).unwrap();
    swapped["use"] = json!("jwt-svid");
    let forged = refused(&token, &jwt_bundle([&swapped]).unwrap(), ORDERS);
    assert_eq!(verdict(&forged), Some(JwtVerificationErrorKind::InvalidSignature));
}

#[tokio::test(flavor = "multi_thread")]
async fn jwt_svid_the_library_refuses_a_token_of_ours_that_has_ended() {
    let world = world().await;
    let bundle = jwt_bundle(&keys(&document(&world).await, "jwt-svid")).unwrap();
    // A clock that lies further back than a minute is not trusted, and no grant is shorter than one.
    world.clock.set(world.now() - Duration::from_secs(58));
    world.pass(Duration::ZERO).await;
    let token = token(&world, "brief").await;
    let svid = JwtSvid::parse_insecure(&token).unwrap();
    // The library reads the machine's clock and grants no leeway.
    let left = SystemTime::from(svid.expiry()).duration_since(cambio::clock::system().now());
    let left = left.unwrap_or_default();
    assert!(left < Duration::from_secs(3), "{left:?}");
    tokio::time::sleep(left + Duration::from_millis(100)).await;

    let refused = JwtSvid::parse_and_validate(&token, &bundle, &["https://brief.test"]).unwrap_err();

    assert_eq!(verdict(&refused), Some(JwtVerificationErrorKind::Expired));
}

#[tokio::test(flavor = "multi_thread")]
async fn spiffe_bundle_the_library_refuses_an_authority_without_key_id_or_for_another_use() {
    let world = world().await;
    let document = document(&world).await;
    let authorities = keys(&document, "jwt-svid");
    let token = token(&world, "orders").await;
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut changed = authorities.clone();
        changed.iter_mut().for_each(change);
        changed
    };
    let ours_of = |keys: &[Value]| {
        let domain = ours::TrustDomain::parse(DOMAIN).unwrap();
        let document = json!({ "keys": keys, "spiffe_sequence": 1, "spiffe_refresh_hint": 300 });
        ours::Bundle::parse(domain, document.to_string().as_bytes()).unwrap()
    };

    let nameless = changed(&|key| drop(key.as_object_mut().unwrap().remove("kid")));
    let refused = jwt_bundle(&nameless).unwrap_err();
    assert!(matches!(refused, JwtBundleError::MissingKeyId), "{refused}");
    let read = ours_of(&nameless);
    assert!(read.jwt_authorities().keys().is_empty());
    assert!(matches!(read.ignored()[0].reason(), ours::IgnoredReason::NoKeyId));

    for purpose in ["x509-svid", "enc", "wit-svid"] {
        let misused = changed(&|key| key["use"] = json!(purpose));
        let refused = JwtSvid::parse_and_validate(&token, &jwt_bundle(&misused).unwrap(), &[ORDERS]).unwrap_err();
        assert!(
            matches!(refused, JwtSvidError::UnsupportedAuthorityPurpose),
            "{purpose}: {refused}"
        );
        let read = ours_of(&misused);
        assert!(read.jwt_authorities().keys().is_empty(), "{purpose}");
        assert_eq!(read.ignored().len(), misused.len(), "{purpose}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x509_svid_the_library_takes_our_chain_for_each_kind_of_key_and_it_leads_to_the_bundles_root() {
    let world = world().await;
    let bundle = x509_bundle(&document(&world).await);
    let [root] = bundle.authorities() else {
        panic!("{} authorities", bundle.authorities().len());
    };
    let root = CertificateDer::from(root.as_bytes().to_vec());

    for (kind, key) in [
        ("P-256", KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)),
        ("P-384", KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)),
        (
            "RSA-2048",
            KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
        ),
        (
            "RSA-4096",
            KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA512, RsaKeySize::_4096),
        ),
    ] {
        let key = key.unwrap();
        let answer = ask(&world, &world.good(), &csr(&key, |_| {}), "mesh").await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text);
        let chain = certificates(&answer, "chain");

        let svid = X509Svid::parse_from_der(&joined(&chain), &key.serialize_der());

        let svid = svid.unwrap_or_else(|refused| panic!("{kind}: {refused}"));
        assert_eq!(svid.spiffe_id().to_string(), WORKLOAD, "{kind}");
        assert_eq!(svid.cert_chain().len(), 2, "{kind}");
        assert_eq!(svid.leaf().as_bytes(), &*chain[0], "{kind}");
        // The library reads and does not validate paths: rustls' validation does, with the roots that it read.
        verified(&world, &chain, &root, &list(&world).await).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x509_svid_the_library_takes_our_authorities_for_no_svid() {
    let world = world().await;
    let key = KeyPair::generate().unwrap();
    let answer = ask(&world, &world.good(), &csr(&key, |_| {}), "mesh").await;
    let (chain, bundle) = (certificates(&answer, "chain"), certificates(&answer, "bundle"));
    let refused = |chain: &[&[u8]]| X509Svid::parse_from_der(&chain.concat(), &key.serialize_der()).unwrap_err();

    for (what, authority) in [("intermediate", &chain[1]), ("root", &bundle[0])] {
        let refused = refused(&[authority]);
        assert!(
            matches!(refused, X509SvidError::LeafCertificateMissingDigitalSignature),
            "{what}: {refused}"
        );
    }
    // One workload never vouches for another.
    let refused_above = refused(&[&chain[0], &chain[0]]);
    assert!(
        matches!(refused_above, X509SvidError::SigningCertificateMissingCaFlag),
        "{refused_above}"
    );
    let torn = refused(&[&chain[0], &chain[1][..40]]);
    assert!(matches!(torn, X509SvidError::Certificate(_)), "{torn}");
    assert!(matches!(refused(&[]), X509SvidError::EmptyChain));
}

/// An authority of the test, whose root our own verifier is given.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut root = CertificateParams::default();
        root.distinguished_name.push(DnType::CommonName, "a test's root");
        root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        root.subject_alt_names = vec![uri("spiffe://dev.cambio.test")];
        Self(CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap())
    }

    fn bundle(&self) -> ours::Bundle {
        let point = self.0.key().public_key_raw();
        let [x, y] = [&point[1..33], &point[33..]].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
        let x5c = [BASE64_STANDARD.encode(self.0.der())];
        let key = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "x509-svid", "x5c": x5c });
        let document = json!({ "keys": [key], "spiffe_sequence": 1, "spiffe_refresh_hint": 300 });
        let domain = ours::TrustDomain::parse(DOMAIN).unwrap();
        let bundle = ours::Bundle::parse(domain, document.to_string().as_bytes()).unwrap();
        assert_eq!(bundle.x509_authorities().len(), 1, "{:?}", bundle.ignored());
        bundle
    }

    /// Signs the certificate of a workload, all that an SVID needs, changed by one thing.
    fn leaf(&self, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut leaf = CertificateParams::default();
        leaf.subject_alt_names = vec![uri(WORKLOAD)];
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut leaf);
        leaf.signed_by(key, &self.0).unwrap().der().clone()
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

/// Holds one changed certificate against both judges; returns what each of them says.
fn judged(
    change: impl FnOnce(&mut CertificateParams),
) -> (Result<X509Svid, X509SvidError>, Result<(), ours::SvidRefused>) {
    let (authority, key) = (Authority::new(), KeyPair::generate().unwrap());
    let leaf = authority.leaf(&key, change);
    let theirs = X509Svid::parse_from_der(&leaf, &key.serialize_der());
    let now: SystemTime = cambio::clock::system().now();
    let own = ours::X509Svid::verify(&[leaf], &authority.bundle(), None, now);
    (theirs, own.map(drop))
}

#[test]
fn a_certificate_that_nothing_is_wrong_with_is_taken_by_both_judges() {
    let (theirs, own) = judged(|_| {});

    assert_eq!(theirs.unwrap().spiffe_id().to_string(), WORKLOAD);
    own.unwrap();
}

#[test]
fn x509_svid_1_both_judges_refuse_two_uris() {
    let (theirs, own) = judged(|leaf| leaf.subject_alt_names.push(uri("spiffe://dev.cambio.test/admin")));

    let refused = theirs.unwrap_err();
    assert!(
        matches!(
            refused,
            X509SvidError::Certificate(CertificateError::MultipleUriSanEntries)
        ),
        "{refused}"
    );
    assert_eq!(own.unwrap_err(), ours::SvidRefused::Uris { found: 2 });

    let (theirs, own) = judged(|leaf| leaf.subject_alt_names.push(uri("https://dev.cambio.test/")));
    assert!(matches!(
        theirs.unwrap_err(),
        X509SvidError::Certificate(CertificateError::MultipleUriSanEntries)
    ));
    assert_eq!(own.unwrap_err(), ours::SvidRefused::Uris { found: 2 });
}

#[test]
fn x509_svid_1_both_judges_refuse_a_certificate_without_uri() {
    let (theirs, own) = judged(|leaf| leaf.subject_alt_names = vec![dns("shop.cambio.test")]);

    let refused = theirs.unwrap_err();
    assert!(
        matches!(refused, X509SvidError::Certificate(CertificateError::MissingSpiffeId)),
        "{refused}"
    );
    assert_eq!(own.unwrap_err(), ours::SvidRefused::Uris { found: 0 });

    let (theirs, own) = judged(|leaf| leaf.subject_alt_names.clear());
    let refused = theirs.unwrap_err();
    assert!(
        matches!(
            refused,
            X509SvidError::Certificate(CertificateError::MissingX509Extension(_))
        ),
        "{refused}"
    );
    assert_eq!(own.unwrap_err(), ours::SvidRefused::Uris { found: 0 });
}

#[test]
fn x509_svid_3_both_judges_refuse_a_name_without_path_and_one_of_another_scheme() {
    let (theirs, own) = judged(|leaf| leaf.subject_alt_names = vec![uri("spiffe://dev.cambio.test")]);
    assert!(matches!(theirs.unwrap_err(), X509SvidError::LeafSpiffeIdMissingPath));
    assert_eq!(own.unwrap_err(), ours::SvidRefused::RootPath);

    let (theirs, own) = judged(|leaf| leaf.subject_alt_names = vec![uri("https://dev.cambio.test/ci")]);
    assert!(matches!(
        theirs.unwrap_err(),
        X509SvidError::Certificate(CertificateError::MissingSpiffeId)
    ));
    assert!(matches!(own.unwrap_err(), ours::SvidRefused::Id(_)));
}

#[test]
fn x509_svid_7_x509_svid_8_x509_svid_9_both_judges_refuse_an_authority_as_a_leaf() {
    let (theirs, own) = judged(|leaf| leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert!(matches!(theirs.unwrap_err(), X509SvidError::LeafCertificateHasCaFlag));
    assert!(matches!(own.unwrap_err(), ours::SvidRefused::Authority { .. }));

    let (theirs, own) = judged(|leaf| leaf.key_usages.push(KeyUsagePurpose::KeyCertSign));
    assert!(matches!(
        theirs.unwrap_err(),
        X509SvidError::LeafCertificateHasKeyCertSign
    ));
    assert!(own.is_err());

    let (theirs, own) = judged(|leaf| leaf.key_usages.push(KeyUsagePurpose::CrlSign));
    assert!(matches!(theirs.unwrap_err(), X509SvidError::LeafCertificateHasCrlSign));
    assert!(own.is_err());

    let (theirs, own) = judged(|leaf| leaf.key_usages = vec![KeyUsagePurpose::KeyEncipherment]);
    assert!(matches!(
        theirs.unwrap_err(),
        X509SvidError::LeafCertificateMissingDigitalSignature
    ));
    assert!(own.is_err());
}

#[test]
fn the_library_refuses_what_is_no_certificate_and_no_private_key() {
    let (authority, key) = (Authority::new(), KeyPair::generate().unwrap());
    let leaf = authority.leaf(&key, |_| {});

    assert!(matches!(
        X509Svid::parse_from_der(&leaf, b"no key").unwrap_err(),
        X509SvidError::PrivateKey(_)
    ));
    let trailing = [&leaf[..], &[0]].concat();
    assert!(matches!(
        Certificate::try_from(trailing).unwrap_err(),
        CertificateError::ParseX509Certificate(_)
    ));
}
