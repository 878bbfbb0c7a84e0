//! Every difference between what was asked for and what was signed is found.

use std::sync::LazyLock;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CrlDistributionPoint, CustomExtension, DistinguishedName,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
};

use super::*;
use crate::{
    mint::{
        fixture::{certification, now},
        profile::{self, Validity},
    },
    spiffe::TrustDomain,
};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    subject: KeyPair,
    id: SpiffeId,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| authority(|_| {}));

fn authority(change: impl FnOnce(&mut CertificateParams)) -> Authority {
    let validity = Validity {
        from: now() - Duration::from_secs(30),
        to: now() + Duration::from_hours(48),
    };
    let domain = certification().trust_domain;
    let mut params = profile::authority("intermediate", domain, 0, (&[0x40; 16], validity)).unwrap();
    change(&mut params);
    let id = SpiffeId::generate(&TrustDomain::parse(domain.as_str()).unwrap(), "/ci/shop").unwrap();
    Authority {
        issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(),
        subject: KeyPair::generate().unwrap(),
        id,
    }
}

/// Checks a chain below the intermediate that stands in it.
fn judged(chain: &[CertificateDer<'static>], wanted: Wanted<'_>) -> Result<(), MintRefusal> {
    check(chain, &Above::read(&chain[1]).unwrap(), wanted)
}

const SERIAL: [u8; 16] = [0x55; 16];
const LIFE: Duration = Duration::from_hours(1);

fn dns_names() -> Vec<String> {
    vec!["shop.acme.example".to_owned()]
}

impl Authority {
    /// Returns what is wanted of an SVID that lives as long as it may.
    fn wanted<'a>(&'a self, dns_names: &'a [String], spki: &'a [u8]) -> Wanted<'a> {
        Wanted {
            spiffe_id: &self.id,
            dns_names,
            spki,
            serial: &SERIAL,
            ends: now() + LIFE,
            now: now(),
        }
    }

    /// Signs the SVID that is wanted, after `change`, and checks it.
    fn checked(&self, change: impl FnOnce(&mut CertificateParams)) -> Result<(), MintRefusal> {
        self.wanting(change, |_| {})
    }

    fn wanting(
        &self,
        change: impl FnOnce(&mut CertificateParams),
        wish: impl FnOnce(&mut Wanted<'_>),
    ) -> Result<(), MintRefusal> {
        let validity = Validity {
            from: now() - Duration::from_secs(30),
            to: now() + LIFE,
        };
        let mut params = profile::svid("shop", &self.id, &dns_names(), (&SERIAL, validity)).unwrap();
        change(&mut params);
        let own = params.signed_by(&self.subject, &self.issuer).unwrap();
        let (spki, names) = (self.subject.subject_public_key_info(), dns_names());
        let mut wanted = self.wanted(&names, &spki);
        wish(&mut wanted);
        judged(&[own.der().clone(), self.issuer.der().clone()], wanted)
    }
}

