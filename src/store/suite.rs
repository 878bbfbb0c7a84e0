//! One suite for every store.
//!
//! Each test is a function over a [`Place`]; `suite_for!` makes `#[tokio::test]`s of them all.

use std::{
    collections::HashSet,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    AuthorityRow, Binding, BoundKeyChange, BoundKeyRow, BoundKeyState, BoxFuture, Commit, JoinTokenRow, LedgerUse,
    LedgerVerdict, LockRow, RevocationRow, Store, StoreError, TrailFilter, TrailRow, UseRule,
};
use crate::{clock::unix_seconds, secret::Digest};

/// Where a store is kept, so that it can be opened again.
pub(in crate::store) trait Place: Send + Sync {
    /// Opens the store, which was closed before, with room for `ledger_rows`.
    fn open(&self, ledger_rows: u64) -> BoxFuture<'_, Arc<dyn Store>>;
}

macro_rules! suite_for {
    (each $place:expr; $($test:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                // A place may be missing on this machine; it says so itself.
                if let Some(place) = $place {
                    crate::store::suite::$test(&place).await;
                }
            }
        )*
    };
    (try $place:expr) => {
        crate::store::suite::suite_for! { each $place;
            t_03_one_of_64_tasks_uses_an_evidence_that_serves_once
            t_03_all_of_64_tasks_with_the_bound_key_use_it_and_no_other
            one_of_two_certificates_wins_the_race_of_64_first_uses
            a_use_survives_reopening
            each_way_of_binding_is_read_back_as_itself
            a_batch_of_any_size_is_recorded_whole_and_in_order
            a_batch_that_fails_leaves_neither_ledger_nor_trail
            nothing_is_recorded_where_the_standing_ends_earlier
            tm_05_a_full_ledger_refuses_new_evidence_and_evicts_none
            forgets_only_what_is_past_its_memory
            a_cancelled_commit_leaves_the_store_usable_and_whole
            committed_digests_are_those_of_the_rows
            filters_the_trail
            an_intent_is_open_until_its_outcome
            heads_are_the_last_rows_of_each_chain
            authorities_are_replaced_only_at_the_expected_generation
            one_of_many_replacements_of_a_generation_wins
            locks_are_added_replaced_and_removed
            facts_are_kept
            revocations_are_kept_once_and_forgotten_when_nobody_can_be_shown_the_certificate
            revocations_are_bounded_and_refused_whole
            word_comes_of_locks_authorities_and_revocations
            join_tokens_are_found_by_their_digest_until_they_are_removed
            a_join_token_is_used_once_the_ledger_knows_it
            join_tokens_are_bounded_and_used_ones_make_room
            a_machines_key_is_kept_with_the_first_use_alone
            a_key_takes_the_place_of_the_one_before_and_only_of_that
            replaced_keys_are_remembered_and_the_oldest_forgotten
            a_locked_machine_has_no_key_and_a_removed_one_none_at_all
            registrations_are_bounded
        }
    };
    ($place:expr) => {
        crate::store::suite::suite_for! { try Some($place) }
    };
}
pub(in crate::store) use suite_for;

const ROOM: u64 = 1_000_000;

/// Enough to catch a check that is not atomic with its insert, few enough for every run.
const ROUNDS: usize = 20;

pub(in crate::store) fn moment(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_768_574_400 + seconds)
}

pub(in crate::store) fn bearer(evidence: &str) -> LedgerUse {
    LedgerUse {
        key: Digest::of(evidence.as_bytes()),
        binding: Binding::Bearer,
        rule: UseRule::Once,
        stands_until: moment(3_600),
        ends: None,
        remember_until: moment(600),
        proof: None,
        keeps: None,
    }
}

fn keyed(evidence: &str, key: &str) -> LedgerUse {
    LedgerUse {
        binding: Binding::Dpop(Digest::of(key.as_bytes())),
        rule: UseRule::Keyed,
        ..bearer(evidence)
    }
}

pub(in crate::store) fn row(writer: &str, sequence: u64) -> TrailRow {
    let body = format!("{{\"writer\":\"{writer}\",\"sequence\":{sequence}}}");
    TrailRow {
        writer: writer.to_owned(),
        sequence,
        time_seconds: 1_000 + sequence,
        kind: "mint".to_owned(),
        exchange_id: format!("x{sequence}"),
        spiffe_id: "spiffe://prod.test/ci/shop".to_owned(),
        relying_party: "aws-prod".to_owned(),
        code: String::new(),
        hash: Digest::of(body.as_bytes()),
        opens: vec![Digest::of(format!("opens {sequence}").as_bytes())],
        body,
    }
}

/// Opens the store and begins chains in it.
async fn begun(place: &dyn Place, writers: &[&str]) -> Arc<dyn Store> {
    let store = place.open(ROOM).await;
    for writer in writers {
        store.begin_chain(writer).await.unwrap();
    }
    store
}

