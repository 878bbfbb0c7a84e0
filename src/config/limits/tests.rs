//! The defaults of `[limits]` and how far they can be moved.

use crate::config::tests::{Case, at};

#[test]
fn tm_43_the_defaults_are_those_of_the_limits() {
    let limits = Case::sample().settings().limits;

    assert_eq!(
        (limits.per_source.per_second.get(), limits.per_source.burst.get()),
        (50, 200)
    );
    assert_eq!(
        (limits.per_workload.per_second.get(), limits.per_workload.burst.get()),
        (20, 60)
    );
    assert_eq!(limits.in_flight.get(), 1_024);
}

#[test]
fn each_limit_is_taken_at_its_ends_and_refused_beyond() {
    for (variable, key, maximum) in [
        ("CAMBIO_LIMITS__PER_SOURCE__RATE", "limits.per_source.rate", 10_000),
        ("CAMBIO_LIMITS__PER_SOURCE__BURST", "limits.per_source.burst", 100_000),
        ("CAMBIO_LIMITS__PER_WORKLOAD__RATE", "limits.per_workload.rate", 10_000),
        (
            "CAMBIO_LIMITS__PER_WORKLOAD__BURST",
            "limits.per_workload.burst",
            100_000,
        ),
        ("CAMBIO_LIMITS__IN_FLIGHT", "limits.in_flight", 65_536),
    ] {
        let with = |number: i64| Case::sample().variable(variable, &number.to_string());
        assert!(with(1).load().is_ok(), "{key} 1");
        assert!(with(maximum).load().is_ok(), "{key} {maximum}");
        for refused in [0, -1, maximum + 1] {
            assert_eq!(with(refused).fault(), at("config.out_of_range", key), "{refused}");
        }
    }
}

#[test]
fn takes_100_replicas_and_refuses_101() {
    let with = |number: &str| {
        let store = "postgres://localhost/cambio";
        Case::sample()
            .variable("CAMBIO_STORE__URL", store)
            .variable("CAMBIO_REPLICAS", number)
    };

    assert_eq!(with("100").settings().replicas.get(), 100);
    assert_eq!(with("101").fault(), at("config.out_of_range", "replicas"));
    assert_eq!(with("0").fault(), at("config.out_of_range", "replicas"));
}

#[test]
fn a_limit_that_is_given_stands_beside_the_defaults() {
    let case = Case::sample().and("[limits.per_source]\nrate = 7\n");
    let limits = case.settings().limits;

    assert_eq!(
        (limits.per_source.per_second.get(), limits.per_source.burst.get()),
        (7, 200)
    );
}
