//! Documents of simulated signers, each wrong in one point.

use std::{sync::LazyLock, time::Duration};

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};

use super::*;
use crate::{
    clock::parse_rfc3339,
    sim::signed_data::{
        CONTENT_TYPE, DATA, Document, MESSAGE_DIGEST, RSA, SHA256, SIGNED_DATA, Signer, SignerParts, algorithm,
        attribute, element, object, parameters, sha256,
    },
};

const CONTENT: &[u8] = br#"{"instanceId":"i-0123456789abcdef0"}"#;

static PLATFORM: LazyLock<Signer> = LazyLock::new(|| Signer::new("platform", 7).unwrap());
static ROGUE: LazyLock<Signer> = LazyLock::new(|| Signer::new("rogue", 8).unwrap());

fn now() -> SystemTime {
    parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

fn trusted() -> Certificate {
    Certificate::read(PLATFORM.certificate()).unwrap()
}

/// Reads and verifies a document with the platform's certificate; returns what went wrong as text.
fn judged(bytes: &[u8]) -> Result<Verified, String> {
    let read = Unverified::read(bytes).map_err(|why| format!("{why}: {why:?}"))?;
    read.verify(&trusted(), Coverage::Attributes, now())
        .map_err(|why| format!("{why}: {why:?}"))
}

fn with_signers(signers: Vec<Vec<u8>>) -> Vec<u8> {
    Document {
        signers,
        ..PLATFORM.document(CONTENT)
    }
    .written()
}

/// Returns the platform's own part over attributes, to be changed.
fn parts() -> SignerParts {
    let all = [
        attribute(CONTENT_TYPE, &object(DATA)),
        attribute(MESSAGE_DIGEST, &element(0x04, &sha256(CONTENT))),
    ]
    .concat();
    SignerParts {
        attributes: Some(element(0xa0, &all)),
        ..PLATFORM.parts(&element(0x31, &all))
    }
}

#[test]
fn a_document_is_the_same_in_every_envelope() {
    let document = PLATFORM.document(CONTENT);
    let spellings = [
        document.clone(),
        Document {
            pieces: 5,
            ..document.clone()
        },
        Document {
            open: false,
            ..document.clone()
        },
    ];
    for document in spellings {
        let verified = judged(&document.written()).unwrap_or_else(|why| panic!("{why}"));

        assert_eq!(verified.content(), CONTENT);
        assert_eq!(verified.signer().der(), PLATFORM.certificate());
        let first = judged(&PLATFORM.document(CONTENT).written()).unwrap();
        assert_eq!(
            verified.covered_sha256(),
            first.covered_sha256(),
            "one document, one digest"
        );
    }
}

#[test]
fn a_signer_may_be_named_by_its_key() {
    let mut own = parameters("by key", 9);
    own.is_ca = IsCa::ExplicitNoCa; // rcgen writes the identifier then
    let signer = Signer::with(&own, None).unwrap();
    let certificate = Certificate::read(signer.certificate()).unwrap();
    let identifier = certificate.key_identifier_for_test().unwrap();
    let all = [
        attribute(CONTENT_TYPE, &object(DATA)),
        attribute(MESSAGE_DIGEST, &element(0x04, &sha256(CONTENT))),
    ]
    .concat();
    let parts = SignerParts {
        version: 3,
        id: element(0x80, &identifier),
        attributes: Some(element(0xa0, &all)),
        ..signer.parts(&element(0x31, &all))
    };
    let bytes = with_signers(vec![parts.written()]);

    let read = Unverified::read(&bytes).unwrap();
    let verified = read.verify(&certificate, Coverage::Attributes, now()).unwrap();

    assert_eq!(verified.content(), CONTENT);
    let of_version_1 = SignerParts { version: 1, ..parts };
    let refused = Unverified::read(&with_signers(vec![of_version_1.written()])).map(drop);
    assert_eq!(refused, Err(SignedDataRefused::Version { of: "SignerInfo" }));
}

#[test]
fn t_01_the_content_is_what_was_signed() {
    let mut document = PLATFORM.document(CONTENT);
    document.content = br#"{"instanceId":"i-0fedcba9876543210"}"#.to_vec();

    let refused = judged(&document.written()).unwrap_err();

    assert!(refused.contains("digest"), "{refused}");
}

#[test]
fn t_01_no_changed_bit_goes_unnoticed_or_changes_the_content() {
    let genuine = PLATFORM.document(CONTENT).written();
    for bit in 0..genuine.len() * 8 {
        let mut changed = genuine.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        if let Ok(verified) = judged(&changed) {
            assert_eq!(verified.content(), CONTENT, "bit {bit}");
        }
    }
    for cut in 0..genuine.len() {
        assert!(judged(&genuine[..cut]).is_err(), "{cut}");
    }
    assert!(judged(&[&genuine[..], &[0]].concat()).is_err());
    assert!(judged(&[&genuine[..], &genuine[..]].concat()).is_err());
}

#[test]
fn t_02_none_and_two_signers_are_refused() {
    let own = PLATFORM.signed(CONTENT);
    for (signers, found) in [
        (vec![], "none"),
        (vec![own.clone(), ROGUE.signed(CONTENT)], "more"),
        (vec![ROGUE.signed(CONTENT), own.clone()], "more"),
        (vec![own.clone(), own.clone()], "more"),
    ] {
        let refused = Unverified::read(&with_signers(signers)).map(drop);
        assert_eq!(refused, Err(SignedDataRefused::Signers { found }));
    }
}

#[test]
fn t_02_another_signer_is_refused_whoever_it_says_it_is() {
    let as_itself = judged(&with_signers(vec![ROGUE.signed(CONTENT)])).unwrap_err();
    assert!(as_itself.contains("Signer { found: 0 }"), "{as_itself}");

    let rogue_of_that_name = Signer::new("platform", 7).unwrap();
    let forged = judged(&with_signers(vec![rogue_of_that_name.signed(CONTENT)])).unwrap_err();
    assert!(forged.contains("the signature does not hold"), "{forged}");

    let mut bag = rogue_of_that_name.document(CONTENT);
    bag.certificates = vec![rogue_of_that_name.certificate().to_vec()];
    let forged = judged(&bag.written()).unwrap_err();
    assert!(
        forged.contains("the signature does not hold"),
        "its own certificate: {forged}"
    );
}

/// An authority with a signer below it, as Azure has.
struct Chain {
    root: Certificate,
    leaf: Signer,
}

fn chain() -> &'static Chain {
    static CHAIN: LazyLock<Chain> = LazyLock::new(|| {
        let mut authority = parameters("root", 1);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = Signer::with(&authority, None).unwrap();
        let mut leaf = parameters("metadata.azure.com", 2);
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issuer = Issuer::new(authority, KeyPair::from_pem(&root.pair().serialize_pem()).unwrap());
        Chain {
            root: Certificate::read(root.certificate()).unwrap(),
            leaf: Signer::with(&leaf, Some(&issuer)).unwrap(),
        }
    });
    &CHAIN
}

