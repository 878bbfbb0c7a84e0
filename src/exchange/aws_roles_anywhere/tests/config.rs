//! Tests of the table.

use std::{sync::Arc, time::Duration};

use super::super::{BUILTIN, CALLS_PER_SECOND, session_name};
use crate::{
    attest::Misconfigured,
    authorize::{LifetimeMode, RelyingPartyName},
    bounded_file::sample,
    clock::FakeClock,
    exchange::{RelyingParty, RelyingPartyContext},
    spiffe::TrustDomain,
};

const PLACE: &str = "arn:aws:rolesanywhere:eu-central-1:123456789012";
const ANCHOR: &str = "trust-anchor/3f2b7c1e-9a64-4d0f-8b15-6c2d9e7a1f40";
const PROFILE: &str = "profile/8d1e5a72-4c3b-4f96-a7e0-2b9c6d5f1e83";
const ROLE: &str = "arn:aws:iam::123456789012:role/deploy";

fn configure(anchor: &str, profile: &str, rest: &str) -> Result<Arc<dyn RelyingParty>, Misconfigured> {
    let table = format!("trust_anchor_arn = '{anchor}'\nprofile_arn = '{profile}'\n{rest}");
    let context = RelyingPartyContext {
        name: RelyingPartyName::parse("aws").unwrap(),
        issuer: "https://id.acme.example".to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
    };
    (BUILTIN.configure)(context, toml::from_str(&table).unwrap())
}

fn with(rest: &str) -> Result<Arc<dyn RelyingParty>, Misconfigured> {
    let rest = format!("role_arn = '{ROLE}'\n{rest}");
    configure(&format!("{PLACE}:{ANCHOR}"), &format!("{PLACE}:{PROFILE}"), &rest)
}

fn key_of(result: Result<Arc<dyn RelyingParty>, Misconfigured>) -> String {
    result.unwrap_err().key
}

#[test]
fn says_what_it_asks_of_aws_and_counts_by_account_and_region() {
    let party = with("subject = '/rp/aws/shop'").unwrap();

    let terms = party.terms();
    assert_eq!(terms.audience, "spiffe://prod.acme.example");
    assert_eq!(terms.subject.as_deref(), Some("/rp/aws/shop"));
    assert_eq!(
        (terms.minimum, terms.maximum),
        (Duration::from_mins(15), Duration::from_hours(1))
    );
    assert_eq!(terms.lifetime_mode, LifetimeMode::Requested);
    assert!(!terms.svid_is_credential);
    let upstream = party.upstream().unwrap();
    assert_eq!(upstream.key, "aws_roles_anywhere/123456789012/eu-central-1");
    assert_eq!((upstream.per_second, CALLS_PER_SECOND), (10, 10));
    assert_eq!((party.kind(), party.scope()), ("aws_roles_anywhere", None));
}

#[test]
fn refuses_arns_of_another_shape() {
    let profile = format!("{PLACE}:{PROFILE}");
    let role = format!("role_arn = '{ROLE}'");
    for anchor in [
        format!("{PLACE}:{PROFILE}"),
        format!("{PLACE}:alias/trust-anchor/cambio"),
        format!("{PLACE}:trust-anchor/"),
        format!("{PLACE}:trust-anchor/3F2B7C1E-9a64-4d0f-8b15-6c2d9e7a1f40"),
        format!("{PLACE}:{ANCHOR}/more"),
        "arn:aws:rolesanywhere::123456789012:trust-anchor/3f2b7c1e-9a64-4d0f-8b15-6c2d9e7a1f40".to_owned(),
        "arn:aws:iam::123456789012:role/deploy".to_owned(),
        "*".to_owned(),
        String::new(),
    ] {
        assert_eq!(
            key_of(configure(&anchor, &profile, &role)),
            "trust_anchor_arn",
            "{anchor}"
        );
    }
    let anchor = format!("{PLACE}:{ANCHOR}");
    assert_eq!(key_of(configure(&anchor, &anchor, &role)), "profile_arn");
    assert_eq!(key_of(configure(&anchor, &profile, "role_arn = 'deploy'")), "role_arn");
}

