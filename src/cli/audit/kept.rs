//! Checkpoints that were kept elsewhere: how one is found in a file.
//!
//! Never reads a line that has no end, and verifies nothing: that needs the key.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, ErrorKind, Read as _},
    path::Path,
};

use anyhow::{Context as _, bail};

/// Returns the last checkpoint of a file, which may hold entries before and after it.
///
/// # Errors
/// Fails on a file that cannot be read, and on a line longer than any checkpoint is.
pub fn last_checkpoint(file: &Path) -> anyhow::Result<Option<String>> {
    let unreadable = || format!("the checkpoint in `{}` cannot be read", file.display());
    let mut reader = BufReader::new(File::open(file).with_context(unreadable)?);
    let mut last = None;
    loop {
        let mut line = Vec::new();
        let read = reader
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .with_context(unreadable)?;
        if read == 0 {
            return Ok(last);
        }
        if read as u64 == MAX_LINE_BYTES {
            bail!(
                "found a line of more than {MAX_LINE_BYTES} bytes in `{}`, expected checkpoints and entries",
                file.display()
            );
        }
        if line.starts_with(CHECKPOINT.as_bytes()) {
            last = Some(String::from_utf8(line).with_context(unreadable)?);
        }
    }
}

/// Returns the last checkpoint of a file, and `None` as well where the file is not there.
///
/// # Errors
/// As [`last_checkpoint`], but for the absence of the file.
pub fn last_checkpoint_if_there(file: &Path) -> anyhow::Result<Option<String>> {
    match file.metadata() {
        Err(absent) if absent.kind() == ErrorKind::NotFound => Ok(None),
        Ok(_) | Err(_) => last_checkpoint(file),
    }
}

/// How a checkpoint begins in a sink.
pub const CHECKPOINT: &str = "{\"checkpoint\":";
/// A checkpoint names every chain in about 150 bytes; ten thousand restarts fit.
const MAX_LINE_BYTES: u64 = 2 * 1024 * 1024;
