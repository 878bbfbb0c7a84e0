//! Our own bundle as a person sees it, and bundles of others.

use crate::cli::fixture::Surroundings;

fn written(directory: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_bundle_is_shown_exported_verified_and_equals_itself() {
    let world = Surroundings::new().await;
    let directory = tempfile::tempdir().unwrap();

    let shown = world.runs(&["bundle", "show"]).await;
    let json = world.runs(&["bundle", "export"]).await;
    let pem = world.runs(&["bundle", "export", "--form", "pem"]).await;
    let file = written(&directory, "bundle.json", &json.stdout);
    let verified = world
        .runs(&["bundle", "verify", &file, "--trust-domain", "dev.cambio.test"])
        .await;
    let same = world.runs(&["bundle", "diff", &file]).await;

    assert_eq!(shown.stdout.matches("jwt-svid").count(), 2, "{}", shown.stdout);
    assert_eq!(shown.stdout.matches("x509-svid     CN=Cambio root ").count(), 1);
    assert_eq!(pem.stdout.matches("-----BEGIN CERTIFICATE-----").count(), 1);
    assert_eq!((verified.exit, same.exit), (0, 0), "{}{}", verified.stderr, same.stdout);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_another_trust_domain_or_with_an_unusable_key_is_told() {
    let world = Surroundings::new().await;
    let directory = tempfile::tempdir().unwrap();
    let own = world.runs(&["bundle", "export"]).await.stdout;
    let verify = async |name: &str, text: &str, domain: &str| {
        let file = written(&directory, name, text);
        world.runs(&["bundle", "verify", &file, "--trust-domain", domain]).await
    };

    let foreign = verify("foreign.json", &own, "other.example").await;
    let odd = verify("odd.json", &own.replace("x509-svid", "x509"), "dev.cambio.test").await;
    let empty = verify("empty.json", r#"{"keys":[]}"#, "dev.cambio.test").await;
    let none = verify("none.json", "{", "dev.cambio.test").await;

    assert!(
        foreign.exit == 1 && foreign.stderr.contains("spiffe://other.example"),
        "{}",
        foreign.stderr
    );
    assert!(odd.exit == 1 && odd.stderr.contains("is left out"), "{}", odd.stderr);
    assert!(
        empty.exit == 1 && empty.stderr.contains("no key is left"),
        "{}",
        empty.stderr
    );
    assert_eq!(none.exit, 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_a_bundle_of_1_mib_and_refuses_one_byte_more() {
    let world = Surroundings::new().await;
    let directory = tempfile::tempdir().unwrap();
    let mut own = world.runs(&["bundle", "export"]).await.stdout;
    let mut show = async |bytes: usize| {
        own.extend(std::iter::repeat_n(' ', bytes - own.len()));
        let file = written(&directory, "padded.json", &own);
        world.runs(&["bundle", "show", &file]).await
    };

    let most = show(1024 * 1024).await;
    let more = show(1024 * 1024 + 1).await;

    assert_eq!((most.exit, more.exit), (0, 1), "{}", most.stderr);
    assert!(more.stderr.contains("more than the 1048576 bytes"), "{}", more.stderr);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_gone_and_a_sequence_that_went_back_are_told() {
    let world = Surroundings::new().await;
    let directory = tempfile::tempdir().unwrap();
    let own = world.runs(&["bundle", "export"]).await.stdout;
    let mut smaller: serde_json::Value = serde_json::from_str(&own).unwrap();
    smaller["keys"].as_array_mut().unwrap().pop();
    smaller["spiffe_sequence"] = 0.into();
    let before = written(&directory, "before.json", &own);
    let after = written(&directory, "after.json", &smaller.to_string());

    let differs = world.runs(&["bundle", "diff", &before, &after]).await;

    assert_eq!(differs.exit, 1);
    assert!(differs.stdout.starts_with("- x509-svid"), "{}", differs.stdout);
    assert!(differs.stderr.contains("went back"), "{}", differs.stderr);
    world.stop().await;
}