fn judged_under_root(document: &Document) -> Result<Verified, Pkcs7Refused> {
    let bytes = document.written();
    let read = Unverified::read(&bytes).unwrap_or_else(|why| panic!("{why}"));
    read.verify_under((std::slice::from_ref(&chain().root), &[]), Coverage::Attributes, now())
}

#[test]
fn a_signer_with_a_path_is_taken_wherever_it_stands_in_the_bag() {
    let leaf = chain().leaf.certificate().to_vec();
    for certificates in [
        vec![leaf.clone()],
        vec![leaf.clone(), ROGUE.certificate().to_vec()],
        vec![ROGUE.certificate().to_vec(), leaf.clone()],
        vec![chain().root.der().to_vec(), leaf.clone()],
    ] {
        let document = Document {
            certificates,
            ..chain().leaf.document(CONTENT)
        };
        let verified = judged_under_root(&document).unwrap_or_else(|why| panic!("{why:?}"));
        assert_eq!(verified.signer().der(), leaf);
    }
}

#[test]
fn t_02_a_genuine_chain_first_and_a_rogue_signer_second_is_refused() {
    let leaf = chain().leaf.certificate().to_vec();
    let rogue = ROGUE.certificate().to_vec();
    for certificates in [
        vec![leaf.clone(), rogue.clone()],
        vec![leaf.clone(), chain().root.der().to_vec(), rogue.clone()],
        vec![rogue.clone(), leaf.clone()],
        vec![rogue.clone()],
    ] {
        let document = Document {
            certificates,
            ..ROGUE.document(CONTENT)
        };
        let refused = judged_under_root(&document).unwrap_err();
        let path = matches!(refused, Pkcs7Refused::Certificate(CertificateRefused::Path(_)));
        assert!(path, "{refused:?}");
    }
    let missing = Document {
        certificates: vec![leaf],
        ..ROGUE.document(CONTENT)
    };
    let refused = judged_under_root(&missing).unwrap_err();
    assert!(matches!(refused, Pkcs7Refused::Signer { found: 0 }), "{refused:?}");
}

