//! Issuers that cannot be reached: their keys are in a file, and nobody is asked.

use super::{
    settings::{code, configure},
    *,
};
use crate::attest::oidc::fixture::generic_job;

const ISSUER: &str = "https://ci.internal.example";

/// Writes a key set to a file, and configures an attestor with it.
fn pinned(ci: &Ci) -> (tempfile::NamedTempFile, OidcAttestor) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ci.jwks().to_string()).unwrap();
    let attestor = configure(&table(file.path())).unwrap();
    (file, attestor)
}

fn table(file: &std::path::Path) -> String {
    format!("issuer = \"{ISSUER}\"\njwks_file = \"{}\"\n", file.display())
}

async fn judge(attestor: &OidcAttestor, job: Job, ci: &Ci) -> Verdict {
    let token = job.issued_at(now()).signed_by(ci).unwrap();
    attestor
        .judge(&Evidence::new(token, None, Possession::Bearer), now())
        .await
}

#[tokio::test]
async fn attests_by_the_keys_of_a_file_without_asking_anybody() {
    let ci = Ci::new(ISSUER).unwrap();
    let (_file, attestor) = pinned(&ci);

    attested(judge(&attestor, generic_job(), &ci).await);
}

#[tokio::test]
async fn t_16_a_token_of_another_key_or_issuer_is_refused_without_a_fetch() {
    let ci = Ci::new(ISSUER).unwrap();
    let (_file, attestor) = pinned(&ci);
    let kid = ci.jwks()["keys"][0]["kid"].as_str().unwrap().to_owned();
    let same_name = Ci::new(ISSUER).unwrap().with_kid(kid);
    let unknown = Ci::new(ISSUER).unwrap();

    for other in [&same_name, &unknown] {
        let refusal = refused(judge(&attestor, generic_job(), other).await);
        assert_eq!(refusal.code(), "attest.evidence_unverifiable");
    }
    let elsewhere = judge(&attestor, generic_job().with("iss", "https://evil.example"), &ci).await;
    assert!(matches!(elsewhere, Verdict::NotMine), "{elsewhere:?}");
}

#[tokio::test]
async fn a_key_that_the_file_lost_is_gone_after_a_reload() {
    let (old, new) = (Ci::new(ISSUER).unwrap(), Ci::new(ISSUER).unwrap());
    let (file, before) = pinned(&old);
    std::fs::write(file.path(), new.jwks().to_string()).unwrap();

    let after = configure(&table(file.path())).unwrap();

    attested(judge(&before, generic_job(), &old).await);
    attested(judge(&after, generic_job(), &new).await);
    assert_eq!(
        refused(judge(&after, generic_job(), &old).await).code(),
        "attest.evidence_unverifiable"
    );
}

#[test]
fn refuses_files_that_hold_no_keys() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let es256 = Ci::with_key(ISSUER, es256_key()).jwks().to_string();
    for (text, why) in [
        (String::new(), "is refused"),
        ("{\"keys\":[]}".to_owned(), "is refused"),
        ("not JSON".to_owned(), "is refused"),
        ("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}".to_owned(), "is refused"),
        (" ".repeat(100 * 1024 + 1), "more than the 102400 bytes"),
    ] {
        std::fs::write(file.path(), &text).unwrap();
        let error = configure(&table(file.path())).unwrap_err();
        assert_eq!(
            (error.code, error.key.as_str()),
            ("config.jwks_file", "jwks_file"),
            "{why}"
        );
        assert!(error.problem.contains(why), "{}", error.problem);
    }
    std::fs::write(file.path(), es256).unwrap();
    let only_rsa = format!("{}algorithms = [\"RS256\"]", table(file.path()));
    assert_eq!(code(&only_rsa), ("config.jwks_file", "jwks_file".to_owned()));
    assert_eq!(
        code(&table(std::path::Path::new("/nonexistent"))),
        ("config.jwks_file", "jwks_file".to_owned())
    );
}

#[test]
fn takes_a_file_of_100_kib() {
    let ci = Ci::new(ISSUER).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = ci.jwks().to_string();
    let padded = format!("{text}{}", " ".repeat(100 * 1024 - text.len()));
    std::fs::write(file.path(), padded).unwrap();

    assert!(configure(&table(file.path())).is_ok());
}

#[test]
fn a_file_is_the_only_source_of_keys() {
    let ci = Ci::new(ISSUER).unwrap();
    let (file, _) = pinned(&ci);
    for (line, key) in [
        ("jwks_uri = \"https://ci.example/k\"", "jwks_uri"),
        ("discovery_url = \"https://ci.example/d\"", "discovery_url"),
        ("ca_file = \"/etc/ca.pem\"", "jwks_file"),
        ("allow_addresses = [\"10.0.0.1/32\"]", "jwks_file"),
    ] {
        let found = code(&format!("{}{line}", table(file.path())));
        assert_eq!(found, ("config.key_source_twice", key.to_owned()), "{line}");
    }
}

#[tokio::test]
async fn issuer_discovery_and_key_set_may_have_three_addresses() {
    let (discovery, keys) = (Site::start().await, Site::start().await);
    let ci = Ci::new(ISSUER).unwrap();
    discovery.answer(
        "/oidc",
        Answer::json(&serde_json::json!({
            "issuer": ISSUER,
            "jwks_uri": format!("{}/keys", discovery.url),
        })),
    );
    discovery.answer("/keys", Answer::json(&ci.jwks()));
    keys.answer("/keys", Answer::json(&ci.jwks()));

    for (site, line) in [
        (&discovery, format!("discovery_url = \"{}/oidc\"", discovery.url)),
        (&keys, format!("jwks_uri = \"{}/keys\"", keys.url)),
    ] {
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), &site.ca_pem).unwrap();
        let table = format!(
            "issuer = \"{ISSUER}\"\nca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\n{line}",
            ca.path().display()
        );
        let attestor = configure(&table).unwrap();
        attested(judge(&attestor, generic_job(), &ci).await);
        assert_eq!(site.requests("/keys"), 1, "{line}");
    }
}

#[tokio::test]
async fn t_17_a_discovery_document_elsewhere_must_still_be_of_the_issuer() {
    let site = Site::start().await;
    let ci = Ci::new(ISSUER).unwrap();
    site.answer(
        "/oidc",
        Answer::json(&serde_json::json!({
            "issuer": "https://evil.example",
            "jwks_uri": format!("{}/keys", site.url),
        })),
    );
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), &site.ca_pem).unwrap();
    let table = format!(
        "issuer = \"{ISSUER}\"\nca_file = \"{}\"\nallow_addresses = [\"127.0.0.0/8\"]\ndiscovery_url = \"{}/oidc\"",
        ca.path().display(),
        site.url
    );

    let refusal = refused(judge(&configure(&table).unwrap(), generic_job(), &ci).await);

    assert_eq!(refusal.code(), "issuer.unavailable");
}
