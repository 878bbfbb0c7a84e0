//! Answers that a genuine service would not give, and its refusals.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::response::{Answer, Expected, credential};
use crate::{
    clock,
    exchange::{CloudCredential, CloudRefusal, aws::arn},
};

const NOW: &str = "2026-01-16T14:40:00Z";
const ROLE: &str = "arn:aws:iam::123456789012:role/team/deploy";

fn good() -> Value {
    json!({
        "credentialSet": [{
            "assumedRoleUser": {
                "arn": "arn:aws:sts::123456789012:assumed-role/deploy/shop@0123456789ab",
                "assumedRoleId": "AROAAAAAAAAAAAAAAAAA:shop@0123456789ab",
            },
            "credentials": {
                "accessKeyId": "ASIAAAAAAAAAAAAAAAAA",
                "secretAccessKey": "secret-canary",
                "sessionToken": "token-canary",
                "expiration": "2026-01-16T15:00:00Z",
            },
            "packedPolicySize": 3,
            "roleArn": ROLE,
            "sourceIdentity": "CN=shop",
        }],
        "subjectArn": "arn:aws:rolesanywhere:eu-central-1:123456789012:subject/x",
    })
}

fn read(answer: &Answer) -> Result<CloudCredential, CloudRefusal> {
    let role = arn::role_arn(ROLE).unwrap();
    let expected = Expected {
        role_arn: ROLE,
        role: &role,
        session_name: "shop@0123456789ab",
        duration: Duration::from_mins(20),
    };
    credential(answer, expected, clock::parse_rfc3339(NOW).unwrap())
}

fn created(body: &Value) -> Result<CloudCredential, CloudRefusal> {
    read(&Answer {
        status: 201,
        body: body.to_string().into_bytes(),
        ..Answer::default()
    })
}

fn changed(pointer: &str, value: Value) -> Result<CloudCredential, CloudRefusal> {
    let mut body = good();
    *body.pointer_mut(pointer).unwrap() = value;
    created(&body)
}

fn is_garbage(result: &Result<CloudCredential, CloudRefusal>) -> bool {
    matches!(result, Err(CloudRefusal::Garbage { .. }))
}

fn error(status: u16, kind: Option<&str>, body: &str) -> CloudRefusal {
    let answer = Answer {
        status,
        error_type: kind.map(str::to_owned),
        retry_after: None,
        body: body.as_bytes().to_vec(),
    };
    read(&answer).unwrap_err()
}

#[test]
fn takes_credentials_in_the_shape_of_a_credential_process() {
    let credential = created(&good()).unwrap();

    let names: Vec<&str> = credential.fields().iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "Version",
            "AccessKeyId",
            "SecretAccessKey",
            "SessionToken",
            "Expiration"
        ]
    );
    assert_eq!(clock::rfc3339(credential.expires()), "2026-01-16T15:00:00Z");
    assert!(!format!("{credential:?}").contains("canary"));
}

#[test]
fn refuses_credentials_of_another_role_or_session() {
    let user = "/credentialSet/0/assumedRoleUser/arn";
    for arn in [
        "arn:aws:sts::123456789012:assumed-role/other/shop@0123456789ab",
        "arn:aws:sts::210987654321:assumed-role/deploy/shop@0123456789ab",
        "arn:aws:sts::123456789012:assumed-role/deploy/other",
    ] {
        assert!(is_garbage(&changed(user, json!(arn))), "{arn}");
    }
    let role = changed(
        "/credentialSet/0/roleArn",
        json!("arn:aws:iam::123456789012:role/deploy"),
    );
    assert!(is_garbage(&role));
}

#[test]
fn refuses_credentials_that_are_over_or_last_longer_than_asked_and_five_minutes() {
    let until = |moment: &str| changed("/credentialSet/0/credentials/expiration", json!(moment));

    assert!(until("2026-01-16T15:05:00Z").is_ok());
    assert!(is_garbage(&until("2026-01-16T15:05:01Z")));
    assert!(until("2026-01-16T14:40:01Z").is_ok());
    assert!(is_garbage(&until(NOW)));
    assert!(is_garbage(&until("tomorrow")));
}

