//! What is known of the store elsewhere: heads that it must not lie before (TM-42).
//!
//! It must never go on without a checkpoint where one is due, nor take one that the store's own audit keys did not sign:
//! whoever puts back an old store puts back its own last checkpoint, too.

use std::{
    fs::File,
    io::{ErrorKind, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use anyhow::{Context as _, bail};

use crate::{
    audit::checkpoint::{Checkpoint, Head},
    cli::audit::kept,
    config::{Settings, audit::Sink},
    mint::{KeyRing, authority::Purpose},
    store::Store,
};

/// Returns the heads of the last checkpoint in each file that the trail is copied to, and in `[audit] checkpoint_file`.
///
/// A copy of the trail may hold no checkpoint yet. The file must, unless the store never ran.
///
/// # Errors
/// Refuses a missing checkpoint, and one that no audit key of the store signed.
pub(super) async fn of(settings: &Settings, store: &dyn Store, keys: &KeyRing) -> anyhow::Result<Vec<Head>> {
    let mut heads = Vec::new();
    for sink in &settings.sinks {
        let Sink::File { path } = sink else {
            continue;
        };
        let unreadable = || format!("the last checkpoint in `{}` cannot be read", path.display());
        if let Some(text) = last_checkpoint(path).with_context(unreadable)? {
            heads.extend(verified(path, &text, keys)?);
        }
    }
    if let Some(file) = &settings.audit.checkpoint_file {
        match kept::last_checkpoint_if_there(file)? {
            Some(text) => heads.extend(verified(file, &text, keys)?),
            None if store.heads().await?.is_empty() => {
                tracing::warn!(file = %file.display(), "there is no checkpoint yet to hold the store against");
            }
            None => bail!(
                "found no checkpoint in `{}`, expected one, because the store holds entries: put back what a sink has of \
                 them, or start once with --accept-rollback",
                file.display()
            ),
        }
    }
    Ok(heads)
}

fn verified(file: &Path, text: &str, keys: &KeyRing) -> anyhow::Result<Vec<Head>> {
    let set = keys.load();
    let mut for_audit = set.authorities().iter().filter(|one| one.purpose() == Purpose::Audit);
    let checkpoint = for_audit.find_map(|one| Checkpoint::verify(text, one.verifier()).ok());
    let checkpoint = checkpoint.with_context(|| {
        format!(
            "the last checkpoint in `{}` is signed by no audit key of the store: it is another store's, it was altered, or an \
             old store was put back; if that was on purpose, start once with --accept-rollback",
            file.display()
        )
    })?;
    Ok(checkpoint.heads().to_vec())
}

/// Returns the last line of a file that is a checkpoint; `None` where there is no file or none in its end.
fn last_checkpoint(file: &Path) -> std::io::Result<Option<String>> {
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
        .rfind(|line| line.starts_with(CHECKPOINT));
    Ok(last.map(|line| String::from_utf8_lossy(line).into_owned()))
}

/// What the line of a checkpoint begins with.
const CHECKPOINT: &[u8] = b"{\"checkpoint\":";

/// A checkpoint comes each 1,000 entries (LIMITS.md), which take less than 2 KiB each; the rest is for its heads.
const END_BYTES: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("trail");
        std::fs::write(&file, text).unwrap();
        last_checkpoint(&file).unwrap()
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
        assert_eq!(last_checkpoint(Path::new("/no/such/file")).unwrap(), None);
    }
}
