//! The trail on the embedded store.

use std::{sync::Arc, time::Duration};

use super::{
    checkpoint::{Checkpoint, tests::AuditKey},
    sinks::{Sink, SinkFailed, file::FileSink, stdout::StreamSink},
    *,
};
use crate::{
    attest::{AttestRefusal, Attributes},
    clock::{Clock, FakeClock},
    secret::{Digest, SystemRandom},
    store::{
        Binding, BoxFuture, LedgerUse, Released, Store, TrailFilter, Unreleased, UseRule,
        forgetful::{Fault, ForgetfulStore},
        sqlite::SqliteStore,
    },
};

struct Place {
    directory: tempfile::TempDir,
    clock: Arc<FakeClock>,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            clock: FakeClock::at("2026-01-16T14:40:00Z"),
        }
    }

    fn url(&self) -> String {
        format!("sqlite://{}/cambio.db", self.directory.path().display())
    }

    async fn store(&self) -> Arc<SqliteStore> {
        Arc::new(SqliteStore::open(&self.url()).await.unwrap())
    }

    async fn trail(&self, store: &Arc<SqliteStore>) -> Trail {
        self.start(store, TrailOptions::default()).await.unwrap()
    }

    async fn start(&self, store: &Arc<SqliteStore>, options: TrailOptions) -> Result<Trail, TrailError> {
        let store = Arc::clone(store) as Arc<dyn Store>;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let (trail, _task) = Trail::start(store, clock, &SystemRandom, options).await?;
        Ok(trail)
    }

    fn bearer(&self, evidence: &str) -> LedgerUse {
        let now = self.clock.now();
        LedgerUse {
            key: Digest::of(evidence.as_bytes()),
            binding: Binding::Bearer,
            rule: UseRule::Keyed,
            stands_until: now + Duration::from_hours(1),
            ends: None,
            remember_until: now + Duration::from_mins(10),
            proof: None,
            keeps: None,
        }
    }
}

fn entry(kind: EntryKind, exchange_id: &str) -> Draft {
    Draft {
        kind,
        exchange_id: exchange_id.to_owned(),
        ..Draft::change("test")
    }
    .at("aws-prod")
}

fn group(ledger: Option<LedgerUse>, entries: Vec<Draft>) -> Group {
    Group { ledger, entries }
}

