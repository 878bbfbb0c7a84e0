//! Patterns that a vendor's text is read by: literals and named parts, each part of one kind.
//!
//! A text has one reading or none: a part ends where its kind ends, and nothing is tried a second time. It must never
//! find a part by searching for what follows it, or whoever chooses one part could choose the next as well (T-65).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error};

use super::preset::{is_digits, is_uuid};

/// A pattern such as `org/{org:uuid}/project/{project:uuid}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Part { name: String, kind: PartKind },
}

/// What a part consists of; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartKind {
    /// Decimal digits.
    Digits,
    /// Lower-case letters, digits and `-`: a label of a host's name.
    Label,
    /// Everything but `:`.
    Ref,
    /// Everything that is left.
    Rest,
    /// Everything but `/` and `:`.
    Segment,
    /// A UUID in lower case.
    Uuid,
}

/// What the parts of a text are, by name.
pub(super) type Parts<'t> = BTreeMap<&'t str, &'t str>;

impl Pattern {
    /// Reads a pattern; `None` for what is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (part, after) = after.split_once('}')?;
            let (name, kind) = part.rsplit_once(':').unwrap_or((part, "segment"));
            let twice = pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Part { name: known, .. } if known == name));
            if name.is_empty() || twice || literal.contains('}') {
                return None;
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            pieces.push(Piece::Part {
                name: name.to_owned(),
                kind: PartKind::parse(kind)?,
            });
            rest = after;
        }
        if rest.contains('}') {
            return None;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Some(Self(pieces))
    }

    /// Reads the whole of a text; `None` where it is not of this pattern.
    pub(super) fn read<'t>(&'t self, text: &'t str) -> Option<Parts<'t>> {
        let mut parts = Parts::new();
        let mut rest = text;
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Piece::Part { name, kind } => {
                    let (value, after) = kind.take(rest)?;
                    parts.insert(name, value);
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(parts)
    }

    /// Writes the text whose parts are those of `value`; `None` where one is missing or not of its kind.
    pub(super) fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Option<String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => out.push_str(literal),
                Piece::Part { name, kind } => {
                    let value = value(name)?;
                    let whole = kind.take(value).is_some_and(|(_, rest)| rest.is_empty());
                    out.push_str(Some(value).filter(|_| whole)?);
                }
            }
        }
        Some(out)
    }

    /// Tells whether a URL of this pattern has that host: by its literals alone, a part being any label.
    pub(super) fn serves(&self, host: &str) -> bool {
        let mut rest = host;
        for (position, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Literal(literal) => {
                    let literal = literal
                        .strip_prefix("https://")
                        .filter(|_| position == 0)
                        .unwrap_or(literal);
                    let (in_host, path) = literal
                        .split_once('/')
                        .map_or((literal, false), |(host, _)| (host, true));
                    let Some(after) = rest.strip_prefix(in_host) else {
                        return false;
                    };
                    if path {
                        return after.is_empty();
                    }
                    rest = after;
                }
                Piece::Part { kind, .. } => match kind.take(rest) {
                    Some((_, after)) => rest = after,
                    None => return false,
                },
            }
        }
        rest.is_empty()
    }

    /// Returns the names of its parts.
    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Part { name, .. } => Some(name.as_str()),
        })
    }
}

impl PartKind {
    fn parse(text: &str) -> Option<Self> {
        let all = [
            ("digits", Self::Digits),
            ("label", Self::Label),
            ("ref", Self::Ref),
            ("rest", Self::Rest),
            ("segment", Self::Segment),
            ("uuid", Self::Uuid),
        ];
        all.into_iter().find(|(name, _)| *name == text).map(|(_, kind)| kind)
    }

