//! TM-34: every manipulation, at every position of a log.

use std::sync::Arc;

use super::*;
use crate::{
    audit::{
        chain::{Chain, Moment},
        checkpoint::{self, tests::AuditKey},
        entry::{Draft, EntryKind},
    },
    store::forgetful::ForgetfulStore,
};

/// LIMITS of one run; the ignored test takes the size that TM-34 names.
const LOG: u64 = 60;

fn log(length: u64) -> Vec<TrailRow> {
    let mut chain = Chain::new("log".to_owned());
    let when = Moment::new(clock::parse_rfc3339("2026-01-16T14:40:00Z").unwrap());
    (0..length)
        .map(|number| {
            let draft = Draft {
                kind: EntryKind::Denial,
                exchange_id: format!("x{number}"),
                ..Draft::change("test")
            };
            let draft = draft.refused("attest.expired", "it expired").at("aws-prod");
            chain
                .append(draft.opening(Digest::of(&number.to_be_bytes())), &when)
                .unwrap()
        })
        .collect()
}

/// Makes rows that follow from one another, as somebody would who can write to the store.
fn rehash(rows: &mut [TrailRow]) {
    let mut chain = Chain::new("log".to_owned());
    let when = Moment::new(clock::parse_rfc3339("2026-01-16T14:40:00Z").unwrap());
    for row in rows {
        let draft = Draft {
            kind: EntryKind::Denial,
            exchange_id: row.exchange_id.clone(),
            ..Draft::change("forged")
        };
        *row = chain.append(draft.at(&row.relying_party), &when).unwrap();
    }
}

