//! PKCS#7 documents as platforms sign them, written by hand: each part may be changed by tests.
//!
//! It shares no code with the reader of such documents. Keys are made anew for each simulation.

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, SerialNumber};
use time::OffsetDateTime;
use x509_parser::{certificate::X509Certificate, der_parser::asn1_rs::FromDer as _};

/// What may go wrong while a signer is made.
pub type SignerError = Box<dyn std::error::Error + Send + Sync>;

/// Somebody with an RSA key and a certificate.
pub struct Signer {
    certificate: Vec<u8>,
    issuer: Vec<u8>,
    serial: Vec<u8>,
    key: RsaKeyPair,
    pair: KeyPair,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// Makes a signer whose certificate it signed itself, valid from 2020 to 2040.
    ///
    /// # Errors
    /// Fails where no key can be made.
    pub fn new(name: &str, serial: u64) -> Result<Self, SignerError> {
        Self::with(&parameters(name, serial), None)
    }

    /// Makes a signer of these parameters, certified by `issuer`, or by itself.
    ///
    /// # Errors
    /// Fails where no key or certificate can be made.
    pub fn with(
        parameters: &CertificateParams,
        issuer: Option<&rcgen::Issuer<'_, KeyPair>>,
    ) -> Result<Self, SignerError> {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
        let certificate = match issuer {
            None => parameters.self_signed(&pair)?,
            Some(issuer) => parameters.signed_by(&pair, issuer)?,
        };
        let certificate = certificate.der().to_vec();
        let (_, read) = X509Certificate::from_der(&certificate)?;
        let (issuer, serial) = (read.issuer().as_raw().to_vec(), read.raw_serial().to_vec());
        let key = RsaKeyPair::from_pkcs8(&pair.serialize_der()).map_err(|why| why.to_string())?;
        Ok(Self {
            certificate,
            issuer,
            serial,
            key,
            pair,
        })
    }

    /// Returns the certificate, in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Returns the key, to certify others with.
    pub fn pair(&self) -> &KeyPair {
        &self.pair
    }

    /// Returns a document of its own form: content, signed attributes, no certificate, open ends.
    pub fn document(&self, content: &[u8]) -> Document {
        Document {
            open: true,
            content: content.to_vec(),
            pieces: 1,
            certificates: Vec::new(),
            signers: vec![self.signed(content)],
        }
    }

    /// Returns the signer's part over attributes.
    pub fn signed(&self, content: &[u8]) -> Vec<u8> {
        self.signed_with(&[
            attribute(CONTENT_TYPE, &object(DATA)),
            attribute(SIGNING_TIME, &element(0x17, b"260116144000Z")),
            attribute(MESSAGE_DIGEST, &element(0x04, &sha256(content))),
        ])
    }

    /// Returns the signer's part over these attributes, in this order.
    pub fn signed_with(&self, attributes: &[Vec<u8>]) -> Vec<u8> {
        let all = attributes.concat();
        let parts = SignerParts {
            attributes: Some(element(0xa0, &all)),
            ..self.parts(&element(0x31, &all))
        };
        parts.written()
    }

    /// Returns the parts of the signer over the content alone, to be changed and written.
    pub fn parts(&self, covered: &[u8]) -> SignerParts {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let signed = self
            .key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), covered, &mut signature);
        if signed.is_err() {
            signature.clear(); // A document without a signature, which nobody takes.
        }
        let name = [self.issuer.clone(), element(0x02, &self.serial)].concat();
        SignerParts {
            version: 1,
            id: element(0x30, &name),
            digest_algorithm: algorithm(SHA256),
            attributes: None,
            signature_algorithm: algorithm(RSA),
            signature,
        }
    }
}

/// Returns the parameters of a certificate of this name, valid from 2020 to 2040.
pub fn parameters(name: &str, serial: u64) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.serial_number = Some(SerialNumber::from(serial));
    parameters.not_before = OffsetDateTime::from_unix_timestamp(1_577_836_800).unwrap_or(parameters.not_before);
    parameters.not_after = OffsetDateTime::from_unix_timestamp(2_208_988_800).unwrap_or(parameters.not_after);
    parameters
}

