use super::*;
use crate::authorize::sample::aws;

const MINUTE: u64 = 60;

fn terms(mode: LifetimeMode, minimum: u64, maximum: u64) -> Terms {
    Terms {
        lifetime_mode: mode,
        minimum: Duration::from_secs(minimum),
        maximum: Duration::from_secs(maximum),
        ..aws("aws-prod").terms
    }
}

fn requested() -> Terms {
    terms(LifetimeMode::Requested, 15 * MINUTE, 60 * MINUTE)
}

fn fixed() -> Terms {
    terms(LifetimeMode::Fixed, 60 * MINUTE, 90 * MINUTE)
}

fn allowance(ttl: u64, standing: u64) -> Allowance {
    Allowance {
        ttl: Duration::from_secs(ttl),
        accept_lifetime: false,
        standing: Duration::from_secs(standing),
        basis: Basis::Presented,
    }
}

fn within(seconds: u64) -> (Duration, LifetimeNote) {
    (Duration::from_secs(seconds), LifetimeNote::Within)
}

#[test]
fn is_the_smallest_of_ttl_standing_and_maximum() {
    assert_eq!(
        permit(&requested(), allowance(20 * MINUTE, 50 * MINUTE)),
        Ok(within(20 * MINUTE))
    );
    assert_eq!(
        permit(&requested(), allowance(40 * MINUTE, 30 * MINUTE)),
        Ok(within(30 * MINUTE))
    );
    assert_eq!(
        permit(&requested(), allowance(99 * MINUTE, 99 * MINUTE)),
        Ok(within(60 * MINUTE))
    );
}

#[test]
fn follows_the_svid_by_the_same_rule() {
    let terms = terms(LifetimeMode::FollowsSvid, 1, 60 * MINUTE);

    assert_eq!(
        permit(&terms, allowance(40 * MINUTE, 30 * MINUTE)),
        Ok(within(30 * MINUTE))
    );
}

#[test]
fn the_minimum_itself_is_within_and_a_second_less_is_raised_to_it() {
    assert_eq!(
        permit(&requested(), allowance(20 * MINUTE, 15 * MINUTE)),
        Ok(within(15 * MINUTE))
    );
    assert_eq!(
        permit(&requested(), allowance(20 * MINUTE, 15 * MINUTE - 1)),
        Ok((Duration::from_mins(15), LifetimeNote::Raised))
    );
}

#[test]
fn nothing_is_raised_for_a_resume() {
    let resumed = Allowance {
        basis: Basis::Resumed,
        ..allowance(20 * MINUTE, 15 * MINUTE - 1)
    };

    assert_eq!(
        permit(&requested(), resumed),
        Err(BelowMinimum {
            permitted: Duration::from_secs(15 * MINUTE - 1),
            minimum: Duration::from_mins(15),
        })
    );
}

#[test]
fn is_raised_to_15_minutes_and_no_further() {
    let raised = terms(LifetimeMode::Requested, 15 * MINUTE, 60 * MINUTE);
    let beyond = terms(LifetimeMode::Requested, 15 * MINUTE + 1, 60 * MINUTE);

    assert!(permit(&raised, allowance(20 * MINUTE, MINUTE)).is_ok());
    assert!(permit(&beyond, allowance(20 * MINUTE, MINUTE)).is_err());
}

#[test]
fn is_not_raised_beyond_what_the_grant_or_the_relying_party_allows() {
    assert!(permit(&requested(), allowance(15 * MINUTE - 1, MINUTE)).is_err());
    let odd = terms(LifetimeMode::Requested, 15 * MINUTE, 10 * MINUTE);
    assert!(permit(&odd, allowance(20 * MINUTE, MINUTE)).is_err());
}

#[test]
fn a_standing_that_has_ended_permits_nothing() {
    let free = terms(LifetimeMode::Requested, 0, 60 * MINUTE);
    let accepted = Allowance {
        accept_lifetime: true,
        ..allowance(20 * MINUTE, 0)
    };

    assert!(permit(&requested(), allowance(20 * MINUTE, 0)).is_err());
    assert!(permit(&free, allowance(20 * MINUTE, 0)).is_err());
    assert!(permit(&fixed(), accepted).is_err());
}

#[test]
fn a_fixed_lifetime_is_permitted_as_a_whole_where_it_fits() {
    assert_eq!(
        permit(&fixed(), allowance(90 * MINUTE, 90 * MINUTE)),
        Ok(within(90 * MINUTE))
    );
}

#[test]
fn a_fixed_lifetime_beyond_the_standing_is_refused_unless_the_grant_accepts_it() {
    let short = allowance(90 * MINUTE, 90 * MINUTE - 1);
    let accepted = Allowance {
        accept_lifetime: true,
        ..short
    };

    assert_eq!(
        permit(&fixed(), short),
        Err(BelowMinimum {
            permitted: Duration::from_secs(90 * MINUTE - 1),
            minimum: Duration::from_mins(90),
        })
    );
    assert_eq!(
        permit(&fixed(), accepted),
        Ok((Duration::from_mins(90), LifetimeNote::ExceedsStanding))
    );
}

#[test]
fn tm_31_no_mode_but_the_two_noted_exceptions_exceeds_what_is_allowed() {
    for mode in [LifetimeMode::FollowsSvid, LifetimeMode::Requested] {
        for ttl in (0..7200).step_by(601) {
            for standing in (0..7200).step_by(307) {
                let allowed = allowance(ttl, standing);
                if let Ok((lifetime, LifetimeNote::Within)) = permit(&terms(mode, 900, 3600), allowed) {
                    assert!(lifetime <= allowed.ttl.min(allowed.standing), "{mode:?} {allowed:?}");
                }
            }
        }
    }
}
