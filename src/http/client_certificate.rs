//! Client certificates of the exchange listener: optional, and judged by the configured attestors.
//!
//! It must never take a certificate that no attestor takes, and never resume a session: a resumed one would skip the
//! check against the bundle of the moment (T-04).

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

use crate::{
    attest::{ClientCertificate, verify_client_certificate},
    gateway::Gateway,
    spiffe::SvidRefused,
};

/// Asks the attestors of the moment, so that a reload holds from the next connection on.
#[derive(Debug)]
pub struct ClientVerifier {
    gateway: Arc<Gateway>,
    provider: Arc<CryptoProvider>,
}

impl ClientVerifier {
    /// Asks the attestors of `gateway`.
    pub fn new(gateway: Arc<Gateway>) -> Arc<Self> {
        Arc::new(Self {
            gateway,
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        })
    }

    fn judge(&self, certificate: &ClientCertificate) -> Result<(), CertificateError> {
        let now = self.gateway.clock.now();
        match verify_client_certificate(&self.gateway.rules.load().attestors, certificate, now) {
            None => Err(CertificateError::UnknownIssuer),
            Some(Ok(_svid)) => Ok(()),
            Some(Err(refused)) => {
                tracing::debug!(certificate.sha256 = %certificate.sha256(), "client certificate refused: {refused}");
                Err(alert(&refused))
            }
        }
    }
}

/// What the client's TLS sees: an alert, and nothing of what is pinned here.
fn alert(refused: &SvidRefused) -> CertificateError {
    match refused {
        SvidRefused::Expired { .. } => CertificateError::Expired,
        SvidRefused::OtherTrustDomain { .. } | SvidRefused::Path { .. } => CertificateError::UnknownIssuer,
        SvidRefused::Revoked => CertificateError::Revoked,
        SvidRefused::Authority { .. }
        | SvidRefused::Chain { .. }
        | SvidRefused::Id(_)
        | SvidRefused::Key { .. }
        | SvidRefused::RootPath
        | SvidRefused::Unreadable { .. }
        | SvidRefused::Uris { .. }
        | SvidRefused::Usage { .. } => CertificateError::BadEncoding, // the alert `bad_certificate`
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        let rules = self.gateway.rules.load();
        rules
            .attestors
            .iter()
            .any(|attestor| attestor.client_certificates().is_some())
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[] // no hint: it would tell strangers whom we trust
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host_time: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        self.judge(&ClientCertificate::new(&chain))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