/// A SignedData, to be changed and written.
#[derive(Clone, Debug)]
pub struct Document {
    /// Whether the envelope has open ends, as EC2's has.
    pub open: bool,
    /// The content.
    pub content: Vec<u8>,
    /// In how many pieces an open envelope holds the content.
    pub pieces: usize,
    /// The certificates.
    pub certificates: Vec<Vec<u8>>,
    /// The signers' parts, as written.
    pub signers: Vec<Vec<u8>>,
}

impl Document {
    /// Writes the document.
    pub fn written(&self) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| {
            if self.open {
                [&[tag, 0x80], content, &[0, 0]].concat()
            } else {
                element(tag, content)
            }
        };
        let octets = if self.open {
            let size = self.content.len().div_ceil(self.pieces.max(1)).max(1);
            let pieces: Vec<Vec<u8>> = self.content.chunks(size).map(|piece| element(0x04, piece)).collect();
            wrap(0x24, &pieces.concat())
        } else {
            element(0x04, &self.content)
        };
        let content = wrap(0x30, &[object(DATA), wrap(0xa0, &octets)].concat());
        let certificates = if self.certificates.is_empty() {
            Vec::new()
        } else {
            wrap(0xa0, &self.certificates.concat())
        };
        let signed = [
            element(0x02, &[1]),
            element(0x31, &algorithm(SHA256)),
            content,
            certificates,
            element(0x31, &self.signers.concat()),
        ];
        let signed = wrap(0x30, &signed.concat());
        wrap(0x30, &[object(SIGNED_DATA), wrap(0xa0, &signed)].concat())
    }
}

/// What a SignerInfo holds, each part as written but for version and signature.
#[derive(Clone, Debug)]
pub struct SignerParts {
    /// 1 with issuer and serial, 3 with a key identifier.
    pub version: u8,
    /// How the certificate is named.
    pub id: Vec<u8>,
    /// The digest algorithm.
    pub digest_algorithm: Vec<u8>,
    /// The signed attributes under their own tag, if there are any.
    pub attributes: Option<Vec<u8>>,
    /// The signature algorithm.
    pub signature_algorithm: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

impl SignerParts {
    /// Writes the part.
    pub fn written(&self) -> Vec<u8> {
        let parts = [
            element(0x02, &[self.version]),
            self.id.clone(),
            self.digest_algorithm.clone(),
            self.attributes.clone().unwrap_or_default(),
            self.signature_algorithm.clone(),
            element(0x04, &self.signature),
        ];
        element(0x30, &parts.concat())
    }
}

/// Writes an element that tells its length.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let header = match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => vec![tag, short],
        Ok(short) => vec![tag, 0x81, short],
        Err(_longer) => {
            let digits = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
            [&[tag, 0x82], &digits[..]].concat()
        }
    };
    [&header, content].concat()
}

/// Writes an attribute with one value.
pub fn attribute(name: &[u8], value: &[u8]) -> Vec<u8> {
    element(0x30, &[object(name), element(0x31, value)].concat())
}

/// Writes an object identifier.
pub fn object(name: &[u8]) -> Vec<u8> {
    element(0x06, name)
}

/// Writes an algorithm with NULL for its parameters.
pub fn algorithm(name: &[u8]) -> Vec<u8> {
    element(0x30, &[object(name), vec![0x05, 0x00]].concat())
}

/// Returns the SHA-256.
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// id-data.
pub const DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
/// id-signedData.
pub const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
/// id-contentType.
pub const CONTENT_TYPE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
/// id-messageDigest.
pub const MESSAGE_DIGEST: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
/// id-signingTime.
pub const SIGNING_TIME: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05";
/// id-sha256.
pub const SHA256: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x01";
/// sha256WithRSAEncryption.
pub const RSA_WITH_SHA256: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
/// rsaEncryption.
pub const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
