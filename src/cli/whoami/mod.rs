//! `cambio whoami`: what this workload's evidence attests, whom it names, and what that workload may have.
//!
//! Never shows the token: of a JWT no more than its claims, and those only where they are asked for.

use std::{fmt::Write as _, process::ExitCode};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{
    environment::Environment,
    exit::Exit,
    failure::{Failure, plain},
    obtain::{Session, WorkloadArguments},
    output::{Format, Output},
};
use crate::secret::Secret;

/// Arguments of `cambio whoami`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Shows the claims of the evidence as well, also where the gateway refuses it.
    #[arg(long)]
    pub claims: bool,
    /// How to write it.
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
    #[command(flatten)]
    workload: WorkloadArguments,
}

/// Prints who the workload is.
pub async fn run(arguments: Arguments, environment: &Environment, output: &mut Output<'_>) -> ExitCode {
    match whoami(&arguments, environment, output).await {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.report(output).into(),
    }
}

async fn whoami(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> Result<(), Failure> {
    let session = Session::open(&arguments.workload, environment, output).await?;
    let claims = arguments.claims.then(|| claims(&session.evidence.token));
    let presented = session.present(&session.gateway.whoami_url(), environment)?;
    let told = session.gateway.whoami(&presented).await;
    match arguments.output {
        Format::Json => {
            let mut body = told.as_ref().ok().cloned().unwrap_or_else(|| json!({}));
            if let (Some(members), Some(claims)) = (body.as_object_mut(), claims) {
                members.insert("claims".to_owned(), claims);
            }
            if body.as_object().is_some_and(|members| !members.is_empty()) {
                output.result(serde_json::to_string_pretty(&body).map_err(anyhow::Error::new)?)?;
            }
        }
        Format::Text => {
            if let Some(claims) = claims {
                output.result(claims_text(&claims).trim_end())?;
            }
            if let Ok(body) = &told {
                output.result(text(body).trim_end())?;
            }
        }
    }
    told.map(drop).map_err(|failure| session.explained(failure))
}

/// Returns the claims of a JWT as they were sent, verified by nobody; null where the evidence is none.
fn claims(token: &Secret) -> Value {
    let payload = token.expose().split('.').nth(1).unwrap_or_default();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    let claims: Option<Map<String, Value>> = serde_json::from_slice(&payload).ok();
    claims.map_or(Value::Null, Value::Object)
}

fn claims_text(claims: &Value) -> String {
    let mut text = String::new();
    match claims.as_object() {
        None => line(&mut text, 0, "claims", "the evidence is no JWT"),
        Some(claims) => {
            line(&mut text, 0, "claims", "as sent, not verified here");
            for (name, value) in claims {
                line(&mut text, 2, name, &value.to_string());
            }
        }
    }
    text
}

fn text(body: &Value) -> String {
    let mut text = String::new();
    let shown = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    line(&mut text, 0, "attestor", shown("attestor"));
    line(&mut text, 0, "issuer", shown("issuer"));
    line(&mut text, 0, "subject", shown("subject"));
    line(&mut text, 0, "stands until", shown("stands_until"));
    for actor in body.get("actors").and_then(Value::as_array).into_iter().flatten() {
        line(&mut text, 0, "acted for by", actor.as_str().unwrap_or_default());
    }
    line(&mut text, 0, "attributes", "");
    for (name, value) in members(body, "attributes") {
        line(&mut text, 2, name, value.as_str().unwrap_or_default());
    }
    if let Some(refusal) = body.get("refusal") {
        line(&mut text, 0, "entry", &refused(refusal));
    } else {
        line(&mut text, 0, "entry", shown("entry"));
        line(&mut text, 0, "SPIFFE ID", shown("spiffe_id"));
        relying_parties(&mut text, body);
    }
    line(&mut text, 0, "exchange", shown("exchange_id"));
    text
}

fn relying_parties(text: &mut String, body: &Value) {
    let mut prospects = members(body, "relying_parties").peekable();
    let none = "none: no grant names this entry";
    line(text, 0, "may have", if prospects.peek().is_none() { none } else { "" });
    for (name, prospect) in prospects {
        let told = match prospect.get("refusal") {
            Some(refusal) => refused(refusal),
            None => permitted(prospect),
        };
        line(text, 2, name, &told);
    }
}

fn permitted(prospect: &Value) -> String {
    let seconds = prospect
        .get("lifetime_seconds")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let rules = prospect.get("rule").and_then(Value::as_array).into_iter().flatten();
    let rules: Vec<&str> = rules.filter_map(Value::as_str).collect();
    format!("yes, for {seconds} s, by grant {}", rules.join(", "))
}

fn refused(refusal: &Value) -> String {
    let shown = |name: &str| refusal.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("no, {}: {}", shown("code"), shown("detail"))
}

fn members<'a>(body: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    body.get(name).and_then(Value::as_object).into_iter().flatten()
}

/// One line; what stands in it was written by others.
fn line(text: &mut String, indent: usize, name: &str, value: &str) {
    let column = COLUMN.saturating_sub(indent);
    let written = format!("{:indent$}{:column$} {}", "", plain(name), plain(value));
    let _never_fails = writeln!(text, "{}", written.trim_end());
}

/// Where the second column begins: behind the longest attribute of CI systems.
const COLUMN: usize = 24;

#[cfg(test)]
#[cfg(feature = "dev")]
mod tests;
