//! The sizes and shapes Google allows for pools, providers, subjects and lifetimes.
//!
//! Judges sizes and shapes only; what is made of them stands in `provider`, `token` and `trust`.

use super::{Mark, Origin, part};

/// Seconds an access token lives unless something ends it earlier (documented).
pub const ACCESS_TOKEN_SECONDS: u64 = 3600;
/// Seconds an impersonated token may live where the organisation policy
/// `iam.allowServiceAccountCredentialLifetimeExtension` lists the account (documented: 12 h).
pub const EXTENDED_ACCESS_TOKEN_SECONDS: u64 = 12 * 3600;
/// Bytes of an access token the service gives out (documented).
pub const ACCESS_TOKEN_BYTES: usize = 12_288;
/// Bytes of the mapped `google.subject` (documented).
pub const SUBJECT_BYTES: usize = 127;
/// Bytes of everything an attribute mapping evaluates to (documented: 8 KB).
pub const MAPPED_BYTES: usize = 8 * 1024;
/// Characters of a mapping's expression (documented).
pub const MAPPING_CHARACTERS: usize = 2048;
/// Custom attributes of a mapping (documented).
pub const CUSTOM_ATTRIBUTES: usize = 50;
/// Characters of a custom attribute's name (documented).
pub const ATTRIBUTE_NAME_CHARACTERS: usize = 100;
/// Characters of an attribute condition (documented).
pub const CONDITION_CHARACTERS: usize = 4096;
/// Entries of `allowedAudiences` (documented).
pub const AUDIENCES: usize = 10;
/// Characters of an allowed audience (documented).
pub const AUDIENCE_CHARACTERS: usize = 256;
/// Characters of `discoveryUri` (documented).
pub const DISCOVERY_CHARACTERS: usize = 2000;
/// Providers that may issue actor tokens for a provider (documented).
pub const ACTOR_PROVIDERS: usize = 3;
/// Characters of a display name (documented).
pub const DISPLAY_NAME_CHARACTERS: usize = 32;
/// Characters of a description (documented).
pub const DESCRIPTION_CHARACTERS: usize = 256;
/// Shortest id of a pool or provider, in characters (documented).
pub const ID_SHORTEST: usize = 4;
/// Longest id of a pool or provider, in characters (documented).
pub const ID_LONGEST: usize = 32;
/// Trust anchors of a provider for certificates (unverified).
pub const TRUST_ANCHORS: usize = 3;
/// Intermediates of a provider for certificates (unverified).
pub const INTERMEDIATES: usize = 10;
/// Characters of `options.userProject` (documented).
pub const USER_PROJECT_CHARACTERS: usize = 32;

/// Refuses an id of a pool or provider that is not 4 to 32 of `[a-z0-9-]` (documented).
///
/// The prefix `gcp-` is reserved (unverified).
///
/// # Errors
/// [`SettingRefusal::Shape`].
pub fn judge_id<'a>(what: &'static str, id: &'a str) -> Result<&'a str, SettingRefusal> {
    let legal = (ID_SHORTEST..=ID_LONGEST).contains(&id.len())
        && id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !id.starts_with("gcp-");
    if legal {
        Ok(id)
    } else {
        Err(SettingRefusal::Shape {
            what,
            found: id.to_owned(),
            expected: "4 to 32 characters of [a-z0-9-] not beginning with gcp-",
        })
    }
}

/// Refuses a subject that no mapping of the whole `sub` to `google.subject` can carry: more than 127 bytes.
///
/// # Errors
/// [`SubjectTooLong`].
pub fn judge_subject(subject: &str) -> Result<(), SubjectTooLong> {
    if subject.len() <= SUBJECT_BYTES {
        Ok(())
    } else {
        Err(SubjectTooLong { found: subject.len() })
    }
}

/// Refuses a lifetime of an impersonated token that Google refuses.
///
/// # Errors
/// [`LifetimeRefusal`].
pub fn judge_lifetime(seconds: u64, extension: LifetimeExtension) -> Result<(), LifetimeRefusal> {
    let allowed = match extension {
        LifetimeExtension::Allowed => EXTENDED_ACCESS_TOKEN_SECONDS,
        LifetimeExtension::Refused => ACCESS_TOKEN_SECONDS,
    };
    match seconds {
        0 => Err(LifetimeRefusal::Zero),
        within if within <= allowed => Ok(()),
        _more => Err(LifetimeRefusal::TooLong { allowed }),
    }
}

/// Refuses more than `allowed` of something.
///
/// # Errors
/// [`SettingRefusal::TooMany`].
pub fn judge_count(what: &'static str, found: usize, allowed: usize) -> Result<(), SettingRefusal> {
    if found <= allowed {
        Ok(())
    } else {
        Err(SettingRefusal::TooMany { what, found, allowed })
    }
}

/// Refuses a text of more than `allowed` characters.
///
/// # Errors
/// [`SettingRefusal::TooLong`].
pub fn judge_length(what: &'static str, text: &str, allowed: usize) -> Result<(), SettingRefusal> {
    let found = text.chars().count();
    if found <= allowed {
        Ok(())
    } else {
        Err(SettingRefusal::TooLong { what, found, allowed })
    }
}

/// Whether the organisation policy lets an account's tokens live up to 12 h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifetimeExtension {
    /// The policy lists the account.
    Allowed,
    /// The policy does not list it, which is the default.
    Refused,
}

/// The subject is too long for `google.subject`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the subject has {found} bytes, Google takes at most {SUBJECT_BYTES} as google.subject")]
pub struct SubjectTooLong {
    /// The subject's bytes.
    pub found: usize,
}

/// Google's refusal of a token's lifetime; `Display` is Google's message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LifetimeRefusal {
    /// Longer than the account's tokens may live (documented for 3600 s).
    #[error("The access token lifetime cannot exceed {allowed} seconds.")]
    TooLong {
        /// The most seconds.
        allowed: u64,
    },
    /// No time at all (text documented for a missing scope, for this unverified).
    #[error("Request contains an invalid argument.")]
    Zero,
}

/// Google's refusal of a pool's or provider's settings, as the status `INVALID_ARGUMENT` (texts are ours).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingRefusal {
    /// A required setting is missing.
    #[error("{what} is missing, expected a value")]
    Missing {
        /// The setting.
        what: &'static str,
    },
    /// A setting has another shape than Google takes.
    #[error("{what} is `{found}`, expected {expected}")]
    Shape {
        /// The setting.
        what: &'static str,
        /// Its value.
        found: String,
        /// What Google takes.
        expected: &'static str,
    },
    /// A text is too long.
    #[error("{what} has {found} characters, expected at most {allowed}")]
    TooLong {
        /// The setting.
        what: &'static str,
        /// Its characters.
        found: usize,
        /// The most characters.
        allowed: usize,
    },
    /// A list is too long.
    #[error("{what} has {found} entries, expected at most {allowed}")]
    TooMany {
        /// The setting.
        what: &'static str,
        /// Its entries.
        found: usize,
        /// The most entries.
        allowed: usize,
    },
}

impl SettingRefusal {
    /// Returns Google's status for such settings.
    pub fn code(&self) -> &'static str {
        "INVALID_ARGUMENT"
    }

    /// Returns where the limits are known from; the texts are ours.
    pub fn origin(&self) -> Origin {
        Origin::new(part::PROVIDER, Mark::Documented)
    }
}