#[tokio::test]
async fn a_recorded_digest_opens_what_waits_for_it() {
    let place = Place::new();
    let store = place.store().await;
    let trail = place.trail(&store).await;
    let credential = Unreleased::new("credential", Digest::of(b"credential"));
    let outcome = entry(EntryKind::Outcome, "x1").opening(credential.digest());

    let recorded = trail.record(group(None, vec![outcome])).await.unwrap();

    let Recorded::Committed(committed) = recorded else {
        panic!("{recorded:?}")
    };
    assert_eq!(
        credential.released(&committed).map(Released::into_inner),
        Ok("credential")
    );
    assert_eq!(store.trail(TrailFilter::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_replay_is_recorded_as_a_denial_and_opens_only_the_denial() {
    let place = Place::new();
    let store = place.store().await;
    let trail = place.trail(&store).await;
    let svid = Digest::of(b"svid");
    let intent = |id| entry(EntryKind::Intent, id).opening(svid);
    let first = group(Some(place.bearer("token")), vec![intent("x1")]);
    let second = group(Some(place.bearer("token")), vec![intent("x2")]);

    let first = trail.record(first).await.unwrap();
    let second = trail.record(second).await.unwrap();

    assert!(matches!(first, Recorded::Committed(committed) if committed.lists(&svid)));
    let Recorded::Refused { committed, refusal } = second else {
        panic!("{second:?}")
    };
    assert!(matches!(refusal, AttestRefusal::Replayed));
    assert!(!committed.lists(&svid));
    assert!(committed.lists(&entry::denial_digest(
        "x2",
        Some("aws-prod"),
        "attest.evidence_replayed"
    )));
    let rows = store.trail(TrailFilter::default()).await.unwrap();
    assert_eq!(rows[1].kind, "denial");
    assert_eq!(rows[1].code, "attest.evidence_replayed");
}

async fn forgetful(options: TrailOptions) -> (Arc<ForgetfulStore>, Arc<FakeClock>, Trail) {
    let store = ForgetfulStore::new();
    let clock = FakeClock::at("2026-01-16T14:40:00Z");
    let trail = on(&store, &clock, options).await.unwrap();
    (store, clock, trail)
}

async fn on(store: &Arc<ForgetfulStore>, clock: &Arc<FakeClock>, options: TrailOptions) -> Result<Trail, TrailError> {
    let store = Arc::clone(store) as Arc<dyn Store>;
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let (trail, _task) = Trail::start(store, clock, &SystemRandom, options).await?;
    Ok(trail)
}

/// Quick enough for a test, slow enough for a busy machine.
fn brisk() -> TrailOptions {
    TrailOptions {
        pace: Pace {
            commit_within: Duration::from_millis(250),
            answer_within: Duration::from_secs(2),
            checkpoint_every: Duration::from_millis(300),
            ..Pace::default()
        },
        ..TrailOptions::default()
    }
}

async fn intact(store: &dyn Store) -> u64 {
    let report = verify::verify(store, verify::Against::default()).await.unwrap();
    assert_eq!(report.faults, []);
    report.entries
}

fn one(exchange_id: &str) -> Group {
    group(None, vec![entry(EntryKind::Mint, exchange_id)])
}

#[tokio::test]
async fn t_03_one_of_64_concurrent_requests_uses_a_token() {
    let place = Place::new();
    let store = place.store().await;
    let trail = place.trail(&store).await;

    for round in 0..20 {
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let trail = trail.clone();
                let evidence = place.bearer(&format!("token {round}"));
                let digest = Digest::of(format!("{round}/{task}").as_bytes());
                let entry = entry(EntryKind::Mint, &format!("{round}-{task}")).opening(digest);
                tokio::spawn(async move {
                    match trail.record(group(Some(evidence), vec![entry])).await.unwrap() {
                        Recorded::Committed(committed) => usize::from(committed.lists(&digest)),
                        Recorded::Refused { committed, .. } => {
                            assert!(!committed.lists(&digest));
                            0
                        }
                        Recorded::Earlier(_) => panic!("nothing stands earlier"),
                    }
                })
            })
            .collect();
        let mut released = 0;
        for task in tasks {
            released += task.await.unwrap();
        }

        assert_eq!(released, 1, "round {round}");
    }
    assert_eq!(intact(store.as_ref()).await, 20 * 64);
}

#[tokio::test]
async fn an_earlier_standing_records_nothing() {
    let place = Place::new();
    let store = place.store().await;
    let trail = place.trail(&store).await;
    let bound = LedgerUse {
        binding: Binding::Dpop(Digest::of(b"key")),
        ..place.bearer("token")
    };
    let later = LedgerUse {
        ends: Some(bound.stands_until + Duration::from_secs(1)),
        ..bound.clone()
    };
    let stands_until = bound.stands_until;
    trail
        .record(group(Some(bound), vec![entry(EntryKind::Intent, "x1")]))
        .await
        .unwrap();

    let recorded = trail
        .record(group(Some(later), vec![entry(EntryKind::Intent, "x2")]))
        .await
        .unwrap();

    assert!(matches!(recorded, Recorded::Earlier(until) if until == stands_until));
    assert_eq!(intact(store.as_ref()).await, 1);
}

#[tokio::test]
async fn tm_05_a_full_ledger_answers_unavailable_and_records_nothing() {
    let place = Place::new();
    let store = ForgetfulStore::within(1);
    let trail = on(&store, &place.clock, TrailOptions::default()).await.unwrap();
    trail.record(group(Some(place.bearer("1")), vec![])).await.unwrap();

    let refused = trail
        .record(group(Some(place.bearer("2")), vec![entry(EntryKind::Mint, "x2")]))
        .await;

    assert!(matches!(&refused, Err(error @ TrailError::LedgerFull) if error.code() == "store.unavailable"));
    assert_eq!(intact(store.as_ref()).await, 0);
}

#[tokio::test]
async fn a_commit_that_fails_releases_nothing_and_the_next_one_goes_on() {
    let (store, _clock, trail) = forgetful(TrailOptions::default()).await;
    trail.record(one("x1")).await.unwrap();
    store.inject(Fault::Fails);

    let failed = trail.record(one("x2")).await;

    assert!(matches!(&failed, Err(error @ TrailError::Store(_)) if error.code() == "store.unavailable"));
    assert!(trail.health().last_error.is_some());
    trail.record(one("x3")).await.unwrap();
    assert_eq!(trail.health().last_error, None);
    let rows = store.trail(TrailFilter::default()).await.unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row.sequence, row.exchange_id.as_str()))
        .collect();
    assert_eq!(found, [(1, "x1"), (2, "x3")]);
    intact(store.as_ref()).await;
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_keeps_its_place_and_releases_nothing() {
    let lines = Lines::default();
    let options = TrailOptions {
        sinks: vec![lines.sink()],
        ..TrailOptions::default()
    };
    let (store, _clock, trail) = forgetful(options).await;
    trail.record(one("x1")).await.unwrap();
    store.inject(Fault::AnswerLost);

    assert!(matches!(trail.record(one("x2")).await, Err(TrailError::Store(_))));

    trail.record(one("x3")).await.unwrap();
    assert_eq!(intact(store.as_ref()).await, 3);
    trail.close().await;
    assert_eq!(lines.text().lines().count(), 3);
}

