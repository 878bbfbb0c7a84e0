//! The ARNs of AWS principals, and patterns of them.
//!
//! It must never repair one: an ARN of another form is nobody's. A wildcard stays within its part, and there is none for
//! an account: the same role name exists in everybody's (T-46).

use std::fmt;

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
            ("iam", ["user", path @ .., name]) if is_name(name, 1..=64) && is_path(path) => Some(Self::User {
                path_and_name: resource.strip_prefix("user/")?.to_owned(),
            }),
            ("sts", ["assumed-role", role, session]) if is_name(role, 1..=64) && is_name(session, 2..=64) => {
                Some(Self::AssumedRole {
                    role: (*role).to_owned(),
                    session: (*session).to_owned(),
                })
            }
            ("sts", ["federated-user", name]) if is_name(name, 2..=32) => Some(Self::FederatedUser {
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

/// A pattern of canonical ARNs: `?` stands for one character and `*` for any number, neither for `:` or `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArnPattern {
    text: String,
}

impl ArnPattern {
    /// Reads a pattern; `None` unless its partition and account are written out.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "iam" | "sts", "", account, resource] = parts.as_slice() else {
            return None;
        };
        let wild = |byte: u8| byte == b'?' || byte == b'*' || byte == b'/' || is_name_byte(byte);
        let in_order = is_partition(partition) && is_account(account) && resource.bytes().all(wild);
        (in_order && !resource.is_empty() && text.len() <= MAX_BYTES).then(|| Self { text: text.to_owned() })
    }

    /// Tells whether the pattern takes a canonical ARN, whole.
    pub fn takes(&self, canonical: &str) -> bool {
        let parted = |text: &str| -> Vec<String> { text.split([':', '/']).map(str::to_owned).collect() };
        let separators = |text: &str| -> Vec<char> { text.chars().filter(|one| ":/".contains(*one)).collect() };
        separators(&self.text) == separators(canonical)
            && parted(&self.text)
                .iter()
                .zip(parted(canonical))
                .all(|(pattern, part)| part_takes(pattern.as_bytes(), part.as_bytes()))
    }
}

/// Matches one part in time that is linear but for the stars: the last one met is the only one gone back to.
fn part_takes(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut reached) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(found) = text.get(reached) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, reached));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == found => {
                at += 1;
                reached += 1;
            }
            Some(_) | None => {
                let Some((place, taken)) = star else {
                    return false;
                };
                star = Some((place, taken + 1));
                at = place + 1;
                reached = taken + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == b'*')
}

/// Tells whether this is an account: 12 digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_partition(text: &str) -> bool {
    let rest = text.strip_prefix("aws");
    rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('-') && rest.len() > 1))
        && text.len() <= 20
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn is_path(parts: &[&str]) -> bool {
    // IAM takes more characters in a path; whoever has them is refused, not rewritten.
    parts.iter().all(|part| is_name(part, 1..=512))
}

fn is_name(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len()) && text != "." && text != ".." && text.bytes().all(is_name_byte)
}

/// IAM and STS: `[\w+=,.@-]`.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
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

    #[test]
    fn t_46_a_wildcard_stays_within_its_part() {
        let takes = |pattern: &str, arn: &str| {
            let pattern = ArnPattern::parse(&format!("arn:aws:iam::123456789012:{pattern}")).unwrap();
            pattern.takes(&format!("arn:aws:iam::123456789012:{arn}"))
        };

        for (pattern, arn, expected) in [
            ("role/deploy", "role/deploy", true),
            ("role/deploy", "role/deploy2", false),
            ("role/deploy-*", "role/deploy-eu", true),
            ("role/deploy-*", "role/deploy-", true),
            ("role/deploy-*", "role/deploy-eu/x", false),
            ("role/*-*-x", "role/a-b-c-x", true),
            ("role/*a*b", "role/xaxaxb", true),
            ("role/*a*b", "role/xaxaxc", false),
            ("role/d?ploy", "role/deploy", true),
            ("role/d?ploy", "role/dploy", false),
            ("role/d?ploy", "role/d/ploy", false),
            ("role*", "role/deploy", false),
            ("user/*", "user/division/alice", false),
            ("user/*/alice", "user/division/alice", true),
            ("*/deploy", "role/deploy", true),
        ] {
            assert_eq!(takes(pattern, arn), expected, "{pattern} against {arn}");
        }
    }

    #[test]
    fn t_46_the_same_role_of_another_account_or_partition_is_another() {
        let pattern = ArnPattern::parse("arn:aws:iam::123456789012:role/deploy").unwrap();

        assert!(pattern.takes("arn:aws:iam::123456789012:role/deploy"));
        assert!(!pattern.takes("arn:aws:iam::210987654321:role/deploy"));
        assert!(!pattern.takes("arn:aws-cn:iam::123456789012:role/deploy"));
    }

    #[test]
    fn t_46_no_pattern_leaves_the_account_open() {
        for text in [
            "*",
            "arn:aws:iam::*:role/deploy",
            "arn:aws:iam::12345678901?:role/deploy",
            "arn:*:iam::123456789012:role/deploy",
            "arn:aws:*::123456789012:role/deploy",
            "arn:aws:iam:*:123456789012:role/deploy",
            "arn:aws:iam::123456789012:",
            "arn:aws:iam::123456789012",
            "arn:aws:iam::123456789012:role/[a-z]",
            "arn:aws:iam::123456789012:role/a:b",
        ] {
            assert_eq!(ArnPattern::parse(text), None, "{text}");
        }
    }
}
