//! `cambio lock`: shuts a workload, an entry, an attestor, a relying party or a run out, within seconds.
//!
//! Goes through the admin socket, so that every change is in the trail.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{
    Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use serde_json::{Value, json};

use super::{
    admin_socket::{AdminArguments, AdminSocket},
    environment::Environment,
    exit::Exit,
    failure::{Failure, plain},
    output::{Format, Output},
};
use crate::{authorize::lock::LockTarget, clock};

/// Arguments of `cambio lock`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
    #[command(flatten)]
    admin: AdminArguments,
    /// How to print.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Format,
}

/// What to do with locks.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Sets a lock; prints its id.
    Add {
        /// What VALUE names.
        #[arg(value_parser = targets())]
        target: LockTarget,
        /// The name or id to lock: of a run `ci.run_id`, of a workload its SPIFFE ID.
        value: String,
        /// Why, for whoever is denied and for the trail.
        #[arg(long)]
        reason: String,
    },
    /// Lists the locks.
    List,
    /// Removes a lock.
    Remove {
        /// The id, as `list` shows it.
        id: String,
    },
}

/// Sets, lists or removes locks.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    match lock(&arguments, environment, output).await {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.report(output).into(),
    }
}

async fn lock(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> Result<(), Failure> {
    let admin = AdminSocket::of(&arguments.admin, environment)?;
    match &arguments.action {
        Action::Add { target, value, reason } => {
            let body = json!({ "target": target.as_str(), "value": value, "reason": reason });
            let lock = read(&admin.post(LOCKS, &body).await?)?;
            match arguments.output {
                Format::Json => output.result(&lock)?,
                Format::Text => {
                    let id = text(&lock, "id");
                    output.result(&id)?;
                    if let Some(warning) = lock.get("warning").and_then(Value::as_str) {
                        output.note(format_args!("warning: {}", plain(warning)));
                    }
                    output.note(format_args!(
                        "{target} `{}` is locked here at once and within 5 s elsewhere; undo with: cambio lock remove {id}",
                        plain(value)
                    ));
                }
            }
        }
        Action::List => {
            let locks = read(&admin.get(LOCKS, &[]).await?)?;
            match arguments.output {
                Format::Json => output.result(&locks)?,
                Format::Text => list(&locks, output)?,
            }
        }
        Action::Remove { id } => {
            if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                let why = format_args!("found `{}`, expected the id of a lock", plain(id));
                return Err(Failure::saying(Exit::Usage, why).hint("cambio lock list"));
            }
            let removed = admin.delete(&format!("{LOCKS}/{id}")).await;
            removed.map_err(|failure| {
                failure
                    .context(format!("the lock `{id}` was not removed"))
                    .hint_first("cambio lock list")
            })?;
            output.note(format_args!("the lock `{id}` is removed"));
        }
    }
    Ok(())
}

fn list(locks: &Value, output: &mut Output<'_>) -> Result<(), Failure> {
    let locks = locks
        .get("locks")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if locks.is_empty() {
        output.note("nothing is locked");
        return Ok(());
    }
    output.result(format_args!(
        "{:<18}{:<15}{:<22}VALUE (REASON)",
        "ID", "TARGET", "SINCE"
    ))?;
    for lock in locks {
        let since = lock.get("created_seconds").and_then(Value::as_u64);
        let since = since
            .and_then(clock::from_unix_seconds)
            .map(clock::rfc3339)
            .unwrap_or_default();
        let (id, target) = (text(lock, "id"), text(lock, "target"));
        let (value, reason) = (text(lock, "value"), text(lock, "reason"));
        output.result(format_args!("{id:<18}{target:<15}{since:<22}{value} ({reason})"))?;
    }
    Ok(())
}

fn text(lock: &Value, name: &str) -> String {
    plain(lock.get(name).and_then(Value::as_str).unwrap_or("-"))
}

