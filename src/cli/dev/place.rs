//! The directory of a development world.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{
    secret::{Random, hex},
    sim::ca::write_private,
};

/// Where a development world keeps its files.
#[derive(Clone, Debug)]
pub struct Place {
    root: PathBuf,
    kept: bool,
}

impl Place {
    /// Opens `kept`, or a new temporary directory that `close` removes.
    ///
    /// # Errors
    /// Fails where a directory or the key-encryption key cannot be made.
    pub fn open(kept: Option<PathBuf>, random: &dyn Random) -> anyhow::Result<Self> {
        let mut name = [0; 8];
        random.fill(&mut name)?;
        let place = match kept {
            Some(root) => Self {
                root: std::path::absolute(root)?,
                kept: true,
            },
            None => Self {
                root: std::env::temp_dir().join(format!("cambio-dev-{}", hex(&name))),
                kept: false,
            },
        };
        for directory in [place.root.clone(), place.root.join("store")] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
            made.with_context(|| format!("`{}` cannot be made", directory.display()))?;
        }
        if !place.kek().exists() {
            let mut kek = zeroize::Zeroizing::new([0; 32]);
            random.fill(&mut *kek)?;
            write_private(&place.kek(), &*kek)?;
        }
        Ok(place)
    }

    /// Returns the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the admin socket.
    pub fn admin(&self) -> PathBuf {
        self.root.join("admin.sock")
    }

    /// Returns the audit sink's file.
    pub fn audit(&self) -> PathBuf {
        self.root.join("audit.jsonl")
    }

    /// Returns the configuration.
    pub fn configuration(&self) -> PathBuf {
        self.root.join("cambio.toml")
    }

    /// Returns the key-encryption key's file.
    pub fn kek(&self) -> PathBuf {
        self.root.join("kek")
    }

    /// Returns the store's file.
    pub fn store(&self) -> PathBuf {
        self.root.join("store").join("cambio.db")
    }

    /// Removes a temporary directory.
    pub fn close(&self) {
        if !self.kept
            && let Err(failed) = fs::remove_dir_all(&self.root)
        {
            tracing::warn!(error = %failed, directory = %self.root.display(), "the temporary directory was not removed");
        }
    }
}
