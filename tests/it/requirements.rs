//! A checked list: every requirement and every bug of others has a test that bears its id, or a reason why it has none.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// One file of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// All ids of the file's subject.
    ids: Vec<String>,
    /// Those that concern no code that exists, each with the reason.
    #[serde(default)]
    without_code: BTreeMap<String, String>,
}

#[test]
fn every_requirement_has_a_test_or_a_reason_and_not_both() {
    let tests = tests();
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for (file, list) in lists() {
        for id in &list.ids {
            assert!(known.insert(id.clone()), "{file}: {id} stands there twice");
            let tested = tests.iter().any(|name| bears(name, id));
            match (tested, list.without_code.get(id)) {
                (true, None) => {}
                (false, Some(reason)) => assert!(reason.len() > 15, "{file}: {id}: `{reason}` is no reason"),
                (true, Some(_)) => wrong.push(format!("{file}: {id} has a test, so its reason is out of date")),
                (false, None) => wrong.push(format!("{file}: {id} has neither a test nor a reason")),
            }
        }
        for id in list.without_code.keys() {
            assert!(
                list.ids.contains(id),
                "{file}: {id} has a reason but is not in the list"
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(known.len() > 150, "the list has only {} rows", known.len());
}

#[test]
fn an_id_is_read_as_a_whole_word() {
    assert!(bears("tx_1_takes_one_grant_type", "TX-1"));
    assert!(bears("tx_11_tx_12_a_bad_token", "TX-12"));
    assert!(!bears("tx_15_an_empty_parameter", "TX-1"));
    assert!(!bears("jwt_bcp_1_one_algorithm", "JWT-1"));
    assert!(!bears("takes_tx_1", "TX-1"));
    assert!(bears("t_40c_deep_json", "T-40c") && !bears("t_40c_deep_json", "T-40"));
}

/// Whether a test's name bears an id: the id's words in order, followed by more words.
fn bears(name: &str, id: &str) -> bool {
    let id = format!("{}_", id.to_ascii_lowercase().replace('-', "_"));
    name.match_indices(&id)
        .any(|(at, _)| at == 0 || name.as_bytes()[at - 1] == b'_')
}

fn lists() -> Vec<(String, List)> {
    let directory = root().join("tests/vectors/requirements");
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let list = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|why| panic!("{name}: {why}"));
        (name, list)
    };
    files.into_iter().map(read).collect()
}

/// The names of all functions in `src` and `tests` that stand under a test attribute.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut directories = vec![root().join("src"), root().join("tests")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.extend(tests_of(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 300, "the reader found only {} tests", found.len());
    found
}

fn tests_of(text: &str) -> Vec<String> {
    let mut marked = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((_, after)) = line.split_once("fn ")
            && marked
        {
            found.extend(after.split('(').next().map(str::to_owned));
            marked = false;
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
