//! What is due, and what is not due yet.

use std::time::{Duration, SystemTime};

use super::{
    super::{
        observation::Unseen,
        rules::Lane,
        sample::{DAY, SECOND, both, expiring, now, row, rules, seen, standing},
    },
    *,
};
use crate::{clock::unix_seconds, store::AuthorityRow};

fn due(rows: &[AuthorityRow], at: SystemTime) -> Option<Step> {
    let keys: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    decide(&standing(rows), &seen(&keys, at), at, &rules())
}

fn rows_with(more: AuthorityRow) -> Vec<AuthorityRow> {
    let mut rows = both();
    rows.push(more);
    rows
}

fn observed(activates: SystemTime) -> AuthorityRow {
    let mut row = row("next", "ES256", "observed");
    row.activates_seconds = unix_seconds(activates);
    row
}

/// Both keys, of which the ES256 key yields to its successor from now on.
fn yielding(successor: AuthorityRow) -> Vec<AuthorityRow> {
    let mut rows = rows_with(successor);
    rows[1] = expiring(rows[1].clone(), DAY * 5);
    rows
}

#[test]
fn nothing_is_due_in_the_middle_of_a_life() {
    assert_eq!(due(&both(), now()), None);
}

#[test]
fn a_successor_is_made_15_days_before_the_end_and_no_second_earlier() {
    let mut rows = both();
    rows[1] = expiring(rows[1].clone(), DAY * 15 + SECOND);
    assert_eq!(due(&rows, now()), None);

    rows[1] = expiring(rows[1].clone(), DAY * 15);
    let lane = Lane::new(Purpose::Jwt, "ES256");
    assert_eq!(due(&rows, now()), Some(Step::Prepare { lane }));
}

#[test]
fn no_second_successor_is_made() {
    for state in ["published", "observed"] {
        let mut rows = rows_with(row("next", "ES256", state));
        rows[1] = expiring(rows[1].clone(), DAY * 10);
        rows[2].activates_seconds = unix_seconds(now() + DAY);
        let nobody_saw_it = Observations {
            places: Vec::new(),
            ..seen(&["rsa", "ec", "next"], now())
        };

        let step = decide(&standing(&rows), &nobody_saw_it, now(), &rules());

        assert!(!matches!(step, Some(Step::Prepare { .. })), "{state}: {step:?}");
    }
}

#[test]
fn a_prepared_key_is_published_at_once() {
    let rows = rows_with(row("next", "ES256", "prepared"));

    assert_eq!(due(&rows, now()), Some(Step::Publish { id: "next".to_owned() }));
}

#[test]
fn tm_22_ten_keys_are_published_and_the_eleventh_is_not() {
    let listed = |count: usize| -> Vec<AuthorityRow> {
        let mut rows = both();
        rows.extend((2..count).map(|nth| {
            let mut retired = row(&format!("old{nth}"), "ES256", "retired");
            retired.removes_seconds = unix_seconds(now() + DAY);
            retired
        }));
        rows.push(row("next", "ES256", "prepared"));
        rows
    };

    assert_eq!(due(&listed(9), now()), Some(Step::Publish { id: "next".to_owned() }));
    assert_eq!(due(&listed(10), now()), None);
}

#[test]
fn p31_two_roots_are_published_and_the_third_is_not() {
    let root = |id: &str, state: &str| AuthorityRow {
        purpose: "x509_root".to_owned(),
        ..row(id, "ES256", state)
    };
    let mut rules = rules();
    rules.lanes.push(Lane::new(Purpose::X509Root, "ES256"));
    let step = |rows: &[AuthorityRow]| {
        let keys: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        decide(&standing(rows), &seen(&keys, now()), now(), &rules)
    };
    let mut rows = both();
    rows.extend([root("a", "active"), root("b", "prepared")]);
    assert_eq!(step(&rows), Some(Step::Publish { id: "b".to_owned() }));

    rows[3].state = "retired".to_owned();
    rows[3].removes_seconds = unix_seconds(now() + DAY);
    rows.push(root("c", "prepared"));
    assert_eq!(step(&rows), None);
}

