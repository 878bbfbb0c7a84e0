//! Holds what was written against the schema, and drops what does not conform, so that the rest can be judged as well.
//!
//! It knows the keywords of JSON Schema that our own schema uses, and no others; a test walks the schema for any other.

use serde_json::{Map, Value as Json};

use super::{
    diagnostic::{Fault, Problems},
    document::{Node, Table, Value},
    path::KeyPath,
};
use crate::name::nearest::nearest;

/// Returns the part of `table` that conforms to `schema`; the rest is among `problems`.
pub(super) fn conforming(schema: &Json, table: &Table, path: &KeyPath, problems: &mut Problems) -> toml::Table {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&none);
    let further = schema.get("additionalProperties");
    let mut out = toml::Table::new();
    for (key, member) in &table.0 {
        let place = path.key(key);
        let kept = match properties.get(key).or(further) {
            Some(Json::Bool(false)) => {
                problems.refuse_key(&place, unknown_key(key, properties));
                None
            }
            Some(schema) => conform(schema, &member.node, &place, problems),
            None => Some(member.node.plain()),
        };
        out.extend(kept.map(|value| (key.clone(), value)));
    }
    let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
    for key in required
        .filter_map(Json::as_str)
        .filter(|key| !table.0.contains_key(*key))
    {
        problems.refuse_key(path, missing_key(key, properties.get(key)));
    }
    out
}

fn conform(schema: &Json, node: &Node, path: &KeyPath, problems: &mut Problems) -> Option<toml::Value> {
    let Some(schema) = alternative(schema, &node.value) else {
        let expected = expected(schema);
        problems.refuse(path, Fault::new("config.value_invalid", node.value.kind(), expected));
        return None;
    };
    match &node.value {
        Value::Array(nodes) => {
            let items = schema.get("items").unwrap_or(&Json::Null);
            let kept: Vec<_> = nodes
                .iter()
                .enumerate()
                .map(|(index, node)| conform(items, node, &path.index(index), problems))
                .collect();
            // As a whole or not at all: positions of what is left would no longer be those of the file.
            kept.into_iter().collect::<Option<Vec<_>>>().map(toml::Value::Array)
        }
        Value::Integer(number) => problems.take(path, within(schema, *number)).map(toml::Value::Integer),
        Value::String(text) => problems
            .take(path, one_of(schema, text))
            .map(|text| toml::Value::String(text.to_owned())),
        Value::Table(table) => Some(toml::Value::Table(conforming(schema, table, path, problems))),
        Value::Boolean(_) | Value::Datetime(_) | Value::Float(_) => Some(node.plain()),
    }
}

/// Returns the schema, or that of its alternatives, that takes a value of this kind.
fn alternative<'a>(schema: &'a Json, value: &Value) -> Option<&'a Json> {
    if let Some(alternatives) = schema.get("anyOf").and_then(Json::as_array) {
        return alternatives.iter().find_map(|schema| alternative(schema, value));
    }
    let wanted = match value {
        Value::Array(_) => "array",
        Value::Boolean(_) => "boolean",
        Value::Datetime(_) => "datetime",
        Value::Float(_) => "number",
        Value::Integer(_) => "integer",
        Value::String(_) => "string",
        Value::Table(_) => "object",
    };
    match schema.get("type") {
        None => Some(schema),
        Some(kind) => (kind == wanted).then_some(schema),
    }
}

/// Returns what a schema takes, as people say it.
pub(super) fn expected(schema: &Json) -> String {
    if let Some(alternatives) = schema.get("anyOf").and_then(Json::as_array) {
        let all: Vec<String> = alternatives.iter().map(expected).collect();
        return all.join(" or ");
    }
    match schema.get("type").and_then(Json::as_str) {
        Some("array") => format!(
            "a list, each {}",
            schema.get("items").map_or_else(String::new, expected)
        ),
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => format!("a whole number{}", range(schema)),
        Some("object") => "a table".to_owned(),
        Some("string") => choices(schema).map_or_else(|| "a string".to_owned(), |all| format!("one of {all}")),
        Some(_) | None => "a value".to_owned(),
    }
}

fn within(schema: &Json, number: i64) -> Result<i64, Fault> {
    let bound = |name| schema.get(name).and_then(Json::as_i64);
    let low = bound("minimum").is_some_and(|minimum| number < minimum);
    let high = bound("maximum").is_some_and(|maximum| number > maximum);
    if low || high {
        let expected = format!("a whole number{}", range(schema));
        Err(Fault::new("config.out_of_range", format_args!("`{number}`"), expected))
    } else {
        Ok(number)
    }
}

fn range(schema: &Json) -> String {
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(low), Some(high)) => format!(", {low} to {high}"),
        (Some(low), None) => format!(", at least {low}"),
        (None, Some(high)) => format!(", at most {high}"),
        (None, None) => String::new(),
    }
}

fn one_of<'a>(schema: &Json, text: &'a str) -> Result<&'a str, Fault> {
    let Some(all) = schema.get("enum").and_then(Json::as_array) else {
        return Ok(text);
    };
    let known = || all.iter().filter_map(Json::as_str);
    if known().any(|choice| choice == text) {
        return Ok(text);
    }
    let fault = Fault::value(text, expected(schema));
    Err(match nearest(text, known()) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault,
    })
}

fn choices(schema: &Json) -> Option<String> {
    let all = schema.get("enum").and_then(Json::as_array)?;
    let all: Vec<String> = all
        .iter()
        .filter_map(Json::as_str)
        .map(|choice| format!("`{choice}`"))
        .collect();
    Some(all.join(", "))
}

fn unknown_key(key: &str, properties: &Map<String, Json>) -> Fault {
    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
    let expected = format!("one of {}", known.join(", "));
    let fault = Fault::new("config.unknown_key", format_args!("`{key}`"), expected);
    match nearest(key, known) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault.hint("remove it"),
    }
}

fn missing_key(key: &str, schema: Option<&Json>) -> Fault {
    let expected = schema.map_or_else(String::new, expected);
    let fault = Fault::new("config.key_missing", format_args!("no `{key}`"), expected);
    let example = schema
        .and_then(|schema| schema.get("examples"))
        .and_then(|examples| examples.get(0))
        .and_then(|example| toml::Value::try_from(example).ok());
    match example {
        Some(example) => fault.hint(format!("for example: {key} = {example}")),
        None => fault,
    }
}

#[cfg(test)]
mod tests;
