//! Evidence in a file: the one that was named, or the one that the kubelet mounts and renews.
//!
//! Never takes the token with which a pod calls its API server: whoever gets that can do so as well (WIMSE-WIP-2).

use std::{
    io::{self, Read},
    path::Path,
};

use anyhow::Context as _;

use super::{Asked, Attest, Evidence, Found, Holder, MAX_TOKEN_BYTES, checked, held};
use crate::{cli::failure::Failure, secret::Secret};

/// Looks for a projected service-account token.
pub(super) fn look(asked: &Asked<'_>) -> Result<Found, Failure> {
    let named = asked.variable(TOKEN_FILE);
    let path = Path::new(named.unwrap_or(PROJECTED));
    if named.is_none() && !path.exists() && !asked.names(Attest::Kubernetes) {
        let state = asked.states(&[TOKEN_FILE]);
        return Ok(Found::Nothing(format!("{state} or {PROJECTED} (is not there)")));
    }
    let token = held(from_file(path))?;
    Ok(Found::Evidence(Evidence {
        token,
        holder: Holder::Job,
    }))
}

/// Reads evidence from a file, or from stdin where the path is `-`.
pub(super) fn from_file(path: &Path) -> anyhow::Result<Secret> {
    if path == Path::new("-") {
        return from_reader(io::stdin().lock()).context("stdin holds no evidence");
    }
    let unreadable = || format!("`{}` holds no evidence", path.display());
    let file = std::fs::File::open(path).with_context(unreadable)?;
    from_reader(file).with_context(unreadable)
}

pub(super) fn from_reader(reader: impl Read) -> anyhow::Result<Secret> {
    let mut text = zeroize::Zeroizing::new(String::new());
    // One more than is taken, and a line end.
    reader.take(MAX_TOKEN_BYTES as u64 + 3).read_to_string(&mut text)?;
    checked(&text)
}

const TOKEN_FILE: &str = "CAMBIO_TOKEN_FILE";
/// Where the manual's pods mount the token.
const PROJECTED: &str = "/var/run/secrets/cambio/token";
