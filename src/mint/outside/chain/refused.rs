//! Why a chain was refused: what was found in which certificate, and what was expected.

/// Why a chain was refused; certificates are counted from 1, the intermediate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainRefused {
    /// A certificate is there twice.
    #[error("certificate {second} is certificate {first} once more, expected each once")]
    Duplicate {
        /// Where it stands first.
        first: usize,
        /// Where it stands again.
        second: usize,
    },
    /// An extension is there that verifiers refuse, or lacks.
    #[error(
        "certificate {position} has {found}, expected critical BasicConstraints and KeyUsage, a SubjectKeyIdentifier, and \
         nothing critical that restricts SVIDs"
    )]
    Extension {
        /// Which certificate.
        position: usize,
        /// What was found.
        found: String,
    },
    /// The intermediate is for another key.
    #[error("certificate 1 is for the key {found}, expected {expected}, whose request cambio keys csr shows")]
    KeyMismatch {
        /// The thumbprint of its key.
        found: String,
        /// The key that waits.
        expected: String,
    },
    /// A key is of a kind that is not taken.
    #[error("certificate {position} has a key {found}, expected P-256, P-384 or RSA of 2048 to 4096 bits")]
    KeyUnsupported {
        /// Which certificate.
        position: usize,
        /// What it is.
        found: String,
    },
    /// The key usage is not an authority's.
    #[error("certificate {position} has the key usage `{found}`, expected {expected}")]
    KeyUsage {
        /// Which certificate.
        position: usize,
        /// What was found.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The intermediate lives too short or too long.
    #[error("certificate 1 ends in {found_seconds} s, expected {least_seconds} to {most_seconds} s")]
    Life {
        /// How long it lives from now on.
        found_seconds: u64,
        /// The shortest that is taken.
        least_seconds: u64,
        /// The longest.
        most_seconds: u64,
    },
    /// It is no list of certificates in PEM.
    #[error("the chain cannot be read: {problem}, expected X.509 certificates in PEM and nothing else")]
    Malformed {
        /// What was found.
        problem: String,
    },
    /// A name is not the trust domain's.
    #[error("certificate {position} has {found}, expected {expected}")]
    Names {
        /// Which certificate.
        position: usize,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// No key waits for a chain.
    #[error("found no key that waits for a chain, expected one: make its request with cambio keys csr")]
    NoRequest,
    /// A certificate may not sign others.
    #[error("certificate {position} is no authority's, expected CA:true")]
    NotAuthority {
        /// Which certificate.
        position: usize,
    },
    /// A certificate is not valid now.
    #[error("certificate {position} is valid from {from} to {to}, expected that {now} is within")]
    NotValid {
        /// Which certificate.
        position: usize,
        /// Its begin.
        from: String,
        /// Its end.
        to: String,
        /// Now.
        now: String,
    },
    /// A certificate lives longer than the one that signed it.
    #[error("certificate {position} ends {found}, expected at the latest with its issuer {expected}")]
    OutlivesIssuer {
        /// Which certificate.
        position: usize,
        /// Its end.
        found: String,
        /// Its issuer's.
        expected: String,
    },
    /// The path length is not what was asked for, or too short for the chain.
    #[error("certificate {position} has the path length {found}, expected {expected}")]
    PathLength {
        /// Which certificate.
        position: usize,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// The chain does not end in a root.
    #[error("found no root `{found}`, expected it as last certificate, self-signed, or pinned already")]
    RootMissing {
        /// Whose signature the last certificate bears.
        found: String,
    },
    /// The root cannot be pinned, whatever is asked for.
    #[error("the root {found} {problem}, expected one that signs or is new")]
    RootRefused {
        /// Its key id.
        found: String,
        /// Why not.
        problem: &'static str,
    },
    /// The root is another than the pinned one.
    #[error("the chain ends in the root {found}, expected {expected}; --new-root pins another beside it")]
    RootUnknown {
        /// Its key id.
        found: String,
        /// The pinned ones.
        expected: String,
    },
    /// A signature does not hold.
    #[error("certificate {position} {problem}")]
    Signature {
        /// Which certificate.
        position: usize,
        /// What was found against what was expected.
        problem: String,
    },
    /// There is too much of it.
    #[error("the chain has {found} {unit}, at most {most} are read")]
    TooLarge {
        /// How much.
        found: usize,
        /// Of what.
        unit: &'static str,
        /// How much is read.
        most: usize,
    },
    /// An SVID under the chain would be refused.
    #[error("an SVID under this chain would be refused: {problem}, expected a path that verifiers take")]
    Unverifiable {
        /// What a verifier says.
        problem: String,
    },
}

impl ChainRefused {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Duplicate { .. } => "chain.duplicate_certificate",
            Self::Extension { .. } => "chain.extension_refused",
            Self::KeyMismatch { .. } => "chain.key_mismatch",
            Self::KeyUnsupported { .. } => "chain.key_unsupported",
            Self::KeyUsage { .. } => "chain.key_usage",
            Self::Life { .. } => "chain.life_refused",
            Self::Malformed { .. } => "chain.malformed",
            Self::Names { .. } => "chain.names_refused",
            Self::NoRequest => "chain.no_request",
            Self::NotAuthority { .. } => "chain.not_authority",
            Self::NotValid { .. } => "chain.not_valid_now",
            Self::OutlivesIssuer { .. } => "chain.outlives_issuer",
            Self::PathLength { .. } => "chain.path_length",
            Self::RootMissing { .. } => "chain.root_missing",
            Self::RootRefused { .. } => "chain.root_refused",
            Self::RootUnknown { .. } => "chain.root_unknown",
            Self::Signature { .. } => "chain.signature_broken",
            Self::TooLarge { .. } => "chain.too_large",
            Self::Unverifiable { .. } => "chain.unverifiable",
        }
    }
}
