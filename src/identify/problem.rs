//! What is wrong with a registration entry, a grant or a raw policy, and where it stands.
//!
//! It names the place by table and position, so that `config` can point to file and line; it never names a file itself.

use std::fmt;

/// One problem found at load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: found {found}, expected {expected}")]
pub struct Problem {
    /// The stable code, for example `config.ttl_zero`.
    pub code: &'static str,
    /// Where it stands.
    pub at: Place,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

/// The place of a problem in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which array of tables.
    pub table: Table,
    /// Which of its elements, counted from 0; for [`Table::RawPolicy`] the position in the list of files.
    pub position: usize,
    /// The keys from the element to the value, for example `match` and `ci.ref`; empty for the element itself.
    pub keys: Vec<String>,
}

/// An array of tables of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// `[[entry]]`.
    Entry,
    /// `[[grant]]`.
    Grant,
    /// The files of `[policy]`.
    RawPolicy,
    /// `[[relying_party]]`.
    RelyingParty,
}

impl Table {
    /// Returns the key in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Grant => "grant",
            Self::RawPolicy => "policy.files",
            Self::RelyingParty => "relying_party",
        }
    }

    /// Returns the place of the element at `position`, or of what `keys` lead to in it.
    pub fn at<const N: usize>(self, position: usize, keys: [&str; N]) -> Place {
        Place {
            table: self,
            position,
            keys: keys.map(str::to_owned).to_vec(),
        }
    }
}

impl Place {
    /// Returns the problem that stands here.
    pub fn problem(self, code: &'static str, found: impl Into<String>, expected: impl Into<String>) -> Problem {
        Problem {
            code,
            at: self,
            found: found.into(),
            expected: expected.into(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.table.as_str(), self.position)?;
        for key in &self.keys {
            if key.contains('.') {
                write!(f, ".{key:?}")?;
            } else {
                write!(f, ".{key}")?;
            }
        }
        Ok(())
    }
}
