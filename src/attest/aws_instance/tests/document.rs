//! What a document says, how long it counts, and how often.

use super::*;
use crate::store::UseRule;

#[test]
fn an_instance_is_attested_by_its_document() {
    let attestation = attested(&instance().rsa2048());

    let attributes: Vec<_> = attestation.attributes().iter().collect();
    assert_eq!(
        attributes,
        [
            ("aws.account", ACCOUNT),
            ("aws.architecture", "x86_64"),
            ("aws.availability_zone", "eu-central-1a"),
            ("aws.image_id", "ami-0123456789abcdef0"),
            ("aws.instance_id", INSTANCE),
            ("aws.instance_type", "t3.micro"),
            ("aws.region", "eu-central-1"),
        ]
    );
    assert_eq!(attestation.issuer(), "ec2:eu-central-1");
    assert_eq!(attestation.subject(), INSTANCE);
    assert_eq!(attestation.stands_until(), now() + seconds(3600));
}

#[test]
fn every_attribute_given_is_declared() {
    let attestation = attested(&instance().rsa2048());
    let attestor = attestor();

    for (name, _) in attestation.attributes().iter() {
        assert!(attestor.attributes().contains(&name), "{name}");
    }
    for name in attestor.immutable() {
        assert!(attestor.attributes().contains(name), "{name}");
    }
}

#[test]
fn t_47_a_document_serves_once_for_each_start_of_an_instance() {
    let instance = instance();
    let ledger = |text: &str| attested(text).ledger().unwrap().clone();

    let first = ledger(&instance.rsa2048());
    let spaced = changed(|document| document["privateIp"] = json!("10.0.0.8"));
    let same_start = ledger(&spaced);
    instance.restart("2026-01-16T14:39:30Z");
    let next_start = ledger(&instance.rsa2048());
    let other = InstanceSim::start(Arc::clone(&FRANKFURT), ACCOUNT, "i-0fedcba9876543210", STARTED);
    let other = ledger(&other.rsa2048());

    assert_eq!(first.rule, UseRule::Once);
    assert_eq!(
        first.key, same_start.key,
        "a document that was signed anew is the same start"
    );
    assert_ne!(first.key, next_start.key);
    assert_ne!(first.key, other.key);
    // As long as the document could be shown again: five minutes from the start, the leeway and 5 s.
    let until = parse_rfc3339(STARTED).unwrap() + seconds(300 + 35);
    assert_eq!(first.remember_until, until);
}

#[test]
fn t_47_a_document_counts_for_5_minutes_after_the_start_and_not_a_second_longer() {
    let started = parse_rfc3339(STARTED).unwrap();
    let text = instance().rsa2048();

    assert!(matches!(judged_at(&text, started + seconds(300)), Verdict::Attested(_)));
    let late = refused_at(&text, started + seconds(301));
    assert_eq!(late.code(), "attest.evidence_too_old", "{late}");
    assert!(matches!(judged_at(&text, started - seconds(30)), Verdict::Attested(_)));
    let early = refused_at(&text, started - seconds(31));
    assert_eq!(early.code(), "attest.evidence_not_yet_valid", "{early}");
}

#[test]
fn t_47_longer_only_by_the_name_of_the_danger() {
    let started = parse_rfc3339(STARTED).unwrap();
    let text = instance().rsa2048();
    let at = |line: &str, age: u64| {
        let attestor = Table::good().with(line).configured().unwrap();
        attestor.verdict(&evidence(&text), started + seconds(age))
    };

    assert!(matches!(at("dangerous_max_age = \"1h\"", 3600), Verdict::Attested(_)));
    assert!(matches!(at("dangerous_max_age = \"1h\"", 3601), Verdict::Refused(_)));
    assert!(matches!(at("max_age = \"1m\"", 60), Verdict::Attested(_)));
    assert!(matches!(at("max_age = \"1m\"", 61), Verdict::Refused(_)));
}

#[test]
fn an_account_that_is_not_listed_is_refused() {
    for account in ["210987654321", "12345678901", "1234567890123", "", " 123456789012"] {
        let refusal = refused(&changed(|document| document["accountId"] = json!(account)));

        assert_eq!(refusal.code(), "attest.claim_invalid", "{account}: {refusal}");
        assert!(refusal.to_string().contains("accountId"), "{refusal}");
    }
}

#[test]
fn a_document_of_another_region_than_its_signers_is_refused() {
    let refusal = refused(&changed(|document| document["region"] = json!("eu-west-1")));

    assert!(
        refusal.to_string().contains("`eu-central-1`, whose certificate"),
        "{refusal}"
    );
    for zone in ["eu-west-1a", "", "a"] {
        let refusal = refused(&changed(|document| document["availabilityZone"] = json!(zone)));
        assert_eq!(refusal.code(), "attest.claim_invalid", "{zone}: {refusal}");
    }
}

#[test]
fn t_26_each_member_that_counts_is_there_as_text_and_in_its_form() {
    for member in [
        "accountId",
        "architecture",
        "availabilityZone",
        "imageId",
        "instanceId",
        "instanceType",
        "pendingTime",
        "region",
    ] {
        for value in [json!(null), json!(""), json!(7), json!(["x"]), json!({}), json!(true)] {
            let refusal = refused(&changed(|document| document[member] = value.clone()));
            assert_eq!(refusal.code(), "attest.claim_invalid", "{member} = {value}: {refusal}");
        }
        let refusal = refused(&changed(|document| {
            document.as_object_mut().unwrap().remove(member);
        }));
        assert_eq!(refusal.code(), "attest.claim_invalid", "without {member}: {refusal}");
    }
    for (member, value) in [
        ("instanceId", "i-0123456789abcdef"),
        ("instanceId", "i-0123456789abcdef01"),
        ("instanceId", "i-0123456789ABCDEF0"),
        ("instanceId", "0123456789abcdef0"),
        ("instanceId", "i-../0123456789abcd"),
        ("imageId", "ami-xyz"),
        ("pendingTime", "yesterday"),
        ("pendingTime", "2026-01-16T14:39:00"),
        ("pendingTime", "2026-01-16T15:39:00+01:00"),
    ] {
        let refusal = refused(&changed(|document| document[member] = json!(value)));
        assert_eq!(refusal.code(), "attest.claim_invalid", "{member} = {value}: {refusal}");
    }
    let old = changed(|document| document["instanceId"] = json!("i-01234567"));
    assert_eq!(attested(&old).attributes().get("aws.instance_id"), Some("i-01234567"));
}

#[test]
fn t_07_a_value_of_255_bytes_is_taken_and_of_256_not() {
    let of_length = |length: usize| changed(|document| document["instanceType"] = json!("t".repeat(length)));

    assert!(matches!(judged_at(&of_length(255), now()), Verdict::Attested(_)));
    assert_eq!(refused(&of_length(256)).code(), "attest.attribute_invalid");
}

#[test]
fn signed_bytes_that_are_no_strict_json_are_refused() {
    let document = instance().document().to_string();
    let twice = document.replacen('{', "{\"accountId\":\"210987654321\",", 1);
    for content in ["", "[]", "null", "no JSON", &twice] {
        let refusal = refused(&FRANKFURT.rsa2048(content.as_bytes()));

        assert_eq!(refusal.code(), "attest.claim_invalid", "{content:.40}: {refusal}");
    }
}
