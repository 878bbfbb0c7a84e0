//! Rules that no row of the sources has a vector for, and the limits at n and n + 1 where no vector has them.

use super::super::rules::{
    Code, Refusal,
    certificate::{EndEntity, Name},
    limits,
    mapping::{Field, Mappings},
    resource::{Kind, ResourceArn, is_uuid},
};
use crate::exchange::aws::{self, trust::TrustPolicy};

const ARN: &str = "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/8d1e5a72-4c3b-4f96-a7e0-2b9c6d5f1e83";

#[test]
fn an_arn_is_read_to_the_letter() {
    let arn = ResourceArn::parse(ARN, Kind::Profile).unwrap();

    assert_eq!(
        (&*arn.partition, &*arn.region, &*arn.account),
        ("aws", "eu-central-1", "123456789012")
    );
    assert_eq!(arn.id, "8d1e5a72-4c3b-4f96-a7e0-2b9c6d5f1e83");
    assert!(ResourceArn::parse(ARN, Kind::TrustAnchor).is_err());
    assert!(is_uuid("8d1e5a72-4c3b-4f96-a7e0-2b9c6d5f1e83"));
    assert!(!is_uuid("8d1e5a72-4c3b-4f96-a7e0-2b9c6d5f1e8") && !is_uuid("8D1E5A72-4c3b-4f96-a7e0-2b9c6d5f1e83"));
}

#[test]
fn names_have_1_to_255_plain_characters() {
    assert!(limits::name("a").is_ok() && limits::name(&"a".repeat(255)).is_ok());
    assert!(limits::name("").is_err() && limits::name(&"a".repeat(256)).is_err());
    assert!(limits::name("a.b").unwrap_err().message.contains("[ a-zA-Z0-9-_]*"));
}

#[test]
fn lists_and_policies_have_their_limits() {
    let within = |found: usize, bounds: &std::ops::RangeInclusive<usize>| limits::length("x", found, bounds).is_ok();

    assert!(within(300_000, &limits::CRL_BYTES) && !within(300_001, &limits::CRL_BYTES));
    assert!(within(1, &limits::CRL_BYTES) && !within(0, &limits::CRL_BYTES));
    assert!(within(100_000, &limits::SESSION_POLICY) && !within(100_001, &limits::SESSION_POLICY));
}

#[test]
fn every_exception_has_its_status() {
    let rows = [
        (Code::AccessDenied, "AccessDeniedException", 403),
        (Code::ResourceNotFound, "ResourceNotFoundException", 404),
        (Code::ServiceUnavailable, "ServiceUnavailableException", 503),
        (Code::Throttling, "ThrottlingException", 429),
        (Code::TooManyTags, "TooManyTagsException", 400),
        (Code::Validation, "ValidationException", 400),
    ];
    for (code, name, status) in rows {
        assert_eq!((code.name(), code.status()), (name, status));
    }
}

#[test]
fn what_all_of_aws_refuses_is_refused_in_this_services_words() {
    let refusal = Refusal::from(aws::Refusal::unverified(aws::Code::InternalFailure, "x").because("y"));

    assert_eq!(
        (refusal.code, refusal.verified, refusal.detail.as_deref()),
        (Code::ServiceUnavailable, false, Some("y"))
    );
}

#[test]
fn what_is_no_certificate_is_no_end_entity() {
    assert_eq!(EndEntity::read(b"no").unwrap_err().code, Code::Validation);
    let mut longer = include_bytes!("../../../../tests/vectors/clouds/x509/v1.der").to_vec();
    longer.push(0);
    assert_eq!(EndEntity::read(&longer).unwrap_err().code, Code::Validation);
}

#[test]
fn a_name_knows_its_first_common_name() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let name = Name(vec![pair("O", "a"), pair("CN", "b"), pair("CN", "c")]);

    assert_eq!(name.common_name(), Some("b"));
    assert_eq!(Name::default().common_name(), None);
}

