//! The lengths, patterns and counts of AssumeRoleWithWebIdentity, session tags and source identity.
//!
//! Source where no other stands: clouds.md 1.2 and 1.3 [D botocore sts 2011-06-15]. Lengths count characters.
//! Never echoes a token or a policy: the API marks them sensitive.

use std::ops::RangeInclusive;

use super::{Code, Refusal};

/// Length of `RoleArn` and of each policy ARN.
pub const ARN: RangeInclusive<usize> = 20..=2048;
/// Length of `RoleSessionName`.
pub const ROLE_SESSION_NAME: RangeInclusive<usize> = 2..=64;
/// Length of a source identity.
pub const SOURCE_IDENTITY: RangeInclusive<usize> = 2..=64;
/// Length of `WebIdentityToken`.
pub const WEB_IDENTITY_TOKEN: RangeInclusive<usize> = 4..=20_000;
/// Length of `ProviderId`, which an OIDC token must come without.
pub const PROVIDER_ID: RangeInclusive<usize> = 4..=2048;
/// Length of an inline session policy; also the bound of inline and managed plaintext together.
pub const POLICY: RangeInclusive<usize> = 1..=2048;
/// Managed session policies in a request.
pub const POLICY_ARNS: usize = 10;
/// Seconds a session may be asked to last.
pub const DURATION_SECONDS: RangeInclusive<i64> = 900..=43_200;
/// Seconds a session lasts if the request does not say.
pub const DEFAULT_DURATION_SECONDS: i64 = 3600;
/// Seconds a role may set as its longest session.
pub const MAX_SESSION_DURATION: RangeInclusive<i64> = 3600..=43_200;
/// `MinimumSessionTokenSize` in bytes.
pub const MINIMUM_SESSION_TOKEN_SIZE: RangeInclusive<i64> = 0..=4096;
/// Session tags in a session. Source: clouds.md 1.2 [D session tag doc].
pub const TAGS: usize = 50;
/// Length of a tag's key.
pub const TAG_KEY: RangeInclusive<usize> = 1..=128;
/// Length of a tag's value.
pub const TAG_VALUE: RangeInclusive<usize> = 0..=256;
/// Length of the subject in the answer.
pub const SUBJECT: RangeInclusive<usize> = 6..=255;
/// Bytes that session policy, policy ARNs and tags may fill when packed.
///
/// The real packing is binary, compressed and undocumented; this plain sum is `[M]`.
pub const PACKED_BYTES: usize = 4096;

const NAME_PATTERN: &str = r"[\w+=,.@-]*";
const TAG_KEY_PATTERN: &str = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+";
const TAG_VALUE_PATTERN: &str = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*";
const POLICY_PATTERN: &str = r"[\u0009\u000A\u000D\u0020-\u00FF]+";

/// The parameters of one AssumeRoleWithWebIdentity request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// `RoleArn`.
    pub role_arn: Option<&'a str>,
    /// `RoleSessionName`.
    pub role_session_name: Option<&'a str>,
    /// `WebIdentityToken`.
    pub web_identity_token: Option<&'a str>,
    /// `ProviderId`.
    pub provider_id: Option<&'a str>,
    /// `PolicyArns.member.N.arn`.
    pub policy_arns: &'a [String],
    /// `Policy`.
    pub policy: Option<&'a str>,
    /// `DurationSeconds`.
    pub duration_seconds: Option<i64>,
    /// `MinimumSessionTokenSize`.
    pub minimum_session_token_size: Option<i64>,
}

/// Checks a request against every constraint of the API model.
///
/// # Errors
/// `ValidationError` with all violations in one text; `InvalidIdentityToken` `[M]` for a provider id;
/// `PackedPolicyTooLarge` `[M]` for plaintext policies that are too long together.
pub fn request(request: &Request<'_>) -> Result<(), Refusal> {
    let mut found = Violations::default();
    found.name("roleArn", request.role_arn, &ARN, Pattern::Free);
    found.name(
        "roleSessionName",
        request.role_session_name,
        &ROLE_SESSION_NAME,
        Pattern::Name,
    );
    found.sensitive(
        "webIdentityToken",
        request.web_identity_token,
        &WEB_IDENTITY_TOKEN,
        Pattern::Free,
    );
    if let Some(id) = request.provider_id {
        found.name("providerId", Some(id), &PROVIDER_ID, Pattern::Free);
    }
    if let Some(policy) = request.policy {
        found.sensitive("policy", Some(policy), &POLICY, Pattern::Policy);
    }
    for (index, arn) in request.policy_arns.iter().enumerate() {
        let member = format!("policyArns.{}.member.arn", index + 1);
        found.name(&member, Some(arn), &ARN, Pattern::Free);
    }
    if request.policy_arns.len() > POLICY_ARNS {
        let bound = format!("Member must have length less than or equal to {POLICY_ARNS}");
        found.add("Value at 'policyArns'", &bound);
    }
    if let Some(seconds) = request.duration_seconds {
        found.number("durationSeconds", seconds, &DURATION_SECONDS);
    }
    if let Some(bytes) = request.minimum_session_token_size {
        found.number("minimumSessionTokenSize", bytes, &MINIMUM_SESSION_TOKEN_SIZE);
    }
    found.into_result()?;
    beyond_the_model(request)
}

