//! Which raw policies are found.

use super::matches;
use crate::config::tests::{Case, at};

const FILES: &str = "files = [\"policies/*.cedar\"]";

#[test]
fn finds_files_in_the_order_of_their_names() {
    let case = Case::sample();
    case.write("policies/a.cedar", 0o644, "// a");
    case.write("policies/z.txt", 0o644, "// z");
    case.write("policies/.hidden.cedar", 0o644, "// hidden");

    let found = case.settings().policies;

    let names: Vec<_> = found
        .iter()
        .map(|file| file.path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(names, ["a.cedar", "night.cedar"]);
    assert_eq!(found[0].at.to_string(), "policy.files[0]");
}

#[test]
fn takes_each_file_once() {
    let case = Case::sample().with(FILES, "files = [\"policies/night.cedar\", \"policies/*.cedar\"]");

    assert_eq!(case.settings().policies.len(), 1);
}

#[test]
fn refuses_a_pattern_that_finds_nothing() {
    let case = Case::sample().with(FILES, "files = [\"policies/*.ceder\"]");
    assert_eq!(case.fault(), at("config.policy_not_found", "policy.files[0]"));

    for (files, code) in [
        ("policies/day.cedar", "config.file_unreadable"),
        ("polices/*.cedar", "config.file_unreadable"),
        ("*/night.cedar", "config.value_invalid"),
    ] {
        let case = Case::sample().with(FILES, &format!("files = [\"{files}\"]"));
        assert_eq!(case.fault(), at(code, "policy.files[0]"), "{files}");
    }
}

#[test]
fn takes_100_files_and_refuses_101() {
    let case = Case::sample();
    for number in 0..99 {
        case.write(&format!("policies/{number:03}.cedar"), 0o644, "// one");
    }
    assert_eq!(case.settings().policies.len(), 100);

    case.write("policies/099.cedar", 0o644, "// one more");
    assert_eq!(case.fault(), at("config.out_of_range", "policy.files[0]"));
}

#[test]
fn takes_a_file_of_a_mebibyte_and_refuses_one_byte_more() {
    let case = Case::sample();
    case.write("policies/night.cedar", 0o644, vec![b' '; 1024 * 1024]);
    assert!(case.load().is_ok());

    case.write("policies/night.cedar", 0o644, vec![b' '; 1024 * 1024 + 1]);
    assert_eq!(case.fault(), at("config.file_too_large", "policy.files[0]"));
}

#[test]
fn refuses_a_file_that_is_not_text() {
    let case = Case::sample();
    case.write("policies/night.cedar", 0o644, [0xff]);

    assert_eq!(case.fault(), at("config.file_unreadable", "policy.files[0]"));
}

#[test]
fn patterns_are_those_of_a_shell() {
    for (pattern, name) in [
        ("*.cedar", "a.cedar"),
        ("*", "a"),
        ("a?c", "abc"),
        ("*a*b*", "xaxbx"),
        ("abc", "abc"),
    ] {
        assert!(matches(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [
        ("*.cedar", "a.cedar.bak"),
        ("*", ".a"),
        ("a?c", "ac"),
        ("*a*b*", "ba"),
        ("abc", "abcd"),
    ] {
        assert!(!matches(pattern, name), "{pattern} {name}");
    }
}
