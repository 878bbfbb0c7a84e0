//! Reads `tests/vectors/clouds/azure_entra.json` for the tests of `rules` and of the simulator.
//!
//! Knows no rule: what a row expects stands in the row.

use serde_json::{Map, Value};

use crate::exchange::azure_entra::rules::limits::NewCredential;

/// The vectors.
pub(in crate::exchange::azure_entra) fn load() -> Value {
    serde_json::from_str(include_str!("../../../../tests/vectors/clouds/azure_entra.json")).unwrap()
}

/// The rows of one section.
pub(in crate::exchange::azure_entra) fn rows(section: &str) -> Vec<Value> {
    load()[section].as_array().unwrap().clone()
}

/// An object of the good case with a change laid over it; `null` removes.
pub(in crate::exchange::azure_entra) fn changed(good: &str, change: &Value) -> Value {
    let mut object = load()["good"][good].as_object().unwrap().clone();
    let nothing = Map::new();
    for (name, value) in change.as_object().unwrap_or(&nothing) {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    Value::Object(object)
}

/// A text, or `{repeat, times}` for a long one.
pub(in crate::exchange::azure_entra) fn text(value: &Value) -> String {
    match value["repeat"].as_str() {
        Some(repeat) => repeat.repeat(usize::try_from(value["times"].as_u64().unwrap()).unwrap()),
        None => value
            .as_str()
            .unwrap_or_else(|| panic!("not a text: {value}"))
            .to_owned(),
    }
}

/// The good credential with a change laid over it.
pub(in crate::exchange::azure_entra) fn credential(change: &Value) -> NewCredential {
    let object = changed("credential", change);
    NewCredential {
        name: text(&object["name"]),
        issuer: text(&object["issuer"]),
        subject: text(&object["subject"]),
        audiences: object["audiences"].as_array().unwrap().iter().map(text).collect(),
        description: Some(text(&object["description"])),
    }
}

/// The credentials of a row of `exchange`: the good one, or what the row lists.
pub(in crate::exchange::azure_entra) fn credentials(given: &Value) -> Vec<NewCredential> {
    match given["credentials"].as_array() {
        Some(list) => list.iter().map(credential).collect(),
        None => vec![credential(&Value::Null)],
    }
}

/// Whether `found` is what a row expects; an ellipsis stands for anything.
pub(in crate::exchange::azure_entra) fn is_text(expected: &Value, found: &str) -> bool {
    let Some(expected) = expected.as_str() else {
        return true;
    };
    let mut parts = expected.split('…');
    let Some(mut rest) = found.strip_prefix(parts.next().unwrap()) else {
        return false;
    };
    let mut ends_open = false;
    for part in parts {
        ends_open = part.is_empty();
        let Some((_skipped, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.is_empty() || ends_open
}

#[test]
fn an_ellipsis_stands_for_anything_and_nothing_else_does() {
    assert!(is_text(&Value::from("a…b…"), "a1b2"));
    assert!(is_text(&Value::Null, "anything"));
    assert!(!is_text(&Value::from("a…b"), "a1b2"));
    assert!(!is_text(&Value::from("a"), "ab"));
}
