//! The key-encryption key, which seals private keys in the store.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    diagnostic::{Fault, Problems},
    file::{self, Rule},
    path::KeyPath,
    store::Store,
};

/// `[keys]` as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKeys {
    /// File of 32 random bytes, or of their base64, mode 0600 or 0400, outside the store's directory.
    #[schemars(required, extend("examples" = ["/etc/cambio/kek"]))]
    kek_file: Option<String>,
}

/// What seals private keys in the store.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The file.
    pub kek_file: PathBuf,
    /// The key in it.
    pub kek: Kek,
}

/// The key-encryption key; prints as `[redacted]` and is wiped when dropped.
#[derive(Clone)]
pub struct Kek(Zeroizing<[u8; 32]>);

impl Kek {
    /// Returns the key itself; every call is a place to review.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Reads `[keys]`.
pub(super) fn read(
    raw: RawKeys,
    directory: &Path,
    store: Option<&Store>,
    path: &KeyPath,
    problems: &mut Problems,
) -> Option<Keys> {
    let kek_file = file::resolve(directory, &raw.kek_file?);
    let place = path.key("kek_file");
    let outside = outside(&kek_file, store);
    let read = file::read(&kek_file, KEK).and_then(|bytes| kek(&kek_file, &bytes));
    let outside = problems.take(&place, outside);
    let kek = problems.take(&place, read)?;
    outside.map(|()| Keys { kek_file, kek })
}

/// Refuses a key beside what it seals: whoever copies the directory, for a backup say, would have both.
fn outside(kek_file: &Path, store: Option<&Store>) -> Result<(), Fault> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_absent| path.to_owned());
    match store.and_then(Store::directory) {
        Some(directory) if real(kek_file).starts_with(real(directory)) => Err(Fault::new(
            "config.kek_in_store_directory",
            format_args!("`{}`", kek_file.display()),
            format!("a file outside `{}`, where the store is", directory.display()),
        )),
        Some(_) | None => Ok(()),
    }
}

fn kek(path: &Path, bytes: &[u8]) -> Result<Kek, Fault> {
    let raw = <[u8; 32]>::try_from(bytes).ok().map(Zeroizing::new);
    let decoded = || {
        let decoded = Zeroizing::new(STANDARD.decode(bytes.trim_ascii_end()).ok()?);
        <[u8; 32]>::try_from(decoded.as_slice()).ok().map(Zeroizing::new)
    };
    raw.or_else(decoded).map(Kek).ok_or_else(|| {
        let found = format!("`{}` with {} bytes that are no key", path.display(), bytes.len());
        Fault::new("config.kek_invalid", found, "32 random bytes, or their base64").hint(format!(
            "run: (umask 077 && head -c 32 /dev/urandom > {})",
            path.display()
        ))
    })
}

/// Nobody but the owner.
const KEK: Rule = Rule {
    mode: 0o600,
    max_bytes: 1024,
};

#[cfg(test)]
mod tests;
