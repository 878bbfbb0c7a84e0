//! Rows and observations for the tests of rotation, changed by one thing each.

use std::time::{Duration, SystemTime};

use super::{Look, Observations, PlaceSeen, Report, Rules, Standing};
use crate::{
    clock::{parse_rfc3339, unix_seconds},
    mint::authority::Purpose,
    store::AuthorityRow,
};

pub(super) const DAY: Duration = Duration::from_hours(24);
pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn now() -> SystemTime {
    parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

/// A JWT authority whose end is 20 days away.
pub(super) fn row(id: &str, algorithm: &str, state: &str) -> AuthorityRow {
    AuthorityRow {
        id: id.to_owned(),
        purpose: "jwt".to_owned(),
        algorithm: algorithm.to_owned(),
        state: state.to_owned(),
        created_seconds: unix_seconds(now() - DAY * 10),
        activates_seconds: unix_seconds(now() - DAY * 10),
        expires_seconds: unix_seconds(now() + DAY * 20),
        sealed: vec![1],
        certificates: Vec::new(),
        removes_seconds: 0,
    }
}

/// The two keys that every issuer has.
pub(super) fn both() -> Vec<AuthorityRow> {
    vec![row("rsa", "RS256", "active"), row("ec", "ES256", "active")]
}

pub(super) fn expiring(mut row: AuthorityRow, after: Duration) -> AuthorityRow {
    row.expires_seconds = unix_seconds(now() + after);
    row
}

pub(super) fn standing(rows: &[AuthorityRow]) -> Vec<Standing> {
    Standing::all(rows).unwrap()
}

/// One place and two replicas, all of which see `keys` at this moment.
pub(super) fn seen(keys: &[&str], at: SystemTime) -> Observations {
    let keys: std::collections::BTreeSet<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let report = |replica: &str| Report {
        replica: replica.to_owned(),
        at_seconds: unix_seconds(at),
        generation: 1,
        keys: keys.clone(),
        places: [("issuer".to_owned(), unix_seconds(at))].into(),
    };
    Observations {
        places: vec![PlaceSeen {
            name: "issuer".to_owned(),
            look: Some(Look { at, keys: keys.clone() }),
            covered: Some(at),
        }],
        replicas: vec![report("one"), report("two")],
    }
}

/// The rules of an issuer of tokens only.
pub(super) fn rules() -> Rules {
    let mut rules = Rules::default();
    rules.lanes.retain(|lane| lane.purpose == Purpose::Jwt);
    rules
}
