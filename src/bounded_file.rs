//! Files that an operator or the environment names, read whole and never without a bound.
//!
//! It must never judge what a file holds, nor who may read it: a secret's permissions are its reader's to check.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    path::Path,
};

use rustix::fs::{Mode, OFlags, open};

/// Reads a file of at most `most` bytes.
///
/// What is no regular file is refused at once, a pipe as well: a gateway that reads its files again must not wait for
/// whoever writes into one. A link is followed, as the kubelet's mounted files need.
///
/// # Errors
/// Refuses a file that the system does not give, that is none, or that has more bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Without it, the system opens a pipe only once somebody writes into it.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty())?);
    // Asked of the open file, so that what is checked is what is read.
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "found no regular file, expected one",
        ));
    }
    whole(file, most)
}

/// Reads a file or a pipe of at most `most` bytes, for commands whose files a shell may give as `<(..)`.
///
/// # Errors
/// As [`read`], but waits for whoever writes into a pipe.
pub fn read_or_wait(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    whole(File::open(path)?, most)
}

/// Reads at most `most` bytes, and refuses more without reading them.
fn whole(file: File, most: u64) -> io::Result<Vec<u8>> {
    // Room for all of it at once: what a vector grows out of is not wiped.
    let length = file.metadata()?.len().min(most).saturating_add(1);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let problem = format!("found more than the {most} bytes expected at most");
        return Err(io::Error::new(ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// As much as certificates and key sets of others may have: as a bundle (LIMITS.md, outbound fetch).
///
/// It is room for some 500 certificates of 2 KiB in PEM; the host's own authorities are about 150.
pub const MAX_AUTHORITIES_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
pub(crate) mod sample {
    use rcgen::{CertificateParams, KeyPair};
    use tempfile::NamedTempFile;

    /// Returns a file of so many bytes that holds one certificate in PEM.
    pub(crate) fn authorities(bytes: u64) -> NamedTempFile {
        let key = KeyPair::generate().unwrap();
        let pem = CertificateParams::default().self_signed(&key).unwrap().pem();
        let room = usize::try_from(bytes).unwrap() - pem.len();
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{pem}{}", "\n".repeat(room))).unwrap();
        file
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    /// A directory with a file of this many bytes in it.
    fn file(bytes: usize) -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, vec![b'x'; bytes]).unwrap();
        (directory, path)
    }

    fn pipe() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        (directory, path)
    }

    #[test]
    fn takes_a_file_of_the_greatest_length_and_refuses_one_byte_more() {
        let (_kept, path) = file(1024);

        for read in [read, read_or_wait] {
            assert_eq!(read(&path, 1024).unwrap(), [b'x'; 1024]);
            let refused = read(&path, 1023).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::FileTooLarge);
            assert_eq!(refused.to_string(), "found more than the 1023 bytes expected at most");
        }
    }

    #[test]
    fn what_says_that_it_is_empty_is_bounded_all_the_same() {
        let endless = Path::new("/dev/zero");

        let refused = read_or_wait(endless, 4096).unwrap_err();

        assert_eq!(refused.kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_file_is_read_into_the_room_that_was_made_for_it() {
        let (_kept, path) = file(100_000);

        let bytes = read(&path, 1024 * 1024).unwrap();

        assert_eq!(bytes.capacity(), 100_001);
    }

    #[test]
    fn follows_a_link() {
        let (kept, path) = file(3);
        let link = kept.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();

        assert_eq!(read(&link, 3).unwrap(), b"xxx");
    }

    #[test]
    fn refuses_a_directory_a_device_and_a_pipe_without_waiting() {
        let (kept, pipe) = pipe();

        for path in [kept.path(), Path::new("/dev/zero"), &pipe] {
            let refused = read(path, 1024).unwrap_err().to_string();
            assert_eq!(refused, "found no regular file, expected one", "{}", path.display());
        }
        assert!(read_or_wait(kept.path(), 1024).is_err());
    }

    #[test]
    fn a_pipe_is_waited_for_and_bounded_where_a_command_reads_it() {
        for (bytes, taken) in [(1024, true), (1025, false)] {
            let (_kept, path) = pipe();
            let writer = path.clone();
            let writer = thread::spawn(move || fs::write(writer, vec![b'x'; bytes]));

            let read = read_or_wait(&path, 1024);

            writer.join().unwrap().unwrap();
            assert_eq!(read.is_ok(), taken, "{bytes}");
        }
    }

    #[test]
    fn names_what_is_not_there_as_the_system_does() {
        let refused = read(Path::new("/nonexistent/file"), 1).unwrap_err();

        assert_eq!(refused.kind(), ErrorKind::NotFound);
    }
}
