//! `cambio audit verify`: recomputes the trail and holds it against a checkpoint.
//!
//! Never ends with 0 unless everything it was asked to verify was verified (T-62).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    audit::{
        checkpoint::Checkpoint,
        verify::{self, AfterCheckpoint, Against, Copies, Kept, Report},
    },
    bounded_file::{self, MAX_AUTHORITIES_BYTES},
    cli::{
        audit::kept::{self, Lines},
        configuration,
        environment::Environment,
        exit::Exit,
        failure::{Failure, plain},
        output::{Format, Output},
        serve,
    },
    jose::{Algorithm, PublicKey},
    secret::Secret,
    store::Store,
};

/// Arguments of `cambio audit verify`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The store, as in the configuration: sqlite:///absolute/path or postgres://..; else what --config says.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The gateway's configuration, for its `store.url` [env: CAMBIO_CONFIG].
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A checkpoint that was kept elsewhere: the last one in this file, which may be a sink's; its entries are then held against the store's. Needs --key.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The gateway's audit key: a JWK, a JWK set, or what the admin socket's /v1/keys answered; without it no checkpoint counts, not even the store's own.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Verifies the trail.
///
/// # Errors
/// Fails on any fault of the trail, and where anything that is needed to judge it cannot be read.
pub async fn run(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> Result<(), Failure> {
    let report = verified(arguments, environment).await?;
    match arguments.output {
        Format::Json => output.result(serde_json::to_string(&report).context("the report cannot be written")?)?,
        Format::Text => text(&report, output)?,
    }
    if report.is_intact() {
        return Ok(());
    }
    let faults = report.faults.len();
    let sentence =
        format_args!("the trail is not as it was written: {faults} of its chains or checkpoints are at fault");
    Err(Failure::saying(Exit::Failed, sentence).hint("keep a copy of the store before anything else is done with it"))
}

async fn verified(arguments: &Arguments, environment: &Environment) -> anyhow::Result<Report> {
    let keys = arguments.key.as_deref().map(keys).transpose()?.unwrap_or_default();
    let checkpoint = arguments.checkpoint.as_deref().map(given).transpose()?;
    if checkpoint.is_some() && keys.is_empty() {
        bail!("found --checkpoint without --key, expected the audit key that verifies it");
    }
    let key = chosen(&keys, checkpoint.as_deref())?;
    let url = store_url(arguments, environment)?;
    let store = serve::store::open_read_only(&url, password(arguments, environment)?).await?;
    let against = Against {
        checkpoint: checkpoint.as_deref(),
        key,
    };
    let report = judged(store.as_ref(), against, arguments.checkpoint.as_deref()).await;
    store.close().await;
    report
}

/// Verifies the trail, then holds the entries of `sink` against it: they were copied after they stood in the store.
async fn judged(store: &dyn Store, against: Against<'_>, sink: Option<&Path>) -> anyhow::Result<Report> {
    let mut report = verify::verify(store, against).await?;
    if let Some(sink) = sink {
        let mut lines = Lines::open(sink)?;
        let mut copies = Copies::new(store, &mut report);
        while let Some(line) = lines.next_entry()? {
            copies.take(&line).await?;
        }
        copies.finish().await?;
    }
    Ok(report)
}

fn given(file: &Path) -> anyhow::Result<String> {
    kept::last_checkpoint(file)?.with_context(|| {
        format!(
            "found no line that begins with `{}` in `{}`, expected one",
            kept::CHECKPOINT,
            file.display()
        )
    })
}

fn store_url(arguments: &Arguments, environment: &Environment) -> anyhow::Result<String> {
    let named = arguments.store.clone();
    if let Some(url) = named.or_else(|| environment.variable("CAMBIO_STORE__URL").map(str::to_owned)) {
        return Ok(url);
    }
    let file = configuration::file(arguments.config.as_deref(), environment);
    let file = file.context("found neither --store nor --config, expected one of them")?;
    let url = configuration::text(&file, "store", "url")?;
    url.with_context(|| format!("found no `store.url` in `{}`, expected one", file.display()))
}

/// Returns the password that the configuration keeps in a file, where the store is the one it names.
fn password(arguments: &Arguments, environment: &Environment) -> anyhow::Result<Option<Secret>> {
    let named = environment.variable("CAMBIO_STORE__PASSWORD_FILE").map(PathBuf::from);
    let configured = || -> anyhow::Result<Option<PathBuf>> {
        if arguments.store.is_some() {
            return Ok(None);
        }
        let Some(file) = configuration::file(arguments.config.as_deref(), environment) else {
            return Ok(None);
        };
        let password = configuration::text(&file, "store", "password_file")?;
        Ok(password.map(|password| file.parent().unwrap_or(Path::new("/")).join(password)))
    };
    let file = match named {
        Some(file) => Some(file),
        None => configured()?,
    };
    let Some(file) = file else {
        return Ok(None);
    };
    let unreadable = || format!("the password in `{}` cannot be read", file.display());
    let bytes = Zeroizing::new(bounded_file::read(&file, MAX_PASSWORD_BYTES).with_context(unreadable)?);
    let text = std::str::from_utf8(&bytes).with_context(unreadable)?;
    Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
}

/// As much as the gateway reads of it.
const MAX_PASSWORD_BYTES: u64 = 1024;

fn keys(file: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let unusable = || format!("`{}` holds no audit key", file.display());
    let text = bounded_file::read_or_wait(file, MAX_AUTHORITIES_BYTES).with_context(unusable)?;
    let document: Value = serde_json::from_slice(&text).with_context(unusable)?;
    let listed = match document.get("keys") {
        Some(Value::Array(keys)) => keys.iter().collect(),
        Some(_) | None => vec![&document],
    };
    let mut found = Vec::new();
    // The admin socket's `/v1/keys` says what each key is for, and has the JWK inside.
    let for_audit = |key: &&Value| key.get("purpose").is_none_or(|purpose| purpose == "audit");
    for key in listed.into_iter().filter(for_audit) {
        let key = key.get("public_jwk").unwrap_or(key).as_object();
        let key = key.context("found no object, expected a JWK").with_context(unusable)?;
        // A published set holds the keys that sign SVIDs as well, which never sign a checkpoint.
        match PublicKey::from_jwk(key, &[Algorithm::Es256]) {
            Ok(key) => found.push(key),
            Err(_other) if document.get("keys").is_some() => {}
            Err(refused) => return Err(refused).with_context(unusable),
        }
    }
    if found.is_empty() {
        bail!("found no key for ES256 in `{}`, expected the audit key", file.display());
    }
    Ok(found)
}

/// Returns the key that signed `checkpoint`; where none did, any will say so.
fn chosen<'a>(keys: &'a [PublicKey], checkpoint: Option<&str>) -> anyhow::Result<Option<&'a PublicKey>> {
    match (checkpoint, keys) {
        (_, [] | [_]) => Ok(keys.first()),
        (Some(text), [first, ..]) => {
            let signer = keys.iter().find(|key| Checkpoint::verify(text, key).is_ok());
            Ok(Some(signer.unwrap_or(first)))
        }
        (None, _) => bail!(
            "found {} keys in --key and no --checkpoint, expected one key or the checkpoint that tells which",
            keys.len()
        ),
    }
}

