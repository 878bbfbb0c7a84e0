//! The operator's half: which machines registered a key, and an end to one.
//!
//! Goes through the admin socket, so that every change is in the trail.

use anyhow::Context as _;
use serde_json::Value;

use crate::{
    cli::{
        admin_socket::{AdminArguments, AdminSocket},
        environment::Environment,
        exit::Exit,
        failure::{Failure, plain},
        output::{Format, Output},
    },
    clock,
};

/// Lists the machines.
pub(super) async fn list(
    (admin, format): (&AdminArguments, Format),
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let found = AdminSocket::of(admin, environment)?.get(MACHINES, &[]).await?;
    let found: Value = serde_json::from_str(&found).context("the gateway's answer cannot be read")?;
    match format {
        Format::Json => Ok(output.result(&found)?),
        Format::Text => written(&found, output),
    }
}

/// Removes a machine.
pub(super) async fn remove(
    id: &str,
    admin: &AdminArguments,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let hint = "cambio bound-key list";
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let why = format_args!("found `{}`, expected a registration", plain(id));
        return Err(Failure::saying(Exit::Usage, why).hint(hint));
    }
    let admin = AdminSocket::of(admin, environment)?;
    let removed = admin.delete(&format!("{MACHINES}/{id}")).await;
    removed.map_err(|failure| {
        failure
            .context(format!("the machine `{id}` was not removed"))
            .hint(hint)
    })?;
    output.note(format_args!(
        "the machine `{id}` is removed, its key opens nothing more"
    ));
    Ok(())
}

fn written(found: &Value, output: &mut Output<'_>) -> Result<(), Failure> {
    let rows = found.get("machines").and_then(Value::as_array);
    let rows = rows.map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        output.note("no machine registered a key");
        return Ok(());
    }
    output.result(format_args!(
        "{:<18}{:<9}{:<22}{:<6}{:<18}MACHINE (LABELS)",
        "REGISTRATION", "STATE", "KEY SINCE", "KEYS", "ATTESTOR"
    ))?;
    for row in rows {
        let text = |name: &str| plain(row.get(name).and_then(Value::as_str).unwrap_or("-"));
        let number = |name: &str| row.get(name).and_then(Value::as_u64);
        let since = number("since_seconds").and_then(clock::from_unix_seconds);
        let labels = row.get("labels").and_then(Value::as_object);
        let labels: Vec<String> = labels
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{}={}", plain(name), plain(value.as_str().unwrap_or("-"))))
            .collect();
        output.result(format_args!(
            "{:<18}{:<9}{:<22}{:<6}{:<18}{} ({})",
            text("registration"),
            text("state"),
            since.map(clock::rfc3339).unwrap_or_default(),
            number("generation").unwrap_or_default(),
            text("attestor"),
            text("machine"),
            labels.join(", ")
        ))?;
    }
    Ok(())
}

const MACHINES: &str = "/v1/machines";
