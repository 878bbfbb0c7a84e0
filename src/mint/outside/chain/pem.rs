//! Certificates in PEM, and nothing else: what stands between or behind them was not meant for us.
//!
//! Never repeats what was sent: a private key may have got into the file.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::pki_types::CertificateDer;

use super::{ChainRefused, MAX_CERTIFICATES, MAX_CHAIN_BYTES};

/// Returns the certificates of a text, at least one.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, ChainRefused> {
    if text.len() > MAX_CHAIN_BYTES {
        return Err(ChainRefused::TooLarge {
            found: text.len(),
            unit: "bytes",
            most: MAX_CHAIN_BYTES,
        });
    }
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        let malformed = |problem: &str| ChainRefused::Malformed {
            problem: format!("line {} {problem}", index + 1),
        };
        block = match (block, line) {
            (None, BEGIN) => Some(String::new()),
            (None, "") => None,
            (None, _other) => return Err(malformed("is no `-----BEGIN CERTIFICATE-----`")),
            (Some(base64), END) => {
                let der = BASE64_STANDARD.decode(base64);
                found.push(CertificateDer::from(der.map_err(|why| {
                    malformed(&format!("ends a block that is no base64 ({why})"))
                })?));
                None
            }
            (Some(_), line) if line.starts_with('-') => return Err(malformed("begins another block within one")),
            (Some(base64), line) => Some(base64 + line),
        };
    }
    let problem = match (block, found.len()) {
        (Some(_), _) => "its last block does not end",
        (None, 0) => "it holds no certificate",
        (None, 1..=MAX_CERTIFICATES) => return Ok(found),
        (None, found) => {
            return Err(ChainRefused::TooLarge {
                found,
                unit: "certificates",
                most: MAX_CERTIFICATES,
            });
        }
    };
    Err(ChainRefused::Malformed {
        problem: problem.to_owned(),
    })
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
