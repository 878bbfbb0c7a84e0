//! What AWS calls its roles, instances and functions.
//!
//! It must never repair a name, and never compare parts of one that has too many: a glob or `..` in it is nobody's (T-46).

/// A role, as a principal's ARN names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Role<'t> {
    pub(super) partition: &'t str,
    pub(super) account: &'t str,
    pub(super) name: &'t str,
    /// What the session is called, where the ARN is that of a session; whoever assumed the role chose it.
    pub(super) session: Option<&'t str>,
}

impl<'t> Role<'t> {
    /// Reads `arn:aws:iam::<account>:role/<path>/<name>` or `arn:aws:sts::<account>:assumed-role/<name>/<session>`.
    ///
    /// `None` for every other principal: users and roots have secrets that do not end.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let arn = Arn::parse(text)?;
        if !arn.region.is_empty() {
            return None;
        }
        let (kind, rest) = arn.resource.split_once('/')?;
        let (name, session) = match (arn.service, kind) {
            ("iam", "role") => (last_of_path(rest)?, None),
            ("sts", "assumed-role") => {
                let (name, session) = rest.split_once('/')?;
                (name, Some(session))
            }
            _other => return None,
        };
        let named = is_name(name, 1) && session.is_none_or(|session| is_name(session, 2));
        named.then_some(Self {
            partition: arn.partition,
            account: arn.account,
            name,
            session,
        })
    }

    /// Returns the role's ARN without its path, which a session's ARN has not: names are unique in an account.
    pub(super) fn canonical(&self) -> String {
        format!("arn:{}:iam::{}:role/{}", self.partition, self.account, self.name)
    }

    /// Tells whether both are one role.
    pub(super) fn is(&self, other: &Role<'_>) -> bool {
        (self.partition, self.account, self.name) == (other.partition, other.account, other.name)
    }
}

/// Returns the account and the id of an instance's ARN.
pub(super) fn instance(text: &str) -> Option<(&str, &str)> {
    let arn = Arn::parse(text)?;
    let id = arn.resource.strip_prefix("instance/")?;
    let digits = id.strip_prefix("i-")?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    // Ids have 8 digits, or 17 since 2016.
    let is = arn.service == "ec2" && is_region(arn.region) && (8..=17).contains(&digits.len());
    (is && digits.bytes().all(hex)).then_some((arn.account, id))
}

/// Returns the account of a function's ARN, with or without a version behind the function's name.
pub(super) fn function(text: &str) -> Option<&str> {
    let arn = Arn::parse(text)?;
    let mut parts = arn.resource.strip_prefix("function:")?.split(':');
    let (name, version) = (parts.next()?, parts.next());
    let part = |part: &str| (1..=64).contains(&part.len()) && part.bytes().all(is_of_function);
    let version_is = version.is_none_or(|version| version == "$LATEST" || part(version));
    let is = arn.service == "lambda" && is_region(arn.region) && part(name) && version_is && parts.next().is_none();
    is.then_some(arn.account)
}

/// Tells whether this is the number of an account: 12 digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Tells whether this is the name of a region: 1 to 32 lower-case letters, digits and hyphens, which end in no host but
/// the one that is made of it.
pub fn is_region(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(inner)
}

struct Arn<'t> {
    partition: &'t str,
    service: &'t str,
    region: &'t str,
    account: &'t str,
    resource: &'t str,
}

impl<'t> Arn<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut part = || parts.next();
        let ("arn", partition, service, region, account, resource) =
            (part()?, part()?, part()?, part()?, part()?, part()?)
        else {
            return None;
        };
        (PARTITIONS.contains(&partition) && is_account(account)).then_some(Self {
            partition,
            service,
            region,
            account,
            resource,
        })
    }
}

/// Returns the name behind a path, each of whose parts must be a name.
fn last_of_path(path: &str) -> Option<&str> {
    let mut last = None;
    for part in path.split('/') {
        if !is_part(part) {
            return None;
        }
        last = Some(part);
    }
    last.filter(|_| path.len() <= MAX_PATH_BYTES)
}

/// Tells whether a role or a session can be called so.
pub(super) fn is_name(text: &str, min: usize) -> bool {
    (min..=MAX_NAME_BYTES).contains(&text.len()) && is_part(text)
}

/// Tells whether this is of the characters of names; a glob or `..` is not.
pub(super) fn is_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(inner)
}