#[test]
fn tm_41_a_store_is_given_up_after_2_s_and_a_request_answered_within_3_s() {
    let pace = Pace::default();

    assert_eq!(pace.commit_within, Duration::from_secs(2));
    assert_eq!(pace.answer_within, Duration::from_secs(3));
    assert_eq!(pace.checkpoint_every, Duration::from_mins(1));
}

#[tokio::test]
async fn tm_41_a_store_that_hangs_is_given_up_and_the_next_request_recorded() {
    let (store, _clock, trail) = forgetful(brisk()).await;
    store.inject(Fault::Hangs);

    let hung = trail.record(one("x1")).await;

    assert!(matches!(hung, Err(TrailError::Store(_))));
    trail.record(one("x2")).await.unwrap();
    assert_eq!(intact(store.as_ref()).await, 1);
}

#[tokio::test]
async fn tm_41_a_request_is_answered_though_the_writer_is_busy() {
    let options = TrailOptions {
        pace: Pace {
            answer_within: Duration::from_millis(50),
            ..Pace::default()
        },
        ..TrailOptions::default()
    };
    let (store, _clock, trail) = forgetful(options).await;
    store.inject(Fault::Slow(Duration::from_millis(500)));

    let late = trail.record(one("x1")).await;

    assert!(matches!(&late, Err(error @ TrailError::Late { .. }) if error.code() == "store.unavailable"));
}

