//! Where copies of the trail go, and where a checkpoint is kept: the `[[sink]]` tables and `[audit]`.
//!
//! The durable trail is in the store, whatever stands here.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    diagnostic::{Fault, Problems},
    file,
    path::KeyPath,
    store::Store,
};

/// `[audit]` as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAudit {
    /// File with checkpoints that were kept elsewhere, which may be a copy of a sink's; a store that lies before its last one is refused. Outside the store's directory.
    #[serde(default)]
    #[schemars(with = "String")]
    checkpoint_file: Option<String>,
}

/// What the trail is held against at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Where checkpoints are that were kept elsewhere.
    pub checkpoint_file: Option<PathBuf>,
}

/// Reads `[audit]`.
pub(super) fn read_audit(raw: RawAudit, directory: &Path, store: Option<&Store>, problems: &mut Problems) -> Audit {
    let place = KeyPath::root().key("audit").key("checkpoint_file");
    let file = raw.checkpoint_file.map(|path| file::resolve(directory, &path));
    let checkpoint_file = file.and_then(|file| {
        let elsewhere = in_a_directory(&file).and_then(|()| elsewhere(&file, store));
        problems.take(&place, elsewhere).map(|()| file)
    });
    Audit { checkpoint_file }
}

/// Refuses a checkpoint beside the store: whoever puts an old copy of the directory back, puts back both.
fn elsewhere(file: &Path, store: Option<&Store>) -> Result<(), Fault> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_absent| path.to_owned());
    let folder = file.parent().map(real).unwrap_or_default();
    match store.and_then(Store::directory) {
        Some(directory) if folder.starts_with(real(directory)) => Err(Fault::new(
            "config.checkpoint_in_store_directory",
            format_args!("`{}`", file.display()),
            format!("a file outside `{}`, where the store is", directory.display()),
        )),
        Some(_) | None => Ok(()),
    }
}

/// `[[sink]]` as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSink {
    /// Kind of sink.
    #[schemars(required, extend("examples" = ["file"]))]
    kind: Option<RawKind>,
    /// File that entries are appended to, one JSON object a line; for the kind `file`, in a directory that exists.
    #[serde(default)]
    #[schemars(with = "String")]
    path: Option<String>,
}

/// The kinds of sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum RawKind {
    File,
    Stdout,
}

/// Where a copy of the trail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Into a file, one JSON object a line.
    File {
        /// The file.
        path: PathBuf,
    },
    /// To the standard output, one JSON object a line.
    Stdout,
}

/// Reads the `[[sink]]` tables.
pub(super) fn read(raw: Vec<RawSink>, directory: &Path, problems: &mut Problems) -> Vec<Sink> {
    let list = KeyPath::root().key("sink");
    let mut out: Vec<Sink> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let at = list.index(index);
        let Some(sink) = raw.kind.and_then(|kind| sink(kind, raw.path, directory, &at, problems)) else {
            continue;
        };
        if out.contains(&sink) {
            let fault = Fault::new("config.sink_duplicate", "the same sink a second time", "each sink once");
            problems.refuse(&at, fault);
        }
        out.push(sink);
    }
    out
}

fn sink(kind: RawKind, path: Option<String>, directory: &Path, at: &KeyPath, problems: &mut Problems) -> Option<Sink> {
    match (kind, path) {
        (RawKind::File, Some(path)) => {
            let path = file::resolve(directory, &path);
            problems.take(&at.key("path"), in_a_directory(&path))?;
            Some(Sink::File { path })
        }
        (RawKind::File, None) => {
            let fault = Fault::new(
                "config.key_missing",
                "no `path`",
                "the file of a sink of the kind `file`",
            );
            problems.refuse_key(at, fault);
            None
        }
        (RawKind::Stdout, None) => Some(Sink::Stdout),
        (RawKind::Stdout, Some(_)) => {
            let fault = Fault::new(
                "config.unknown_key",
                "`path`",
                "no path for a sink of the kind `stdout`",
            );
            problems.refuse_key(&at.key("path"), fault);
            None
        }
    }
}

fn in_a_directory(path: &Path) -> Result<(), Fault> {
    if path.is_dir() || !path.parent().is_some_and(Path::is_dir) {
        let found = format!("`{}`", path.display());
        return Err(Fault::new(
            "config.file_unreadable",
            found,
            "a file in a directory that exists",
        ));
    }
    Ok(())
}
