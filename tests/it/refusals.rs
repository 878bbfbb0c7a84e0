//! THE table of refusals: every stable code of every step, what a caller sees of it, and what produces it on the wire.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path, sync::Arc, time::Duration};

use cambio::{
    attest::{AttestRefusal, Attestation, Evidence, Possession, Verdict, attribute::AttributeRefused},
    audit::TrailError,
    authorize::Denial,
    clock::{Clock as _, unix_seconds},
    exchange::{CloudRefusal, aws::Refusal as AwsRefusal, aws_sts::sim::AwsSim, azure_entra::sim::EntraSim},
    gateway::{answer::Cause, ask::NotOffered},
    http::{error::Refusal, request_refusal::RequestRefusal},
    identify::{ActorRefused, Unidentified, Workload},
    jose::{Algorithm, PublicKey},
    mint::{MintRefusal, csr::CsrRefused, outside::ChainRefused},
    secret::{Digest, NoRandomness, Secret},
    sim::Mutation,
    store::{NotCommitted, StoreError},
};
use serde_json::{Value, json};

use crate::world::{ACCESS_TOKEN, Behaviour, EXCHANGE, GRANT_TYPE, JWT, TOKEN, World, compact, hs256, key, part};

/// A code, and the test of this crate that produces it through the network, or why no caller can.
type Row = (&'static str, Result<&'static str, &'static str>);

const CODES: &[Row] = &[
    ("attest.attribute_invalid", Ok("evidence_that_is_at_fault")),
    ("attest.audience_mismatch", Ok("evidence_that_is_at_fault")),
    ("attest.claim_invalid", Ok("evidence_that_is_at_fault")),
    ("attest.dpop_invalid", Ok("evidence_by_another_than_its_first_user")),
    ("attest.dpop_reused", Ok("evidence_by_another_than_its_first_user")),
    ("attest.event_forbidden", Ok("evidence_that_is_at_fault")),
    ("attest.evidence_expired", Ok("evidence_that_is_at_fault")),
    (
        "attest.evidence_malformed",
        Ok("evidence_without_the_form_of_any_says_so_and_nothing_else"),
    ),
    ("attest.evidence_not_yet_valid", Ok("evidence_that_is_at_fault")),
    (
        "attest.evidence_oversized",
        Ok("t_14_takes_16_kib_of_token_and_refuses_one_byte_more"),
    ),
    (
        "attest.evidence_replayed",
        Ok("evidence_by_another_than_its_first_user"),
    ),
    ("attest.evidence_stolen", Ok("evidence_by_another_than_its_first_user")),
    ("attest.evidence_too_old", Ok("evidence_that_is_at_fault")),
    (
        "attest.evidence_unverifiable",
        Ok("t_13_unverifiable_evidence_gets_one_answer_whatever_is_wrong"),
    ),
    (
        "attest.idempotency_key_weak",
        Ok("evidence_by_another_than_its_first_user"),
    ),
    ("attest.key_ended", Ok("a_copy_that_rotates_locks_the_machine")),
    (
        "attest.key_refused",
        Ok("a_key_is_registered_once_and_only_by_its_holder"),
    ),
    ("attest.key_superseded", Ok("a_copy_that_rotates_locks_the_machine")),
    (
        "attest.kind_unknown",
        Ok("evidence_of_a_kind_that_is_not_compiled_in_learns_those_that_are"),
    ),
    ("attest.owner_not_allowed", Ok("evidence_that_is_at_fault")),
    ("attest.resume_unknown", Ok("evidence_by_another_than_its_first_user")),
    (
        "attest.review_refused",
        Ok("t_68_a_pod_that_was_deleted_gets_nothing_more"),
    ),
    (
        "attest.review_unavailable",
        Ok("a_cluster_that_does_not_answer_attests_nobody"),
    ),
    ("attest.session_over", Ok("a_resume_that_comes_too_late")),
    (
        "authorize.actor_not_granted",
        Ok("tx_18_a_grant_is_for_the_actors_that_it_names_and_for_nobody_else"),
    ),
    ("authorize.condition_failed", Ok("each_way_policy_says_no")),
    ("authorize.forbidden", Ok("each_way_policy_says_no")),
    ("authorize.lifetime_below_minimum", Ok("a_resume_that_comes_too_late")),
    ("authorize.locked", Ok("each_way_policy_says_no")),
    ("authorize.locks_stale", Ok("each_way_policy_says_no")),
    ("authorize.no_grant", Ok("each_way_policy_says_no")),
    (
        "authorize.policy_error",
        Err("policies are validated strictly at load, so none fails when it is asked"),
    ),
    ("authorize.relying_party_unknown", Ok("each_way_policy_says_no")),
    (
        "authorize.subject_refused",
        Err("the load checks that every subject can be made"),
    ),
    ("authorize.svid_not_released", Ok("each_way_policy_says_no")),
    ("chain.duplicate_certificate", Ok("what_a_chain_may_not_be")),
    ("chain.extension_refused", Ok("what_a_chain_may_not_be")),
    ("chain.key_mismatch", Ok("what_a_chain_may_not_be")),
    ("chain.key_unsupported", Ok("what_a_chain_may_not_be")),
    ("chain.key_usage", Ok("what_a_chain_may_not_be")),
    ("chain.life_refused", Ok("what_a_chain_may_not_be")),
    ("chain.malformed", Ok("what_a_chain_may_not_be")),
    ("chain.names_refused", Ok("what_a_chain_may_not_be")),
    ("chain.no_request", Ok("what_a_chain_may_not_be")),
    ("chain.not_authority", Ok("what_a_chain_may_not_be")),
    ("chain.not_valid_now", Ok("what_a_chain_may_not_be")),
    ("chain.outlives_issuer", Ok("what_a_chain_may_not_be")),
    ("chain.path_length", Ok("what_a_chain_may_not_be")),
    ("chain.root_missing", Ok("what_a_chain_may_not_be")),
    (
        "chain.root_refused",
        Ok("another_root_is_refused_unless_it_is_asked_for"),
    ),
    (
        "chain.root_unknown",
        Ok("another_root_is_refused_unless_it_is_asked_for"),
    ),
    ("chain.signature_broken", Ok("what_a_chain_may_not_be")),
    ("chain.too_large", Ok("what_a_chain_may_not_be")),
    ("chain.unverifiable", Ok("what_a_chain_may_not_be")),
    ("clock.untrusted", Ok("what_the_gateway_stands_on_is_gone")),
    ("csr.asks_for_authority", Ok("what_a_certificate_request_may_not_be")),
    ("csr.asks_for_extensions", Ok("what_a_certificate_request_may_not_be")),
    ("csr.asks_for_names", Ok("what_a_certificate_request_may_not_be")),
    ("csr.key_unsupported", Ok("what_a_certificate_request_may_not_be")),
    ("csr.key_weak", Ok("what_a_certificate_request_may_not_be")),
    ("csr.malformed", Ok("what_a_certificate_request_may_not_be")),
    ("csr.signature_broken", Ok("what_a_certificate_request_may_not_be")),
    ("csr.too_large", Ok("what_a_certificate_request_may_not_be")),
    (
        "exchange.budget_spent",
        Ok("a_cloud_that_says_when_to_come_again_is_not_called_before"),
    ),
    ("exchange.cloud_refused", Ok("each_way_a_cloud_says_no")),
    ("exchange.cloud_throttled", Ok("each_way_a_cloud_says_no")),
    ("exchange.cloud_unavailable", Ok("each_way_a_cloud_says_no")),
    ("exchange.preflight_refused", Ok("each_way_a_cloud_says_no")),
    ("exchange.upstream_garbage", Ok("each_way_a_cloud_says_no")),
    ("exchange.upstream_oversized", Ok("each_way_a_cloud_says_no")),
    (
        "identify.actor_chain_too_long",
        Ok("tm_31_a_chain_grows_to_three_actors_and_never_outlives_its_beginning"),
    ),
    (
        "identify.actor_not_allowed",
        Ok("tx_19_a_subject_token_says_who_may_act"),
    ),
    ("identify.actor_unfit", Ok("what_an_actor_token_may_not_be")),
    ("identify.no_entry", Ok("workloads_without_a_name")),
    ("identify.template_refused", Ok("workloads_without_a_name")),
    ("issuer.unavailable", Ok("what_the_gateway_stands_on_is_gone")),
    (
        "key.unavailable",
        Err("keys stand in memory once the gateway has started"),
    ),
    (
        "mint.actor_in_certificate",
        Ok("a_certificate_is_not_given_to_whoever_is_acted_for"),
    ),
    (
        "mint.claim_reserved",
        Err("no compiled-in relying party shapes such a claim"),
    ),
    ("mint.csr_missing", Ok("a_certificate_request_at_the_wrong_place")),
    ("mint.csr_unexpected", Ok("a_certificate_request_at_the_wrong_place")),
    ("mint.lint_failed", Err("only a defect of the minter itself makes it")),
    (
        "mint.randomness_unavailable",
        Err("the platform's generator does not fail"),
    ),
    ("request.body_invalid", Ok("requests_that_are_not_in_order")),
    (
        "request.body_too_large",
        Ok("t_14_takes_64_kib_of_body_and_refuses_one_byte_more"),
    ),
    ("request.body_too_slow", Ok("tm_46_refuses_a_body_that_does_not_arrive")),
    ("request.grant_type_unsupported", Ok("requests_that_are_not_in_order")),
    ("request.header_invalid", Ok("requests_that_are_not_in_order")),
    ("request.method_not_allowed", Ok("every_endpoint_refuses_other_methods")),
    ("request.overloaded", Ok("tm_43_refuses_what_is_above_the_limits")),
    ("request.parameter_invalid", Ok("requests_that_are_not_in_order")),
    ("request.rate_limited", Ok("tm_43_refuses_what_is_above_the_limits")),
    ("request.resource_unsupported", Ok("requests_that_are_not_in_order")),
    ("request.route_unknown", Ok("unknown_paths_are_refused")),
    (
        "request.scope_invalid",
        Ok("a_permitted_workload_learns_that_it_asked_for_what_is_not_offered"),
    ),
    (
        "request.timed_out",
        Err("no upstream call and no commit may take 30 s; each has its own shorter limit"),
    ),
    ("store.rolled_back", Err("it refuses the start, not a request")),
    ("store.unavailable", Ok("what_the_gateway_stands_on_is_gone")),
];

const STEPS: [&str; 11] = [
    "attest",
    "authorize",
    "chain",
    "clock",
    "csr",
    "exchange",
    "identify",
    "issuer",
    "key",
    "mint",
    "request",
];

#[test]
fn every_code_in_the_source_has_a_row_and_every_row_a_code() {
    let found = codes_in_the_source();

    let rows: BTreeSet<String> = CODES.iter().map(|(code, _)| (*code).to_owned()).collect();
    let without_row: Vec<_> = found.difference(&rows).collect();
    let without_code: Vec<_> = rows.difference(&found).collect();
    assert!(without_row.is_empty(), "codes without a row: {without_row:?}");
    assert!(without_code.is_empty(), "rows without a code: {without_code:?}");
    assert_eq!(rows.len(), CODES.len(), "a code has two rows");
}

#[test]
fn every_test_that_a_row_names_exists_and_asserts_its_code() {
    let files = fs::read_dir(root().join("tests/it")).unwrap();
    let sources: Vec<String> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for (code, produced) in CODES {
        let Ok(test) = produced else { continue };
        let body = sources.iter().find_map(|source| {
            let (_, after) = source.split_once(&format!("fn {test}("))?;
            after.split("\n}\n").next()
        });
        let body = body.unwrap_or_else(|| panic!("{code}: no test {test}"));
        assert!(
            body.contains(&format!("\"{code}\"")),
            "{code}: {test} does not assert it"
        );
    }
}

/// The literals in the bodies of `fn code(&self) -> &'static str` that are stable codes of ours.
fn codes_in_the_source() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut directories = vec![root().join("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                for body in text.split("fn code(&self) -> &'static str {").skip(1) {
                    let body = body.split("\n    }\n").next().unwrap();
                    found.extend(
                        body.split('"')
                            .skip(1)
                            .step_by(2)
                            .filter(|text| is_ours(text))
                            .map(str::to_owned),
                    );
                }
            }
        }
    }
    assert!(found.len() > 40, "the reader of the source found only {}", found.len());
    found
}

