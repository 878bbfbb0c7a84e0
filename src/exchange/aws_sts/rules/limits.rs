//! The lengths, patterns and counts of AssumeRoleWithWebIdentity.
//!
//! Source where no other stands: clouds.md 1.2 and 1.3 [D botocore sts 2011-06-15]. Lengths count characters.
//! Never echoes a token or a policy: the API marks them sensitive.

use std::ops::RangeInclusive;

use crate::exchange::aws::{
    Code, Refusal,
    constraint::{Pattern, Violations},
    role_session::{DURATION_SECONDS, ROLE_SESSION_NAME},
};

/// Length of `RoleArn` and of each policy ARN.
pub const ARN: RangeInclusive<usize> = 20..=2048;
/// Length of `WebIdentityToken`.
pub const WEB_IDENTITY_TOKEN: RangeInclusive<usize> = 4..=20_000;
/// Length of `ProviderId`, which an OIDC token must come without.
pub const PROVIDER_ID: RangeInclusive<usize> = 4..=2048;
/// Length of an inline session policy; also the bound of inline and managed plaintext together.
pub const POLICY: RangeInclusive<usize> = 1..=2048;
/// Managed session policies in a request.
pub const POLICY_ARNS: usize = 10;
/// `MinimumSessionTokenSize` in bytes.
pub const MINIMUM_SESSION_TOKEN_SIZE: RangeInclusive<i64> = 0..=4096;
/// Length of the subject in the answer.
pub const SUBJECT: RangeInclusive<usize> = 6..=255;

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
    let plaintext = request.policy.unwrap_or_default().chars().count()
        + request.policy_arns.iter().map(|arn| arn.chars().count()).sum::<usize>();
    if plaintext > *POLICY.end() {
        let text = format!(
            "Session policies have {plaintext} characters, expected at most {}",
            POLICY.end()
        );
        return Err(Refusal::unverified(Code::PackedPolicyTooLarge, text));
    }
    Ok(())
}
