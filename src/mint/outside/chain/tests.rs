//! What a chain may not be: each refusal, each limit at its end and beyond.

use std::sync::LazyLock;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData as _, SanType,
};

use super::*;
use crate::mint::{
    fixture::now,
    outside::fixture::{DAY, OutsideCa, pem},
    profile,
};

static TRUST_DOMAIN: LazyLock<TrustDomain> = LazyLock::new(|| TrustDomain::parse("prod.acme.example").unwrap());
/// The key that waits.
static OWN: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().unwrap());
const SECOND: Duration = Duration::from_secs(1);

/// What is asked for.
fn asked() -> CertificateParams {
    let mut params = profile::request("Cambio intermediate 1", &TRUST_DOMAIN).unwrap();
    params.serial_number = Some(vec![0x51; 16].into());
    params.not_before = now().into();
    params.not_after = (now() + DAY * 30).into();
    params.use_authority_key_identifier_extension = true;
    params
}

fn root() -> OutsideCa {
    OutsideCa::root(now(), |_| {})
}

/// An intermediate that is not what was asked for by one thing, under `root`.
fn own(root: &OutsideCa, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = asked();
    change(&mut params);
    root.certify(&*OWN, &params)
}

fn judged_with(
    certificates: &[CertificateDer<'static>],
    pinned: &[CertificateDer<'static>],
) -> Result<Chain, ChainRefused> {
    UnverifiedChain::from_text(&pem(certificates))?.judge(Wanted {
        id: "own",
        spki: &OWN.subject_public_key_info(),
        trust_domain: &TRUST_DOMAIN,
        pinned,
        least: DAY * 6,
        most: DAY * 30,
        now: now(),
    })
}

fn judged(certificates: &[CertificateDer<'static>]) -> Result<Chain, ChainRefused> {
    judged_with(certificates, &[])
}

/// Judges an intermediate that is not what was asked for by one thing.
fn changed(change: impl FnOnce(&mut CertificateParams)) -> Result<Chain, ChainRefused> {
    let root = root();
    judged(&[own(&root, change), root.der])
}

fn code(judged: Result<Chain, ChainRefused>) -> &'static str {
    judged.map_or_else(|refused| refused.code(), |_chain| "taken")
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

#[test]
fn takes_what_was_asked_for_and_splits_off_the_root() {
    let root = root();
    let own = own(&root, |_| {});

    let chain = judged(&[own.clone(), root.der.clone()]).unwrap();

    assert_eq!(chain.below(), [own]);
    assert_eq!(chain.root(), &root.der);
    assert_eq!(chain.ends(), now() + DAY * 30);
    assert_eq!(chain.root_ends(), now() + DAY * 3650);
}

#[test]
fn takes_authorities_between_and_a_pinned_root_that_was_left_out() {
    let root = root();
    let between = root.below(now(), |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    });
    let own = own(&between, |_| {});

    let whole = judged(&[own.clone(), between.der.clone(), root.der.clone()]).unwrap();
    let without_root = judged_with(&[own.clone(), between.der.clone()], std::slice::from_ref(&root.der)).unwrap();

    assert_eq!(whole.below(), [own, between.der]);
    assert_eq!(whole.below(), without_root.below());
    assert_eq!(without_root.root(), &root.der);
}

#[test]
fn takes_roots_of_every_kind_of_key_and_refuses_others() {
    for kind in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_RSA_SHA512,
    ] {
        let root = OutsideCa::root_of(KeyPair::generate_for(kind).unwrap(), now(), |_| {});
        assert_eq!(code(judged(&[own(&root, |_| {}), root.der])), "taken", "{kind:?}");
    }
    for kind in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P521_SHA512] {
        let root = OutsideCa::root_of(KeyPair::generate_for(kind).unwrap(), now(), |_| {});
        let refused = judged(&[own(&root, |_| {}), root.der]).unwrap_err();
        assert!(
            matches!(refused, ChainRefused::KeyUnsupported { position: 2, .. }),
            "{refused:?}"
        );
    }
}

#[test]
fn refuses_another_key_than_the_one_that_waits() {
    let root = root();
    let other = root.certify(&KeyPair::generate().unwrap(), &asked());

    assert_eq!(code(judged(&[other, root.der])), "chain.key_mismatch");
}

