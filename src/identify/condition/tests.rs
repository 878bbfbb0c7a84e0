use super::*;
use crate::identify::sample::{conditions, github_job};

#[derive(Debug, Deserialize)]
struct Table {
    r#match: Conditions,
}

fn read(value: &str) -> Result<Condition, String> {
    let table: Result<Table, _> = toml::from_str(&format!("match = {{ \"ci.ref\" = {value} }}"));
    table
        .map(|table| table.r#match.get("ci.ref").unwrap().clone())
        .map_err(|refused| refused.message().to_owned())
}

#[test]
fn reads_a_string_a_list_and_absent() {
    assert_eq!(read("'main'"), Ok(Condition::one_of(["main"]).unwrap()));
    assert_eq!(read("['b', 'a', 'b']"), Ok(Condition::one_of(["a", "b"]).unwrap()));
    assert_eq!(read("{ absent = true }"), Ok(Condition::Absent));
}

#[test]
fn refuses_any_other_form_and_says_what_is_expected() {
    for value in ["7", "true", "[7]"] {
        assert!(read(value).unwrap_err().contains("expected a string"), "{value}");
    }
    for value in [
        "{}",
        "{ absent = false }",
        "{ prefix = true }",
        "{ absent = true, other = true }",
    ] {
        assert!(
            read(value).unwrap_err().contains("expected { absent = true }"),
            "{value}"
        );
    }
}

#[test]
fn refuses_an_empty_list() {
    assert_eq!(Condition::one_of::<String>([]), Err(ConditionRefused::NoValue));
}

#[test]
fn refuses_an_empty_value() {
    assert_eq!(Condition::one_of([""]), Err(ConditionRefused::EmptyValue));
}

#[test]
fn takes_a_value_of_255_bytes_and_refuses_256() {
    assert!(Condition::one_of(["a".repeat(255)]).is_ok());
    assert_eq!(
        Condition::one_of(["a".repeat(256)]),
        Err(ConditionRefused::TooLong { found_bytes: 256 })
    );
}

#[test]
fn tm_27_refuses_what_looks_like_a_pattern() {
    for value in ["*", "refs/heads/*", "a*b"] {
        let refused = Condition::one_of([value]);
        assert!(matches!(refused, Err(ConditionRefused::Pattern { .. })), "{value}");
    }
}

#[test]
fn t_39_refuses_a_value_that_does_not_look_like_what_it_is() {
    for value in [
        " main",
        "main ",
        "ma\u{a0}in",
        "main\u{200b}",
        "\u{feff}main",
        "ma\tin",
        "ma\u{202e}in",
        "ma\u{ad}in",
        "\u{2003}main",
    ] {
        let refused = Condition::one_of([value]);
        assert!(matches!(refused, Err(ConditionRefused::Invisible { .. })), "{value:?}");
    }
}

#[test]
fn t_39_no_other_form_of_a_value_holds() {
    let condition = Condition::one_of(["caf\u{e9}"]).unwrap();

    for value in [
        "Caf\u{e9}",
        "cafe\u{301}",
        " caf\u{e9}",
        "caf\u{e9} ",
        "caf\u{e9}\u{200b}",
        "caf\u{a0}\u{e9}",
        "caf \u{e9}",
    ] {
        assert!(!condition.holds(Some(value)), "{value:?}");
    }
    assert!(condition.holds(Some("caf\u{e9}")));
}

#[test]
fn tm_30_an_absent_attribute_is_not_an_empty_one() {
    assert!(Condition::Absent.holds(None));
    assert!(!Condition::Absent.holds(Some("")));
    assert!(!Condition::one_of(["x"]).unwrap().holds(None));
}

#[test]
fn a_failed_condition_tells_what_was_found_and_what_was_expected() {
    let stated = conditions(&[
        ("ci.environment", &[]),
        ("ci.ref", &["a", "b", "c", "d", "e"]),
        ("k8s.namespace", &["x"]),
    ]);
    let attestation = github_job().attested();

    let failed: Vec<String> = stated
        .failed(attestation.attributes())
        .map(|failed| failed.to_string())
        .collect();

    assert_eq!(
        failed,
        [
            "`ci.environment` is `production`, expected no value",
            "`ci.ref` is `refs/heads/main`, expected `a` or `b` or `c` or `d` or 1 more",
            "`k8s.namespace` is absent, expected `x`",
        ]
    );
}

#[test]
fn conditions_meet_exactly_where_every_shared_attribute_has_a_common_value() {
    let meet = |one: &[(&str, &[&str])], two: &[(&str, &[&str])]| conditions(one).meet(&conditions(two));

    assert!(meet(&[("a", &["1", "2"])], &[("a", &["2", "3"])]));
    assert!(meet(&[("a", &["1"])], &[("b", &["1"])]));
    assert!(meet(&[("a", &[])], &[("a", &[])]));
    assert!(!meet(&[("a", &["1"])], &[("a", &[])]));
    assert!(!meet(&[("a", &["1"]), ("b", &["1"])], &[("a", &["1"]), ("b", &["2"])]));
}

#[test]
fn tm_29_takes_256_values_and_refuses_257() {
    let values = |count: usize| (0..count).map(|nth| nth.to_string());

    assert!(Condition::one_of(values(256)).is_ok());
    assert_eq!(
        Condition::one_of(values(257)),
        Err(ConditionRefused::TooMany { found: 257 })
    );
}