/// The reason why an SVID that differs by `change` is not released.
fn reason(change: impl FnOnce(&mut CertificateParams)) -> String {
    match AUTHORITY.checked(change) {
        Err(MintRefusal::Lint { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn finds(expected: &str, change: impl FnOnce(&mut CertificateParams)) {
    let reason = reason(change);
    assert!(reason.contains(expected), "{reason}");
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn takes_what_was_asked_for() {
    AUTHORITY.checked(|_| {}).unwrap();
}

#[test]
fn x509_svid_1_finds_a_second_uri_and_none() {
    let other = SanType::URI("https://acme.example/".try_into().unwrap());
    finds("holds 2 URIs", |params| params.subject_alt_names.push(other));
    finds("holds 0 URIs", |params| {
        params.subject_alt_names.remove(0);
    });
}

#[test]
fn x509_svid_3_finds_another_spiffe_id_and_one_without_a_path() {
    for uri in [
        "spiffe://prod.acme.example/admin",
        "spiffe://other.example/ci/shop",
        "spiffe://prod.acme.example",
        "https://prod.acme.example/ci/shop",
    ] {
        let uri = SanType::URI(uri.try_into().unwrap());
        reason(|params| params.subject_alt_names[0] = uri);
    }
}

#[test]
fn x509_svid_2_finds_dns_names_that_were_not_granted() {
    let name = |name: &str| SanType::DnsName(name.try_into().unwrap());
    finds("the DNS names are", |params| {
        params.subject_alt_names.push(name("admin.example"));
    });
    finds("the DNS names are", |params| {
        params.subject_alt_names.pop();
    });
    finds("expected URI and DNS names", |params| {
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
    });
}

#[test]
fn x509_svid_4_finds_an_empty_subject() {
    finds("the Subject is empty", |params| {
        params.distinguished_name = DistinguishedName::new();
    });
}

#[test]
fn x509_svid_7_finds_an_authority() {
    for constraints in [BasicConstraints::Unconstrained, BasicConstraints::Constrained(0)] {
        finds("make it an authority", |params| params.is_ca = IsCa::Ca(constraints));
    }
}

#[test]
fn x509_svid_7_finds_that_nothing_says_that_it_is_no_authority() {
    finds("BasicConstraints is missing", |params| params.is_ca = IsCa::NoCa);
}

#[test]
fn x509_svid_8_finds_no_key_usage() {
    finds("KeyUsage is missing", |params| params.key_usages = Vec::new());
}

#[test]
fn x509_svid_8_finds_a_key_usage_that_is_not_critical() {
    finds("critical", |params| {
        params.key_usages = Vec::new();
        let usage = CustomExtension::from_oid_content(&[2, 5, 29, 15], vec![3, 2, 7, 0x80]);
        params.custom_extensions = vec![usage];
    });
}

#[test]
fn x509_svid_9_finds_any_further_usage_and_none_of_ours() {
    for more in [
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyAgreement,
    ] {
        finds("expected digitalSignature alone", |params| params.key_usages.push(more));
    }
    finds("expected digitalSignature alone", |params| {
        params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
    });
}

#[test]
fn x509_svid_10_finds_a_purpose_that_is_missing_or_too_many() {
    for purposes in [
        vec![ExtendedKeyUsagePurpose::ClientAuth],
        vec![ExtendedKeyUsagePurpose::ServerAuth],
    ] {
        finds("serverAuth and clientAuth", |params| {
            params.extended_key_usages = purposes;
        });
    }
    for more in [
        ExtendedKeyUsagePurpose::Any,
        ExtendedKeyUsagePurpose::CodeSigning,
        ExtendedKeyUsagePurpose::EmailProtection,
        ExtendedKeyUsagePurpose::TimeStamping,
        ExtendedKeyUsagePurpose::OcspSigning,
        ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 4, 1, 9]),
    ] {
        finds("serverAuth and clientAuth", |params| {
            params.extended_key_usages.push(more);
        });
    }
    finds("ExtendedKeyUsage is missing", |params| {
        params.extended_key_usages = Vec::new();
    });
}

#[test]
fn finds_an_extension_that_an_svid_does_not_have() {
    finds("is not one of an SVID", |params| {
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 9], vec![5, 0])];
    });
    finds("is not one of an SVID", |params| {
        params.crl_distribution_points = vec![CrlDistributionPoint {
            uris: vec!["http://id.acme.example/crl".to_owned()],
        }];
    });
}

#[test]
fn finds_an_extension_that_is_there_twice() {
    reason(|params| {
        let constraints = CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 0]);
        params.custom_extensions = vec![constraints];
    });
}

#[test]
fn finds_no_identifier_and_another_authoritys() {
    finds("AKI is missing", |params| {
        params.use_authority_key_identifier_extension = false;
    });
    let other = authority(|params| params.key_identifier_method = KeyIdMethod::PreSpecified(vec![7; 20]));
    let params = |issuer: &Authority| {
        let validity = Validity {
            from: now(),
            to: now() + LIFE,
        };
        let params = profile::svid("shop", &issuer.id, &dns_names(), (&SERIAL, validity)).unwrap();
        params.signed_by(&issuer.subject, &issuer.issuer).unwrap()
    };
    let (own, names, spki) = (params(&other), dns_names(), other.subject.subject_public_key_info());
    let wanted = other.wanted(&names, &spki);

    let refused = judged(&[own.der().clone(), AUTHORITY.issuer.der().clone()], wanted);

    let Err(MintRefusal::Lint { reason }) = refused else {
        panic!("{refused:?}")
    };
    assert!(reason.contains("AuthorityKeyIdentifier"), "{reason}");
}

#[test]
fn finds_a_signature_of_another_key() {
    let other = authority(|_| {});
    let validity = Validity {
        from: now(),
        to: now() + LIFE,
    };
    let mut params = profile::svid("shop", &AUTHORITY.id, &dns_names(), (&SERIAL, validity)).unwrap();
    params.use_authority_key_identifier_extension = false;
    let identifier = params.key_identifier(AUTHORITY.issuer.key());
    let identifier = [vec![0x30, 22, 0x80, 20], identifier].concat();
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 35], identifier)];
    let own = params.signed_by(&AUTHORITY.subject, &other.issuer).unwrap();
    let (spki, names) = (AUTHORITY.subject.subject_public_key_info(), dns_names());
    let wanted = AUTHORITY.wanted(&names, &spki);

    let refused = judged(&[own.der().clone(), AUTHORITY.issuer.der().clone()], wanted);

    let Err(MintRefusal::Lint { reason }) = refused else {
        panic!("{refused:?}")
    };
    assert!(reason.contains("webpki"), "{reason}");
}

