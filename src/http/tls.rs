//! TLS of our listeners: rustls with aws-lc-rs, TLS 1.2 and 1.3, certificate swapped without a restart.
//!
//! No session tickets that outlive the certificate, no resumption where clients have certificates, never a plain-text
//! fallback.

use std::{io, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
};

use crate::bounded_file;

/// Our certificate; replaced whole when its files change.
#[derive(Debug)]
pub struct Certificate {
    current: ArcSwap<CertifiedKey>,
    provider: Arc<CryptoProvider>,
}

/// The certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateRefused {
    /// The certificate and the key do not belong together, or the key is of no kind that TLS takes.
    #[error("the certificate and the key cannot be used together")]
    Mismatch(#[source] rustls::Error),
    /// A file cannot be read.
    #[error("`{path}` cannot be read")]
    Read {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds no PEM of the expected kind.
    #[error("`{path}` holds no {expected}")]
    Pem {
        /// Which.
        path: String,
        /// What it should hold.
        expected: &'static str,
    },
}

impl Certificate {
    /// Reads a PEM chain, leaf first, and its PEM key.
    ///
    /// # Errors
    /// Refuses files without them, and a key of another certificate.
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, CertificateRefused> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = read(certificate, key, &provider)?;
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(certified),
            provider,
        }))
    }

    /// Reads the files again; the old certificate stays where they cannot be used.
    ///
    /// # Errors
    /// As `load`.
    pub fn reload(&self, certificate: &Path, key: &Path) -> Result<(), CertificateRefused> {
        self.current.store(Arc::new(read(certificate, key, &self.provider)?));
        Ok(())
    }

    /// Returns the TLS settings of a listener that presents this certificate.
    ///
    /// # Errors
    /// Fails where the provider does not support TLS 1.2 and 1.3.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        self.config(WebPkiClientVerifier::no_client_auth()).map(Arc::new)
    }

    /// Returns the TLS settings of a listener that asks for client certificates; no session of it is resumed (T-04).
    ///
    /// # Errors
    /// As `server_config`.
    pub fn server_config_with_clients(
        self: &Arc<Self>,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = self.config(clients)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    fn config(self: &Arc<Self>, clients: Arc<dyn ClientCertVerifier>) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateRefused> {
    let bytes = |path: &Path, most: u64| {
        bounded_file::read(path, most).map_err(|source| CertificateRefused::Read {
            path: path.display().to_string(),
            source,
        })
    };
    let missing = |path: &Path, expected| CertificateRefused::Pem {
        path: path.display().to_string(),
        expected,
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes(certificate, MAX_CHAIN_BYTES)?)
        .filter_map(Result::ok)
        .collect();
    if chain.is_empty() {
        return Err(missing(certificate, "PEM certificate"));
    }
    let key_bytes = zeroize::Zeroizing::new(bytes(key, MAX_KEY_BYTES)?);
    let private = PrivateKeyDer::from_pem_slice(&key_bytes)
        .ok()
        .ok_or_else(|| missing(key, "PEM private key"))?;
    CertifiedKey::from_der(chain, private, provider).map_err(CertificateRefused::Mismatch)
}

/// As much as the configuration's check takes: a long chain is a few KiB.
pub const MAX_CHAIN_BYTES: u64 = 256 * 1024;
/// As much as the configuration's check takes of a key.
const MAX_KEY_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::{fs, io::ErrorKind};

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A certificate and its key, and the files that they are written into.
    struct Files {
        directory: tempfile::TempDir,
        certificate: String,
        key: String,
    }

    impl Files {
        fn new() -> Self {
            let key = KeyPair::generate().unwrap();
            Self {
                directory: tempfile::tempdir().unwrap(),
                certificate: CertificateParams::default().self_signed(&key).unwrap().pem(),
                key: key.serialize_pem(),
            }
        }

        /// Writes both, each with so many bytes.
        fn load(&self, certificate_bytes: u64, key_bytes: u64) -> Result<Arc<Certificate>, CertificateRefused> {
            let path = |name: &str| self.directory.path().join(name);
            for (name, text, bytes) in [
                ("tls.crt", &self.certificate, certificate_bytes),
                ("tls.key", &self.key, key_bytes),
            ] {
                let room = usize::try_from(bytes).unwrap() - text.len();
                fs::write(path(name), format!("{text}{}", "\n".repeat(room))).unwrap();
            }
            Certificate::load(&path("tls.crt"), &path("tls.key"))
        }

        /// Returns which file could not be read, for it was too long.
        fn too_large(&self, certificate_bytes: u64, key_bytes: u64) -> String {
            match self.load(certificate_bytes, key_bytes).unwrap_err() {
                CertificateRefused::Read { path, source } if source.kind() == ErrorKind::FileTooLarge => path,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn takes_a_chain_and_a_key_of_the_greatest_length_and_refuses_one_byte_more_of_each() {
        let files = Files::new();

        assert!(files.load(256 * 1024, 64 * 1024).is_ok());
        assert!(files.too_large(256 * 1024 + 1, 64 * 1024).ends_with("tls.crt"));
        assert!(files.too_large(256 * 1024, 64 * 1024 + 1).ends_with("tls.key"));
    }
}