#[tokio::test]
async fn a_request_that_was_given_up_while_it_queued_is_not_recorded_later() {
    let (store, _clock, trail) = forgetful(TrailOptions::default()).await;
    store.inject(Fault::Slow(Duration::from_millis(300)));
    let busy = tokio::spawn({
        let trail = trail.clone();
        async move { trail.record(one("x1")).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    {
        let mut given_up = Box::pin(trail.record(one("x2")));
        assert!(futures_util::poll!(given_up.as_mut()).is_pending());
    }

    assert!(busy.await.unwrap().is_ok());
    trail.close().await;
    assert_eq!(intact(store.as_ref()).await, 1);
}

#[tokio::test]
async fn the_queue_holds_1024_requests_and_refuses_the_1025th() {
    let (store, _clock, trail) = forgetful(TrailOptions::default()).await;
    store.inject(Fault::Slow(Duration::from_millis(300)));
    let busy = tokio::spawn({
        let trail = trail.clone();
        async move { trail.record(one("busy")).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut waiting: Vec<_> = (0..1_024).map(|_| Box::pin(trail.record(one("waits")))).collect();
    for one in &mut waiting {
        assert!(futures_util::poll!(one.as_mut()).is_pending());
    }
    assert_eq!(trail.health().waiting, 1_024);

    let refused = trail.record(one("too many")).await;

    assert!(matches!(refused, Err(TrailError::Overloaded { waiting: 1_024 })));
    for one in waiting {
        assert!(one.await.is_ok());
    }
    assert!(busy.await.unwrap().is_ok());
    assert_eq!(trail.health().commits, 2);
}

#[tokio::test]
async fn whatever_was_answered_is_durable_after_a_crash_at_any_moment() {
    for round in 0..40 {
        let (store, _clock, trail) = forgetful(TrailOptions::default()).await;
        let answered = Arc::new(std::sync::Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let (trail, answered) = (trail.clone(), Arc::clone(&answered));
                tokio::spawn(async move {
                    for number in 0..5 {
                        let digest = Digest::of(format!("{task}/{number}").as_bytes());
                        let entry = entry(EntryKind::Outcome, &format!("{task}/{number}")).opening(digest);
                        if let Ok(Recorded::Committed(committed)) = trail.record(group(None, vec![entry])).await {
                            assert!(committed.lists(&digest));
                            answered.lock().unwrap().push(digest);
                        }
                    }
                })
            })
            .collect();
        for _ in 0..round {
            tokio::task::yield_now().await;
        }

        let next = store.crash();

        for task in tasks {
            task.await.unwrap();
        }
        let rows = next.trail(TrailFilter::default()).await.unwrap();
        let durable: Vec<_> = rows.iter().flat_map(|row| row.opens.clone()).collect();
        let answered = answered.lock().unwrap().clone();
        assert!(answered.iter().all(|digest| durable.contains(digest)), "round {round}");
        intact(next.as_ref()).await;
    }
}

#[tokio::test]
async fn intents_without_outcome_are_closed_once_at_the_next_start() {
    let (store, clock, trail) = forgetful(TrailOptions::default()).await;
    let intents = ["x1", "x2", "x3"].map(|id| entry(EntryKind::Intent, id)).to_vec();
    trail.record(group(None, intents)).await.unwrap();
    trail
        .record(group(None, vec![entry(EntryKind::Outcome, "x2")]))
        .await
        .unwrap();

    let store = store.crash();
    let _second = on(&store, &clock, TrailOptions::default()).await.unwrap();
    let store = store.crash();
    let _third = on(&store, &clock, TrailOptions::default()).await.unwrap();

    let filter = TrailFilter {
        kind: Some("unknown".to_owned()),
        ..TrailFilter::default()
    };
    let unknown = store.trail(filter).await.unwrap();
    let closed: Vec<_> = unknown.iter().map(|row| row.exchange_id.as_str()).collect();
    assert_eq!(closed, ["x1", "x3"]);
    let open = TrailFilter {
        open: true,
        ..TrailFilter::default()
    };
    assert_eq!(store.trail(open).await.unwrap(), []);
    assert_eq!(intact(store.as_ref()).await, 6);
}

#[tokio::test]
async fn tm_53_records_nothing_after_a_jump_until_the_clock_is_confirmed() {
    let (store, clock, trail) = forgetful(TrailOptions::default()).await;
    trail.record(one("x1")).await.unwrap();
    clock.set(clock.now() + Duration::from_hours(24));

    let refused = trail.record(one("x2")).await;

    assert!(matches!(&refused, Err(error @ TrailError::ClockUntrusted { .. }) if error.code() == "clock.untrusted"));
    assert!(!trail.health().clock_trusted);
    trail.confirm_clock().await.unwrap();
    trail.record(one("x3")).await.unwrap();
    let rows = store.trail(TrailFilter::default()).await.unwrap();
    let kinds: Vec<_> = rows.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(kinds, ["mint", "change", "mint"]);
}

#[tokio::test]
async fn tm_53_starts_with_a_clock_before_the_trail_but_records_only_once_it_is_confirmed() {
    let (store, clock, trail) = forgetful(TrailOptions::default()).await;
    trail
        .record(group(None, vec![entry(EntryKind::Intent, "x1")]))
        .await
        .unwrap();
    let store = store.crash();
    clock.set(clock.now() - Duration::from_secs(61));

    let trail = on(&store, &clock, TrailOptions::default()).await.unwrap();

    assert!(matches!(
        trail.record(one("x2")).await,
        Err(TrailError::ClockUntrusted { .. })
    ));
    trail.confirm_clock().await.unwrap();
    let rows = store.trail(TrailFilter::default()).await.unwrap();
    let kinds: Vec<_> = rows.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(kinds, ["intent", "unknown", "change"]);
}

#[tokio::test]
async fn closing_commits_what_is_queued_and_refuses_what_comes_later() {
    let place = Place::new();
    let store = place.store().await;
    let trail = place.trail(&store).await;
    let queued: Vec<_> = (0..100)
        .map(|number| {
            let trail = trail.clone();
            tokio::spawn(async move { trail.record(one(&number.to_string())).await })
        })
        .collect();
    tokio::task::yield_now().await;

    trail.close().await;

    for answer in queued {
        assert!(matches!(answer.await.unwrap(), Ok(Recorded::Committed(_))));
    }
    assert_eq!(intact(store.as_ref()).await, 100);
    assert!(matches!(trail.record(one("late")).await, Err(TrailError::Stopped)));
}

#[tokio::test]
async fn a_chain_is_of_one_process_and_all_verify_together() {
    let place = Place::new();
    for _ in 0..3 {
        let store = place.store().await;
        let trail = place.trail(&store).await;
        trail.record(one("x")).await.unwrap();
        trail.close().await;
        store.close().await;
    }

    let store = SqliteStore::open_read_only(&place.url()).await.unwrap();

    let report = verify::verify(&store, verify::Against::default()).await.unwrap();
    assert_eq!((report.entries, report.chains, report.is_intact()), (3, 3, true));
}

#[derive(Clone, Debug, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(StreamSink::new("stdout", Box::new(self.clone())))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn a_sink_gets_each_entry_as_it_was_hashed_with_its_hash() {
    let lines = Lines::default();
    let options = TrailOptions {
        sinks: vec![lines.sink()],
        ..TrailOptions::default()
    };
    let (store, _clock, trail) = forgetful(options).await;
    trail.record(one("x1")).await.unwrap();
    trail.record(one("x2")).await.unwrap();

    trail.close().await;

    let rows = store.trail(TrailFilter::default()).await.unwrap();
    let text = lines.text();
    for (line, row) in text.lines().zip(&rows) {
        let hash = format!(",\"hash\":\"{}\"}}", row.hash);
        assert_eq!(
            line.strip_suffix(&hash).map(|body| format!("{body}}}")),
            Some(row.body.clone())
        );
    }
    assert_eq!(text.lines().count(), 2);
    assert_eq!(
        query::lines(store.as_ref(), TrailFilter::default())
            .await
            .unwrap()
            .join("\n")
            + "\n",
        text
    );
}

#[tokio::test]
async fn an_entry_is_written_in_a_stable_form() {
    let (store, _clock, trail) = forgetful(TrailOptions::default()).await;
    let outcome = entry(EntryKind::Outcome, "x1")
        .refused("cloud.denied", "AccessDenied\n\u{202e}")
        .opening(Digest::of(b"refusal"));

    trail.record(group(None, vec![outcome])).await.unwrap();

    let body = store.trail(TrailFilter::default()).await.unwrap().remove(0).body;
    let body = body.replace(&trail.health().writer, "[writer]");
    insta::assert_snapshot!(body, @r#"{"v":1,"writer":"[writer]","sequence":1,"time":"2026-01-16T14:40:00Z","prev":"0000000000000000000000000000000000000000000000000000000000000000","kind":"outcome","exchange_id":"x1","relying_party":"aws-prod","code":"cloud.denied","detail":"AccessDenied\\u{a}\\u{202e}","opens":["424fb0794608103b88e8671a3d8b723c393be64bc1c4a48389e438952a58af0e"]}"#);
}

#[tokio::test]
async fn tm_36_every_text_of_an_entry_is_cut_and_escaped_whoever_filled_it_in() {
    let (store, _clock, trail) = forgetful(TrailOptions::default()).await;
    let hostile = format!("\n{{\"ok\":1}}\u{1b}[1m\u{202e}\0{}", "a".repeat(1 << 20));
    let mut attributes = Attributes::default();
    attributes.insert("ci.ref", "\u{202e}".repeat(85)).unwrap();
    let draft = Draft {
        exchange_id: hostile.clone(),
        spiffe_id: Some(hostile.clone()),
        code: Some(hostile.clone()),
        detail: Some(hostile.clone()),
        evidence: Some(entry::EvidenceFacts {
            attestor: hostile.clone(),
            issuer: hostile.clone(),
            subject: hostile.clone(),
            sha256: hostile,
            attributes,
        }),
        ..entry(EntryKind::Denial, "")
    };

    trail.record(group(None, vec![draft])).await.unwrap();

    let row = store.trail(TrailFilter::default()).await.unwrap().remove(0);
    assert!(row.body.len() < 10 * 600, "{}", row.body.len());
    assert!(row.spiffe_id.len() <= 512 && row.code.len() <= 512 && row.exchange_id.len() <= 512);
    assert!(
        !row.body
            .chars()
            .any(|character| character.is_control() || character == '\u{202e}')
    );
    assert_eq!(
        query::lines(store.as_ref(), TrailFilter::default()).await.unwrap()[0]
            .lines()
            .count(),
        1
    );
    intact(store.as_ref()).await;
}

#[tokio::test]
async fn tm_39_neither_token_nor_credential_reaches_the_files() {
    let place = Place::new();
    let store = place.store().await;
    let trail = place.trail(&store).await;
    let credential = Unreleased::new("canary-credential", Digest::of(b"canary-credential"));
    let outcome = entry(EntryKind::Outcome, "x1").opening(credential.digest());

    trail
        .record(group(Some(place.bearer("canary-token")), vec![outcome]))
        .await
        .unwrap();

    trail.close().await;
    for file in std::fs::read_dir(place.directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"canary-"));
    }
}

#[derive(Debug)]
struct Stuck;

impl Sink for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn write<'a>(&'a self, _lines: &'a [String]) -> BoxFuture<'a, Result<(), SinkFailed>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn tm_38_a_sink_that_is_stuck_holds_nothing_up_and_what_it_misses_is_counted() {
    let options = TrailOptions {
        sinks: vec![Arc::new(Stuck)],
        ..TrailOptions::default()
    };
    let (_store, _clock, trail) = forgetful(options).await;
    let many = |count: usize| group(None, vec![entry(EntryKind::Mint, "x"); count]);
    trail.record(many(5_000)).await.unwrap();
    trail.record(many(5_000)).await.unwrap();
    let full = trail.health().sinks.remove(0);

    trail.record(many(1)).await.unwrap();

    let over = trail.health().sinks.remove(0);
    assert_eq!((full.waiting, full.dropped), (10_000, 0));
    assert_eq!((over.waiting, over.dropped), (10_000, 1));
    trail.close().await;
}

#[tokio::test]
async fn a_file_sink_appends_for_its_owner_only_and_follows_no_link() {
    use std::os::unix::fs::{MetadataExt, symlink};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trail.jsonl");
    let sink = FileSink::open("file", &path).unwrap();
    sink.write(&["one".to_owned(), "two".to_owned()]).await.unwrap();

    std::fs::rename(&path, directory.path().join("rotated")).unwrap();
    sink.write(&["three".to_owned()]).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    assert_eq!(
        std::fs::read_to_string(directory.path().join("rotated")).unwrap(),
        "one\ntwo\n"
    );
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);

    std::fs::remove_file(&path).unwrap();
    symlink(directory.path().join("rotated"), &path).unwrap();
    assert!(sink.write(&["four".to_owned()]).await.is_err());
    assert!(FileSink::open("file", &path).is_err());
    assert_eq!(
        std::fs::read_to_string(directory.path().join("rotated")).unwrap(),
        "one\ntwo\n"
    );
}

fn signed_by(key: &AuditKey) -> TrailOptions {
    TrailOptions {
        signer: Some(Arc::new(key.clone())),
        ..TrailOptions::default()
    }
}

async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("what was waited for did not come");
}

#[tokio::test]
async fn a_checkpoint_is_made_at_1000_entries_and_not_at_999() {
    let key = AuditKey::new();
    let (store, _clock, trail) = forgetful(signed_by(&key)).await;
    let many = |count: usize| group(None, vec![entry(EntryKind::Mint, "x"); count]);

    trail.record(many(999)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(store.fact("trail.checkpoint").await.unwrap(), None);
    trail.record(many(1)).await.unwrap();

    let text = eventually(async || store.fact("trail.checkpoint").await.unwrap()).await;
    let kept = Checkpoint::verify(&text, &key.public()).unwrap();
    assert_eq!(kept.heads()[0].sequence, 1_000);
}

#[tokio::test]
async fn a_checkpoint_is_made_after_its_time_and_sent_to_every_sink() {
    let key = AuditKey::new();
    let lines = Lines::default();
    let options = TrailOptions {
        sinks: vec![lines.sink()],
        signer: Some(Arc::new(key.clone())),
        ..brisk()
    };
    let (store, _clock, trail) = forgetful(options).await;
    trail.record(one("x1")).await.unwrap();
    assert_eq!(store.fact("trail.checkpoint").await.unwrap(), None);

    let text = eventually(async || store.fact("trail.checkpoint").await.unwrap()).await;

    assert!(Checkpoint::verify(&text, &key.public()).is_ok());
    assert!(trail.health().last_checkpoint.is_some());
    trail.close().await;
    assert!(lines.text().lines().any(|line| line == text));
}

#[tokio::test]
async fn tm_42_an_older_copy_of_the_store_is_refused_unless_accepted() {
    let key = AuditKey::new();
    let place = Place::new();
    let yesterday = place.directory.path().join("yesterday.db");
    let database = place.directory.path().join("cambio.db");
    for round in 0..2 {
        let store = place.store().await;
        let trail = place.start(&store, signed_by(&key)).await.unwrap();
        trail.record(one("x")).await.unwrap();
        trail.close().await;
        store.close().await;
        if round == 0 {
            std::fs::copy(&database, &yesterday).unwrap();
        }
    }
    let store = place.store().await;
    let text = store.fact("trail.checkpoint").await.unwrap().unwrap();
    let kept = Checkpoint::verify(&text, &key.public()).unwrap();
    store.close().await;
    drop(store);
    std::fs::copy(&yesterday, &database).unwrap();
    let with = |rollback| TrailOptions {
        known_heads: kept.heads().to_vec(),
        rollback,
        ..signed_by(&key)
    };
    let store = place.store().await;

    let refused = place.start(&store, with(Rollback::Refuse)).await;

    assert!(
        matches!(&refused, Err(error @ TrailError::RolledBack { found: 0, expected: 1, .. })
        if error.code() == "store.rolled_back")
    );
    assert!(place.start(&store, with(Rollback::Accept)).await.is_ok());
    let public = key.public();
    let against = verify::Against {
        checkpoint: Some(&text),
        key: Some(&public),
    };
    assert!(!verify::verify(store.as_ref(), against).await.unwrap().is_intact());
}

#[tokio::test]
async fn a_store_cut_below_its_own_checkpoint_is_refused_at_start() {
    let key = AuditKey::new();
    let (store, clock, trail) = forgetful(signed_by(&key)).await;
    trail.record(one("x1")).await.unwrap();
    trail.record(one("x2")).await.unwrap();
    trail.close().await;
    store.tamper(|rows| {
        rows.pop();
    });
    let store = store.crash();

    let refused = on(&store, &clock, signed_by(&key)).await;

    assert!(matches!(
        refused,
        Err(TrailError::RolledBack {
            found: 1,
            expected: 2,
            ..
        })
    ));
}
