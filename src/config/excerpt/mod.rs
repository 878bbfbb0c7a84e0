//! Where a byte of the file is, and the line around it, fit to be shown.
//!
//! No value of a key that bears a secret, or that we do not know, is ever shown.

use std::{collections::BTreeSet, ops::Range};

use super::{
    diagnostic::{Excerpt, visible},
    document::{Document, Node, Origin, Table, Value},
    path::KeyPath,
};

/// The lines of a text.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

/// A position of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The line, counted from 1.
    pub(super) line: usize,
    /// The column in characters, counted from 1.
    pub(super) column: usize,
}

impl<'a> Lines<'a> {
    /// Finds the lines of `text`.
    pub(super) fn of(text: &'a str) -> Self {
        let after = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after).collect();
        Self { text, starts }
    }

    /// Returns where the byte at `offset` is.
    pub(super) fn position(&self, offset: usize) -> Position {
        let line = self.line(offset);
        let start = self.range(line).start;
        let column = self
            .text
            .get(start..offset)
            .map_or(1, |before| before.chars().count() + 1);
        Position { line, column }
    }

    /// Returns the line of `marked` with the parts of `hidden` left out.
    pub(super) fn excerpt(&self, marked: &Range<usize>, hidden: &Hidden) -> Excerpt {
        let range = self.range(self.line(marked.start));
        if range.len() > MAX_LINE_BYTES {
            return cut(TOO_LONG, Some(0), 1);
        }
        let mut text = String::new();
        let mut caret = None;
        let mut at = range.start;
        for secret in hidden.within(&range) {
            self.copy(at..secret.start, marked, &mut text, &mut caret);
            if caret.is_none() && marked.start < secret.end {
                caret = Some(text.chars().count());
            }
            text.push_str(REDACTED);
            at = secret.end.min(range.end).max(at);
        }
        self.copy(at..range.end, marked, &mut text, &mut caret);
        let end = marked.end.min(range.end);
        let marked = self
            .text
            .get(marked.start..end)
            .map_or(1, |marked| marked.chars().count());
        cut(&text, caret, marked)
    }

    /// Returns the line of a text that is not TOML: all of it only if its key is `known` to bear no secret.
    pub(super) fn raw_excerpt(&self, marked: &Range<usize>, known: impl Fn(&str) -> bool) -> Excerpt {
        let position = self.position(marked.start);
        let line = self.text.get(self.range(position.line)).unwrap_or_default();
        if line.len() > MAX_LINE_BYTES {
            return cut(TOO_LONG, Some(0), 1);
        }
        let trimmed = line.trim_start();
        let key = line.split('=').next().unwrap_or_default();
        let plain = trimmed.starts_with('[')
            || (known(key.trim()) && !trimmed.split(separates).any(is_secret) && !holds_password(line));
        let text = match (plain, line.contains('=')) {
            (true, _) => line.to_owned(),
            (false, true) if key.trim().chars().all(|c| !separates(c) || c == '.') => format!("{key}= {REDACTED}"),
            (false, _) => REDACTED.to_owned(),
        };
        let text: String = text.chars().map(visible).collect();
        cut(&text, Some(position.column - 1), 1)
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn range(&self, line: usize) -> Range<usize> {
        let start = line
            .checked_sub(1)
            .and_then(|line| self.starts.get(line))
            .copied()
            .unwrap_or(0);
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        start..end.max(start)
    }

    fn copy(&self, part: Range<usize>, marked: &Range<usize>, out: &mut String, caret: &mut Option<usize>) {
        if caret.is_none() && (part.start..=part.end).contains(&marked.start) && marked.start < part.end {
            let before = self.text.get(part.start..marked.start).unwrap_or_default();
            *caret = Some(out.chars().count() + before.chars().count());
        }
        out.extend(
            self.text
                .get(part)
                .unwrap_or_default()
                .trim_end_matches('\r')
                .chars()
                .map(visible),
        );
    }
}

