//! What may be configured: the limits of a federated identity credential, judged when one is created.
//!
//! Also holds the same limits against what we would send, so that a subject which can never be trusted fails at load.

use std::time::{Duration, SystemTime};

use crate::exchange::azure_entra::rules::trust::Credential;

/// Most characters of an issuer, a subject or an audience. Documented.
pub const MATCHED_CHARACTERS: usize = 600;

/// Most characters of a description. Documented.
pub const DESCRIPTION_CHARACTERS: usize = 600;

/// Fewest and most characters of a name. Documented.
pub const NAME_CHARACTERS: std::ops::RangeInclusive<usize> = 3..=120;

/// Most federated credentials of one application or user-assigned identity. Documented.
pub const CREDENTIALS: usize = 20;

/// How far apart two writes under one user-assigned identity must be: 0.25 requests a second. Documented.
pub const WRITE_INTERVAL: Duration = Duration::from_secs(4);

/// Regions where a user-assigned identity takes no federated credential. Documented; the list changes.
const UNSUPPORTED_REGIONS: [&str; 2] = ["malaysiasouth", "newzealandnorth"];

/// A federated identity credential as an administrator writes it.
#[derive(Clone, Debug, Default)]
pub struct NewCredential {
    /// The name; cannot be changed later.
    pub name: String,
    /// What `iss` must equal.
    pub issuer: String,
    /// What `sub` must equal.
    pub subject: String,
    /// What `aud` must equal: exactly one value.
    pub audiences: Vec<String>,
    /// Words for people.
    pub description: Option<String>,
}

/// A refusal of the administration interface.
///
/// Its `Display` is the cloud's own text where one is documented.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdminRefusal {
    /// Not exactly one audience.
    #[error("Federated identity credentials must have exactly one audience.")]
    AudienceCount,
    /// Issuer and subject are taken within the application.
    #[error("Issuer and subject combination already exists for this Managed Identity.")]
    DuplicateTrust,
    /// A property is empty.
    #[error("Federated Identity Credential from HTTP body has empty properties")]
    EmptyProperties,
    /// The name has other characters or another length than allowed.
    #[error("Federated Identity Credential name '{name}' is invalid.")]
    NameInvalid {
        /// The name that was sent.
        name: String,
    },
    /// The name is taken; names cannot be changed. The refusal is unverified.
    #[error("a federated identity credential named '{name}' exists already")]
    NameTaken {
        /// The name that was sent.
        name: String,
    },
    /// There is no such application or identity.
    #[error("The parent user-assigned identity doesn't exist.")]
    ParentMissing,
    /// The region of the user-assigned identity takes none. The text is ours.
    #[error("the region '{region}' does not support federated identity credentials")]
    RegionUnsupported {
        /// The region of the identity.
        region: String,
    },
    /// Two writes came too close together. The text is ours.
    #[error("writes under one user-assigned identity must be {} s apart", WRITE_INTERVAL.as_secs())]
    Throttled,
    /// A property is too long. The text is ours.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The application is full. The text is ours.
    #[error("found {found} federated identity credentials, expected at most {CREDENTIALS}")]
    TooMany {
        /// How many there would be.
        found: usize,
    },
}

impl AdminRefusal {
    /// Returns the HTTP status that the administration interface answers with.
    pub fn status(&self) -> u16 {
        match self {
            Self::AudienceCount
            | Self::DuplicateTrust
            | Self::EmptyProperties
            | Self::NameInvalid { .. }
            | Self::NameTaken { .. }
            | Self::TooLong(_)
            | Self::TooMany { .. } => 400,
            Self::ParentMissing => 404,
            Self::RegionUnsupported { .. } => 405,
            Self::Throttled => 429,
        }
    }
}

/// A property has more characters than Entra takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {found} characters of {property}, expected at most {allowed}")]
pub struct TooLong {
    /// The property.
    pub property: &'static str,
    /// How many characters it has.
    pub found: usize,
    /// How many it may have.
    pub allowed: usize,
}

/// Admits a new credential beside the existing ones of its application.
///
/// A wrong subject is admitted, as the cloud does: it fails only when a token is exchanged.
///
/// # Errors
/// Refuses what the administration interface refuses. The order of the checks is unverified.
pub fn admit(new: NewCredential, existing: &[Credential]) -> Result<Credential, AdminRefusal> {
    let audience = only_audience(&new)?;
    if [&new.name, &new.issuer, &new.subject, &audience]
        .iter()
        .any(|text| text.is_empty())
    {
        return Err(AdminRefusal::EmptyProperties);
    }
    if !is_name(&new.name) {
        return Err(AdminRefusal::NameInvalid { name: new.name });
    }
    identity(&new.issuer, &new.subject, &audience)?;
    let description = new.description.unwrap_or_default();
    at_most("description", &description, DESCRIPTION_CHARACTERS)?;
    let credential = Credential {
        name: new.name,
        issuer: new.issuer,
        subject: new.subject,
        audience,
        description,
    };
    beside(&credential, existing)?;
    Ok(credential)
}

/// Holds what a token would say against the lengths that a credential can match.
///
/// # Errors
/// Names the first property that is too long.
pub fn identity(issuer: &str, subject: &str, audience: &str) -> Result<(), TooLong> {
    at_most("issuer", issuer, MATCHED_CHARACTERS)?;
    at_most("subject", subject, MATCHED_CHARACTERS)?;
    at_most("audience", audience, MATCHED_CHARACTERS)
}

/// Tells whether user-assigned identities of `region` take federated credentials.
///
/// # Errors
/// Refuses the regions that the documentation lists, in any spelling.
pub fn region(region: &str) -> Result<(), AdminRefusal> {
    let plain: String = region
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| character.to_ascii_lowercase())
        .collect();
    if UNSUPPORTED_REGIONS.contains(&plain.as_str()) {
        return Err(AdminRefusal::RegionUnsupported {
            region: region.to_owned(),
        });
    }
    Ok(())
}

/// Tells whether a user-assigned identity takes another write after the `last` one.
///
/// # Errors
/// Refuses a write within [`WRITE_INTERVAL`].
pub fn write_rate(last: Option<SystemTime>, now: SystemTime) -> Result<(), AdminRefusal> {
    let next = last.and_then(|last| last.checked_add(WRITE_INTERVAL));
    if next.is_some_and(|next| now < next) {
        return Err(AdminRefusal::Throttled);
    }
    Ok(())
}

fn only_audience(new: &NewCredential) -> Result<String, AdminRefusal> {
    match new.audiences.as_slice() {
        [audience] => Ok(audience.clone()),
        _none_or_several => Err(AdminRefusal::AudienceCount),
    }
}

fn beside(credential: &Credential, existing: &[Credential]) -> Result<(), AdminRefusal> {
    if existing.len() >= CREDENTIALS {
        return Err(AdminRefusal::TooMany {
            found: existing.len() + 1,
        });
    }
    for other in existing {
        if other.issuer == credential.issuer && other.subject == credential.subject {
            return Err(AdminRefusal::DuplicateTrust);
        }
        if other.name == credential.name {
            return Err(AdminRefusal::NameTaken {
                name: credential.name.clone(),
            });
        }
    }
    Ok(())
}

/// `[A-Za-z0-9][A-Za-z0-9_-]*` of 3 to 120 characters.
fn is_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    NAME_CHARACTERS.contains(&name.len())
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(inner)
}

fn at_most(property: &'static str, text: &str, allowed: usize) -> Result<(), TooLong> {
    let found = text.chars().count();
    if found <= allowed {
        return Ok(());
    }
    Err(TooLong {
        property,
        found,
        allowed,
    })
}
