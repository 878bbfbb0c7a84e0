//! Files that the configuration names.
//!
//! A file with a secret that others can read is refused, as OpenSSH refuses it: its secret is no longer one.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::diagnostic::Fault;

/// What a file must be like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// The permissions that it may have, at most.
    pub(super) mode: u32,
    /// How many bytes it may hold.
    pub(super) max_bytes: u64,
}

/// Reads a whole file.
///
/// # Errors
/// Refuses a file that cannot be read, is none, is too long, or that too many people can read.
pub(super) fn read(path: &Path, rule: Rule) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let shown = path.display();
    let unreadable = |why: std::io::Error| unreadable(path, &why);
    let file = File::open(path).map_err(unreadable)?;
    // Asked of the open file, so that what is checked is what is read.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Fault::new(
            "config.file_unreadable",
            format_args!("`{shown}`, which is no file"),
            "a file",
        ));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & !rule.mode != 0 {
        let fault = Fault::new(
            "config.file_mode",
            format_args!("`{shown}` with mode {mode:04o}"),
            format!("mode {:04o} or less", rule.mode),
        );
        return Err(fault.hint(format!("run: chmod {:04o} {shown}", rule.mode)));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(rule.max_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > rule.max_bytes {
        let expected = format!("at most {} bytes", rule.max_bytes);
        return Err(Fault::new("config.file_too_large", format_args!("`{shown}`"), expected));
    }
    Ok(bytes)
}

/// Returns the fault of a file that the system does not give.
pub(super) fn unreadable(path: &Path, why: &std::io::Error) -> Fault {
    let fault = Fault::new(
        "config.file_unreadable",
        format_args!("`{}` ({why})", path.display()),
        "a readable file",
    );
    match why.kind() {
        ErrorKind::NotFound => fault.hint("create it, or correct the path"),
        _ => fault.hint("let the user that Cambio runs as read it"),
    }
}

/// Returns `path`, counted from the directory of the configuration file where it is relative.
pub(super) fn resolve(directory: &Path, path: &str) -> PathBuf {
    directory.join(path)
}

/// Any permissions: nothing secret is in the file.
pub(super) const ANY_MODE: u32 = 0o7777;

#[cfg(test)]
mod tests;
