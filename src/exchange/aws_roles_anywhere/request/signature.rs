//! The signature of CreateSession: AWS4-X509-RSA-SHA256 and AWS4-X509-ECDSA-SHA256, step by step as documented.
//!
//! Source: clouds.md 2.4 [D RA-guide, "Signing process"; S RA-helper signer.go]. Pure: the key stays with whoever signs.

use std::{fmt::Write as _, time::SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::CertificateDer;

use crate::{
    clock,
    exchange::aws_roles_anywhere::rules::session::decimal_serial,
    secret::{Digest, hex},
};

/// Which signature the certificate's key makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::exchange::aws_roles_anywhere) enum Algorithm {
    /// ECDSA over SHA-256, as ASN.1.
    Ecdsa,
    /// RSA PKCS#1 v1.5 over SHA-256.
    Rsa,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Ecdsa => "AWS4-X509-ECDSA-SHA256",
            Self::Rsa => "AWS4-X509-RSA-SHA256",
        }
    }
}

/// A request before it is signed.
#[derive(Clone, Copy, Debug)]
pub(in crate::exchange::aws_roles_anywhere) struct Unsigned<'a> {
    /// What stands in the `Host` header.
    pub(in crate::exchange::aws_roles_anywhere) host: &'a str,
    /// The region of the credential scope.
    pub(in crate::exchange::aws_roles_anywhere) region: &'a str,
    /// The query's parameters, in any order.
    pub(in crate::exchange::aws_roles_anywhere) query: &'a [(&'a str, &'a str)],
    /// The body.
    pub(in crate::exchange::aws_roles_anywhere) body: &'a [u8],
    /// When it is sent.
    pub(in crate::exchange::aws_roles_anywhere) now: SystemTime,
}

/// Whose signature it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::exchange::aws_roles_anywhere) struct Signer<'a> {
    /// The certificate, and what leads from it to the trust anchor.
    pub(in crate::exchange::aws_roles_anywhere) chain: &'a [CertificateDer<'static>],
    /// The certificate's serial number, big-endian.
    pub(in crate::exchange::aws_roles_anywhere) serial: &'a [u8],
    /// What its key signs with.
    pub(in crate::exchange::aws_roles_anywhere) algorithm: Algorithm,
}

/// A request that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::exchange::aws_roles_anywhere) struct Signed {
    /// The query, encoded as it was signed.
    pub(in crate::exchange::aws_roles_anywhere) query: String,
    /// All headers but `Host`.
    pub(in crate::exchange::aws_roles_anywhere) headers: Vec<(&'static str, String)>,
}

/// The one path of the data plane.
pub(in crate::exchange::aws_roles_anywhere) const PATH: &str = "/sessions";
/// The one content type.
const JSON: &str = "application/json";

impl Unsigned<'_> {
    /// Signs the request with what `sign` makes of a message.
    ///
    /// # Errors
    /// As `sign` does.
    pub(in crate::exchange::aws_roles_anywhere) fn sign<E>(
        &self,
        signer: Signer<'_>,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<Signed, E> {
        let moment: String = clock::rfc3339(self.now)
            .chars()
            .filter(|character| !matches!(character, '-' | ':'))
            .collect();
        let day: String = moment.chars().take(8).collect();
        let scope = format!("{day}/{}/rolesanywhere/aws4_request", self.region);
        let mut headers = vec![
            ("content-type", JSON.to_owned()),
            ("host", self.host.to_owned()),
            ("x-amz-date", moment.clone()),
        ];
        let mut certificates = signer.chain.iter().map(|certificate| STANDARD.encode(certificate));
        headers.push(("x-amz-x509", certificates.next().unwrap_or_default()));
        let intermediates: Vec<String> = certificates.collect();
        if !intermediates.is_empty() {
            headers.push(("x-amz-x509-chain", intermediates.join(",")));
        }
        let query = canonical_query(self.query);
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let request = canonical_request(&query, &headers, &names, self.body);
        let algorithm = signer.algorithm.name();
        let to_sign = format!("{algorithm}\n{moment}\n{scope}\n{}", Digest::of(request.as_bytes()));
        let signature = hex(&sign(to_sign.as_bytes())?);
        let credential = format!("{}/{scope}", decimal_serial(signer.serial));
        headers.retain(|(name, _)| *name != "host");
        headers.push((
            "authorization",
            format!("{algorithm} Credential={credential}, SignedHeaders={names}, Signature={signature}"),
        ));
        Ok(Signed { query, headers })
    }
}

/// `headers` stand in the order of their names and hold no white space at either end.
fn canonical_request(query: &str, headers: &[(&'static str, String)], names: &str, body: &[u8]) -> String {
    let mut request = format!("POST\n{PATH}\n{query}\n");
    for (name, value) in headers {
        request.extend([*name, ":", value.trim(), "\n"]);
    }
    request.extend(["\n", names, "\n"]);
    request.push_str(&Digest::of(body).to_string());
    request
}

fn canonical_query(parameters: &[(&str, &str)]) -> String {
    let mut encoded: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    encoded.sort_unstable();
    encoded.join("&")
}

/// Percent-encodes all but RFC 3986's unreserved characters, with upper-case digits.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            let written = write!(encoded, "%{byte:02X}");
            debug_assert!(written.is_ok(), "a String takes any text");
        }
    }
    encoded
}