#[test]
fn t_02_a_certificate_twice_or_two_of_one_name_are_refused() {
    let leaf = chain().leaf.certificate().to_vec();
    let twice = Document {
        certificates: vec![leaf.clone(), leaf.clone()],
        ..chain().leaf.document(CONTENT)
    };
    let refused = Unverified::read(&twice.written()).map(drop);
    assert_eq!(refused, Err(SignedDataRefused::Certificates));

    // A rogue that names the genuine one's issuer and serial number as its own.
    let mut authority = parameters("root", 1);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::from_pem(&ROGUE.pair().serialize_pem()).unwrap();
    let twin = Signer::with(&parameters("metadata.azure.com", 2), Some(&Issuer::new(authority, key))).unwrap();
    for certificates in [
        vec![leaf.clone(), twin.certificate().to_vec()],
        vec![twin.certificate().to_vec(), leaf.clone()],
    ] {
        let document = Document {
            certificates,
            ..twin.document(CONTENT)
        };
        let refused = judged_under_root(&document).unwrap_err();
        assert!(matches!(refused, Pkcs7Refused::Signer { found: 2 }), "{refused:?}");
    }
}

#[test]
fn a_certificate_outside_of_its_dates_signs_nothing() {
    let document = PLATFORM.document(CONTENT).written();
    let at = |moment: &str| {
        let read = Unverified::read(&document).unwrap();
        read.verify(&trusted(), Coverage::Attributes, parse_rfc3339(moment).unwrap())
    };

    assert!(at("2020-01-01T00:00:00Z").is_ok());
    assert!(at("2040-01-01T00:00:00Z").is_ok());
    for moment in ["2019-12-31T23:59:59Z", "2040-01-01T00:00:01Z"] {
        let refused = at(moment).unwrap_err();
        let dates = matches!(refused, Pkcs7Refused::Certificate(CertificateRefused::Dates));
        assert!(dates, "{moment}: {refused:?}");
    }
    let leaf = Document {
        certificates: vec![chain().leaf.certificate().to_vec()],
        ..chain().leaf.document(CONTENT)
    };
    let bytes = leaf.written();
    let late = now() + Duration::from_hours(24 * 365 * 20);
    let roots = (std::slice::from_ref(&chain().root), &[][..]);
    let refused = Unverified::read(&bytes)
        .unwrap()
        .verify_under(roots, Coverage::Attributes, late);
    assert!(refused.is_err());
}

#[test]
fn what_the_signature_covers_is_what_the_platform_signs() {
    let alone = with_signers(vec![PLATFORM.parts(CONTENT).written()]);
    let over_attributes = PLATFORM.document(CONTENT).written();
    let judged = |bytes: &[u8], coverage| Unverified::read(bytes).unwrap().verify(&trusted(), coverage, now());

    assert_eq!(judged(&alone, Coverage::Content).unwrap().content(), CONTENT);
    for (bytes, coverage) in [(&alone, Coverage::Attributes), (&over_attributes, Coverage::Content)] {
        let refused = judged(bytes, coverage).unwrap_err();
        assert!(matches!(refused, Pkcs7Refused::Coverage { .. }), "{refused:?}");
    }
}

#[test]
fn attributes_pass_for_no_content() {
    // The signature over attributes, shown as one over content that is spelled like them.
    let genuine = parts();
    let all = genuine.attributes.clone().unwrap();
    let set = [&[0x31], &all[1..]].concat();
    let mut document = PLATFORM.document(&set);
    document.signers = vec![
        SignerParts {
            attributes: None,
            ..genuine
        }
        .written(),
    ];

    let refused = judged(&document.written()).unwrap_err();

    assert!(refused.contains("Coverage"), "{refused}");
}

