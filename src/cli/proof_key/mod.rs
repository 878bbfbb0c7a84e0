//! The key that binds evidence to this job: one P-256 key for each piece of evidence, found by every process of the job.
//!
//! Never follows a link, and never uses or leaves a key that anybody else can read or could have put there.

use std::{
    fs::{DirBuilder, File},
    io::{Read as _, Write as _},
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, fsync, linkat, openat, renameat, statat, unlinkat},
    io::Errno,
    process::geteuid,
};
use zeroize::Zeroizing;

use super::environment::Environment;
use crate::{
    clock::unix_seconds,
    jose::{SigningAlgorithm, SigningKey},
    secret::{Digest, Random, Secret, hex},
};

/// The directory that holds the keys of one user's evidence.
#[derive(Debug)]
pub struct KeyDirectory {
    path: PathBuf,
    directory: OwnedFd,
}

impl KeyDirectory {
    /// Opens `cambio` below `$CAMBIO_STATE_DIR`, else `$RUNNER_TEMP`, else `$XDG_RUNTIME_DIR`; `None` where none is there.
    ///
    /// # Errors
    /// Refuses a directory that is a link, not ours, or open to others.
    pub fn open(environment: &Environment) -> anyhow::Result<Option<Self>> {
        let base = ["CAMBIO_STATE_DIR", "RUNNER_TEMP", "XDG_RUNTIME_DIR"]
            .into_iter()
            .find_map(|name| Some((name, Path::new(environment.variable(name)?))));
        let Some((name, base)) = base else {
            return Ok(None);
        };
        if name != "CAMBIO_STATE_DIR" && !base.is_dir() {
            return Ok(None); // Set for a login that this process is not part of.
        }
        Self::at(base)
            .map(Some)
            .with_context(|| format!("the directory for keys below {name} cannot be used"))
    }

    /// Opens `cambio` below `base`, and makes it where it is not there.
    ///
    /// # Errors
    /// Refuses a directory that is a link, not ours, or open to others.
    pub fn at(base: &Path) -> anyhow::Result<Self> {
        let path = base.join("cambio");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        // Whatever stands there is judged once it is open.
        if let Err(failed) = made
            && path.symlink_metadata().is_err()
        {
            return Err(failed).with_context(|| format!("`{}` cannot be made", path.display()));
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
        let directory = openat(CWD, &path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => {
                anyhow::anyhow!("found a link or a file at `{}`, expected a directory", path.display())
            }
            _ => anyhow::Error::new(errno).context(format!("`{}` cannot be opened", path.display())),
        })?;
        ours(&fstat(&directory)?, &path)?;
        Ok(Self { path, directory })
    }

    /// Returns the key of `evidence`; of several processes that ask at once, all get the same.
    ///
    /// # Errors
    /// Refuses a key file that is a link, not ours, or open to others, and what is no P-256 key.
    pub fn key(&self, evidence: &Secret, random: &dyn Random) -> anyhow::Result<SigningKey> {
        self.named(&file_name(&evidence.sha256()), random)
    }

    /// Tells whether a process was here with `evidence` before.
    pub fn knows(&self, evidence: &Secret) -> bool {
        let name = file_name(&evidence.sha256());
        statat(&self.directory, &*name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Returns the key in the file `name`; of several processes that ask at once, all get the same.
    ///
    /// # Errors
    /// Refuses what [`Self::key`] refuses.
    pub fn named(&self, name: &str, random: &dyn Random) -> anyhow::Result<SigningKey> {
        if let Some(key) = self.read(name)? {
            return Ok(key);
        }
        let key = generate()?;
        if self.publish(name, &key, random)? {
            return Ok(key);
        }
        let missing = || format!("`{}` was there and is gone", self.path.join(name).display());
        self.read(name)?.with_context(missing)
    }

    /// Returns when the file `name` is on the disk, with its name.
    ///
    /// # Errors
    /// Fails where the disk does.
    pub fn flush(&self, name: &str) -> anyhow::Result<()> {
        let unwritable = || format!("`{}` cannot be written", self.path.join(name).display());
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.directory, name, flags, Mode::empty()).with_context(unwritable)?;
        fsync(&file).with_context(unwritable)?;
        fsync(&self.directory).with_context(unwritable)
    }

    /// Puts `content` under its name at once and whole, in the place of what was there, and on the disk.
    ///
    /// # Errors
    /// Fails where the disk does; what was there is there then.
    pub fn replace(&self, name: &str, content: &[u8], random: &dyn Random) -> anyhow::Result<()> {
        let unwritable = || format!("`{}` cannot be written", self.path.join(name).display());
        let (draft, mut file) = self.draft(random).with_context(unwritable)?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        let renamed = written.map_err(anyhow::Error::new).and_then(|()| {
            renameat(&self.directory, &*draft, &self.directory, name)?;
            Ok(fsync(&self.directory)?)
        });
        if renamed.is_err() {
            let _gone = unlinkat(&self.directory, &*draft, AtFlags::empty());
        }
        renamed.with_context(unwritable)
    }

    /// Removes the file `name`, if it is there.
    pub fn remove(&self, name: &str) {
        let _gone = unlinkat(&self.directory, name, AtFlags::empty());
    }

    /// Removes keys that no evidence can use any more.
    pub fn remove_past_use(&self, now: SystemTime) {
        let Ok(entries) = Dir::read_from(&self.directory) else {
            return;
        };
        let oldest = unix_seconds(now).saturating_sub(PAST_USE.as_secs());
        for entry in entries.flatten() {
            let name = entry.file_name();
            if !is_ours(name.to_bytes()) {
                continue;
            }
            let modified = statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)
                .ok()
                .and_then(|stat| u64::try_from(stat.st_mtime).ok());
            if modified.is_some_and(|modified| modified < oldest) {
                let _gone = unlinkat(&self.directory, name, AtFlags::empty());
            }
        }
    }

