//! ARNs of accounts and roles.
//!
//! Never guesses a part that is not there.

use super::{Code, Refusal, role_session::is_name_char};

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
    let fits =
        (1..=64).contains(&name.chars().count()) && name.chars().all(is_name_char) && path.chars().count() <= 576;
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
