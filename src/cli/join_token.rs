//! `cambio join-token`: makes, lists and removes the tokens by which machines join.
//!
//! Goes through the admin socket, so that every change is in the trail. A token is printed once, on stdout, and kept by
//! nobody.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{
    admin_socket::{AdminArguments, AdminSocket},
    environment::Environment,
    exit::Exit,
    failure::{Failure, plain},
    output::{Format, Output},
};
use crate::clock;

/// Arguments of `cambio join-token`.
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

/// What to do with join tokens.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Makes a token; prints it, once.
    Create {
        /// The attestor that will judge it.
        #[arg(long)]
        attestor: String,
        /// The machine that it names.
        #[arg(long)]
        machine: String,
        /// What else it says of the machine; may be repeated.
        #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
        /// How long it lives, at most 1h.
        #[arg(long, default_value = "10m")]
        ttl: String,
    },
    /// Lists the tokens.
    List,
    /// Removes a token that was not used yet.
    Remove {
        /// The id, as `list` shows it.
        id: String,
    },
}

/// Makes, lists or removes join tokens.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    match join_token(&arguments, environment, output).await {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.report(output).into(),
    }
}

async fn join_token(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> Result<(), Failure> {
    let admin = AdminSocket::of(&arguments.admin, environment)?;
    match &arguments.action {
        Action::Create {
            attestor,
            machine,
            labels,
            ttl,
        } => {
            let labels = distinct(labels)?;
            let body = json!({ "attestor": attestor, "machine": machine, "labels": labels, "ttl": ttl });
            let made = read(&admin.post(JOIN_TOKENS, &body).await?)?;
            created(arguments.output, &made, output)
        }
        Action::List => {
            let found = read(&admin.get(JOIN_TOKENS, &[]).await?)?;
            match arguments.output {
                Format::Json => Ok(output.result(&found)?),
                Format::Text => list(&found, output),
            }
        }
        Action::Remove { id } => remove(&admin, id, output).await,
    }
}

fn created(format: Format, made: &Value, output: &mut Output<'_>) -> Result<(), Failure> {
    match format {
        Format::Json => output.result(made)?,
        Format::Text => {
            output.result(text(made, "token"))?;
            output.note(format_args!(
                "join token {} names machine `{}` once, until {}; it is not shown again",
                text(made, "id"),
                text(made, "machine"),
                moment(made, "expires_seconds")
            ));
        }
    }
    Ok(())
}

async fn remove(admin: &AdminSocket, id: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let why = format_args!("found `{}`, expected the id of a join token", plain(id));
        return Err(Failure::saying(Exit::Usage, why).hint("cambio join-token list"));
    }
    let removed = admin.delete(&format!("{JOIN_TOKENS}/{id}")).await;
    removed.map_err(|failure| {
        failure
            .context(format!("the join token `{id}` was not removed"))
            .hint("cambio join-token list")
    })?;
    output.note(format_args!("the join token `{id}` is removed"));
    Ok(())
}

fn list(found: &Value, output: &mut Output<'_>) -> Result<(), Failure> {
    let rows = found.get("join_tokens").and_then(Value::as_array);
    let rows = rows.map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        output.note("there are no join tokens");
        return Ok(());
    }
    output.result(format_args!(
        "{:<18}{:<13}{:<22}{:<18}MACHINE (LABELS)",
        "ID", "STATUS", "EXPIRES", "ATTESTOR"
    ))?;
    for row in rows {
        let labels = row.get("labels").and_then(Value::as_object);
        let labels: Vec<String> = labels
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{}={}", plain(name), plain(value.as_str().unwrap_or("-"))))
            .collect();
        output.result(format_args!(
            "{:<18}{:<13}{:<22}{:<18}{} ({})",
            text(row, "id"),
            text(row, "status"),
            moment(row, "expires_seconds"),
            text(row, "attestor"),
            text(row, "machine"),
            labels.join(", ")
        ))?;
    }
    Ok(())
}

fn moment(row: &Value, name: &str) -> String {
    let seconds = row.get(name).and_then(Value::as_u64);
    seconds
        .and_then(clock::from_unix_seconds)
        .map(clock::rfc3339)
        .unwrap_or_default()
}

fn text(row: &Value, name: &str) -> String {
    plain(row.get(name).and_then(Value::as_str).unwrap_or("-"))
}

