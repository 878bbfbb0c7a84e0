//! The README: its configuration loads, its table has every plugin, and its commands are where scripts look for them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use cambio::{attest, config, exchange};

#[test]
fn the_sample_configuration_loads_without_a_problem() {
    let (directory, file) = written();

    let loaded = config::load(&file, std::iter::empty(), config::Profile::Production);

    let settings = loaded.unwrap_or_else(|why| panic!("{}", config::render::text(&why)));
    assert!(
        settings.warnings.is_empty(),
        "{}",
        config::render::text(&settings.warnings)
    );
    drop(directory);
}

#[test]
fn the_sample_configuration_is_what_plugins_and_policy_take() {
    let (directory, file) = written();
    let surroundings = config::Surroundings {
        clock: cambio::clock::system(),
        fetch: std::sync::Arc::new(cambio::fetch::Fetch::system()),
        own: attest::OwnDocuments::default(),
        challenges: attest::Challenges::default(),
        store: attest::OwnStore::default(),
    };

    let report = config::check(&file, std::iter::empty(), config::Profile::Production, &surroundings);

    assert_eq!(report.text(), "");
    drop(directory);
}

#[test]
fn the_table_has_a_row_for_every_kind_and_preset() {
    let readme = readme();
    let has_row = |name: &str| {
        readme
            .lines()
            .any(|line| line.starts_with('|') && line.contains(&format!("`{name}`")))
    };

    let kinds = attest::BUILTINS.iter().map(|plugin| plugin.kind);
    for kind in kinds.chain(exchange::BUILTINS.iter().map(|plugin| plugin.kind)) {
        assert!(has_row(kind), "no row for `{kind}`");
    }
    for preset in fs::read_dir(root().join("src/attest/oidc/presets")).unwrap() {
        let name = preset.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(has_row(&name), "no row for the preset `{name}`");
    }
}

#[test]
fn the_test_command_stands_where_scripts_look_for_it() {
    let readme = readme();
    let mut lines = readme
        .lines()
        .skip_while(|line| *line != "<!-- test command -->")
        .skip(1);

    assert_eq!(lines.next(), Some("```sh"));
    assert_eq!(lines.next(), Some("cargo test --locked"));
    assert_eq!(lines.next(), Some("```"));
}

#[test]
fn the_compiler_that_is_asked_for_is_the_one_that_is_needed() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let needed = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap()
        .trim_matches('"');

    assert!(
        readme().contains(&format!("cargo {needed}")),
        "the README does not ask for cargo {needed}"
    );
}

/// Writes the sample with the files that it names in a temporary place, each with the mode that it needs.
fn written() -> (tempfile::TempDir, PathBuf) {
    written_as(sample())
}

/// Writes `text`, which names files as the sample does.
pub(crate) fn written_as(mut text: String) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for folder in ["etc", "var", "run"] {
        fs::create_dir(at(folder)).unwrap();
    }
    write(&at("etc/tls.crt"), 0o644, pem("CERTIFICATE"));
    write(&at("etc/tls.key"), 0o600, pem("PRIVATE KEY"));
    write(&at("etc/kek"), 0o600, [7; 32]);
    for (from, to) in [
        ("/etc/cambio/", "etc"),
        ("/var/lib/cambio/", "var"),
        ("/run/cambio/", "run"),
    ] {
        assert!(text.contains(from), "the sample has nothing in {from}");
        text = text.replace(from, &format!("{}/", at(to).display()));
    }
    let file = at("etc/cambio.toml");
    write(&file, 0o644, text);
    (directory, file)
}

/// Returns the one block of TOML.
pub(crate) fn sample() -> String {
    let readme = readme();
    let mut blocks = readme.split("```toml\n").skip(1);
    let block = blocks
        .next()
        .expect("a block of TOML")
        .split("```")
        .next()
        .unwrap()
        .to_owned();
    assert!(blocks.next().is_none(), "more than one block of TOML");
    block
}

fn pem(label: &str) -> String {
    format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")
}

fn write(path: &Path, mode: u32, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