fn is_ours(text: &str) -> bool {
    text.split_once('.').is_some_and(|(step, noun)| {
        (STEPS.contains(&step) || step == "store")
            && !noun.is_empty()
            && noun.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_table_of_refusals() {
    let world = World::start().await;
    let mut table = String::new();
    let mut codes = BTreeSet::new();

    let attestation = attestation(&world).await;
    let registry = &world.development.running.gateway().rules.load_full().registry;
    let workload = registry.identify(attestation.clone()).unwrap();
    for refusal in every_refusal(&attestation, &workload) {
        codes.insert(refusal.code);
        let retry = refusal
            .retry_after_seconds
            .map_or(String::new(), |seconds| format!(" retry-after={seconds}"));
        let cloud = refusal
            .cloud_code
            .map_or(String::new(), |code| format!(" cloud={code}"));
        let (code, status) = (refusal.code, refusal.status.as_u16());
        let line = format!("{code:<34} {status} {:<24}{retry}{cloud}", refusal.oauth);
        writeln!(table, "{}\n    {}", line.trim_end(), refusal.sentence).unwrap();
    }

    insta::assert_snapshot!("table", table);
    let missing: Vec<_> = CODES
        .iter()
        .map(|(code, _)| *code)
        .filter(|code| !codes.contains(code))
        .collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

/// An attestation as the attestor of a running gateway gives it.
async fn attestation(world: &World) -> Attestation {
    let evidence = Evidence::new(Secret::new(world.good()), None, Possession::Bearer);
    let rules = world.development.running.gateway().rules.load_full();
    match rules.attestors[0].judge(&evidence, world.now()).await {
        Verdict::Attested(attestation) => *attestation,
        other => panic!("{other:?}"),
    }
}

/// One value of every variant of every step's refusals.
fn every_refusal(attestation: &Attestation, workload: &Workload) -> Vec<Refusal> {
    let mut all: Vec<Refusal> = requests().iter().map(Refusal::from).collect();
    all.extend(attest_refusals().iter().map(Refusal::from));
    all.extend(denials().iter().map(Refusal::from));
    all.extend(mint_refusals().iter().map(Refusal::from));
    all.extend(csr_refusals().iter().map(Refusal::from));
    all.extend(chain_refusals().iter().map(Refusal::from));
    all.extend(cloud_refusals().iter().map(Refusal::from));
    let unnamed = unidentified(attestation, workload).into_iter().map(Cause::from);
    all.extend(causes().into_iter().chain(unnamed).map(|cause| Refusal::from(&cause)));
    all.sort_by_key(|refusal| refusal.code);
    all
}

fn csr_refusals() -> Vec<CsrRefused> {
    use CsrRefused as C;
    let weak = serde_json::Map::from_iter([
        ("kty".to_owned(), json!("RSA")),
        ("n".to_owned(), json!("AQAB")),
        ("e".to_owned(), json!("AQAB")),
    ]);
    vec![
        C::AsksForAuthority,
        C::AsksForExtensions {
            found: "2.5.29.15".into(),
        },
        C::AsksForNames,
        C::KeyUnsupported {
            found: "the curve 1.3.132.0.33".into(),
        },
        C::KeyWeak(PublicKey::from_jwk(&weak, &[Algorithm::Rs256]).unwrap_err()),
        C::Malformed {
            problem: "found more than one block".into(),
        },
        C::Signature {
            problem: "does not hold, so that possession of the key is not proven".into(),
        },
        C::TooLarge { found: 9_000 },
    ]
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn chain_refusals() -> Vec<ChainRefused> {
    use ChainRefused as C;
    let (position, moment) = (1, "2026-01-16T14:40:00Z");
    let (key, other) = (
        "9N8jUvZWgAdZ4XSqXPC0gLo2V5YYT9VYrrfmFGFW2cU",
        "JtGsPrMh47ePNyKonTdtnSPpMjRdSXvOi5vMJ7lzDNQ",
    );
    let name = |found: &str, expected: &str| C::Names {
        position,
        found: found.into(),
        expected: expected.into(),
    };
    vec![
        C::Duplicate { first: 1, second: 2 },
        C::Extension {
            position,
            found: "NameConstraints".into(),
        },
        C::KeyMismatch {
            found: key.into(),
            expected: other.into(),
        },
        C::KeyUnsupported {
            position: 2,
            found: "of the kind 1.3.101.112".into(),
        },
        C::KeyUsage {
            position,
            found: "Key Cert Sign".into(),
            expected: "keyCertSign and cRLSign",
        },
        C::Life {
            found_seconds: 31_536_000,
            least_seconds: 518_400,
            most_seconds: 2_592_000,
        },
        C::Malformed {
            problem: "it holds no certificate".into(),
        },
        name(
            "the name `spiffe://other.example`",
            "`spiffe://prod.acme.example` or no name",
        ),
        C::NoRequest,
        C::NotAuthority { position },
        C::NotValid {
            position,
            from: "2016-01-01T00:00:00Z".into(),
            to: "2026-01-01T00:00:00Z".into(),
            now: moment.into(),
        },
        C::OutlivesIssuer {
            position,
            found: "2026-02-15T14:40:00Z".into(),
            expected: moment.into(),
        },
        C::PathLength {
            position,
            found: "none".into(),
            expected: "0".into(),
        },
        C::RootMissing {
            found: "CN=Acme Root".into(),
        },
        C::RootRefused {
            found: key.into(),
            problem: "is retired",
        },
        C::RootUnknown {
            found: key.into(),
            expected: other.into(),
        },
        C::Signature {
            position,
            problem: "is not signed by the key of `CN=Acme Root`".into(),
        },
        C::TooLarge {
            found: 6,
            unit: "certificates",
            most: 5,
        },
        C::Unverifiable {
            problem: "RequiredEkuNotFound".into(),
        },
    ]
}

fn requests() -> Vec<RequestRefusal> {
    use RequestRefusal as R;
    vec![
        R::BodyInvalid {
            problem: "the body is no JSON object".into(),
        },
        R::BodyTooLarge { limit_bytes: 65_536 },
        R::BodyTooSlow { limit_seconds: 10 },
        R::GrantTypeUnsupported {
            found: "password".into(),
        },
        R::HeaderInvalid {
            name: "dpop",
            problem: "is there more than once",
        },
        R::MethodNotAllowed { expected: "POST" },
        R::Overloaded,
        R::ParameterInvalid {
            name: "audience",
            problem: "is missing".into(),
        },
        R::RateLimited {
            whose: "source address",
            per_second: 50,
            retry_after_seconds: 2,
        },
        R::ResourceUnsupported,
        R::RouteUnknown,
        R::TimedOut { limit_seconds: 30 },
    ]
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn attest_refusals() -> Vec<AttestRefusal> {
    use AttestRefusal as A;
    vec![
        A::Attribute(AttributeRefused {
            name: "ci.sha",
            found_bytes: 256,
        }),
        A::AudienceMismatch {
            expected: "https://id.test".into(),
            found: "`https://other.test`".into(),
        },
        A::Claim {
            claim: "exp".into(),
            found: "missing".into(),
            expected: "it".into(),
        },
        A::Dpop {
            reason: "found 1 part, expected 3".into(),
        },
        A::EventForbidden {
            found: "pull_request".into(),
        },
        A::Expired {
            ago: Duration::from_secs(31),
        },
        A::IdempotencyKeyWeak { found_bytes: 3 },
        A::IssuerUnavailable {
            issuer: "https://ci.test".into(),
            source: "timed out".into(),
        },
        A::KeyEnded {
            reason: "it was not replaced within `max_key_age`, 30 days".into(),
        },
        A::KeyRefused {
            reason: "another key made the proof".into(),
        },
        A::KeySuperseded {
            machine: "press-7".into(),
            registration: "0123456789abcdef".into(),
        },
        A::KindUnknown {
            found: "tpm".into(),
            expected: "oidc".into(),
        },
        A::LedgerUnavailable { source: locked() },
        A::Malformed {
            reason: "found 2 parts, expected 3".into(),
        },
        A::NotYetValid {
            ahead: Duration::from_secs(31),
        },
        A::Oversized { found_bytes: 16_385 },
        A::OwnerNotAllowed {
            found: "`evil` (66)".into(),
        },
        A::ProofReused,
        A::Replayed,
        A::ResumeUnknown,
        A::ReviewRefused {
            reason: "it is not authenticated".into(),
        },
        A::ReviewUnavailable {
            cluster: "prod".into(),
            source: "timed out".into(),
        },
        A::SessionOver,
        A::Stolen,
        A::TooOld {
            age: Duration::from_secs(601),
            max: Duration::from_mins(10),
        },
        A::Unverifiable {
            reason: "for the trail only".into(),
        },
    ]
}

fn denials() -> Vec<Denial> {
    use Denial as D;
    let (grant, relying_party) = ("shop".to_owned(), "aws".to_owned());
    vec![
        D::ActorNotGranted {
            actor: "none of them is for `spiffe://prod.acme.example/agent/triage` to act".into(),
            entry: "shop".into(),
            relying_party: relying_party.clone(),
        },
        D::ConditionFailed {
            grant: grant.clone(),
            condition: "`ci.ref` is `a`, expected `b`".into(),
        },
        D::Forbidden {
            policy: "night.cedar/policy0".into(),
        },
        D::LifetimeBelowMinimum {
            relying_party: relying_party.clone(),
            permitted_seconds: 600,
            minimum_seconds: 900,
        },
        D::Locked {
            target: "entry".into(),
            value: "shop".into(),
            reason: "incident".into(),
        },
        D::LocksStale { age_seconds: 11 },
        D::NoGrant {
            entry: "shop".into(),
            relying_party: relying_party.clone(),
        },
        D::PolicyError {
            reason: "for the trail only".into(),
        },
        D::RelyingPartyUnknown {
            found: "no-such".into(),
        },
        D::SubjectRefused {
            relying_party: relying_party.clone(),
            reason: "128 bytes, at most 127".into(),
        },
        D::SvidNotReleased { grant, relying_party },
    ]
}

fn mint_refusals() -> Vec<MintRefusal> {
    vec![
        MintRefusal::ActorInCertificate {
            actor: "spiffe://prod.acme.example/agent/triage".into(),
        },
        MintRefusal::ClaimReserved { claim: "sub".into() },
        MintRefusal::CsrMissing,
        MintRefusal::CsrUnexpected,
        MintRefusal::KeyUnavailable {
            algorithm: "RS256",
            reason: "for the trail only".into(),
        },
        MintRefusal::Lint {
            reason: "for the trail only".into(),
        },
        MintRefusal::Randomness(NoRandomness),
    ]
}

fn cloud_refusals() -> Vec<CloudRefusal> {
    use CloudRefusal as C;
    let cloud = "aws_sts";
    vec![
        C::BudgetSpent {
            upstream: "aws_sts/123456789012".into(),
            retry_after: Duration::from_secs(7),
        },
        C::Garbage {
            cloud,
            found: "no XML".into(),
            expected: "an AssumeRoleWithWebIdentityResponse",
        },
        C::Oversized {
            cloud,
            limit_bytes: 65_536,
        },
        C::Preflight {
            cloud,
            code: "ValidationError".into(),
            problem: "a tag of 257 characters".into(),
        },
        C::Refused {
            cloud,
            code: "AccessDenied".into(),
            message: "Not authorized".into(),
            status: 403,
        },
        C::Throttled {
            cloud,
            code: "Throttling".into(),
            retry_after: Some(Duration::from_secs(3)),
        },
        C::Throttled {
            cloud,
            code: "Throttling".into(),
            retry_after: None,
        },
        C::Unavailable {
            cloud,
            reason: "no answer within 10 s".into(),
        },
    ]
}

fn unidentified(attestation: &Attestation, workload: &Workload) -> Vec<Unidentified> {
    let subject = || Box::new(workload.clone());
    let boxed = || Box::new(attestation.clone());
    let entry = cambio::identify::EntryName::parse("shop").unwrap();
    vec![
        Unidentified::Actor {
            subject: subject(),
            actor: boxed(),
            reason: ActorRefused::ChainTooLong {
                subject: "spiffe://prod.acme.example/user/ada".into(),
            },
        },
        Unidentified::Actor {
            subject: subject(),
            actor: boxed(),
            reason: ActorRefused::NotAllowed {
                expected: "`triage`".into(),
                found: "`build` of `https://agents.acme.example`".into(),
            },
        },
        Unidentified::Actor {
            subject: subject(),
            actor: boxed(),
            reason: ActorRefused::Unfit {
                actor: "spiffe://prod.acme.example/agent/triage".into(),
                reason: "has expired; expected evidence that is valid",
            },
        },
        Unidentified::NoEntry {
            attestation: boxed(),
            closest_entry: Some("shop: `ci.ref`".into()),
        },
        Unidentified::Template {
            attestation: boxed(),
            entry,
            reason: "`ci.ref` has a `/`".into(),
        },
    ]
}

fn causes() -> Vec<Cause> {
    use TrailError as T;
    vec![
        T::ClockUntrusted {
            found: "1970-01-01T00:00:00Z".into(),
            expected: "2026-01-16T14:40:00Z".into(),
        }
        .into(),
        T::Late {
            after: Duration::from_secs(2),
        }
        .into(),
        T::LedgerFull.into(),
        T::Overloaded { waiting: 4096 }.into(),
        T::Random(NoRandomness).into(),
        T::RolledBack {
            writer: "w".into(),
            found: 1,
            expected: 2,
        }
        .into(),
        T::Store(Arc::new(locked())).into(),
        T::Stopped.into(),
        NotCommitted {
            digest: Digest::of(b"value"),
        }
        .into(),
        NotOffered::AccessToken.into(),
        NotOffered::Scope {
            expected: "`https://www.googleapis.com/auth/cloud-platform` or absent".into(),
        }
        .into(),
        Cause::RateLimited {
            per_second: 20,
            retry_after_seconds: 1,
        },
        NoRandomness.into(),
    ]
}

/// Asks both endpoints with a fresh token each; both must refuse with the same status and code.
async fn refused_on_both(world: &World, make: impl Fn(&World) -> String) -> (u16, String) {
    let by_exchange = world.exchange(&make(world), &["aws-dev"]).await;
    let by_token = world.token(&make(world), "gcp-dev", Some(ACCESS_TOKEN)).await;
    assert_eq!(
        (by_exchange.status, by_exchange.code()),
        (by_token.status, by_token.code()),
        "the two endpoints differ"
    );
    (by_exchange.status, by_exchange.code())
}

/// A form's parameters, in order.
type Parameters<'a> = Vec<(&'a str, &'a str)>;

/// Makes a token for a world.
type Make = fn(&World) -> String;

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_is_at_fault() {
    let world = World::start().await;
    let rows: &[(&str, Make)] = &[
        ("attest.evidence_expired", |w| {
            w.sign(w.job().issued_at(w.now() - Duration::from_secs(400)))
        }),
        ("attest.evidence_not_yet_valid", |w| {
            w.sign(w.job().issued_at(w.now() + Duration::from_secs(31)))
        }),
        ("attest.evidence_too_old", |w| {
            let job = w.job().issued_at(w.now() - Duration::from_secs(601));
            w.sign(job.with("exp", unix_seconds(w.now()) + 300))
        }),
        ("attest.audience_mismatch", |w| {
            w.sign(w.job().for_audience("https://sts.amazonaws.com"))
        }),
        ("attest.audience_mismatch", |w| {
            let ours = w.development.issuer.clone();
            w.sign(w.job().with("aud", json!([ours, "https://other.test"])))
        }),
        ("attest.claim_invalid", |w| w.sign(w.job().without("exp"))),
        ("attest.claim_invalid", |w| w.sign(w.job().with("nbf", "99999999999"))),
        ("attest.claim_invalid", |w| w.sign(w.job().without("jti"))),
        ("attest.claim_invalid", |w| w.sign(w.job().with_header("typ", "at+jwt"))),
        ("attest.event_forbidden", |w| {
            w.sign(w.job().with("event_name", "pull_request"))
        }),
        ("attest.owner_not_allowed", |w| {
            w.sign(w.job().with("repository_owner_id", "66"))
        }),
        ("attest.attribute_invalid", |w| {
            w.sign(w.job().with("sha", "a".repeat(256)))
        }),
    ];

    for (code, make) in rows {
        let (status, found) = refused_on_both(&world, make).await;

        assert_eq!((status, found.as_str()), (400, *code));
        let token = make(&world);
        let refused = world.exchange(&token, &["aws-dev"]).await;
        let entries = world.trail_of(&refused.text_at("/exchange_id")).await;
        assert_eq!((entries.len(), &entries[0]["code"]), (1, &json!(code)), "{entries:?}");
        assert_eq!(entries[0]["evidence"], told_of(&world, &token), "{code}");
    }
}

/// What an entry tells of a job's token whose signature held, though it was refused.
fn told_of(world: &World, token: &str) -> Value {
    json!({
        "attestor": "github",
        "issuer": world.ci.issuer(),
        "subject": "repo:octo-org/octo-repo:ref:refs/heads/main",
        "sha256": Digest::of(token.as_bytes()).to_string(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn t_13_unverifiable_evidence_gets_one_answer_whatever_is_wrong() {
    let world = World::start().await;
    let rows = unverifiable(&world);
    let mut bodies = BTreeSet::new();

    for (what, token) in &rows {
        for answer in [
            world.exchange(token, &["aws-dev"]).await,
            world.exchange(token, &["no-such-party"]).await,
        ] {
            assert_eq!(answer.status, 400, "{what}");
            assert_eq!(answer.code(), "attest.evidence_unverifiable", "{what}");
            let id = answer.text_at("/exchange_id");
            bodies.insert(answer.text.replace(&id, "<id>"));
        }
    }

    assert_eq!(
        bodies.len(),
        1,
        "callers that proved nothing learn different things: {bodies:#?}"
    );
    assert!(rows.len() >= 20);
}

/// Tokens that prove nothing, each for another reason.
#[expect(clippy::too_many_lines, reason = "one table")]
fn unverifiable(world: &World) -> Vec<(String, String)> {
    let good = world.good();
    let (header, claims) = (Value::from(part(&good, 0)), Value::from(part(&good, 1)));
    let jwk = world.ci.jwks()["keys"][0].clone();
    let public: Vec<u8> = {
        use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
        BASE64_URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap()
    };
    let with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        header
    };
    let stranger = cambio::attest::oidc::fixture::Ci::new(world.ci.issuer())
        .unwrap()
        .with_kid(jwk["kid"].as_str().unwrap());
    let elsewhere = cambio::attest::oidc::fixture::Ci::new("https://unknown-issuer.test").unwrap();
    let signature = good.rsplit('.').next().unwrap().to_owned();
    let mut rows = vec![
        (
            "unknown issuer".to_owned(),
            world.job().signed_by(&elsewhere).unwrap().expose().to_owned(),
        ),
        (
            "signature by another key".to_owned(),
            world.job().signed_by(&stranger).unwrap().expose().to_owned(),
        ),
        (
            "unknown kid".to_owned(),
            world.sign(world.job().with_header("kid", "no-such-key")),
        ),
        (
            "t_54 alg none".to_owned(),
            compact(&with("alg", json!("none")), &claims, |_| Vec::new()),
        ),
        (
            "t_54 alg nOnE".to_owned(),
            compact(&with("alg", json!("nOnE")), &claims, |_| Vec::new()),
        ),
        (
            "t_21 HS256 with our modulus".to_owned(),
            compact(&with("alg", json!("HS256")), &claims, |input| hs256(&public, input)),
        ),
        (
            "t_21 HS256 with our JWK".to_owned(),
            compact(&with("alg", json!("HS256")), &claims, |input| {
                hs256(jwk.to_string().as_bytes(), input)
            }),
        ),
        (
            "alg ES256 with an RSA key".to_owned(),
            compact(&with("alg", json!("ES256")), &claims, |_| vec![0; 64]),
        ),
        ("empty signature".to_owned(), compact(&header, &claims, |_| Vec::new())),
        // By whole bytes, so that the rest is base64url still.
        ("t_27 truncated".to_owned(), good.split_at(good.len() - 6).0.to_owned()),
        ("claims changed under the signature".to_owned(), {
            let mut forged = claims.clone();
            forged["repository_id"] = json!("75");
            let unsigned = compact(&header, &forged, |_| Vec::new());
            format!("{unsigned}{signature}")
        }),
    ];
    for (name, value) in [
        ("jku", json!("https://evil.test/jwks")),
        ("x5u", json!("https://evil.test/x5u")),
        ("jwk", jwk.clone()),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        rows.push((
            format!("t_54 header {name}"),
            world.sign(world.job().with_header(name, value)),
        ));
    }
    for kid in [
        "../../etc/passwd",
        "' OR 1=1 --",
        "https://evil.test/",
        "\u{202e}",
        "a\u{0}b",
        &"k".repeat(4000),
    ] {
        rows.push((
            format!("t_54 kid {kid:.20}"),
            world.sign(world.job().with_header("kid", kid)),
        ));
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_without_the_form_of_any_says_so_and_nothing_else() {
    let world = World::start().await;
    let good = world.good();
    let rows = [
        ("garbage", "garbage".to_owned(), "found 1 parts"),
        ("t_15 dots", ".".repeat(1000), "found 1001 parts"),
        (
            "t_51 JWE of five parts",
            "e30.e30.e30.e30.e30".to_owned(),
            "found 5 parts",
        ),
        (
            "t_51 JSON serialisation",
            json!({ "payload": "e30", "signatures": [] }).to_string(),
            "found 1 parts",
        ),
        (
            "padded",
            good.replacen('.', "=.", 1),
            "header is not canonical base64url",
        ),
        (
            "no JSON",
            format!("Z2FyYmFnZQ.{}", good.split_once('.').unwrap().1),
            "not strict JSON",
        ),
    ];

    for (what, token, reason) in rows {
        // Neither the relying party nor a kind that is known changes what is said.
        let mut said = BTreeSet::new();
        for kind in [Value::Null, json!("oidc")] {
            for party in ["aws-dev", "no-such-party"] {
                let mut evidence = json!({ "token": token });
                if !kind.is_null() {
                    evidence["kind"] = kind.clone();
                }
                let body = json!({ "evidence": evidence, "relying_parties": [party] });
                let answer = world.post(EXCHANGE, "application/json", body.to_string(), &[]).await;
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (400, "attest.evidence_malformed"),
                    "{what}"
                );
                assert!(answer.text_at("/detail").contains(reason), "{what}: {}", answer.text);
                said.insert(answer.text_at("/detail"));
                let by_token = world.token(&token, party, None).await;
                assert_eq!(by_token.code(), "attest.evidence_malformed", "{what}");
            }
        }
        assert_eq!(said.len(), 1, "{what}: {said:?}");
    }
    assert_eq!(world.issuer.asked.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_a_kind_that_is_not_compiled_in_learns_those_that_are() {
    let world = World::start().await;
    let ask = |token: String, kind: &'static str| {
        let world = &world;
        async move {
            let body = json!({ "evidence": { "token": token, "kind": kind }, "relying_parties": ["aws-dev"] });
            world.post(EXCHANGE, "application/json", body.to_string(), &[]).await
        }
    };
    let good = world.good();
    let before = world.trail().await.len();

    for token in [good.clone(), "garbage".to_owned()] {
        let unknown = ask(token, "tpm").await;
        assert_eq!((unknown.status, unknown.code().as_str()), (400, "attest.kind_unknown"));
        assert_eq!(
            unknown.text_at("/detail"),
            "evidence of kind `tpm` is not known, expected one of `aws_iam`, `aws_instance`, `azure_instance`, `bound_key`, `gcp_instance`, `join_token`, `kubernetes`, `oidc`, `spiffe`"
        );
    }

    assert_eq!(
        world.trail().await.len(),
        before,
        "anybody could fill the trail with it"
    );
    assert_eq!(ask(good, "oidc").await.status, 200, "the token was not used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn t_17_no_issuer_is_asked_on_behalf_of_unverified_evidence_for_another() {
    let world = World::start().await;
    let elsewhere = cambio::attest::oidc::fixture::Ci::new("https://unknown-issuer.test").unwrap();

    for _ in 0..20 {
        let token = world.job().signed_by(&elsewhere).unwrap().expose().to_owned();
        world.exchange(&token, &["aws-dev"]).await;
    }

    assert_eq!(world.issuer.asked.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn t_56_jwt_bcp_14_unknown_key_ids_cause_one_fetch_and_do_not_disturb_others() {
    let world = World::start().await;
    assert_eq!(world.exchange(&world.good(), &["aws-dev"]).await.status, 200);
    let before = world.issuer.asked.load(std::sync::atomic::Ordering::Relaxed);

    for number in 0..50 {
        let token = world.sign(world.job().with_header("kid", format!("random-{number}")));
        assert_eq!(
            world.exchange(&token, &["aws-dev"]).await.code(),
            "attest.evidence_unverifiable"
        );
    }

    let fetches = world.issuer.asked.load(std::sync::atomic::Ordering::Relaxed) - before;
    assert!(fetches <= 2, "{fetches} requests, one fetch is discovery and key set");
    assert_eq!(world.exchange(&world.good(), &["aws-dev"]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_by_another_than_its_first_user() {
    let world = World::start().await;
    let (mine, other) = (key(), key());

    let bearer = world.good();
    assert_eq!(world.exchange(&bearer, &["aws-dev"]).await.status, 200);
    let again = world.exchange(&bearer, &["aws-dev"]).await;
    assert_eq!((again.status, again.code().as_str()), (400, "attest.evidence_replayed"));

    let bound = world.good();
    assert_eq!(world.exchange_proven(&mine, &bound, &["aws-dev"]).await.status, 200);
    assert_eq!(
        world.exchange_proven(&other, &bound, &["aws-dev"]).await.code(),
        "attest.evidence_stolen"
    );
    assert_eq!(
        world.exchange(&bound, &["aws-dev"]).await.code(),
        "attest.evidence_stolen"
    );
    assert_eq!(
        world.token(&bound, "gcp-dev", None).await.code(),
        "attest.evidence_stolen"
    );

    let proof = world.proof(&mine, EXCHANGE, &bound);
    let first = world.exchange_with(&bound, &["aws-dev"], &[("dpop", &proof)]).await;
    assert_eq!(first.status, 200);
    let second = world.exchange_with(&bound, &["aws-dev"], &[("dpop", &proof)]).await;
    assert_eq!((second.status, second.code().as_str()), (400, "attest.dpop_reused"));

    let refused = world
        .token_with(&world.good(), "gcp-dev", None, &[("dpop", "garbage")])
        .await;
    assert_eq!((refused.status, refused.code().as_str()), (400, "attest.dpop_invalid"));
    assert_eq!(refused.text_at("/error"), "invalid_dpop_proof");

    let kept = world.good();
    let retry = crate::world::unique();
    let with_key = [("idempotency-key", retry.as_str())];
    assert_eq!(world.exchange_with(&kept, &["aws-dev"], &with_key).await.status, 200);
    assert_eq!(world.exchange_with(&kept, &["aws-dev"], &with_key).await.status, 200);
    let another = crate::world::unique();
    let stolen = world
        .exchange_with(&kept, &["aws-dev"], &[("idempotency-key", &another)])
        .await;
    assert_eq!(stolen.code(), "attest.evidence_stolen");
    let weak = world
        .exchange_with(&world.good(), &["aws-dev"], &[("idempotency-key", "retry")])
        .await;
    assert_eq!(weak.code(), "attest.idempotency_key_weak");

    let expired = world.sign(world.job().issued_at(world.now() - Duration::from_secs(400)));
    let unknown = world.exchange_proven(&mine, &expired, &["aws-dev"]).await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (400, "attest.resume_unknown")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dpop_2_a_proof_for_another_path_token_or_method_is_refused() {
    let world = World::start().await;
    let mine = key();
    let token = world.good();

    let for_the_other_path = world.proof(&mine, TOKEN, &token);
    let for_another_token = world.proof(&mine, EXCHANGE, &world.good());

    for proof in [for_the_other_path, for_another_token] {
        let refused = world.exchange_with(&token, &["aws-dev"], &[("dpop", &proof)]).await;
        assert_eq!(refused.code(), "attest.dpop_invalid");
    }
    let proof = world.proof(&mine, EXCHANGE, &token);
    let twice = world
        .exchange_with(&token, &["aws-dev"], &[("dpop", &proof), ("dpop", &proof)])
        .await;
    assert_eq!(twice.code(), "request.header_invalid");
    // None of this used the token up.
    assert_eq!(world.exchange_proven(&mine, &token, &["aws-dev"]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_that_comes_too_late() {
    let world = World::start().await;
    let mine = key();
    let token = world.good();
    assert_eq!(world.exchange_proven(&mine, &token, &["aws-dev"]).await.status, 200);

    world.pass(Duration::from_mins(50)).await;
    let short = world.exchange_proven(&mine, &token, &["aws-dev"]).await;
    assert_eq!(
        (short.status, short.code().as_str()),
        (403, "authorize.lifetime_below_minimum")
    );

    world.pass(Duration::from_mins(11)).await;
    let over = world.exchange_proven(&mine, &token, &["aws-dev"]).await;
    assert_eq!((over.status, over.code().as_str()), (400, "attest.session_over"));
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_without_a_name() {
    let world = World::start_with(|configuration| {
        configuration.replacen(
            "[[relying_party]]",
            "[[entry]]\nname = \"by-run\"\nattestor = \"github\"\nmatch = { \"ci.repo_id\" = \"76\" }\n\
             spiffe_id = \"/ci/acme/runs/{ci.run_id}/{ci.actor_id}\"\n\n[[relying_party]]",
            1,
        )
    })
    .await;
    let of_repository = |id: &str| world.job().with("repository_id", id);

    let unnamed = world.exchange(&world.sign(of_repository("75")), &["aws-dev"]).await;
    assert_eq!((unnamed.status, unnamed.code().as_str()), (403, "identify.no_entry"));

    let unfillable = world.sign(of_repository("76").without("actor_id"));
    let refused = world.exchange(&unfillable, &["aws-dev"]).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (403, "identify.template_refused")
    );
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn each_way_policy_says_no() {
    let directory = tempfile::tempdir().unwrap();
    let night = directory.path().join("night.cedar");
    fs::write(
        &night,
        "forbid (principal, action, resource == RelyingParty::\"azure-dev\");",
    )
    .unwrap();
    let world = World::start_with(|configuration| {
        let configuration = with_policy(&configuration, &night);
        let (first, grant) = configuration.split_once("[[grant]]").unwrap();
        let grant = grant.replace("release = [\"svid\"]", "");
        format!(
            "{first}{ORDERS}[[grant]]{grant}\n[[grant]]\nname = \"orders\"\nentries = [\"shop-deploy\"]\n\
             relying_parties = [\"orders\"]\nttl = \"20m\"\nmatch = {{ \"ci.environment\" = \"prod\" }}\n"
        )
    })
    .await;

    let denied = |party: &'static str| {
        let world = &world;
        async move { world.exchange(&world.good(), &[party]).await }
    };
    for (party, code) in [
        ("orders", "authorize.condition_failed"),
        ("azure-dev", "authorize.forbidden"),
        ("stock", "authorize.no_grant"),
        ("no-such-party", "authorize.relying_party_unknown"),
        ("../aws-dev", "authorize.relying_party_unknown"),
    ] {
        let answer = denied(party).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, code),
            "{party}: {}",
            answer.text
        );
    }
    let svid = world.token(&world.good(), "gcp-dev", Some(JWT)).await;
    assert_eq!(
        (svid.status, svid.code().as_str()),
        (403, "authorize.svid_not_released")
    );
    assert_eq!(svid.text_at("/error"), "invalid_target");

    for (target, value) in [
        ("attestor", "github"),
        ("entry", "shop-deploy"),
        ("relying_party", "aws-dev"),
        ("run", "9876543210"),
        ("spiffe_id", crate::world::WORKLOAD),
    ] {
        let lock = world.lock(target, value).await;
        let answer = denied("aws-dev").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "authorize.locked"),
            "{target}"
        );
        world.unlock(&lock).await;
        assert_eq!(denied("aws-dev").await.status, 200, "{target} was unlocked");
    }

    world.clock.advance(Duration::from_secs(11));
    let stale = denied("aws-dev").await;
    assert_eq!((stale.status, stale.code().as_str()), (503, "authorize.locks_stale"));
    assert_eq!(stale.header("retry-after"), "1");
}

/// Two relying parties without a cloud, for one of which there is no grant.
pub(crate) const ORDERS: &str = "[[relying_party]]\nname = \"orders\"\nkind = \"svid\"\naudience = \"https://orders.test\"\n\n\
                      [[relying_party]]\nname = \"stock\"\nkind = \"svid\"\naudience = \"https://stock.test\"\n\n";

/// Adds both, and grants the first.
pub(crate) fn with_orders(configuration: &str) -> String {
    let granted = configuration.replace("relying_parties = [", "relying_parties = [\"orders\", ");
    granted.replacen("[[grant]]", &format!("{ORDERS}[[grant]]"), 1)
}

/// Adds a file of raw policies to a configuration.
pub(crate) fn with_policy(configuration: &str, file: &Path) -> String {
    configuration.replacen(
        "[store]",
        &format!("[policy]\nfiles = [\"{}\"]\n\n[store]", file.display()),
        1,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_a_cloud_says_no() {
    let world = World::start().await;
    let aws = world.development.world.simulator::<AwsSim>("aws").unwrap();
    let ask = || async { world.exchange(&world.good(), &["aws-dev"]).await };
    let push = |mutation: &Mutation, times: usize| (0..times).for_each(|_| aws.mutations().push(mutation.clone()));

    aws.refuse_next(AwsRefusal::not_authorized());
    let refused = ask().await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (502, "exchange.cloud_refused"),
        "{}",
        refused.text
    );
    assert_eq!(refused.text_at("/refusals/aws-dev/cloud_code"), "AccessDenied");

    let preflight = world
        .exchange(&world.sign(world.job().with("sha", "a,b")), &["aws-dev"])
        .await;
    assert_eq!(
        (preflight.status, preflight.code().as_str()),
        (502, "exchange.preflight_refused"),
        "{}",
        preflight.text
    );

    for (mutation, status, code) in [
        (Mutation::Garbage, 502, "exchange.upstream_garbage"),
        (Mutation::Oversized, 502, "exchange.upstream_oversized"),
        (Mutation::ServerError, 503, "exchange.cloud_unavailable"),
        (Mutation::Throttle, 503, "exchange.cloud_throttled"),
    ] {
        push(&mutation, 2);
        let answer = ask().await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{mutation:?}: {}",
            answer.text
        );
        while aws.mutations().take().is_some() {}
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask().await.status, 200, "it recovers by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_says_when_to_come_again_is_not_called_before() {
    let world = World::start().await;
    let entra = world.development.world.simulator::<EntraSim>("azure").unwrap();
    (0..2).for_each(|_| entra.mutations().push(Mutation::Throttle));
    let throttled = world.exchange(&world.good(), &["azure-dev"]).await;
    assert_eq!(throttled.code(), "exchange.cloud_throttled");
    while entra.mutations().take().is_some() {}
    let calls = entra.calls();

    let spent = world.exchange(&world.good(), &["azure-dev"]).await;

    assert_eq!((spent.status, spent.code().as_str()), (503, "exchange.budget_spent"));
    assert!(spent.header("retry-after").parse::<u64>().unwrap() > 1);
    assert_eq!(entra.calls(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_does_not_answer_costs_10_s_and_no_more() {
    let world = World::start().await;
    let aws = world.development.world.simulator::<AwsSim>("aws").unwrap();
    for _ in 0..4 {
        aws.mutations().push(Mutation::Delay(Duration::from_secs(25)));
    }

    let started = tokio::time::Instant::now();
    let answer = world.exchange(&world.good(), &["aws-dev", "gcp-dev"]).await;

    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(answer.status, 200, "the other cloud's credential is not hidden");
    assert!(answer.json().pointer("/credentials/gcp-dev/access_token").is_some());
    assert_eq!(answer.text_at("/refusals/aws-dev/code"), "exchange.cloud_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_stands_on_is_gone() {
    let world = World::start().await;
    world.issuer.behave(Behaviour::Fails);
    let down = world.exchange(&world.good(), &["aws-dev"]).await;
    assert_eq!((down.status, down.code().as_str()), (503, "issuer.unavailable"));
    assert_eq!(down.header("retry-after"), "1");
    world.issuer.behave(Behaviour::Answers);
    world.pass(Duration::from_secs(31)).await;
    assert_eq!(world.exchange(&world.good(), &["aws-dev"]).await.status, 200);

    world.clock.set(world.clock.now() - Duration::from_hours(1));
    let token = world.sign(world.job());
    let untrusted = world.exchange(&token, &["orders"]).await;
    assert_eq!(
        (untrusted.status, untrusted.code().as_str()),
        (503, "clock.untrusted"),
        "{}",
        untrusted.text
    );
    let confirmed = world.admin("POST", "/v1/clock/confirm", None).await;
    assert!(confirmed.status < 300, "{}", confirmed.text);
    world.pass(Duration::from_secs(11)).await;
    assert_eq!(world.exchange(&world.good(), &["aws-dev"]).await.status, 200);

    let world = World::start().await;
    assert_eq!(world.exchange(&world.good(), &["aws-dev"]).await.status, 200);
    crate::invariants::break_store(&world).await;
    for party in ["aws-dev", "no-such-party"] {
        let unavailable = world.exchange(&world.good(), &[party]).await;
        assert_eq!(
            (unavailable.status, unavailable.code().as_str()),
            (503, "store.unavailable")
        );
        assert_eq!(unavailable.header("retry-after"), "1");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn requests_that_are_not_in_order() {
    let world = World::start().await;
    let good = world.good();
    let form = [
        ("grant_type", GRANT_TYPE),
        ("subject_token", good.as_str()),
        ("subject_token_type", JWT),
        ("audience", "gcp-dev"),
    ];
    let with = |name: &'static str, value: &'static str| {
        let mut changed: Vec<(&str, &str)> = form.iter().copied().filter(|(known, _)| *known != name).collect();
        changed.push((name, value));
        changed
    };
    let added = |name: &'static str, value: &'static str| {
        let mut changed = form.to_vec();
        changed.push((name, value));
        changed
    };
    let rows: Vec<(&str, &str, Parameters<'_>)> = vec![
        (
            "request.grant_type_unsupported",
            "unsupported_grant_type",
            with("grant_type", "client_credentials"),
        ),
        ("request.parameter_invalid", "invalid_request", with("grant_type", "")),
        (
            "request.parameter_invalid",
            "invalid_request",
            with("subject_token", ""),
        ),
        (
            "request.parameter_invalid",
            "invalid_request",
            with("subject_token_type", ""),
        ),
        (
            "request.parameter_invalid",
            "invalid_request",
            with("subject_token_type", ACCESS_TOKEN),
        ),
        ("request.parameter_invalid", "invalid_request", with("audience", "")),
        (
            "request.parameter_invalid",
            "invalid_request",
            added("audience", "aws-dev"),
        ),
        (
            "request.parameter_invalid",
            "invalid_request",
            added("subject_token", "another"),
        ),
        (
            "request.parameter_invalid",
            "invalid_request",
            added("subject_token", ""),
        ),
        (
            "request.parameter_invalid",
            "invalid_request",
            added("requested_token_type", "urn:x"),
        ),
        (
            "request.parameter_invalid",
            "invalid_request",
            added("actor_token_type", JWT),
        ),
        (
            "request.parameter_invalid",
            "invalid_request",
            added("actor_token", "a"),
        ),
        (
            "request.resource_unsupported",
            "invalid_target",
            added("resource", "https://api.test"),
        ),
    ];
    for (code, error, form) in rows {
        let answer = world.form(&form, &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{form:?}");
        assert_eq!(answer.text_at("/error"), error, "{form:?}");
    }

    for body in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"evidence":{},"relying_parties":["a"]}"#,
        r#"{"evidence":{"token":1},"relying_parties":["a"]}"#,
        r#"{"evidence":{"token":"a"},"relying_parties":"a"}"#,
        r#"{"evidence":{"token":"a"},"relying_parties":[]}"#,
        r#"{"evidence":{"token":"a"},"relying_parties":["a","a"]}"#,
        r#"{"evidence":{"token":"a"},"relying_parties":["a"],"more":1}"#,
        r#"{"evidence":{"token":"a","token":"b"},"relying_parties":["a"]}"#,
    ] {
        let answer = world.post(EXCHANGE, "application/json", body, &[]).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "request.body_invalid"),
            "{body}"
        );
    }
    let twice = world
        .exchange_with(
            &good,
            &["aws-dev"],
            &[("idempotency-key", "a"), ("idempotency-key", "a")],
        )
        .await;
    assert_eq!((twice.status, twice.code().as_str()), (400, "request.header_invalid"));

    // None of this used the token up.
    assert_eq!(world.exchange(&good, &["aws-dev"]).await.status, 200);
}

/// What a caller may ask for that a relying party might not have: the parameter, its value, and a party without it.
const NOT_OFFERED: [(&str, &str, &str); 3] = [
    ("scope", "everything", "gcp-dev"),
    ("scope", "https://www.googleapis.com/auth/cloud-platform", "aws-dev"),
    ("requested_token_type", ACCESS_TOKEN, "aws-dev"),
];

#[tokio::test(flavor = "multi_thread")]
async fn t_13_who_is_not_permitted_learns_nothing_of_relying_parties_by_odd_parameters() {
    let directory = tempfile::tempdir().unwrap();
    let night = directory.path().join("night.cedar");
    fs::write(&night, "forbid (principal, action, resource);").unwrap();
    let world = World::start_with(|configuration| with_policy(&configuration, &night)).await;
    let elsewhere = cambio::attest::oidc::fixture::Ci::new("https://unknown-issuer.test").unwrap();
    let anonymous = world.job().signed_by(&elsewhere).unwrap().expose().to_owned();

    for (name, value, party) in NOT_OFFERED {
        let mut bodies = BTreeSet::new();
        for audience in [party, "no-such-party"] {
            let answer = world.form(&ask_for(&anonymous, audience, (name, value)), &[]).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "attest.evidence_unverifiable")
            );
            let id = answer.text_at("/exchange_id");
            bodies.insert(answer.text.replace(&id, "<id>"));
        }
        assert_eq!(bodies.len(), 1, "{name}: {bodies:?}");

        let forbidden = world.form(&ask_for(&world.good(), party, (name, value)), &[]).await;
        assert_eq!(
            (forbidden.status, forbidden.code().as_str()),
            (403, "authorize.forbidden"),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permitted_workload_learns_that_it_asked_for_what_is_not_offered() {
    let world = World::start().await;
    let aws = world.development.world.simulator::<AwsSim>("aws").unwrap();

    for (name, value, party) in NOT_OFFERED {
        let token = world.good();
        let answer = world.form(&ask_for(&token, party, (name, value)), &[]).await;

        let (code, error) = match name {
            "scope" => ("request.scope_invalid", "invalid_scope"),
            _ => ("request.parameter_invalid", "invalid_request"),
        };
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{}", answer.text);
        assert_eq!(answer.text_at("/error"), error);
        assert!(answer.json().get("access_token").is_none());

        let entries = world.trail_of(&answer.text_at("/exchange_id")).await;
        assert_eq!(entries.len(), 1, "{entries:?}");
        assert_eq!(entries[0]["kind"], "denial");
        assert_eq!(entries[0]["code"], code);
        assert_eq!(entries[0]["relying_party"], party);
        assert_eq!(entries[0]["spiffe_id"], crate::world::WORKLOAD);
        assert!(entries[0].get("svid").is_none(), "nothing was signed");
        let again = world.token(&token, "gcp-dev", None).await;
        assert_eq!(
            again.code(),
            "attest.evidence_replayed",
            "a denial uses bearer evidence up"
        );
    }
    assert_eq!(aws.calls(), 0);

    let right = ("scope", "https://www.googleapis.com/auth/cloud-platform");
    let granted = world.form(&ask_for(&world.good(), "gcp-dev", right), &[]).await;
    assert_eq!(granted.status, 200, "{}", granted.text);
}

fn ask_for<'a>(token: &'a str, audience: &'a str, more: (&'a str, &'a str)) -> Parameters<'a> {
    vec![
        ("grant_type", GRANT_TYPE),
        ("subject_token", token),
        ("subject_token_type", JWT),
        ("audience", audience),
        more,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn tm_43_refuses_what_is_above_the_limits() {
    let limits =
        "\n[limits]\nin_flight = 1\nper_source = { rate = 1, burst = 6 }\nper_workload = { rate = 1, burst = 2 }\n";
    let world = World::start_limited(|configuration| configuration + limits).await;
    let aws = world.development.world.simulator::<AwsSim>("aws").unwrap();
    aws.mutations().push(Mutation::Delay(Duration::from_secs(3)));
    let (first, second) = (world.good(), world.good());

    let (_slow, overloaded) = tokio::join!(world.exchange(&first, &["aws-dev"]), async {
        while aws.calls() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.exchange(&second, &["aws-dev"]).await
    });
    assert_eq!(
        (overloaded.status, overloaded.code().as_str()),
        (503, "request.overloaded")
    );
    assert_eq!(overloaded.header("retry-after"), "1");

    let mut seen = BTreeSet::new();
    for _ in 0..12 {
        let answer = world.exchange(&world.good(), &["no-such-party"]).await;
        if answer.status == 429 {
            assert_eq!(answer.code(), "request.rate_limited");
            assert_ne!(answer.header("retry-after"), "");
            seen.insert(answer.text_at("/detail"));
        }
    }
    assert_eq!(seen.len(), 2, "one limit by workload, one by source address: {seen:?}");
}

fn locked() -> StoreError {
    StoreError::Locked {
        place: "/var/lib/cambio/cambio.db".to_owned(),
    }
}
