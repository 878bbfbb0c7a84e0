//! Which tables configure an attestor, and what is said of those that do not.

use super::*;
use crate::attest::{
    BUILTINS, Misconfigured,
    oidc::{BUILTIN, preset::PRESETS},
};

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
        "jwks_file",
        "dangerous_shared_issuer",
        "ca_file",
        "allow_addresses",
        "claims",
        "immutable",
        "job_ends",
    ] {
        assert!(BUILTIN.manual.contains(&format!("| `{name}` |")), "{name}");
    }
    for (preset, _) in PRESETS {
        assert!(BUILTIN.manual.contains(&format!("`{preset}`")), "{preset}");
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
fn t_64_refuses_an_owners_id_that_no_token_could_have() {
    let with = |preset: &str, id: &str| {
        let lines = format!("preset = \"{preset}\"\nowners = [{{ name = \"acme\", id = \"{id}\" }}]");
        configure(&lines).err().map(|error| (error.code, error.key))
    };
    let invalid = Some(("config.owner_id_invalid", "owners".to_owned()));

    for (preset, id) in [
        ("github_actions", "acme"),
        ("gitlab", "acme/shop"),
        ("circleci", "acme"),
        ("circleci", "7C6D5E4F-1A2B-4C3D-8E9F-0A1B2C3D4E5F"),
        ("bitbucket", "{e1d2c3b4-a596-4877-8899-aabbccddeeff}"),
        ("azure_devops", "acme"),
        ("buildkite", "acme-inc"),
    ] {
        assert_eq!(with(preset, id), invalid, "{preset}: {id}");
    }
    assert_eq!(with("bitbucket", "e1d2c3b4-a596-4877-8899-aabbccddeeff"), None);
}

#[test]
fn the_issuer_of_an_owner_is_made_from_the_owner() {
    const ID: &str = "7c6d5e4f-1a2b-4c3d-8e9f-0a1b2c3d4e5f";

    for (preset, issuer, audience) in [
        ("circleci", format!("https://oidc.circleci.com/org/{ID}"), AUDIENCE),
        (
            "azure_devops",
            format!("https://vstoken.dev.azure.com/{ID}"),
            "api://AzureADTokenExchange",
        ),
        (
            "bitbucket",
            "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc".to_owned(),
            AUDIENCE,
        ),
        (
            "spacelift",
            "https://acme.app.spacelift.io".to_owned(),
            "acme.app.spacelift.io",
        ),
    ] {
        let table = format!("preset = \"{preset}\"\nowners = [{{ name = \"acme\", id = \"{ID}\" }}]");
        let attestor = configure(&table).unwrap();
        assert_eq!(attestor.rules.issuer, issuer, "{preset}");
        assert_eq!(attestor.rules.audience, audience, "{preset}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn t_63_an_issuer_is_of_one_owner_and_of_the_vendor() {
    const ID: &str = "7c6d5e4f-1a2b-4c3d-8e9f-0a1b2c3d4e5f";
    const OTHER: &str = "11111111-1111-4111-8111-111111111111";

    for (preset, issuer, expected) in [
        (
            "circleci",
            format!("https://oidc.circleci.com/org/{OTHER}"),
            "config.issuer_of_another",
        ),
        ("circleci", "https://oidc.circleci.com".to_owned(), "config.issuer_form"),
        (
            "circleci",
            format!("https://oidc.circleci.com/org/{ID}/"),
            "config.issuer_form",
        ),
        (
            "circleci",
            format!("https://OIDC.circleci.com/org/{ID}"),
            "config.issuer_form",
        ),
        (
            "circleci",
            "https://agent.buildkite.com".to_owned(),
            "config.issuer_of_platform",
        ),
        (
            "azure_devops",
            format!("https://vstoken.dev.azure.com/{OTHER}"),
            "config.issuer_of_another",
        ),
        (
            "azure_devops",
            "https://vstoken.acme.example/x".to_owned(),
            "config.issuer_form",
        ),
        (
            "bitbucket",
            "https://api.bitbucket.org/2.0/workspaces/evil/pipelines-config/identity/oidc".to_owned(),
            "config.issuer_of_another",
        ),
        (
            "spacelift",
            "https://evil.app.spacelift.io".to_owned(),
            "config.issuer_of_another",
        ),
        (
            "buildkite",
            "https://agent.buildkite.example".to_owned(),
            "config.issuer_form",
        ),
    ] {
        let table =
            format!("preset = \"{preset}\"\nissuer = \"{issuer}\"\nowners = [{{ name = \"acme\", id = \"{ID}\" }}]");
        assert_eq!(code(&table).0, expected, "{preset}: {issuer}");
    }
    let two = format!("owners = [{{ name = \"a\", id = \"{ID}\" }}, {{ name = \"b\", id = \"{OTHER}\" }}]");
    assert_eq!(
        code(&format!("preset = \"circleci\"\n{two}")).0,
        "config.issuer_ambiguous"
    );
    for own in ["github_enterprise_server", "gitlab_self_managed"] {
        let table = format!("preset = \"{own}\"\nowners = [{{ name = \"acme\", id = \"1\" }}]");
        assert_eq!(code(&table), ("config.issuer_required", "issuer".to_owned()), "{own}");
    }
}

#[test]
fn t_63_a_platforms_issuer_needs_its_preset() {
    for (preset, issuer) in [
        ("generic", "https://token.actions.githubusercontent.com"),
        ("generic", "https://token.actions.githubusercontent.com/acme"),
        ("generic", "https://token.actions.githubusercontent.com."),
        ("generic", "https://gitlab.com"),
        ("generic", "https://GitLab.com/"),
        ("generic", "https://agent.buildkite.com"),
        ("generic", "https://oidc.circleci.com"),
        ("generic", "https://app.terraform.io"),
        ("generic", "https://app.eu.terraform.io"),
        ("generic", "https://evil.app.spacelift.io"),
        ("jenkins", "https://gitlab.com"),
        ("gitlab_self_managed", "https://gitlab.com"),
        (
            "github_enterprise_server",
            "https://token.actions.githubusercontent.com",
        ),
    ] {
        let owners = match preset {
            "generic" | "jenkins" => "",
            _own => "owners = [{ name = \"acme\", id = \"1\" }]",
        };
        let table = format!("preset = \"{preset}\"\nissuer = \"{issuer}\"\n{owners}");
        assert_eq!(
            code(&table),
            ("config.issuer_of_platform", "issuer".to_owned()),
            "{preset}: {issuer}"
        );
        let named = configure(&format!("{table}\ndangerous_shared_issuer = true"));
        assert_eq!(named.is_ok(), preset == "generic", "{preset}: {issuer}: {named:?}");
    }
    assert!(configure("issuer = \"https://gitlab.acme.example\"").is_ok());
    assert!(configure("issuer = \"https://token.actions.githubusercontent.com.acme.example\"").is_ok());
}

#[test]
fn t_48_refuses_the_issuer_of_all_tenants() {
    for tenant in [
        "common",
        "organizations",
        "consumers",
        "Common",
        "9188040d-6c67-4c5b-b112-36a304b66dad",
        "00000000-0000-0000-0000-000000000000",
    ] {
        for version in ["", "/v2.0"] {
            let table = format!("issuer = \"https://login.microsoftonline.com/{tenant}{version}\"");
            assert_eq!(
                code(&table),
                ("config.issuer_pseudo_tenant", "issuer".to_owned()),
                "{tenant}"
            );
        }
    }
    for template in ["{tenantid}", "*", "{tenant}/v2.0"] {
        let table = format!("issuer = \"https://login.microsoftonline.com/{template}\"");
        assert_eq!(
            code(&table),
            ("config.issuer_invalid", "issuer".to_owned()),
            "{template}"
        );
    }
    let one = "issuer = \"https://login.microsoftonline.com/11111111-2222-4333-8444-555555555555/v2.0\"";
    assert!(configure(one).is_ok());
}

#[test]
fn t_66_what_entries_must_pin_follows_what_is_taken() {
    let pins = |lines: &str| configure(&format!("{GITHUB}{lines}")).unwrap().pins;

    assert_eq!(pins("").strangers, None);
    assert_eq!(pins("events = [\"push\"]").strangers, None);
    let strangers = pins("events = [\"push\", \"pull_request\"]").strangers.unwrap();
    assert_eq!(strangers.events, ["pull_request"]);
    assert_eq!(strangers.event, Some("ci.event"));
    let generic = configure(&format!(
        "{GENERIC}claims = {{ p = \"ci.repo_id\", e = \"ci.event\" }}\nevents = [\"x\"]"
    ));
    let generic = generic.unwrap().pins;
    assert_eq!((generic.ids, generic.strangers), (vec![vec!["ci.repo_id"]], None));
}

#[test]
fn takes_a_session_of_12_h_and_refuses_one_second_more() {
    let standing =
        |text: &str| configure(&format!("{GITHUB}session_max = \"{text}\"")).map(|it| it.rules.standing.session_max);

    assert_eq!(standing("12h"), Ok(Duration::from_hours(12)));
    assert_eq!(standing("43201s").unwrap_err().code, "config.duration_range");
    assert_eq!(standing("0s").unwrap_err().code, "config.duration_range");
    assert_eq!(
        configure(GITHUB).unwrap().rules.standing.session_max,
        Duration::from_hours(1)
    );
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
