//! Requests that are taken for their key alone, and all that is refused.

use proptest::prelude::*;
use rcgen::{
    Attribute, BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, RsaKeySize, SanType, SigningKey,
};

use super::*;
use crate::mint::der;

fn p256() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn request(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    change(&mut params);
    params.serialize_request(key).unwrap().der().to_vec()
}

fn asked(change: impl FnOnce(&mut CertificateParams)) -> Result<SubjectPublicKey, CsrRefused> {
    SubjectPublicKey::from_der(&request(&p256(), change))
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut written = der::sequence(&[content.to_vec()]);
    written[0] = tag;
    written
}

fn bits(content: &[u8]) -> Vec<u8> {
    tagged(3, &[&[0], content].concat())
}

const ECDSA_SHA256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const EC_PUBLIC_KEY: [u8; 9] = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P224: [u8; 7] = [6, 5, 0x2b, 0x81, 4, 0, 0x21];
const P256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const RSA: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const RSA_SHA256: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b];
const RSA_SHA1: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5];
const NULL: [u8; 2] = [5, 0];

/// A request for a key that no library would sign with; the signature is nothing.
fn forged(spki: Vec<u8>, algorithm: &[u8]) -> Vec<u8> {
    let content = der::sequence(&[der::integer(&[0]), der::sequence(&[]), spki, vec![0xa0, 0]]);
    der::sequence(&[content, der::sequence(&[algorithm.to_vec()]), bits(&[7; 256])])
}

fn rsa_key(modulus_bytes: usize, exponent: &[u8]) -> Vec<u8> {
    let mut modulus = vec![0xc5; modulus_bytes];
    modulus[modulus_bytes - 1] |= 1;
    let key = der::sequence(&[der::integer(&modulus), der::integer(exponent)]);
    der::sequence(&[der::sequence(&[RSA.to_vec(), NULL.to_vec()]), bits(&key)])
}

fn rsa_judged(modulus_bytes: usize, exponent: &[u8]) -> Result<SubjectPublicKey, CsrRefused> {
    SubjectPublicKey::from_der(&forged(rsa_key(modulus_bytes, exponent), &RSA_SHA256))
}

#[test]
fn takes_the_key_of_each_kind_and_writes_it_as_we_would() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let taken = SubjectPublicKey::from_der(&request(&key, |_| {})).unwrap();
        assert_eq!(taken.spki(), rcgen::PublicKeyData::subject_public_key_info(&key));
    }
    for size in [RsaKeySize::_2048, RsaKeySize::_4096] {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).unwrap();
        let taken = SubjectPublicKey::from_der(&request(&key, |_| {})).unwrap();
        assert_eq!(taken.spki(), rcgen::PublicKeyData::subject_public_key_info(&key));
    }
}

#[test]
fn takes_pem_and_base64_and_one_request_only() {
    let der = request(&p256(), |_| {});
    let base64 = BASE64_STANDARD.encode(&der);
    let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{base64}\n-----END CERTIFICATE REQUEST-----\n");

    assert!(SubjectPublicKey::from_text(&pem).is_ok());
    assert!(SubjectPublicKey::from_text(&base64).is_ok());
    for wrong in [
        format!("{pem}{pem}"),
        pem.replace("CERTIFICATE REQUEST", "PUBLIC KEY"),
        format!("{base64}!"),
        String::new(),
        pem.replace("-----END", "-----KEEP"),
    ] {
        let refused = SubjectPublicKey::from_text(&wrong).unwrap_err();
        assert_eq!(refused.code(), "csr.malformed", "{wrong}");
    }
}

#[test]
fn what_stands_after_the_request_is_refused() {
    let der = [request(&p256(), |_| {}), vec![0]].concat();

    assert_eq!(SubjectPublicKey::from_der(&der).unwrap_err().code(), "csr.malformed");
}

#[test]
fn tm_45_reads_8_kib_and_refuses_one_byte_more() {
    let text = |length: usize| "A".repeat(length);

    assert_eq!(
        SubjectPublicKey::from_text(&text(MAX_CSR_BYTES)).unwrap_err().code(),
        "csr.malformed"
    );
    assert_eq!(
        SubjectPublicKey::from_text(&text(MAX_CSR_BYTES + 1))
            .unwrap_err()
            .code(),
        "csr.too_large"
    );
    assert_eq!(
        SubjectPublicKey::from_der(&[0; MAX_CSR_BYTES + 1]).unwrap_err().code(),
        "csr.too_large"
    );
}

#[test]
fn refuses_to_make_an_authority_whatever_stands_beside_the_wish() {
    let refused = asked(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.subject_alt_names = vec![SanType::DnsName("a.example".try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    });

    assert_eq!(refused.unwrap_err().code(), "csr.asks_for_authority");
}

#[test]
fn refuses_names_even_those_of_the_workload() {
    for name in [
        SanType::URI("spiffe://prod.acme.example/ci/acme/shop".try_into().unwrap()),
        SanType::URI("spiffe://prod.acme.example/admin".try_into().unwrap()),
        SanType::DnsName("shop.acme.example".try_into().unwrap()),
    ] {
        let refused = asked(|params| params.subject_alt_names = vec![name.clone()]);

        assert_eq!(refused.unwrap_err().code(), "csr.asks_for_names", "{name:?}");
    }
}

#[test]
fn refuses_extensions_and_attributes() {
    let usage = asked(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    let purpose = asked(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]);
    let no_authority = asked(|params| params.is_ca = IsCa::ExplicitNoCa);
    let custom = asked(|params| {
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 9], vec![5, 0])];
    });
    let challenge = Attribute {
        oid: &[1, 2, 840, 113_549, 1, 9, 7],
        values: vec![0x31, 3, 0x0c, 1, b'x'],
    };
    let challenge = CertificateParams::default()
        .serialize_request_with_attributes(&p256(), vec![challenge])
        .unwrap();
    let challenge = SubjectPublicKey::from_der(challenge.der());

    for (what, refused) in [
        ("key usage", usage),
        ("purpose", purpose),
        ("CA:false", no_authority),
        ("custom", custom),
        ("challenge", challenge),
    ] {
        assert_eq!(refused.unwrap_err().code(), "csr.asks_for_extensions", "{what}");
    }
}

