//! Which tables configure an attestor, and what is said of those that do not.

use super::*;
use crate::attest::{BUILTINS, Misconfigured, oidc::BUILTIN};

pub(super) fn configure(table: &str) -> Result<OidcAttestor, Misconfigured> {
    OidcAttestor::configure(context(&FakeResolver::loopback()), table.parse().unwrap())
}

pub(super) fn code(table: &str) -> (&'static str, String) {
    let error = configure(table).unwrap_err();
    (error.code, error.key)
}

const GITHUB: &str = "preset = \"github_actions\"\nowners = [{ name = \"acme\", id = \"1\" }]\n";
const GENERIC: &str = "issuer = \"https://ci.example\"\n";

#[test]
fn the_sample_configures() {
    let attestor = configure(BUILTIN.sample).unwrap();

    assert_eq!(attestor.rules.issuer, "https://token.actions.githubusercontent.com");
    assert_eq!(attestor.rules.audience, AUDIENCE);
    assert!(attestor.attributes().contains(&"ci.vendor"));
    assert!(attestor.immutable().contains(&"ci.repo_id"));
    assert!(BUILTINS.iter().any(|builtin| builtin.kind == "oidc"));
}

#[test]
fn the_manual_names_every_option_and_every_preset() {
    for name in [
        "preset",
        "issuer",
        "audience",
        "owners",
        "events",
        "max_age",
        "session_max",
        "algorithms",
        "discovery_url",
        "jwks_uri",
        "ca_file",
        "allow_addresses",
        "claims",
        "immutable",
        "job_ends",
        "github_actions",
        "gitlab",
        "hcp_terraform",
        "generic",
    ] {
        assert!(BUILTIN.manual.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn refuses_an_unknown_key_and_names_it() {
    let error = configure(&format!("{GITHUB}audiences = \"x\"")).unwrap_err();

    assert_eq!(error.code, "config.attestor_table");
    assert!(error.problem.contains("audiences"), "{}", error.problem);
}

#[test]
fn refuses_a_value_of_another_type_and_names_its_key() {
    assert_eq!(
        code(&format!("{GITHUB}session_max = 3600")),
        ("config.attestor_table", "session_max".to_owned())
    );
    assert_eq!(
        code(&format!("{GITHUB}max_age = \"ten\"")),
        ("config.attestor_table", "max_age".to_owned())
    );
}

#[test]
fn t_63_refuses_a_public_issuer_without_owners_and_owners_without_ids() {
    for preset in ["github_actions", "gitlab", "hcp_terraform"] {
        let bare = format!("preset = \"{preset}\"");
        assert_eq!(code(&bare), ("config.owners_required", "owners".to_owned()), "{preset}");
        for owner in ["{ name = \"acme\" }", "{ name = \"acme\", id = \"\" }"] {
            let table = format!("{bare}\nowners = [{{ name = \"good\", id = \"1\" }}, {owner}]");
            assert_eq!(
                code(&table),
                ("config.owner_id_required", "owners".to_owned()),
                "{preset}: {owner}"
            );
        }
    }
}

#[test]
fn takes_a_session_of_12_h_and_refuses_one_second_more() {
    let standing = |text: &str| configure(&format!("{GITHUB}session_max = \"{text}\"")).map(|it| it.rules.session_max);

    assert_eq!(standing("12h"), Ok(Duration::from_hours(12)));
    assert_eq!(standing("43201s").unwrap_err().code, "config.duration_range");
    assert_eq!(standing("0s").unwrap_err().code, "config.duration_range");
    assert_eq!(configure(GITHUB).unwrap().rules.session_max, Duration::from_hours(1));
}

#[test]
fn a_max_age_of_a_day_is_the_most() {
    assert!(configure(&format!("{GITHUB}max_age = \"24h\"")).is_ok());
    assert_eq!(
        code(&format!("{GITHUB}max_age = \"86401s\"")),
        ("config.duration_range", "max_age".to_owned())
    );
}

#[test]
fn refuses_algorithms_that_the_vendor_does_not_sign_with() {
    for list in [
        "[\"ES256\"]",
        "[\"HS256\"]",
        "[\"none\"]",
        "[]",
        "[\"RS256\", \"ES256\"]",
    ] {
        let table = format!("{GITHUB}algorithms = {list}");
        assert_eq!(
            code(&table),
            ("config.algorithm_unsupported", "algorithms".to_owned()),
            "{list}"
        );
    }
    assert!(configure(&format!("{GITHUB}algorithms = [\"RS256\"]")).is_ok());
    assert!(configure(&format!("{GENERIC}algorithms = [\"ES256\"]")).is_ok());
}

#[test]
fn refuses_issuers_that_are_no_https_url() {
    assert_eq!(code(""), ("config.issuer_required", "issuer".to_owned()));
    for issuer in [
        "http://ci.example",
        "ci.example",
        "https://ci.example?x",
        "https://ci.example#x",
        "https://u@ci.example",
        "",
    ] {
        let table = format!("issuer = \"{issuer}\"");
        assert_eq!(code(&table), ("config.issuer_invalid", "issuer".to_owned()), "{issuer}");
    }
}

#[test]
fn refuses_unknown_presets_and_names_the_known_ones() {
    let error = configure("preset = \"github\"").unwrap_err();

    assert_eq!(error.code, "config.preset_unknown");
    assert!(error.problem.contains("github_actions"), "{}", error.problem);
}

#[test]
fn refuses_two_sources_of_keys() {
    let table = format!("{GENERIC}jwks_uri = \"https://ci.example/k\"\ndiscovery_url = \"https://ci.example/d\"");

    assert_eq!(code(&table), ("config.key_source_twice", "discovery_url".to_owned()));
}

#[test]
fn refuses_files_and_addresses_that_cannot_be_read() {
    assert_eq!(
        code(&format!("{GENERIC}ca_file = \"/nonexistent\"")),
        ("config.ca_file", "ca_file".to_owned())
    );
    let table = format!("{GENERIC}allow_addresses = [\"10.0.0.0/8\", \"localhost\"]");
    assert_eq!(code(&table), ("config.allow_addresses", "allow_addresses".to_owned()));
}

#[test]
fn own_claims_are_for_the_generic_preset_and_canonical_attributes() {
    let table = |text: &str| code(&format!("{GENERIC}{text}"));

    assert_eq!(
        code(&format!("{GITHUB}claims = {{ x = \"ci.ref\" }}")).0,
        "config.claims_fixed"
    );
    assert_eq!(
        table("claims = { x = \"ci.reference\" }"),
        ("config.attribute_unknown", "claims".to_owned())
    );
    assert_eq!(
        table("claims = { x = \"ci.ref\", y = \"ci.ref\" }").0,
        "config.attribute_twice"
    );
    assert_eq!(
        table("immutable = [\"ci.ref\"]"),
        ("config.attribute_unknown", "immutable".to_owned())
    );
    assert_eq!(
        table("owners = [{ name = \"a\", id = \"1\" }]").0,
        "config.owner_claim_required"
    );
    assert_eq!(table("events = [\"push\"]").0, "config.event_claim_required");
}

#[tokio::test]
async fn a_generic_issuers_owners_and_events_are_those_of_its_claims() {
    let extra = "owners = [{ name = \"acme\", id = \"7\" }]\nevents = [\"push\"]\n\
                 claims = { org = \"ci.owner_id\", trigger = \"ci.event\" }";
    let stage = Stage::of("generic", extra).await;
    let job = |org: &str, trigger: &str| fresh().with("org", org).with("trigger", trigger);

    stage.attested(job("7", "push")).await;

    assert_eq!(stage.refused(job("8", "push")).await.code(), "attest.owner_not_allowed");
    assert_eq!(stage.refused(job("7", "pull")).await.code(), "attest.event_forbidden");
    assert_eq!(
        stage.refused(fresh().with("org", "7")).await.code(),
        "attest.claim_invalid"
    );
}
