use super::*;
use crate::jose::{
    PublicKey,
    tests::{es256, rs256},
};

const BOTH: [SigningAlgorithm; 2] = [SigningAlgorithm::Es256, SigningAlgorithm::Rs256];

fn verifies(key: &SigningKey, message: &[u8], signature: &[u8]) -> bool {
    let public = PublicKey::from_public_jwk(&key.public_jwk("a")).unwrap();
    public.verify(key.algorithm(), message, signature).is_ok()
}

#[test]
fn a_signature_verifies_over_its_message_only() {
    for key in [es256(), rs256()] {
        let signature = key.sign(b"message").unwrap();

        assert!(verifies(key, b"message", &signature));
        assert!(!verifies(key, b"massage", &signature));
    }
}

#[test]
fn an_ecdsa_signature_has_the_fixed_length_of_jose() {
    for _ in 0..32 {
        assert_eq!(es256().sign(b"x").unwrap().len(), 64);
    }
}

#[test]
fn two_generated_keys_differ() {
    for algorithm in BOTH {
        let one = SigningKey::generate(algorithm).unwrap();
        let two = SigningKey::generate(algorithm).unwrap();
        assert_ne!(one.thumbprint(), two.thumbprint());
        assert_eq!(one.signing_algorithm(), algorithm);
    }
}

#[test]
fn a_key_reads_back_from_pkcs8_as_the_same_key() {
    for key in [es256(), rs256()] {
        let read = SigningKey::from_pkcs8(key.signing_algorithm(), &key.to_pkcs8().unwrap()).unwrap();

        assert_eq!(read.thumbprint(), key.thumbprint());
        assert!(verifies(key, b"message", &read.sign(b"message").unwrap()));
    }
}

#[test]
fn t_30_refuses_a_document_of_another_kind() {
    let ec = es256().to_pkcs8().unwrap();
    let rsa = rs256().to_pkcs8().unwrap();

    for (algorithm, document) in [
        (SigningAlgorithm::Rs256, &ec[..]),
        (SigningAlgorithm::Es256, &rsa[..]),
        (SigningAlgorithm::Rs256, &[]),
        (SigningAlgorithm::Es256, &ec[..ec.len() - 1]),
        (SigningAlgorithm::Es256, b"-----BEGIN PRIVATE KEY-----"),
    ] {
        let refused = SigningKey::from_pkcs8(algorithm, document).unwrap_err();
        assert!(matches!(refused, SigningKeyRefused::Rejected { .. }), "{refused}");
    }
}

#[test]
fn takes_a_key_of_4096_bits_and_refuses_one_byte_more() {
    let longest = include_bytes!("../../../tests/vectors/jose/rsa_4096.pkcs8");
    let longer = include_bytes!("../../../tests/vectors/jose/rsa_4104.pkcs8");

    assert!(SigningKey::from_pkcs8(SigningAlgorithm::Rs256, longest).is_ok());
    assert!(matches!(
        SigningKey::from_pkcs8(SigningAlgorithm::Rs256, longer),
        Err(SigningKeyRefused::Size { found: 513 })
    ));
}

#[test]
fn debug_shows_no_private_key() {
    let key = es256();
    let shown = format!("{key:?}");
    let private = key.to_pkcs8().unwrap();

    assert!(shown.contains("[redacted]"), "{shown}");
    assert!(!shown.contains(&crate::secret::hex(&private[36..68])), "{shown}");
}

#[test]
fn jwk_3_the_text_of_the_thumbprint_is_a_key_id() {
    for key in [es256(), rs256()] {
        let kid = key.thumbprint().to_string();
        assert_eq!(key.public_jwk(&kid).kid(), kid);
        assert_eq!(kid.len(), 43);
    }
}