#[test]
fn the_attributes_are_each_there_once_with_type_and_digest() {
    let kind = attribute(CONTENT_TYPE, &object(DATA));
    let digest = attribute(MESSAGE_DIGEST, &element(0x04, &sha256(CONTENT)));
    let other = |number: u8| attribute(&[0x2a, number], &element(0x04, b"x"));
    let many = |count: u8| -> Vec<Vec<u8>> {
        let more = (0..count - 2).map(other);
        [kind.clone(), digest.clone()].into_iter().chain(more).collect()
    };
    let judged = |attributes: &[Vec<u8>]| judged(&with_signers(vec![PLATFORM.signed_with(attributes)]));

    assert!(judged(&many(2)).is_ok());
    assert!(judged(&many(16)).is_ok());
    let two_values = [element(0x04, &sha256(CONTENT)), element(0x04, &sha256(b"x"))].concat();
    let two_digests = element(0x30, &[object(MESSAGE_DIGEST), element(0x31, &two_values)].concat());
    for attributes in [
        many(17),
        vec![],
        vec![kind.clone()],
        vec![digest.clone()],
        vec![kind.clone(), kind.clone(), digest.clone()],
        vec![kind.clone(), digest.clone(), digest.clone()],
        vec![
            kind.clone(),
            digest.clone(),
            attribute(MESSAGE_DIGEST, &element(0x04, &sha256(b"x"))),
        ],
        vec![kind.clone(), two_digests],
        vec![kind.clone(), attribute(MESSAGE_DIGEST, &element(0x04, &sha256(b"x")))],
        vec![kind.clone(), attribute(MESSAGE_DIGEST, &element(0x04, &[0; 31]))],
        vec![kind.clone(), attribute(MESSAGE_DIGEST, &element(0x04, &[]))],
        vec![attribute(CONTENT_TYPE, &object(SIGNED_DATA)), digest.clone()],
        vec![element(0x31, &[]), digest],
    ] {
        assert!(judged(&attributes).is_err(), "{attributes:02x?}");
    }
}

#[test]
fn no_other_algorithm_is_taken() {
    let sha1 = algorithm(b"\x2b\x0e\x03\x02\x1a");
    let dsa = algorithm(b"\x2a\x86\x48\xce\x38\x04\x03");
    let with_parameters = element(0x30, &[object(SHA256), element(0x04, b"x")].concat());
    for changed in [
        SignerParts {
            digest_algorithm: sha1.clone(),
            ..parts()
        },
        SignerParts {
            signature_algorithm: dsa,
            ..parts()
        },
        SignerParts {
            signature_algorithm: sha1,
            ..parts()
        },
    ] {
        let refused = Unverified::read(&with_signers(vec![changed.written()])).map(drop);
        assert!(
            matches!(refused, Err(SignedDataRefused::Algorithm { .. })),
            "{refused:?}"
        );
    }
    let odd = SignerParts {
        digest_algorithm: with_parameters,
        ..parts()
    };
    assert!(Unverified::read(&with_signers(vec![odd.written()])).is_err());
    let without_parameters = SignerParts {
        signature_algorithm: element(0x30, &object(RSA)),
        ..parts()
    };
    assert!(judged(&with_signers(vec![without_parameters.written()])).is_ok());
    let of_version_3 = SignerParts { version: 3, ..parts() };
    assert!(judged(&with_signers(vec![of_version_3.written()])).is_err());
}

#[test]
fn where_bytes_are_signed_no_end_is_open() {
    let genuine = parts();
    let all = genuine.attributes.clone().unwrap();
    let header = if all[1] < 0x80 { 2 } else { 3 };
    let open = [&[0xa0, 0x80], &all[header..], &[0, 0]].concat();
    let changed = SignerParts {
        attributes: Some(open),
        ..genuine
    };

    let refused = Unverified::read(&with_signers(vec![changed.written()])).map(drop);

    assert_eq!(
        refused,
        Err(SignedDataRefused::Elements(BerRefused::Open { tag: 0xa0 }))
    );
}

#[test]
fn a_document_without_its_content_or_with_another_is_refused() {
    let signed = |content: Vec<u8>| {
        let parts = [
            element(0x02, &[1]),
            element(0x31, &algorithm(SHA256)),
            content,
            element(0x31, &PLATFORM.signed(CONTENT)),
        ];
        let signed = element(0x30, &parts.concat());
        element(0x30, &[object(SIGNED_DATA), element(0xa0, &signed)].concat())
    };
    let octets = element(0x04, CONTENT);
    let good = element(0x30, &[object(DATA), element(0xa0, &octets)].concat());
    assert!(judged(&signed(good)).is_ok());

    for content in [
        element(0x30, &object(DATA)),
        element(0x30, &[object(DATA), element(0xa0, &[])].concat()),
        element(
            0x30,
            &[object(DATA), element(0xa0, &[octets.clone(), octets.clone()].concat())].concat(),
        ),
        element(0x30, &[object(SIGNED_DATA), element(0xa0, &octets)].concat()),
        element(0x30, &[object(DATA), element(0xa0, &element(0x0c, CONTENT))].concat()),
        element(
            0x30,
            &[object(DATA), element(0xa0, &element(0x24, &element(0x24, &octets)))].concat(),
        ),
    ] {
        assert!(Unverified::read(&signed(content.clone())).is_err(), "{content:02x?}");
    }
}

