//! The lengths, patterns and counts of CreateSession, trust anchors, profiles and revocation lists.
//!
//! Source where no other stands: clouds.md 2.1 to 2.3 [D botocore rolesanywhere 2018-05-10]. Lengths count characters.

use std::ops::RangeInclusive;

use super::Refusal;
use crate::exchange::aws::role_session::{self, ROLE_SESSION_NAME, is_name_char};

/// Seconds a profile or a request may say.
pub const DURATION_SECONDS: RangeInclusive<i64> = role_session::DURATION_SECONDS;
/// Seconds a profile has if nobody says. Source: clouds.md 2.2 [D RA-guide].
pub const DEFAULT_DURATION_SECONDS: i64 = 3600;
/// Characters of a trust anchor's PEM.
pub const BUNDLE_CHARACTERS: RangeInclusive<usize> = 1..=204_800;
/// Certificates of one trust anchor `[M]`.
pub const BUNDLE_CERTIFICATES: usize = 2;
/// Bytes of an imported revocation list.
pub const CRL_BYTES: RangeInclusive<usize> = 1..=300_000;
/// Revocation lists of one trust anchor `[M]`.
pub const CRLS_OF_AN_ANCHOR: usize = 2;
/// Certificates in the chain header. Source: clouds.md 2.1 [D RA-guide].
pub const CHAIN_DEPTH: usize = 5;
/// Roles of a profile.
pub const PROFILE_ROLES: usize = 250;
/// Managed session policies of a profile.
pub const PROFILE_POLICIES: usize = 50;
/// Characters of a profile's session policy.
pub const SESSION_POLICY: RangeInclusive<usize> = 1..=100_000;
/// Trust anchors of an account and region. Source: clouds.md 2.1 [D RA-guide quotas].
pub const TRUST_ANCHORS: usize = 50;
/// Profiles of an account and region. Source: clouds.md 2.1 [D botocore].
pub const PROFILES: usize = 250;
/// Length of an object's name.
pub const NAME: RangeInclusive<usize> = 1..=255;
/// Tags of an object.
pub const TAGS: usize = 200;
/// Characters of one mapping rule.
pub const SPECIFIER: RangeInclusive<usize> = 0..=60;

/// Checks a duration asked for or of a profile.
///
/// # Errors
/// `ValidationException`. Source: clouds.md 2.2, text [O stratus-red-team #331].
pub fn duration(seconds: i64) -> Result<(), Refusal> {
    number("durationSeconds", seconds, &DURATION_SECONDS)
}

/// Returns how long a session lasts: the shorter of what the profile has and what is asked for.
///
/// # Errors
/// `ValidationException` where that is more than the role allows. Source: clouds.md 2.2 [D RA-guide]; which exception and
/// text it gives is `[M]`.
pub fn session_seconds(profile: Option<i64>, asked: Option<i64>, role_maximum: i64) -> Result<i64, Refusal> {
    let profile = profile.unwrap_or(DEFAULT_DURATION_SECONDS);
    let seconds = asked.map_or(profile, |asked| asked.min(profile));
    role_session::within_role_maximum(seconds, role_maximum).map_err(|refused| {
        let mut refused = Refusal::from(refused);
        refused.verified = false;
        refused
    })?;
    Ok(seconds)
}

/// Checks a role session name. Source: clouds.md 2.2; the pattern is that of STS [D botocore sts].
///
/// # Errors
/// `ValidationException`.
pub fn session_name(name: &str) -> Result<(), Refusal> {
    text("roleSessionName", name, &ROLE_SESSION_NAME)?;
    if name.chars().all(is_name_char) {
        return Ok(());
    }
    Err(pattern("roleSessionName", name, r"[\w+=,.@-]*"))
}

/// Checks an object's name.
///
/// # Errors
/// `ValidationException`.
pub fn name(value: &str) -> Result<(), Refusal> {
    text("name", value, &NAME)?;
    let legal = |character: char| character.is_ascii_alphanumeric() || " -_".contains(character);
    if value.chars().all(legal) {
        return Ok(());
    }
    Err(pattern("name", value, "[ a-zA-Z0-9-_]*"))
}

/// Checks a number of the API model.
///
/// # Errors
/// `ValidationException`.
pub fn number(member: &str, found: i64, bounds: &RangeInclusive<i64>) -> Result<(), Refusal> {
    let shown = format!("Value '{found}' at '{member}'");
    if found < *bounds.start() {
        let constraint = format!("Member must have value greater than or equal to {}", bounds.start());
        return Err(Refusal::constraint(&shown, &constraint));
    }
    if found > *bounds.end() {
        let constraint = format!("Member must have value less than or equal to {}", bounds.end());
        return Err(Refusal::constraint(&shown, &constraint));
    }
    Ok(())
}

/// Checks a count or length of the API model; what it is of is not shown.
///
/// # Errors
/// `ValidationException`.
pub fn length(member: &str, found: usize, bounds: &RangeInclusive<usize>) -> Result<(), Refusal> {
    let shown = format!("Value at '{member}'");
    within(&shown, found, bounds)
}

fn text(member: &str, value: &str, bounds: &RangeInclusive<usize>) -> Result<(), Refusal> {
    within(&format!("Value '{value}' at '{member}'"), value.chars().count(), bounds)
}

fn within(shown: &str, found: usize, bounds: &RangeInclusive<usize>) -> Result<(), Refusal> {
    if found < *bounds.start() {
        let constraint = format!("Member must have length greater than or equal to {}", bounds.start());
        return Err(Refusal::constraint(shown, &constraint));
    }
    if found > *bounds.end() {
        let constraint = format!("Member must have length less than or equal to {}", bounds.end());
        return Err(Refusal::constraint(shown, &constraint));
    }
    Ok(())
}

fn pattern(member: &str, value: &str, expected: &str) -> Refusal {
    let constraint = format!("Member must satisfy regular expression pattern: {expected}");
    Refusal::constraint(&format!("Value '{value}' at '{member}'"), &constraint)
}