#[test]
fn x509_svid_5_finds_an_issuer_that_may_not_sign_certificates() {
    let no_usage = authority(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    let no_authority = authority(|params| params.is_ca = IsCa::ExplicitNoCa);

    for (what, issuer) in [("usage", no_usage), ("no authority", no_authority)] {
        let roots = [issuer.issuer.der().clone()];
        let params = profile::svid(
            "shop",
            &issuer.id,
            &[],
            (
                &SERIAL,
                Validity {
                    from: now(),
                    to: now() + LIFE,
                },
            ),
        );
        let own = params.unwrap().signed_by(&issuer.subject, &issuer.issuer).unwrap();
        assert!(
            super::super::chain::leads_to(&[own.der().clone()], &roots).is_err(),
            "{what}"
        );
    }
}

#[test]
fn finds_a_serial_number_that_is_not_the_drawn_one_or_of_a_wrong_length() {
    for serial in [&[0x55; 15][..], &[0x55; 7], &[0x55; 21]] {
        finds("the serial number", |params| {
            params.serial_number = Some(serial.to_vec().into());
        });
    }
    let zero = AUTHORITY.wanting(
        |params| params.serial_number = Some(vec![0].into()),
        |wanted| wanted.serial = &[0],
    );
    assert!(zero.is_err());
}

#[test]
fn finds_times_outside_what_was_permitted() {
    finds("notAfter", |params| params.not_after += seconds(1));
    finds("notAfter", |params| params.not_after = now().into());
    finds("notBefore", |params| params.not_before -= seconds(1));
    finds("notBefore", |params| params.not_before += seconds(31));
    let more_than_a_day = AUTHORITY.wanting(
        |params| params.not_after = (now() + Duration::from_hours(24) + seconds(1)).into(),
        |wanted| wanted.ends = now() + Duration::from_hours(48),
    );
    assert!(more_than_a_day.is_err());
    let a_day = AUTHORITY.wanting(
        |params| params.not_after = (now() + Duration::from_hours(24)).into(),
        |wanted| wanted.ends = now() + Duration::from_hours(48),
    );
    a_day.unwrap();
}

#[test]
fn finds_an_end_after_the_issuers() {
    let short = authority(|params| params.not_after = (now() + LIFE - seconds(1)).into());

    assert!(short.checked(|_| {}).is_err());
}

#[test]
fn finds_another_key() {
    let other = KeyPair::generate().unwrap().subject_public_key_info();

    let refused = AUTHORITY.wanting(|_| {}, |wanted| wanted.spki = other.leak());

    assert!(matches!(refused, Err(MintRefusal::Lint { reason }) if reason.contains("certified key")));
}

#[test]
fn finds_what_stands_after_the_certificate_and_a_chain_without_an_issuer() {
    let names = dns_names();
    let wanted = Wanted {
        spiffe_id: &AUTHORITY.id,
        dns_names: &names,
        spki: &[],
        serial: &SERIAL,
        ends: now(),
        now: now(),
    };
    let own = AUTHORITY.issuer.der().clone();
    let longer = CertificateDer::from([own.as_ref(), &[0]].concat());
    let above = Above::read(&own).unwrap();

    for chain in [vec![], vec![own.clone()], vec![longer, own]] {
        assert!(check(&chain, &above, wanted).is_err(), "{}", chain.len());
    }
}

#[test]
fn finds_another_intermediate_than_the_one_that_was_read() {
    let (names, spki) = (dns_names(), AUTHORITY.subject.subject_public_key_info());
    let wanted = AUTHORITY.wanted(&names, &spki);
    let validity = Validity {
        from: now(),
        to: now() + LIFE,
    };
    let params = profile::svid("shop", &AUTHORITY.id, &names, (&SERIAL, validity)).unwrap();
    let own = params.signed_by(&AUTHORITY.subject, &AUTHORITY.issuer).unwrap();
    let (read, other) = (AUTHORITY.issuer.der().clone(), authority(|_| {}).issuer.der().clone());
    let above = Above::read(&read).unwrap();

    assert!(check(&[own.der().clone(), read], &above, wanted).is_ok());
    let refused = check(&[own.der().clone(), other], &above, wanted);

    let Err(MintRefusal::Lint { reason }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(reason, "the second certificate is not that of the intermediate");
}
