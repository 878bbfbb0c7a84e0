//! The schema's keywords, and what does not conform.

use std::collections::BTreeSet;

use super::*;
use crate::config::{
    schema,
    tests::{Case, at},
};

fn keywords(schema: &Json, out: &mut BTreeSet<String>) {
    let Some(schema) = schema.as_object() else {
        return;
    };
    for (keyword, value) in schema {
        out.insert(keyword.clone());
        match keyword.as_str() {
            "properties" => value
                .as_object()
                .unwrap()
                .values()
                .for_each(|inner| keywords(inner, out)),
            "anyOf" => value.as_array().unwrap().iter().for_each(|inner| keywords(inner, out)),
            "items" | "additionalProperties" => keywords(value, out),
            _ => {}
        }
    }
}

#[test]
fn the_schema_uses_only_keywords_that_are_held_against_the_file() {
    let mut found = BTreeSet::new();
    keywords(&schema::schema(), &mut found);

    let judged = [
        "additionalProperties",
        "anyOf",
        "enum",
        "items",
        "maximum",
        "minimum",
        "properties",
        "required",
        "type",
    ];
    let told = ["$schema", "default", "description", "examples", "title", "writeOnly"];
    let unknown: Vec<_> = found
        .iter()
        .filter(|keyword| !judged.contains(&keyword.as_str()) && !told.contains(&keyword.as_str()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn refuses_an_unknown_key_at_every_depth_with_the_nearest() {
    for (from, to, key, near) in [
        ("[policy]", "[polcy]", "polcy", "did you mean `policy`?"),
        ("admin = ", "admim = ", "listen.admim", "did you mean `admin`?"),
        (
            "match = { \"ci.environment\"",
            "matches = { \"ci.environment\"",
            "grant[0].matches",
            "did you mean `match`?",
        ),
        (
            "\"ci.environment\" = \"production\"",
            "\"ci.environment\" = { absnt = true }",
            "",
            "did you mean `absent`?",
        ),
    ] {
        let refused = Case::sample().with(from, to).refused();
        let found = refused.iter().find(|found| found.code == "config.unknown_key").unwrap();
        assert!(key.is_empty() || found.key == key, "{}", found.key);
        assert_eq!(found.hint.as_deref(), Some(near));
    }
}

#[test]
fn refuses_a_value_of_another_type_and_tells_both() {
    for (from, to, key, found, expected) in [
        (
            "\"https://id.acme.example\" ",
            "1 ",
            "issuer",
            "a whole number",
            "a string",
        ),
        ("[policy]", "replicas = \"1\"\n[policy]", "grant[0].replicas", "", ""),
        (
            "entries = [\"shop-deploy\"]",
            "entries = \"shop-deploy\"",
            "grant[0].entries",
            "a string",
            "a list, each a string",
        ),
        (
            "ttl = \"20m\"",
            "ttl = 20.5",
            "grant[0].ttl",
            "a number with a fraction",
            "a string",
        ),
        (
            "ttl = \"20m\"",
            "ttl = 2026-01-16",
            "grant[0].ttl",
            "a date",
            "a string",
        ),
        ("ttl = \"20m\"", "ttl = true", "grant[0].ttl", "a boolean", "a string"),
        ("ttl = \"20m\"", "ttl = {}", "grant[0].ttl", "a table", "a string"),
    ] {
        let refused = Case::sample().with(from, to).refused();
        if !found.is_empty() {
            let first = &refused[0];
            assert_eq!((first.code, first.key.as_str()), ("config.value_invalid", key));
            assert_eq!((first.found.as_str(), first.expected.as_str()), (found, expected));
        }
    }
}

#[test]
fn refuses_a_choice_that_is_none_with_the_nearest() {
    let case = Case::sample().with("ttl = \"20m\"", "ttl = \"20m\"\nrelease = [\"svit\"]");
    let refused = case.refused();

    assert_eq!(
        (refused[0].code, refused[0].key.as_str()),
        ("config.value_invalid", "grant[0].release[0]")
    );
    assert_eq!(refused[0].expected, "one of `svid`");
    assert_eq!(refused[0].hint.as_deref(), Some("did you mean `svid`?"));
}

#[test]
fn refuses_a_table_where_a_list_of_tables_belongs() {
    let case = Case::sample().text("[attestor]\nname = \"github\"\n");

    let refused = case.refused();
    let found = refused.iter().find(|found| found.key == "attestor").unwrap();
    assert_eq!((found.code, found.found.as_str()), ("config.value_invalid", "a table"));
}

#[test]
fn names_every_missing_key_of_an_empty_file() {
    let refused = Case::sample().text("").refused();

    let missing: Vec<_> = refused.iter().map(|found| (found.code, found.found.as_str())).collect();
    let all = [
        "trust_domain",
        "issuer",
        "exchange_url",
        "listen",
        "tls",
        "store",
        "keys",
    ];
    assert_eq!(
        missing,
        all.map(|key| ("config.key_missing", format!("no `{key}`")))
            .each_ref()
            .map(|(code, found)| (*code, found.as_str()))
    );
}

#[test]
fn a_missing_key_of_a_table_points_at_the_table() {
    let case = Case::sample().with("ttl = \"20m\"", "");

    assert_eq!(case.fault(), at("config.key_missing", "grant[0]"));
    assert!(
        case.report().contains("hint: for example: ttl = \"20m\""),
        "{}",
        case.report()
    );
}
