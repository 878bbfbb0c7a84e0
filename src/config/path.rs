//! The place of a value in the configuration: `attestor[0].session_max`.

use std::fmt;

/// The place of a value: keys and positions from the file's root.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(Vec<Step>);

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Step {
    /// Into an array, counted from 0.
    Index(usize),
    /// Into a table.
    Key(String),
}

impl KeyPath {
    /// Returns the path of the file's root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Returns the path of `key` in this table.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// Returns the path of the element at `index` of this array, counted from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// Returns the path that a plugin names below this table: `owners[0].id`.
    ///
    /// Anything that is not written like that is taken as one key.
    #[must_use]
    pub(super) fn below(&self, text: &str) -> Self {
        if text.is_empty() {
            return self.clone();
        }
        let steps: Option<Vec<Vec<Step>>> = text.split('.').map(segment).collect();
        steps.map_or_else(
            || self.key(text),
            |steps| Self(self.0.iter().cloned().chain(steps.into_iter().flatten()).collect()),
        )
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

/// Reads `owners[0][1]` as a key and positions.
fn segment(text: &str) -> Option<Vec<Step>> {
    let mut parts = text.split('[');
    let key = parts.next().filter(|key| is_bare(key))?;
    let mut steps = vec![Step::Key(key.to_owned())];
    for part in parts {
        steps.push(Step::Index(part.strip_suffix(']')?.parse().ok()?));
    }
    Some(steps)
}

fn is_bare(key: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !key.is_empty() && key.bytes().all(allowed)
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if depth > 0 {
                        f.write_str(".")?;
                    }
                    if is_bare(key) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_like_the_file_writes_it() {
        let path = KeyPath::root().key("entry").index(2).key("match").key("ci.repo_id");

        assert_eq!(path.to_string(), r#"entry[2].match."ci.repo_id""#);
    }

    #[test]
    fn a_plugins_path_continues_its_table() {
        let table = KeyPath::root().key("attestor").index(0);

        assert_eq!(table.below("owners[1].id").to_string(), "attestor[0].owners[1].id");
        assert_eq!(table.below("").to_string(), "attestor[0]");
        assert_eq!(table.below("not a key").to_string(), r#"attestor[0]."not a key""#);
    }
}
