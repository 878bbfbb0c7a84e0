use proptest::prelude::*;

use super::*;
use crate::identify::{
    AttestorFacts, EntrySource,
    sample::{GITHUB, conditions, entry, entry_source, github_job, registry, trust_domain},
};

fn codes(entries: Vec<Entry>) -> Vec<&'static str> {
    let problems = Registry::new(trust_domain(), entries).expect_err("a problem");
    problems.iter().map(|problem| problem.code).collect()
}

/// An entry with any placeholder, as if all attributes were immutable.
fn templated(spiffe_id: &str) -> Entry {
    let source = EntrySource {
        conditions: conditions(&[]),
        ..entry_source("templated", spiffe_id)
    };
    let facts = AttestorFacts {
        attributes: &GITHUB,
        immutable: &GITHUB,
    };
    Entry::new(source, facts).unwrap()
}

#[test]
fn names_a_workload_by_the_entry_that_matches() {
    let main = entry(
        0,
        "main",
        &[("ci.repo_id", &["7654321"]), ("ci.ref", &["refs/heads/main"])],
        "/ci/shop/main",
    );
    let dev = entry(
        1,
        "dev",
        &[("ci.repo_id", &["7654321"]), ("ci.ref", &["refs/heads/dev"])],
        "/ci/shop/dev",
    );
    let registry = registry(vec![main, dev]);

    let workload = registry
        .identify(github_job().with("ci.ref", "refs/heads/dev").attested())
        .unwrap();

    assert_eq!(workload.spiffe_id().as_str(), "spiffe://prod.acme.example/ci/shop/dev");
    assert_eq!(workload.entry().as_str(), "dev");
}

#[test]
fn fills_the_template_with_the_workloads_attributes() {
    let registry = registry(vec![templated("/ci/{ci.owner_id}/{ci.repo_name}")]);

    let workload = registry.identify(github_job().attested()).unwrap();

    assert_eq!(
        workload.spiffe_id().as_str(),
        "spiffe://prod.acme.example/ci/1234567/shop"
    );
}

#[test]
fn a_refusal_names_the_closest_entry_and_the_condition_that_failed() {
    let far = entry(
        0,
        "far",
        &[("ci.repo_id", &["7654321"]), ("ci.ref", &["x"]), ("ci.event", &["y"])],
        "/ci/far",
    );
    let near = entry(
        1,
        "near",
        &[("ci.repo_id", &["7654321"]), ("ci.ref", &["refs/tags/v1"])],
        "/ci/near",
    );
    let registry = registry(vec![far, near]);

    let refused = registry.identify(github_job().attested()).unwrap_err();

    assert_eq!(refused.code(), "identify.no_entry");
    assert_eq!(
        refused.to_string(),
        "no entry of attestor `github` matches; \
         closest: entry `near`: `ci.ref` is `refs/heads/main`, expected `refs/tags/v1`"
    );
}

#[test]
fn a_refusal_names_an_entry_of_the_attestor_even_where_nothing_is_near() {
    let registry = registry(vec![entry(0, "other", &[("ci.repo_id", &["1"])], "/ci/other")]);

    let refused = registry.identify(github_job().attested()).unwrap_err();

    assert!(
        refused
            .to_string()
            .contains("entry `other`: `ci.repo_id` is `7654321`, expected `1`"),
        "{refused}"
    );
}

#[test]
fn an_entry_names_attestations_of_its_own_attestor_only() {
    let registry = registry(vec![entry(0, "shop", &[("ci.repo_id", &["7654321"])], "/ci/shop")]);

    let refused = registry.identify(github_job().attested_by("gitlab")).unwrap_err();

    assert!(
        matches!(
            refused,
            Unidentified::NoEntry {
                closest_entry: None,
                ..
            }
        ),
        "{refused:?}"
    );
}