fn read(body: &str) -> Result<Value, Failure> {
    let body = serde_json::from_str(body).context("the gateway's answer cannot be read");
    body.map_err(Failure::from)
}

fn targets() -> impl TypedValueParser<Value = LockTarget> {
    let words = PossibleValuesParser::new(LockTarget::ALL.map(LockTarget::as_str));
    words.try_map(|word| LockTarget::parse(&word).ok_or("is no kind of lock"))
}

const LOCKS: &str = "/v1/locks";

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests {
    use crate::cli::fixture::{FILTERS, Surroundings, transcript};

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_locked_is_denied_until_the_lock_is_removed() {
        let world = Surroundings::new().await;
        let token = world.token();

        let added = world
            .runs(&["lock", "add", "relying_party", "aws-dev", "--reason", "incident 7"])
            .await;
        let id = added.stdout.trim().to_owned();
        let denied = world.job_runs(&token, &["creds", "aws-dev"]).await;
        let removed = world.runs(&["lock", "remove", &id]).await;
        let given = world.job_runs(&token, &["creds", "aws-dev"]).await;

        assert_eq!((added.exit, removed.exit), (0, 0), "{}{}", added.stderr, removed.stderr);
        assert_eq!((denied.exit, given.exit), (3, 0), "{}{}", denied.stderr, given.stderr);
        assert!(denied.stderr.contains("incident 7"), "{}", denied.stderr);
        world.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lock_that_names_nothing_is_kept_and_warned_of() {
        let world = Surroundings::new().await;
        let add = async |target: &str, value: &str| {
            let ran = world.runs(&["lock", "add", target, value, "--reason", "x"]).await;
            assert_eq!(ran.exit, 0, "{}", ran.stderr);
            ran.stderr
        };

        let near = add("relying_party", "aws-dv").await;
        let far = add("attestor", "nobody-at-all").await;
        let entry = add("entry", "nobody-at-all").await;
        let there = add("relying_party", "aws-dev").await;
        let run = add("run", "4711").await;

        let kept = "(the lock is kept in case one comes)";
        let first = |told: &str| told.lines().next().unwrap_or_default().to_owned();
        let warning = format!("warning: no relying party is called `aws-dv` {kept}, did you mean `aws-dev`?");
        assert_eq!(first(&near), warning);
        assert_eq!(
            first(&far),
            format!("warning: no attestor is called `nobody-at-all` {kept}")
        );
        assert_eq!(
            first(&entry),
            format!("warning: no entry is called `nobody-at-all` {kept}")
        );
        assert!(!there.contains("warning") && !run.contains("warning"), "{there}{run}");
        let words = ["lock", "list", "--output", "json"];
        assert_eq!(world.runs(&words).await.stdout.matches("aws-dv").count(), 1);
        world.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_list_shows_what_is_locked_and_why() {
        let world = Surroundings::new().await;
        let words = ["lock", "add", "run", "4711", "--reason", "a\u{1b}[2Jb"];
        assert_eq!(world.runs(&words).await.exit, 0);

        let listed = world.runs(&["lock", "list"]).await;

        insta::with_settings!({ filters => FILTERS.to_vec() }, { insta::assert_snapshot!(transcript(&listed)) });
        world.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_value_that_could_never_match_and_a_lock_that_is_not_there_are_refused() {
        let world = Surroundings::new().await;

        let misspelt = world
            .runs(&["lock", "add", "spiffe_id", "aws-dev", "--reason", "x"])
            .await;
        let missing = world.runs(&["lock", "remove", "0123456789abcdef"]).await;
        let path = world.runs(&["lock", "remove", "../keys"]).await;

        assert_eq!((misspelt.exit, missing.exit, path.exit), (1, 1, 2));
        assert!(misspelt.stderr.contains("spiffe://"), "{}", misspelt.stderr);
        assert!(missing.stderr.contains("cambio lock list"), "{}", missing.stderr);
        world.stop().await;
    }
}