fn cut(text: &str, caret: Option<usize>, marked: usize) -> Excerpt {
    let length = text.chars().count();
    let caret = caret.unwrap_or(length).min(length);
    let first = if caret > MAX_LINE - MARGIN { caret - MARGIN } else { 0 };
    let text: String = text.chars().skip(first).take(MAX_LINE).collect();
    let before = caret - first;
    let marked = marked.min(text.chars().count().saturating_sub(before)).max(1);
    Excerpt { text, before, marked }
}

/// The parts of a file that are not shown.
#[derive(Debug, Default)]
pub(super) struct Hidden(Vec<Range<usize>>);

impl Hidden {
    /// Finds the values of keys that bear secrets, and of those `unknown`.
    pub(super) fn of(document: &Document, unknown: &BTreeSet<KeyPath>) -> Self {
        let mut out = Self::default();
        out.table(document.root(), &KeyPath::root(), unknown, Sight::Shown);
        out.0.sort_by_key(|range| range.start);
        out
    }

    fn table(&mut self, table: &Table, path: &KeyPath, unknown: &BTreeSet<KeyPath>, sight: Sight) {
        for (key, member) in &table.0 {
            let place = path.key(key);
            let hidden = sight == Sight::Hidden || is_secret(key) || unknown.contains(&place) || is_store_url(&place);
            let sight = if hidden { Sight::Hidden } else { Sight::Shown };
            self.node(&member.node, &place, unknown, sight);
        }
    }

    fn node(&mut self, node: &Node, path: &KeyPath, unknown: &BTreeSet<KeyPath>, sight: Sight) {
        match (&node.value, &node.origin) {
            (Value::Array(nodes), _) => {
                for (index, node) in nodes.iter().enumerate() {
                    self.node(node, &path.index(index), unknown, sight);
                }
            }
            (Value::Table(table), _) => self.table(table, path, unknown, sight),
            (Value::String(text), Origin::File(span)) if sight == Sight::Hidden || holds_password(text) => {
                self.0.push(span.clone());
            }
            (
                Value::Boolean(_) | Value::Datetime(_) | Value::Float(_) | Value::Integer(_) | Value::String(_),
                Origin::File(span),
            ) => {
                if sight == Sight::Hidden {
                    self.0.push(span.clone());
                }
            }
            (_, Origin::Environment(_)) => {}
        }
    }

    fn within(&self, range: &Range<usize>) -> impl Iterator<Item = &Range<usize>> {
        let first = self.0.partition_point(|hidden| hidden.end <= range.start);
        let rest = self.0.get(first..).unwrap_or_default();
        rest.iter().take_while(|hidden| hidden.start < range.end)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Hidden,
    Shown,
}

/// Returns whether a key's name says that its value is a secret; what only tells where one is, is none.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let tells_where = WHERE.iter().any(|end| key.ends_with(end));
    !tells_where && SECRET.iter().any(|word| key.contains(word))
}

/// Returns whether a text is a URL with a user, who may have a password.
fn holds_password(text: &str) -> bool {
    text.contains("://") && text.contains('@')
}

fn is_store_url(path: &KeyPath) -> bool {
    *path == KeyPath::root().key("store").key("url")
}

fn separates(character: char) -> bool {
    !(character.is_ascii_alphanumeric() || character == '_' || character == '-')
}

const SECRET: [&str; 11] = [
    "apikey",
    "api_key",
    "credential",
    "kek",
    "passphrase",
    "passwd",
    "password",
    "private",
    "secret",
    "token",
    "_key",
];

const WHERE: [&str; 8] = ["_arn", "_endpoint", "_file", "_id", "_path", "_type", "_uri", "_url"];

const REDACTED: &str = "[redacted]";

const TOO_LONG: &str = "(a line too long to be shown)";

/// Longer lines were not written by people.
const MAX_LINE_BYTES: usize = 4_096;

/// Characters of a line that are shown at most.
const MAX_LINE: usize = 160;

/// Characters before the mark that are shown where a line is longer.
const MARGIN: usize = 60;

#[cfg(test)]
mod tests;
