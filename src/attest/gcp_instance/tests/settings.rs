//! Tables that load, and those that do not.

use super::*;

fn problem(table: &str) -> (&'static str, String) {
    let refused = configured(table).unwrap_err();
    (refused.code, refused.key)
}

#[test]
fn the_smallest_table_names_a_project() {
    assert!(configured(PROJECTS).is_ok());

    assert_eq!(problem("").0, "config.attestor_table");
    assert_eq!(
        problem("projects = []\n"),
        ("config.projects_required", "projects".to_owned())
    );
}

#[test]
fn an_unknown_key_is_refused() {
    assert_eq!(
        problem(&format!("{PROJECTS}colour = \"red\"\n")).0,
        "config.attestor_table"
    );
}

#[test]
fn t_63_a_project_goes_by_its_number_alone() {
    for project in [
        "acme-prod",
        "",
        "0",
        "0123456789012",
        "+123456789012",
        "-1",
        "*",
        " 123456789012",
        "18446744073709551616",
    ] {
        let table = format!("projects = [\"123456789012\", \"{project}\"]\n");

        assert_eq!(
            problem(&table),
            ("config.project_number", "projects".to_owned()),
            "{project:?}"
        );
    }
    assert!(configured("projects = [\"1\", \"18446744073709551615\"]\n").is_ok());
}

#[test]
fn an_instances_age_is_bounded_by_a_minute_to_a_year() {
    let with = |age: &str| format!("{PROJECTS}max_instance_age = \"{age}\"\n");

    for age in ["60s", "365d"] {
        assert!(configured(&with(age)).is_ok(), "{age}");
    }
    for age in ["0s", "59s", "31536001s", "366d"] {
        assert_eq!(
            problem(&with(age)),
            ("config.duration_range", "max_instance_age".to_owned()),
            "{age}"
        );
    }
    assert_eq!(problem(&with("soon")).0, "config.attestor_table");
}

#[test]
fn an_issuer_is_an_https_url() {
    for issuer in [
        "",
        "http://accounts.google.com",
        "accounts.google.com",
        "https://accounts.google.com?a=b",
        "https://accounts.google.com#a",
        "https://user@accounts.google.com",
    ] {
        let table = format!("{PROJECTS}issuer = \"{issuer}\"\n");

        assert_eq!(
            problem(&table),
            ("config.issuer_invalid", "issuer".to_owned()),
            "{issuer}"
        );
    }
}

#[tokio::test]
async fn the_keys_have_one_source() {
    let stage = Stage::start();
    let pinned = stage.pinning();
    for (extra, key) in [
        (
            "jwks_uri = \"https://www.googleapis.com/oauth2/v3/certs\"\n",
            "jwks_uri",
        ),
        ("discovery_url = \"https://accounts.google.com/d\"\n", "discovery_url"),
        ("allow_addresses = [\"10.0.0.1/32\"]\n", "jwks_file"),
    ] {
        assert_eq!(
            problem(&format!("{pinned}{extra}")),
            ("config.key_source_twice", key.to_owned()),
            "{extra}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_at_load() {
    for (extra, code) in [
        ("ca_file = \"/nonexistent/ca.pem\"\n", "config.ca_file"),
        ("jwks_file = \"/nonexistent/jwks.json\"\n", "config.jwks_file"),
        ("allow_addresses = [\"everywhere\"]\n", "config.allow_addresses"),
    ] {
        assert_eq!(problem(&format!("{PROJECTS}{extra}")).0, code, "{extra}");
    }
}

#[test]
fn googles_keys_are_fetched_from_where_google_has_them() {
    let made = format!("{:?}", attestor(PROJECTS).keys);
    assert!(made.contains("https://www.googleapis.com/oauth2/v3/certs"), "{made}");
    assert!(!made.contains("openid-configuration"), "{made}");

    let elsewhere = "issuer = \"https://accounts.google.example\"\n";
    let made = format!("{:?}", attestor(&format!("{PROJECTS}{elsewhere}")).keys);
    assert!(
        made.contains("https://accounts.google.example/.well-known/openid-configuration"),
        "{made}"
    );
}
