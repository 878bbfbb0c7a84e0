//! Checkpoints that were kept elsewhere, and copies of entries: how they are found in a file.
//!
//! Never reads a line that has no end, and verifies nothing: that needs the key.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use anyhow::{Context as _, bail};

/// Returns the last checkpoint of a file, which may hold entries before and after it.
///
/// # Errors
/// Fails on a file that cannot be read, and on a line longer than any checkpoint is.
pub fn last_checkpoint(file: &Path) -> anyhow::Result<Option<String>> {
    let mut lines = Lines::open(file)?;
    let mut last = None;
    while let Some(line) = lines.next_line()? {
        if line.starts_with(CHECKPOINT.as_bytes()) {
            last = Some(String::from_utf8(line).with_context(|| unreadable(file))?);
        }
    }
    Ok(last)
}

/// The lines of a file that holds checkpoints, and entries where it is a sink's.
#[derive(Debug)]
pub struct Lines<'a> {
    file: &'a Path,
    reader: BufReader<File>,
}

impl<'a> Lines<'a> {
    /// Opens the file.
    ///
    /// # Errors
    /// Fails on a file that cannot be read.
    pub fn open(file: &'a Path) -> anyhow::Result<Self> {
        let opened = File::open(file).with_context(|| unreadable(file))?;
        Ok(Self {
            file,
            reader: BufReader::new(opened),
        })
    }

    /// Returns the next entry, without its line feed; `None` at the end.
    ///
    /// # Errors
    /// As [`last_checkpoint`].
    pub fn next_entry(&mut self) -> anyhow::Result<Option<String>> {
        while let Some(line) = self.next_line()? {
            let line = line.trim_ascii_end();
            if !line.is_empty() && !line.starts_with(CHECKPOINT.as_bytes()) {
                return Ok(Some(String::from_utf8_lossy(line).into_owned()));
            }
        }
        Ok(None)
    }

    fn next_line(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let read = self
            .reader
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .with_context(|| unreadable(self.file))?;
        if read as u64 == MAX_LINE_BYTES {
            bail!(
                "found a line of more than {MAX_LINE_BYTES} bytes in `{}`, expected checkpoints and entries",
                self.file.display()
            );
        }
        Ok((read > 0).then_some(line))
    }
}

fn unreadable(file: &Path) -> String {
    format!("the checkpoint in `{}` cannot be read", file.display())
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

/// Returns the last checkpoint of a sink's file, however long that is; `None` where there is no file or none in its end.
///
/// # Errors
/// Fails on a file that cannot be read.
pub fn last_checkpoint_at_end(file: &Path) -> io::Result<Option<String>> {
    let mut file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END_BYTES)))?;
    let mut end = Vec::new();
    file.take(END_BYTES).read_to_end(&mut end)?;
    // A line that was not written to its end is none.
    let whole = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    end.truncate(whole);
    let last = end
        .split(|byte| *byte == b'\n')
        .rfind(|line| line.starts_with(CHECKPOINT.as_bytes()));
    Ok(last.map(|line| String::from_utf8_lossy(line).into_owned()))
}

/// How a checkpoint begins in a sink.
pub const CHECKPOINT: &str = "{\"checkpoint\":";
/// A checkpoint names every chain in about 150 bytes; ten thousand restarts fit.
const MAX_LINE_BYTES: u64 = 2 * 1024 * 1024;

/// A checkpoint comes each 1,000 entries (LIMITS.md), which take less than 2 KiB each; the rest is for its heads.
const END_BYTES: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("trail");
        std::fs::write(&file, text).unwrap();
        last_checkpoint_at_end(&file).unwrap()
    }

    #[test]
    fn the_last_whole_checkpoint_of_a_file_counts() {
        let text = "{\"checkpoint\":1}\n{\"v\":1}\n{\"checkpoint\":2}\n{\"v\":1}\n{\"checkpoint\":";

        assert_eq!(written(text).as_deref(), Some("{\"checkpoint\":2}"));
    }

    #[test]
    fn a_file_without_a_checkpoint_and_no_file_know_nothing() {
        assert_eq!(written("{\"v\":1}\n"), None);
        assert_eq!(written(""), None);
        assert_eq!(last_checkpoint_at_end(Path::new("/no/such/file")).unwrap(), None);
    }
}
