//! Answers that a genuine STS would not give.

use std::time::{Duration, SystemTime};

use aws_sdk_sts::{
    operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityOutput,
    primitives::DateTime,
    types::{AssumedRoleUser, Credentials},
};

use super::super::response::{Expected, credential};
use crate::{
    clock,
    exchange::{CloudCredential, CloudRefusal},
};

const ARN: &str = "arn:aws:sts::123456789012:assumed-role/deploy/shop@0123456789ab";

struct Answer {
    arn: &'static str,
    key: &'static str,
    token: &'static str,
    lasts: i64,
}

const GENUINE: Answer = Answer {
    arn: ARN,
    key: "ASIAAAAAAAAAAAAAAAAA",
    token: "token",
    lasts: 900,
};

fn now() -> SystemTime {
    clock::parse_rfc3339("2026-01-16T14:40:00Z").unwrap()
}

fn read(answer: &Answer) -> Result<CloudCredential, CloudRefusal> {
    let seconds = i64::try_from(clock::unix_seconds(now())).unwrap() + answer.lasts;
    let credentials = Credentials::builder()
        .access_key_id(answer.key)
        .secret_access_key("secret")
        .session_token(answer.token)
        .expiration(DateTime::from_secs(seconds))
        .build()
        .unwrap();
    let user = AssumedRoleUser::builder()
        .arn(answer.arn)
        .assumed_role_id("AROA:shop")
        .build()
        .unwrap();
    let output = AssumeRoleWithWebIdentityOutput::builder()
        .credentials(credentials)
        .assumed_role_user(user)
        .build();
    credential(
        &output,
        Expected {
            assumed_role_arn: ARN,
            duration: Duration::from_mins(15),
        },
        now(),
    )
}

fn assert_garbage(answer: &Answer, found: &str) {
    let refusal = read(answer).unwrap_err();

    assert!(
        matches!(&refusal, CloudRefusal::Garbage { found: text, .. } if text.contains(found)),
        "{refusal:?}"
    );
}

#[test]
fn a_genuine_answer_is_taken() {
    assert_eq!(read(&GENUINE).unwrap().expires(), now() + Duration::from_mins(15));
}

#[test]
fn refuses_credentials_of_another_role() {
    let arn = "arn:aws:sts::123456789012:assumed-role/admin/shop@0123456789ab";

    assert_garbage(&Answer { arn, ..GENUINE }, "assumed-role/admin");
}

#[test]
fn refuses_credentials_of_another_session() {
    let arn = "arn:aws:sts::123456789012:assumed-role/deploy/shop@ffffffffffff";

    assert_garbage(&Answer { arn, ..GENUINE }, "shop@ffff");
}

#[test]
fn refuses_credentials_that_have_expired() {
    assert_garbage(&Answer { lasts: 0, ..GENUINE }, "expired");
}

#[test]
fn takes_credentials_five_minutes_longer_than_asked_and_refuses_a_second_more() {
    assert!(read(&Answer { lasts: 1200, ..GENUINE }).is_ok());
    assert_garbage(&Answer { lasts: 1201, ..GENUINE }, "credentials until");
}

#[test]
fn refuses_an_access_key_of_15_or_129_characters_or_with_markup() {
    for key in ["ASIAAAAAAAAAAAA", "ASIAAAAAAAAAA<AA", const { str_of_129() }] {
        assert_garbage(&Answer { key, ..GENUINE }, "incomplete");
    }
}

const fn str_of_129() -> &'static str {
    match str::from_utf8(&[b'A'; 129]) {
        Ok(text) => text,
        Err(_) => "",
    }
}

#[test]
fn refuses_an_empty_session_token() {
    assert_garbage(&Answer { token: "", ..GENUINE }, "incomplete");
}

#[test]
fn refuses_an_answer_without_credentials() {
    let output = AssumeRoleWithWebIdentityOutput::builder().build();

    let refusal = credential(
        &output,
        Expected {
            assumed_role_arn: ARN,
            duration: Duration::from_mins(15),
        },
        now(),
    );

    assert!(matches!(refusal, Err(CloudRefusal::Garbage { .. })));
}
