//! The configuration as it was written: every value with the place it came from.
//!
//! It knows nothing of what the keys mean.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::path::{KeyPath, Step};

/// A configuration file, parsed, with the environment's overrides put in.
pub(super) struct Document {
    file: PathBuf,
    text: String,
    root: Table,
}

/// Where a key or value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In this variable of the environment.
    Environment(String),
    /// At these bytes of the file.
    File(Range<usize>),
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table(pub(super) BTreeMap<String, Member>);

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) key: Origin,
    pub(super) node: Node,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Several values.
    Array(Vec<Node>),
    /// `true` or `false`.
    Boolean(bool),
    /// A date, a time, or both.
    Datetime(toml::value::Datetime),
    /// A number with a fraction.
    Float(f64),
    /// A whole number.
    Integer(i64),
    /// Text.
    String(String),
    /// Keys with values.
    Table(Table),
}

/// The text is not TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// Which bytes.
    pub(super) span: Range<usize>,
    /// What the parser says.
    pub(super) message: String,
}

impl Document {
    /// Parses `text`, the content of `file`.
    ///
    /// # Errors
    /// Returns everything that is not TOML, with the text.
    pub(super) fn parse(file: &Path, text: String) -> Result<Self, (String, Vec<SyntaxError>)> {
        let (root, errors) = DeTable::parse_recoverable(&text);
        let mut found: Vec<SyntaxError> = errors
            .iter()
            .map(|error| SyntaxError {
                span: error.span().unwrap_or(0..0),
                message: error.message().to_owned(),
            })
            .collect();
        let root = table(root.get_ref(), &mut found);
        if found.is_empty() {
            Ok(Self {
                file: file.to_owned(),
                text,
                root,
            })
        } else {
            Err((text, found))
        }
    }

    /// Returns the file.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the file's text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the root.
    pub(super) fn root(&self) -> &Table {
        &self.root
    }

    /// Returns how many tables and lists stand within each other at most.
    pub(super) fn depth(&self) -> usize {
        self.root.depth()
    }

    /// Puts a value from the environment in the place of what the file says.
    pub(super) fn put(&mut self, keys: &[String], variable: &str, value: Value) {
        let Some((last, parents)) = keys.split_last() else {
            return;
        };
        let origin = Origin::Environment(variable.to_owned());
        let mut table = &mut self.root;
        for key in parents {
            let member = table.0.entry(key.clone()).or_insert_with(|| Member {
                key: origin.clone(),
                node: Node {
                    origin: origin.clone(),
                    value: Value::Table(Table::default()),
                },
            });
            if let Value::Table(inner) = &mut member.node.value {
                table = inner;
            } else {
                return; // The file's mistake; its type is refused where it stands.
            }
        }
        let node = Node {
            origin: origin.clone(),
            value,
        };
        table.0.insert(last.clone(), Member { key: origin, node });
    }

    /// Returns where the member at `path`, or the deepest one above it that exists, was written: key and value.
    pub(super) fn locate(&self, path: &KeyPath) -> Option<(&Origin, &Origin)> {
        let mut found = None;
        let mut table = Some(&self.root);
        let mut array: Option<&[Node]> = None;
        for step in path.steps() {
            let (key, node) = match step {
                Step::Index(index) => {
                    let Some(node) = array.and_then(|nodes| nodes.get(*index)) else {
                        break;
                    };
                    (&node.origin, node)
                }
                Step::Key(key) => {
                    let Some(member) = table.and_then(|table| table.0.get(key)) else {
                        break;
                    };
                    (&member.key, &member.node)
                }
            };
            found = Some((key, &node.origin));
            (table, array) = match &node.value {
                Value::Array(nodes) => (None, Some(nodes.as_slice())),
                Value::Table(inner) => (Some(inner), None),
                Value::Boolean(_) | Value::Datetime(_) | Value::Float(_) | Value::Integer(_) | Value::String(_) => {
                    (None, None)
                }
            };
        }
        found
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text may hold a store's password.
        f.debug_struct("Document")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Table {
    fn depth(&self) -> usize {
        1 + self.0.values().map(|member| member.node.depth()).max().unwrap_or(0)
    }
}

impl Node {
    fn depth(&self) -> usize {
        match &self.value {
            Value::Array(nodes) => 1 + nodes.iter().map(Self::depth).max().unwrap_or(0),
            Value::Boolean(_) | Value::Datetime(_) | Value::Float(_) | Value::Integer(_) | Value::String(_) => 0,
            Value::Table(table) => table.depth(),
        }
    }

    /// Returns the value without its places.
    pub(super) fn plain(&self) -> toml::Value {
        match &self.value {
            Value::Array(nodes) => toml::Value::Array(nodes.iter().map(Self::plain).collect()),
            Value::Boolean(value) => toml::Value::Boolean(*value),
            Value::Datetime(value) => toml::Value::Datetime(*value),
            Value::Float(value) => toml::Value::Float(*value),
            Value::Integer(value) => toml::Value::Integer(*value),
            Value::String(value) => toml::Value::String(value.clone()),
            Value::Table(table) => toml::Value::Table(
                table
                    .0
                    .iter()
                    .map(|(key, member)| (key.clone(), member.node.plain()))
                    .collect(),
            ),
        }
    }
}

impl Value {
    /// Reads one TOML value.
    ///
    /// # Errors
    /// Returns everything that is not TOML.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<SyntaxError>> {
        let (parsed, errors) = DeValue::parse_recoverable(text);
        let mut found: Vec<SyntaxError> = errors
            .iter()
            .map(|error| SyntaxError {
                span: error.span().unwrap_or(0..0),
                message: error.message().to_owned(),
            })
            .collect();
        let read = value(parsed.get_ref(), &parsed.span(), &mut found);
        if found.is_empty() { Ok(read) } else { Err(found) }
    }

    /// Returns what the value is, as people say it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Array(_) => "a list",
            Self::Boolean(_) => "a boolean",
            Self::Datetime(_) => "a date",
            Self::Float(_) => "a number with a fraction",
            Self::Integer(_) => "a whole number",
            Self::String(_) => "a string",
            Self::Table(_) => "a table",
        }
    }
}

fn table(parsed: &DeTable<'_>, errors: &mut Vec<SyntaxError>) -> Table {
    let member = |(key, node): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &toml::Spanned<toml::de::DeString<'_>> = key;
        let member = Member {
            key: Origin::File(key.span()),
            node: Node {
                origin: Origin::File(node.span()),
                value: value(node.get_ref(), &node.span(), errors),
            },
        };
        (key.get_ref().to_string(), member)
    };
    Table(parsed.iter().map(member).collect())
}

fn value(parsed: &DeValue<'_>, span: &Range<usize>, errors: &mut Vec<SyntaxError>) -> Value {
    let mut refuse = |message: String| {
        errors.push(SyntaxError {
            span: span.clone(),
            message,
        });
    };
    match parsed {
        DeValue::Array(nodes) => Value::Array(
            nodes
                .iter()
                .map(|node| Node {
                    origin: Origin::File(node.span()),
                    value: value(node.get_ref(), &node.span(), errors),
                })
                .collect(),
        ),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(value) => Value::Datetime(*value),
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Value::Float(number),
            Err(why) => {
                refuse(format!("a number cannot be read: {why}"));
                Value::Float(0.0)
            }
        },
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(why) => {
                refuse(format!("a whole number cannot be read: {why}"));
                Value::Integer(0)
            }
        },
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Table(inner) => Value::Table(table(inner, errors)),
    }
}