    /// Returns the part that `text` begins with, and what follows it.
    fn take(self, text: &str) -> Option<(&str, &str)> {
        let run = |allowed: fn(char) -> bool| {
            let end = text.find(|c: char| c.is_control() || !allowed(c)).unwrap_or(text.len());
            text.split_at_checked(end)
        };
        let (value, rest) = match self {
            Self::Digits => run(|c| c.is_ascii_digit())?,
            Self::Label => run(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')?,
            Self::Ref => run(|c| c != ':')?,
            Self::Rest => run(|_| true)?,
            Self::Segment => run(|c| c != '/' && c != ':')?,
            Self::Uuid => text.split_at_checked(UUID_BYTES)?,
        };
        let fits = match self {
            Self::Digits => is_digits(value),
            Self::Uuid => is_uuid(value),
            Self::Label | Self::Ref | Self::Rest | Self::Segment => !value.is_empty(),
        };
        fits.then_some((value, rest))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "found `{text}`, expected literals and parts such as `org/{{id:uuid}}`"
            ))
        })
    }
}

const UUID_BYTES: usize = 36;

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "a1b2c3d4-0000-4000-8000-00000000abcd";

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn reads_the_parts_of_a_text() {
        let pattern = pattern("org/{org:uuid}/build/{number:digits}/{name}");
        let text = format!("org/{UUID}/build/17/the name");

        let parts = pattern.read(&text).unwrap();

        assert_eq!(parts["org"], UUID);
        assert_eq!(parts["number"], "17");
        assert_eq!(parts["name"], "the name");
        assert_eq!(pattern.fill(|name| parts.get(name).copied()), Some(text.clone()));
    }

    #[test]
    fn t_65_a_part_never_reaches_into_the_next() {
        let pattern = pattern("o:{org}:p:{pipeline}:r:{ref:ref}:s:{step:rest}");
        let read = |text| pattern.read(text);

        assert_eq!(read("o:a:p:b:r:refs/heads/x:s:y:s:z").unwrap()["step"], "y:s:z");
        for text in [
            "o:a:p:b:r:x:r:y:s:z",
            "o:a:p:evil:p:b:r:x:s:z",
            "o::p:b:r:x:s:z",
            "o:a/b:p:b:r:x:s:z",
            "o:a:p:b:r:x:s:",
            "o:a:p:b:r:x",
            "O:a:p:b:r:x:s:z",
            " o:a:p:b:r:x:s:z",
            "o:a\n:p:b:r:x:s:z",
            "",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_uuid_has_one_spelling() {
        let pattern = pattern("{id:uuid}");

        assert!(pattern.read(UUID).is_some());
        for text in [
            UUID.to_uppercase(),
            format!("{{{UUID}}}"),
            UUID.replace('-', ""),
            format!("{UUID}0"),
            UUID.replace("a1", "g1"),
            "é".repeat(18),
        ] {
            assert_eq!(pattern.read(&text), None, "{text}");
        }
    }

    #[test]
    fn a_label_does_not_hold_a_dot_that_would_change_the_domain() {
        let pattern = pattern("https://{account:label}.app.example");

        assert_eq!(pattern.read("https://acme.app.example").unwrap()["account"], "acme");
        for text in [
            "https://evil.example/.app.example",
            "https://a.b.app.example",
            "https://acme.app.example.evil.example",
            "https://acme.app.example/",
            "https://@acme.app.example",
            "https://.app.example",
        ] {
            assert_eq!(pattern.read(text), None, "{text}");
        }
    }

    #[test]
    fn tells_its_host_from_others() {
        let account = pattern("https://{account:label}.app.example");
        let path = pattern("https://ci.example/org/{id:uuid}");

        assert!(account.serves("acme.app.example") && path.serves("ci.example"));
        for host in [
            "app.example",
            "acme.app.example.evil",
            "evil-acme.example",
            "ci.example.evil",
            "xci.example",
            "",
        ] {
            assert!(!account.serves(host) && !path.serves(host), "{host}");
        }
    }

    #[test]
    fn refuses_patterns_that_are_none() {
        for text in ["{", "{a", "a}", "{}", "{a:unheard}", "{a}{a}", "x}{a}", "{:uuid}"] {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn fills_nothing_with_a_value_of_another_kind() {
        let pattern = pattern("https://ci.example/{id:uuid}");

        assert_eq!(pattern.fill(|_| Some("acme")), None);
        assert_eq!(pattern.fill(|_| None), None);
        assert!(pattern.fill(|_| Some(UUID)).is_some());
    }
}
