//! Which entries are dangerous, and which name it.

use super::*;
use crate::identify::sample::entry;

/// What a vendor such as GitHub demands, with the events that are taken although strangers cause them.
fn pins(events: &[&str]) -> Pins {
    let strangers = Strangers {
        event: Some("ci.event"),
        events: events.iter().map(|&event| event.to_owned()).collect(),
        guards: vec![
            Guard {
                attribute: "ci.environment",
                value: None,
            },
            Guard {
                attribute: "ci.ref",
                value: Some("refs/heads/main".to_owned()),
            },
        ],
    };
    Pins {
        everybody: "jobs of every repository of the attestor's owners",
        ids: vec![vec!["ci.repo_id"], vec!["ci.owner_id", "ci.job"]],
        names: vec!["ci.repo_name"],
        strangers: (!events.is_empty()).then_some(strangers),
    }
}

fn codes(stated: &[(&str, &[&str])], pins: &Pins, named: &[Danger]) -> Vec<&'static str> {
    let entry = entry(0, "shop", stated, "/ci/shop");
    problems(&entry, pins, named)
        .iter()
        .map(|problem| problem.code)
        .collect()
}

#[test]
fn t_63_refuses_an_entry_that_names_every_repository() {
    for stated in [
        &[("ci.owner_id", &["1"][..])][..],
        &[("ci.ref", &["refs/heads/main"])],
        &[("ci.job", &["deploy"])],
        &[("ci.repo_id", &[]), ("ci.ref", &["refs/heads/main"])],
    ] {
        let found = codes(stated, &pins(&[]), &[]);
        assert_eq!(found, ["config.entry_any_repository"], "{stated:?}");
    }
}

#[test]
fn t_64_refuses_an_entry_that_goes_by_a_name_alone() {
    let stated: &[(&str, &[&str])] = &[("ci.repo_name", &["acme/shop"])];

    assert_eq!(codes(stated, &pins(&[]), &[]), ["config.entry_renamed_repository"]);
}

#[test]
fn takes_an_entry_that_pins_an_id_also_beside_a_name_or_in_its_spiffe_id() {
    for stated in [
        &[("ci.repo_id", &["7"][..])][..],
        &[("ci.repo_id", &["7", "8"]), ("ci.repo_name", &["acme/shop"])],
        &[("ci.owner_id", &["1"]), ("ci.job", &["deploy"])],
    ] {
        assert_eq!(codes(stated, &pins(&[]), &[]), [""; 0], "{stated:?}");
    }
    let each = entry(0, "each", &[], "/ci/{ci.repo_id}");
    assert_eq!(problems(&each, &pins(&[]), &[]), []);
}

#[test]
fn t_66_refuses_an_entry_that_names_jobs_of_strangers() {
    let pins = pins(&["pull_request", "issue_comment"]);
    let with = |more: (&'static str, &'static [&'static str])| codes(&[("ci.repo_id", &["7"]), more], &pins, &[]);

    for (attribute, values) in [
        ("ci.job", &["deploy"][..]),
        ("ci.event", &["pull_request"]),
        ("ci.event", &["push", "issue_comment"]),
        ("ci.event", &[]),
        ("ci.environment", &[]),
        ("ci.ref", &["refs/heads/dev"]),
        ("ci.ref", &["refs/heads/main", "refs/heads/dev"]),
    ] {
        assert_eq!(
            with((attribute, values)),
            ["config.entry_fork"],
            "{attribute} {values:?}"
        );
    }
    for (attribute, values) in [
        ("ci.event", &["push", "schedule"][..]),
        ("ci.environment", &["production"]),
        ("ci.ref", &["refs/heads/main"]),
    ] {
        assert_eq!(with((attribute, values)), [""; 0], "{attribute} {values:?}");
    }
}

#[test]
fn where_forks_look_alike_only_a_guard_helps() {
    let mut pins = pins(&["any"]);
    pins.strangers.as_mut().unwrap().events.clear();

    let event = codes(&[("ci.repo_id", &["7"]), ("ci.event", &["push"])], &pins, &[]);
    let guarded = codes(
        &[("ci.repo_id", &["7"]), ("ci.environment", &["production"])],
        &pins,
        &[],
    );

    assert_eq!((event, guarded), (vec!["config.entry_fork"], vec![]));
}

#[test]
fn only_the_danger_that_is_named_is_taken() {
    let pins = pins(&["pull_request"]);
    let stated: &[(&str, &[&str])] = &[("ci.repo_name", &["acme/shop"])];

    let all = codes(stated, &pins, &[]);
    let one = codes(stated, &pins, &[Danger::Fork]);
    let other = codes(stated, &pins, &[Danger::AnyRepository]);
    let both = codes(stated, &pins, &[Danger::RenamedRepository, Danger::Fork]);

    assert_eq!(all, ["config.entry_renamed_repository", "config.entry_fork"]);
    assert_eq!(one, ["config.entry_renamed_repository"]);
    assert_eq!(other, all);
    assert_eq!(both, [""; 0]);
}

#[test]
fn a_problem_names_the_fix_and_the_override() {
    let entry = entry(3, "shop", &[("ci.repo_name", &["acme/shop"])], "/ci/shop");

    let found = problems(&entry, &pins(&["pull_request"]), &[]);

    assert_eq!(
        found[0].to_string(),
        "entry[3].match: found entry `shop`, which goes by a name that can pass to somebody else, expected a value for \
         `ci.repo_id` or `ci.owner_id` with `ci.job` as well; `dangerous_admits = [\"renamed_repository\"]` takes it all \
         the same"
    );
    assert_eq!(
        found[1].expected,
        "`ci.environment` or `ci.ref` = `refs/heads/main` or `ci.event` without `pull_request`; \
         `dangerous_admits = [\"fork\"]` takes it all the same"
    );
}
