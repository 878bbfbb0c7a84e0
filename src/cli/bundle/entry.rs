//! One key of a bundle, as a line that a person can compare.

use std::time::{Duration, UNIX_EPOCH};

use x509_parser::{certificate::X509Certificate, der_parser::asn1_rs::FromDer as _};

use crate::{cli::failure::plain, clock, secret::Digest, spiffe::Bundle};

/// Returns a line for each key that can be used.
pub(super) fn entries(bundle: &Bundle) -> Vec<String> {
    let tokens = bundle.jwt_authorities().keys().iter().map(|key| {
        let kid = plain(key.kid().unwrap_or("-"));
        format!("jwt-svid      {kid}  thumbprint {}", key.thumbprint())
    });
    let roots = bundle.x509_authorities().iter().map(|root| {
        let digest = Digest::of(root);
        match X509Certificate::from_der(root) {
            Ok((_, read)) => {
                let subject = plain(&read.subject().to_string());
                let seconds = u64::try_from(read.validity().not_after.timestamp()).unwrap_or(0);
                let ends = clock::rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
                format!("x509-svid     {subject}  until {ends}  sha256 {digest}")
            }
            Err(_unreadable) => format!("x509-svid     unreadable  sha256 {digest}"),
        }
    });
    tokens.chain(roots).collect()
}
