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
        verify::{self, Against, Kept, Report},
    },
    bounded_file::{self, MAX_AUTHORITIES_BYTES},
    cli::{
        audit::kept,
        configuration,
        environment::Environment,
        exit::Exit,
        failure::{Failure, plain},
        output::{Format, Output},
        serve,
    },
    jose::{Algorithm, PublicKey},
    secret::Secret,
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
    /// A checkpoint that was kept elsewhere: the last one in this file, which may be a sink's. Needs --key.
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
    let report = verify::verify(store.as_ref(), against).await;
    store.close().await;
    Ok(report?)
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
            "held against {kept} of {}, which names {} chains",
            held.time, held.chains
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
    Ok(())
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
