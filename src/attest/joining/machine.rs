//! What a join token says of a machine: its name, and labels.
//!
//! It must never change what an operator wrote: what is not in the one form of names is refused (T-39).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use crate::attest::{AttestRefusal, Attributes, Misconfigured, attribute::MAX_VALUE_BYTES, table::misconfigured};

/// The name of a machine: 1 to 255 characters of `[A-Za-z0-9._-]`, not `.` or `..`; case counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineName(String);

impl MachineName {
    /// Reads a name.
    ///
    /// # Errors
    /// Refuses any other character and any other length.
    pub fn parse(text: &str) -> Result<Self, MachineRefused> {
        if is_value(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(MachineRefused::Name)
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Labels of a machine: at most 16, each with a value in the form of a machine's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Takes labels by name.
    ///
    /// # Errors
    /// Refuses more than 16, a name that is none, and a value with other characters.
    pub fn new(labels: impl IntoIterator<Item = (String, String)>) -> Result<Self, MachineRefused> {
        let mut out = BTreeMap::new();
        for (name, value) in labels {
            if !is_label(&name) {
                return Err(MachineRefused::LabelName);
            }
            if !is_value(&value) {
                return Err(MachineRefused::LabelValue { name });
            }
            out.insert(name, value);
        }
        if out.len() > MAX_LABELS {
            return Err(MachineRefused::TooManyLabels { found: out.len() });
        }
        Ok(Self(out))
    }

    /// Reads what [`Self::to_json`] wrote; `None` for anything else.
    pub fn from_json(text: &str) -> Option<Self> {
        Self::new(serde_json::from_str::<BTreeMap<String, String>>(text).ok()?).ok()
    }

    /// Writes them as a JSON object.
    pub fn to_json(&self) -> String {
        serde_json::json!(self.0).to_string()
    }

    /// Returns names and values in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A machine as an operator describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: MachineName,
    /// What else is said of it.
    pub labels: Labels,
}

/// What an operator wrote is in another form than names have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineRefused {
    /// A label's name.
    #[error("holds a name of a label that is not 1 to 32 characters of a-z, 0-9, `_`, the first a letter")]
    LabelName,
    /// A label's value.
    #[error("holds a value of label `{name}` that is not 1 to 255 characters of A-Z, a-z, 0-9, `.`, `_`, `-`")]
    LabelValue {
        /// The label.
        name: String,
    },
    /// The machine's name.
    #[error("is not 1 to 255 characters of A-Z, a-z, 0-9, `.`, `_`, `-`")]
    Name,
    /// More labels than a token may hold.
    #[error("holds {found} labels, at most 16 are taken")]
    TooManyLabels {
        /// How many.
        found: usize,
    },
}

/// The attributes that an attestor of machines gives: the machine's name, and those labels that its table names.
#[derive(Clone, Debug)]
pub(in crate::attest) struct MachineAttributes {
    machine: &'static str,
    labels: BTreeMap<String, &'static str>,
    all: Vec<&'static str>,
}

impl MachineAttributes {
    /// Makes the names of the attributes: `machine` itself, and `prefix` with each label behind it.
    pub(in crate::attest) fn new(
        machine: &'static str,
        prefix: &str,
        labels: &[String],
    ) -> Result<Self, Misconfigured> {
        let problem = |problem: String| misconfigured("config.label_invalid", "labels", problem);
        if labels.len() > MAX_LABELS {
            return Err(problem(format!(
                "found {} labels, expected at most {MAX_LABELS}",
                labels.len()
            )));
        }
        let mut named = BTreeMap::new();
        for label in labels {
            if !is_label(label) {
                let expected = "expected 1 to 32 characters of a-z, 0-9, `_`, the first a letter";
                return Err(problem(format!("found label `{label}`, {expected}")));
            }
            let name = forever(format!("{prefix}{label}"))
                .ok_or_else(|| problem(format!("found more than {MAX_NAMES} names of labels since the start")))?;
            if named.insert(label.clone(), name).is_some() {
                return Err(problem(format!("found label `{label}` twice, expected it once")));
            }
        }
        let mut all: Vec<&'static str> = named.values().copied().chain([machine]).collect();
        all.sort_unstable();
        Ok(Self {
            machine,
            labels: named,
            all,
        })
    }

    /// Adds the names of attributes that a kind gives besides.
    pub(in crate::attest) fn with(mut self, more: &[&'static str]) -> Self {
        self.all.extend(more);
        self.all.sort_unstable();
        self
    }

    /// Returns all names.
    pub(in crate::attest) fn all(&self) -> &[&'static str] {
        &self.all
    }

    /// Returns the names of the labels, as operators write them.
    pub(in crate::attest) fn labels(&self) -> Vec<String> {
        self.labels.keys().cloned().collect()
    }

    /// Returns what a machine's attributes are.
    ///
    /// A label that the table names no longer refuses the machine: left out, it could not be told from one that was never
    /// there, which an entry may ask for.
    pub(in crate::attest) fn facts(&self, machine: &Described) -> Result<Attributes, AttestRefusal> {
        let mut facts = Attributes::default();
        facts.insert(self.machine, machine.name.as_str())?;
        for (label, value) in machine.labels.iter() {
            let name = self.labels.get(label).ok_or_else(|| AttestRefusal::Claim {
                claim: format!("label {label}"),
                found: "there".to_owned(),
                expected: "only labels that the attestor's table names".to_owned(),
            })?;
            facts.insert(name, value)?;
        }
        Ok(facts)
    }
}

fn is_value(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_VALUE_BYTES).contains(&text.len()) && text.bytes().all(allowed) && text != "." && text != ".."
}

fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    first && text.len() <= MAX_LABEL_BYTES && text.bytes().all(allowed)
}

/// Keeps a name for as long as the process lives, once: attributes are known by names that never end.
///
/// `None` once too many were kept, as by reloads that name other labels each time.
fn forever(name: String) -> Option<&'static str> {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = names.get(name.as_str()) {
        return Some(kept);
    }
    if names.len() >= MAX_NAMES {
        return None;
    }
    let kept: &'static str = Box::leak(name.into_boxed_str());
    names.insert(kept);
    Some(kept)
}

/// More would be a second inventory.
const MAX_LABELS: usize = 16;
const MAX_LABEL_BYTES: usize = 32;
/// 16 labels of some hundred attestors.
const MAX_NAMES: usize = 4_096;
