//! Rules that no row of the sources has a vector for: strictness, and the reasons that are given.

use serde_json::{Value, json};

use super::super::rules::{
    context::web_identity,
    limits, provider,
    token::{self, Claims},
};
use crate::exchange::aws::{
    Code, arn,
    trust::{Action, Context, Decision, Mismatch, TrustPolicy},
};

const ISSUER: &str = "https://id.acme.example";
const ARN: &str = "arn:aws:iam::123456789012:oidc-provider/id.acme.example";

fn policy(conditions: &Value) -> TrustPolicy {
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Sid": "Shop",
            "Effect": "Allow",
            "Principal": {"Federated": ARN},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": conditions,
        },
    });
    TrustPolicy::parse(&policy.to_string()).unwrap()
}

fn context(more: &Value) -> Context {
    let mut claims = json!({"iss": ISSUER, "sub": "spiffe://a/b", "aud": "x", "iat": 1, "exp": 2});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let read = Claims::read(&claims).unwrap();
    let audience = read.audience(&["x".to_owned()]).unwrap();
    web_identity(
        ARN,
        &read,
        &audience,
        &token::session(&claims).unwrap(),
        "shop@0123456789ab",
    )
}

#[test]
fn a_refusal_names_statement_condition_found_and_expected() {
    let conditions = json!({"StringEquals": {"id.acme.example:sub": ["spiffe://a/c", "spiffe://a/d"]}});

    let evaluation = policy(&conditions).evaluate(&context(&json!({})));

    let finding = &evaluation.actions[0];
    assert_eq!(
        (finding.action, finding.decision),
        (Action::AssumeRoleWithWebIdentity, Decision::NotAllowed)
    );
    assert_eq!(finding.statements[0].sid.as_deref(), Some("Shop"));
    assert_eq!(
        finding.statements[0].mismatches,
        [Mismatch::Condition {
            operator: "StringEquals".to_owned(),
            key: "id.acme.example:sub".to_owned(),
            expected: vec!["spiffe://a/c".to_owned(), "spiffe://a/d".to_owned()],
            found: Some(vec!["spiffe://a/b".to_owned()]),
        }]
    );
}

#[test]
fn an_absent_key_is_reported_as_absent() {
    let conditions = json!({"StringEquals": {"aws:RequestTag/team": "blue"}});

    let evaluation = policy(&conditions).evaluate(&context(&json!({})));

    assert!(
        evaluation
            .to_string()
            .ends_with("`aws:RequestTag/team` is absent, StringEquals expects `blue`")
    );
}

#[test]
fn a_missing_action_is_reported_apart_from_the_one_that_is_allowed() {
    let tagged = json!({"https://aws.amazon.com/tags": {"principal_tags": {"K": ["V"]}}});

    let evaluation = policy(&json!({})).evaluate(&context(&tagged));

    assert_eq!(evaluation.actions[0].decision, Decision::Allowed(1));
    assert_eq!(
        evaluation.into_result().unwrap_err().detail.unwrap(),
        "sts:AssumeRoleWithWebIdentity is allowed by statement 1; sts:TagSession is not allowed: statement 1 (Shop), \
         needs `sts:TagSession`, the statement lists `sts:AssumeRoleWithWebIdentity`"
    );
}

#[test]
fn a_policy_that_repeats_a_name_is_refused() {
    let text = r#"{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}"#;

    let refusal = TrustPolicy::parse(text).unwrap_err();

    assert!(refusal.detail.unwrap().contains("`Version` stands twice"));
}

#[test]
fn two_statements_of_one_sid_are_refused() {
    let statement = json!({
        "Sid": "A", "Effect": "Allow", "Principal": {"Federated": ARN}, "Action": "sts:AssumeRoleWithWebIdentity",
    });
    let text = json!({"Version": "2012-10-17", "Statement": [statement, statement]}).to_string();

    assert_eq!(
        TrustPolicy::parse(&text).unwrap_err().code,
        Code::MalformedPolicyDocument
    );
}

#[test]
fn a_pattern_of_many_stars_is_matched_in_reasonable_time() {
    let pattern = "*a".repeat(400) + "b";
    let conditions = json!({"StringLike": {"id.acme.example:sub": pattern}});
    let subject = json!({"sub": "a".repeat(255)});
    let begun = std::time::Instant::now();

    let evaluation = policy(&conditions).evaluate(&context(&subject));

    assert!(!evaluation.is_allowed());
    assert!(begun.elapsed().as_secs() < 2);
}

#[test]
fn a_port_is_taken_on_loopback_only() {
    for (url, taken) in [
        ("https://127.0.0.1:8443", true),
        ("https://[::1]:8443", true),
        ("https://localhost:8443", true),
        ("https://localhost.example:8443", false),
        ("https://10.0.0.1:8443", false),
        ("https://user@127.0.0.1:8443", false),
    ] {
        assert_eq!(provider::url(url).is_ok(), taken, "{url}");
    }
}

#[test]
fn the_flattened_form_of_session_tags_is_refused_not_ignored() {
    let claims = json!({"https://aws.amazon.com/tags/principal_tags/Team": ["blue"]});

    assert_eq!(token::session(&claims).unwrap_err().code, Code::InvalidIdentityToken);
}

#[test]
fn an_unknown_member_of_the_tags_claim_is_refused_not_ignored() {
    let claims = json!({"https://aws.amazon.com/tags": {"principal_tags": {}, "other": 1}});

    assert_eq!(token::session(&claims).unwrap_err().code, Code::InvalidIdentityToken);
}

#[test]
fn all_broken_constraints_are_reported_at_once_and_no_token_is_echoed() {
    let request = limits::Request {
        role_session_name: Some("a"),
        web_identity_token: Some("abc"),
        ..limits::Request::default()
    };

    let refusal = limits::request(&request).unwrap_err();

    assert_eq!(
        refusal.message,
        "3 validation errors detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null; \
         Value 'a' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to \
         2; Value at 'webIdentityToken' failed to satisfy constraint: Member must have length greater than or equal to 4"
    );
}

#[test]
fn a_role_arn_gives_its_parts_without_the_path() {
    let role = arn::role_arn("arn:aws-us-gov:iam::123456789012:role/team/shop/deploy").unwrap();

    assert_eq!(
        (role.partition.as_str(), role.account.as_str()),
        ("aws-us-gov", "123456789012")
    );
    assert_eq!(role.name, "deploy");
}

#[test]
fn what_is_no_role_is_no_role_arn() {
    for text in [
        "arn:aws:iam::123456789012:user/deploy",
        "arn:aws:sts::123456789012:assumed-role/deploy/x",
        "arn:aws:iam:eu-central-1:123456789012:role/deploy",
        "arn:aws:iam::12345678901:role/deploy",
        "arn:aws:iam::123456789012:role/",
        "arn:other:iam::123456789012:role/deploy",
        "arn:aws:iam::123456789012:role/de ploy",
    ] {
        assert!(arn::role_arn(text).is_err(), "{text}");
    }
}