fn text(report: &Report, output: &mut Output<'_>) -> Result<(), Failure> {
    for fault in &report.faults {
        let place = match fault.writer.as_str() {
            "" => "checkpoint".to_owned(),
            writer => format!("{} {}", plain(writer), fault.sequence),
        };
        output.result(format_args!("FAULT  {place}: {}", plain(&fault.what.to_string())))?;
    }
    for held in &report.held_against {
        let kept = match held.kept {
            Kept::Elsewhere => "the given checkpoint",
            Kept::Store => "the store's own checkpoint",
        };
        output.result(format_args!(
            "held against {kept} of {}, which names {}",
            held.time,
            counted(held.chains as u64, "chain", "chains")
        ))?;
    }
    if !report.held_against.iter().any(|held| held.kept == Kept::Elsewhere) {
        output.note(
            "note: without a checkpoint that was kept elsewhere (--checkpoint and --key), nobody can see whether the end of \
             the trail was cut off",
        );
    }
    let entries = counted(report.entries, "entry", "entries");
    output.result(format_args!(
        "{entries} in {}",
        counted(report.chains, "chain", "chains")
    ))?;
    copies(report, output)?;
    after(report, output)
}

fn copies(report: &Report, output: &mut Output<'_>) -> Result<(), Failure> {
    let Some(copies) = &report.copies else {
        return Ok(());
    };
    let same = counted(copies.same, "copy", "copies");
    output.result(format_args!("{same} in the given file, word for word as in the store"))?;
    if copies.unreadable > 0 {
        let lines = counted(copies.unreadable, "line", "lines");
        output.note(format_args!(
            "note: {lines} of the given file cannot be read as an entry"
        ));
    }
    Ok(())
}

