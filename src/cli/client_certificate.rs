//! The client certificate that `creds` and `exec` present, which binds their evidence instead of a DPoP key.
//!
//! Never uses a private key that anybody else can read.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use reqwest::Identity;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use zeroize::Zeroizing;

use super::{environment::Environment, exit::Exit, failure::Failure};

/// Which certificate is presented; both files or none.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClientCertificateArguments {
    /// A client certificate with its intermediates, as PEM; it binds the evidence instead of a DPoP key [env: CAMBIO_CLIENT_CERTIFICATE].
    #[arg(long, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
    /// The certificate's private key, as PEM, which nobody else may read [env: CAMBIO_CLIENT_KEY].
    #[arg(long, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
}

impl ClientCertificateArguments {
    /// Reads the certificate and the key of the arguments or the environment; `None` where neither is named.
    ///
    /// # Errors
    /// Refuses one without the other, files that cannot be read, and a key that others can read.
    pub fn identity(&self, environment: &Environment) -> Result<Option<Identity>, Failure> {
        let named = |file: &Option<PathBuf>, variable: &str| {
            let file = file.clone();
            file.or_else(|| environment.variable(variable).map(PathBuf::from))
        };
        let certificate = named(&self.client_certificate, "CAMBIO_CLIENT_CERTIFICATE");
        let key = named(&self.client_key, "CAMBIO_CLIENT_KEY");
        match (certificate, key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => read(&certificate, &key)
                .map(Some)
                .map_err(|failed| Failure::new(Exit::Usage, failed)),
            (Some(_), None) | (None, Some(_)) => Err(Failure::saying(
                Exit::Usage,
                "found only one of the client certificate and its key, expected both or none",
            )
            .hint("give --client-certificate FILE and --client-key FILE")),
        }
    }
}

fn read(certificate: &Path, key: &Path) -> anyhow::Result<Identity> {
    let unusable = || format!("the client certificate in `{}` cannot be used", certificate.display());
    let mut pem = contents(certificate, ANYBODY).with_context(unusable)?;
    if PrivateKeyDer::from_pem_slice(&pem).is_ok() {
        bail!(
            "found a private key in `{}`, expected only certificates there: others may read that file",
            certificate.display()
        );
    }
    CertificateDer::from_pem_slice(&pem).with_context(unusable)?;
    let private = contents(key, OWNER);
    let private = private.with_context(|| format!("the client key in `{}` cannot be used", key.display()))?;
    pem.push(b'\n');
    pem.extend_from_slice(&private);
    Identity::from_pem(&pem).with_context(unusable)
}

/// Reads a whole file that has no other permissions than `allowed`.
fn contents(path: &Path, allowed: u32) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    // Asked of the open file, so that what is checked is what is read.
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        bail!("found no file, expected one");
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & !allowed != 0 {
        bail!("found mode {mode:04o}, expected {allowed:04o} or less");
    }
    // Room for all of it and the key at once: what a vector grows out of is not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * MAX_BYTES));
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        bail!("found more than {MAX_BYTES} bytes, expected at most that");
    }
    Ok(bytes)
}

/// Nothing secret is in a certificate.
const ANYBODY: u32 = 0o7777;
/// A key that a group can read is no longer one workload's.
const OWNER: u32 = 0o600;
/// A chain of 6 certificates (T-06), and any key, have far less.
const MAX_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// Writes a certificate and its key, and returns what `read` says of them.
    fn judged(mode: u32, change: impl FnOnce(&mut String, &mut String)) -> anyhow::Result<Identity> {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
        let mut private = key.serialize_pem();
        change(&mut certificate, &mut private);
        let (at, key_at) = (directory.path().join("svid.pem"), directory.path().join("svid.key"));
        fs::write(&at, certificate).unwrap();
        fs::write(&key_at, private).unwrap();
        fs::set_permissions(&at, Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(&key_at, Permissions::from_mode(mode)).unwrap();
        read(&at, &key_at)
    }

    fn refused(mode: u32, change: impl FnOnce(&mut String, &mut String)) -> String {
        format!("{:#}", judged(mode, change).unwrap_err())
    }

    #[test]
    fn takes_a_certificate_that_all_can_read_and_a_key_that_nobody_else_can() {
        assert!(judged(0o600, |_, _| {}).is_ok());
        assert!(judged(0o400, |_, _| {}).is_ok());
    }

    #[test]
    fn refuses_a_key_that_others_can_read() {
        for mode in [0o640, 0o604, 0o620] {
            let why = refused(mode, |_, _| {});
            assert!(why.contains(&format!("found mode {mode:04o}, expected 0600")), "{why}");
        }
    }

    #[test]
    fn refuses_a_key_among_the_certificates() {
        let why = refused(0o600, |certificate, key| certificate.push_str(key));

        assert!(why.contains("found a private key"), "{why}");
    }

    #[test]
    fn refuses_files_that_hold_no_certificate_and_no_key() {
        let no_certificate = refused(0o600, |certificate, _| "canary".clone_into(certificate));
        let no_key = refused(0o600, |_, key| "canary".clone_into(key));

        for why in [no_certificate, no_key] {
            assert!(why.contains("cannot be used") && !why.contains("canary"), "{why}");
        }
    }

    #[test]
    fn takes_a_key_file_of_the_greatest_length_and_refuses_one_byte_more() {
        let padded =
            |length: usize| move |_: &mut String, key: &mut String| key.push_str(&"\n".repeat(length - key.len()));

        assert!(judged(0o600, padded(MAX_BYTES)).is_ok());
        let why = refused(0o600, padded(MAX_BYTES + 1));

        assert!(why.contains("found more than 65536 bytes"), "{why}");
    }
}