#[test]
fn t_09_refuses_a_value_that_would_leave_its_segment() {
    let registry = registry(vec![templated("/ci/{ci.repo_name}")]);

    for value in ["..", "a/b", "%2e%2e", "", "shop/", "a\u{2215}b"] {
        let refused = registry
            .identify(github_job().with("ci.repo_name", value).attested())
            .unwrap_err();
        assert_eq!(refused.code(), "identify.template_refused", "{value:?}");
    }
}

#[test]
fn refuses_a_value_that_would_make_the_path_of_a_shaped_subject() {
    let registry = registry(vec![templated("/{ci.repo_name}/{ci.job}")]);

    let refused = registry
        .identify(github_job().with("ci.repo_name", "rp").attested())
        .unwrap_err();

    assert_eq!(
        refused.to_string(),
        "entry `templated` cannot name the workload: found `/rp/deploy`, expected a path outside `/rp/`"
    );
}

#[test]
fn gives_an_id_of_512_bytes_and_refuses_513() {
    let prefix = "spiffe://prod.acme.example/".len();
    let registry = registry(vec![templated("/{ci.repo_name}/{ci.job}/{ci.actor}")]);
    let job = |last: usize| {
        let long = github_job()
            .with("ci.repo_name", &"a".repeat(200))
            .with("ci.job", &"b".repeat(200));
        long.with("ci.actor", &"c".repeat(last)).attested()
    };
    let last = 512 - prefix - 402;

    assert_eq!(registry.identify(job(last)).unwrap().spiffe_id().as_str().len(), 512);
    let refused = registry.identify(job(last + 1)).unwrap_err();
    assert_eq!(refused.code(), "identify.template_refused");
}

#[test]
fn refuses_a_fixed_id_of_more_than_512_bytes_at_load() {
    let long = format!("/{0}/{0}", "a".repeat(250));

    assert_eq!(
        codes(vec![entry(0, "long", &[("ci.repo_id", &["1"])], &long)]),
        ["config.spiffe_id_invalid"]
    );
}

#[test]
fn refuses_a_name_twice() {
    let one = entry(0, "shop", &[("ci.repo_id", &["1"])], "/ci/one");
    let two = entry(1, "shop", &[("ci.repo_id", &["2"])], "/ci/two");

    assert_eq!(codes(vec![one, two]), ["config.duplicate_name"]);
}

#[test]
fn refuses_entries_that_one_workload_may_both_match_and_names_both() {
    let one = entry(0, "one", &[("ci.repo_id", &["1"]), ("ci.ref", &["a", "b"])], "/ci/one");
    let two = entry(1, "two", &[("ci.ref", &["b", "c"]), ("ci.event", &["push"])], "/ci/two");

    let problems = Registry::new(trust_domain(), vec![one, two]).unwrap_err();

    assert_eq!(problems[0].code, "config.entry_overlap");
    assert_eq!(
        problems[0].to_string(),
        "entry[1].match: found entries `one` and `two` of attestor `github`, which one workload may both match, \
         expected an attribute that both constrain to different values"
    );
}

#[test]
fn entries_of_different_attestors_do_not_overlap() {
    let one = entry(0, "one", &[("ci.repo_id", &["1"])], "/ci/one");
    let source = EntrySource {
        position: 1,
        attestor: crate::attest::AttestorName::parse("gitlab").unwrap(),
        conditions: conditions(&[("ci.repo_id", &["1"])]),
        ..entry_source("two", "/ci/two")
    };
    let two = Entry::new(source, crate::identify::sample::facts()).unwrap();

    assert!(Registry::new(trust_domain(), vec![one, two]).is_ok());
}

#[test]
fn an_attribute_that_must_be_absent_tells_entries_apart() {
    let one = entry(0, "one", &[("ci.repo_id", &["1"]), ("ci.environment", &[])], "/ci/one");
    let two = entry(
        1,
        "two",
        &[("ci.repo_id", &["1"]), ("ci.environment", &["production"])],
        "/ci/two",
    );

    assert!(Registry::new(trust_domain(), vec![one, two]).is_ok());
}

