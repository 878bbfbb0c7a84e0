//! IAM trust policies for web identities and for Roles Anywhere: parsed strictly here, evaluated in `evaluate`.
//!
//! What this evaluator does not support (an operator, a key, a principal, a variable) is refused when a policy is read;
//! it never ignores anything. Source where no other stands: clouds.md 1.4 and 2.2 [D IAM-guide, RA-guide].

mod condition;
mod evaluate;

use std::fmt;

use serde_json::{Map, Value};

pub use condition::{Condition, Key};
pub use evaluate::{ActionFinding, Context, Decision, Evaluation, Mismatch, StatementFinding};

use super::{Code, Refusal, arn, strict_json};

/// Characters without white space of a role's trust policy, by default quota `[M]`.
pub const POLICY_CHARACTERS: usize = 2048;

/// A trust policy that this evaluator understands completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustPolicy {
    statements: Vec<Statement>,
}

/// One statement of a trust policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    sid: Option<String>,
    effect: Effect,
    principals: Vec<Principal>,
    actions: Vec<Action>,
    conditions: Vec<Condition>,
}

/// What a statement does where it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Lets pass.
    Allow,
    /// Forbids, whatever else allows.
    Deny,
}

/// Who asks, as a statement names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// `Federated`: the ARN of an OIDC provider.
    Provider(String),
    /// `Service`: Roles Anywhere.
    RolesAnywhere,
}

/// The service principal of Roles Anywhere. Source: clouds.md 2.2 [D RA-guide].
const ROLES_ANYWHERE: &str = "rolesanywhere.amazonaws.com";

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Provider(arn) => arn,
            Self::RolesAnywhere => ROLES_ANYWHERE,
        })
    }
}

/// An action that a trust policy can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `sts:AssumeRole`, needed by Roles Anywhere.
    AssumeRole,
    /// `sts:AssumeRoleWithWebIdentity`, needed by a web identity.
    AssumeRoleWithWebIdentity,
    /// `sts:SetSourceIdentity`, needed for a source identity.
    SetSourceIdentity,
    /// `sts:TagSession`, needed for session tags.
    TagSession,
}

impl Action {
    /// The actions that a principal of this kind can be allowed or denied.
    fn of(principal: &Principal) -> [Self; 3] {
        let first = match principal {
            Principal::Provider(_) => Self::AssumeRoleWithWebIdentity,
            Principal::RolesAnywhere => Self::AssumeRole,
        };
        [first, Self::SetSourceIdentity, Self::TagSession]
    }

    /// Returns the action's name in a policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::AssumeRole => "sts:AssumeRole",
            Self::AssumeRoleWithWebIdentity => "sts:AssumeRoleWithWebIdentity",
            Self::SetSourceIdentity => "sts:SetSourceIdentity",
            Self::TagSession => "sts:TagSession",
        }
    }
}

impl TrustPolicy {
    /// Reads a policy document.
    ///
    /// # Errors
    /// `MalformedPolicyDocument` for what IAM or this evaluator does not take, `LimitExceeded` for one that is too long;
    /// texts are `[M]`.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let length = text.chars().filter(|character| !character.is_whitespace()).count();
        if length > POLICY_CHARACTERS {
            let text = format!("Cannot exceed quota for ACLSizePerRole: {POLICY_CHARACTERS}");
            return Err(Refusal::unverified(Code::LimitExceeded, text)
                .because(format!("the policy has {length} characters without white space")));
        }
        let document = strict_json::parse(text).map_err(|why| malformed(format!("the policy is not JSON: {why}")))?;
        let document = object(&document, "the policy", &["Id", "Statement", "Version"])?;
        match document.get("Version").map(Value::as_str) {
            Some(Some("2012-10-17" | "2008-10-17")) => {}
            found => return Err(malformed(format!("`Version` is {found:?}, expected `2012-10-17`"))),
        }
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().map(Statement::parse).collect::<Result<_, _>>()?,
            Some(single @ Value::Object(_)) => vec![Statement::parse(single)?],
            found => {
                return Err(malformed(format!(
                    "`Statement` is {found:?}, expected an object or a list"
                )));
            }
        };
        let policy = Self { statements };
        policy.check_sids()?;
        Ok(policy)
    }

    fn check_sids(&self) -> Result<(), Refusal> {
        let mut sids: Vec<&str> = self
            .statements
            .iter()
            .filter_map(|statement| statement.sid.as_deref())
            .collect();
        let count = sids.len();
        sids.sort_unstable();
        sids.dedup();
        if self.statements.is_empty() || sids.len() < count {
            return Err(malformed(
                "the policy has no statement, or two of the same `Sid`".to_owned(),
            ));
        }
        Ok(())
    }

    /// Returns the ARNs of all OIDC providers that some statement names.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.statements
            .iter()
            .flat_map(|statement| &statement.principals)
            .filter_map(|principal| match principal {
                Principal::Provider(arn) => Some(arn.as_str()),
                Principal::RolesAnywhere => None,
            })
    }
}

