//! Raw Cedar files that join the grants.
//!
//! A pattern that finds nothing is refused: the rules that were meant would silently not forbid.

use std::{
    fs,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    diagnostic::{Fault, Problems},
    file::{self, Rule},
    path::KeyPath,
};

/// `[policy]` as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPolicy {
    /// Cedar files, counted from this file's directory, `*` and `?` in the last part; 100 files at most, 1 MiB each.
    #[serde(default)]
    #[schemars(extend("default" = [], "examples" = [["policies/*.cedar"]]))]
    files: Vec<String>,
}

/// A file of raw Cedar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// Where its pattern stands.
    pub at: KeyPath,
    /// The file.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

/// Reads `[policy]` and the files, in the order of the patterns and then of their names.
pub(super) fn read(raw: &RawPolicy, directory: &Path, path: &KeyPath, problems: &mut Problems) -> Vec<PolicyFile> {
    let list = path.key("files");
    let mut out: Vec<PolicyFile> = Vec::new();
    for (index, pattern) in raw.files.iter().enumerate() {
        let at = list.index(index);
        let Some(found) = problems.take(&at, find(directory, pattern)) else {
            continue;
        };
        for path in found {
            if out.iter().any(|known| known.path == path) {
                continue;
            }
            if out.len() == MAX_FILES {
                let found = format!("more than {MAX_FILES} files");
                problems.refuse(
                    &at,
                    Fault::new("config.out_of_range", found, format!("at most {MAX_FILES}")),
                );
                return out;
            }
            if let Some(text) = problems.take(&at, text(&path)) {
                out.push(PolicyFile {
                    at: at.clone(),
                    path,
                    text,
                });
            }
        }
    }
    out
}

fn text(path: &Path) -> Result<String, Fault> {
    let bytes = file::read(path, POLICY)?;
    let text = std::str::from_utf8(&bytes).map_err(|why| {
        let found = format!("`{}` ({why})", path.display());
        Fault::new("config.file_unreadable", found, "UTF-8 text")
    })?;
    Ok(text.to_owned())
}

fn find(directory: &Path, pattern: &str) -> Result<Vec<PathBuf>, Fault> {
    let (parent, last) = pattern.rsplit_once('/').unwrap_or((".", pattern));
    let parent = if pattern.starts_with('/') && parent.is_empty() {
        "/"
    } else {
        parent
    };
    if has_wildcard(parent) {
        return Err(Fault::value(
            pattern,
            "a pattern with `*` and `?` in its last part only",
        ));
    }
    if !has_wildcard(last) {
        return Ok(vec![file::resolve(directory, pattern)]);
    }
    let folder = file::resolve(directory, parent);
    let listed = fs::read_dir(&folder).map_err(|why| file::unreadable(&folder, &why))?;
    let mut found = Vec::new();
    for entry in listed.take(MAX_LISTED) {
        let entry = entry.map_err(|why| file::unreadable(&folder, &why))?;
        if entry.file_name().to_str().is_some_and(|name| matches(last, name)) {
            found.push(entry.path());
        }
    }
    found.sort();
    if found.is_empty() {
        let fault = Fault::new(
            "config.policy_not_found",
            format_args!("no file for `{pattern}`"),
            "at least one",
        );
        return Err(fault.hint("correct the pattern, or remove it: rules that are not found forbid nothing"));
    }
    Ok(found)
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Returns whether a name fits a pattern; like a shell, a wildcard takes no leading dot.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    // reached[n]: the pattern so far can end before the name's character n.
    let name: Vec<char> = name.chars().collect();
    let mut reached = vec![false; name.len() + 1];
    reached.fill(false);
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for symbol in pattern {
        let mut next = vec![false; name.len() + 1];
        let mut any_before = false;
        for (position, slot) in next.iter_mut().enumerate() {
            let here = reached.get(position).copied().unwrap_or(false);
            let before = position.checked_sub(1);
            let from_before = before.and_then(|before| reached.get(before)).copied().unwrap_or(false);
            any_before |= here;
            *slot = match symbol {
                '*' => any_before,
                '?' => from_before,
                exact => from_before && before.and_then(|before| name.get(before)) == Some(&exact),
            };
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

/// As many as raw policies that are always evaluated may be.
const MAX_FILES: usize = 100;

/// A directory with more is not one of policies.
const MAX_LISTED: usize = 10_000;

/// No rule set written by people is longer.
const POLICY: Rule = Rule {
    mode: file::ANY_MODE,
    max_bytes: 1024 * 1024,
};

#[cfg(test)]
mod tests;
