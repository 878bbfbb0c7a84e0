//! What a registration entry must pin, so that it does not admit workloads that nobody meant.
//!
//! An attestor says it, because only it knows which attributes can pass to somebody else; the entries are held against
//! it at load. It must never be asked at run time: an entry that loaded is one that pins.

/// What entries of one attestor must pin, or name the danger of not doing so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// Whom an entry names that pins nothing, as an operator is told: `jobs of every repository of ..`.
    pub everybody: &'static str,
    /// Sets of attributes, one of which pins what the workload is.
    pub ids: Vec<Vec<&'static str>>,
    /// Attributes that look as if they did, but can pass to somebody else.
    pub names: Vec<&'static str>,
    /// How jobs of strangers can come, if they can.
    pub strangers: Option<Strangers>,
}

/// How jobs that strangers proposed are told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strangers {
    /// The attribute that tells the event.
    pub event: Option<&'static str>,
    /// The events that bring them; empty if any may.
    pub events: Vec<String>,
    /// What they cannot have.
    pub guards: Vec<Guard>,
}

/// An attribute that a stranger's job cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The attribute.
    pub attribute: &'static str,
    /// The value that it must be pinned to; any, where there is none.
    pub value: Option<String>,
}

/// What an entry admits that does not pin enough; an operator who wants it must name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danger {
    /// Every repository, project, workspace or machine of the attestor's owners, also those that are made tomorrow (T-63).
    AnyRepository,
    /// A job that runs what a stranger proposed (T-66).
    Fork,
    /// Whoever has the name after it was given up or passed on (T-64).
    RenamedRepository,
}

impl Danger {
    /// Returns how a configuration names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnyRepository => "any_repository",
            Self::Fork => "fork",
            Self::RenamedRepository => "renamed_repository",
        }
    }
}
