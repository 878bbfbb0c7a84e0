//! Tags of principals that the configuration makes attributes.
//!
//! It must never take a tag that the configuration does not name: who may tag is another question than who may be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use crate::{
    attest::{AttestRefusal, Attributes, Misconfigured, table::misconfigured, token_claims::refused_at},
    jose::Object,
};

/// One tag and the attribute that it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) attribute: &'static str,
    key: String,
}

/// Reads the table `principal_tags`: what each attribute is called behind `aws.tag_`, and its tag's key.
pub(super) fn read(table: &BTreeMap<String, String>) -> Result<Vec<Tag>, Misconfigured> {
    if table.len() > MAX_TAGS {
        let problem = format!("found {} tags, expected at most {MAX_TAGS}", table.len());
        return Err(misconfigured("config.principal_tags", "principal_tags", problem));
    }
    table.iter().map(|(label, key)| tag(label, key)).collect()
}

/// Adds the attributes of the tags that a token has.
pub(super) fn insert(tags: &[Tag], found: Object<'_>, attributes: &mut Attributes) -> Result<(), AttestRefusal> {
    for tag in tags {
        match found.get(&tag.key) {
            None => {}
            Some(value) => {
                let value = value.as_str().ok_or_else(|| AttestRefusal::Claim {
                    claim: format!("{PRINCIPAL_TAGS}.{}", tag.key),
                    found: "no text".to_owned(),
                    expected: "a text".to_owned(),
                })?;
                attributes.insert(tag.attribute, value)?;
            }
        }
    }
    Ok(())
}

/// Returns the tags of a principal, where the token has any.
pub(super) fn of(claim: Object<'_>) -> Result<Option<Object<'_>>, AttestRefusal> {
    claim
        .object("principal_tags")
        .map_err(|why| refused_at(PRINCIPAL_TAGS, why))
}

fn tag(label: &str, key: &str) -> Result<Tag, Misconfigured> {
    let at = format!("principal_tags.{label}");
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !(1..=MAX_LABEL_BYTES).contains(&label.len()) || !label.bytes().all(inner) {
        let problem = format!("found `{label}`, expected 1 to {MAX_LABEL_BYTES} of a-z, 0-9, `_`");
        return Err(misconfigured("config.principal_tags", &at, problem));
    }
    if key.is_empty() || key.chars().count() > MAX_KEY_CHARS {
        let problem = format!("found `{key}`, expected a tag's key of 1 to {MAX_KEY_CHARS} characters");
        return Err(misconfigured("config.principal_tags", &at, problem));
    }
    let attribute = interned(format!("aws.tag_{label}")).ok_or_else(|| {
        let problem = format!("this process knows {MAX_NAMES} names of tags already; restart it");
        misconfigured("config.principal_tags", &at, problem)
    })?;
    Ok(Tag {
        attribute,
        key: key.to_owned(),
    })
}

/// Returns the name for the life of the process, as names of attributes are; once made, it is the same at each reload.
fn interned(name: String) -> Option<&'static str> {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    kept(&mut NAMES.lock().unwrap_or_else(PoisonError::into_inner), name)
}

/// Keeps at most so many names for ever.
fn kept(names: &mut BTreeSet<&'static str>, name: String) -> Option<&'static str> {
    if let Some(known) = names.get(name.as_str()) {
        return Some(known);
    }
    if names.len() >= MAX_NAMES {
        return None;
    }
    let name: &'static str = Box::leak(name.into_boxed_str());
    names.insert(name);
    Some(name)
}

const PRINCIPAL_TAGS: &str = "https://sts.amazonaws.com/.principal_tags";

/// A principal has at most 50 tags and a session 50; nobody needs that many to tell workloads apart.
const MAX_TAGS: usize = 16;
const MAX_LABEL_BYTES: usize = 32;
/// IAM, "Tagging IAM resources".
const MAX_KEY_CHARS: usize = 128;
/// What a process keeps for ever is bounded: so many names, over all attestors and reloads.
const MAX_NAMES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
        let row = |(label, key): &(&str, &str)| ((*label).to_owned(), (*key).to_owned());
        rows.iter().map(row).collect()
    }

    #[test]
    fn a_tag_is_called_as_the_configuration_says_at_each_reload() {
        let first = read(&table(&[("team", "CostCenter")])).unwrap();
        let second = read(&table(&[("team", "CostCenter")])).unwrap();

        assert_eq!(first[0].attribute, "aws.tag_team");
        assert!(std::ptr::eq(first[0].attribute, second[0].attribute));
    }

    #[test]
    fn labels_keys_and_their_number_are_bounded() {
        assert!(read(&table(&[(&"t".repeat(32), "k")])).is_ok());
        assert!(read(&table(&[("team", &"k".repeat(128))])).is_ok());
        for (label, key) in [
            ("", "k"),
            ("Team", "k"),
            ("te.am", "k"),
            (&"t".repeat(33), "k"),
            ("team", ""),
            ("team", &"k".repeat(129)),
        ] {
            let refused = read(&table(&[(label, key)])).unwrap_err();
            assert_eq!(refused.code, "config.principal_tags", "{label:.40} {key:.10}");
        }
        let many = |count: usize| (0..count).map(|at| (format!("t{at}"), "k".to_owned())).collect();
        assert!(read(&many(16)).is_ok());
        assert_eq!(read(&many(17)).unwrap_err().code, "config.principal_tags");
    }

    #[test]
    fn a_process_keeps_256_names_and_goes_on_knowing_them() {
        let mut names = BTreeSet::new();
        for at in 0..256 {
            assert!(kept(&mut names, format!("aws.tag_{at}")).is_some(), "{at}");
        }

        assert_eq!(kept(&mut names, "aws.tag_256".to_owned()), None);
        assert_eq!(kept(&mut names, "aws.tag_0".to_owned()), Some("aws.tag_0"));
    }
}