#[test]
fn refuses_a_profile_or_role_of_another_place() {
    let anchor = format!("{PLACE}:{ANCHOR}");
    let role = format!("role_arn = '{ROLE}'");
    for place in [
        "arn:aws:rolesanywhere:eu-west-1:123456789012",
        "arn:aws:rolesanywhere:eu-central-1:210987654321",
        "arn:aws-cn:rolesanywhere:eu-central-1:123456789012",
    ] {
        assert_eq!(
            key_of(configure(&anchor, &format!("{place}:{PROFILE}"), &role)),
            "profile_arn",
            "{place}"
        );
    }
    let profile = format!("{PLACE}:{PROFILE}");
    let other = "role_arn = 'arn:aws:iam::210987654321:role/deploy'";
    assert_eq!(key_of(configure(&anchor, &profile, other)), "role_arn");
}

#[test]
fn takes_sessions_of_900_to_43200_seconds() {
    for seconds in [900, 43_200] {
        let party = with(&format!("max_session_seconds = {seconds}")).unwrap();
        assert_eq!(party.terms().maximum, Duration::from_secs(seconds));
    }
    for seconds in [899, 43_201] {
        assert_eq!(
            key_of(with(&format!("max_session_seconds = {seconds}"))),
            "max_session_seconds",
            "{seconds}"
        );
    }
}

#[test]
fn takes_keys_that_sign_with_sha_256_only() {
    assert!(with("key = 'P-256'").is_ok() && with("key = 'RSA-2048'").is_ok());
    assert!(with("key = 'P-384'").unwrap_err().problem.contains("P-384"));
}

#[test]
fn takes_an_https_origin_as_endpoint() {
    assert!(with("endpoint = 'https://127.0.0.1:8443'").is_ok());
    for text in [
        "http://aws.example",
        "https://aws.example/",
        "https://aws.example/x",
        "https://u@aws.example",
        "aws",
    ] {
        assert_eq!(key_of(with(&format!("endpoint = '{text}'"))), "endpoint", "{text}");
    }
}

#[test]
fn a_partition_whose_hosts_are_not_known_needs_an_endpoint() {
    let place = "arn:aws-iso:rolesanywhere:us-iso-east-1:123456789012";
    let role = "role_arn = 'arn:aws-iso:iam::123456789012:role/deploy'\n";
    let (anchor, profile) = (format!("{place}:{ANCHOR}"), format!("{place}:{PROFILE}"));

    assert_eq!(key_of(configure(&anchor, &profile, role)), "endpoint");
    let endpoint = format!("{role}endpoint = 'https://rolesanywhere.us-iso-east-1.c2s.ic.gov'");
    assert!(configure(&anchor, &profile, &endpoint).is_ok());
}

#[test]
fn refuses_an_unknown_key_and_a_ca_file_that_is_not_there() {
    assert!(with("audience = 'x'").unwrap_err().problem.contains("audience"));
    assert_eq!(key_of(with("ca_file = '/nowhere/ca.pem'")), "ca_file");
}

#[test]
fn takes_1_mib_of_authorities_and_refuses_one_byte_more() {
    for (bytes, key) in [(1024 * 1024, None), (1024 * 1024 + 1, Some("ca_file"))] {
        let file = sample::authorities(bytes);
        let named = format!("ca_file = '{}'", file.path().display());

        let refused = with(&named).err().map(|refused| refused.key);

        assert_eq!(refused.as_deref(), key, "{bytes}");
    }
}

#[test]
fn a_session_is_called_by_entry_and_exchange_and_has_at_most_64_characters() {
    assert_eq!(session_name("shop-deploy", "0123456789ab"), "shop-deploy@0123456789ab");
    assert_eq!(session_name(&"a".repeat(51), "0123456789ab").len(), 64);
    let cut = session_name(&"a".repeat(52), "0123456789ab");
    assert!(cut.len() == 64 && cut.ends_with("a@0123456789ab"), "{cut}");
}