/// What is seen otherwise, with a word for it.
type Change = (&'static str, fn(&mut Observations));

#[test]
fn a_key_is_observed_once_every_place_and_every_live_replica_has_it() {
    let rows = rows_with(row("next", "ES256", "published"));
    let step = |change: fn(&mut Observations)| {
        let mut seen = seen(&["rsa", "ec", "next"], now());
        change(&mut seen);
        decide(&standing(&rows), &seen, now(), &rules())
    };

    assert_eq!(step(|_| {}), Some(Step::Observe { id: "next".to_owned() }));
    let lacking: [Change; 5] = [
        ("a place without it", |seen| {
            seen.places[0].look.as_mut().unwrap().keys.remove("next");
        }),
        ("a place nobody looked at", |seen| seen.places[0].look = None),
        ("a place that was silent", |seen| {
            seen.places[0].look.as_mut().unwrap().at = now() - Duration::from_mins(15) - SECOND;
        }),
        ("a live replica without it", |seen| {
            seen.replicas[1].keys.remove("next");
        }),
        ("no replica", |seen| seen.replicas.clear()),
    ];
    for (what, change) in lacking {
        assert_eq!(step(change), None, "{what}");
    }
}

#[test]
fn a_replica_that_is_silent_for_longer_than_15_minutes_holds_nobody_up() {
    let rows = rows_with(row("next", "ES256", "published"));
    let step = |silent: Duration| {
        let mut seen = seen(&["rsa", "ec", "next"], now());
        seen.replicas[1].keys.remove("next");
        seen.replicas[1].at_seconds = unix_seconds(now() - silent);
        decide(&standing(&rows), &seen, now(), &rules())
    };

    assert_eq!(step(Duration::from_mins(15)), None);
    assert_eq!(
        step(Duration::from_mins(15) + SECOND),
        Some(Step::Observe { id: "next".to_owned() })
    );
}

#[test]
fn p01_a_key_signs_when_its_lead_is_over_and_no_second_earlier() {
    let rows = yielding(observed(now()));

    assert_eq!(due(&rows, now() - SECOND), None);
    let step = Step::Activate {
        id: "next".to_owned(),
        retires: Some("ec".to_owned()),
    };
    assert_eq!(due(&rows, now()), Some(step));
}

#[test]
fn the_lead_counts_from_when_the_key_was_seen_everywhere() {
    let rows = rows_with(row("next", "ES256", "published"));

    let after = Step::Observe { id: "next".to_owned() }.apply(&rows, None, now(), &rules());

    let lead = Duration::from_hours(24) + Duration::from_mins(5);
    assert_eq!(standing(&after)[2].activates, now() + lead);
    assert_eq!(standing(&after)[2].state, State::Observed);

    let late = Step::Observe { id: "next".to_owned() }.apply(&rows, None, now() + Duration::from_millis(1), &rules());
    assert_eq!(
        standing(&late)[2].activates,
        now() + lead + SECOND,
        "never a part of a second less"
    );
}

#[test]
fn a_key_that_may_sign_waits_until_five_days_before_the_end_of_the_other() {
    let mut rows = rows_with(observed(now() - DAY));
    rows[1] = expiring(rows[1].clone(), DAY * 5 + SECOND);

    assert_eq!(due(&rows, now()), None);
    assert!(matches!(due(&rows, now() + SECOND), Some(Step::Activate { .. })));
}

#[test]
fn a_key_that_vanishes_from_a_place_or_a_replica_has_to_be_seen_anew() {
    let rows = rows_with(observed(now() - DAY));
    let mut gone = seen(&["rsa", "ec", "next"], now());
    gone.places[0].look.as_mut().unwrap().keys.remove("next");
    let because = Unseen::PlaceLacks {
        place: "issuer".to_owned(),
    };
    let lost = |because| {
        let id = "next".to_owned();
        Some(Step::Lose { id, because })
    };
    assert_eq!(decide(&standing(&rows), &gone, now(), &rules()), lost(because));

    let mut gone = seen(&["rsa", "ec", "next"], now());
    gone.replicas[0].keys.remove("next");
    let because = Unseen::Replica {
        replica: "one".to_owned(),
    };
    assert_eq!(decide(&standing(&rows), &gone, now(), &rules()), lost(because));
}

#[test]
fn a_single_look_that_fails_takes_nothing_back() {
    let rows = rows_with(observed(now() + DAY));
    let mut failed = seen(&["rsa", "ec", "next"], now());
    failed.places[0].look = None;

    assert_eq!(decide(&standing(&rows), &failed, now(), &rules()), None);
}

#[test]
fn after_an_outage_of_more_than_15_minutes_the_lead_begins_again() {
    let rows = yielding(observed(now()));
    let step = |outage: Duration| {
        let mut seen = seen(&["rsa", "ec", "next"], now());
        seen.places[0].covered = Some(now() - outage);
        decide(&standing(&rows), &seen, now(), &rules())
    };

    assert!(matches!(step(Duration::from_mins(15)), Some(Step::Activate { .. })));
    assert!(matches!(
        step(Duration::from_mins(15) + SECOND),
        Some(Step::Lose {
            because: Unseen::PlaceSilent { .. },
            ..
        })
    ));
}

#[test]
fn after_a_long_downtime_the_old_key_goes_on_until_a_new_one_was_published_for_the_lead() {
    let mut rows = both();
    rows[1] = expiring(rows[1].clone(), DAY);
    let late = now() + DAY * 60;
    let mut states = Vec::new();
    let mut at = late;
    for _ in 0..8 {
        let Some(step) = due(&rows, at) else {
            at += DAY;
            continue;
        };
        let made = match &step {
            Step::Prepare { lane } => Some(row(&format!("new-{}", lane.algorithm), &lane.algorithm, "prepared")),
            _ => None,
        };
        rows = step.apply(&rows, made, at, &rules());
        let signing = standing(&rows).iter().filter(|key| key.state == State::Active).count();
        states.push((step.describe(), signing));
    }

    assert!(states.iter().all(|(_, signing)| *signing == 2), "{states:?}");
    assert_eq!(rows[1].state, "active", "no lead is over yet: {states:?}");
}

#[test]
fn tm_19_a_retired_key_goes_when_nothing_it_signed_can_count_and_no_second_earlier() {
    let retired = Step::Activate {
        id: "next".to_owned(),
        retires: Some("ec".to_owned()),
    }
    .apply(&yielding(observed(now())), None, now(), &rules());
    // An hour of life, 5 min of leeway, 10 s until every replica knows, 300 s and a day of caches.
    let removes = now() + Duration::from_hours(25) + Duration::from_mins(10) + Duration::from_secs(10);
    assert_eq!(standing(&retired)[1].removes, removes);

    assert_eq!(due(&retired, removes - SECOND), None);
    assert_eq!(due(&retired, removes), Some(Step::Remove { id: "ec".to_owned() }));
}

#[test]
fn a_removed_key_loses_its_private_half_and_is_forgotten_after_a_month() {
    let mut rows = rows_with(row("old", "ES256", "retired"));
    rows[2].removes_seconds = unix_seconds(now());

    let rows = Step::Remove { id: "old".to_owned() }.apply(&rows, None, now(), &rules());

    assert_eq!((rows[2].state.as_str(), rows[2].sealed.len()), ("removed", 0));
    let (month, late) = (now() + DAY * 30, |rows: &[AuthorityRow], at| {
        decide(&standing(rows), &seen(&["rsa", "ec"], at), at, &rules())
    });
    let mut young = rows.clone();
    for row in &mut young {
        row.expires_seconds = unix_seconds(now() + DAY * 90);
    }
    assert_eq!(late(&young, month - SECOND), None);
    assert_eq!(late(&young, month), Some(Step::Forget { id: "old".to_owned() }));
}

#[test]
fn at_most_32_removed_keys_are_remembered() {
    let removed = |count: u64| {
        let mut rows = both();
        rows.extend((0..count).map(|nth| {
            let mut removed = row(&format!("old{nth}"), "ES256", "removed");
            removed.removes_seconds = unix_seconds(now()) - 100 + nth;
            removed
        }));
        rows
    };

    assert_eq!(due(&removed(32), now()), None);
    assert_eq!(due(&removed(33), now()), Some(Step::Forget { id: "old0".to_owned() }));
}

#[test]
fn a_retired_key_without_a_date_begins_to_count_instead_of_going() {
    let rows = rows_with(row("old", "ES256", "retired"));

    let step = due(&rows, now()).unwrap();

    assert_eq!(step, Step::Retire { id: "old".to_owned() });
    let after = step.apply(&rows, None, now(), &rules());
    assert!(standing(&after)[2].removes > now());
    assert_eq!(due(&after, now()), None);
}

#[test]
fn p08_a_change_of_type_is_a_planned_rotation() {
    let mut rules = rules();
    rules.lanes = vec![Lane::new(Purpose::Jwt, "ES256")];
    let mut rows = vec![row("rsa", "RS256", "active")];
    let mut at = now();
    let mut steps = Vec::new();
    while at < now() + DAY * 4 {
        let keys: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let Some(step) = decide(&standing(&rows), &seen(&keys, at), at, &rules) else {
            at += Duration::from_mins(10);
            continue;
        };
        let made = matches!(step, Step::Prepare { .. }).then(|| row("ec", "ES256", "prepared"));
        rows = step.apply(&rows, made, at, &rules);
        let signing = rows.iter().filter(|row| row.state == "active").count();
        assert!(signing >= 1, "nothing signs after {step:?}");
        steps.push((step.describe(), at.duration_since(now()).unwrap()));
    }

    let described: Vec<&str> = steps.iter().map(|(step, _)| step.as_str()).collect();
    assert_eq!(
        described,
        [
            "key for jwt with ES256: -> prepared",
            "key ec: prepared -> published",
            "key ec: published -> observed",
            "key ec: observed -> active",
            "key rsa: -> retired without a successor of its own",
            "key rsa: retired -> removed",
        ]
    );
    assert!(steps[3].1 >= rules.signs_after_seen(Purpose::Jwt), "{:?}", steps[3]);
}

#[test]
fn a_kind_that_nobody_wants_any_more_stays_while_nothing_else_signs() {
    let mut rules = rules();
    rules.lanes = Vec::new();
    let rows = both();

    assert_eq!(
        decide(&standing(&rows), &seen(&["rsa", "ec"], now()), now(), &rules),
        None
    );
}

#[test]
fn a_waiting_key_of_a_kind_that_nobody_wants_any_more_goes_at_once() {
    let mut rules = rules();
    rules.lanes = vec![Lane::new(Purpose::Jwt, "RS256")];
    let rows = vec![row("rsa", "RS256", "active"), row("next", "ES256", "published")];

    assert_eq!(
        decide(&standing(&rows), &seen(&["rsa", "next"], now()), now(), &rules),
        Some(Step::Discard { id: "next".to_owned() })
    );
}

#[test]
fn the_key_of_checkpoints_is_left_alone() {
    let mut rows = both();
    rows.push(AuthorityRow {
        purpose: "audit".to_owned(),
        ..expiring(row("audit", "ES256", "active"), SECOND)
    });

    assert_eq!(due(&rows, now() + DAY), None);
}

#[test]
fn an_intermediate_waits_for_no_verifier_but_for_a_root() {
    let mut rules = rules();
    rules.lanes = vec![Lane::new(Purpose::X509Intermediate, "ES256")];
    let of = |id: &str, purpose: &str, state: &str| AuthorityRow {
        purpose: purpose.to_owned(),
        ..row(id, "ES256", state)
    };
    let step = |rows: &[AuthorityRow]| decide(&standing(rows), &Observations::default(), now(), &rules);

    assert_eq!(step(&[]), None);
    let mut rows = vec![of("root", "x509_root", "active")];
    let lane = Lane::new(Purpose::X509Intermediate, "ES256");
    assert_eq!(step(&rows), Some(Step::Prepare { lane }));
    rows.push(AuthorityRow {
        certificates: vec![1],
        ..of("inter", "x509_intermediate", "prepared")
    });
    for expected in ["published", "observed", "active"] {
        let due = step(&rows).unwrap();
        rows = due.apply(&rows, None, now(), &rules);
        assert_eq!(rows[1].state, expected);
    }
    assert_eq!(step(&rows), None);
}

#[test]
fn an_intermediates_end_is_that_of_its_certificate() {
    let mut rows = both();
    rows[1].certificates = vec![1];
    rows[1].state = "observed".to_owned();
    let step = Step::Activate {
        id: "ec".to_owned(),
        retires: None,
    };

    let after = step.apply(&rows, None, now(), &rules());

    assert_eq!(after[1].expires_seconds, rows[1].expires_seconds);
    let without = Step::Activate {
        id: "rsa".to_owned(),
        retires: None,
    };
    assert_eq!(
        without.apply(&rows, None, now(), &rules())[0].expires_seconds,
        unix_seconds(now() + DAY * 30)
    );
}