    fn read(&self, name: &str) -> anyhow::Result<Option<SigningKey>> {
        let Some(pkcs8) = self.read_bytes(name)? else {
            return Ok(None);
        };
        SigningKey::from_pkcs8(SigningAlgorithm::Es256, &pkcs8)
            .map(Some)
            .with_context(|| format!("`{}` holds no key", self.path.join(name).display()))
    }

    /// Returns where a file of the directory is, to be shown.
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns what the file `name` holds, at most 4 KiB.
    ///
    /// # Errors
    /// Refuses a file that is a link, not ours, or open to others.
    pub fn read_bytes(&self, name: &str) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.directory, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => bail!("found a link at `{}`, expected a key file", path.display()),
            Err(errno) => return Err(errno).with_context(|| format!("`{}` cannot be opened", path.display())),
        };
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            bail!("found no regular file at `{}`, expected a key file", path.display());
        }
        ours(&stat, &path)?;
        let mut bytes = Zeroizing::new(Vec::new());
        File::from(file).take(MAX_KEY_BYTES).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Makes a file that nobody else can have made or can read.
    fn draft(&self, random: &dyn Random) -> anyhow::Result<(String, File)> {
        let mut drawn = [0; 8];
        random.fill(&mut drawn)?;
        let draft = format!("{DRAFT}{}", hex(&drawn));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.directory, &*draft, flags, Mode::RUSR | Mode::WUSR)?;
        Ok((draft, File::from(file)))
    }

    /// Puts a key under its name at once and whole; returns `false` where another process was first.
    fn publish(&self, name: &str, key: &SigningKey, random: &dyn Random) -> anyhow::Result<bool> {
        let unwritable = || format!("`{}` cannot be written", self.path.join(name).display());
        let (draft, mut file) = self.draft(random).with_context(unwritable)?;
        let written = file.write_all(&key.to_pkcs8()?);
        // A link to what is complete: nobody reads half a key, and one process alone is first.
        let linked = written.map_err(anyhow::Error::new).and_then(|()| {
            match linkat(&self.directory, &*draft, &self.directory, name, AtFlags::empty()) {
                Ok(()) => Ok(true),
                Err(Errno::EXIST) => Ok(false),
                Err(errno) => Err(errno.into()),
            }
        });
        let _gone = unlinkat(&self.directory, &*draft, AtFlags::empty());
        linked.with_context(unwritable)
    }
}

/// Makes a key that ends with this process.
///
/// # Errors
/// Fails where the platform gives no randomness.
pub fn generate() -> anyhow::Result<SigningKey> {
    SigningKey::generate(SigningAlgorithm::Es256).context("no key can be made")
}

fn ours(stat: &Stat, path: &Path) -> anyhow::Result<()> {
    let (found, expected) = (stat.st_uid, geteuid().as_raw());
    if found != expected {
        bail!("`{}` belongs to user {found}, expected {expected}", path.display());
    }
    let mode = stat.st_mode & 0o7777;
    if mode & 0o077 != 0 {
        bail!(
            "`{}` has mode {mode:04o}, expected nothing for group and others (chmod go= {0})",
            path.display()
        );
    }
    Ok(())
}

fn file_name(evidence: &Digest) -> String {
    format!("{evidence}{SUFFIX}")
}

/// Returns whether a name is one that we give, so that nothing else is ever removed.
fn is_ours(name: &[u8]) -> bool {
    let is_hex = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
    let key = name.strip_suffix(SUFFIX.as_bytes());
    let draft = name.strip_prefix(DRAFT.as_bytes());
    key.is_some_and(|digest| digest.len() == 64 && is_hex(digest))
        || draft.is_some_and(|drawn| drawn.len() == 16 && is_hex(drawn))
}

const SUFFIX: &str = ".key";
const DRAFT: &str = ".draft-";
/// LIMITS.md: an attestation stands for at most 12 h after the first use, which made the key.
const PAST_USE: Duration = Duration::from_hours(12);
/// A P-256 key in PKCS#8 has about 140 bytes.
const MAX_KEY_BYTES: u64 = 4096;

#[cfg(test)]
mod tests;
