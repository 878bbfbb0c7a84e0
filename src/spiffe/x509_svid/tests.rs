//! Chains that differ from a good one in one point.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType,
};

use super::*;
use crate::{clock::parse_rfc3339, spiffe::fixture::Domain};

fn now() -> SystemTime {
    parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

fn domain() -> Domain {
    Domain::new("acme.example", now())
}

fn bundle(domain: &Domain) -> Bundle {
    let name = TrustDomain::parse(&domain.name).unwrap();
    Bundle::parse(name, domain.document().to_string().as_bytes()).unwrap()
}

fn verify(domain: &Domain, change: impl FnOnce(&mut CertificateParams)) -> Result<X509Svid, SvidRefused> {
    X509Svid::verify(&domain.leaf(change).chain, &bundle(domain), None, now())
}

fn refused(change: impl FnOnce(&mut CertificateParams)) -> SvidRefused {
    verify(&domain(), change).unwrap_err()
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

#[test]
fn x509_svid_11_takes_a_chain_to_a_root_of_its_own_trust_domain() {
    let domain = domain();
    let leaf = domain.svid();

    let svid = X509Svid::verify(&leaf.chain, &bundle(&domain), None, now()).unwrap();

    assert_eq!(svid.spiffe_id().as_str(), "spiffe://acme.example/shop");
    assert_eq!(svid.not_after(), now() + Duration::from_hours(1));
    assert_eq!(svid.sha256(), Digest::of(&leaf.chain[0]));
}

#[test]
fn x509_svid_11_refuses_an_svid_of_one_trust_domain_under_the_root_of_another() {
    let (acme, other) = (domain(), Domain::new("other.example", now()));
    let crossed = other.leaf(|leaf| leaf.subject_alt_names = vec![uri("spiffe://acme.example/shop")]);

    let by_name = X509Svid::verify(&crossed.chain, &bundle(&acme), None, now());
    let by_root = X509Svid::verify(&crossed.chain, &bundle(&other), None, now());

    assert!(matches!(by_name, Err(SvidRefused::Path { .. })), "{by_name:?}");
    assert!(
        matches!(by_root, Err(SvidRefused::OtherTrustDomain { .. })),
        "{by_root:?}"
    );
}

#[test]
fn x509_svid_11_refuses_a_chain_without_its_intermediate() {
    let domain = domain();

    let found = X509Svid::verify(&domain.svid().chain[..1], &bundle(&domain), None, now());

    assert!(matches!(found, Err(SvidRefused::Path { .. })), "{found:?}");
}

#[test]
fn x509_svid_11_refuses_what_is_expired_or_not_yet_valid() {
    let expired = refused(|leaf| leaf.not_after = (now() - Duration::from_secs(1)).into());
    let early = refused(|leaf| leaf.not_before = (now() + Duration::from_secs(1)).into());

    assert!(matches!(expired, SvidRefused::Expired { .. }), "{expired:?}");
    assert!(matches!(early, SvidRefused::Path { .. }), "{early:?}");
}

#[test]
fn x509_svid_11_an_expired_root_verifies_nothing() {
    let domain = Domain::with_root("acme.example", now(), |root| {
        root.not_after = (now() - Duration::from_secs(1)).into();
    });

    let found = verify(&domain, |_| {});

    assert!(matches!(found, Err(SvidRefused::Path { .. })), "{found:?}");
}

#[test]
fn x509_svid_1_refuses_a_second_uri_and_none() {
    let two = refused(|leaf| leaf.subject_alt_names.push(uri("https://acme.example/shop")));
    let none = refused(|leaf| leaf.subject_alt_names.clear());

    assert_eq!(two, SvidRefused::Uris { found: 2 });
    assert_eq!(none, SvidRefused::Uris { found: 0 });
}

#[test]
fn x509_svid_3_refuses_a_leaf_with_the_trust_domains_own_id() {
    for root in ["spiffe://acme.example", "spiffe://acme.example/"] {
        let found = refused(|leaf| leaf.subject_alt_names = vec![uri(root)]);

        assert!(
            matches!(found, SvidRefused::RootPath | SvidRefused::Id(_)),
            "{root}: {found:?}"
        );
    }
}

#[test]
fn x509_svid_6_an_authority_never_authenticates_a_peer() {
    let authority = refused(|leaf| {
        leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });

    assert_eq!(authority, SvidRefused::Authority { found: "CA:true" });
}

#[test]
fn x509_svid_12_refuses_a_leaf_that_may_sign_certificates_or_lists_or_nothing() {
    for usage in [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign] {
        let found = refused(|leaf| leaf.key_usages.push(usage));
        assert!(matches!(found, SvidRefused::Usage { .. }), "{found:?}");
    }
    let none = refused(|leaf| leaf.key_usages.clear());
    assert_eq!(none, SvidRefused::Usage { found: "none" });
    let other = refused(|leaf| leaf.key_usages = vec![KeyUsagePurpose::KeyAgreement]);
    assert!(matches!(other, SvidRefused::Usage { .. }), "{other:?}");
}

#[test]
fn x509_svid_12_refuses_another_scheme() {
    let found = refused(|leaf| leaf.subject_alt_names = vec![uri("https://acme.example/shop")]);

    assert!(matches!(found, SvidRefused::Id(_)), "{found:?}");
}

#[test]
fn x509_svid_10_refuses_a_leaf_for_servers_only_and_takes_one_without_purpose() {
    let found = refused(|leaf| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(matches!(found, SvidRefused::Path { .. }), "{found:?}");

    assert!(verify(&domain(), |leaf| leaf.extended_key_usages.clear()).is_ok());
}

#[test]
fn x509_svid_13_constraints_on_names_are_held_and_those_that_cannot_be_are_refused() {
    let constrained = |permitted: &str| {
        Domain::with_root("acme.example", now(), |root| {
            root.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName(permitted.to_owned())],
                excluded_subtrees: Vec::new(),
            });
        })
    };
    let name = |leaf: &mut CertificateParams| {
        leaf.subject_alt_names
            .push(SanType::DnsName("shop.acme.example".try_into().unwrap()));
    };

    assert!(verify(&constrained("acme.example"), name).is_ok());
    let found = verify(&constrained("other.example"), name);

    assert!(matches!(found, Err(SvidRefused::Path { .. })), "{found:?}");
}

