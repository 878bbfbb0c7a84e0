//! One condition of a trust policy: operator, key, expected values.
//!
//! Operators and keys that are not listed here are refused, not skipped. Semantics of absent keys, negation and set
//! operators: IAM guide, "Condition operators" and "Single-valued vs. multivalued context keys" `[D]`.

use std::fmt;

use serde_json::Value;

use super::{Context, Principal, Refusal, evaluate::Mismatch, malformed, strings};

/// A condition on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    written: String,
    operator: Operator,
    key: Key,
    expected: Vec<String>,
}

/// A context key that a trust policy may use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// `<issuer without scheme>:<claim>`; the claim is one of `amr`, `aud`, `oaud`, `sub`.
    Claim(String, String),
    /// `aws:PrincipalTag/<key>`, of Roles Anywhere.
    PrincipalTag(String),
    /// `aws:RequestTag/<key>`, of a web identity.
    RequestTag(String),
    /// `sts:RoleSessionName`.
    RoleSessionName,
    /// `aws:SourceAccount`, of Roles Anywhere: the trust anchor's account.
    SourceAccount,
    /// `aws:SourceArn`, of Roles Anywhere: the trust anchor.
    SourceArn,
    /// `sts:SourceIdentity`.
    SourceIdentity,
    /// `aws:TagKeys`, of several values.
    TagKeys,
    /// `sts:TransitiveTagKeys`, of several values.
    TransitiveTagKeys,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    Null,
    Text {
        comparison: Comparison,
        negated: bool,
        set: Set,
        if_absent: IfAbsent,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Arn,
    Equals,
    EqualsIgnoreCase,
    Like,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    AllValues,
    AnyValue,
    Single,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IfAbsent {
    ByOperator,
    Holds,
}

/// Reads a `Condition` block; `principals` are the statement's, which decide what keys there are.
pub(super) fn parse_block(block: &Value, principals: &[Principal]) -> Result<Vec<Condition>, Refusal> {
    let operators = block
        .as_object()
        .ok_or_else(|| malformed(format!("`Condition` is {block}")))?;
    let mut conditions = Vec::new();
    for (written, keys) in operators {
        let operator = Operator::parse(written)?;
        let keys = keys
            .as_object()
            .ok_or_else(|| malformed(format!("`{written}` is {keys}, expected an object")))?;
        for (name, values) in keys {
            let key = Key::parse(name, principals)?;
            let expected = operator.expected(written, values)?;
            operator.check_key(written, &key)?;
            conditions.push(Condition {
                written: written.clone(),
                operator: operator.clone(),
                key,
                expected,
            });
        }
    }
    Ok(conditions)
}

impl Condition {
    /// Returns what keeps the condition from holding, or nothing.
    pub(super) fn mismatch(&self, context: &Context) -> Option<Mismatch> {
        let found = context.values(&self.key);
        if self.operator.holds(&self.expected, found) {
            return None;
        }
        Some(Mismatch::Condition {
            operator: self.written.clone(),
            key: self.key.to_string(),
            expected: self.expected.clone(),
            found: found.map(<[String]>::to_vec),
        })
    }
}

impl Key {
    fn parse(name: &str, principals: &[Principal]) -> Result<Self, Refusal> {
        // Names of condition keys do not distinguish case [D IAM-guide].
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "sts:rolesessionname" => return Ok(Self::RoleSessionName),
            "sts:sourceidentity" => return Ok(Self::SourceIdentity),
            _ => {}
        }
        let issuers: Vec<&str> = principals
            .iter()
            .filter_map(|principal| match principal {
                Principal::Provider(arn) => Some(arn.split_once(":oidc-provider/")?.1),
                Principal::RolesAnywhere => None,
            })
            .collect();
        if issuers.is_empty() {
            Self::of_roles_anywhere(name, &lower)
        } else {
            Self::of_web_identity(name, &lower, &issuers)
        }
    }

    fn of_web_identity(name: &str, lower: &str, issuers: &[&str]) -> Result<Self, Refusal> {
        if let Some(tag) = lower.strip_prefix("aws:requesttag/").filter(|tag| !tag.is_empty()) {
            return Ok(Self::RequestTag(tag.to_owned()));
        }
        match lower {
            "aws:tagkeys" => return Ok(Self::TagKeys),
            "sts:transitivetagkeys" => return Ok(Self::TransitiveTagKeys),
            _ => {}
        }
        if let Some((issuer, claim @ ("amr" | "aud" | "oaud" | "sub"))) = lower.rsplit_once(':')
            && issuers.iter().any(|url| url.eq_ignore_ascii_case(issuer))
        {
            return Ok(Self::Claim(issuer.to_owned(), claim.to_owned()));
        }
        Err(malformed(format!(
            "condition key `{name}` is not supported, expected `<issuer of the statement's provider>:sub|aud|amr|oaud`, \
             `aws:RequestTag/<key>`, `aws:TagKeys`, `sts:TransitiveTagKeys`, `sts:SourceIdentity` or \
             `sts:RoleSessionName`"
        )))
    }

    /// Source: clouds.md 2.2 [D RA-guide].
    fn of_roles_anywhere(name: &str, lower: &str) -> Result<Self, Refusal> {
        if let Some(tag) = lower.strip_prefix("aws:principaltag/").filter(|tag| !tag.is_empty()) {
            return Ok(Self::PrincipalTag(tag.to_owned()));
        }
        match lower {
            "aws:sourceaccount" => Ok(Self::SourceAccount),
            "aws:sourcearn" => Ok(Self::SourceArn),
            _ => Err(malformed(format!(
                "condition key `{name}` is not supported, expected `aws:PrincipalTag/<key>`, `aws:SourceArn`, \
                 `aws:SourceAccount`, `sts:SourceIdentity` or `sts:RoleSessionName`"
            ))),
        }
    }

    /// Returns the key `<issuer without scheme>:<claim>`.
    pub fn claim(issuer: &str, claim: &str) -> Self {
        let url = issuer.strip_prefix("https://").unwrap_or(issuer);
        Self::Claim(url.to_ascii_lowercase(), claim.to_owned())
    }

    /// Returns the key of a session tag that a web identity asks for.
    pub fn request_tag(tag: &str) -> Self {
        Self::RequestTag(tag.to_ascii_lowercase())
    }

    /// Returns the key of a tag that Roles Anywhere made of a certificate's field.
    pub fn principal_tag(tag: &str) -> Self {
        Self::PrincipalTag(tag.to_ascii_lowercase())
    }

    fn is_multivalued(&self) -> bool {
        match self {
            Self::TagKeys | Self::TransitiveTagKeys => true,
            Self::Claim(_, claim) => claim == "amr",
            Self::PrincipalTag(_)
            | Self::RequestTag(_)
            | Self::RoleSessionName
            | Self::SourceAccount
            | Self::SourceArn
            | Self::SourceIdentity => false,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(issuer, claim) => write!(f, "{issuer}:{claim}"),
            Self::PrincipalTag(tag) => write!(f, "aws:PrincipalTag/{tag}"),
            Self::RequestTag(tag) => write!(f, "aws:RequestTag/{tag}"),
            Self::RoleSessionName => f.write_str("sts:RoleSessionName"),
            Self::SourceAccount => f.write_str("aws:SourceAccount"),
            Self::SourceArn => f.write_str("aws:SourceArn"),
            Self::SourceIdentity => f.write_str("sts:SourceIdentity"),
            Self::TagKeys => f.write_str("aws:TagKeys"),
            Self::TransitiveTagKeys => f.write_str("sts:TransitiveTagKeys"),
        }
    }
}

