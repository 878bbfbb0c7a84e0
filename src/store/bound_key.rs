//! Keys of machines as they are stored, and how a commit changes them.
//!
//! Pure data: never knows how a store writes it. A change is made only with the entry about it, and only if the use of the
//! evidence that asks for it is the first.

use crate::secret::Digest;

/// One public key of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundKeyRow {
    /// The key's RFC 7638 thumbprint.
    pub thumbprint: Digest,
    /// The public key as a JSON Web Key.
    pub jwk: String,
    /// What operators call the machine's registration; it outlives each of its keys.
    pub registration: String,
    /// Counts the keys of the registration, from 1.
    pub generation: u64,
    /// The attestor that judges by it.
    pub attestor: String,
    /// The machine's name.
    pub machine: String,
    /// What else is said of the machine, as a JSON object of texts.
    pub labels: String,
    /// When the machine was registered, in unix seconds.
    pub registered_seconds: u64,
    /// Since when this key stands, in unix seconds.
    pub since_seconds: u64,
    /// What the key is good for.
    pub state: BoundKeyState,
}

impl BoundKeyRow {
    /// The most registrations that stand at once.
    pub const MAX_REGISTRATIONS: usize = 10_000;

    /// How many replaced keys of a registration are remembered, so that a copy of one is told from a stranger's key.
    pub const REMEMBERED: u64 = 16;
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundKeyState {
    /// It is the machine's key.
    Current,
    /// It was the machine's key when the machine was locked.
    Locked,
    /// A later key took its place.
    Superseded,
}

impl BoundKeyState {
    /// Returns what the store's row says.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Locked => "locked",
            Self::Superseded => "superseded",
        }
    }

    /// Reads what the store's row says; whatever nobody wrote is no key to rely on.
    pub fn parse(text: &str) -> Self {
        let known = [Self::Current, Self::Superseded].into_iter();
        known
            .into_iter()
            .find(|state| state.as_str() == text)
            .unwrap_or(Self::Locked)
    }
}

/// How a commit changes the keys of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundKeyChange {
    /// Ends the machine's current key, and with it the registration.
    Lock {
        /// The registration.
        registration: String,
    },
    /// Adds the first key of a machine; nothing where the key is there, or as many registrations as may be.
    Register(Box<BoundKeyRow>),
    /// Puts a key in the place of another; nothing where that is not the current one of the generation before.
    Rotate {
        /// The key before.
        from: Digest,
        /// The key after.
        to: Box<BoundKeyRow>,
    },
}
