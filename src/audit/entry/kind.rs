//! What an entry is about: one list, from which the enum, its words and whoever asks by kind are made.
//!
//! Never gives a word another meaning: it stands in trails that were written long ago.

use serde::Serialize;

macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident = $word:literal,)+) => {
        /// What an entry is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        pub enum EntryKind {
            $($(#[$doc])+ #[serde(rename = $word)] $kind,)+
        }

        impl EntryKind {
            /// The words of all kinds, in alphabetical order.
            pub const WORDS: &[&str] = &[$($word,)+];

            /// Returns the word that stands in the trail.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)+
                }
            }
        }
    };
}

kinds! {
    /// An operator changed something: a lock, the configuration, the trust in the clock.
    Change = "change",
    /// A request was denied before anything was signed.
    Denial = "denial",
    /// A held credential was handed out.
    Held = "held",
    /// An SVID was signed and will be exchanged.
    Intent = "intent",
    /// An SVID was signed and handed out itself.
    Mint = "mint",
    /// How an intent ended.
    Outcome = "outcome",
    /// A gateway began to serve.
    Start = "start",
    /// A gateway ended in order.
    Stop = "stop",
    /// An intent whose outcome was lost in a crash.
    Unknown = "unknown",
    /// A workload asked who it is.
    Whoami = "whoami",
}