impl Statement {
    fn parse(value: &Value) -> Result<Self, Refusal> {
        let members = object(
            value,
            "a statement",
            &["Action", "Condition", "Effect", "Principal", "Sid"],
        )?;
        let sid = match members.get("Sid") {
            None => None,
            Some(Value::String(sid)) if sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Some(sid.clone()),
            Some(other) => return Err(malformed(format!("`Sid` is {other}, expected letters and digits"))),
        };
        let effect = match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            found => return Err(malformed(format!("`Effect` is {found:?}, expected `Allow` or `Deny`"))),
        };
        let principals = principals(members.get("Principal"))?;
        let names = strings(members.get("Action"), "Action")?;
        let actions = names
            .iter()
            .map(|name| action(name, &principals))
            .collect::<Result<_, _>>()?;
        let conditions = match members.get("Condition") {
            None => Vec::new(),
            Some(block) => condition::parse_block(block, &principals)?,
        };
        Ok(Self {
            sid,
            effect,
            principals,
            actions,
            conditions,
        })
    }
}

fn principals(principal: Option<&Value>) -> Result<Vec<Principal>, Refusal> {
    let principal = principal.ok_or_else(|| malformed("a statement has no `Principal`".to_owned()))?;
    let principal = object(principal, "`Principal`", &["Federated", "Service"])?;
    let providers = listed(principal, "Federated")?;
    let services = listed(principal, "Service")?;
    // The keys of one kind of caller mean nothing for the other; nobody writes one statement for both.
    match (providers.as_slice(), services.as_slice()) {
        (&[_, ..], []) => providers.into_iter().map(provider).collect(),
        ([], &[_, ..]) => services.into_iter().map(|name| service(&name)).collect(),
        (_, _) => Err(malformed(format!(
            "`Principal` names {} providers and {} services, expected only `Federated` or only `Service`",
            providers.len(),
            services.len()
        ))),
    }
}

fn listed(principal: &Map<String, Value>, kind: &str) -> Result<Vec<String>, Refusal> {
    match principal.get(kind) {
        None => Ok(Vec::new()),
        Some(names) => strings(Some(names), &format!("Principal.{kind}")),
    }
}

fn provider(arn: String) -> Result<Principal, Refusal> {
    let is_provider = arn
        .strip_prefix("arn:aws")
        .and_then(|rest| rest.split_once(":iam::"))
        .and_then(|(_partition, rest)| rest.split_once(":oidc-provider/"))
        .is_some_and(|(account, url)| arn::is_account(account) && !url.is_empty());
    if is_provider {
        return Ok(Principal::Provider(arn));
    }
    Err(malformed(format!(
        "`Principal.Federated` is `{arn}`, expected `arn:<partition>:iam::<account>:oidc-provider/<url>`"
    )))
}

fn service(name: &str) -> Result<Principal, Refusal> {
    if name == ROLES_ANYWHERE {
        return Ok(Principal::RolesAnywhere);
    }
    Err(malformed(format!(
        "`Principal.Service` is `{name}`, which is not supported, expected `{ROLES_ANYWHERE}`"
    )))
}

fn action(name: &str, principals: &[Principal]) -> Result<Action, Refusal> {
    // All are of one kind.
    let known: Vec<Action> = principals.iter().take(1).flat_map(Action::of).collect();
    known
        .iter()
        .find(|action| action.name().eq_ignore_ascii_case(name))
        .copied()
        .ok_or_else(|| {
            let known: Vec<&str> = known.iter().map(|action| action.name()).collect();
            malformed(format!("`Action` is `{name}`, expected `{}`", known.join("`, `")))
        })
}

fn object<'a>(value: &'a Value, what: &str, known: &[&str]) -> Result<&'a Map<String, Value>, Refusal> {
    let members = value
        .as_object()
        .ok_or_else(|| malformed(format!("{what} is {value}, expected an object")))?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(other) => Err(malformed(format!(
            "{what} holds `{other}`, expected `{}`",
            known.join("`, `")
        ))),
        None => Ok(members),
    }
}

fn strings(value: Option<&Value>, what: &str) -> Result<Vec<String>, Refusal> {
    let found = match value {
        Some(Value::String(single)) => vec![single.clone()],
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let count = value.and_then(Value::as_array).map_or(found.len(), Vec::len);
    if found.is_empty() || found.len() < count {
        return Err(malformed(format!(
            "`{what}` is {value:?}, expected a string or a list of strings"
        )));
    }
    Ok(found)
}

fn malformed(detail: String) -> Refusal {
    Refusal::unverified(
        Code::MalformedPolicyDocument,
        "This policy contains invalid Json or an unsupported element.",
    )
    .because(detail)
}