fn is_of_function(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

const PARTITIONS: &[&str] = &["aws", "aws-cn", "aws-us-gov"];

// IAM, "IAM and AWS STS quotas": names of roles and sessions, and a role's path.
const MAX_NAME_BYTES: usize = 64;
const MAX_PATH_BYTES: usize = 512 + MAX_NAME_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_and_its_session_have_one_canonical_name() {
        for text in [
            "arn:aws:iam::123456789012:role/deploy",
            "arn:aws:iam::123456789012:role/ci/shop/deploy",
            "arn:aws:sts::123456789012:assumed-role/deploy/i-0abc",
        ] {
            let role = Role::parse(text).unwrap();

            assert_eq!(role.canonical(), "arn:aws:iam::123456789012:role/deploy", "{text}");
        }
        let session = Role::parse("arn:aws:sts::123456789012:assumed-role/deploy/i-0abc").unwrap();
        assert_eq!(session.session, Some("i-0abc"));
    }

    #[test]
    fn every_partition_of_aws_and_no_other_has_roles() {
        for partition in ["aws", "aws-cn", "aws-us-gov"] {
            assert!(Role::parse(&format!("arn:{partition}:iam::123456789012:role/deploy")).is_some());
        }
        for partition in ["", "AWS", "aws-iso", "*", "minio"] {
            assert_eq!(
                Role::parse(&format!("arn:{partition}:iam::123456789012:role/deploy")),
                None,
                "{partition}"
            );
        }
    }

    #[test]
    fn t_46_no_other_name_is_a_roles() {
        for text in [
            "",
            "arn",
            "deploy",
            "arn:aws:iam::123456789012:role",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role//deploy",
            "arn:aws:iam::123456789012:role/deploy/",
            "arn:aws:iam::123456789012:role/../deploy",
            "arn:aws:iam::123456789012:role/admin/..",
            "arn:aws:iam::123456789012:role/.",
            "arn:aws:iam::123456789012:role/*",
            "arn:aws:iam::123456789012:role/dep?oy",
            "arn:aws:iam::123456789012:role/dep loy",
            "arn:aws:iam::123456789012:role/deploy\n",
            "arn:aws:iam::123456789012:role/dëploy",
            "arn:aws:iam::123456789012:role/deploy:x",
            "arn:aws:iam::*:role/deploy",
            "arn:aws:iam::12345678901:role/deploy",
            "arn:aws:iam::1234567890123:role/deploy",
            "arn:aws:iam::12345678901x:role/deploy",
            "arn:aws:iam:eu-central-1:123456789012:role/deploy",
            "arn:aws:sts::123456789012:role/deploy",
            "arn:aws:iam::123456789012:assumed-role/deploy/session",
            "arn:aws:sts::123456789012:assumed-role/deploy",
            "arn:aws:sts::123456789012:assumed-role/deploy/",
            "arn:aws:sts::123456789012:assumed-role/deploy/s",
            "arn:aws:sts::123456789012:assumed-role/deploy/session/x",
            "arn:aws:sts::123456789012:assumed-role/admin/../x",
            "arn:aws:sts::123456789012:assumed-role/../admin",
            "arn:aws:sts::123456789012:assumed-role/*/x1",
            "arn:aws:sts::123456789012:federated-user/deploy",
            "arn:aws:iam::123456789012:user/deploy",
            "arn:aws:iam::123456789012:root",
            " arn:aws:iam::123456789012:role/deploy",
        ] {
            assert_eq!(Role::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn names_have_64_bytes_and_paths_512() {
        let role = |path: usize, name: usize| {
            let path = if path == 0 {
                String::new()
            } else {
                format!("{}/", "p".repeat(path - 1))
            };
            format!("arn:aws:iam::123456789012:role/{path}{}", "n".repeat(name))
        };
        let session = |name: usize| format!("arn:aws:sts::123456789012:assumed-role/deploy/{}", "s".repeat(name));

        assert!(Role::parse(&role(0, 64)).is_some());
        assert_eq!(Role::parse(&role(0, 65)), None);
        assert!(Role::parse(&role(512, 64)).is_some());
        assert_eq!(Role::parse(&role(513, 64)), None);
        assert!(Role::parse(&session(2)).is_some());
        assert!(Role::parse(&session(64)).is_some());
        assert_eq!(Role::parse(&session(65)), None);
    }

    #[test]
    fn reads_instances_and_functions_and_nothing_else() {
        let one = "arn:aws:ec2:eu-central-1:123456789012:instance/i-0123456789abcdef0";
        assert_eq!(instance(one), Some(("123456789012", "i-0123456789abcdef0")));
        for text in [
            "",
            "arn:aws:ec2::123456789012:instance/i-0123456789abcdef0",
            "arn:aws:ec2:eu-central-1:123456789012:instance/i-0123456",
            "arn:aws:ec2:eu-central-1:123456789012:instance/i-0123456789abcdef01",
            "arn:aws:ec2:eu-central-1:123456789012:instance/i-0123456789ABCDEF0",
            "arn:aws:ec2:eu-central-1:123456789012:instance/*",
            "arn:aws:ec2:eu-central-1:123456789012:volume/vol-0123456789abcdef0",
            "arn:aws:ssm:eu-central-1:123456789012:instance/i-0123456789abcdef0",
        ] {
            assert_eq!(instance(text), None, "{text}");
        }
        for text in [
            "arn:aws:lambda:eu-central-1:123456789012:function:shop",
            "arn:aws:lambda:eu-central-1:123456789012:function:shop:7",
            "arn:aws:lambda:eu-central-1:123456789012:function:shop:$LATEST",
        ] {
            assert_eq!(function(text), Some("123456789012"), "{text}");
        }
        for text in [
            "",
            "arn:aws:lambda::123456789012:function:shop",
            "arn:aws:lambda:eu-central-1:123456789012:function:",
            "arn:aws:lambda:eu-central-1:123456789012:function:sh*p",
            "arn:aws:lambda:eu-central-1:123456789012:function:shop:7:8",
            "arn:aws:lambda:eu-central-1:123456789012:layer:shop",
        ] {
            assert_eq!(function(text), None, "{text}");
        }
    }
}
