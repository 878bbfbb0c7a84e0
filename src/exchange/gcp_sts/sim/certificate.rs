//! A subject token that is a chain of certificates, as the mTLS token endpoint takes it.
//!
//! Verifies the path with `rustls-webpki`; the TLS handshake has proven who holds the key.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime, pem::PemObject as _};
use serde_json::Value;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::answer::OauthRefusal;
use crate::{
    clock,
    exchange::gcp_sts::rules::{
        certificate::{assertion, judge},
        provider::TrustStore,
    },
    sim::PeerCertificates,
};

/// Certificates in a subject token; ours, so that a path is found in bounded time.
const CHAIN: usize = 10;

/// What a verified chain says.
pub(super) struct Certified {
    /// What the provider's expressions read.
    pub(super) assertion: Value,
    /// When the certificate ends, in seconds.
    pub(super) ends: u64,
}

/// Judges a chain that a client sent as its subject token, over a connection on which it proved `peer`.
///
/// # Errors
/// Texts and codes are unverified.
pub(super) fn verify(
    token: &str,
    peer: Option<&PeerCertificates>,
    store: &TrustStore,
    now: SystemTime,
) -> Result<Certified, OauthRefusal> {
    let refused = |text: &str| OauthRefusal::new("invalid_grant", text);
    let listed: Vec<String> = serde_json::from_str(token)
        .map_err(|why| OauthRefusal::new("invalid_request", format!("The subject token is no JSON list: {why}")))?;
    let chain: Vec<CertificateDer<'static>> = listed
        .iter()
        .take(CHAIN + 1)
        .map(|text| STANDARD.decode(text).map(CertificateDer::from))
        .collect::<Result<_, _>>()
        .map_err(|why| OauthRefusal::new("invalid_request", format!("The subject token is not base64: {why}")))?;
    let (Some((own, rest)), true) = (chain.split_first(), chain.len() <= CHAIN) else {
        return Err(OauthRefusal::new(
            "invalid_request",
            "The subject token holds no certificate, or too many.",
        ));
    };
    let presented = peer.and_then(|peer| peer.0.first());
    if presented.map(Vec::as_slice) != Some(own.as_ref()) {
        return Err(refused(
            "The client certificate of the connection is not the first certificate of the subject token.",
        ));
    }
    let unverified = |why: crate::exchange::gcp_sts::rules::certificate::CertificateRefusal| {
        OauthRefusal::new(why.code(), why.to_string())
    };
    let ends = judge(own, now).map_err(unverified)?;
    path(own, rest, store, now)
        .ok_or_else(|| refused("The certificate chain does not lead to a trust anchor of the provider."))?;
    Ok(Certified {
        assertion: assertion(own).map_err(unverified)?,
        ends,
    })
}

fn path(own: &CertificateDer<'_>, rest: &[CertificateDer<'_>], store: &TrustStore, now: SystemTime) -> Option<()> {
    let roots = pem(&store.trust_anchors)?;
    let anchors: Vec<TrustAnchor<'_>> = roots
        .iter()
        .filter_map(|root| anchor_from_trusted_cert(root).ok())
        .collect();
    let mut intermediates = rest.to_vec();
    intermediates.extend(pem(&store.intermediate_cas)?);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(clock::unix_seconds(now)));
    let certificate = EndEntityCert::try_from(own).ok()?;
    let usage = KeyUsage::client_auth();
    certificate
        .verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &intermediates, now, usage, None, None)
        .ok()
        .map(|_path| ())
}

fn pem(texts: &[String]) -> Option<Vec<CertificateDer<'static>>> {
    texts
        .iter()
        .map(|text| CertificateDer::from_pem_slice(text.as_bytes()).ok())
        .collect()
}
