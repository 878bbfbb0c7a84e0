//! Which web identity tokens STS accepts: algorithm, claims, times, audience, session tags.
//!
//! Works on header and claims as JSON; signatures are not its business. Sources: clouds.md 1.2.

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::limits;
use crate::{
    clock,
    exchange::aws::{Code, Refusal, role_session},
};

/// The algorithms STS accepts. Source: clouds.md 1.2 [D botocore sts].
pub const ALGORITHMS: [&str; 6] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];
/// Seconds a clock may be off when `iat` and `nbf` are judged. Source: clouds.md 1.2 `[M]`.
pub const CLOCK_SKEW_SECONDS: i64 = 300;
/// Seconds since `iat` after which a token is too old.
///
/// The text was seen [O mozilla-aws-cli #146]; where the line runs is `[M]`.
pub const MAX_AGE_SECONDS: i64 = 86_400;
/// The claim that holds session tags. Source: clouds.md 1.2 [D id_session-tags].
pub const TAGS_CLAIM: &str = "https://aws.amazon.com/tags";
/// The claim that holds the source identity. Source: clouds.md 1.2 `[D]`.
pub const SOURCE_IDENTITY_CLAIM: &str = "https://aws.amazon.com/source_identity";

/// The claims that STS reads, of a token that is well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`, one or several.
    pub audiences: Vec<String>,
    /// `azp`.
    pub authorized_party: Option<String>,
    /// `amr`.
    pub methods: Vec<String>,
    issued_at: i64,
    not_before: Option<i64>,
    expires_at: i64,
}

/// The audience that counts, and what it displaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// What becomes `<issuer>:aud`.
    pub matched: String,
    /// What becomes `<issuer>:oaud`, where `azp` took its place.
    pub original: Option<String>,
}

/// What a token brings into the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Session tags in the order of their keys.
    pub tags: Vec<(String, String)>,
    /// Keys of the tags that outlive role chaining.
    pub transitive_keys: Vec<String>,
    /// The source identity.
    pub source_identity: Option<String>,
}

/// Checks header and claims of a token for a provider with these client ids.
///
/// # Errors
/// The first refusal in the order of clouds.md 1.3, which is `[M]`.
pub fn check(header: &Value, claims: &Value, client_ids: &[String], now: SystemTime) -> Result<(), Refusal> {
    algorithm(header)?;
    let read = Claims::read(claims)?;
    read.timely(now)?;
    read.audience(client_ids)?;
    session(claims).map(|_session| ())
}

/// Splits a compact token into header and claims, both unverified.
///
/// # Errors
/// `InvalidIdentityToken`. Source: clouds.md 1.3 `[M]`.
pub fn split_unverified(token: &str) -> Result<(Value, Value), Refusal> {
    let mut parts = token.split('.');
    let (Some(header), Some(claims), Some(_signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(not_a_jwt(format!(
            "found {} parts, expected 3",
            token.split('.').count()
        )));
    };
    Ok((object("header", header)?, object("claims", claims)?))
}

fn object(part: &str, encoded: &str) -> Result<Value, Refusal> {
    let bytes = URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|why| not_a_jwt(format!("the {part} is not base64url: {why}")))?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|why| not_a_jwt(format!("the {part} is not JSON: {why}")))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(not_a_jwt(format!("the {part} is not an object")))
    }
}

fn not_a_jwt(detail: String) -> Refusal {
    let text = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)";
    Refusal::unverified(Code::InvalidIdentityToken, text).because(detail)
}

/// Returns the algorithm if STS accepts it.
///
/// Source: clouds.md 1.2, RS and ES [D botocore sts], EdDSA and PS refused [D by omission]; text `[M]`.
///
/// # Errors
/// `InvalidIdentityToken`, also for a `crit` header, of which STS documents none `[M]`.
pub fn algorithm(header: &Value) -> Result<&str, Refusal> {
    let found = header.get("alg").and_then(Value::as_str);
    if header.get("crit").is_some() {
        return Err(not_a_jwt("the header has `crit`, expected none".to_owned()));
    }
    match found {
        Some(algorithm) if ALGORITHMS.contains(&algorithm) => Ok(algorithm),
        Some(other) => Err(not_a_jwt(format!(
            "signed with `{other}`, expected one of {}",
            ALGORITHMS.join(", ")
        ))),
        None => Err(not_a_jwt("the header has no `alg`".to_owned())),
    }
}

