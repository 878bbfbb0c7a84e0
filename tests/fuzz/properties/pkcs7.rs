//! Documents that a platform signed, and the certificates in them.

use std::{sync::LazyLock, time::SystemTime};

use cambio::{
    attest::pkcs7::{Certificate, Coverage, Pkcs7Refused, Unverified, Verified},
    clock::parse_rfc3339,
};

use super::can_be_logged;

/// Takes the input for a document and for a certificate.
pub fn hold(input: &[u8]) {
    certificate(input);
    if let Err(refused) = Unverified::read(input) {
        return can_be_logged(&refused);
    }
    assert!(input.len() <= 12 * 1024);
    let (platform, root) = &*TRUSTED;
    for coverage in [Coverage::Attributes, Coverage::Content] {
        let read = || Unverified::read(input).expect("it was read before");
        let by_platform = read().verify(platform, coverage, *NOW);
        assert!(by_platform.is_err() || read().signer([root, platform]) == Some(platform));
        verified(by_platform, input);
        verified(
            read().verify_under((std::slice::from_ref(root), &[]), coverage, *NOW),
            input,
        );
    }
}

/// Only content that was really signed comes out, and comes from the document (T-01).
fn verified(judged: Result<Verified, Pkcs7Refused>, input: &[u8]) {
    match judged {
        Ok(verified) => {
            assert_eq!(verified.content(), SIGNED, "nobody signed this content");
            assert!(verified.content().len() <= input.len());
            certificate(verified.signer().der());
        }
        Err(refused) => can_be_logged(&refused),
    }
}

/// A certificate is kept as it was, and its names are text.
fn certificate(der: &[u8]) {
    match Certificate::read(der) {
        Ok(read) => {
            assert_eq!(read.der(), der);
            assert_eq!(Certificate::read(read.der()).expect("the same certificate"), read);
        }
        Err(refused) => can_be_logged(&refused),
    }
}

/// The content of every document that the keys below signed; their private halves were thrown away.
const SIGNED: &[u8] = include_bytes!("../signed/content.json");

static NOW: LazyLock<SystemTime> = LazyLock::new(|| parse_rfc3339("2026-01-16T14:40:00Z").expect("a moment"));

static TRUSTED: LazyLock<(Certificate, Certificate)> = LazyLock::new(|| {
    let read = |der: &[u8]| Certificate::read(der).expect("a certificate");
    (
        read(include_bytes!("../signed/platform.der")),
        read(include_bytes!("../signed/root.der")),
    )
});
