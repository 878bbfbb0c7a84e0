//! The parameters of a request in AWS's Query protocol.
//!
//! Never takes a parameter that stands twice.

use crate::exchange::aws::{Code, Refusal};

/// Parameters in a request.
const PARAMETERS: usize = 200;

/// The parameters of a request; each stands once.
pub(in crate::exchange) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads parameters.
    pub(in crate::exchange) fn parse(encoded: &[u8]) -> Result<Self, Refusal> {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(encoded)
            .into_owned()
            .take(PARAMETERS + 1)
            .collect();
        let refused = |text: String| Err(Refusal::unverified(Code::MalformedQueryString, text));
        if pairs.len() > PARAMETERS {
            return refused(format!("more than {PARAMETERS} parameters"));
        }
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some([twice, _]) = names.array_windows::<2>().find(|[one, other]| one == other) {
            return refused(format!("parameter `{twice}` stands twice"));
        }
        Ok(Self(pairs))
    }

    /// Returns a parameter's value.
    pub(in crate::exchange) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns a parameter that must be a whole number where it stands.
    pub(in crate::exchange) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.get(name)
            .map(|found| found.parse().map_err(|_not_a_number| not_a_number(name, found)))
            .transpose()
    }

    /// Returns the members of a list in the order of their numbers, which must run from 1 without a gap.
    pub(in crate::exchange) fn list(&self, before: &str, after: &str) -> Result<Vec<String>, Refusal> {
        let is_member = |name: &str| name.starts_with(before);
        let expected = self.0.iter().filter(|(name, _)| is_member(name)).count();
        let members: Vec<String> = (1..=expected)
            .map_while(|number| self.get(&format!("{before}{number}{after}")).map(str::to_owned))
            .collect();
        if members.len() == expected {
            return Ok(members);
        }
        let text = format!("`{before}N{after}` has {expected} members, expected them numbered from 1");
        Err(Refusal::unverified(Code::MalformedQueryString, text))
    }
}

/// A parameter that should be a number is not one. Code and text are `[M]`.
fn not_a_number(name: &str, found: &str) -> Refusal {
    Refusal::unverified(
        Code::ValidationError,
        format!("{name} is `{found}`, expected a whole number"),
    )
}