#[test]
fn x509_svid_5_refuses_what_is_no_authority_at_any_place() {
    assert_eq!(
        code(changed(|params| params.is_ca = IsCa::ExplicitNoCa)),
        "chain.not_authority"
    );
    let root = OutsideCa::root(now(), |params| params.is_ca = IsCa::ExplicitNoCa);
    let refused = judged(&[own(&root, |_| {}), root.der]).unwrap_err();
    assert_eq!(refused, ChainRefused::NotAuthority { position: 2 });
}

#[test]
fn refuses_an_intermediate_whose_path_length_is_not_0() {
    for constraints in [BasicConstraints::Unconstrained, BasicConstraints::Constrained(1)] {
        let refused = changed(|params| params.is_ca = IsCa::Ca(constraints));
        assert_eq!(code(refused), "chain.path_length");
    }
}

#[test]
fn refuses_an_authority_that_allows_fewer_below_it() {
    let with = |length: u8| {
        let root = root();
        let between = root.below(now(), |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
        });
        code(judged(&[own(&between, |_| {}), between.der, root.der]))
    };

    assert_eq!((with(1), with(0)), ("taken", "chain.path_length"));
}

#[test]
fn x509_svid_5_refuses_another_key_usage() {
    use KeyUsagePurpose as K;
    for (usages, expected) in [
        (vec![K::KeyCertSign, K::CrlSign, K::DigitalSignature], "taken"),
        (vec![K::KeyCertSign], "chain.key_usage"),
        (vec![K::CrlSign], "chain.key_usage"),
        (vec![K::KeyCertSign, K::CrlSign, K::KeyEncipherment], "chain.key_usage"),
        (vec![], "chain.key_usage"),
    ] {
        let said = format!("{usages:?}");
        assert_eq!(code(changed(|params| params.key_usages = usages)), expected, "{said}");
    }
    let root = OutsideCa::root(now(), |params| params.key_usages = vec![K::CrlSign]);
    let refused = judged(&[own(&root, |_| {}), root.der]).unwrap_err();
    assert!(
        matches!(refused, ChainRefused::KeyUsage { position: 2, .. }),
        "{refused:?}"
    );
}

#[test]
fn x509_svid_5_takes_the_trust_domains_uri_or_none_and_no_other_name() {
    let td = "spiffe://prod.acme.example";
    for (names, expected) in [
        (vec![uri(td)], "taken"),
        (vec![], "taken"),
        (vec![uri("spiffe://prod.acme.example/ci")], "chain.names_refused"),
        (vec![uri("spiffe://other.example")], "chain.names_refused"),
        (vec![uri("https://prod.acme.example")], "chain.names_refused"),
        (vec![uri(td), uri(td)], "chain.names_refused"),
        (
            vec![uri(td), SanType::DnsName("a.example".try_into().unwrap())],
            "chain.names_refused",
        ),
    ] {
        let said = format!("{names:?}");
        assert_eq!(
            code(changed(|params| params.subject_alt_names = names)),
            expected,
            "{said}"
        );
    }
}

#[test]
fn above_the_intermediate_other_kinds_of_names_pass_but_no_other_trust_domain() {
    for (name, expected) in [
        (SanType::DnsName("pki.acme.example".try_into().unwrap()), "taken"),
        (uri("spiffe://prod.acme.example"), "taken"),
        (uri("spiffe://other.example"), "chain.names_refused"),
    ] {
        let root = OutsideCa::root(now(), |params| params.subject_alt_names = vec![name]);
        assert_eq!(code(judged(&[own(&root, |_| {}), root.der])), expected);
    }
}

#[test]
fn refuses_a_subject_that_we_could_not_issue_under() {
    for (name, expected) in [("a".repeat(64), "taken"), ("a".repeat(65), "chain.names_refused")] {
        let refused = changed(|params| params.distinguished_name = profile::named(&name));
        assert_eq!(code(refused), expected, "{}", name.len());
    }
    let organization = changed(|params| params.distinguished_name.push(DnType::OrganizationName, "Acme"));
    assert_eq!(code(organization), "chain.names_refused");
    let empty = changed(|params| params.distinguished_name = rcgen::DistinguishedName::new());
    assert_eq!(code(empty), "chain.names_refused");
}

