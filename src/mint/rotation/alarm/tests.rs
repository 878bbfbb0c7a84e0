//! Each alarm, and that a key set in order raises none.

use super::{
    super::sample::{DAY, SECOND, both, expiring, now, row, rules, seen, standing},
    *,
};
use crate::{clock::unix_seconds, store::AuthorityRow};

fn raised(rows: &[AuthorityRow], seen: &Observations) -> Vec<String> {
    let all = alarms(&standing(rows), seen, now(), &rules());
    for alarm in &all {
        assert!(Alarm::KINDS.contains(&alarm.kind()));
        assert!(!alarm.to_string().is_empty());
    }
    all.iter().map(|alarm| alarm.kind().to_owned()).collect()
}

#[test]
fn a_key_set_in_order_raises_none() {
    assert!(raised(&both(), &seen(&["rsa", "ec"], now())).is_empty());
}

#[test]
fn a_key_past_its_end_is_overdue_and_one_just_before_is_not() {
    let mut rows = both();
    rows.push(row("next", "ES256", "observed"));
    rows[1] = expiring(rows[1].clone(), SECOND);
    let all = seen(&["rsa", "ec", "next"], now());
    assert!(raised(&rows, &all).is_empty());

    rows[1] = expiring(rows[1].clone(), std::time::Duration::ZERO);
    assert_eq!(raised(&rows, &all), ["overdue"]);
}

#[test]
fn a_purpose_without_an_active_key_is_named() {
    let mut rows = both();
    rows[1].state = "published".to_owned();

    assert_eq!(raised(&rows, &seen(&["rsa", "ec"], now())), ["nothing_active"]);
}

#[test]
fn a_successor_that_nobody_sees_matters_when_only_the_lead_is_left() {
    let mut rows = both();
    rows.push(row("next", "ES256", "published"));
    let lead = rules().signs_after_seen(Purpose::Jwt);
    rows[1] = expiring(rows[1].clone(), DAY * 5 + lead + SECOND);
    let unseen = seen(&["rsa", "ec"], now());
    assert!(raised(&rows, &unseen).is_empty());

    rows[1] = expiring(rows[1].clone(), DAY * 5 + lead);
    assert_eq!(raised(&rows, &unseen), ["unseen"]);
}

#[test]
fn a_strange_key_at_a_place_of_ours_is_named_and_a_removed_one_is_not() {
    let mut rows = both();
    let mut removed = row("old", "ES256", "removed");
    removed.removes_seconds = unix_seconds(now());
    rows.push(removed);

    assert_eq!(raised(&rows, &seen(&["rsa", "ec", "evil"], now())), ["stranger"]);
    assert!(raised(&rows, &seen(&["rsa", "ec", "old"], now())).is_empty());
}

#[test]
fn a_due_successor_without_room_is_named() {
    let mut rows = both();
    rows[1] = expiring(rows[1].clone(), DAY);
    rows.extend((2..10).map(|nth| row(&format!("old{nth}"), "ES256", "retired")));
    let all: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();

    assert_eq!(raised(&rows, &seen(&all, now())), ["no_room"]);
}
