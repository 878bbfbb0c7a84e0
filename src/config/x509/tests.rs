//! Where a root may be.

use super::*;
use crate::config::tests::{Case, at};

fn with(table: &str) -> Case {
    Case::sample().and(&format!("\n[x509]\n{table}\n"))
}

#[test]
fn without_the_table_the_root_is_in_the_store() {
    assert_eq!(Case::sample().settings().x509.root, Root::Store);
    assert_eq!(with("").settings().x509.root, Root::Store);
}

#[test]
fn a_root_is_in_the_store_or_outside() {
    for (word, root) in [("store", Root::Store), ("outside", Root::Outside)] {
        assert_eq!(with(&format!("root = \"{word}\"")).settings().x509.root, root, "{word}");
    }
}

#[test]
fn refuses_another_place_and_another_key() {
    assert_eq!(with("root = \"kms\"").fault(), at("config.value_invalid", "x509.root"));
    assert_eq!(with("root = true").fault(), at("config.value_invalid", "x509.root"));
    assert_eq!(
        with("roots = \"outside\"").fault(),
        at("config.unknown_key", "x509.roots")
    );
}
