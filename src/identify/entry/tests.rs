use super::*;
use crate::identify::sample::{conditions, entry_source, facts};

fn codes(source: EntrySource) -> Vec<&'static str> {
    let problems = Entry::new(source, facts()).expect_err("a problem");
    problems.iter().map(|problem| problem.code).collect()
}

fn with_conditions(stated: &[(&str, &[&str])], spiffe_id: &str) -> EntrySource {
    EntrySource {
        position: 3,
        conditions: conditions(stated),
        ..entry_source("shop", spiffe_id)
    }
}

#[test]
fn takes_an_immutable_placeholder_without_a_condition() {
    let source = with_conditions(&[], "/ci/{ci.owner_id}/{ci.repo_id}");

    assert!(Entry::new(source, facts()).is_ok());
}

#[test]
fn takes_a_placeholder_that_its_own_conditions_pin() {
    let source = with_conditions(&[("ci.repo_name", &["shop", "cart"])], "/ci/acme/{ci.repo_name}");

    assert!(Entry::new(source, facts()).is_ok());
}

#[test]
fn refuses_a_placeholder_that_the_workload_may_choose() {
    for stated in [&[("ci.repo_id", &["7654321"][..])][..], &[("ci.repo_name", &[][..])]] {
        assert_eq!(
            codes(with_conditions(stated, "/ci/acme/{ci.repo_name}")),
            ["config.template_unpinned"]
        );
    }
}

#[test]
fn t_09_refuses_a_pinned_value_that_is_not_one_segment() {
    let source = with_conditions(&[("ci.ref", &["main", "refs/heads/main"])], "/ci/{ci.ref}");

    let problems = Entry::new(source, facts()).unwrap_err();

    assert_eq!(problems[0].code, "config.template_value");
    assert_eq!(problems[0].found, "`refs/heads/main` for `{ci.ref}`");
    assert_eq!(problems[0].at.to_string(), "entry[3].spiffe_id");
}

#[test]
fn refuses_attributes_that_the_attestor_never_gives() {
    let condition = with_conditions(&[("ci.refs", &["main"])], "/ci/shop");
    assert_eq!(codes(condition), ["config.attribute_unknown"]);

    let absent = with_conditions(&[("ci.pull_request", &[]), ("ci.repo_id", &["1"])], "/ci/shop");
    assert_eq!(codes(absent), ["config.attribute_unknown"]);

    let placeholder = with_conditions(&[], "/ci/{k8s.namespace}");
    assert_eq!(codes(placeholder), ["config.attribute_unknown"]);
}

#[test]
fn points_to_the_condition() {
    let source = with_conditions(&[("ci.refs", &["main"])], "/ci/shop");

    let problems = Entry::new(source, facts()).unwrap_err();

    assert_eq!(
        problems[0].to_string(),
        "entry[3].match.\"ci.refs\": found `ci.refs`, expected an attribute that attestor `github` gives"
    );
}

#[test]
fn refuses_a_text_that_is_no_template() {
    assert_eq!(codes(entry_source("shop", "ci/shop")), ["config.template_invalid"]);
}

#[test]
fn refuses_the_paths_of_shaped_subjects() {
    assert_eq!(codes(entry_source("shop", "/rp/shop")), ["config.spiffe_id_reserved"]);
    assert_eq!(codes(entry_source("shop", "/rp")), ["config.spiffe_id_reserved"]);
    assert!(Entry::new(entry_source("shop", "/rpx/shop"), facts()).is_ok());
}

#[test]
fn tm_27_refuses_an_entry_that_makes_everybody_one_workload() {
    assert_eq!(codes(with_conditions(&[], "/ci/shop")), ["config.entry_unconditional"]);
    assert_eq!(
        codes(with_conditions(&[("ci.environment", &[])], "/ci/shop")),
        ["config.entry_unconditional"]
    );
}

#[test]
fn reports_everything_at_once() {
    let source = with_conditions(&[("ci.refs", &[])], "/rp/shop");

    assert_eq!(
        codes(source),
        [
            "config.attribute_unknown",
            "config.spiffe_id_reserved",
            "config.entry_unconditional"
        ]
    );
}