pub(in crate::store) async fn commit(
    store: &dyn Store,
    uses: &[LedgerUse],
    rows: Vec<TrailRow>,
) -> Result<Commit, StoreError> {
    store.commit(uses, Box::new(move |_verdicts| rows), moment(0)).await
}

async fn verdicts(store: &dyn Store, uses: &[LedgerUse]) -> Vec<LedgerVerdict> {
    commit(store, uses, Vec::new()).await.unwrap().verdicts
}

async fn all(store: &dyn Store) -> Vec<TrailRow> {
    store.trail(TrailFilter::default()).await.unwrap()
}

async fn race(store: &Arc<dyn Store>, one: impl Fn(usize) -> LedgerUse) -> Vec<LedgerVerdict> {
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = Arc::clone(store);
            let one = one(task);
            tokio::spawn(async move { verdicts(store.as_ref(), &[one]).await[0] })
        })
        .collect();
    let mut found = Vec::new();
    for task in tasks {
        found.push(task.await.unwrap());
    }
    found
}

pub(in crate::store) async fn t_03_one_of_64_tasks_uses_an_evidence_that_serves_once(place: &dyn Place) {
    let store = place.open(ROOM).await;

    for round in 0..ROUNDS {
        let found = race(&store, |_task| bearer(&format!("evidence {round}"))).await;

        let first = found.iter().filter(|found| **found == LedgerVerdict::First).count();
        let replayed = found.iter().filter(|found| **found == LedgerVerdict::Replayed).count();
        assert_eq!((first, replayed), (1, 63), "round {round}");
    }
}

pub(in crate::store) async fn t_03_all_of_64_tasks_with_the_bound_key_use_it_and_no_other(place: &dyn Place) {
    let store = place.open(ROOM).await;

    for round in 0..ROUNDS {
        let evidence = format!("evidence {round}");
        assert_eq!(
            verdicts(store.as_ref(), &[keyed(&evidence, "key 0")]).await,
            [LedgerVerdict::First]
        );

        let found = race(&store, |task| keyed(&evidence, &format!("key {}", task % 2))).await;

        let same = found.iter().filter(|found| **found == LedgerVerdict::Same).count();
        let stolen = found.iter().filter(|found| **found == LedgerVerdict::Stolen).count();
        assert_eq!((same, stolen), (32, 32), "round {round}");
    }
}

pub(in crate::store) async fn one_of_two_certificates_wins_the_race_of_64_first_uses(place: &dyn Place) {
    let store = place.open(ROOM).await;

    for round in 0..ROUNDS {
        let by = |certificate: usize| LedgerUse {
            binding: Binding::Certificate(Digest::of(&[u8::try_from(certificate).unwrap()])),
            ..keyed(&format!("evidence {round}"), "")
        };
        let found = race(&store, |task| by(task % 2)).await;

        let of = |certificate| found.iter().skip(certificate).step_by(2).copied().collect::<Vec<_>>();
        let (won, lost) = if of(0).contains(&LedgerVerdict::First) {
            (of(0), of(1))
        } else {
            (of(1), of(0))
        };
        let firsts = won.iter().filter(|found| **found == LedgerVerdict::First).count();
        let sames = won.iter().filter(|found| **found == LedgerVerdict::Same).count();
        assert_eq!((firsts, sames), (1, 31), "round {round}");
        assert_eq!(lost, [LedgerVerdict::Stolen; 32], "round {round}");
    }
}

pub(in crate::store) async fn each_way_of_binding_is_read_back_as_itself(place: &dyn Place) {
    let store = place.open(ROOM).await;
    let same = Digest::of(b"one digest for all ways");
    let ways = [
        Binding::Certificate(same),
        Binding::Dpop(same),
        Binding::IdempotencyKey(same),
    ];
    let by = |evidence: usize, binding| LedgerUse {
        binding,
        ..keyed(&format!("evidence {evidence}"), "")
    };
    let first: Vec<_> = ways.into_iter().enumerate().map(|(n, way)| by(n, way)).collect();
    assert_eq!(verdicts(store.as_ref(), &first).await, [LedgerVerdict::First; 3]);
    store.close().await;
    drop(store);

    let store = place.open(ROOM).await;

    for (evidence, bound) in ways.into_iter().enumerate() {
        let row = store.ledger_row(first[evidence].key).await.unwrap().unwrap();
        assert_eq!(row.binding, bound);
        for shown in ways {
            let expected = if shown == bound {
                LedgerVerdict::Same
            } else {
                LedgerVerdict::Stolen
            };
            let found = verdicts(store.as_ref(), &[by(evidence, shown)]).await;
            assert_eq!(found, [expected], "{bound:?} then {shown:?}");
        }
    }
}

