//! An authority outside, for tests: it certifies what a request asks for, changed by one thing.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use rustls::pki_types::CertificateDer;

use crate::mint::profile::named;

pub(in crate::mint) const DAY: Duration = Duration::from_hours(24);

/// An authority outside.
pub(in crate::mint) struct OutsideCa {
    pub(in crate::mint) key: KeyPair,
    pub(in crate::mint) params: CertificateParams,
    pub(in crate::mint) der: CertificateDer<'static>,
}

impl OutsideCa {
    /// Makes a root that is valid for ten years.
    pub(in crate::mint) fn root(now: SystemTime, change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::root_of(KeyPair::generate().unwrap(), now, change)
    }

    pub(in crate::mint) fn root_of(key: KeyPair, now: SystemTime, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority_params("Acme Root", now);
        change(&mut params);
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { key, params, der }
    }

    /// Makes an authority below this one.
    pub(in crate::mint) fn below(&self, now: SystemTime, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = authority_params("Acme Issuing", now);
        change(&mut params);
        let der = self.certify(&key, &params);
        Self { key, params, der }
    }

    pub(in crate::mint) fn certify(
        &self,
        public: &impl PublicKeyData,
        params: &CertificateParams,
    ) -> CertificateDer<'static> {
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(public, &issuer).unwrap().der().clone()
    }

    /// Certifies a request for 30 days; returns the intermediate and this root as PEM.
    pub(in crate::mint) fn answer(
        &self,
        request: &str,
        now: SystemTime,
        change: impl FnOnce(&mut CertificateParams),
    ) -> String {
        let mut asked = CertificateSigningRequestParams::from_pem(request).unwrap();
        asked.params.not_before = now.into();
        asked.params.not_after = (now + DAY * 30).into();
        asked.params.serial_number = Some(vec![0x51; 16].into());
        asked.params.use_authority_key_identifier_extension = true;
        change(&mut asked.params);
        let own = self.certify(&asked.public_key, &asked.params);
        pem(&[own, self.der.clone()])
    }
}

fn authority_params(name: &str, now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * 3650).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub(in crate::mint) fn pem(certificates: &[CertificateDer<'static>]) -> String {
    let block = |der: &CertificateDer<'_>| {
        let text = BASE64_STANDARD.encode(der);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        )
    };
    certificates.iter().map(block).collect()
}
