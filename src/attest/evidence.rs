//! What a workload presents: its token, and what it proves besides.
//!
//! Nothing here is verified, apart from the DPoP proof that made a [`Possession::Dpop`], and that the peer of a
//! connection holds the key of its [`ClientCertificate`].

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use rustls::pki_types::CertificateDer;

use crate::{
    secret::{Digest, NoRandomness, Random, Secret, hex},
    store::Binding,
};

/// What a workload presents, unverified.
#[derive(Clone, Debug)]
pub struct Evidence {
    token: Secret,
    kind: Option<String>,
    possession: Possession,
    certificate: Option<ClientCertificate>,
}

impl Evidence {
    /// Takes the token as it came in; `kind` only where the token does not tell.
    pub fn new(token: Secret, kind: Option<String>, possession: Possession) -> Self {
        Self {
            token,
            kind,
            possession,
            certificate: None,
        }
    }

    /// Takes the certificate of the connection, which is the evidence itself; there is no token.
    pub fn of_certificate(certificate: ClientCertificate, kind: String, possession: Possession) -> Self {
        Self {
            certificate: Some(certificate),
            ..Self::new(Secret::new(String::new()), Some(kind), possession)
        }
    }

    /// Takes the token of whoever acts for a request's subject; a bearer's, since what a request proves is about the subject's.
    pub fn of_actor(token: Secret) -> Self {
        Self::new(token, None, Possession::Bearer)
    }

    /// Returns the certificate that stands in the token's place.
    pub fn certificate_unverified(&self) -> Option<&ClientCertificate> {
        self.certificate.as_ref()
    }

    /// Returns the token, unverified.
    pub fn token_unverified(&self) -> &Secret {
        &self.token
    }

    /// Returns the kind of evidence that the caller claims, if it does.
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// Returns what the caller proved besides the token.
    pub fn possession(&self) -> &Possession {
        &self.possession
    }

    /// Returns the SHA-256 of the token, or of the certificate in its place, which may be logged.
    pub fn sha256(&self) -> Digest {
        let certificate = self.certificate.as_ref();
        certificate.map_or_else(|| self.token.sha256(), ClientCertificate::sha256)
    }
}

/// The certificates that the peer of a connection presented, leaf first; it proved that it holds the leaf's key.
///
/// They were verified while the connection was made. A connection may outlive a bundle, so they are verified again
/// wherever they serve as evidence, or bind it (T-04).
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate(Arc<[CertificateDer<'static>]>);

impl ClientCertificate {
    /// Takes a chain, leaf first.
    pub fn new(chain: &[CertificateDer<'_>]) -> Self {
        Self(chain.iter().map(|one| one.clone().into_owned()).collect())
    }

    /// Returns the chain, leaf first.
    pub fn chain_unverified(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    /// Returns the SHA-256 of the leaf, which is its thumbprint `x5t#S256` (RFC 8705 section 3.1).
    pub fn sha256(&self) -> Digest {
        Digest::of(self.0.first().map_or(&[][..], |leaf| leaf.as_ref()))
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCertificate").field(&self.sha256()).finish()
    }
}

/// What a caller proved besides the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Possession {
    /// Nothing: whoever holds the token may have sent it.
    Bearer,
    /// The client certificate of the connection, whose key made the handshake; never one that a header holds.
    Certificate(ClientCertificate),
    /// A DPoP proof over this very token was verified.
    Dpop {
        /// RFC 7638 thumbprint of the proof's key.
        thumbprint: Digest,
        /// Digest over thumbprint and `jti` of the proof, which serves once.
        proof: Digest,
        /// How long the proof must be remembered.
        remember_until: SystemTime,
    },
    /// The caller sent a random Idempotency-Key of at least 128 bits.
    IdempotencyKey(Digest),
}

impl Possession {
    /// Returns what the ledger compares.
    pub fn binding(&self) -> Binding {
        match self {
            Self::Bearer => Binding::Bearer,
            Self::Certificate(certificate) => Binding::Certificate(certificate.sha256()),
            Self::Dpop { thumbprint, .. } => Binding::Dpop(*thumbprint),
            Self::IdempotencyKey(key) => Binding::IdempotencyKey(*key),
        }
    }

    /// Returns the proof that serves once, and how long it is remembered.
    pub fn proof(&self) -> Option<(Digest, SystemTime)> {
        match self {
            Self::Bearer | Self::Certificate(_) | Self::IdempotencyKey(_) => None,
            Self::Dpop {
                proof, remember_until, ..
            } => Some((*proof, *remember_until)),
        }
    }
}

/// The id of one request, 32 lower-case hex digits: 48 random bits, the time in milliseconds, 32 random bits.
///
/// The first 12 digits alone tell requests apart in a cloud's session name; those behind them grow with time, so that a
/// store can keep ids in order without touching a random page for each (performance.md B1).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ExchangeId(String);

impl ExchangeId {
    /// Draws an id.
    ///
    /// # Errors
    /// Fails where the platform gives no randomness.
    pub fn draw(random: &dyn Random, now: SystemTime) -> Result<Self, NoRandomness> {
        let mut bytes = [0; 10];
        random.fill(&mut bytes)?;
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (first, last) = bytes.split_at(6);
        Ok(Self(format!(
            "{}{:012x}{}",
            hex(first),
            since.as_millis() & MAX_48_BITS,
            hex(last)
        )))
    }

    /// Returns the 32 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first 12 hex digits, which fit into every cloud's session name.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

const MAX_48_BITS: u128 = (1 << 48) - 1;

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    /// RFC 8705 Appendix A.
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----
";

    #[test]
    fn mtls_4_what_binds_evidence_is_the_thumbprint_of_rfc_8705_appendix_a() {
        let leaf = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
        let above = CertificateDer::from(b"an intermediate is not part of it".to_vec());

        let binding = Possession::Certificate(ClientCertificate::new(&[leaf, above])).binding();

        let Binding::Certificate(found) = binding else {
            panic!("{binding:?}");
        };
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD.encode(found.as_bytes()),
            "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
        );
    }
}
