//! ARNs of trust anchors, profiles and revocation lists.
//!
//! Source: clouds.md 2.1 [D botocore rolesanywhere 2018-05-10]. Never takes an alias, which could come to mean something else.

use super::{Code, Refusal};
use crate::exchange::aws::arn;

/// What an ARN of this service names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A certificate revocation list.
    Crl,
    /// A profile.
    Profile,
    /// A trust anchor.
    TrustAnchor,
}

impl Kind {
    /// Returns the word in the ARN.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crl => "crl",
            Self::Profile => "profile",
            Self::TrustAnchor => "trust-anchor",
        }
    }
}

/// The parts of `arn:<partition>:rolesanywhere:<region>:<account>:<kind>/<uuid>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceArn {
    /// `aws`, `aws-cn`, `aws-us-gov`, ..
    pub partition: String,
    /// The region.
    pub region: String,
    /// The 12 digits of the account.
    pub account: String,
    /// The object's UUID.
    pub id: String,
}

impl ResourceArn {
    /// Reads an ARN of this kind.
    ///
    /// # Errors
    /// `ValidationException`; the text is `[M]`.
    pub fn parse(text: &str, kind: Kind) -> Result<Self, Refusal> {
        let refused = || {
            Refusal::unverified(Code::Validation, "Invalid ARN").because(format!(
                "found `{text}`, expected `arn:<partition>:rolesanywhere:<region>:<12 digits>:{}/<uuid>`",
                kind.name()
            ))
        };
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "rolesanywhere", region, account, resource] = parts.as_slice() else {
            return Err(refused());
        };
        let id = resource
            .strip_prefix(kind.name())
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(refused)?;
        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let partition_is_known = *partition == "aws" || partition.starts_with("aws-") && partition.bytes().all(lower);
        let is_region = (1..=32).contains(&region.len()) && region.bytes().all(lower);
        if !(partition_is_known && is_region && arn::is_account(account) && is_uuid(id)) {
            return Err(refused());
        }
        Ok(Self {
            partition: (*partition).to_owned(),
            region: (*region).to_owned(),
            account: (*account).to_owned(),
            id: id.to_owned(),
        })
    }
}

/// Tells whether `text` is a UUID in lower case. Source: the model's pattern.
pub fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = groups.iter().map(|group| group.len());
    let is_digit = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    lengths.eq([8, 4, 4, 4, 12]) && groups.iter().all(|group| group.bytes().all(is_digit))
}