type Manipulation = (&'static str, fn(&mut Vec<TrailRow>, usize));

/// What the chain alone shows at any position but, for those that shorten it, the last.
const SHOWN_BY_THE_CHAIN: [Manipulation; 11] = [
    ("edit", |rows, at| {
        rows[at].body = rows[at].body.replace("expired\"", "expirex\"");
    }),
    ("edit a column", |rows, at| rows[at].code = String::new()),
    ("edit the time", |rows, at| rows[at].time_seconds += 1),
    ("edit what it opens", |rows, at| rows[at].opens.clear()),
    ("edit the hash", |rows, at| rows[at].hash = Digest::of(b"other")),
    ("edit and rehash", |rows, at| {
        rows[at].body = rows[at].body.replace("it expired", "it was fine");
        let before = at.checked_sub(1).map_or(BEFORE_THE_FIRST, |before| rows[before].hash);
        rows[at].hash = link(&before, &rows[at].body);
    }),
    ("delete", |rows, at| {
        rows.remove(at);
    }),
    ("delete and close the gap", |rows, at| {
        rows.remove(at);
        for row in rows.iter_mut().skip(at) {
            row.sequence -= 1;
        }
    }),
    ("reorder", |rows, at| {
        let other = (at + 1) % rows.len();
        let (here, there) = (rows[at].sequence, rows[other].sequence);
        rows[at].sequence = there;
        rows[other].sequence = here;
    }),
    ("duplicate", |rows, at| {
        let copy = rows[at].clone();
        rows.insert(at, copy);
    }),
    ("duplicate and make room", |rows, at| {
        let copy = rows[at].clone();
        rows.insert(at, copy);
        for row in rows.iter_mut().skip(at + 1) {
            row.sequence += 1;
        }
    }),
];

fn manipulated(length: u64, at: usize, change: fn(&mut Vec<TrailRow>, usize)) -> Arc<ForgetfulStore> {
    let store = ForgetfulStore::new();
    store.tamper(|rows| {
        *rows = log(length);
        change(rows, at);
    });
    store
}

async fn every_position(length: u64, step: usize) {
    let key = AuditKey::new();
    let heads = [Head::of(log(length).last().unwrap())];
    let now = clock::parse_rfc3339("2026-01-16T14:41:00Z").unwrap();
    let kept = checkpoint::sign(&key, &heads, now).await.unwrap();
    let against = Against {
        checkpoint: Some(&kept),
        key: Some(&key.public()),
    };
    for at in (0..usize::try_from(length).unwrap()).step_by(step) {
        for (name, change) in SHOWN_BY_THE_CHAIN {
            let store = manipulated(length, at, change);
            let alone = verify(store.as_ref(), Against::default()).await.unwrap();
            let with_checkpoint = verify(store.as_ref(), against).await.unwrap();

            assert!(!with_checkpoint.is_intact(), "{name} at {at}");
            let shortens_at_the_end = name.starts_with("delete") && at + 1 == usize::try_from(length).unwrap();
            let rewrites_the_end = name == "edit and rehash" && at + 1 == usize::try_from(length).unwrap();
            assert_eq!(
                alone.is_intact(),
                shortens_at_the_end || rewrites_the_end,
                "{name} at {at}"
            );
            if let Some(first) = alone.faults.first() {
                let position = u64::try_from(at).unwrap() + 1;
                // A gap shows at the record after it; a duplicate or a rehashed record at the next one.
                let near = [position.saturating_sub(1), position, position + 1, 1];
                assert!(near.contains(&first.sequence), "{name} at {at}: {first:?}");
            }
        }
        let cut: fn(&mut Vec<TrailRow>, usize) = |rows, at| rows.truncate(at);
        let store = manipulated(length, at, cut);
        assert!(
            !verify(store.as_ref(), against).await.unwrap().is_intact(),
            "cut at {at}"
        );
        let forged: fn(&mut Vec<TrailRow>, usize) = |rows, at| {
            rows[at].relying_party = "gcp-prod".to_owned();
            rehash(rows);
        };
        let store = manipulated(length, at, forged);
        assert!(verify(store.as_ref(), Against::default()).await.unwrap().is_intact());
        assert!(
            !verify(store.as_ref(), against).await.unwrap().is_intact(),
            "forged at {at}"
        );
    }
}

#[tokio::test]
async fn tm_34_finds_every_manipulation_at_every_position() {
    every_position(LOG, 1).await;
}

#[tokio::test]
async fn tm_34_finds_every_manipulation_in_a_log_of_a_thousand() {
    every_position(1_000, 211).await;
}

#[tokio::test]
async fn an_untouched_trail_is_intact_and_counted() {
    let store = manipulated(LOG, 0, |_rows, _at| {});

    let report = verify(store.as_ref(), Against::default()).await.unwrap();

    assert_eq!((report.entries, report.chains, report.is_intact()), (LOG, 1, true));
}

#[tokio::test]
async fn names_the_first_bad_record() {
    let store = manipulated(LOG, 9, |rows, at| {
        rows[at].body = rows[at].body.replace("it expired", "it was fine");
        rows[at + 5].code = String::new();
    });

    let report = verify(store.as_ref(), Against::default()).await.unwrap();

    assert_eq!(report.faults.len(), 1);
    assert_eq!(report.faults[0].sequence, 10);
    assert!(matches!(report.faults[0].what, What::Edited { .. }));
}

#[tokio::test]
async fn a_chain_that_is_gone_shows_against_a_checkpoint() {
    let key = AuditKey::new();
    let heads = [Head::of(log(3).last().unwrap())];
    let now = clock::parse_rfc3339("2026-01-16T14:41:00Z").unwrap();
    let kept = checkpoint::sign(&key, &heads, now).await.unwrap();
    let against = Against {
        checkpoint: Some(&kept),
        key: Some(&key.public()),
    };

    let report = verify(ForgetfulStore::new().as_ref(), against).await.unwrap();

    assert_eq!(
        report.faults,
        [Fault {
            writer: "log".to_owned(),
            sequence: 0,
            what: What::Truncated { found: 0, expected: 3 },
        }]
    );
}

#[tokio::test]
async fn a_checkpoint_of_another_key_or_with_other_heads_is_refused() {
    let key = AuditKey::new();
    let other = AuditKey::new();
    let heads = [Head::of(log(3).last().unwrap())];
    let now = clock::parse_rfc3339("2026-01-16T14:41:00Z").unwrap();
    let kept = checkpoint::sign(&key, &heads, now).await.unwrap();
    let changed = kept.replace("\"sequence\":3", "\"sequence\":2");
    let later = kept.replace("\"time\":\"2026-01-16T14:41:00Z\"", "\"time\":\"2026-01-16T14:42:00Z\"");
    assert_ne!(changed, kept);
    assert_ne!(later, kept);

    assert!(Checkpoint::verify(&kept, &key.public()).is_ok());
    assert!(matches!(
        Checkpoint::verify(&kept, &other.public()),
        Err(CheckpointRefused::Signature(_))
    ));
    assert!(matches!(
        Checkpoint::verify(&changed, &key.public()),
        Err(CheckpointRefused::Heads { .. })
    ));
    assert!(matches!(
        Checkpoint::verify(&later, &key.public()),
        Err(CheckpointRefused::Time { .. })
    ));
    assert!(matches!(
        Checkpoint::verify("{}", &key.public()),
        Err(CheckpointRefused::Form(_))
    ));
    let unsigned = Against {
        checkpoint: Some(&kept),
        key: None,
    };
    let store = manipulated(3, 0, |_rows, _at| {});
    assert!(!verify(store.as_ref(), unsigned).await.unwrap().is_intact());
}

/// Holds `lines` against a store of `rows`.
async fn copied(store: &ForgetfulStore, against: Against<'_>, lines: &[String]) -> Report {
    let mut report = verify(store, against).await.unwrap();
    let mut copies = Copies::new(store, &mut report);
    for line in lines {
        copies.take(line).await.unwrap();
    }
    copies.finish().await.unwrap();
    report
}

fn sink(rows: &[TrailRow]) -> Vec<String> {
    rows.iter().map(crate::audit::chain::line).collect()
}

/// Returns a checkpoint over the first 56 entries, and its key.
async fn kept_of_56() -> (AuditKey, String) {
    let key = AuditKey::new();
    let heads = [Head::of(&log(LOG)[55])];
    let now = clock::parse_rfc3339("2026-01-16T14:41:00Z").unwrap();
    let kept = checkpoint::sign(&key, &heads, now).await.unwrap();
    (key, kept)
}

#[tokio::test]
async fn entries_that_no_checkpoint_covers_are_counted() {
    let (key, kept) = kept_of_56().await;
    let against = Against {
        checkpoint: Some(&kept),
        key: Some(&key.public()),
    };
    let store = manipulated(LOG, 0, |_rows, _at| {});
    let short = manipulated(56, 0, |_rows, _at| {});
    let after = |covered, entries| AfterCheckpoint {
        writer: "log".to_owned(),
        covered,
        entries,
        copied: 0,
    };

    let report = verify(store.as_ref(), against).await.unwrap();
    let covered = verify(short.as_ref(), against).await.unwrap();
    let bare = verify(store.as_ref(), Against::default()).await.unwrap();

    assert_eq!((report.after_checkpoint, report.copies), (vec![after(56, 4)], None));
    assert_eq!(covered.after_checkpoint, []);
    assert_eq!(bare.after_checkpoint, [after(0, LOG)]);
}

#[tokio::test]
async fn copies_of_a_sink_stand_for_what_came_after_the_checkpoint() {
    let (key, kept) = kept_of_56().await;
    let against = Against {
        checkpoint: Some(&kept),
        key: Some(&key.public()),
    };
    let store = manipulated(LOG, 0, |_rows, _at| {});
    let mut lines = sink(&log(58));
    // What a sink writes that failed half-way: a torn line, and the batch again.
    lines.push("{\"v\":1,\"writer\":\"lo".to_owned());
    lines.extend(sink(&log(58)).split_off(50));

    let report = copied(&store, against, &lines).await;

    assert!(report.is_intact(), "{:?}", report.faults);
    assert_eq!(
        (report.after_checkpoint[0].entries, report.after_checkpoint[0].copied),
        (4, 2)
    );
    assert_eq!(
        report.copies,
        Some(Copied {
            same: 66,
            unreadable: 1
        })
    );
}

#[tokio::test]
async fn tm_34_a_copy_shows_what_was_written_anew_after_the_checkpoint() {
    let lines = sink(&log(LOG));
    let forged = manipulated(LOG, 57, |rows, at| {
        rows[at].relying_party = "gcp-prod".to_owned();
        rehash(rows);
    });
    let cut = manipulated(LOG, 57, Vec::truncate);
    let whole = manipulated(LOG, 0, |_rows, _at| {});
    let mut edited = sink(&log(LOG));
    edited[2] = edited[2].replace("it expired", "it was fine");

    let forged = copied(&forged, Against::default(), &lines).await;
    let cut = copied(&cut, Against::default(), &lines).await;
    let edited = copied(&whole, Against::default(), &edited).await;

    let only = |report: Report| -> Fault {
        assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
        report.faults[0].clone()
    };
    assert!(matches!(
        only(forged),
        Fault {
            sequence: 1,
            what: What::Differs { .. },
            ..
        }
    ));
    assert!(matches!(
        only(cut),
        Fault {
            sequence: 58,
            what: What::CopyOnly { .. },
            ..
        }
    ));
    assert!(matches!(
        only(edited),
        Fault {
            sequence: 3,
            what: What::CopyEdited { .. },
            ..
        }
    ));
}
