//! Whether an application's federated credentials trust a token, and if not, which one comes closest and why it does not.
//!
//! Compares exactly and case-sensitively, as Entra does; knows no wildcard. Flexible credentials (a preview) take only a
//! few issuers of others, never ours, and are not modelled.

use crate::exchange::azure_entra::rules::{refusal::Refusal, token::Claims};

/// A federated identity credential that [`admit`](super::limits::admit) let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) audience: String,
    pub(super) description: String,
}

impl Credential {
    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what `iss` must equal.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns what `sub` must equal.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns what `aud` must equal.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Returns its description; empty if it has none.
    pub fn description(&self) -> &str {
        &self.description
    }

    fn expects(&self, field: Field) -> &str {
        match field {
            Field::Audience => &self.audience,
            Field::Issuer => &self.issuer,
            Field::Subject => &self.subject,
        }
    }
}

/// An application or user-assigned identity, as far as trust goes.
#[derive(Clone, Copy, Debug)]
pub struct Application<'c> {
    /// The client id.
    pub id: &'c str,
    /// Its federated credentials.
    pub credentials: &'c [Credential],
}

/// A field that a credential matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The `aud` claim.
    Audience,
    /// The `iss` claim.
    Issuer,
    /// The `sub` claim.
    Subject,
}

/// How two texts differ, as far as it helps to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In upper and lower case only.
    CaseOnly,
    /// In their characters.
    Characters,
    /// In a trailing slash only.
    TrailingSlash,
    /// In leading or trailing white space only, or both have it.
    WhiteSpace,
}

/// Why the nearest credential does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The nearest credential's name.
    pub credential: String,
    /// The first field that differs.
    pub field: Field,
    /// What the token says.
    pub found: String,
    /// What the credential says.
    pub expected: String,
    /// How they differ.
    pub kind: Kind,
    /// How many characters they have in common before they differ.
    pub same_characters: usize,
}

/// The credentials do not trust the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What Entra answers.
    pub refusal: Refusal,
    /// Why; `None` if the application has no credential at all.
    pub why: Option<Difference>,
}

/// Finds the credential that trusts a token with these claims.
///
/// # Errors
/// Says what Entra answers and which credential comes nearest.
pub fn evaluate<'c>(application: &Application<'c>, claims: &Claims) -> Result<&'c Credential, Box<Mismatch>> {
    let credentials = application.credentials;
    let matching = |field: Field| credentials.iter().filter(move |one| matches(one, claims, field));
    if let Some(found) = matching(Field::Issuer)
        .filter(|one| matches(one, claims, Field::Subject))
        .find(|one| matches(one, claims, Field::Audience))
    {
        return Ok(found);
    }
    let why = nearest(credentials, claims);
    let refusal = match &why {
        None => Refusal::NoCredentials {
            application: application.id.to_owned(),
        },
        Some(difference) => refuse(difference, credentials, claims),
    };
    Err(Box::new(Mismatch { refusal, why }))
}

/// What Entra answers where `difference` is the nearest credential's.
fn refuse(difference: &Difference, credentials: &[Credential], claims: &Claims) -> Refusal {
    let subject = || claims.subject.clone();
    let case_only = || {
        credentials
            .iter()
            .filter(|one| matches(one, claims, Field::Issuer))
            .any(|one| kind(&claims.subject, &one.subject) == Kind::CaseOnly)
    };
    match difference.field {
        Field::Audience => Refusal::AudienceMismatch {
            audience: claims.audience.clone(),
        },
        Field::Issuer => Refusal::IssuerMismatch {
            issuer: claims.issuer.clone(),
        },
        Field::Subject if case_only() => Refusal::SubjectCaseDiffers { subject: subject() },
        Field::Subject => Refusal::SubjectMismatch { subject: subject() },
    }
}

/// The credential that matches most: issuer first, then subject, then the longest common beginning of what differs.
fn nearest(credentials: &[Credential], claims: &Claims) -> Option<Difference> {
    let rank = |one: &&Credential| {
        let issuer = matches(one, claims, Field::Issuer);
        let subject = matches(one, claims, Field::Subject);
        let field = first_difference(one, claims);
        let same = same_characters(&folded(said(claims, field)), &folded(one.expects(field)));
        (issuer, subject, same)
    };
    let one = credentials.iter().max_by_key(rank)?;
    let field = first_difference(one, claims);
    let (found, expected) = (said(claims, field), one.expects(field));
    Some(Difference {
        credential: one.name.clone(),
        field,
        found: found.to_owned(),
        expected: expected.to_owned(),
        kind: kind(found, expected),
        same_characters: same_characters(found, expected),
    })
}

fn first_difference(one: &Credential, claims: &Claims) -> Field {
    if !matches(one, claims, Field::Issuer) {
        Field::Issuer
    } else if !matches(one, claims, Field::Subject) {
        Field::Subject
    } else {
        Field::Audience
    }
}

/// Exact equality; white space around the token's issuer blocks it even where the credential has the same.
fn matches(one: &Credential, claims: &Claims, field: Field) -> bool {
    let found = said(claims, field);
    let blocked = match field {
        Field::Audience | Field::Subject => false,
        Field::Issuer => found.trim() != found,
    };
    !blocked && found == one.expects(field)
}

fn said(claims: &Claims, field: Field) -> &str {
    match field {
        Field::Audience => &claims.audience,
        Field::Issuer => &claims.issuer,
        Field::Subject => &claims.subject,
    }
}

fn kind(found: &str, expected: &str) -> Kind {
    let plain = |text: &str| text.trim_end_matches('/').to_owned();
    if found.trim() == expected.trim() {
        Kind::WhiteSpace
    } else if folded(found) == folded(expected) {
        Kind::CaseOnly
    } else if plain(found) == plain(expected) {
        Kind::TrailingSlash
    } else {
        Kind::Characters
    }
}

fn folded(text: &str) -> String {
    text.to_lowercase()
}

fn same_characters(one: &str, other: &str) -> usize {
    one.chars()
        .zip(other.chars())
        .take_while(|(left, right)| left == right)
        .count()
}