#[test]
fn mappings_are_replaced_and_deleted_by_field() {
    let mut mappings = Mappings::default();
    let rules = |mappings: &Mappings| -> Vec<(Field, Vec<String>)> {
        mappings.rules().map(|(field, rules)| (field, rules.to_vec())).collect()
    };

    mappings.put(Field::AlternativeName, vec!["URI".to_owned()]).unwrap();
    mappings.delete(Field::Issuer, &[]);
    mappings.delete(Field::Subject, &["CN".to_owned()]);

    assert_eq!(
        rules(&mappings),
        [
            (Field::AlternativeName, vec!["URI".to_owned()]),
            (Field::Subject, vec!["*".to_owned()])
        ]
    );
    assert!(Field::parse("x509Other").is_err());
}

fn policy(condition: &str) -> Result<TrustPolicy, aws::Refusal> {
    TrustPolicy::parse(&format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
            "Principal": {{"Service": "rolesanywhere.amazonaws.com"}},
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], "Condition": {condition}}}}}"#
    ))
}

#[test]
fn a_trust_policy_for_roles_anywhere_has_its_own_keys_and_operators() {
    for good in [
        r#"{"StringEquals": {"aws:principaltag/x509san/uri": "a"}}"#,
        r#"{"ArnLike": {"aws:SourceArn": "arn:aws:rolesanywhere:*:123456789012:trust-anchor/*"}}"#,
        r#"{"ArnNotEquals": {"AWS:SourceArn": "a"}, "StringLike": {"sts:SourceIdentity": "CN=*"}}"#,
        r#"{"StringEquals": {"aws:SourceAccount": "1", "sts:RoleSessionName": "x"}}"#,
    ] {
        assert!(policy(good).is_ok(), "{good}: {:?}", policy(good));
    }
    for bad in [
        r#"{"StringEquals": {"id.acme.example:sub": "a"}}"#,
        r#"{"StringEquals": {"aws:RequestTag/x509SAN/URI": "a"}}"#,
        r#"{"StringEquals": {"aws:PrincipalTag/": "a"}}"#,
        r#"{"StringEquals": {"aws:TagKeys": "a"}}"#,
        r#"{"ArnEquals": {"aws:PrincipalTag/x509SAN/URI": "a"}}"#,
        r#"{"StringEquals": {"aws:PrincipalTag/x": "${aws:username}"}}"#,
        r#"{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#,
    ] {
        assert!(policy(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_trust_policy_names_providers_or_the_service_and_never_both() {
    let parse = |principal: &str| {
        TrustPolicy::parse(&format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": {principal}, "Action": "sts:AssumeRole"}}}}"#
        ))
    };
    let provider = "arn:aws:iam::123456789012:oidc-provider/id.acme.example";

    assert!(parse(r#"{"Service": ["rolesanywhere.amazonaws.com"]}"#).is_ok());
    assert!(parse(r#"{"Service": "ec2.amazonaws.com"}"#).is_err());
    assert!(parse(r#"{"AWS": "*"}"#).is_err());
    assert!(parse(r#""*""#).is_err());
    assert!(
        parse(&format!(
            r#"{{"Service": "rolesanywhere.amazonaws.com", "Federated": "{provider}"}}"#
        ))
        .is_err()
    );
}

#[test]
fn a_star_in_an_arn_never_reaches_over_a_colon() {
    use aws::trust::{Action, Context, Key, Principal};
    let anchor = "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/x";
    let allowed = |pattern: &str| {
        let policy = policy(&format!(r#"{{"ArnLike": {{"aws:SourceArn": "{pattern}"}}}}"#)).unwrap();
        let keys = [(Key::SourceArn, vec![anchor.to_owned()])];
        let context = Context::new(Principal::RolesAnywhere, [Action::AssumeRole], keys);
        policy.evaluate(&context).is_allowed()
    };

    assert!(allowed("arn:aws:rolesanywhere:*:123456789012:trust-anchor/*"));
    assert!(!allowed("arn:aws:rolesanywhere:*:trust-anchor/*"));
    assert!(!allowed("*"));
    assert!(!allowed(
        "arn:aws:rolesanywhere:eu-central-1:210987654321:trust-anchor/*"
    ));
}