impl Operator {
    fn parse(written: &str) -> Result<Self, Refusal> {
        if written == "Null" {
            return Ok(Self::Null);
        }
        let (set, rest) = match written.split_once(':') {
            None => (Set::Single, written),
            Some(("ForAllValues", rest)) => (Set::AllValues, rest),
            Some(("ForAnyValue", rest)) => (Set::AnyValue, rest),
            Some(_) => (Set::Single, ""),
        };
        let (name, if_absent) = rest
            .strip_suffix("IfExists")
            .map_or((rest, IfAbsent::ByOperator), |name| (name, IfAbsent::Holds));
        let (comparison, negated) = match name {
            // The two behave identically [D IAM-guide].
            "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
            "StringEquals" => (Comparison::Equals, false),
            "StringEqualsIgnoreCase" => (Comparison::EqualsIgnoreCase, false),
            "StringLike" => (Comparison::Like, false),
            "StringNotEquals" => (Comparison::Equals, true),
            "StringNotEqualsIgnoreCase" => (Comparison::EqualsIgnoreCase, true),
            "StringNotLike" => (Comparison::Like, true),
            _ => {
                return Err(malformed(format!(
                    "condition operator `{written}` is not supported, expected StringEquals, StringLike, \
                     StringEqualsIgnoreCase, ArnEquals, ArnLike, their Not forms, IfExists, ForAnyValue:, \
                     ForAllValues: or Null"
                )));
            }
        };
        Ok(Self::Text {
            comparison,
            negated,
            set,
            if_absent,
        })
    }

