use std::time::Duration;

use super::MAX_PAIRS;
use crate::{
    authorize::{
        LifetimeMode, RelyingPartyName,
        sample::{aws, grant, sample},
    },
    identify::{
        EntryName,
        sample::{conditions, entry},
    },
};

#[test]
fn refuses_an_entry_that_is_not_configured() {
    let problem = sample()
        .with(|it| it.grants[0].entries = vec![EntryName::parse("shop").unwrap()])
        .problem();

    assert_eq!(problem.code, "config.entry_unknown");
    assert_eq!(
        problem.to_string(),
        "grant[0].entries: found `shop`, expected the name of an `[[entry]]`"
    );
}

#[test]
fn refuses_a_relying_party_that_is_not_configured() {
    let other = RelyingPartyName::parse("gcp-prod").unwrap();

    let problem = sample().with(|it| it.grants[0].relying_parties.push(other)).problem();

    assert_eq!(problem.code, "config.relying_party_unknown");
    assert_eq!(problem.found, "`gcp-prod`");
}

#[test]
fn refuses_a_grant_that_names_nobody_or_nothing() {
    assert_eq!(
        sample().with(|it| it.grants[0].entries.clear()).problems(),
        ["config.grant_empty"]
    );
    assert_eq!(
        sample().with(|it| it.grants[0].relying_parties.clear()).problems(),
        ["config.grant_empty"]
    );
}

#[test]
fn refuses_two_grants_or_two_relying_parties_of_one_name() {
    let grants = sample().with(|it| it.grants.push(grant("shop-to-prod")));
    assert_eq!(grants.problems(), ["config.duplicate_name"]);

    let relying_parties = sample().with(|it| it.relying_parties.push(aws("aws-prod")));
    assert_eq!(relying_parties.problem().at.to_string(), "relying_party[1].name");
}

#[test]
fn refuses_a_condition_on_an_attribute_that_the_entrys_attestor_never_gives() {
    for values in [&["prod"][..], &[]] {
        let wrong = sample().with(|it| it.grants[0].conditions = conditions(&[("k8s.namespace", values)]));

        let problem = wrong.problem();

        assert_eq!(problem.code, "config.attribute_unknown", "{values:?}");
        assert_eq!(problem.at.to_string(), "grant[0].match.\"k8s.namespace\"");
        assert_eq!(problem.expected, "an attribute that attestor `github` gives");
    }
}

#[test]
fn refuses_a_ttl_of_nothing_and_takes_a_second() {
    let with = |ttl| {
        sample()
            .with_terms(|terms| terms.minimum = Duration::ZERO)
            .with(|it| it.grants[0].ttl = ttl)
    };

    assert_eq!(with(Duration::ZERO).problems(), ["config.ttl_zero"]);
    assert_eq!(with(Duration::from_millis(999)).problems(), ["config.ttl_zero"]);
    assert!(with(Duration::from_secs(1)).compile().is_ok());
}

#[test]
fn takes_a_ttl_of_12_hours_and_refuses_a_second_more() {
    let with = |ttl| {
        sample()
            .with_terms(|terms| terms.maximum = Duration::from_hours(24))
            .with(|it| it.grants[0].ttl = ttl)
    };

    assert!(with(Duration::from_hours(12)).compile().is_ok());
    assert_eq!(
        with(Duration::from_hours(12) + Duration::from_secs(1)).problems(),
        ["config.ttl_above_limit"]
    );
}

#[test]
fn takes_the_relying_partys_maximum_and_refuses_a_second_more() {
    let with = |ttl| {
        sample()
            .with_terms(|terms| terms.maximum = Duration::from_hours(1))
            .with(|it| it.grants[0].ttl = ttl)
    };

    assert!(with(Duration::from_hours(1)).compile().is_ok());
    let problem = with(Duration::from_secs(3601)).problem();
    assert_eq!(problem.code, "config.ttl_above_maximum");
    assert_eq!(problem.expected, "at most the 3600 s that `aws-prod` gives");
}

#[test]
fn takes_the_relying_partys_minimum_and_refuses_a_second_less() {
    for mode in [LifetimeMode::FollowsSvid, LifetimeMode::Requested] {
        let with = |ttl| {
            sample()
                .with_terms(|terms| terms.lifetime_mode = mode)
                .with(|it| it.grants[0].ttl = ttl)
        };

        assert!(with(Duration::from_mins(15)).compile().is_ok(), "{mode:?}");
        assert_eq!(
            with(Duration::from_secs(899)).problems(),
            ["config.ttl_below_minimum"],
            "{mode:?}"
        );
    }
}

#[test]
fn refuses_a_grant_shorter_than_a_fixed_lifetime_unless_it_accepts_it() {
    let with = |ttl, accept| {
        sample()
            .with_terms(|terms| {
                terms.lifetime_mode = LifetimeMode::Fixed;
                terms.maximum = Duration::from_mins(90);
            })
            .with(|it| {
                it.grants[0].ttl = ttl;
                it.grants[0].accept_lifetime = accept;
            })
    };
    let short = Duration::from_mins(90) - Duration::from_secs(1);

    assert!(with(Duration::from_mins(90), false).compile().is_ok());
    assert_eq!(with(short, false).problems(), ["config.lifetime_not_accepted"]);
    assert!(with(short, true).compile().is_ok());
}

#[test]
fn takes_a_million_pairs_and_refuses_one_more() {
    let entries: Vec<_> = (0..1000)
        .map(|nth| {
            entry(
                nth,
                &format!("e{nth}"),
                &[("ci.repo_id", &[&nth.to_string()])],
                &format!("/ci/e{nth}"),
            )
        })
        .collect();
    let mut wide = sample().with(|it| {
        it.relying_parties = (0..1000).map(|nth| aws(&format!("aws{nth}"))).collect();
        it.grants[0].entries = entries.iter().map(|entry| entry.name().clone()).collect();
        it.grants[0].relying_parties = it.relying_parties.iter().map(|one| one.name.clone()).collect();
        it.entries = entries;
    });
    let pairs = wide.grants[0].entries.len() * wide.grants[0].relying_parties.len();
    assert_eq!(pairs, MAX_PAIRS);
    assert_eq!(super::too_many_pairs(&wide.grants), None);

    let mut more = grant("more");
    more.position = 1;
    wide.grants.push(more);

    let problem = super::too_many_pairs(&wide.grants).unwrap();
    assert_eq!(problem.code, "config.too_many_pairs");
    assert_eq!(problem.at.to_string(), "grant[1]");
}

#[test]
fn reports_everything_at_once() {
    let wrong = sample().with(|it| {
        it.grants[0].entries.push(EntryName::parse("nobody").unwrap());
        it.grants[0].ttl = Duration::ZERO;
        it.raw.push(crate::authorize::RawPolicyFile {
            name: "raw".to_owned(),
            text: "permit(principal, action, resource);".to_owned(),
        });
    });

    assert_eq!(
        wrong.problems(),
        ["config.entry_unknown", "config.ttl_zero", "config.raw_permit"]
    );
}