pub(in crate::store) async fn a_use_survives_reopening(place: &dyn Place) {
    let store = begun(place, &["w"]).await;
    let proven = LedgerUse {
        proof: Some((Digest::of(b"proof"), moment(60))),
        ..keyed("bound", "key")
    };
    let first = [bearer("once"), proven.clone()];
    let recorded = commit(store.as_ref(), &first, vec![row("w", 1)]).await.unwrap();
    assert_eq!(recorded.verdicts, [LedgerVerdict::First, LedgerVerdict::First]);
    store.close().await;
    drop(store);

    let store = place.open(ROOM).await;

    let again = [
        bearer("once"),
        proven.clone(),
        keyed("bound", "key"),
        keyed("bound", "other"),
    ];
    assert_eq!(
        verdicts(store.as_ref(), &again).await,
        [
            LedgerVerdict::Replayed,
            LedgerVerdict::ProofReused,
            LedgerVerdict::Same,
            LedgerVerdict::Stolen
        ]
    );
    assert_eq!(all(store.as_ref()).await, [row("w", 1)]);
    let kept = store.ledger_row(proven.key).await.unwrap().unwrap();
    assert_eq!((kept.binding, kept.stands_until), (proven.binding, proven.stands_until));
    assert_eq!(store.ledger_row(Digest::of(b"unknown")).await.unwrap(), None);
}

pub(in crate::store) async fn a_batch_of_any_size_is_recorded_whole_and_in_order(place: &dyn Place) {
    let store = begun(place, &["w"]).await;
    let mut sequence = 0;

    for size in [1, 2, 3, 31, 127, 128, 129, 300] {
        let uses: Vec<_> = (0..size).map(|one| bearer(&format!("{size}/{one}"))).collect();
        let rows: Vec<_> = (1..=size).map(|one| row("w", sequence + one)).collect();
        let recorded = commit(store.as_ref(), &uses, rows.clone()).await.unwrap();
        assert!(
            recorded.verdicts.iter().all(|found| *found == LedgerVerdict::First),
            "{size}"
        );

        let filter = TrailFilter {
            writer: Some("w".to_owned()),
            after_sequence: Some(sequence),
            ..TrailFilter::default()
        };
        assert_eq!(store.trail(filter).await.unwrap(), rows, "{size}");
        let again = verdicts(store.as_ref(), &uses).await;
        assert!(again.iter().all(|found| *found == LedgerVerdict::Replayed), "{size}");
        sequence += size;
    }
}

pub(in crate::store) async fn a_batch_that_fails_leaves_neither_ledger_nor_trail(place: &dyn Place) {
    let store = begun(place, &["w"]).await;
    commit(store.as_ref(), &[], vec![row("w", 1)]).await.unwrap();

    let twice = commit(store.as_ref(), &[bearer("token")], vec![row("w", 2), row("w", 1)]).await;

    assert!(matches!(twice, Err(StoreError::Unavailable { .. })));
    assert_eq!(all(store.as_ref()).await, [row("w", 1)]);
    let again = commit(store.as_ref(), &[bearer("token")], vec![row("w", 2)])
        .await
        .unwrap();
    assert_eq!(again.verdicts, [LedgerVerdict::First]);
}