#[test]
fn refuses_an_incomplete_credential() {
    for (member, value) in [
        ("accessKeyId", "ASIA"),
        ("accessKeyId", "ASIA AAAAAAAAAAAAAAA"),
        ("secretAccessKey", ""),
        ("sessionToken", ""),
    ] {
        let pointer = format!("/credentialSet/0/credentials/{member}");
        assert!(is_garbage(&changed(&pointer, json!(value))), "{member} = `{value}`");
    }
}

#[test]
fn refuses_no_credential_and_two() {
    assert!(is_garbage(&changed("/credentialSet", json!([]))));
    let one = good()["credentialSet"][0].clone();
    assert!(is_garbage(&changed("/credentialSet", json!([one, one]))));
}

#[test]
fn refuses_a_success_that_is_not_created_or_not_json() {
    let answer = |status, body: &str| {
        read(&Answer {
            status,
            body: body.as_bytes().to_vec(),
            ..Answer::default()
        })
    };
    assert!(is_garbage(&answer(200, &good().to_string())));
    assert!(is_garbage(&answer(201, "<html>")));
    assert!(is_garbage(&answer(403, "<html>")));
    assert!(is_garbage(&answer(302, "")));
}

#[test]
fn keeps_the_exception_of_the_header_before_that_of_the_body() {
    let refused = |kind: Option<&str>, body: &str| match error(403, kind, body) {
        CloudRefusal::Refused {
            code, message, status, ..
        } => (code, message, status),
        other => panic!("{other:?}"),
    };
    let text = r#"{"message": "Untrusted Signing Certificate", "__type": "a.b#OtherException"}"#;

    assert_eq!(
        refused(Some("AccessDeniedException:http://internal.amazon.com/coral/x/"), text),
        (
            "AccessDeniedException".to_owned(),
            "Untrusted Signing Certificate".to_owned(),
            403
        )
    );
    assert_eq!(refused(None, text).0, "OtherException");
    assert_eq!(
        refused(None, r#"{"Message": "no", "code": "ThirdException"}"#),
        ("ThirdException".to_owned(), "no".to_owned(), 403)
    );
}

#[test]
fn tm_36_escapes_and_cuts_what_the_service_says() {
    let body = json!({ "message": format!("a\u{202e}\n{}", "x".repeat(600)) }).to_string();

    let CloudRefusal::Refused { message, .. } = error(400, Some("ValidationException"), &body) else {
        panic!("expected a refusal")
    };

    assert!(message.starts_with("a\\u{202e}\\u{a}xxx"), "{message}");
    assert_eq!(message.len(), 512);
}

#[test]
fn tells_throttling_from_unavailability() {
    let throttled = |refusal: CloudRefusal| match refusal {
        CloudRefusal::Throttled { retry_after, .. } => retry_after.map(|time| time.as_secs()),
        other => panic!("{other:?}"),
    };

    assert_eq!(throttled(error(429, None, "")), None);
    assert_eq!(throttled(error(400, Some("ThrottlingException"), "{}")), None);
    let asks = r#"{"message": "later", "retryAfterSeconds": 7}"#;
    assert_eq!(
        throttled(error(503, Some("ServiceUnavailableException"), asks)),
        Some(7)
    );
    for refusal in [
        error(503, Some("ServiceUnavailableException"), "{}"),
        error(500, None, ""),
    ] {
        assert!(matches!(refusal, CloudRefusal::Unavailable { .. }), "{refusal:?}");
    }
}

#[test]
fn only_a_server_error_without_a_pause_is_tried_again() {
    let answer = |status, retry_after| Answer {
        status,
        retry_after,
        ..Answer::default()
    };

    assert!(answer(500, None).is_transient() && answer(503, None).is_transient());
    assert!(!answer(503, Some(1)).is_transient());
    assert!(!answer(429, None).is_transient() && !answer(403, None).is_transient());
}