/// Says what nobody signed: without a key every hash can be computed anew.
fn after(report: &Report, output: &mut Output<'_>) -> Result<(), Failure> {
    if report.held_against.is_empty() && report.entries > 0 {
        output.result("no checkpoint was verified: nothing vouches for these entries")?;
        return Ok(());
    }
    for after in &report.after_checkpoint {
        output.result(uncovered(after, report.chains))?;
    }
    Ok(())
}

fn uncovered(after: &AfterCheckpoint, chains: u64) -> String {
    let of = match chains {
        1 => String::new(),
        _ => format!(" of chain {}", plain(&after.writer)),
    };
    let entries = counted(after.entries, "entry", "entries");
    let them = if after.entries == 1 { "it" } else { "them" };
    let who = match after.copied {
        0 => "nothing vouches".to_owned(),
        all if all == after.entries => "nothing but the given file vouches".to_owned(),
        some => format!("nothing but the given file, for {some} of them, vouches"),
    };
    format!("{entries}{of} came after the checkpoint: {who} for {them} yet")
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::verify::{Copied, HeldAgainst};

    fn told(report: &Report) -> String {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        text(report, &mut Output::new(&mut stdout, &mut stderr)).unwrap();
        String::from_utf8(stdout).unwrap()
    }

    fn after(writer: &str, entries: u64, copied: u64) -> AfterCheckpoint {
        AfterCheckpoint {
            writer: writer.to_owned(),
            covered: 9,
            entries,
            copied,
        }
    }

    fn held(after_checkpoint: Vec<AfterCheckpoint>) -> Report {
        Report {
            entries: 40,
            chains: after_checkpoint.len() as u64,
            held_against: vec![HeldAgainst {
                kept: Kept::Elsewhere,
                time: "2026-01-16T14:40:00Z".to_owned(),
                chains: 1,
            }],
            after_checkpoint,
            ..Report::default()
        }
    }

    #[test]
    fn entries_after_the_checkpoint_are_told_of_each_chain() {
        insta::assert_snapshot!(told(&held(vec![after("w", 4, 0)])), @r"
        held against the given checkpoint of 2026-01-16T14:40:00Z, which names 1 chain
        40 entries in 1 chain
        4 entries came after the checkpoint: nothing vouches for them yet
        ");
        let copied = Report {
            copies: Some(Copied {
                same: 20,
                unreadable: 1,
            }),
            ..held(vec![after("a", 1, 1), after("b", 3, 2), after("c", 1, 0)])
        };
        insta::assert_snapshot!(told(&copied), @r"
        held against the given checkpoint of 2026-01-16T14:40:00Z, which names 1 chain
        40 entries in 3 chains
        20 copies in the given file, word for word as in the store
        1 entry of chain a came after the checkpoint: nothing but the given file vouches for it yet
        3 entries of chain b came after the checkpoint: nothing but the given file, for 2 of them, vouches for them yet
        1 entry of chain c came after the checkpoint: nothing vouches for it yet
        ");
    }

    #[test]
    fn without_a_checkpoint_nothing_vouches_for_anything() {
        let bare = Report {
            held_against: Vec::new(),
            ..held(vec![after("w", 40, 0)])
        };

        insta::assert_snapshot!(told(&bare), @r"
        40 entries in 1 chain
        no checkpoint was verified: nothing vouches for these entries
        ");
    }
}
