//! What a command takes from its surroundings: variables, clock, randomness.

use std::{collections::BTreeMap, sync::Arc};

use crate::{clock::Clock, secret::Random};

/// The surroundings of one command; made once, in `main` or in a test.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness.
    pub random: Arc<dyn Random>,
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Takes the process's variables; those that are not text are left out.
    pub fn new(
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Self {
        Self {
            clock,
            random,
            variables: variables.collect(),
        }
    }

    /// Returns a variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Tells whether a variable is set to nothing, which a script does that fills it from one that is not there.
    pub fn is_empty(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(String::is_empty)
    }

    /// Returns all variables.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> + use<> {
        self.variables.clone().into_iter()
    }
}
