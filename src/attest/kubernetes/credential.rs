//! The token with which the gateway itself speaks to an API server.
//!
//! The kubelet replaces the file while we run, so it is read for each review. It must never stand in the configuration,
//! an error or a log.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::{fs::File, io::AsyncReadExt as _};

use crate::secret::Secret;

/// The file with the reviewer's token.
#[derive(Clone, Debug)]
pub(super) struct CredentialFile(PathBuf);

impl CredentialFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Reads the token as it is now.
    pub(super) async fn read(&self) -> Result<Secret, CredentialRefused> {
        let unreadable = |source| self.unreadable(source);
        let mut bytes = Vec::new();
        let file = File::open(&self.0).await.map_err(unreadable)?;
        let mut file = file.take(MAX_BYTES + 1);
        file.read_to_end(&mut bytes).await.map_err(unreadable)?;
        self.judge(bytes)
    }

    /// Reads the token at load, to tell early that there is none.
    pub(super) fn check(&self) -> Result<(), CredentialRefused> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&self.0).map_err(|source| self.unreadable(source))?;
        let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|source| self.unreadable(source))?;
        self.judge(bytes).map(|_token| ())
    }

    fn judge(&self, bytes: Vec<u8>) -> Result<Secret, CredentialRefused> {
        let found_bytes = bytes.len();
        let text = String::from_utf8(bytes).unwrap_or_default();
        let token = text.strip_suffix('\n').unwrap_or(&text);
        let in_order = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !in_order || found_bytes as u64 > MAX_BYTES {
            return Err(CredentialRefused::Invalid {
                path: self.shown(),
                found_bytes,
            });
        }
        Ok(Secret::new(token))
    }

    fn unreadable(&self, source: io::Error) -> CredentialRefused {
        CredentialRefused::Unreadable {
            path: self.shown(),
            source,
        }
    }

    fn shown(&self) -> String {
        Path::display(&self.0).to_string()
    }
}

/// The reviewer's token could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialRefused {
    /// The file holds no token.
    #[error("`{path}` holds {found_bytes} bytes, expected one token of at most 16384")]
    Invalid {
        /// The file.
        path: String,
        /// How much of it was read.
        found_bytes: usize,
    },
    /// The file cannot be read.
    #[error("`{path}` cannot be read")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// As much as evidence may have (TM-45).
const MAX_BYTES: u64 = 16 * 1024;
