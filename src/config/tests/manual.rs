//! The manual's page against the schema and the code: nothing is missing from it, and nothing in it is made up.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value as Json;

use super::super::schema;

const PAGE: &str = include_str!("../../manual/configuration.md");

/// Returns rows of the tables: the key with its section, and the row.
fn documented() -> Vec<(String, &'static str)> {
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.trim_matches(['`', '[', ']']).to_owned();
        } else if let Some(row) = line.strip_prefix("| `")
            && let Some((key, _)) = row.split_once('`')
        {
            let path = if section == "Top level" {
                key.to_owned()
            } else {
                format!("{section}.{key}")
            };
            rows.push((path, line));
        }
    }
    rows
}

/// Returns the keys of the schema with their own schemas, without those of plugins.
fn keys(schema: &Json, prefix: &str, out: &mut Vec<(String, Json)>) {
    let schema = schema
        .get("items")
        .filter(|items| items.get("properties").is_some())
        .unwrap_or(schema);
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        let table = inner.get("properties").is_some() || inner["items"].get("properties").is_some();
        if table {
            keys(inner, &path, out);
        } else {
            out.push((path, inner.clone()));
        }
    }
}

#[test]
fn every_key_has_its_row_with_its_default_and_its_ends() {
    let rows = documented();
    let mut all = Vec::new();
    keys(&schema::schema(), "", &mut all);

    for (path, schema) in &all {
        let row = rows.iter().find(|(key, _)| key == path).map(|(_, row)| *row);
        let row = row.unwrap_or_else(|| panic!("the manual has no row for `{path}`"));
        for number in ["default", "minimum", "maximum"].map(|keyword| &schema[keyword]) {
            if number.is_number() || number.is_boolean() {
                assert!(row.contains(&number.to_string()), "{path}: {number} in {row}");
            }
        }
        let optional = ["audit.checkpoint_file", "sink.path", "store.password_file"].contains(&path.as_str());
        assert!(
            schema["default"].is_null() == row.contains("required") || optional,
            "{path}: {row}"
        );
    }
    let known: BTreeSet<_> = all.iter().map(|(path, _)| path).collect();
    for (path, _) in rows.iter().filter(|(path, _)| !path.starts_with("Codes")) {
        assert!(
            known.contains(path),
            "the manual has a row for `{path}`, which is no key"
        );
    }
}

#[test]
fn every_code_is_in_the_manual_and_in_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config");
    let (mut code, mut tests) = (String::new(), String::new());
    collect(&folder, &mut code, &mut tests);

    let codes = |text: &str| -> BTreeSet<String> {
        let parts = text.split("\"config.").skip(1);
        parts
            .filter_map(|rest| rest.split('"').next())
            .map(|name| format!("config.{name}"))
            .collect()
    };
    let tested = codes(&tests);
    // It would take a flaw of the schema to be told.
    let unreachable = "config.incomplete";
    for found in codes(&code) {
        assert!(
            PAGE.contains(&format!("| `{found}` |")),
            "the manual does not explain {found}"
        );
        assert!(
            found == unreachable || tested.contains(&found),
            "no test produces {found}"
        );
    }
}

fn collect(folder: &Path, code: &mut String, tests: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, code, tests);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let in_tests = path
                .components()
                .any(|part| part.as_os_str().to_str().is_some_and(|name| name.starts_with("tests")));
            if in_tests {
                tests.push_str(&text);
            } else {
                let (ours, theirs) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
                code.push_str(ours);
                tests.push_str(theirs);
            }
        }
    }
}
