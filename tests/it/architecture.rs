//! Direction of dependency, banned file names and file length, read from the source itself.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What each module may name, from the arrow diagram of the architecture page; every module may name itself.
///
/// A step may name every public type of earlier steps, never of later ones.
const ALLOWED: &[(&str, &[&str])] = &[
    ("bounded_file", &[]),
    ("clock", &[]),
    ("mutated", &[]),
    ("name", &[]),
    ("secret", &[]),
    ("telemetry", &[]),
    ("spiffe", &["jose", "secret", "clock"]),
    ("jose", &["secret", "clock"]),
    ("trust", &["jose", "spiffe", "fetch", "secret", "clock"]),
    ("store", &["secret", "clock"]),
    ("fetch", &["clock", "secret"]),
    (
        "attest",
        &[
            "jose",
            "spiffe",
            "trust",
            "store",
            "fetch",
            "bounded_file",
            "clock",
            "secret",
            "name",
        ],
    ),
    (
        "identify",
        &["attest", "jose", "spiffe", "trust", "store", "clock", "secret", "name"],
    ),
    (
        "authorize",
        &[
            "attest", "identify", "jose", "spiffe", "trust", "store", "clock", "secret", "name",
        ],
    ),
    (
        "mint",
        &[
            "attest",
            "identify",
            "authorize",
            "jose",
            "spiffe",
            "trust",
            "store",
            "clock",
            "secret",
            "name",
        ],
    ),
    (
        "exchange",
        &[
            "attest",
            "identify",
            "authorize",
            "mint",
            "jose",
            "spiffe",
            "trust",
            "store",
            "bounded_file",
            "clock",
            "secret",
            "name",
        ],
    ),
    (
        "audit",
        &[
            "attest",
            "identify",
            "authorize",
            "mint",
            "exchange",
            "jose",
            "spiffe",
            "store",
            "clock",
            "secret",
            "name",
        ],
    ),
    (
        "gateway",
        &[
            "attest",
            "identify",
            "authorize",
            "mint",
            "exchange",
            "audit",
            "jose",
            "spiffe",
            "store",
            "clock",
            "secret",
            "name",
        ],
    ),
    (
        "http",
        &[
            "gateway",
            "attest",
            "identify",
            "authorize",
            "mint",
            "exchange",
            "audit",
            "jose",
            "spiffe",
            "trust",
            "store",
            "telemetry",
            "fetch",
            "bounded_file",
            "clock",
            "secret",
            "name",
        ],
    ),
    (
        "config",
        &[
            "attest",
            "exchange",
            "identify",
            "authorize",
            "fetch",
            "spiffe",
            "clock",
            "secret",
            "name",
        ],
    ),
    ("manual", &["attest", "exchange"]),
    ("sim", &["attest", "exchange", "http", "clock", "secret"]),
    (
        "cli",
        &[
            "config",
            "http",
            "gateway",
            "sim",
            "attest",
            "identify",
            "authorize",
            "mint",
            "exchange",
            "audit",
            "jose",
            "spiffe",
            "trust",
            "store",
            "fetch",
            "telemetry",
            "bounded_file",
            "clock",
            "secret",
            "name",
            "manual",
        ],
    ),
    ("main", &["cli", "clock", "secret", "telemetry"]),
    ("lib", &[]),
];

/// A simulator starts from what `sim` gives every simulator; nothing else may name a later module.
const SIMULATOR_MAY_NAME: &[&str] = &["sim"];

/// Banned in names (ARCHITECTURE section 1, STYLE section 4).
const BANNED: &[&str] = &[
    "base",
    "common",
    "constants",
    "core",
    "data",
    "errors",
    "handler",
    "helper",
    "helpers",
    "impl",
    "info",
    "manager",
    "misc",
    "service",
    "traits",
    "types",
    "util",
    "utils",
    "wrapper",
];

const MAX_LINES: usize = 400;