impl Claims {
    /// Reads the claims: all required ones present, timestamps integers.
    ///
    /// Source: clouds.md 1.2, `iss`, `sub`, `aud`, `iat` [D IAM-guide], `exp` `[M]`, integers [D botocore sts]; the texts
    /// are `[M]`.
    ///
    /// # Errors
    /// `InvalidIdentityToken`.
    pub fn read(claims: &Value) -> Result<Self, Refusal> {
        let read = Self {
            issuer: required_text(claims, "iss")?,
            subject: required_text(claims, "sub")?,
            audiences: texts(claims, "aud")?.ok_or_else(|| missing("aud"))?,
            authorized_party: optional_text(claims, "azp")?,
            methods: texts(claims, "amr")?.unwrap_or_default(),
            issued_at: seconds(claims, "iat")?.ok_or_else(|| missing("iat"))?,
            not_before: seconds(claims, "nbf")?,
            expires_at: seconds(claims, "exp")?.ok_or_else(|| missing("exp"))?,
        };
        if read.audiences.is_empty() {
            return Err(missing("aud"));
        }
        let length = read.subject.chars().count();
        if !limits::SUBJECT.contains(&length) {
            return Err(malformed(format!("`sub` has {length} characters, expected 6 to 255")));
        }
        Ok(read)
    }

    /// Checks `exp`, `iat` and `nbf`.
    ///
    /// # Errors
    /// `ExpiredTokenException` for a token that is past `exp` (text `[M]`) or older than [`MAX_AGE_SECONDS`] (text `[O]`);
    /// `InvalidIdentityToken` for one from the future `[M]`.
    pub fn timely(&self, now: SystemTime) -> Result<(), Refusal> {
        let now = i64::try_from(clock::unix_seconds(now)).unwrap_or(i64::MAX);
        if now >= self.expires_at {
            let text = format!(
                "Token expired: current date/time {now} must be before the expiration date/time {}",
                self.expires_at
            );
            return Err(Refusal::unverified(Code::ExpiredTokenException, text));
        }
        let age = now.saturating_sub(self.issued_at);
        if age > MAX_AGE_SECONDS {
            return Err(Refusal::known(
                Code::ExpiredTokenException,
                format!("Token too old: {age}"),
            ));
        }
        for (claim, moment) in [("iat", Some(self.issued_at)), ("nbf", self.not_before)] {
            if let Some(moment) = moment.filter(|moment| moment.saturating_sub(now) > CLOCK_SKEW_SECONDS) {
                return Err(malformed(format!(
                    "`{claim}` is {moment}, expected at most {CLOCK_SKEW_SECONDS} s after {now}"
                )));
            }
        }
        Ok(())
    }

    /// Finds the audience that counts: `azp` if there is one, else the first of `aud` that is a client id.
    ///
    /// Source: clouds.md 1.2, match against the client ids `[D]`, `azp` before `aud` [D for Google, O for Entra], several
    /// audiences `[M]`; text `[D/O]`.
    ///
    /// # Errors
    /// `InvalidIdentityToken` `Incorrect token audience`.
    pub fn audience(&self, client_ids: &[String]) -> Result<Audience, Refusal> {
        let candidates = self
            .authorized_party
            .as_ref()
            .map_or(self.audiences.as_slice(), std::slice::from_ref);
        let matched = candidates
            .iter()
            .find(|candidate| client_ids.contains(candidate))
            .ok_or_else(|| {
                let claim = if self.authorized_party.is_some() { "azp" } else { "aud" };
                Refusal::known(Code::InvalidIdentityToken, "Incorrect token audience").because(format!(
                    "`{claim}` is `{}`, the provider's client ids are `{}`",
                    candidates.join("`, `"),
                    client_ids.join("`, `")
                ))
            })?;
        let original = match (&self.authorized_party, self.audiences.as_slice()) {
            (Some(_party), [single]) => Some(single.clone()),
            (None | Some(_), _) => None,
        };
        Ok(Audience {
            matched: matched.clone(),
            original,
        })
    }
}