#[test]
fn t_06_takes_6_certificates_and_refuses_7() {
    let certificates = |count: u8| -> Vec<Vec<u8>> { (0..count).map(|one| element(0x30, &[one])).collect() };
    let read = |count| {
        let document = Document {
            certificates: certificates(count),
            ..PLATFORM.document(CONTENT)
        };
        Unverified::read(&document.written()).map(drop)
    };

    assert_eq!(read(6), Ok(()));
    assert_eq!(read(7), Err(SignedDataRefused::Certificates));
}

#[test]
fn t_14_takes_12_kib_and_refuses_one_byte_more() {
    let empty = PLATFORM.document(b"").written().len();
    // The header of a long piece is two bytes longer than that of none at all.
    let of_length = |length: usize| {
        (0..8)
            .map(|more| PLATFORM.document(&vec![b'x'; length - empty - more]).written())
            .find(|document| document.len() == length)
            .unwrap()
    };

    assert!(judged(&of_length(12 * 1024)).is_ok());
    let refused = Unverified::read(&of_length(12 * 1024 + 1)).map(drop);
    assert_eq!(refused, Err(SignedDataRefused::Oversized { found: 12_289 }));
}

#[test]
fn t_06_a_key_that_is_too_long_too_short_or_of_another_kind_is_no_signers() {
    let of = |key: &KeyPair| Certificate::read(parameters("x", 3).self_signed(key).unwrap().der());
    let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).unwrap();

    assert!(of(&rsa(rcgen::RsaKeySize::_4096)).is_ok());
    let elliptic = of(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap());
    assert!(matches!(elliptic, Err(CertificateRefused::Kind)), "{elliptic:?}");
    let mut even = PLATFORM.certificate().to_vec();
    let exponent = even.windows(5).position(|five| five == [0x02, 0x03, 0x01, 0x00, 0x01]);
    even[exponent.unwrap() + 4] = 0x02;
    let even = Certificate::read(&even);
    assert!(matches!(even, Err(CertificateRefused::Key { .. })), "{even:?}");
    assert!(Certificate::read(b"").is_err());
    assert!(Certificate::read(&[PLATFORM.certificate(), &[0]].concat()).is_err());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_was_signed_comes_back_as_it_was(
        content in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..4096),
        open in proptest::prelude::any::<bool>(),
        pieces in 1_usize..9,
    ) {
        let document = Document {
            open,
            pieces,
            ..PLATFORM.document(&content)
        };

        let verified = judged(&document.written()).unwrap();

        proptest::prop_assert_eq!(verified.content(), content.as_slice());
    }

    #[test]
    fn bytes_that_nobody_signed_are_refused_without_a_panic(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..512),
        at in 0_usize..200,
    ) {
        let genuine = PLATFORM.document(CONTENT).written();
        let spliced = [&genuine[..at.min(genuine.len())], &bytes[..]].concat();

        proptest::prop_assert!(judged(&bytes).is_err());
        proptest::prop_assert!(judged(&spliced).is_err());
    }

    #[test]
    fn t_01_nothing_but_what_was_signed_comes_out_of_a_changed_document(
        changed in crate::mutated::mutated(PLATFORM.document(CONTENT).written()),
        by_root in crate::mutated::mutated(of_chain()),
    ) {
        // The envelope is not signed, so a change there may go unnoticed; then it changes nothing.
        if let Ok(verified) = judged(&changed) {
            let genuine = judged(&PLATFORM.document(CONTENT).written()).unwrap();
            proptest::prop_assert_eq!(verified.content(), CONTENT);
            proptest::prop_assert_eq!(verified.covered_sha256(), genuine.covered_sha256());
            proptest::prop_assert_eq!(verified.signer(), genuine.signer());
        }
        if let Ok(read) = Unverified::read(&by_root)
            && let Ok(verified) =
                read.verify_under((std::slice::from_ref(&chain().root), &[]), Coverage::Attributes, now())
        {
            proptest::prop_assert_eq!(verified.content(), CONTENT);
            proptest::prop_assert_eq!(verified.signer().der(), chain().leaf.certificate());
        }
    }

    #[test]
    fn a_changed_certificate_is_read_as_it_is_or_not_at_all(
        changed in crate::mutated::mutated(PLATFORM.certificate().to_vec()),
    ) {
        if let Ok(read) = Certificate::read(&changed) {
            proptest::prop_assert_eq!(read.der(), changed.as_slice());
        }
    }
}

/// Returns a document with its signer's certificate.
fn of_chain() -> Vec<u8> {
    let leaf = &chain().leaf;
    let certificates = vec![leaf.certificate().to_vec()];
    Document {
        certificates,
        ..leaf.document(CONTENT)
    }
    .written()
}
