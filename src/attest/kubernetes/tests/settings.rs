//! Tables that load, and those that do not.

use super::*;

const ISSUER: &str = "cluster = \"prod\"\nissuer = \"https://k8s.acme.example\"\n";

fn problem(table: &str) -> (&'static str, String) {
    let refused = configured(table).unwrap_err();
    (refused.code, refused.key)
}

#[test]
fn the_smallest_table_names_the_cluster_and_its_issuer() {
    assert!(configured(ISSUER).is_ok());
    for table in ["", "cluster = \"prod\"\n", "issuer = \"https://k8s.acme.example\"\n"] {
        assert_eq!(problem(table).0, "config.attestor_table", "{table}");
    }
}

#[test]
fn an_unknown_key_is_refused_at_its_place() {
    let stage = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(stage.path(), "token").unwrap();
    let review = format!(
        "{ISSUER}[token_review]\nurl = \"https://api.acme.example\"\ncredential_file = \"{}\"\n",
        stage.path().display()
    );
    assert!(configured(&review).is_ok());

    for table in [
        format!("{ISSUER}colour = \"red\"\n"),
        format!("{review}colour = \"red\"\n"),
        format!("{review}credential = \"inline\"\n"),
        format!("{review}token = \"inline\"\n"),
    ] {
        assert_eq!(problem(&table).0, "config.attestor_table", "{table}");
    }
}

#[test]
fn a_cluster_is_named_as_everything_else_is() {
    for name in ["", "Prod", "a/b", "..", "prod.eu", &"p".repeat(65)] {
        let table = ISSUER.replace("\"prod\"", &format!("\"{name}\""));

        assert_eq!(problem(&table), ("config.cluster_name", "cluster".to_owned()), "{name}");
    }
    assert!(configured(&ISSUER.replace("\"prod\"", &format!("\"{}\"", "p".repeat(64)))).is_ok());
}

#[test]
fn t_08_the_issuer_of_secrets_tokens_and_what_is_no_url_are_refused() {
    let of = |issuer: &str| problem(&ISSUER.replace("https://k8s.acme.example", issuer));

    assert_eq!(
        of("kubernetes/serviceaccount"),
        ("config.issuer_form", "issuer".to_owned())
    );
    for issuer in [
        "",
        "http://k8s.acme.example",
        "k8s.acme.example",
        "https://k8s.acme.example?a=b",
        "https://k8s.acme.example#a",
        "https://user@k8s.acme.example",
    ] {
        assert_eq!(of(issuer), ("config.issuer_invalid", "issuer".to_owned()), "{issuer}");
    }
}

#[test]
fn an_aks_issuer_without_its_last_slash_is_refused() {
    let issuer = "https://westeurope.oic.prod-aks.azure.com/0f9e8d7c-6b5a-4c3d-8e1f-0a1b2c3d4e5f/\
                  1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d";
    let table = |issuer: &str| ISSUER.replace("https://k8s.acme.example", issuer);

    assert!(configured(&table(&format!("{issuer}/"))).is_ok());
    assert_eq!(problem(&table(issuer)).0, "config.issuer_form");
}

#[test]
fn wimse_wip_2_an_audience_that_the_api_server_takes_is_refused() {
    for audience in [
        "",
        "https://k8s.acme.example",
        "https://kubernetes.default.svc",
        "https://kubernetes.default.svc.cluster.local",
    ] {
        let table = format!("{ISSUER}audience = \"{audience}\"\n");

        assert_eq!(
            problem(&table),
            ("config.audience_of_api_server", "audience".to_owned()),
            "{audience}"
        );
    }
    assert!(configured(&format!("{ISSUER}audience = \"https://gateway.acme.example\"\n")).is_ok());
}

#[tokio::test]
async fn the_keys_have_one_source() {
    let stage = Stage::start();
    let pinned = stage.pinning();
    for (extra, key) in [
        ("jwks_uri = \"https://k8s.acme.example/keys\"\n", "jwks_uri"),
        ("discovery_url = \"https://k8s.acme.example/d\"\n", "discovery_url"),
        ("allow_addresses = [\"10.0.0.1/32\"]\n", "jwks_file"),
    ] {
        let table = format!("{pinned}{extra}");

        assert_eq!(problem(&table), ("config.key_source_twice", key.to_owned()), "{extra}");
    }
    let both =
        format!("{ISSUER}jwks_uri = \"https://k8s.acme.example/k\"\ndiscovery_url = \"https://k8s.acme.example/d\"\n");
    assert_eq!(problem(&both).0, "config.key_source_twice");
}

#[tokio::test]
async fn a_file_of_keys_is_read_at_load_up_to_100_kib() {
    let stage = Stage::start();
    let table = stage.pinning();
    let keys = stage.cluster.jwks().to_string();
    let padded = |bytes: usize| format!("{keys}{}", " ".repeat(bytes - keys.len()));
    let refused = || problem(&table);

    std::fs::write(stage.file("jwks.json"), padded(102_400)).unwrap();
    assert!(configured(&table).is_ok());
    for content in [
        padded(102_401),
        String::new(),
        "{}".to_owned(),
        "{\"keys\":[]}".to_owned(),
    ] {
        std::fs::write(stage.file("jwks.json"), &content).unwrap();
        assert_eq!(refused(), ("config.jwks_file", "jwks_file".to_owned()), "{content:.20}");
    }
    std::fs::remove_file(stage.file("jwks.json")).unwrap();
    assert_eq!(refused().0, "config.jwks_file");
}

#[tokio::test]
async fn a_review_needs_an_address_a_readable_token_and_certificates() {
    let stage = Stage::start();
    let with = |from: &str, to: &str| format!("{}{}", stage.table(), stage.reviewing().replace(from, to));
    let credential = stage.file("reviewer").display().to_string();
    let authorities = stage.file("ca.pem").display().to_string();
    let url = format!("url = \"{}\"", stage.url);
    for (from, to, code, key) in [
        (
            url.as_str(),
            "url = \"http://api.acme.example\"",
            "config.issuer_invalid",
            "token_review.url",
        ),
        (
            url.as_str(),
            "url = \"https://api.acme.example?a=b\"",
            "config.issuer_invalid",
            "token_review.url",
        ),
        (
            credential.as_str(),
            "/nonexistent/token",
            "config.review_credential",
            "token_review.credential_file",
        ),
        (
            authorities.as_str(),
            "/nonexistent/ca.pem",
            "config.ca_file",
            "token_review.ca_file",
        ),
        (
            "127.0.0.0/8",
            "everywhere",
            "config.allow_addresses",
            "token_review.allow_addresses",
        ),
    ] {
        assert_eq!(problem(&with(from, to)), (code, key.to_owned()), "{to}");
    }
}

#[tokio::test]
async fn a_reviewers_token_has_up_to_16_kib_and_is_one_word() {
    let stage = Stage::start();
    let table = format!("{}{}", stage.table(), stage.reviewing());
    let write = |content: &str| std::fs::write(stage.file("reviewer"), content).unwrap();

    write(&"t".repeat(16_384));
    assert!(configured(&table).is_ok());
    for content in [
        "t".repeat(16_385),
        String::new(),
        "\n".to_owned(),
        "two words".to_owned(),
        "t\r\n".to_owned(),
    ] {
        write(&content);
        let refused = configured(&table).unwrap_err();
        assert_eq!(refused.code, "config.review_credential", "{content:.10}");
        assert!(!refused.problem.contains("two words"), "{}", refused.problem);
    }
}