/// Reads session tags and source identity and holds them against their limits.
///
/// Source: clouds.md 1.2 [D id_session-tags; id_credentials_temp_control-access_monitor]; texts `[M]`.
///
/// # Errors
/// `InvalidIdentityToken` for a claim of the wrong shape, else as [`role_session::tags`] and [`role_session::source_identity`].
pub fn session(claims: &Value) -> Result<Session, Refusal> {
    let flat = |name: &&String| name.strip_prefix(TAGS_CLAIM).is_some_and(|rest| rest.starts_with('/'));
    if let Some(name) = claims.as_object().and_then(|claims| claims.keys().find(flat)) {
        return Err(malformed(format!(
            "`{name}` is the flattened form of session tags, which is not supported"
        )));
    }
    let mut session = claims.get(TAGS_CLAIM).map_or_else(|| Ok(Session::default()), tags)?;
    session.source_identity = optional_text(claims, SOURCE_IDENTITY_CLAIM)?;
    role_session::tags(&session.tags, &session.transitive_keys)?;
    if let Some(identity) = &session.source_identity {
        role_session::source_identity(identity)?;
    }
    Ok(session)
}

fn tags(claim: &Value) -> Result<Session, Refusal> {
    let members = claim
        .as_object()
        .ok_or_else(|| malformed(format!("`{TAGS_CLAIM}` is not an object")))?;
    if let Some(other) = members
        .keys()
        .find(|name| !["principal_tags", "transitive_tag_keys"].contains(&name.as_str()))
    {
        return Err(malformed(format!(
            "`{TAGS_CLAIM}` holds `{other}`, expected `principal_tags` and `transitive_tag_keys`"
        )));
    }
    let principal = claim
        .get("principal_tags")
        .and_then(Value::as_object)
        .ok_or_else(|| malformed(format!("`{TAGS_CLAIM}` has no object `principal_tags`")))?;
    let mut tags = Vec::with_capacity(principal.len());
    for (key, value) in principal {
        match value.as_array().map(Vec::as_slice) {
            Some([Value::String(text)]) => tags.push((key.clone(), text.clone())),
            Some(_) | None => {
                return Err(malformed(format!(
                    "tag `{key}` is `{value}`, expected a list of one string"
                )));
            }
        }
    }
    let transitive_keys = texts(claim, "transitive_tag_keys")?.unwrap_or_default();
    Ok(Session {
        tags,
        transitive_keys,
        source_identity: None,
    })
}

fn required_text(claims: &Value, name: &str) -> Result<String, Refusal> {
    optional_text(claims, name)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| missing(name))
}

fn optional_text(claims: &Value, name: &str) -> Result<Option<String>, Refusal> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(malformed(format!("`{name}` is `{other}`, expected a string"))),
    }
}

fn texts(claims: &Value, name: &str) -> Result<Option<Vec<String>>, Refusal> {
    let wrong = |found: &Value| malformed(format!("`{name}` is `{found}`, expected a string or a list of strings"));
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(vec![text.clone()])),
        Some(list @ Value::Array(values)) => values
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .map(Some)
            .ok_or_else(|| wrong(list)),
        Some(other) => Err(wrong(other)),
    }
}

fn seconds(claims: &Value, name: &str) -> Result<Option<i64>, Refusal> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_i64()
            .map(Some)
            .ok_or_else(|| malformed(format!("`{name}` is `{value}`, expected a whole number of seconds"))),
    }
}

fn missing(claim: &str) -> Refusal {
    Refusal::unverified(Code::InvalidIdentityToken, format!("Missing a required claim: {claim}"))
}

fn malformed(detail: String) -> Refusal {
    Refusal::unverified(Code::InvalidIdentityToken, "The ID Token provided is not valid.").because(detail)
}
