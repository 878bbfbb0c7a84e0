//! The certificate that both listeners present.

use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    diagnostic::{Fault, Problems},
    file::{self, Rule},
    path::KeyPath,
};
use crate::secret::not_pem;

/// `[tls]` as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    /// Certificate chain in PEM, our own certificate first; at most 256 KiB.
    #[schemars(required, extend("examples" = ["/etc/cambio/tls.crt"]))]
    certificate_file: Option<String>,
    /// Private key in PEM, mode 0640 or less; at most 64 KiB.
    #[schemars(required, extend("examples" = ["/etc/cambio/tls.key"]))]
    key_file: Option<String>,
}

/// The certificate that both listeners present; the files were readable and held what they should when loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain in PEM.
    pub certificate_file: PathBuf,
    /// Private key in PEM.
    pub key_file: PathBuf,
}

/// Reads `[tls]`.
pub(super) fn read(raw: RawTls, directory: &Path, path: &KeyPath, problems: &mut Problems) -> Option<Tls> {
    let certificate_file = raw.certificate_file.and_then(|text| {
        let file = file::resolve(directory, &text);
        problems.take(&path.key("certificate_file"), certificates(&file).map(|()| file))
    });
    let key_file = raw.key_file.and_then(|text| {
        let file = file::resolve(directory, &text);
        problems.take(&path.key("key_file"), private_key(&file).map(|()| file))
    });
    Some(Tls {
        certificate_file: certificate_file?,
        key_file: key_file?,
    })
}

fn certificates(path: &Path) -> Result<(), Fault> {
    let pem = file::read(path, CERTIFICATE)?;
    let refuse = |why: &str| {
        let found = format!("`{}` ({why})", path.display());
        Fault::new(
            "config.pem_invalid",
            found,
            "a certificate chain in PEM, our own certificate first",
        )
    };
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate.map_err(|why| refuse(not_pem(&why)))?;
        count += 1;
    }
    if count == 0 {
        Err(refuse("no certificate"))
    } else {
        Ok(())
    }
}

fn private_key(path: &Path) -> Result<(), Fault> {
    let pem = file::read(path, KEY)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_) => Ok(()),
        Err(why) => {
            let found = format!("`{}` ({})", path.display(), not_pem(&why));
            Err(Fault::new("config.pem_invalid", found, "a private key in PEM"))
        }
    }
}

/// A long chain is a few KiB.
const CERTIFICATE: Rule = Rule {
    mode: file::ANY_MODE,
    max_bytes: 256 * 1024,
};

/// The group may read it, because certificate tools hand keys to a group.
const KEY: Rule = Rule {
    mode: 0o640,
    max_bytes: 64 * 1024,
};

#[cfg(test)]
mod tests;
