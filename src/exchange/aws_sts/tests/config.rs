//! Tests of the table and of what a session is called.

use std::sync::Arc;

use super::super::{BUILTIN, config, session::Holder};
use crate::{
    attest::{Attributes, Misconfigured},
    authorize::{LifetimeMode, RelyingPartyName},
    bounded_file::sample,
    clock::FakeClock,
    exchange::{RelyingParty, RelyingPartyContext, aws::role_session},
    spiffe::TrustDomain,
};

const ISSUER: &str = "https://id.acme.example";
const BASE: &str = "role_arn = 'arn:aws:iam::123456789012:role/deploy'\nregion = 'eu-central-1'\n";

fn configure(table: &str) -> Result<Arc<dyn RelyingParty>, Misconfigured> {
    let context = RelyingPartyContext {
        name: RelyingPartyName::parse("aws-prod").unwrap(),
        issuer: ISSUER.to_owned(),
        trust_domain: TrustDomain::parse("prod.acme.example").unwrap(),
        clock: FakeClock::at("2026-01-16T14:40:00Z"),
    };
    (BUILTIN.configure)(context, toml::from_str(table).unwrap())
}

fn refused(more: &str) -> Misconfigured {
    configure(&format!("{BASE}{more}")).unwrap_err()
}

#[test]
fn the_sample_configures_with_an_audience_of_its_own_account() {
    let party = configure(BUILTIN.sample).unwrap();

    let terms = party.terms();
    assert_eq!(terms.audience, "https://id.acme.example/aws/123456789012");
    assert_eq!((terms.minimum.as_secs(), terms.maximum.as_secs()), (900, 3600));
    assert_eq!(terms.lifetime_mode, LifetimeMode::Requested);
    assert!(!terms.session_policy && !terms.svid_is_credential);
    assert_eq!(party.upstream().unwrap().key, "aws_sts/123456789012");
}

#[test]
fn a_session_policy_is_told_to_authorize() {
    let policy =
        r#"session_policy = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'"#;

    let inline = configure(&format!("{BASE}{policy}")).unwrap();
    let managed = configure(&format!(
        "{BASE}policy_arns = ['arn:aws:iam::aws:policy/ReadOnlyAccess']"
    ))
    .unwrap();

    assert!(inline.terms().session_policy && managed.terms().session_policy);
}

#[test]
fn refuses_an_unknown_key() {
    assert!(refused("rol_arn = 'x'").problem.contains("rol_arn"));
}

#[test]
fn refuses_a_role_that_is_none() {
    let problem = configure("role_arn = 'arn:aws:iam::1:role/deploy'\nregion = 'eu-central-1'").unwrap_err();

    assert_eq!(problem.key, "role_arn");
}

#[test]
fn refuses_a_region_with_a_dot() {
    let problem =
        configure("role_arn = 'arn:aws:iam::123456789012:role/deploy'\nregion = 'evil.example/'").unwrap_err();

    assert_eq!(problem.key, "region");
}

#[test]
fn refuses_an_endpoint_without_tls() {
    assert_eq!(refused("endpoint = 'http://127.0.0.1:4566'").key, "endpoint");
}

#[test]
fn refuses_an_authority_file_without_a_certificate() {
    let file = tempfile::NamedTempFile::new().unwrap();

    let problem = refused(&format!("ca_file = '{}'", file.path().display()));

    assert_eq!(problem.key, "ca_file");
}

#[test]
fn takes_1_mib_of_authorities_and_refuses_one_byte_more() {
    for (bytes, key) in [(1024 * 1024, None), (1024 * 1024 + 1, Some("ca_file"))] {
        let file = sample::authorities(bytes);
        let named = format!("ca_file = '{}'", file.path().display());

        let refused = configure(&format!("{BASE}{named}")).err().map(|refused| refused.key);

        assert_eq!(refused.as_deref(), key, "{bytes}");
    }
}

#[test]
fn takes_255_characters_of_audience_and_refuses_256() {
    assert!(configure(&format!("{BASE}audience = '{}'", "a".repeat(255))).is_ok());
    assert_eq!(refused(&format!("audience = '{}'", "a".repeat(256))).key, "audience");
}

#[test]
fn takes_one_to_twelve_hours_and_refuses_a_second_more_or_less() {
    for (seconds, taken) in [(3599, false), (3600, true), (43_200, true), (43_201, false)] {
        let configured = configure(&format!("{BASE}max_session_seconds = {seconds}"));

        assert_eq!(configured.is_ok(), taken, "{seconds}");
    }
}

#[test]
fn takes_49_tags_and_refuses_50_beside_the_exchange_id() {
    let tags = |count: usize| {
        let names: Vec<String> = (0..count).map(|index| format!("'ci.a{index}'")).collect();
        format!("session_tags = [{}]", names.join(", "))
    };

    assert!(configure(&format!("{BASE}{}", tags(49))).is_ok());
    assert_eq!(refused(&tags(50)).key, "session_tags");
}

