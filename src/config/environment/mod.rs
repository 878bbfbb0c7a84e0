//! Overrides from the environment: `CAMBIO_LISTEN__METADATA=0.0.0.0:8443`.
//!
//! A variable that looks like an override and is none is refused, so that a mistyped one does not silently do nothing.

use serde_json::Value as Json;

use super::{
    conform,
    diagnostic::{Diagnostic, Fault, Place, Severity},
    document::{Document, Value},
};
use crate::name::nearest::nearest;

/// Puts the overrides into `document`, and returns what is wrong with them.
pub(super) fn override_from(
    environment: impl Iterator<Item = (String, String)>,
    schema: &Json,
    document: &mut Document,
) -> Vec<Diagnostic> {
    let mut all: Vec<(String, String)> = environment.filter(|(name, _)| is_override(name)).collect();
    all.sort();
    let mut refused = Vec::new();
    for (variable, text) in all {
        match read(&variable, &text, schema) {
            Ok((keys, value)) => document.put(&keys, &variable, value),
            Err(fault) => refused.push(diagnostic(variable, fault)),
        }
    }
    refused
}

/// Returns whether a variable is meant for the configuration.
fn is_override(variable: &str) -> bool {
    let Some(rest) = variable.strip_prefix(PREFIX) else {
        return false;
    };
    rest.contains(SEPARATOR) || !(PROGRAM_VARIABLES.contains(&variable) || is_service_link(rest))
}

/// Returns whether Kubernetes sets this variable in every pod beside a Service whose name begins with `cambio`.
fn is_service_link(rest: &str) -> bool {
    let numbered = rest
        .split("PORT_")
        .skip(1)
        .any(|after| after.starts_with(|first: char| first.is_ascii_digit()));
    rest.ends_with("SERVICE_HOST")
        || rest.contains("SERVICE_PORT")
        || rest == "PORT"
        || rest.ends_with("_PORT")
        || numbered
}

fn read(variable: &str, text: &str, schema: &Json) -> Result<(Vec<String>, Value), Fault> {
    let rest = variable.strip_prefix(PREFIX).unwrap_or(variable);
    let keys: Vec<String> = rest.split(SEPARATOR).map(str::to_ascii_lowercase).collect();
    let schema = find(schema, &keys).ok_or_else(|| unknown(variable, schema))?;
    let value = if schema.get("type").and_then(Json::as_str) == Some("string") {
        Value::String(text.to_owned())
    } else {
        Value::parse(text).map_err(|errors| not_toml(schema, &errors))?
    };
    Ok((keys, value))
}

fn not_toml(schema: &Json, errors: &[super::document::SyntaxError]) -> Fault {
    let why = errors.first().map_or("", |error| error.message.as_str());
    Fault::new(
        "config.value_invalid",
        format_args!("a value that is not TOML ({why})"),
        conform::expected(schema),
    )
}

/// Returns the schema of a key that a variable can set: no element of a list of tables, no table.
fn find<'a>(schema: &'a Json, keys: &[String]) -> Option<&'a Json> {
    let found = keys
        .iter()
        .try_fold(schema, |schema, key| schema.get("properties")?.get(key))?;
    (!is_table(found)).then_some(found)
}

fn is_table(schema: &Json) -> bool {
    let of = |schema: &Json| schema.get("type").and_then(Json::as_str) == Some("object");
    of(schema) || schema.get("items").is_some_and(of)
}

/// Returns every variable that there is.
pub(super) fn variables(schema: &Json) -> Vec<String> {
    let mut out = Vec::new();
    collect(schema, PREFIX, &mut out);
    out
}

fn collect(schema: &Json, prefix: &str, out: &mut Vec<String>) {
    for (key, schema) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
        let name = format!("{prefix}{}", key.to_ascii_uppercase());
        if is_table(schema) {
            if schema.get("items").is_none() {
                collect(schema, &format!("{name}{SEPARATOR}"), out);
            }
        } else {
            out.push(name);
        }
    }
}

fn unknown(variable: &str, schema: &Json) -> Fault {
    let known = variables(schema);
    let fault = Fault::new(
        "config.environment_unknown",
        format_args!("`{variable}`"),
        "a variable named after a key, as CAMBIO_SECTION__KEY",
    );
    match nearest(variable, known.iter().map(String::as_str)) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault.hint("attestors, entries, relying parties, grants and sinks are set in the file only"),
    }
}

fn diagnostic(variable: String, fault: Fault) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code: fault.code,
        key: String::new(),
        place: Place::Environment { variable },
        found: fault.found,
        expected: fault.expected,
        hint: fault.hint,
    }
}

const PREFIX: &str = "CAMBIO_";
const SEPARATOR: &str = "__";

/// Variables that programs read and the configuration does not.
const PROGRAM_VARIABLES: [&str; 13] = [
    "CAMBIO_ACTOR_TOKEN_FILE",
    "CAMBIO_ADMIN",
    "CAMBIO_AUDIENCE",
    "CAMBIO_CA_FILE",
    "CAMBIO_CLIENT_CERTIFICATE",
    "CAMBIO_CLIENT_KEY",
    "CAMBIO_CONFIG",
    "CAMBIO_GATEWAY",
    "CAMBIO_ID_TOKEN",
    "CAMBIO_LOG",
    "CAMBIO_STATE_DIR",
    "CAMBIO_SVID",
    "CAMBIO_TOKEN_FILE",
];

#[cfg(test)]
mod tests;
