//! Copies to a file, appended.
//!
//! Never follows a symbolic link: the path is compared with what was opened, because the standard library knows no
//! `O_NOFOLLOW`. Reopens the file when it was moved away, so that it can be rotated.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{Sink, SinkFailed};
use crate::store::BoxFuture;

/// Appends each entry as one line to a file of mode 0600.
#[derive(Debug)]
pub struct FileSink {
    name: String,
    path: PathBuf,
    open: Arc<Mutex<Option<File>>>,
}

impl FileSink {
    /// Opens or creates the file at `path`.
    ///
    /// # Errors
    /// Refuses a symbolic link, anything but a regular file, and a file that others may read.
    pub fn open(name: &str, path: &Path) -> io::Result<Self> {
        let file = append_to(path)?;
        Ok(Self {
            name: name.to_owned(),
            path: path.to_owned(),
            open: Arc::new(Mutex::new(Some(file))),
        })
    }
}

impl Sink for FileSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn write<'a>(&'a self, lines: &'a [String]) -> BoxFuture<'a, Result<(), SinkFailed>> {
        Box::pin(async move {
            let open = Arc::clone(&self.open);
            let path = self.path.clone();
            let text = super::joined(lines);
            super::blocking(&self.name, lines.len(), move || {
                let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                let mut file = match open.take() {
                    Some(file) if is_at(&file, &path) => file,
                    Some(_) | None => append_to(&path)?,
                };
                // Where this fails the file is opened anew: what it holds then is not known.
                file.write_all(text.as_bytes())?;
                *open = Some(file);
                Ok(())
            })
            .await
        })
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Err(refused(path, "is not a regular file")),
        Ok(_) => {}
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    if !is_at(&file, path) {
        return Err(refused(path, "was replaced while it was opened, or is a symbolic link"));
    }
    if file.metadata()?.mode() & OF_OTHERS != 0 {
        return Err(refused(path, "may be read by others, expected mode 0600"));
    }
    Ok(file)
}

/// Tells whether `path` itself, not what it may link to, is the file that was opened.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(opened), Ok(there)) => there.is_file() && (opened.dev(), opened.ino()) == (there.dev(), there.ino()),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("`{}` {why}", path.display()))
}

/// The permissions of everybody but the owner.
const OF_OTHERS: u32 = 0o077;
