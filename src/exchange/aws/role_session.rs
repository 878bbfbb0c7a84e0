//! What STS takes as a role's session: its name, source identity, tags, duration and packed size.
//!
//! Source where no other stands: clouds.md 1.2 and 1.3 [D botocore sts 2011-06-15]. Lengths count characters.

use std::ops::RangeInclusive;

use super::{
    Code, Refusal,
    constraint::{Pattern, Violations},
};

/// Length of `RoleSessionName`.
pub const ROLE_SESSION_NAME: RangeInclusive<usize> = 2..=64;
/// Length of a source identity.
pub const SOURCE_IDENTITY: RangeInclusive<usize> = 2..=64;
/// Seconds a session may be asked to last.
pub const DURATION_SECONDS: RangeInclusive<i64> = 900..=43_200;
/// Seconds a session lasts if the request does not say.
pub const DEFAULT_DURATION_SECONDS: i64 = 3600;
/// Seconds a role may set as its longest session.
pub const MAX_SESSION_DURATION: RangeInclusive<i64> = 3600..=43_200;
/// Session tags in a session. Source: clouds.md 1.2 [D session tag doc].
pub const TAGS: usize = 50;
/// Length of a tag's key.
pub const TAG_KEY: RangeInclusive<usize> = 1..=128;
/// Length of a tag's value.
pub const TAG_VALUE: RangeInclusive<usize> = 0..=256;
/// Bytes that session policy, policy ARNs and tags may fill when packed.
///
/// The real packing is binary, compressed and undocumented; this plain sum is `[M]`.
pub const PACKED_BYTES: usize = 4096;

/// Tells whether `character` may stand in a role session name or a source identity: `[\w+=,.@-]`.
pub fn is_name_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-".contains(character)
}

/// Tells whether `character` may stand in a tag's key or value: `[\p{L}\p{Z}\p{N}_.:/=+\-@]`.
///
/// Wider than the cloud by the marks and circled letters that Unicode calls alphabetic without category L.
pub fn is_tag_char(character: char) -> bool {
    character.is_alphabetic()
        || character.is_numeric()
        || (character.is_whitespace() && !character.is_control())
        || "_.:/=+-@".contains(character)
}

/// Checks a source identity. Source: clouds.md 1.2 [D id_credentials_temp_control-access_monitor; botocore].
///
/// # Errors
/// `ValidationError`; its text follows the observed ones of other members `[M]`.
pub fn source_identity(value: &str) -> Result<(), Refusal> {
    let mut found = Violations::default();
    found.name("sourceIdentity", Some(value), &SOURCE_IDENTITY, Pattern::Name);
    found.into_result().map_err(Refusal::as_unverified)
}

/// Checks session tags and the keys that are to be transitive.
///
/// Source: clouds.md 1.2 [D botocore sts; session tag doc]; texts `[M]`.
///
/// # Errors
/// `ValidationError` for counts, lengths and characters; `InvalidParameterValue` for keys that differ only in case, that
/// begin with the reserved `aws:`, or that are transitive without being tags.
pub fn tags(tags: &[(String, String)], transitive: &[String]) -> Result<(), Refusal> {
    let mut found = Violations::default();
    if tags.len() > TAGS {
        let bound = format!("Member must have length less than or equal to {TAGS}");
        found.add("Value at 'tags'", &bound);
    }
    for (index, (key, value)) in tags.iter().enumerate() {
        let member = format!("tags.{}.member", index + 1);
        found.name(&format!("{member}.key"), Some(key), &TAG_KEY, Pattern::TagKey);
        found.name(&format!("{member}.value"), Some(value), &TAG_VALUE, Pattern::TagValue);
    }
    found.into_result().map_err(Refusal::as_unverified)?;
    let mut keys: Vec<String> = tags.iter().map(|(key, _)| key.to_lowercase()).collect();
    if let Some(key) = transitive.iter().find(|key| !keys.contains(&key.to_lowercase())) {
        let text = "The specified transitive tag key must be included in the requested tags.";
        return Err(Refusal::unverified(Code::InvalidParameterValue, text).because(format!(
            "`{key}` is transitive and not among the tags `{}`",
            keys.join("`, `")
        )));
    }
    if let Some(key) = keys.iter().find(|key| key.starts_with("aws:")) {
        let text = format!("Tag keys must not begin with the reserved prefix aws:, found {key}");
        return Err(Refusal::unverified(Code::InvalidParameterValue, text));
    }
    keys.sort_unstable();
    keys.dedup();
    if keys.len() < tags.len() {
        let text = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
        return Err(Refusal::unverified(Code::InvalidParameterValue, text));
    }
    Ok(())
}

/// Checks the duration asked for against the role's own maximum.
///
/// # Errors
/// `ValidationError`. Source: clouds.md 1.3 [O awsu #27].
pub fn within_role_maximum(seconds: i64, role_maximum: i64) -> Result<(), Refusal> {
    if seconds <= role_maximum {
        return Ok(());
    }
    let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    Err(Refusal::known(Code::ValidationError, text)
        .because(format!("found {seconds} s, the role allows {role_maximum} s")))
}

/// Returns how many percent of the packed space session policies and tags fill; see [`PACKED_BYTES`].
///
/// # Errors
/// `PackedPolicyTooLarge` above 100 percent. Source: clouds.md 1.3, code `[D]`; text `[M]`.
pub fn packed_percent(policies: &[&str], tags: &[(String, String)]) -> Result<usize, Refusal> {
    let bytes = policies.iter().map(|policy| policy.len()).sum::<usize>()
        + tags.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    let percent = (bytes * 100).div_ceil(PACKED_BYTES);
    if percent <= 100 {
        return Ok(percent);
    }
    let text = format!("Packed policy consumes {percent}% of allotted space, please use smaller policy.");
    Err(Refusal::unverified(Code::PackedPolicyTooLarge, text))
}