fn beyond_the_model(request: &Request<'_>) -> Result<(), Refusal> {
    if let Some(id) = request.provider_id {
        let text = "Provided Token is not a Login With Amazon token";
        return Err(Refusal::unverified(Code::InvalidIdentityToken, text).because(format!(
            "ProviderId is `{id}`, an OpenID Connect token comes without one"
        )));
    }
    let plaintext =
        length(request.policy.unwrap_or_default()) + request.policy_arns.iter().map(|arn| length(arn)).sum::<usize>();
    if plaintext > *POLICY.end() {
        let text = format!(
            "Session policies have {plaintext} characters, expected at most {}",
            POLICY.end()
        );
        return Err(Refusal::unverified(Code::PackedPolicyTooLarge, text));
    }
    Ok(())
}

/// The parts of a role's ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleArn {
    /// `aws`, `aws-cn`, `aws-us-gov`, ..
    pub partition: String,
    /// The 12 digits of the account.
    pub account: String,
    /// The role's name without its path.
    pub name: String,
}

/// Reads `arn:<partition>:iam::<account>:role/[path/]<name>`.
///
/// # Errors
/// `ValidationError` `Request ARN is invalid`. Source: clouds.md 1.3 `[M]`.
pub fn role_arn(text: &str) -> Result<RoleArn, Refusal> {
    let refused = || {
        Refusal::unverified(Code::ValidationError, "Request ARN is invalid").because(format!(
            "found `{text}`, expected `arn:<partition>:iam::<12 digits>:role/<name>`"
        ))
    };
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else {
        return Err(refused());
    };
    let path = resource.strip_prefix("role/").ok_or_else(refused)?;
    let name = path.rsplit('/').next().unwrap_or_default();
    let partition_is_known = *partition == "aws" || partition.starts_with("aws-");
    // IAM allows 64 characters in a role's name and 512 in its path [D botocore iam].
    let fits = (1..=64).contains(&length(name)) && name.chars().all(is_name_char) && length(path) <= 576;
    let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
    if !(partition_is_known && is_account(account) && fits && printable) {
        return Err(refused());
    }
    Ok(RoleArn {
        partition: (*partition).to_owned(),
        account: (*account).to_owned(),
        name: name.to_owned(),
    })
}

/// Tells whether `text` is an account number of 12 digits.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

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

#[derive(Clone, Copy)]
enum Pattern {
    Free,
    Name,
    Policy,
    TagKey,
    TagValue,
}

impl Pattern {
    fn text(self) -> &'static str {
        match self {
            Self::Free => ".*",
            Self::Name => NAME_PATTERN,
            Self::Policy => POLICY_PATTERN,
            Self::TagKey => TAG_KEY_PATTERN,
            Self::TagValue => TAG_VALUE_PATTERN,
        }
    }

    fn matches(self, value: &str) -> bool {
        value.chars().all(|character| match self {
            Self::Free => true,
            Self::Name => is_name_char(character),
            Self::Policy => matches!(character, '\t' | '\n' | '\r' | ' '..='\u{ff}'),
            Self::TagKey | Self::TagValue => is_tag_char(character),
        })
    }
}

/// Collects violations, because the cloud reports them all at once.
#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn name(&mut self, member: &str, value: Option<&str>, bounds: &RangeInclusive<usize>, pattern: Pattern) {
        let shown = value.map_or_else(|| "Value null".to_owned(), |value| format!("Value '{value}'"));
        self.text(&format!("{shown} at '{member}'"), value, bounds, pattern);
    }

    fn sensitive(&mut self, member: &str, value: Option<&str>, bounds: &RangeInclusive<usize>, pattern: Pattern) {
        let shown = if value.is_some() { "Value" } else { "Value null" };
        self.text(&format!("{shown} at '{member}'"), value, bounds, pattern);
    }

    fn text(&mut self, shown: &str, value: Option<&str>, bounds: &RangeInclusive<usize>, pattern: Pattern) {
        let Some(value) = value else {
            return self.add(shown, "Member must not be null");
        };
        let (least, most) = (bounds.start(), bounds.end());
        if length(value) < *least {
            self.add(
                shown,
                &format!("Member must have length greater than or equal to {least}"),
            );
        }
        if length(value) > *most {
            self.add(shown, &format!("Member must have length less than or equal to {most}"));
        }
        if !pattern.matches(value) {
            self.add(
                shown,
                &format!("Member must satisfy regular expression pattern: {}", pattern.text()),
            );
        }
    }

    fn number(&mut self, member: &str, value: i64, bounds: &RangeInclusive<i64>) {
        let shown = format!("Value '{value}' at '{member}'");
        if value < *bounds.start() {
            self.add(
                &shown,
                &format!("Member must have value greater than or equal to {}", bounds.start()),
            );
        }
        if value > *bounds.end() {
            self.add(
                &shown,
                &format!("Member must have value less than or equal to {}", bounds.end()),
            );
        }
    }

    fn add(&mut self, shown: &str, constraint: &str) {
        self.0
            .push(format!("{shown} failed to satisfy constraint: {constraint}"));
    }

    fn into_result(self) -> Result<(), Refusal> {
        let noun = match self.0.len() {
            0 => return Ok(()),
            1 => "error",
            _more => "errors",
        };
        let text = format!("{} validation {noun} detected: {}", self.0.len(), self.0.join("; "));
        Err(Refusal::known(Code::ValidationError, text))
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}