    fn expected(&self, written: &str, values: &Value) -> Result<Vec<String>, Refusal> {
        let expected = match (self, values) {
            (Self::Null, Value::Bool(flag)) => vec![flag.to_string()],
            _ => strings(Some(values), written)?,
        };
        match self {
            Self::Null => {
                if !matches!(expected.as_slice(), [flag] if flag == "true" || flag == "false") {
                    return Err(malformed(format!("`Null` is {values}, expected `true` or `false`")));
                }
            }
            Self::Text { .. } => {
                if let Some(variable) = expected.iter().find(|value| value.contains("${")) {
                    return Err(malformed(format!(
                        "`{variable}` holds a policy variable, which is not supported"
                    )));
                }
            }
        }
        Ok(expected)
    }

    fn check_key(&self, written: &str, key: &Key) -> Result<(), Refusal> {
        match self {
            Self::Text { set: Set::Single, .. } if key.is_multivalued() => Err(malformed(format!(
                "`{written}` is used on `{key}`, which has several values; expected ForAnyValue: or ForAllValues:"
            ))),
            Self::Text {
                comparison: Comparison::Arn,
                ..
            } if *key != Key::SourceArn => Err(malformed(format!(
                "`{written}` is used on `{key}`, which is no ARN; expected a string operator"
            ))),
            Self::Null | Self::Text { .. } => Ok(()),
        }
    }

    fn holds(&self, expected: &[String], found: Option<&[String]>) -> bool {
        let found = found.filter(|values| !values.is_empty());
        match self {
            Self::Null => expected.iter().any(|flag| (flag == "true") == found.is_none()),
            Self::Text {
                comparison,
                negated,
                set,
                if_absent,
            } => {
                let Some(found) = found else {
                    return match (if_absent, set) {
                        (IfAbsent::Holds, _) | (IfAbsent::ByOperator, Set::AllValues) => true,
                        (IfAbsent::ByOperator, Set::AnyValue) => false,
                        (IfAbsent::ByOperator, Set::Single) => *negated,
                    };
                };
                let matches =
                    |value: &String| expected.iter().any(|pattern| comparison.test(pattern, value)) != *negated;
                match set {
                    Set::AllValues | Set::Single => found.iter().all(matches),
                    Set::AnyValue => found.iter().any(matches),
                }
            }
        }
    }
}

impl Comparison {
    fn test(self, expected: &str, found: &str) -> bool {
        match self {
            Self::Arn => arn_like(expected, found),
            Self::Equals => expected == found,
            Self::EqualsIgnoreCase => expected.to_lowercase() == found.to_lowercase(),
            Self::Like => like(expected, found),
        }
    }
}

/// Matches each of the six parts of an ARN by itself, so that a `*` never reaches over a colon [D IAM-guide].
fn arn_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<&str>, Vec<&str>) = (pattern.splitn(6, ':').collect(), text.splitn(6, ':').collect());
    pattern.len() == 6 && text.len() == 6 && pattern.iter().zip(text).all(|(pattern, text)| like(pattern, text))
}

/// Matches `*` against any run and `?` against one character; linear memory, no recursion.
fn like(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut from) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(character) = text.get(at) {
        match pattern.get(from) {
            Some('*') => {
                last_star = Some((from, at));
                from += 1;
            }
            Some('?') => (at, from) = (at + 1, from + 1),
            Some(same) if same == character => (at, from) = (at + 1, from + 1),
            _ => {
                let Some((star, start)) = last_star else { return false };
                last_star = Some((star, start + 1));
                (at, from) = (start + 1, star + 1);
            }
        }
    }
    pattern.iter().skip(from).all(|rest| *rest == '*')
}