#[test]
fn refuses_a_tag_that_stands_twice_or_takes_the_exchange_ids_name() {
    assert_eq!(refused("session_tags = ['ci.a', 'ci.a']").key, "session_tags");
    assert_eq!(refused("session_tags = ['exchange_id']").key, "session_tags");
}

#[test]
fn refuses_a_transitive_tag_that_is_no_tag() {
    assert_eq!(
        refused("session_tags = ['ci.a']\ntransitive_tags = ['ci.b']").key,
        "transitive_tags"
    );
}

#[test]
fn refuses_a_session_policy_that_is_none() {
    assert_eq!(refused("session_policy = '{}'").key, "session_policy");
}

#[test]
fn takes_ten_policy_arns_and_refuses_eleven() {
    let arns = |count: usize| {
        let names: Vec<String> = (0..count)
            .map(|index| format!("'arn:aws:iam::aws:policy/P{index}'"))
            .collect();
        format!("policy_arns = [{}]", names.join(", "))
    };

    assert!(configure(&format!("{BASE}{}", arns(10))).is_ok());
    assert!(configure(&format!("{BASE}{}", arns(11))).is_err());
}

// Names, tags, digest.

fn attributes(sha: &str) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.insert("ci.repo_id", "7654321").unwrap();
    attributes.insert("ci.sha", sha).unwrap();
    attributes
}

fn holder<'a>(entry: &'a str, attributes: &'a Attributes) -> Holder<'a> {
    Holder {
        entry,
        spiffe_id: "spiffe://prod.acme.example/ci/acme/shop/deploy",
        attributes,
    }
}

fn settings(more: &str) -> config::Settings {
    config::read(ISSUER, toml::from_str(&format!("{BASE}{more}")).unwrap())
        .unwrap()
        .0
}

#[test]
fn a_session_is_named_after_entry_and_exchange() {
    let attributes = attributes("x");

    assert_eq!(
        holder("shop-deploy", &attributes).role_session_name("0123456789ab"),
        "shop-deploy@0123456789ab"
    );
    let identity = holder("shop-deploy", &attributes).source_identity();
    assert!(identity.starts_with("shop-deploy."), "{identity}");
    assert_eq!(identity.len(), "shop-deploy.".len() + 8);
}

#[test]
fn the_longest_entry_is_cut_to_what_aws_takes() {
    let (attributes, entry) = (attributes("x"), "e".repeat(64));

    let name = holder(&entry, &attributes).role_session_name("0123456789ab");
    let identity = holder(&entry, &attributes).source_identity();

    assert_eq!((name.len(), identity.len()), (64, 64));
    assert!(name.ends_with("@0123456789ab"));
    assert!(role_session::source_identity(&identity).is_ok());
}

#[test]
fn claims_hold_what_is_configured_and_the_workload_has() {
    let attributes = attributes("abc");
    let settings = settings("session_tags = ['ci.sha', 'ci.ref']\ntransitive_tags = ['ci.sha', 'ci.ref']");

    let claims = holder("shop", &attributes).claims(&settings, "0123").unwrap();

    assert_eq!(
        claims["https://aws.amazon.com/tags"],
        serde_json::json!({
            "principal_tags": {"ci.sha": ["abc"], "exchange_id": ["0123"]},
            "transitive_tag_keys": ["ci.sha"],
        })
    );
    assert_eq!(
        claims["https://aws.amazon.com/source_identity"],
        holder("shop", &attributes).source_identity()
    );
}

#[test]
fn an_attribute_that_no_tag_can_hold_is_refused_not_rewritten() {
    let attributes = attributes("a*b");
    let settings = settings("session_tags = ['ci.sha']");

    let refusal = holder("shop", &attributes).claims(&settings, "0123").unwrap_err();

    assert_eq!(refusal.code.name(), "ValidationError");
}

#[test]
fn t_46_requests_that_differ_have_different_digests() {
    let endpoint = crate::secret::Digest::of(b"endpoint");
    let (one, other) = (attributes("abc"), attributes("def"));
    let tagged = "session_tags = ['ci.sha']";
    let digest = |more: &str, attributes: &Attributes| settings(more).digest(&holder("shop", attributes), endpoint);

    let same = digest(tagged, &one);

    assert_eq!(same, digest(tagged, &one));
    assert_ne!(same, digest(tagged, &other));
    assert_ne!(same, digest("", &one));
    assert_ne!(same, digest(&format!("{tagged}\ntransitive_tags = ['ci.sha']"), &one));
    assert_ne!(
        same,
        digest(
            &format!("{tagged}\npolicy_arns = ['arn:aws:iam::aws:policy/ReadOnlyAccess']"),
            &one
        )
    );
    assert_ne!(same, settings(tagged).digest(&holder("other", &one), endpoint));
    assert_ne!(
        same,
        settings(tagged).digest(&holder("shop", &one), crate::secret::Digest::of(b"x"))
    );
}
