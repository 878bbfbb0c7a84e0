use std::time::Duration;

use serde_json::json;

use super::{
    Mark,
    limits::{SettingRefusal, SubjectTooLong, judge_count, judge_length, judge_subject},
    principal::Member,
    provider::ProviderName,
    token::{ADVISED_LIFE_SECONDS, Expected, Refusal, advice, federated_life_seconds, judge_claims, judge_header},
};
use crate::clock::{Clock as _, FakeClock, unix_seconds};

const NAME: &str =
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/prod/providers/cambio";

#[test]
fn a_subject_of_127_bytes_passes_and_of_128_does_not() {
    assert_eq!(judge_subject(&"a".repeat(127)), Ok(()));
    assert_eq!(judge_subject(&"a".repeat(128)), Err(SubjectTooLong { found: 128 }));
    assert_eq!(judge_subject(&"é".repeat(64)), Err(SubjectTooLong { found: 128 }));
}

#[test]
fn a_provider_name_reads_back_as_written() {
    let name = ProviderName::parse(NAME).unwrap();

    assert_eq!(
        (name.project(), name.pool(), name.provider()),
        (123_456_789_012, "prod", "cambio")
    );
    assert_eq!(name.to_string(), NAME);
    assert_eq!(name.https_form(), format!("https:{NAME}"));
    assert_eq!(ProviderName::new(123_456_789_012, "prod", "cambio").unwrap(), name);
}

#[test]
fn a_provider_name_has_one_spelling() {
    for wrong in [
        NAME.replace("123456789012", "0123456789012"),
        NAME.replace("123456789012", "+123456789012"),
        NAME.replace("prod", ""),
        format!("{NAME}/"),
        format!("https:{NAME}"),
        NAME.replace("global", "eu"),
    ] {
        assert!(ProviderName::parse(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_new_provider_name_refuses_what_is_no_id() {
    let refused = ProviderName::new(1, "prod", "Cambio").unwrap_err();

    assert!(
        matches!(refused, SettingRefusal::Shape { what: "workloadIdentityPoolProviderId", ref found, .. } if found == "Cambio")
    );
}

#[test]
fn lengths_count_characters_and_counts_count_entries() {
    assert!(judge_length("x", "éé", 2).is_ok());
    assert_eq!(
        judge_length("x", "ééé", 2).unwrap_err().to_string(),
        "x has 3 characters, expected at most 2"
    );
    assert!(judge_count("x", 2, 2).is_ok());
    assert_eq!(
        judge_count("x", 3, 2).unwrap_err().to_string(),
        "x has 3 entries, expected at most 2"
    );
}

#[test]
fn advises_against_a_life_of_six_hours() {
    let claims = |life: u64| json!({"iat": 1000, "exp": 1000 + life});

    assert_eq!(advice(&claims(ADVISED_LIFE_SECONDS - 1)), None);
    assert!(advice(&claims(ADVISED_LIFE_SECONDS)).unwrap().contains("21600 s"));
}

#[test]
fn a_federated_token_lives_as_long_as_the_subject_token_and_at_most_an_hour() {
    let clock = FakeClock::at("2026-01-16T14:40:00Z");
    let now = unix_seconds(clock.now());

    assert_eq!(federated_life_seconds(now + 3599, clock.now()), 3599);
    assert_eq!(federated_life_seconds(now + 3601, clock.now()), 3600);
    assert_eq!(federated_life_seconds(now - 1, clock.now()), 0);
}

#[test]
fn an_audience_list_passes_with_one_accepted_member() {
    let clock = FakeClock::at("2026-01-16T14:40:00Z");
    let now = unix_seconds(clock.now());
    let provider = ProviderName::parse(NAME).unwrap();
    let expected = Expected {
        issuer: "https://id.acme.example",
        allowed_audiences: &[],
        provider: &provider,
    };
    let claims =
        |audience| json!({"iss": "https://id.acme.example", "sub": "s", "aud": audience, "iat": now, "exp": now + 1});

    assert_eq!(
        judge_claims(&claims(json!(["x", NAME])), &expected, clock.now()),
        Ok(())
    );
    assert_eq!(
        judge_claims(&claims(json!(["x", "y"])), &expected, clock.now()),
        Err(Refusal::AudienceMismatch {
            found: "x, y".to_owned(),
            expected: format!("{NAME}, https:{NAME}"),
        })
    );
    assert_eq!(
        judge_claims(&claims(json!(7)), &expected, clock.now()),
        Err(Refusal::ClaimMissing { claim: "aud" })
    );
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        judge_claims(&claims(json!(NAME)), &expected, clock.now()),
        Err(Refusal::Stale { issued: now })
    );
}

#[test]
fn an_unverified_rule_says_so() {
    let missing = judge_header(&json!({"alg": "ES256", "kid": ""})).unwrap_err();

    assert_eq!(missing, Refusal::KeyIdMissing);
    assert_eq!(missing.origin().mark, Mark::Unverified);
    assert_eq!(Refusal::Stale { issued: 1 }.origin().mark, Mark::Observed);
}

#[test]
fn a_member_that_is_none_is_refused_with_its_text() {
    let refused = Member::parse("principal://iam.googleapis.com/x").unwrap_err();

    assert_eq!(refused.found, "principal://iam.googleapis.com/x");
}
