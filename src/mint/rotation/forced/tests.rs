//! What an operator may ask for, and what it costs whom.

use std::time::Duration;

use super::{
    super::{
        decision::decide,
        sample::{DAY, both, now, row, rules, seen, standing},
        step::Step,
    },
    *,
};

fn only(algorithm: &str) -> Selection {
    Selection {
        purpose: Some(Purpose::Jwt),
        algorithm: Some(algorithm.to_owned()),
    }
}

#[test]
fn a_forced_rotation_makes_a_successor_due_and_takes_no_short_cut() {
    let rows = rotate(&both(), &only("ES256"), now(), &rules()).unwrap();

    let next = decide(&standing(&rows), &seen(&["rsa", "ec"], now()), now(), &rules());
    assert_eq!(
        next,
        Some(Step::Prepare {
            lane: Lane::new(Purpose::Jwt, "ES256")
        })
    );
    let mut observed = rows.clone();
    observed.push(row("next", "ES256", "observed"));
    observed[2].activates_seconds = unix_seconds(now() + DAY);
    let all = seen(&["rsa", "ec", "next"], now() + DAY);
    assert_eq!(
        decide(
            &standing(&observed),
            &seen(&["rsa", "ec", "next"], now()),
            now(),
            &rules()
        ),
        None
    );
    assert!(matches!(
        decide(&standing(&observed), &all, now() + DAY, &rules()),
        Some(Step::Activate { .. })
    ));
}

#[test]
fn a_forced_rotation_concerns_the_selected_keys_only() {
    let rows = rotate(&both(), &only("ES256"), now(), &rules()).unwrap();

    assert_eq!(rows[0], both()[0]);
    assert_eq!(rows[1].expires_seconds, unix_seconds(now() + DAY * 5));
    let all = rotate(&both(), &Selection::default(), now(), &rules()).unwrap();
    assert_eq!(all[0].expires_seconds, unix_seconds(now() + DAY * 5));
}

#[test]
fn a_root_is_rotated_only_by_name() {
    let mut rows = both();
    rows.push(AuthorityRow {
        purpose: "x509_root".to_owned(),
        ..row("root", "ES256", "active")
    });

    let all = rotate(&rows, &Selection::default(), now(), &rules()).unwrap();
    assert_eq!(all[2], rows[2]);
    assert_ne!(all[0], rows[0]);
    let named = Selection {
        purpose: Some(Purpose::X509Root),
        algorithm: None,
    };
    let named = rotate(&rows, &named, now(), &rules()).unwrap();
    assert_ne!(named[2], rows[2]);
    assert_eq!(named[0], rows[0]);
}

#[test]
fn a_rotation_of_nothing_is_refused() {
    let audit = Selection {
        purpose: Some(Purpose::Audit),
        algorithm: None,
    };
    for selection in [audit, only("PS256")] {
        let refused = rotate(&both(), &selection, now(), &rules());
        assert!(matches!(refused, Err(NotForced::NothingActive)), "{selection:?}");
    }
}

#[test]
fn tm_22_a_rotation_to_an_eleventh_published_key_is_refused() {
    let listed = |count: usize| {
        let mut rows = both();
        rows.extend((2..count).map(|nth| row(&format!("old{nth}"), "ES256", "retired")));
        rotate(&rows, &only("ES256"), now(), &rules())
    };

    assert!(listed(9).is_ok());
    assert!(matches!(listed(10), Err(NotForced::NoRoom { purpose: "jwt" })));
}

#[test]
fn a_compromised_key_is_gone_at_once_and_its_successor_signs() {
    let mut rows = both();
    rows.push(row("early", "ES256", "published"));
    rows.push(row("next", "ES256", "observed"));
    rows[3].activates_seconds = unix_seconds(now() + DAY);

    let (after, revoked) = revoke(&rows, "ec", None, (now(), &rules())).unwrap();

    let states: Vec<&str> = after.iter().map(|row| row.state.as_str()).collect();
    assert_eq!(states, ["active", "removed", "published", "active"]);
    assert!(after[1].sealed.is_empty());
    assert_eq!(revoked.successor.as_deref(), Some("next"));
    assert_eq!(revoked.signed_until, now() + Duration::from_hours(1));
    assert_eq!(revoked.unknown_until, Some(now() + DAY));
    assert_eq!(replacement_needed(&rows, "ec", &rules()).unwrap(), None);
}

#[test]
fn a_compromised_key_without_a_successor_needs_a_new_one() {
    let lane = replacement_needed(&both(), "ec", &rules()).unwrap();
    assert_eq!(lane, Some(Lane::new(Purpose::Jwt, "ES256")));

    let made = row("new", "ES256", "prepared");
    let (after, revoked) = revoke(&both(), "ec", Some(made), (now(), &rules())).unwrap();

    assert_eq!((after[2].id.as_str(), after[2].state.as_str()), ("new", "active"));
    assert_eq!(revoked.successor.as_deref(), Some("new"));
    let lead = rules().signs_after_seen(Purpose::Jwt);
    assert_eq!(revoked.unknown_until, Some(now() + lead));
}

#[test]
fn a_compromised_key_that_does_not_sign_needs_no_successor() {
    for state in ["prepared", "published", "observed", "retired"] {
        let mut rows = both();
        rows.push(row("other", "ES256", state));

        let (after, revoked) = revoke(&rows, "other", None, (now(), &rules())).unwrap();

        assert_eq!(after[2].state, "removed", "{state}");
        assert_eq!((revoked.successor, revoked.unknown_until), (None, None), "{state}");
        assert_eq!(revoked.signed_until > now(), state == "retired", "{state}");
        assert_eq!((&after[0], &after[1]), (&rows[0], &rows[1]), "{state}");
    }
}

#[test]
fn an_unknown_or_removed_key_is_refused() {
    let mut rows = both();
    rows.push(row("gone", "ES256", "removed"));

    for id in ["nobody", "gone"] {
        let refused = revoke(&rows, id, None, (now(), &rules()));
        assert!(matches!(refused, Err(NotForced::KeyUnknown { .. })), "{id}");
    }
}

#[test]
fn the_earliest_activation_counts_the_lead_only_where_it_has_not_begun() {
    let mut rows = both();
    rows.push(row("next", "ES256", "published"));
    rows.push(row("seen", "ES256", "observed"));
    rows[3].activates_seconds = unix_seconds(now() + DAY);
    let keys = standing(&rows);
    let earliest = |nth: usize| earliest_activation(&keys[nth], now(), &rules());

    assert_eq!(earliest(0), None);
    assert_eq!(earliest(2), Some(now() + DAY + Duration::from_mins(5)));
    assert_eq!(earliest(3), Some(now() + DAY));
}