#[test]
fn x509_svid_13_refuses_name_constraints_and_whatever_critical_nobody_knows() {
    let constraints = || NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("acme.example".to_owned())],
        excluded_subtrees: Vec::new(),
    };
    let unknown = |critical: bool| {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        extension.set_criticality(critical);
        changed(|params| params.custom_extensions = vec![extension])
    };

    assert_eq!(
        code(changed(|params| params.name_constraints = Some(constraints()))),
        "chain.extension_refused"
    );
    let root = OutsideCa::root(now(), |params| params.name_constraints = Some(constraints()));
    assert_eq!(code(judged(&[own(&root, |_| {}), root.der])), "chain.extension_refused");
    assert_eq!(code(unknown(true)), "chain.extension_refused");
    assert_eq!(code(unknown(false)), "taken");
}

#[test]
fn refuses_extended_usages_that_no_svid_could_have() {
    use ExtendedKeyUsagePurpose as E;
    for (usages, expected) in [
        (vec![E::ServerAuth, E::ClientAuth], "taken"),
        (vec![E::ServerAuth], "chain.extension_refused"),
        (vec![E::ClientAuth, E::CodeSigning], "chain.extension_refused"),
    ] {
        let said = format!("{usages:?}");
        assert_eq!(
            code(changed(|params| params.extended_key_usages = usages)),
            expected,
            "{said}"
        );
    }
}

#[test]
fn refuses_a_signature_of_somebody_else() {
    let (root, other) = (root(), root());

    // The names are the same: only the signature tells.
    let refused = judged(&[own(&other, |_| {}), root.der]).unwrap_err();

    assert!(
        matches!(&refused, ChainRefused::Signature { position: 1, problem } if problem.contains("is not signed by")),
        "{refused:?}"
    );
}

#[test]
fn refuses_a_root_whose_own_signature_does_not_hold() {
    let root = root();
    let mut der = root.der.to_vec();
    *der.last_mut().unwrap() ^= 1;

    let refused = judged(&[own(&root, |_| {}), der.into()]).unwrap_err();

    assert!(
        matches!(refused, ChainRefused::Signature { position: 2, .. }),
        "{refused:?}"
    );
}

#[test]
fn refuses_certificates_in_another_order() {
    let root = root();
    let between = root.below(now(), |_| {});
    let own = own(&between, |_| {});

    let root_between = judged(&[own.clone(), root.der.clone(), between.der.clone()]);
    let swapped = judged(&[between.der, own, root.der]);

    assert_eq!(
        (code(root_between), code(swapped)),
        ("chain.root_missing", "chain.key_mismatch")
    );
}

#[test]
fn refuses_a_chain_without_a_root_unless_it_is_pinned() {
    let (root, other) = (root(), root());
    let own = own(&root, |_| {});

    assert_eq!(code(judged(std::slice::from_ref(&own))), "chain.root_missing");
    let pinned = |root: &OutsideCa| code(judged_with(std::slice::from_ref(&own), std::slice::from_ref(&root.der)));
    assert_eq!((pinned(&other), pinned(&root)), ("chain.root_missing", "taken"));
}

#[test]
fn refuses_what_is_not_valid_now() {
    let begins = |at: SystemTime| code(changed(|params| params.not_before = at.into()));
    assert_eq!(begins(now()), "taken");
    assert_eq!(begins(now() + SECOND), "chain.not_valid_now");

    let root_ended = OutsideCa::root(now(), |params| params.not_after = now().into());
    let refused = judged(&[own(&root_ended, |_| {}), root_ended.der]);
    // The intermediate outlives it, but who lives at all comes with each certificate from the first on.
    assert_eq!(code(refused), "chain.outlives_issuer");
    let ended = changed(|params| params.not_after = now().into());
    assert_eq!(code(ended), "chain.not_valid_now");
}

