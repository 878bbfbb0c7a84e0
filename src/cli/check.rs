//! `cambio check`: says everything that is wrong with a configuration, without starting anything.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use serde_json::json;

use super::{
    configuration,
    environment::Environment,
    exit::Exit,
    failure::{Failure, plain},
    output::{Format, Output},
};
use crate::{
    attest::{Challenges, OwnDocuments, OwnStore},
    config::{self, Profile, Settings, Surroundings},
    fetch::Fetch,
    manual,
};

/// Arguments of `cambio check`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration [env: CAMBIO_CONFIG] [default: /etc/cambio/cambio.toml].
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Prints what the manual says of a stable code instead, also of a problem's `type`.
    #[arg(long, value_name = "CODE", conflicts_with = "config")]
    pub explain: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
    /// Takes what only `cambio dev` may have: loopback issuers with a port, a trust domain below `.test`.
    #[cfg(feature = "dev")]
    #[arg(long)]
    pub dev: bool,
}

/// Checks a configuration.
pub fn run(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    match check(arguments, environment, output) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(output).into(),
    }
}

fn check(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> Result<Exit, Failure> {
    if let Some(code) = &arguments.explain {
        return explain(code, output);
    }
    let named = arguments.config.clone();
    let named = named.or_else(|| environment.variable("CAMBIO_CONFIG").map(PathBuf::from));
    let path = named.unwrap_or_else(|| PathBuf::from(configuration::DEFAULT));
    let profile = arguments.profile();
    let surroundings = Surroundings {
        clock: Arc::clone(&environment.clock),
        fetch: Arc::new(Fetch::system()),
        own: OwnDocuments::default(),
        challenges: Challenges::default(), // `check` serves nobody
        store: OwnStore::default(),
    };
    let report = config::check(&path, environment.variables(), profile, &surroundings);
    let loaded = if report.is_refused() {
        None
    } else {
        config::load(&path, environment.variables(), profile).ok()
    };
    match arguments.output {
        Format::Json => output.result(json!({
            "ok": loaded.is_some(),
            "file": path,
            "diagnostics": report.json(),
            "counts": loaded.as_ref().map(counts),
        }))?,
        Format::Text => {
            if !report.diagnostics().is_empty() {
                output.note(report.text().trim_end());
            }
            if let Some(settings) = &loaded {
                output.result(summary(&path, settings, report.diagnostics().len()))?;
            }
        }
    }
    Ok(loaded.map_or(Exit::Configuration, |_settings| Exit::Done))
}

fn explain(code: &str, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let Some(page) = manual::explanation(code) else {
        let why = format!("`{}` is no stable code", plain(code));
        return Err(
            Failure::saying(Exit::Usage, why).hint("a code is two words with a point, for example authorize.no_grant")
        );
    };
    output.result(page.trim_end())?;
    Ok(Exit::Done)
}

impl Arguments {
    #[cfg(feature = "dev")]
    fn profile(&self) -> Profile {
        if self.dev {
            Profile::Development
        } else {
            Profile::Production
        }
    }

    #[cfg(not(feature = "dev"))]
    #[expect(clippy::unused_self, reason = "builds with simulators have a choice")]
    fn profile(&self) -> Profile {
        Profile::Production
    }
}

fn counts(settings: &Settings) -> serde_json::Value {
    json!({
        "attestors": settings.attestors.len(),
        "entries": settings.entries.len(),
        "relying_parties": settings.relying_parties.len(),
        "grants": settings.grants.len(),
        "policies": settings.policies.len(),
    })
}

fn summary(path: &std::path::Path, settings: &Settings, warnings: usize) -> String {
    let counted = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let mut parts = vec![
        counted(settings.attestors.len(), "attestor", "attestors"),
        counted(settings.entries.len(), "entry", "entries"),
        counted(settings.relying_parties.len(), "relying party", "relying parties"),
        counted(settings.grants.len(), "grant", "grants"),
    ];
    if !settings.policies.is_empty() {
        parts.push(counted(settings.policies.len(), "raw policy file", "raw policy files"));
    }
    if warnings > 0 {
        parts.push(counted(warnings, "warning", "warnings"));
    }
    format!("{} is in order: {}", path.display(), parts.join(", "))
}

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests {
    use crate::cli::fixture::{FILTERS, Surroundings, transcript};

    async fn checked(change: impl FnOnce(String) -> String, words: &[&str]) -> crate::cli::fixture::Ran {
        let world = Surroundings::new().await;
        let file = world.development.place.configuration();
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, change(text)).unwrap();
        let mut all = vec!["check", "--config", file.to_str().unwrap()];
        all.extend(words);
        let ran = world.runs(&all).await;
        world.stop().await;
        ran
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_configuration_in_order_is_summed_up() {
        let ran = checked(|text| text, &["--dev"]).await;

        let mut filters = FILTERS.to_vec();
        filters.push((r"\d+ relying part(y|ies)", "<count> relying parties"));
        insta::with_settings!({ filters => filters }, { insta::assert_snapshot!(transcript(&ran)) });
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn everything_that_is_wrong_is_said_on_stderr() {
        let wrong = |text: String| text.replace("ttl = \"20m\"", "tll = \"20m\"");

        let ran = checked(wrong, &["--dev"]).await;

        assert_eq!((ran.exit, ran.stdout.as_str()), (78, ""));
        assert!(
            ran.stderr.contains("config.unknown_key") && ran.stderr.contains("tll"),
            "{}",
            ran.stderr
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn json_is_one_document_on_stdout() {
        let wrong = |text: String| text.replace("ttl = \"20m\"", "tll = \"20m\"");

        let ran = checked(wrong, &["--dev", "--output", "json"]).await;

        let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.exit, ran.stderr.as_str()), (78, ""));
        assert_eq!(document["ok"], false);
        assert_eq!(document["diagnostics"][0]["severity"], "error");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_dev_wrote_is_refused_for_production() {
        let ran = checked(|text| text, &[]).await;

        assert_eq!((ran.exit, ran.stdout.as_str()), (78, ""), "{}", ran.stderr);
    }
}
