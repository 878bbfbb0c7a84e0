//! What is known of the store elsewhere: heads that it must not lie before (TM-42).
//!
//! It must never go on without a checkpoint where one is due, nor take one that the store's own audit keys did not sign:
//! whoever puts back an old store puts back its own last checkpoint, too.

use std::path::Path;

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
        if let Some(text) = kept::last_checkpoint_at_end(path).with_context(unreadable)? {
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