#[test]
fn refuses_an_intermediate_that_outlives_its_issuer() {
    let with = |root_ends: SystemTime| {
        let root = OutsideCa::root(now(), |params| params.not_after = root_ends.into());
        code(judged(&[own(&root, |_| {}), root.der]))
    };

    assert_eq!(with(now() + DAY * 30), "taken");
    assert_eq!(with(now() + DAY * 29 + SECOND * 86_399), "chain.outlives_issuer");
}

#[test]
fn refuses_an_intermediate_that_lives_too_short_or_too_long() {
    for (life, expected) in [
        (DAY * 6, "taken"),
        (DAY * 5 + SECOND * 86_399, "chain.life_refused"),
        (DAY * 30, "taken"),
        (DAY * 30 + SECOND, "chain.life_refused"),
    ] {
        let refused = changed(|params| params.not_after = (now() + life).into());
        assert_eq!(code(refused), expected, "{life:?}");
    }
}

#[test]
fn refuses_a_certificate_twice() {
    let root = root();
    let own = own(&root, |_| {});

    let refused = judged(&[own.clone(), own, root.der]).unwrap_err();

    assert_eq!(refused, ChainRefused::Duplicate { first: 1, second: 2 });
}

#[test]
fn five_certificates_are_read_and_the_sixth_is_refused() {
    let root = root();
    let with = |between: usize| {
        let mut above = vec![root.der.clone()];
        let mut last: Option<OutsideCa> = None;
        for nth in 0..between {
            let name = format!("Acme {nth}");
            let change = |params: &mut CertificateParams| params.distinguished_name = profile::named(&name);
            let next = last.as_ref().unwrap_or(&root).below(now(), change);
            above.insert(0, next.der.clone());
            last = Some(next);
        }
        above.insert(0, own(last.as_ref().unwrap_or(&root), |_| {}));
        code(judged(&above))
    };

    assert_eq!((with(3), with(4)), ("taken", "chain.too_large"));
}

#[test]
fn takes_32_kib_and_refuses_one_byte_more() {
    let root = root();
    let mut text = pem(&[own(&root, |_| {}), root.der]);
    text.push_str(&"\n".repeat(MAX_CHAIN_BYTES - text.len()));

    assert!(UnverifiedChain::from_text(&text).is_ok());
    text.push('\n');
    let refused = UnverifiedChain::from_text(&text).unwrap_err();
    assert_eq!(refused.code(), "chain.too_large");
}

#[test]
fn refuses_whatever_is_no_certificate_and_never_repeats_it() {
    let root = root();
    let good = pem(std::slice::from_ref(&root.der));
    let mut longer = root.der.to_vec();
    longer.push(0);
    for text in [
        String::new(),
        "canary".to_owned(),
        format!("canary\n{good}"),
        format!("{good}canary\n"),
        good.replace("-----END CERTIFICATE-----", ""),
        good.replace("CERTIFICATE", "PRIVATE KEY"),
        good.replace(
            "-----BEGIN CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n!canary!\n",
        ),
        format!("-----BEGIN CERTIFICATE-----\n{good}"),
        pem(&[longer.into()]),
        pem(&[vec![0x30, 0].into()]),
    ] {
        let chain = UnverifiedChain::from_text(&text);
        let refused = chain.and_then(|chain| {
            chain.judge(Wanted {
                id: "own",
                spki: &[],
                trust_domain: &TRUST_DOMAIN,
                pinned: &[],
                least: DAY,
                most: DAY,
                now: now(),
            })
        });
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), "chain.malformed", "{text}");
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_is_read_stays_within_its_bounds(text in "(-----(BEGIN|END) CERTIFICATE-----\n|[A-Za-z0-9+/=]{0,8}\n){0,24}") {
        if let Ok(chain) = UnverifiedChain::from_text(&text) {
            let found = chain.certificates().len();
            proptest::prop_assert!((1..=MAX_CERTIFICATES).contains(&found));
        }
    }

    #[test]
    fn what_is_written_is_read_back(blocks in proptest::collection::hash_set(proptest::collection::vec(0_u8.., 1..200), 1..=5)) {
        let written: Vec<CertificateDer<'static>> = blocks.into_iter().map(CertificateDer::from).collect();
        let read = UnverifiedChain::from_text(&pem(&written)).unwrap();
        proptest::prop_assert_eq!(read.certificates(), written.as_slice());
    }
}