pub(in crate::store) async fn nothing_is_recorded_where_the_standing_ends_earlier(place: &dyn Place) {
    let store = place.open(ROOM).await;
    verdicts(store.as_ref(), &[keyed("token", "key")]).await;
    let later = LedgerUse {
        ends: Some(moment(3_601)),
        stands_until: moment(9_000),
        ..keyed("token", "key")
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_inside = Arc::clone(&seen);

    let recorded = store
        .commit(
            &[later],
            Box::new(move |verdicts| {
                seen_inside.lock().unwrap().extend_from_slice(verdicts);
                Vec::new()
            }),
            moment(0),
        )
        .await
        .unwrap();

    let expected = [LedgerVerdict::Earlier {
        stands_until: moment(3_600),
    }];
    assert_eq!(recorded.verdicts, expected);
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(all(store.as_ref()).await, []);
    let kept = store.ledger_row(Digest::of(b"token")).await.unwrap().unwrap();
    assert_eq!(kept.stands_until, moment(3_600));
}

pub(in crate::store) async fn tm_05_a_full_ledger_refuses_new_evidence_and_evicts_none(place: &dyn Place) {
    let store = place.open(3).await;
    let three = [bearer("1"), bearer("2"), bearer("3")];
    assert_eq!(verdicts(store.as_ref(), &three).await, [LedgerVerdict::First; 3]);

    let fourth = verdicts(store.as_ref(), &[bearer("4")]).await;

    assert_eq!(fourth, [LedgerVerdict::Full]);
    assert_eq!(verdicts(store.as_ref(), &three).await, [LedgerVerdict::Replayed; 3]);

    let uses = [bearer("4")];
    let past_memory = store
        .commit(&uses, Box::new(|_verdicts| Vec::new()), moment(600))
        .await
        .unwrap();
    assert_eq!(past_memory.verdicts, [LedgerVerdict::First]);
}

pub(in crate::store) async fn forgets_only_what_is_past_its_memory(place: &dyn Place) {
    let store = place.open(ROOM).await;
    let until = |evidence: &str, seconds| LedgerUse {
        remember_until: moment(seconds),
        ..bearer(evidence)
    };
    verdicts(store.as_ref(), &[until("short", 10), until("long", 11)]).await;

    assert_eq!(store.forget(moment(9)).await.unwrap(), 0);
    assert_eq!(store.forget(moment(10)).await.unwrap(), 1);

    assert_eq!(store.ledger_row(Digest::of(b"short")).await.unwrap(), None);
    assert!(store.ledger_row(Digest::of(b"long")).await.unwrap().is_some());
}

pub(in crate::store) async fn a_cancelled_commit_leaves_the_store_usable_and_whole(place: &dyn Place) {
    let store = place.open(ROOM).await;

    for polls in 1..12 {
        let evidence = format!("token {polls}");
        let uses = [bearer(&evidence)];
        let rows = vec![row(&evidence, 1), row(&evidence, 2)];
        store.begin_chain(&evidence).await.unwrap();
        {
            let mut commit = store.commit(&uses, Box::new(move |_verdicts| rows), moment(0));
            poll_some(commit.as_mut(), polls).await;
        }

        let after = verdicts(store.as_ref(), &uses).await;

        let filter = TrailFilter {
            writer: Some(evidence),
            ..TrailFilter::default()
        };
        let rows = store.trail(filter).await.unwrap().len();
        let whole = [(LedgerVerdict::First, 0), (LedgerVerdict::Replayed, 2)];
        assert!(
            whole.contains(&(after[0], rows)),
            "{polls} polls: {after:?} with {rows} rows"
        );
    }
}

/// Polls a future so many times, each time when it is woken, or until it is done.
async fn poll_some<T>(mut future: Pin<&mut (dyn Future<Output = T> + Send + '_)>, polls: usize) {
    let mut left = polls;
    std::future::poll_fn(|context| {
        let done = future.as_mut().poll(context).is_ready();
        left -= 1;
        if done || left == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

pub(in crate::store) async fn committed_digests_are_those_of_the_rows(place: &dyn Place) {
    let store = begun(place, &["w"]).await;

    let recorded = commit(store.as_ref(), &[], vec![row("w", 1), row("w", 2)])
        .await
        .unwrap();

    assert!(recorded.committed.lists(&row("w", 1).opens[0]));
    assert!(recorded.committed.lists(&row("w", 2).opens[0]));
    assert!(!recorded.committed.lists(&row("w", 3).opens[0]));
}

fn told_apart() -> Vec<TrailRow> {
    let mut rows: Vec<_> = (1..=6).map(|sequence| row("w", sequence)).collect();
    rows[1].spiffe_id = "spiffe://prod.test/other".to_owned();
    rows[2].relying_party = "gcp-prod".to_owned();
    rows[3].kind = "denial".to_owned();
    rows[3].code = "attest.expired".to_owned();
    rows[4].writer = "v".to_owned();
    rows[5].exchange_id = String::new();
    rows
}

#[expect(clippy::too_many_lines, reason = "one table")]
pub(in crate::store) async fn filters_the_trail(place: &dyn Place) {
    let store = begun(place, &["w", "v"]).await;
    commit(store.as_ref(), &[], told_apart()).await.unwrap();
    let none = TrailFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let table = [
        (none(), vec![1, 2, 3, 4, 5, 6]),
        (
            TrailFilter {
                writer: text("v"),
                ..none()
            },
            vec![5],
        ),
        (
            TrailFilter {
                writer: text("w"),
                after_sequence: Some(3),
                ..none()
            },
            vec![4, 6],
        ),
        (
            TrailFilter {
                exchange_id: text("x3"),
                ..none()
            },
            vec![3],
        ),
        (
            TrailFilter {
                exchange_id: text(""),
                ..none()
            },
            vec![6],
        ),
        (
            TrailFilter {
                spiffe_id: text("spiffe://prod.test/other"),
                ..none()
            },
            vec![2],
        ),
        (
            TrailFilter {
                relying_party: text("gcp-prod"),
                ..none()
            },
            vec![3],
        ),
        (
            TrailFilter {
                kind: text("denial"),
                ..none()
            },
            vec![4],
        ),
        (
            TrailFilter {
                code: text("attest.expired"),
                ..none()
            },
            vec![4],
        ),
        (
            TrailFilter {
                since_seconds: Some(1_005),
                ..none()
            },
            vec![5, 6],
        ),
        (
            TrailFilter {
                until_seconds: Some(1_002),
                ..none()
            },
            vec![1],
        ),
        (TrailFilter { limit: 2, ..none() }, vec![1, 2]),
        (
            TrailFilter {
                limit: 2,
                newest: true,
                ..none()
            },
            vec![5, 6],
        ),
        (
            TrailFilter {
                limit: 2,
                newest: true,
                writer: text("w"),
                ..none()
            },
            vec![4, 6],
        ),
        (
            TrailFilter {
                code: text("' OR 1 = 1 --"),
                ..none()
            },
            vec![],
        ),
    ];

    for (filter, expected) in table {
        let described = format!("{filter:?}");
        let found: Vec<_> = store
            .trail(filter)
            .await
            .unwrap()
            .iter()
            .map(|row| row.sequence)
            .collect();
        assert_eq!(found, expected, "{described}");
    }
}

pub(in crate::store) async fn an_intent_is_open_until_its_outcome(place: &dyn Place) {
    let store = begun(place, &["w"]).await;
    let of = |sequence, kind: &str, exchange: &str, relying_party: &str| TrailRow {
        kind: kind.to_owned(),
        exchange_id: exchange.to_owned(),
        relying_party: relying_party.to_owned(),
        ..row("w", sequence)
    };
    let rows = vec![
        of(1, "intent", "a", "aws"),
        of(2, "intent", "a", "gcp"),
        of(3, "intent", "b", "aws"),
        of(4, "intent", "c", "aws"),
        of(5, "mint", "d", "aws"),
    ];
    commit(store.as_ref(), &[], rows).await.unwrap();
    let closing = vec![of(6, "outcome", "a", "aws"), of(7, "unknown", "b", "aws")];

    commit(store.as_ref(), &[], closing).await.unwrap();

    let filter = TrailFilter {
        open: true,
        ..TrailFilter::default()
    };
    let open: Vec<_> = store
        .trail(filter)
        .await
        .unwrap()
        .iter()
        .map(|row| row.sequence)
        .collect();
    assert_eq!(open, [2, 4]);
}

pub(in crate::store) async fn heads_are_the_last_rows_of_each_chain(place: &dyn Place) {
    let store = begun(place, &["a", "b", "c"]).await;
    assert_eq!(store.heads().await.unwrap(), []);
    let rows = vec![
        row("b", 1),
        row("a", 1),
        row("b", 2),
        row("c", 1),
        row("a", 2),
        row("a", 3),
    ];

    commit(store.as_ref(), &[], rows).await.unwrap();

    let heads: HashSet<_> = store
        .heads()
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.writer, row.sequence))
        .collect();
    let expected = [("a", 3), ("b", 2), ("c", 1)].map(|(writer, sequence)| (writer.to_owned(), sequence));
    assert_eq!(heads, HashSet::from(expected));
}

fn authority(id: &str) -> AuthorityRow {
    AuthorityRow {
        id: id.to_owned(),
        purpose: "jwt".to_owned(),
        algorithm: "ES256".to_owned(),
        state: "active".to_owned(),
        created_seconds: 1,
        activates_seconds: 2,
        expires_seconds: 3,
        sealed: vec![0, 1, 255],
        certificates: vec![0x30, 0, 0x30, 0],
        removes_seconds: 4,
    }
}

pub(in crate::store) async fn authorities_are_replaced_only_at_the_expected_generation(place: &dyn Place) {
    let store = place.open(ROOM).await;
    let empty = store.authorities().await.unwrap();
    assert_eq!((empty.generation, empty.rows.len()), (0, 0));

    assert!(
        store
            .replace_authorities(0, &[authority("a"), authority("b")])
            .await
            .unwrap()
    );
    assert!(!store.replace_authorities(0, &[authority("c")]).await.unwrap());
    assert!(!store.replace_authorities(2, &[authority("c")]).await.unwrap());

    let found = store.authorities().await.unwrap();
    assert_eq!(found.generation, 1);
    assert_eq!(found.rows, [authority("a"), authority("b")]);
    assert!(store.replace_authorities(1, &[]).await.unwrap());
    let found = store.authorities().await.unwrap();
    assert_eq!((found.generation, found.rows.len()), (2, 0));
}

pub(in crate::store) async fn one_of_many_replacements_of_a_generation_wins(place: &dyn Place) {
    let store = place.open(ROOM).await;

    for generation in 0..5 {
        let tasks: Vec<_> = (0..16)
            .map(|task| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let rows = [authority(&format!("{generation}/{task}"))];
                    store.replace_authorities(generation, &rows).await.unwrap()
                })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            won += usize::from(task.await.unwrap());
        }

        assert_eq!(won, 1, "generation {generation}");
    }
}

pub(in crate::store) async fn locks_are_added_replaced_and_removed(place: &dyn Place) {
    let store = place.open(ROOM).await;
    let lock = |reason: &str| LockRow {
        id: "1".to_owned(),
        target: "entry".to_owned(),
        value: "shop-deploy".to_owned(),
        reason: reason.to_owned(),
        created_seconds: 7,
    };

    store.add_lock(lock("first")).await.unwrap();
    store.add_lock(lock("second")).await.unwrap();

    assert_eq!(store.locks().await.unwrap(), [lock("second")]);
    assert!(store.remove_lock("1").await.unwrap());
    assert!(!store.remove_lock("1").await.unwrap());
    assert_eq!(store.locks().await.unwrap(), []);
}

pub(in crate::store) async fn facts_are_kept(place: &dyn Place) {
    let store = place.open(ROOM).await;
    assert_eq!(store.fact("colour").await.unwrap(), None);

    store.set_fact("colour", "red").await.unwrap();
    store.set_fact("colour", "green").await.unwrap();

    assert_eq!(store.fact("colour").await.unwrap().as_deref(), Some("green"));
}

fn revoked(serial: u64, forget_seconds: u64) -> RevocationRow {
    RevocationRow {
        serial: serial.to_be_bytes().to_vec(),
        spiffe_id: "spiffe://acme.example/a".to_owned(),
        exchange_id: "x".to_owned(),
        reason: "lost".to_owned(),
        revoked_seconds: 1,
        forget_seconds: unix_seconds(moment(forget_seconds)),
    }
}

pub(in crate::store) async fn revocations_are_kept_once_and_forgotten_when_nobody_can_be_shown_the_certificate(
    place: &dyn Place,
) {
    let store = place.open(ROOM).await;
    assert_eq!(store.revocations().await.unwrap().generation, 0);

    assert!(
        store
            .revoke(&[revoked(2, 10), revoked(1, 20)], moment(5))
            .await
            .unwrap()
    );
    let again = RevocationRow {
        reason: "again".to_owned(),
        ..revoked(1, 30)
    };
    assert!(store.revoke(&[again], moment(5)).await.unwrap());

    let found = store.revocations().await.unwrap();
    assert_eq!(
        (found.generation, found.rows),
        (2, vec![revoked(1, 20), revoked(2, 10)])
    );
    assert!(store.revoke(&[revoked(3, 40)], moment(10)).await.unwrap());
    let found = store.revocations().await.unwrap();
    assert_eq!(found.rows, [revoked(1, 20), revoked(3, 40)]);
}

pub(in crate::store) async fn revocations_are_bounded_and_refused_whole(place: &dyn Place) {
    let store = place.open(ROOM).await;
    let most = u64::try_from(RevocationRow::MAX_ROWS).unwrap();
    let rows: Vec<_> = (0..most).map(|serial| revoked(serial, 100)).collect();

    assert!(store.revoke(&rows, moment(5)).await.unwrap());
    assert!(!store.revoke(&[revoked(most, 100)], moment(5)).await.unwrap());

    let found = store.revocations().await.unwrap();
    assert_eq!((found.generation, found.rows.len()), (1, RevocationRow::MAX_ROWS));
    assert!(store.revoke(&[revoked(most, 100)], moment(100)).await.unwrap());
}

pub(in crate::store) async fn word_comes_of_locks_authorities_and_revocations(place: &dyn Place) {
    let store = place.open(ROOM).await;
    let changes = store.changes();
    let soon = Duration::from_secs(5);
    let lock = LockRow {
        id: "1".to_owned(),
        target: "entry".to_owned(),
        value: "shop-deploy".to_owned(),
        reason: String::new(),
        created_seconds: 7,
    };

    store.add_lock(lock).await.unwrap();
    store.replace_authorities(0, &[authority("a")]).await.unwrap();
    store.revoke(&[revoked(1, 10)], moment(0)).await.unwrap();

    let mut of_locks = changes.clone();
    tokio::time::timeout(soon, of_locks.locks()).await.unwrap();
    let mut of_authorities = changes.clone();
    tokio::time::timeout(soon, of_authorities.authorities()).await.unwrap();
    let mut of_revocations = changes.clone();
    tokio::time::timeout(soon, of_revocations.revocations()).await.unwrap();
}

/// Returns a join token that lives from the first moment for 600 s.
pub(in crate::store) fn join_token(number: usize) -> JoinTokenRow {
    JoinTokenRow {
        id: format!("{number:016x}"),
        sha256: Digest::of(format!("join token {number}").as_bytes()),
        ledger_key: bearer(&format!("join token {number}")).key,
        attestor: "plant".to_owned(),
        machine: format!("m{number}"),
        labels: "{\"role\":\"db\"}".to_owned(),
        made_by: "uid 0".to_owned(),
        created_seconds: unix_seconds(moment(0)),
        expires_seconds: unix_seconds(moment(600)),
        used: false,
    }
}

pub(in crate::store) async fn join_tokens_are_found_by_their_digest_until_they_are_removed(place: &dyn Place) {
    let store = place.open(ROOM).await;
    for number in [2, 1] {
        assert!(store.add_join_tokens(&[join_token(number)], moment(0)).await.unwrap());
    }
    store.close().await;
    drop(store);
    let store = place.open(ROOM).await;

    assert_eq!(store.join_tokens().await.unwrap(), [join_token(1), join_token(2)]);
    let found = store.join_token(join_token(2).sha256).await.unwrap();
    assert_eq!(found, Some(join_token(2)));
    assert_eq!(store.join_token(Digest::of(b"another")).await.unwrap(), None);

    assert!(store.remove_join_token(&join_token(2).id).await.unwrap());
    assert!(!store.remove_join_token(&join_token(2).id).await.unwrap());
    assert_eq!(store.join_token(join_token(2).sha256).await.unwrap(), None);
}

pub(in crate::store) async fn a_join_token_is_used_once_the_ledger_knows_it(place: &dyn Place) {
    let store = begun(place, &["w"]).await;
    for number in [1, 2] {
        store.add_join_tokens(&[join_token(number)], moment(0)).await.unwrap();
    }

    commit(store.as_ref(), &[bearer("join token 1")], vec![row("w", 1)])
        .await
        .unwrap();

    let used = |rows: Vec<JoinTokenRow>| rows.iter().map(|row| row.used).collect::<Vec<_>>();
    assert_eq!(used(store.join_tokens().await.unwrap()), [true, false]);
    assert!(store.join_token(join_token(1).sha256).await.unwrap().unwrap().used);
}

pub(in crate::store) async fn join_tokens_are_bounded_and_used_ones_make_room(place: &dyn Place) {
    let store = begun(place, &["w"]).await;
    let most: Vec<_> = (0..JoinTokenRow::MAX_ROWS).map(join_token).collect();
    // In parts, so that no server's deadline for one question is met.
    for part in most.chunks(1_000) {
        assert!(store.add_join_tokens(part, moment(0)).await.unwrap());
    }
    let next = [join_token(JoinTokenRow::MAX_ROWS)];
    assert!(!store.add_join_tokens(&next, moment(0)).await.unwrap());
    assert_eq!(store.join_tokens().await.unwrap().len(), JoinTokenRow::MAX_ROWS);

    commit(store.as_ref(), &[bearer("join token 7")], vec![row("w", 1)])
        .await
        .unwrap();
    assert!(store.add_join_tokens(&next, moment(0)).await.unwrap());
    assert_eq!(store.join_token(join_token(7).sha256).await.unwrap(), None);

    let late = [JoinTokenRow {
        expires_seconds: unix_seconds(moment(9_000)),
        ..join_token(JoinTokenRow::MAX_ROWS + 1)
    }];
    assert!(!store.add_join_tokens(&late, moment(600 + 3_599)).await.unwrap());
    assert!(store.add_join_tokens(&late, moment(600 + 3_600)).await.unwrap());
    assert_eq!(store.join_tokens().await.unwrap(), late);
}

/// Returns the first key of a machine.
pub(in crate::store) fn bound_key(number: usize) -> BoundKeyRow {
    BoundKeyRow {
        thumbprint: Digest::of(format!("key {number}").as_bytes()),
        jwk: format!("{{\"x\":\"{number}\"}}"),
        registration: format!("{number:016x}"),
        generation: 1,
        attestor: "plant".to_owned(),
        machine: format!("m{number}"),
        labels: "{}".to_owned(),
        registered_seconds: unix_seconds(moment(0)),
        since_seconds: unix_seconds(moment(0)),
        state: BoundKeyState::Current,
    }
}

/// Returns a use that changes a machine's key if it is the first.
pub(in crate::store) fn keeping(evidence: &str, change: BoundKeyChange) -> LedgerUse {
    LedgerUse {
        keeps: Some(Arc::new(change)),
        ..bearer(evidence)
    }
}

/// Returns the key that follows another, which it is told from by its generation.
fn next_of(before: &BoundKeyRow) -> BoundKeyRow {
    BoundKeyRow {
        thumbprint: Digest::of(format!("{} {}", before.registration, before.generation + 1).as_bytes()),
        generation: before.generation + 1,
        ..before.clone()
    }
}

fn rotation(from: &BoundKeyRow, to: &BoundKeyRow) -> BoundKeyChange {
    BoundKeyChange::Rotate {
        from: from.thumbprint,
        to: Box::new(to.clone()),
    }
}

async fn registered(store: &dyn Store, number: usize) -> BoundKeyRow {
    let change = BoundKeyChange::Register(Box::new(bound_key(number)));
    commit(store, &[keeping(&format!("registers {number}"), change)], Vec::new())
        .await
        .unwrap();
    bound_key(number)
}

async fn state(store: &dyn Store, key: &BoundKeyRow) -> Option<BoundKeyState> {
    store.bound_key(key.thumbprint).await.unwrap().map(|row| row.state)
}

pub(in crate::store) async fn a_machines_key_is_kept_with_the_first_use_alone(place: &dyn Place) {
    let store = place.open(ROOM).await;
    let register = |number| keeping("token", BoundKeyChange::Register(Box::new(bound_key(number))));

    let found = verdicts(store.as_ref(), &[register(1), register(2)]).await;
    let later = verdicts(store.as_ref(), &[register(3)]).await;

    assert_eq!(found, [LedgerVerdict::First, LedgerVerdict::Replayed]);
    assert_eq!(later, [LedgerVerdict::Replayed]);
    assert_eq!(store.bound_keys().await.unwrap(), [bound_key(1)]);
    assert_eq!(
        store.bound_key(bound_key(1).thumbprint).await.unwrap(),
        Some(bound_key(1))
    );
    assert_eq!(store.bound_key(bound_key(2).thumbprint).await.unwrap(), None);
}

pub(in crate::store) async fn a_key_takes_the_place_of_the_one_before_and_only_of_that(place: &dyn Place) {
    let store = place.open(ROOM).await;
    let first = registered(store.as_ref(), 1).await;
    let second = next_of(&first);
    let clone = BoundKeyRow {
        thumbprint: Digest::of(b"a clone's"),
        ..second.clone()
    };
    let too_far = next_of(&next_of(&second));
    for (evidence, change) in [
        ("1", rotation(&first, &too_far)),
        ("2", rotation(&first, &second)),
        ("3", rotation(&first, &clone)),
    ] {
        commit(store.as_ref(), &[keeping(evidence, change)], Vec::new())
            .await
            .unwrap();
    }
    store.close().await;
    drop(store);
    let store = place.open(ROOM).await;

    assert_eq!(store.bound_keys().await.unwrap(), [second]);
    assert_eq!(state(store.as_ref(), &first).await, Some(BoundKeyState::Superseded));
    assert_eq!(state(store.as_ref(), &clone).await, None);
    assert_eq!(state(store.as_ref(), &too_far).await, None);
}

pub(in crate::store) async fn replaced_keys_are_remembered_and_the_oldest_forgotten(place: &dyn Place) {
    let store = place.open(ROOM).await;
    let mut keys = vec![registered(store.as_ref(), 1).await];
    for round in 0..=BoundKeyRow::REMEMBERED {
        let next = next_of(keys.last().unwrap());
        let change = rotation(keys.last().unwrap(), &next);
        commit(
            store.as_ref(),
            &[keeping(&format!("round {round}"), change)],
            Vec::new(),
        )
        .await
        .unwrap();
        keys.push(next);
    }

    let mut states = Vec::new();
    for key in &keys {
        states.push(state(store.as_ref(), key).await);
    }
    let remembered = states.iter().filter(|state| **state == Some(BoundKeyState::Superseded));
    assert_eq!(remembered.count() as u64, BoundKeyRow::REMEMBERED);
    assert_eq!(
        (states[0], *states.last().unwrap()),
        (None, Some(BoundKeyState::Current))
    );
}

pub(in crate::store) async fn a_locked_machine_has_no_key_and_a_removed_one_none_at_all(place: &dyn Place) {
    let store = place.open(ROOM).await;
    let (one, other) = (registered(store.as_ref(), 1).await, registered(store.as_ref(), 2).await);
    let lock = BoundKeyChange::Lock {
        registration: one.registration.clone(),
    };

    commit(store.as_ref(), &[keeping("a clone's", lock)], Vec::new())
        .await
        .unwrap();
    let moved = rotation(&one, &next_of(&one));
    commit(store.as_ref(), &[keeping("too late", moved)], Vec::new())
        .await
        .unwrap();

    assert_eq!(state(store.as_ref(), &one).await, Some(BoundKeyState::Locked));
    assert_eq!(state(store.as_ref(), &other).await, Some(BoundKeyState::Current));
    assert!(store.remove_bound_key(&one.registration).await.unwrap());
    assert!(!store.remove_bound_key(&one.registration).await.unwrap());
    assert_eq!(store.bound_keys().await.unwrap(), [other]);
}

pub(in crate::store) async fn registrations_are_bounded(place: &dyn Place) {
    let store = place.open(ROOM).await;
    let register = |number| {
        let change = BoundKeyChange::Register(Box::new(bound_key(number)));
        keeping(&format!("registers {number}"), change)
    };
    let all: Vec<_> = (0..BoundKeyRow::MAX_REGISTRATIONS).map(register).collect();
    for part in all.chunks(500) {
        verdicts(store.as_ref(), part).await;
    }
    assert_eq!(store.bound_keys().await.unwrap().len(), BoundKeyRow::MAX_REGISTRATIONS);

    let more = BoundKeyRow::MAX_REGISTRATIONS;
    verdicts(store.as_ref(), &[register(more)]).await;
    assert_eq!(state(store.as_ref(), &bound_key(more)).await, None);

    let room = store.remove_bound_key(&bound_key(7).registration).await.unwrap();
    registered(store.as_ref(), more + 1).await;
    assert!(room && state(store.as_ref(), &bound_key(more + 1)).await.is_some());
}