#[test]
fn t_38_refuses_a_chain_under_another_root_of_the_same_name_and_serial_number() {
    let root = || {
        Domain::with_root("acme.example", now(), |root| {
            root.serial_number = Some(7_u64.into());
        })
    };
    let (genuine, forged) = (root(), root());
    let named = |domain: &Domain| {
        let (_, read) = X509Certificate::from_der(&domain.root).unwrap();
        (read.subject().to_string(), read.raw_serial().to_vec())
    };
    assert_eq!(named(&genuine), named(&forged));
    assert!(verify(&genuine, |_| {}).is_ok());

    let found = X509Svid::verify(&forged.svid().chain, &bundle(&genuine), None, now());

    assert!(matches!(found, Err(SvidRefused::Path { .. })), "{found:?}");
}

#[test]
fn t_38_a_certificate_that_is_no_authority_verifies_nothing() {
    for not_one in [IsCa::ExplicitNoCa, IsCa::NoCa] {
        let domain = Domain::with_root("acme.example", now(), |root| root.is_ca = not_one);

        let found = verify(&domain, |_| {});

        assert!(matches!(found, Err(SvidRefused::Path { .. })), "{found:?}");
    }
}

#[test]
fn t_58_refuses_every_uri_that_other_readers_take_apart_differently() {
    for odd in [
        "spiffe://root@acme.example/shop",
        "spiffe://acme.example:8443/shop",
        "spiffe://[fe80::1%25eth0]/shop",
        "SPIFFE://acme.example/shop",
        "spiffe://ACME.example/shop",
        "spiffe://acme.example/shop?x",
        "spiffe://acme.example/shop#x",
        "spiffe://acme.example/a/../shop",
        "spiffe://acme.example/%73hop",
        "spiffe:acme.example/shop",
    ] {
        let found = refused(|leaf| leaf.subject_alt_names = vec![uri(odd)]);
        assert!(matches!(found, SvidRefused::Id(_)), "{odd}: {found:?}");
    }
    let good = "spiffe://acme.example/shop";
    for (uris, expected) in [(vec![], 0), (vec![uri(good), uri(good)], 2)] {
        let found = refused(|leaf| leaf.subject_alt_names = uris);
        assert_eq!(found, SvidRefused::Uris { found: expected });
    }
}

#[test]
fn t_06_takes_6_certificates_and_refuses_7_and_none() {
    let domain = domain();
    let mut chain = domain.svid().chain;
    chain.resize(6, chain[1].clone());
    assert!(X509Svid::verify(&chain, &bundle(&domain), None, now()).is_ok());

    chain.push(chain[1].clone());

    let found = X509Svid::verify(&chain, &bundle(&domain), None, now());
    assert_eq!(found, Err(SvidRefused::Chain { found: 7 }));
    let found = X509Svid::verify(&[], &bundle(&domain), None, now());
    assert_eq!(found, Err(SvidRefused::Chain { found: 0 }));
}

#[test]
fn t_06_refuses_rsa_keys_above_4096_bits_before_any_signature() {
    let domain = domain();
    let key = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).unwrap();

    let good = domain.leaf_of(&key(rcgen::RsaKeySize::_2048), |_| {});

    assert!(X509Svid::verify(&good.chain, &bundle(&domain), None, now()).is_ok());
    let mut heavy = good.chain.clone();
    heavy.push(rsa_8192());
    let found = X509Svid::verify(&heavy, &bundle(&domain), None, now());
    assert_eq!(found, Err(SvidRefused::Key { found: 8192 }));
}

/// A certificate that claims a key of 8192 bits; nobody has to be able to use it.
fn rsa_8192() -> CertificateDer<'static> {
    struct Claimed(Vec<u8>);
    impl rcgen::PublicKeyData for Claimed {
        fn der_bytes(&self) -> &[u8] {
            &self.0
        }
        fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
            &rcgen::PKCS_RSA_SHA256
        }
    }
    let mut key = vec![0x30, 0x82, 0x04, 0x0a, 0x02, 0x82, 0x04, 0x01, 0x00];
    key.extend([0xc5; 1024]);
    key.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
    let signer = KeyPair::generate().unwrap();
    let params = CertificateParams::default();
    let issuer = rcgen::Issuer::new(CertificateParams::default(), signer);
    params.signed_by(&Claimed(key), &issuer).unwrap().der().clone()
}

#[test]
fn refuses_what_is_no_certificate_and_bytes_after_one() {
    let domain = domain();
    let mut longer = domain.svid().chain[0].to_vec();
    longer.push(0);

    for garbage in [b"garbage".to_vec(), longer] {
        let found = X509Svid::verify(&[CertificateDer::from(garbage)], &bundle(&domain), None, now());
        assert!(matches!(found, Err(SvidRefused::Unreadable { .. })), "{found:?}");
    }
}

#[test]
fn with_lists_a_leaf_of_whose_issuer_there_is_none_is_refused() {
    let domain = domain();

    let found = X509Svid::verify(&domain.svid().chain, &bundle(&domain), Some(&[]), now());

    assert!(matches!(found, Err(SvidRefused::Path { .. })), "{found:?}");
}
