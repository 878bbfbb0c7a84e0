//! `cambio revoke`: ends X.509-SVIDs before their time.
//!
//! Goes through the admin socket, so that every change is in the trail.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    admin_socket::{AdminArguments, AdminSocket},
    environment::Environment,
    exit::Exit,
    failure::{Failure, plain},
    output::{Format, Output},
};
use crate::clock;

/// Arguments of `cambio revoke`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to revoke.
    #[command(subcommand)]
    pub action: Action,
    #[command(flatten)]
    admin: AdminArguments,
    /// How to print.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Format,
}

/// What to revoke.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// All X.509-SVIDs of one exchange.
    Exchange {
        /// The exchange id, as reply and trail name it.
        id: String,
        /// Why, for the trail.
        #[arg(long)]
        reason: String,
    },
    /// Lists what is revoked.
    List,
    /// One X.509-SVID.
    Serial {
        /// The serial number in hex.
        serial: String,
        /// Why, for the trail.
        #[arg(long)]
        reason: String,
    },
    /// All X.509-SVIDs of one workload that are still valid.
    SpiffeId {
        /// The workload's SPIFFE ID.
        id: String,
        /// Why, for the trail.
        #[arg(long)]
        reason: String,
    },
}

/// Revokes, or lists what is revoked.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    match revoke(&arguments, environment, output).await {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.report(output).into(),
    }
}

async fn revoke(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> Result<(), Failure> {
    let admin = AdminSocket::of(&arguments.admin, environment)?;
    let (target, value, reason) = match &arguments.action {
        Action::Exchange { id, reason } => ("exchange_id", id, reason),
        Action::Serial { serial, reason } => ("serial", serial, reason),
        Action::SpiffeId { id, reason } => ("spiffe_id", id, reason),
        Action::List => {
            let found = read(&admin.get(REVOCATIONS, &[]).await?)?;
            return match arguments.output {
                Format::Json => Ok(output.result(&found)?),
                Format::Text => list(&found, output),
            };
        }
    };
    let body = json!({ "target": target, "value": value, "reason": reason });
    let revoked = admin.post(REVOCATIONS, &body).await.map_err(|failure| {
        failure
            .context(format!("nothing of `{}` was revoked", plain(value)))
            .hint("cambio audit query --kind mint")
    })?;
    let revoked = read(&revoked)?;
    match arguments.output {
        Format::Json => output.result(&revoked)?,
        Format::Text => {
            let rows = rows(&revoked);
            for row in rows {
                output.result(text(row, "serial"))?;
            }
            output.note(format_args!(
                "{} X.509-SVIDs are revoked; verifiers know once they fetch the list again, and the workload can get another \
                 unless it is locked: cambio lock add",
                rows.len()
            ));
        }
    }
    Ok(())
}

fn list(found: &Value, output: &mut Output<'_>) -> Result<(), Failure> {
    let rows = rows(found);
    if rows.is_empty() {
        output.note("nothing is revoked");
        return Ok(());
    }
    output.result(format_args!("{:<42}{:<22}WORKLOAD (REASON)", "SERIAL", "SINCE"))?;
    for row in rows {
        let since = row.get("revoked_seconds").and_then(Value::as_u64);
        let since = since
            .and_then(clock::from_unix_seconds)
            .map(clock::rfc3339)
            .unwrap_or_default();
        let (serial, id, reason) = (text(row, "serial"), text(row, "spiffe_id"), text(row, "reason"));
        output.result(format_args!("{serial:<42}{since:<22}{id} ({reason})"))?;
    }
    Ok(())
}

fn rows(found: &Value) -> &[Value] {
    let rows = found.get("revocations").and_then(Value::as_array);
    rows.map(Vec::as_slice).unwrap_or_default()
}

fn text(row: &Value, name: &str) -> String {
    let text = row.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    plain(text.unwrap_or("-"))
}

fn read(body: &str) -> Result<Value, Failure> {
    let body = serde_json::from_str(body).context("the gateway's answer cannot be read");
    body.map_err(Failure::from)
}

const REVOCATIONS: &str = "/v1/revocations";

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests {
    use crate::cli::fixture::{FILTERS, Surroundings, transcript};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_serial_number_is_revoked_and_listed_until_its_certificate_is_over() {
        let world = Surroundings::new().await;
        let serial = "41".repeat(16);

        let empty = world.runs(&["revoke", "list"]).await;
        let revoked = world
            .runs(&["revoke", "serial", &serial, "--reason", "a\u{1b}[2Jb"])
            .await;
        let listed = world.runs(&["revoke", "list"]).await;

        assert_eq!((empty.exit, revoked.exit), (0, 0), "{}{}", empty.stderr, revoked.stderr);
        assert_eq!(revoked.stdout.trim(), serial);
        insta::with_settings!({ filters => FILTERS.to_vec() }, { insta::assert_snapshot!(transcript(&listed)) });
        world.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_names_no_valid_svid_is_refused() {
        let world = Surroundings::new().await;
        for words in [
            ["revoke", "serial", "4711"],
            ["revoke", "spiffe-id", "spiffe://dev.cambio.test/ci/nobody"],
            ["revoke", "exchange", "no-such-exchange"],
        ] {
            let words: Vec<_> = words.into_iter().chain(["--reason", "x"]).collect();
            let refused = world.runs(&words).await;
            assert_eq!(refused.exit, 1, "{words:?}: {}", refused.stderr);
        }
        world.stop().await;
    }
}
