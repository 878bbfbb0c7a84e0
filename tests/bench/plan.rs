//! What a run of the gates is told to do.

use std::{path::PathBuf, time::Duration};

use crate::stores::Load;

/// What is measured with what, and for how long.
pub(crate) struct Plan {
    pub(crate) binary: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) rounds: usize,
    pub(crate) requests: usize,
    pub(crate) settle: Duration,
    pub(crate) key_ids: usize,
    only: Option<PathBuf>,
}

impl Plan {
    /// Reads the arguments; `None` where they are none.
    pub(crate) fn read(arguments: &[String]) -> Option<Self> {
        let after = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1).map(PathBuf::from)
        };
        let short = arguments.iter().any(|argument| argument == "--short");
        let temporary = || std::env::temp_dir().join(format!("cambio-bench-{}", std::process::id()));
        Some(Self {
            binary: after("--binary")?,
            directory: after("--directory").unwrap_or_else(temporary),
            rounds: if short { 3 } else { 5 },
            requests: if short { 3_000 } else { 4_000 },
            settle: Duration::from_secs(if short { 10 } else { 60 }),
            key_ids: if short { 20_000 } else { 100_000 },
            only: after("--only"),
        })
    }

    /// Tells whether a part is measured: all are, unless one is named.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.as_os_str() == part)
    }

    /// Returns what is sent where a figure is reported and not judged.
    pub(crate) fn load(&self) -> Load {
        Load {
            requests: self.requests / 2,
            connections: CONNECTIONS,
        }
    }
}

/// As many connections as a batch of the writer is to hold.
pub(crate) const CONNECTIONS: usize = 32;
