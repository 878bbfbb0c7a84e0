//! The ARNs that AWS answers with: every principal, of whom roles alone are taken.
//!
//! It must never repair one: an ARN of another form is nobody's (T-46).

use std::fmt;

use super::endpoint::is_partition;
use crate::attest::aws_iam::arn::{is_account, is_name, is_part};

/// The ARN of whoever called AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arn {
    partition: String,
    account: String,
    principal: Principal,
}

/// Who an ARN names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A session of a role; AWS leaves the role's path out.
    AssumedRole {
        /// The role's name.
        role: String,
        /// The session's name, which whoever assumed the role chose.
        session: String,
    },
    /// A session of `GetFederationToken`.
    FederatedUser {
        /// The name that was chosen for it.
        name: String,
    },
    /// The account itself.
    Root,
    /// A user.
    User {
        /// Path and name, `division/team/alice`.
        path_and_name: String,
    },
}

impl Arn {
    /// Reads an ARN as `GetCallerIdentity` answers it; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, "", account, resource] = parts.as_slice() else {
            return None;
        };
        if !is_partition(partition) || !is_account(account) {
            return None;
        }
        Some(Self {
            partition: (*partition).to_owned(),
            account: (*account).to_owned(),
            principal: Principal::parse(service, resource)?,
        })
    }

    /// Returns the partition: `aws`, `aws-cn`, `aws-us-gov`.
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// Returns the 12 digits of the account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Returns who it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Returns the ARN that stays the same from session to session: of a session's role, without the role's path.
    pub fn canonical(&self) -> String {
        match &self.principal {
            Principal::AssumedRole { role, .. } => format!("arn:{}:iam::{}:role/{role}", self.partition, self.account),
            Principal::FederatedUser { .. } | Principal::Root | Principal::User { .. } => self.to_string(),
        }
    }
}

impl Principal {
    fn parse(service: &str, resource: &str) -> Option<Self> {
        let parts: Vec<&str> = resource.split('/').collect();
        match (service, parts.as_slice()) {
            ("iam", ["root"]) => Some(Self::Root),
            ("iam", ["user", path @ .., name]) if is_name(name, 1) && is_path(path) => Some(Self::User {
                path_and_name: resource.strip_prefix("user/")?.to_owned(),
            }),
            ("sts", ["assumed-role", role, session]) if is_name(role, 1) && is_name(session, 2) => {
                Some(Self::AssumedRole {
                    role: (*role).to_owned(),
                    session: (*session).to_owned(),
                })
            }
            ("sts", ["federated-user", name]) if name.len() <= 32 && is_name(name, 2) => Some(Self::FederatedUser {
                name: (*name).to_owned(),
            }),
            _another => None,
        }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, resource) = match &self.principal {
            Principal::AssumedRole { role, session } => ("sts", format!("assumed-role/{role}/{session}")),
            Principal::FederatedUser { name } => ("sts", format!("federated-user/{name}")),
            Principal::Root => ("iam", "root".to_owned()),
            Principal::User { path_and_name } => ("iam", format!("user/{path_and_name}")),
        };
        write!(f, "arn:{}:{service}::{}:{resource}", self.partition, self.account)
    }
}

fn is_path(parts: &[&str]) -> bool {
    // IAM takes more characters in a path; whoever has them is refused, not rewritten.
    parts.iter().all(|part| part.len() <= 512 && is_part(part))
}

/// AWS: an ARN has at most 2,048 characters.
const MAX_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "arn:aws:sts::123456789012:assumed-role/deploy/i-0123456789abcdef0";

    #[test]
    fn reads_each_principal_and_writes_it_back() {
        for (text, canonical) in [
            (SESSION, "arn:aws:iam::123456789012:role/deploy"),
            (
                "arn:aws-cn:sts::123456789012:assumed-role/a.b@c/x=y,z+1",
                "arn:aws-cn:iam::123456789012:role/a.b@c",
            ),
            ("arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:root"),
            (
                "arn:aws:iam::123456789012:user/alice",
                "arn:aws:iam::123456789012:user/alice",
            ),
            (
                "arn:aws-us-gov:iam::123456789012:user/division/team/alice",
                "arn:aws-us-gov:iam::123456789012:user/division/team/alice",
            ),
            (
                "arn:aws:sts::123456789012:federated-user/bob",
                "arn:aws:sts::123456789012:federated-user/bob",
            ),
        ] {
            let arn = Arn::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((arn.to_string().as_str(), arn.canonical().as_str()), (text, canonical));
            assert_eq!(arn.account(), "123456789012");
        }
    }

    #[test]
    fn t_46_no_other_text_is_the_arn_of_a_principal() {
        for text in [
            "",
            "arn",
            "arn:aws:sts::1:assumed-role/admin/x1",
            "arn:aws:sts::123456789012:assumed-role/admin/../x",
            "arn:aws:sts::123456789012:assumed-role/admin/..",
            "arn:aws:sts::123456789012:assumed-role/../x1",
            "arn:aws:sts::123456789012:assumed-role/path/admin/x1",
            "arn:aws:sts::123456789012:assumed-role/admin",
            "arn:aws:sts::123456789012:assumed-role/admin/",
            "arn:aws:sts::123456789012:assumed-role/admin/x1/",
            "arn:aws:sts::123456789012:assumed-role//x1",
            "arn:aws:sts::123456789012:assumed-role/adm:in/x1",
            "arn:aws:sts::123456789012:assumed-role/admin/x:1",
            "arn:aws:sts::123456789012:assumed-role/adm*/x1",
            "arn:aws:sts::123456789012:assumed-role/adm in/x1",
            "arn:aws:sts::123456789012:assumed-role/ädmin/x1",
            "arn:aws:sts::123456789012:role/admin",
            "arn:aws:iam::123456789012:role/admin",
            "arn:aws:iam::123456789012:user",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:user//alice",
            "arn:aws:iam::123456789012:user/../alice",
            "arn:aws:iam::123456789012:root/",
            "arn:aws:sts::123456789012:root",
            "arn:aws:iam:eu-central-1:123456789012:root",
            "arn:aws:iam::12345678901:root",
            "arn:aws:iam::1234567890123:root",
            "arn:aws:iam::12345678901a:root",
            "arn:aws:iam::*:root",
            "arn:AWS:iam::123456789012:root",
            "arn:awsx:iam::123456789012:root",
            "arn:aws-:iam::123456789012:root",
            "ARN:aws:iam::123456789012:root",
            " arn:aws:iam::123456789012:root",
            "arn:aws:iam::123456789012:root\n",
            "arn:aws:s3:::bucket",
        ] {
            assert_eq!(Arn::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_role_has_64_characters_and_a_session_2_to_64() {
        let arn = |role: usize, session: usize| {
            let text = format!(
                "arn:aws:sts::123456789012:assumed-role/{}/{}",
                "r".repeat(role),
                "s".repeat(session)
            );
            Arn::parse(&text).is_some()
        };

        assert!(arn(1, 2) && arn(64, 64));
        assert!(!arn(65, 64) && !arn(64, 65) && !arn(1, 1) && !arn(0, 2));
    }
}