#[test]
fn every_module_names_only_what_the_arrows_allow() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let module = module_of(&file);
        let allowed = ALLOWED.iter().find(|(name, _)| *name == module);
        let Some((_, allowed)) = allowed else {
            wrong.push(format!("{}: module `{module}` has no row", file.display()));
            continue;
        };
        for named in named_modules(&production(&text)) {
            let simulator = simulates(&file) && SIMULATOR_MAY_NAME.contains(&named.as_str());
            // The types of the ground and the seed stand in every plugin's table of kinds.
            let seed = named == "sim"
                && ["attest/mod.rs", "exchange/mod.rs"]
                    .iter()
                    .any(|kinds| file.ends_with(kinds));
            if named != module && !allowed.contains(&named.as_str()) && !simulator && !seed {
                wrong.push(format!("{}: `{module}` may not name `{named}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_plugin_names_another_and_none_uses_the_configuration() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let Some((step, plugin)) = plugin_of(&file) else {
            continue;
        };
        let text = production(&text);
        for other in plugins(step).iter().filter(|other| **other != plugin) {
            for path in [
                format!("{step}::{other}"),
                format!("super::{other}"),
                format!("super::super::{other}"),
            ] {
                if text.contains(&format!("{path}::")) {
                    wrong.push(format!("{}: names plugin `{other}`", file.display()));
                }
            }
        }
        if named_modules(&text).contains("config") {
            wrong.push(format!("{}: uses the configuration", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_simulator_never_uses_the_client_it_judges() {
    let mut wrong = Vec::new();
    for (file, text) in sources().into_iter().filter(|(file, _)| is_simulator(file)) {
        let text = production(&text);
        let (step, plugin) = plugin_of(&file).unwrap();
        let [request, response] = ["request", "response"].map(|module| format!("{step}::{plugin}::{module}"));
        for path in [
            &*request,
            &*response,
            "crate::jose::",
            "super::request",
            "super::response",
        ] {
            if text.contains(path) {
                wrong.push(format!("{}: `{path}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_called_for_its_shape() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|(file, _)| {
            let parts = file.iter().filter_map(|part| part.to_str());
            parts
                .map(|part| part.trim_end_matches(".rs"))
                .any(|part| BANNED.contains(&part))
        })
        .map(|(file, _)| file.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_longer_than_400_lines_without_its_tests() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .map(|(file, text)| (production(&text).lines().count(), file))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .map(|(lines, file)| format!("{}: {lines} lines", file.display()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_of_these_tests_is_part_of_them() {
    let folder = root().join("tests/it");
    let listed = fs::read_to_string(folder.join("main.rs")).unwrap();
    for file in fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(
                listed.contains(&format!("\nmod {module};\n")),
                "main.rs has no `mod {module}`"
            );
        }
    }
}

#[test]
fn the_six_steps_fit_on_two_pages() {
    let text = fs::read_to_string(root().join("src/gateway/mod.rs")).unwrap();
    let steps = text.split("\nimpl Gateway {").nth(1).unwrap();

    assert!(steps.lines().count() <= 120, "{} lines", steps.lines().count());
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(file, text)| !text.starts_with("//!") && !is_test(file))
        .map(|(file, _)| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn there_is_one_crypto_provider_and_no_openssl() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();

    for banned in ["openssl-sys", "native-tls", "openssl"] {
        assert!(!lock.contains(&format!("name = \"{banned}\"\n")), "{banned}");
    }
    let old_rustls = lock
        .split("[[package]]")
        .any(|one| one.contains("name = \"rustls\"\n") && !one.contains("version = \"0.23"));
    assert!(!old_rustls, "rustls older than 0.23");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All source files with paths below `src`; tests are told apart by `production`.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(&root().join("src"), &mut found);
    found.sort();
    found
}

fn collect(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path.strip_prefix(root().join("src")).unwrap().to_owned(), text));
        }
    }
}

fn is_test(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "tests.rs")
        || file.iter().any(|part| part == "tests")
        || file.ends_with("store/suite.rs")
        || file.iter().any(|part| part == "suite")
}

fn is_simulator(file: &Path) -> bool {
    simulates(file) && plugin_of(file).is_some()
}

/// Also what the simulators of several plugins share, such as `exchange/aws/sim`.
fn simulates(file: &Path) -> bool {
    file.iter().any(|part| part == "sim" || part == "sim.rs")
}

/// What stands before the tests, without comments.
fn production(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn module_of(file: &Path) -> String {
    let first = file.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

fn plugin_of(file: &Path) -> Option<(&'static str, String)> {
    let mut parts = file.iter().filter_map(|part| part.to_str());
    let step = ["attest", "exchange"]
        .into_iter()
        .find(|step| Some(*step) == parts.clone().next())?;
    let folder = parts.nth(1)?;
    plugins(step).contains(folder).then(|| (step, folder.to_owned()))
}

/// The folders of a step that are plugins: those with a manual page.
fn plugins(step: &str) -> BTreeSet<String> {
    let folders = fs::read_dir(root().join("src").join(step)).unwrap();
    folders
        .map(|folder| folder.unwrap().path())
        .filter(|folder| folder.join("manual.md").exists())
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// Every module named by `crate::x`, also inside a braced `use crate::{...}`.
fn named_modules(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (start, _) in text.match_indices("crate::") {
        let rest = text.get(start + "crate::".len()..).unwrap_or_default();
        if let Some(group) = rest.strip_prefix('{') {
            named.extend(first_names(group));
        } else {
            named.insert(word(rest));
        }
    }
    for (start, _) in text.match_indices("cambio::") {
        named.insert(word(text.get(start + "cambio::".len()..).unwrap_or_default()));
    }
    named.remove("");
    named
}

/// The first path segment of each item of a braced group, at its outermost level.
fn first_names(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut expect) = (0_usize, Vec::new(), true);
    for (position, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expect = true,
            _ if depth == 0 && expect && !character.is_whitespace() => {
                names.push(word(group.get(position..).unwrap_or_default()));
                expect = false;
            }
            _ => {}
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|character| character.is_alphanumeric() || *character == '_')
        .collect()
}

#[test]
fn the_reader_of_paths_sees_groups_and_single_paths() {
    let named = named_modules("use crate::{\n a::{B, C},\n d,\n};\nfn f(x: crate::e::G) {}\ncambio::h::run()");

    assert_eq!(named, ["a", "d", "e", "h"].map(str::to_owned).into());
}
