//! How Google names federated principals, and which of them a binding's member admits.
//!
//! Never widens: a member that cannot be read admits nobody.

use std::collections::BTreeMap;

/// What a federated token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The number of the pool's project.
    pub project: u64,
    /// The pool's id.
    pub pool: String,
    /// `google.subject`.
    pub subject: String,
    /// `google.groups`.
    pub groups: Vec<String>,
    /// The custom attributes, without the prefix `attribute.`.
    pub attributes: BTreeMap<String, String>,
}

impl Identity {
    /// Returns the `principal://` name of the one subject (documented).
    pub fn principal(&self) -> String {
        format!(
            "principal://iam.googleapis.com/projects/{}/locations/global/workloadIdentityPools/{}/subject/{}",
            self.project, self.pool, self.subject
        )
    }
}

/// A member of a binding that names federated principals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    project: u64,
    pool: String,
    select: Select,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Select {
    Attribute { name: String, value: String },
    Everyone,
    Group(String),
    Subject(String),
}

impl Member {
    /// Reads `principal://…/subject/S`, `principalSet://…/group/G`, `…/attribute.NAME/VALUE` or `…/*` (documented).
    ///
    /// # Errors
    /// [`NotAMember`] for anything else.
    pub fn parse(text: &str) -> Result<Self, NotAMember> {
        Self::read(text).ok_or_else(|| NotAMember { found: text.to_owned() })
    }

    fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://iam.googleapis.com/projects/")?;
        let (project, rest) = rest.split_once("/locations/global/workloadIdentityPools/")?;
        let (pool, select) = rest.split_once('/')?;
        let select = match (scheme, select.split_once('/')) {
            ("principal", Some(("subject", subject))) if !subject.is_empty() => Select::Subject(subject.to_owned()),
            ("principalSet", None) if select == "*" => Select::Everyone,
            ("principalSet", Some(("group", group))) if !group.is_empty() => Select::Group(group.to_owned()),
            ("principalSet", Some((attribute, value))) if !value.is_empty() => Select::Attribute {
                name: attribute.strip_prefix("attribute.")?.to_owned(),
                value: value.to_owned(),
            },
            _ => return None,
        };
        Some(Self {
            project: project.parse().ok()?,
            pool: pool.to_owned(),
            select,
        })
    }

    /// Tells whether `identity` is one of those the member names.
    pub fn admits(&self, identity: &Identity) -> bool {
        self.project == identity.project
            && self.pool == identity.pool
            && match &self.select {
                Select::Attribute { name, value } => identity.attributes.get(name) == Some(value),
                Select::Everyone => true,
                Select::Group(group) => identity.groups.contains(group),
                Select::Subject(subject) => identity.subject == *subject,
            }
    }
}

/// The text names no federated principals.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the member is `{found}`, expected principal://iam.googleapis.com/projects/<number>/locations/global/\
     workloadIdentityPools/<pool>/subject/<subject> or principalSet:// with group/<group>, attribute.<name>/<value> or *"
)]
pub struct NotAMember {
    /// The text given.
    pub found: String,
}
