//! What Entra asks of the assertion itself, whatever trust is configured.
//!
//! Reads claims that somebody else verified or is about to verify; never treats them as verified.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::{clock, exchange::azure_entra::rules::refusal::Refusal};

/// How long an assertion may live from `iat` to `exp`: 25 hours.
///
/// Observed: the cloud prints it as `1.01:00:00`. Its documentation names no number.
pub const LONGEST_LIFE: Duration = Duration::from_hours(25);

/// Issuers whose tokens are Entra's own, by prefix. Observed for the refusal, from memory for the prefixes.
const ENTRA_ISSUERS: [&str; 2] = ["https://login.microsoftonline.com/", "https://sts.windows.net/"];

/// Which signature algorithms are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// Only what is documented as supported: RS256.
    #[default]
    Documented,
    /// Also what "may work, but hasn't been tested": RS384, RS512, ES256 and ES384.
    Untested,
}

impl Strictness {
    /// Returns the JWS algorithms that are taken.
    pub fn algorithms(self) -> &'static [&'static str] {
        match self {
            Self::Documented => &["RS256"],
            Self::Untested => &["RS256", "RS384", "RS512", "ES256", "ES384"],
        }
    }
}

/// What Entra reads of an assertion's header.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// The `alg` parameter.
    pub algorithm: &'a str,
    /// The `kid` parameter.
    pub key_id: Option<&'a str>,
}

/// What Entra reads of an assertion's claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// The `aud` claim: one value. Several are joined by a blank, which no credential can hold.
    pub audience: String,
    /// The `iat` claim; seconds since 1970.
    pub issued_at: Option<u64>,
    /// The `nbf` claim; seconds since 1970.
    pub not_before: Option<u64>,
    /// The `exp` claim; seconds since 1970.
    pub expires: u64,
    /// Whether the token acts for a user; only asked of Entra's own tokens.
    pub bearer: Bearer,
}

/// For whom a token speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// For a workload.
    Application,
    /// For a user: it has a delegated scope (`scp`). From memory.
    User,
}

impl Claims {
    /// Reads a claims set.
    ///
    /// # Errors
    /// Refuses a missing or wrongly typed claim. That times must be whole numbers is our strictness: unverified.
    pub fn from_json(claims: &Value) -> Result<Self, Refusal> {
        Ok(Self {
            issuer: text(claims, "iss")?,
            subject: text(claims, "sub")?,
            audience: audience(claims)?,
            issued_at: seconds(claims, "iat")?,
            not_before: seconds(claims, "nbf")?,
            expires: seconds(claims, "exp")?.ok_or_else(|| invalid("found no `exp`, expected one".to_owned()))?,
            bearer: claims.get("scp").map_or(Bearer::Application, |_scopes| Bearer::User),
        })
    }
}

/// Judges an assertion apart from its trust and its signature.
///
/// The order of the checks is unverified.
///
/// # Errors
/// Says with which code Entra refuses the assertion.
pub fn check(header: &Header<'_>, claims: &Claims, strictness: Strictness, now: SystemTime) -> Result<(), Refusal> {
    algorithm(header, strictness)?;
    key_id(header, claims)?;
    origin(claims)?;
    lifetime(claims)?;
    time_range(claims, now)
}

/// Judges the signature algorithm.
///
/// Documented: "Only issuers that provide tokens signed using RS256 are supported". The code of the refusal is unverified.
///
/// # Errors
/// Refuses what `strictness` does not list.
pub fn algorithm(header: &Header<'_>, strictness: Strictness) -> Result<(), Refusal> {
    if strictness.algorithms().contains(&header.algorithm) {
        return Ok(());
    }
    let taken = strictness.algorithms().join(", ");
    Err(invalid(format!(
        "found algorithm `{}`, expected one of {taken}",
        header.algorithm
    )))
}

/// Judges the key id: the key is looked up by it.
///
/// # Errors
/// Refuses an assertion without one. That an absent `kid` gets this code is unverified.
pub fn key_id<'a>(header: &Header<'a>, claims: &Claims) -> Result<&'a str, Refusal> {
    header.key_id.ok_or_else(|| Refusal::KeyNotFound {
        key_id: String::new(),
        issuer: claims.issuer.clone(),
    })
}

/// Judges where the token comes from: Entra's own tokens cannot be the assertion.
///
/// Managed identities' tokens are the exception of the live cloud; the rule refuses them, since no credential here can
/// trust Entra.
///
/// # Errors
/// Refuses what Entra issued.
pub fn origin(claims: &Claims) -> Result<(), Refusal> {
    if !ENTRA_ISSUERS.iter().any(|prefix| claims.issuer.starts_with(prefix)) {
        return Ok(());
    }
    match claims.bearer {
        Bearer::Application => Err(Refusal::EntraIssued),
        Bearer::User => Err(Refusal::EntraIssuedForUser),
    }
}

/// Judges the lifetime; a missing `iat` counts as 0, so that such a token is always too old.
///
/// # Errors
/// Refuses more than [`LONGEST_LIFE`].
pub fn lifetime(claims: &Claims) -> Result<(), Refusal> {
    let issued_at = claims.issued_at.unwrap_or(0);
    if claims.expires.saturating_sub(issued_at) <= LONGEST_LIFE.as_secs() {
        return Ok(());
    }
    Err(Refusal::LifetimeTooLong {
        issued_at,
        expires: claims.expires,
    })
}

/// Judges the time range: `nbf`, else `iat`, up to but not including `exp`.
///
/// Grants no leeway: how much the live cloud grants is unverified.
///
/// # Errors
/// Refuses an assertion that expired or is not valid yet.
pub fn time_range(claims: &Claims, now: SystemTime) -> Result<(), Refusal> {
    let valid_from = claims.not_before.or(claims.issued_at).unwrap_or(0);
    let seconds = clock::unix_seconds(now);
    if valid_from <= seconds && seconds < claims.expires {
        return Ok(());
    }
    Err(Refusal::AssertionOutsideTime {
        now,
        valid_from,
        expires: claims.expires,
    })
}

fn text(claims: &Value, name: &str) -> Result<String, Refusal> {
    match claims.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(invalid(format!("found `{name}` = {other}, expected a string"))),
        None => Err(invalid(format!("found no `{name}`, expected one"))),
    }
}

fn audience(claims: &Value) -> Result<String, Refusal> {
    let Some(Value::Array(list)) = claims.get("aud") else {
        return text(claims, "aud");
    };
    let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
    let texts = texts.ok_or_else(|| invalid("found `aud` with something that is not a string".to_owned()))?;
    Ok(texts.join(" "))
}

fn seconds(claims: &Value, name: &str) -> Result<Option<u64>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(invalid(format!(
                "found `{name}` = {value}, expected whole seconds since 1970"
            ))),
        },
    }
}

fn invalid(reason: String) -> Refusal {
    Refusal::AssertionInvalid { reason }
}
