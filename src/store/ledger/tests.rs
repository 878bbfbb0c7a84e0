use super::*;

fn moment(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn one(rule: UseRule, binding: Binding) -> LedgerUse {
    LedgerUse {
        key: Digest::of(b"evidence"),
        binding,
        rule,
        stands_until: moment(1_000),
        ends: None,
        remember_until: moment(2_000),
        proof: None,
        keeps: None,
    }
}

fn dpop(key: &[u8]) -> Binding {
    Binding::Dpop(Digest::of(key))
}

fn certificate(leaf: &[u8]) -> Binding {
    Binding::Certificate(Digest::of(leaf))
}

fn idempotency(key: &[u8]) -> Binding {
    Binding::IdempotencyKey(Digest::of(key))
}

fn second(rule: UseRule, first: Binding, then: Binding) -> LedgerVerdict {
    let judged = judge(&[one(rule, first), one(rule, then)], HashMap::new(), 10);
    assert_eq!(judged.verdicts[0], LedgerVerdict::First);
    assert_eq!(judged.inserts.len(), 1);
    judged.verdicts[1]
}

#[test]
fn a_second_use_is_judged_by_rule_and_binding() {
    let table = [
        (UseRule::Once, Binding::Bearer, Binding::Bearer, LedgerVerdict::Replayed),
        (UseRule::Once, dpop(b"a"), dpop(b"a"), LedgerVerdict::Replayed),
        (UseRule::Keyed, dpop(b"a"), dpop(b"a"), LedgerVerdict::Same),
        (
            UseRule::Keyed,
            idempotency(b"a"),
            idempotency(b"a"),
            LedgerVerdict::Same,
        ),
        (
            UseRule::Keyed,
            Binding::Bearer,
            Binding::Bearer,
            LedgerVerdict::Replayed,
        ),
        (UseRule::Keyed, Binding::Bearer, dpop(b"a"), LedgerVerdict::Replayed),
        (
            UseRule::Keyed,
            Binding::Bearer,
            idempotency(b"a"),
            LedgerVerdict::Replayed,
        ),
        (UseRule::Keyed, dpop(b"a"), Binding::Bearer, LedgerVerdict::Stolen),
        (UseRule::Keyed, dpop(b"a"), dpop(b"b"), LedgerVerdict::Stolen),
        (UseRule::Keyed, dpop(b"a"), idempotency(b"a"), LedgerVerdict::Stolen),
        (
            UseRule::Keyed,
            idempotency(b"a"),
            Binding::Bearer,
            LedgerVerdict::Stolen,
        ),
        (
            UseRule::Keyed,
            idempotency(b"a"),
            idempotency(b"b"),
            LedgerVerdict::Stolen,
        ),
        (UseRule::Keyed, idempotency(b"a"), dpop(b"a"), LedgerVerdict::Stolen),
    ];

    for (rule, first, then, expected) in table {
        assert_eq!(second(rule, first, then), expected, "{rule:?} {first:?} then {then:?}");
    }
}

#[test]
fn mtls_3_a_certificate_binds_to_itself_and_to_no_other_way() {
    let (mine, other) = (certificate(b"a"), certificate(b"b"));
    let table = [
        (UseRule::Once, mine, mine, LedgerVerdict::Replayed),
        (UseRule::Keyed, mine, mine, LedgerVerdict::Same),
        (UseRule::Keyed, mine, other, LedgerVerdict::Stolen),
        (UseRule::Keyed, mine, Binding::Bearer, LedgerVerdict::Stolen),
        (UseRule::Keyed, mine, dpop(b"a"), LedgerVerdict::Stolen),
        (UseRule::Keyed, mine, idempotency(b"a"), LedgerVerdict::Stolen),
        (UseRule::Keyed, dpop(b"a"), mine, LedgerVerdict::Stolen),
        (UseRule::Keyed, idempotency(b"a"), mine, LedgerVerdict::Stolen),
        (UseRule::Keyed, Binding::Bearer, mine, LedgerVerdict::Replayed),
    ];

    for (rule, first, then, expected) in table {
        assert_eq!(second(rule, first, then), expected, "{rule:?} {first:?} then {then:?}");
    }
}

#[test]
fn a_proof_serves_once_even_with_its_own_evidence() {
    let proof = Some((Digest::of(b"proof"), moment(100)));
    let used = LedgerUse {
        proof,
        ..one(UseRule::Keyed, dpop(b"a"))
    };

    let judged = judge(&[used.clone(), used], HashMap::new(), 10);

    assert_eq!(judged.verdicts, [LedgerVerdict::First, LedgerVerdict::ProofReused]);
    assert_eq!(judged.inserts.len(), 2);
}

#[test]
fn a_proof_is_not_mistaken_for_evidence_of_the_same_digest() {
    let used = LedgerUse {
        proof: Some((Digest::of(b"evidence"), moment(100))),
        ..one(UseRule::Keyed, dpop(b"a"))
    };

    let judged = judge(&[used], HashMap::new(), 10);

    assert_eq!(judged.verdicts, [LedgerVerdict::First]);
    assert_ne!(judged.inserts[0].key, judged.inserts[1].key);
}

#[test]
fn an_earlier_standing_is_reported_and_consumes_no_proof() {
    let first = one(UseRule::Keyed, dpop(b"a"));
    let later = |ends| LedgerUse {
        ends: Some(moment(ends)),
        stands_until: moment(9_000),
        proof: Some((Digest::of(b"proof"), moment(100))),
        ..one(UseRule::Keyed, dpop(b"a"))
    };

    let judged = judge(&[first, later(1_001), later(1_000)], HashMap::new(), 10);

    assert_eq!(
        judged.verdicts,
        [
            LedgerVerdict::First,
            LedgerVerdict::Earlier {
                stands_until: moment(1_000)
            },
            LedgerVerdict::Same
        ]
    );
}

#[test]
fn a_full_ledger_refuses_new_evidence_and_still_compares_known_one() {
    let known = one(UseRule::Keyed, dpop(b"a"));
    let new = LedgerUse {
        key: Digest::of(b"new"),
        ..known.clone()
    };
    let proven = LedgerUse {
        proof: Some((Digest::of(b"proof"), moment(100))),
        ..known.clone()
    };

    let judged = judge(&[known.clone(), new, known, proven], HashMap::new(), 1);

    assert_eq!(
        judged.verdicts,
        [
            LedgerVerdict::First,
            LedgerVerdict::Full,
            LedgerVerdict::Same,
            LedgerVerdict::Full
        ]
    );
}

#[test]
fn a_moment_survives_the_store_to_the_nanosecond() {
    let exact = UNIX_EPOCH + Duration::new(1_768_574_400, 123_456_789);

    assert_eq!(from_nanoseconds(to_nanoseconds(exact)), exact);
}
