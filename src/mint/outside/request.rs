//! The request for an intermediate's certificate, as PKCS#10.
//!
//! It asks for exactly what a chain is judged by, and holds nothing secret.

use std::time::Duration;

use crate::{
    mint::{
        authority::{Authority, Certification, Purpose, life},
        issuing::{self, NotIssued, RawKey},
        pem, profile,
    },
    spiffe::TrustDomain,
};

/// A request for an intermediate's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The id of the key that waits for it.
    pub id: String,
    /// The request as PEM.
    pub pem: String,
    /// The Subject, one common name.
    pub common_name: String,
    /// Whose authority it is to be: the only URI among the alternative names.
    pub trust_domain: TrustDomain,
    /// The longest that the certificate may be valid from its installation on.
    pub most: Duration,
}

impl CertificateRequest {
    /// Writes and signs the request for `authority`.
    ///
    /// # Errors
    /// Fails where the key does not sign.
    pub(in crate::mint) async fn of(
        authority: &Authority,
        certification: Certification<'_>,
    ) -> Result<Self, NotIssued> {
        let common_name = profile::authority_name("intermediate", authority.id());
        let params = profile::request(&common_name, certification.trust_domain)?;
        let material = authority.public_jwk().material();
        let public = RawKey::of(material).ok_or(NotIssued::Written(rcgen::Error::UnsupportedSignatureAlgorithm))?;
        let der = issuing::request(&params, &public, (authority.key(), authority.algorithm())).await?;
        Ok(Self {
            id: authority.id().to_owned(),
            pem: pem::written(pem::CERTIFICATE_REQUEST, &der),
            common_name,
            trust_domain: certification.trust_domain.clone(),
            most: life(Purpose::X509Intermediate),
        })
    }
}