#[test]
fn lists_no_more_than_fifty_overlaps() {
    let same = |nth: usize| entry(nth, &format!("e{nth}"), &[("ci.repo_id", &["1"])], "/ci/shop");

    assert_eq!(
        codes((0..30).map(same).collect()).len(),
        super::super::overlap::MAX_PAIRS
    );
}

/// Conditions on three attributes of three values each.
fn stated() -> impl Strategy<Value = Vec<(&'static str, Vec<&'static str>)>> {
    let condition = prop_oneof![
        Just(None),
        prop::sample::subsequence(vec!["x", "y", "z"], 0..=3).prop_map(Some)
    ];
    prop::array::uniform3(condition).prop_map(|conditions| {
        let names = ["ci.ref", "ci.event", "ci.environment"];
        names
            .into_iter()
            .zip(conditions)
            .filter_map(|(name, values)| Some((name, values?)))
            .collect()
    })
}

fn stated_entry(position: usize, stated: &[(&str, Vec<&str>)]) -> Entry {
    let stated: Vec<(&str, &[&str])> = stated.iter().map(|(name, values)| (*name, values.as_slice())).collect();
    let source = EntrySource {
        position,
        conditions: conditions(&stated),
        ..entry_source(&format!("e{position}"), &format!("/ci/{{ci.repo_id}}/e{position}"))
    };
    Entry::new(source, crate::identify::sample::facts()).unwrap()
}

/// Every workload over the three attributes, each absent or one of four values.
fn every_job() -> impl Iterator<Item = Attestation> {
    let values = [None, Some("x"), Some("y"), Some("z"), Some("other")];
    let triples = values.into_iter().flat_map(move |one| {
        values
            .into_iter()
            .flat_map(move |two| values.into_iter().map(move |three| [one, two, three]))
    });
    triples.map(|triple| {
        let names = ["ci.ref", "ci.event", "ci.environment"];
        let job = github_job()
            .without("ci.ref")
            .without("ci.event")
            .without("ci.environment");
        let given = names
            .into_iter()
            .zip(triple)
            .filter_map(|(name, value)| Some((name, value?)));
        given.fold(job, |job, (name, value)| job.with(name, value)).attested()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn overlaps_are_found_exactly_where_some_workload_matches_two_entries(all in prop::collection::vec(stated(), 2..40)) {
        let entries: Vec<Entry> = all.iter().enumerate().map(|(nth, stated)| stated_entry(nth, stated)).collect();
        let jobs: Vec<Attestation> = every_job().collect();
        let mut expected = std::collections::BTreeSet::new();
        for (one, first) in entries.iter().enumerate() {
            for (two, second) in entries.iter().enumerate().skip(one + 1) {
                let both = |job: &Attestation| {
                    first.conditions().hold(job.attributes()) && second.conditions().hold(job.attributes())
                };
                if jobs.iter().any(both) {
                    expected.insert((one, two));
                }
            }
        }

        let found = overlapping(&entries);

        if expected.len() <= super::super::overlap::MAX_PAIRS {
            prop_assert_eq!(found, expected);
        } else {
            prop_assert!(found.is_subset(&expected) && found.len() == super::super::overlap::MAX_PAIRS);
        }
    }

    #[test]
    fn the_index_names_whom_a_search_through_all_entries_would(all in prop::collection::vec(stated(), 1..12)) {
        let mut entries: Vec<Entry> = Vec::new();
        for stated in &all {
            let next = stated_entry(entries.len(), stated);
            if entries.iter().all(|entry| !entry.conditions().meet(next.conditions())) {
                entries.push(next);
            }
        }
        let registry = registry(entries.clone());

        for job in every_job() {
            let expected = entries.iter().find(|entry| entry.conditions().hold(job.attributes())).map(Entry::name);
            let found = registry.identify(job.clone()).ok();
            prop_assert_eq!(found.as_ref().map(Workload::entry), expected, "{:?}", job.attributes());
        }
    }
}
