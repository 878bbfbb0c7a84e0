//! `cambio bundle`: shows, exports, checks and compares SPIFFE bundles, ours or a file's.
//!
//! Never takes a bundle for trusted: what it prints is for a person to compare.

mod entry;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Subcommand;

use self::entry::entries;
use super::{
    admin_socket::{AdminArguments, AdminSocket},
    environment::Environment,
    exit::Exit,
    failure::{Failure, plain},
    output::Output,
};
use crate::{
    bounded_file,
    mint::pem,
    spiffe::{Bundle, TrustDomain},
};

/// Arguments of `cambio bundle`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
    #[command(flatten)]
    admin: AdminArguments,
}

/// What to do with bundles.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Compares two bundles; ends with 1 where they differ.
    Diff {
        /// The older one.
        before: PathBuf,
        /// The newer one; the gateway's own where none is named.
        after: Option<PathBuf>,
    },
    /// Prints the gateway's own bundle.
    Export {
        /// In which form.
        #[arg(long, value_enum, default_value_t)]
        form: Form,
    },
    /// Prints the keys of a bundle for a person.
    Show {
        /// The bundle; the gateway's own where none is named.
        file: Option<PathBuf>,
    },
    /// Reads a bundle strictly; ends with 1 where anything in it is left out or nothing is left.
    Verify {
        /// The bundle.
        file: PathBuf,
        /// Whose bundle it is to be; each root that names a trust domain must name this one.
        #[arg(long)]
        trust_domain: String,
    },
}

/// In which form a bundle is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// The SPIFFE bundle as it is served.
    #[default]
    Json,
    /// The roots alone, as PEM, for trust anchors.
    Pem,
}

/// Shows, exports, checks or compares bundles.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    match bundle(&arguments, environment, output).await {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(output).into(),
    }
}

async fn bundle(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> Result<Exit, Failure> {
    match &arguments.action {
        Action::Diff { before, after } => {
            let before = parsed(&file(before)?, ANY)?;
            let after = match after {
                Some(after) => file(after)?,
                None => own(arguments, environment).await?,
            };
            diff(&before, &parsed(&after, ANY)?, output)
        }
        Action::Export { form } => {
            let own = own(arguments, environment).await?;
            match form {
                Form::Json => output.result(String::from_utf8_lossy(&own))?,
                Form::Pem => output.result(roots(&parsed(&own, ANY)?).trim_end())?,
            }
            Ok(Exit::Done)
        }
        Action::Show { file: None } => show(&parsed(&own(arguments, environment).await?, ANY)?, output),
        Action::Show { file: Some(path) } => show(&parsed(&file(path)?, ANY)?, output),
        Action::Verify {
            file: path,
            trust_domain,
        } => verify(&file(path)?, trust_domain, output),
    }
}

/// What is read here is shown, not trusted, so its trust domain does not matter.
const ANY: &str = "unnamed";

/// LIMITS.md: a bundle has at most 1 MiB.
const MAX_BYTES: u64 = 1024 * 1024;

fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = bounded_file::read_or_wait(path, MAX_BYTES);
    let bytes = bytes.with_context(|| format!("`{}` cannot be read", path.display()));
    bytes.map_err(Failure::from)
}

async fn own(arguments: &Arguments, environment: &Environment) -> Result<Vec<u8>, Failure> {
    let admin = AdminSocket::of(&arguments.admin, environment)?;
    Ok(admin.get("/v1/bundle", &[]).await?.into_bytes())
}

fn parsed(bytes: &[u8], trust_domain: &str) -> Result<Bundle, Failure> {
    let domain = TrustDomain::parse(trust_domain).map_err(|refused| Failure::new(Exit::Usage, refused))?;
    let bundle = Bundle::parse(domain, bytes).context("the bundle is refused");
    bundle.map_err(Failure::from)
}

fn show(bundle: &Bundle, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let sequence = bundle
        .sequence()
        .map_or_else(|| "-".to_owned(), |found| found.to_string());
    output.result(format_args!("sequence      {sequence}"))?;
    output.result(format_args!("refresh hint  {} s", bundle.refresh_hint().as_secs()))?;
    for entry in entries(bundle) {
        output.result(entry)?;
    }
    left_out(bundle, output);
    Ok(Exit::Done)
}

fn left_out(bundle: &Bundle, output: &mut Output<'_>) {
    for ignored in bundle.ignored() {
        let reason = plain(&ignored.reason().to_string());
        output.note(format_args!("entry {} is left out: {reason}", ignored.position()));
    }
}

fn diff(before: &Bundle, after: &Bundle, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let (old, new) = (entries(before), entries(after));
    let mut differs = false;
    for (sign, these, those) in [('-', &old, &new), ('+', &new, &old)] {
        for entry in these.iter().filter(|entry| !those.contains(entry)) {
            output.result(format_args!("{sign} {entry}"))?;
            differs = true;
        }
    }
    if after.sequence() < before.sequence() {
        output.note("the sequence went back: the newer bundle may be an old one");
    } else if differs && after.sequence() == before.sequence() && before.sequence().is_some() {
        output.note("the keys differ but the sequence does not"); // SPIFFE-BUNDLE-3
    }
    Ok(if differs { Exit::Failed } else { Exit::Done })
}

fn verify(bytes: &[u8], trust_domain: &str, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let bundle = parsed(bytes, trust_domain)?;
    left_out(&bundle, output);
    let mut sound = bundle.ignored().is_empty();
    for position in bundle.surplus() {
        output.note(format_args!(
            "entry {position} has more than one certificate in `x5c`, expected 1"
        ));
        sound = false;
    }
    if let Err((position, problem)) = bundle.check_roots() {
        output.note(format_args!("root {position}: {}", plain(&problem.to_string())));
        sound = false;
    }
    let found = entries(&bundle).len();
    if found == 0 {
        output.note("no key is left: verifiers that hold this bundle refuse every SVID of the trust domain");
    }
    if sound && found > 0 {
        output.result(format_args!("{found} keys, all in order"))?;
        return Ok(Exit::Done);
    }
    Ok(Exit::Failed)
}

fn roots(bundle: &Bundle) -> String {
    let roots = bundle.x509_authorities().iter();
    roots.map(|root| pem::written(pem::CERTIFICATE, root)).collect()
}

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;
