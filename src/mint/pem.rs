//! DER as text (RFC 7468), for people and for programs that read files.

use base64::{Engine as _, prelude::BASE64_STANDARD};

/// Returns one PEM block; `label` is what stands behind `BEGIN`.
pub fn written(label: &str, der: &[u8]) -> String {
    let mut written = format!("-----BEGIN {label}-----");
    for (position, character) in BASE64_STANDARD.encode(der).chars().enumerate() {
        if position % LINE == 0 {
            written.push('\n');
        }
        written.push(character);
    }
    written + "\n-----END " + label + "-----\n"
}

/// The label of a certificate (RFC 7468 section 5).
pub const CERTIFICATE: &str = "CERTIFICATE";

/// The label of a certificate request (RFC 7468 section 7).
pub const CERTIFICATE_REQUEST: &str = "CERTIFICATE REQUEST";

/// RFC 7468 section 2: 64 characters a line.
const LINE: usize = 64;

#[cfg(test)]
mod tests {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};

    use super::*;

    #[test]
    fn another_reader_takes_the_pem() {
        let certificates = [vec![7; 47], vec![7; 48], vec![7; 49]];

        let written: String = certificates.iter().map(|der| written(CERTIFICATE, der)).collect();

        let read: Vec<_> = CertificateDer::pem_slice_iter(written.as_bytes())
            .map(|one| one.unwrap().to_vec())
            .collect();
        assert_eq!(read, certificates);
        assert!(written.lines().all(|line| line.len() <= 64));
    }
}