#[test]
fn refuses_other_keys() {
    let on_p224 = [&[UNCOMPRESSED][..], &[1; 56]].concat();
    let compressed = [&[2][..], &[1; 32]].concat();
    let curve = |curve: &[u8], point: &[u8]| {
        der::sequence(&[der::sequence(&[EC_PUBLIC_KEY.to_vec(), curve.to_vec()]), bits(point)])
    };
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();

    for (what, der) in [
        ("P-224", forged(curve(&P224, &on_p224), &ECDSA_SHA256)),
        ("compressed", forged(curve(&P256, &compressed), &ECDSA_SHA256)),
        ("a curve without a name", forged(curve(&NULL, &on_p224), &ECDSA_SHA256)),
        ("P-521", request(&p521, |_| {})),
        ("Ed25519", request(&ed25519, |_| {})),
    ] {
        let refused = SubjectPublicKey::from_der(&der).unwrap_err();
        assert_eq!(refused.code(), "csr.key_unsupported", "{what}: {refused}");
    }
}

#[test]
fn refuses_a_point_that_is_not_on_the_curve() {
    let point = [&[UNCOMPRESSED][..], &[1; 64]].concat();
    let spki = der::sequence(&[der::sequence(&[EC_PUBLIC_KEY.to_vec(), P256.to_vec()]), bits(&point)]);

    let refused = SubjectPublicKey::from_der(&forged(spki, &ECDSA_SHA256)).unwrap_err();

    assert_eq!(refused.code(), "csr.signature_broken");
}

#[test]
fn t_06_refuses_weak_and_odd_rsa_keys_before_any_arithmetic() {
    let exponent = [1, 0, 1];
    for (what, judged) in [
        ("1024 bits", rsa_judged(128, &exponent)),
        ("2040 bits", rsa_judged(255, &exponent)),
        ("4104 bits", rsa_judged(513, &exponent)),
        ("e = 1", rsa_judged(256, &[1])),
        ("e = 2", rsa_judged(256, &[2])),
        ("e = 0", rsa_judged(256, &[])),
        ("an exponent of 512 bits", rsa_judged(256, &[3; 64])),
    ] {
        let refused = judged.unwrap_err();
        assert_eq!(refused.code(), "csr.key_weak", "{what}: {refused}");
    }
}

#[test]
fn rsa_keys_of_2048_and_4096_bits_get_as_far_as_their_signature() {
    for modulus_bytes in [256, 512] {
        let refused = rsa_judged(modulus_bytes, &[1, 0, 1]).unwrap_err();

        assert_eq!(refused.code(), "csr.signature_broken", "{modulus_bytes}");
    }
}

#[test]
fn refuses_a_signature_with_sha_1_or_another_keys_algorithm() {
    let rsa = rsa_key(256, &[1, 0, 1]);
    for algorithm in [&RSA_SHA1[..], &ECDSA_SHA256] {
        let refused = SubjectPublicKey::from_der(&forged(rsa.clone(), algorithm)).unwrap_err();

        assert_eq!(refused.code(), "csr.signature_broken");
        assert!(refused.to_string().contains("SHA-256 or more"), "{refused}");
    }
}

#[test]
fn refuses_the_key_of_somebody_else() {
    let (mine, theirs) = (p256(), p256());
    let content = der::sequence(&[
        der::integer(&[0]),
        der::sequence(&[]),
        rcgen::PublicKeyData::subject_public_key_info(&theirs),
        vec![0xa0, 0],
    ]);
    let signature = mine.sign(&content).unwrap();
    let der = der::sequence(&[content, der::sequence(&[ECDSA_SHA256.to_vec()]), bits(&signature)]);

    assert_eq!(
        SubjectPublicKey::from_der(&der).unwrap_err().code(),
        "csr.signature_broken"
    );
}

#[test]
fn t_13_a_refusal_repeats_nothing_of_what_is_not_pem() {
    let line = format!("-----BEGIN CERTIFICATE REQUEST----{}", "canary".repeat(1_000));
    for text in [
        line,
        "-----BEGIN canary-----\ncanary\n".to_owned(),
        "-----BEGIN canary".to_owned(),
    ] {
        let refused = SubjectPublicKey::from_text(&text).unwrap_err();

        assert_eq!(refused.code(), "csr.malformed");
        let said = refused.to_string();
        assert!(
            said.len() < 200 && !said.contains("canary") && !said.contains("99, 97"),
            "{said}"
        );
    }
}

proptest! {
    #[test]
    fn no_changed_byte_is_taken_for_another_key(position in 0_usize..200, flip in 1_u8..=255) {
        static REQUEST: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| request(&p256(), |_| {}));
        let mut der = REQUEST.clone();
        let position = position % der.len();
        der[position] ^= flip;

        if let Ok(taken) = SubjectPublicKey::from_der(&der) {
            prop_assert_eq!(taken.spki(), SubjectPublicKey::from_der(&REQUEST).unwrap().spki());
        }
    }

    #[test]
    fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in ".{0,300}") {
        let _either = SubjectPublicKey::from_der(&bytes);
        let _either = SubjectPublicKey::from_text(&text);
    }
}