fn read(body: &str) -> Result<Value, Failure> {
    let body = serde_json::from_str(body).context("the gateway's answer cannot be read");
    body.map_err(Failure::from)
}

/// A label that is there twice would silently be the last of them.
fn distinct(labels: &[(String, String)]) -> Result<Map<String, Value>, Failure> {
    let mut out = Map::new();
    for (name, value) in labels {
        if out.insert(name.clone(), value.as_str().into()).is_some() {
            let why = format_args!("found --label {} more than once, expected it once", plain(name));
            return Err(Failure::saying(Exit::Usage, why));
        }
    }
    Ok(out)
}

fn label(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or_else(|| "expected NAME=VALUE".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

const JOIN_TOKENS: &str = "/v1/join-tokens";

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests {
    use serde_json::Value;

    use crate::cli::fixture::Surroundings;

    async fn plant() -> Surroundings {
        Surroundings::with(|configuration| {
            let table = "[[attestor]]\nname = \"plant\"\nkind = \"join_token\"\nlabels = [\"role\"]\n\n[[entry]]";
            configuration.replacen("[[entry]]", table, 1)
        })
        .await
    }

    const CREATE: [&str; 6] = ["join-token", "create", "--attestor", "plant", "--machine", "press-7"];

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_is_printed_once_and_the_list_shows_everything_but_the_token() {
        let world = plant().await;

        let made = world.runs(&[&CREATE[..], &["--label", "role=press"]].concat()).await;
        let listed = world.runs(&["join-token", "list"]).await;
        let json = world.runs(&["join-token", "list", "--output", "json"]).await;

        let token = made.stdout.trim();
        assert_eq!((made.exit, token.len()), (0, 60), "{}", made.stderr);
        assert!(token.starts_with("cambio-join."), "{token}");
        assert!(made.stderr.contains("it is not shown again") && !made.stderr.contains(token));
        assert!(listed.stdout.contains("outstanding"), "{}", listed.stdout);
        assert!(listed.stdout.contains("press-7 (role=press)"), "{}", listed.stdout);
        assert!(!listed.stdout.contains(token) && !json.stdout.contains(token));
        world.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_token_is_removed_once() {
        let world = plant().await;
        let made = world.runs(&[&CREATE[..], &["--output", "json"]].concat()).await;
        let made: Value = serde_json::from_str(&made.stdout).unwrap();
        let id = made["id"].as_str().unwrap().to_owned();

        let removed = world.runs(&["join-token", "remove", &id]).await;
        let again = world.runs(&["join-token", "remove", &id]).await;
        let path = world.runs(&["join-token", "remove", "../keys"]).await;

        assert_eq!((removed.exit, again.exit, path.exit), (0, 1, 2), "{}", removed.stderr);
        assert!(again.stderr.contains("cambio join-token list"), "{}", again.stderr);
        world.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_token_cannot_say_is_refused_with_the_reason() {
        let world = plant().await;
        for (words, said) in [
            (&["--label", "site=a"][..], "which the attestor's table does not name"),
            (&["--label", "role=a b"], "holds a value of label `role`"),
            (&["--label", "Role=a"], "holds a name of a label"),
            (&["--ttl", "3601s"], "is no length of time"),
            (&["--ttl", "0s"], "is no length of time"),
        ] {
            let refused = world.runs(&[&CREATE[..], words].concat()).await;
            assert_eq!(refused.exit, 1, "{words:?}: {}", refused.stderr);
            assert!(refused.stderr.contains(said), "{words:?}: {}", refused.stderr);
        }
        let longest = world.runs(&[&CREATE[..], &["--ttl", "1h"]].concat()).await;
        assert_eq!(longest.exit, 0, "{}", longest.stderr);
        let twice = world
            .runs(&[&CREATE[..], &["--label", "role=a", "--label", "role=b"]].concat())
            .await;
        assert_eq!(twice.exit, 2, "{}", twice.stderr);
        let nobody = world
            .runs(&["join-token", "create", "--attestor", "github", "--machine", "m"])
            .await;
        assert_eq!(nobody.exit, 1, "{}", nobody.stderr);
        assert!(
            nobody.stderr.contains("names no configured attestor"),
            "{}",
            nobody.stderr
        );
        world.stop().await;
    }
}
