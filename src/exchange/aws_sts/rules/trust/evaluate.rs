//! Evaluates a trust policy and says why.
//!
//! An explicit Deny wins, no Allow is a no. Every statement's mismatches are kept, because `cambio explain` prints them.

use std::{collections::BTreeMap, fmt};

use super::{Action, Effect, Key, Refusal, Statement, TrustPolicy};
use crate::exchange::aws_sts::rules::token::{Audience, Claims, Session};

/// What a request brings to the trust policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    provider_arn: String,
    actions: Vec<Action>,
    keys: BTreeMap<Key, Vec<String>>,
}

impl Context {
    /// Returns the context of a verified token at the provider with this ARN.
    ///
    /// `sts:TagSession` and `sts:SetSourceIdentity` are needed exactly when the token brings tags or a source identity.
    pub fn new(
        provider_arn: &str,
        claims: &Claims,
        audience: &Audience,
        session: &Session,
        role_session_name: &str,
    ) -> Self {
        let issuer = &claims.issuer;
        let mut keys = BTreeMap::from([
            (Key::claim(issuer, "sub"), vec![claims.subject.clone()]),
            (Key::claim(issuer, "aud"), vec![audience.matched.clone()]),
            (Key::claim(issuer, "amr"), claims.methods.clone()),
            (Key::RoleSessionName, vec![role_session_name.to_owned()]),
            (Key::TagKeys, session.tags.iter().map(|(key, _)| key.clone()).collect()),
            (Key::TransitiveTagKeys, session.transitive_keys.clone()),
        ]);
        if let Some(original) = &audience.original {
            keys.insert(Key::claim(issuer, "oaud"), vec![original.clone()]);
        }
        for (tag, value) in &session.tags {
            keys.insert(Key::request_tag(tag), vec![value.clone()]);
        }
        let mut actions = vec![Action::AssumeRoleWithWebIdentity];
        if !session.tags.is_empty() {
            actions.push(Action::TagSession);
        }
        if let Some(identity) = &session.source_identity {
            keys.insert(Key::SourceIdentity, vec![identity.clone()]);
            actions.push(Action::SetSourceIdentity);
        }
        Self {
            provider_arn: provider_arn.to_owned(),
            actions,
            keys,
        }
    }

    pub(super) fn values(&self, key: &Key) -> Option<&[String]> {
        self.keys.get(key).map(Vec::as_slice)
    }
}

/// How each needed action fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// One finding an action that the request needs.
    pub actions: Vec<ActionFinding>,
}

/// How one action fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionFinding {
    /// The action.
    pub action: Action,
    /// The decision.
    pub decision: Decision,
    /// One finding a statement, in the policy's order.
    pub statements: Vec<StatementFinding>,
}

/// The decision on one action; the number is the statement's place in the policy, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it.
    Allowed(usize),
    /// A statement forbids it.
    Denied(usize),
    /// No statement allows it.
    NotAllowed,
}

/// How one statement met the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementFinding {
    /// The statement's place in the policy, from 1.
    pub number: usize,
    /// Its `Sid`.
    pub sid: Option<String>,
    /// What it does where it applies.
    pub effect: Effect,
    /// Everything that keeps it from applying; empty if it applies.
    pub mismatches: Vec<Mismatch>,
}

/// One reason why a statement does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The statement is about other actions.
    Action {
        /// What the request needs.
        found: Action,
        /// What the statement lists.
        expected: Vec<Action>,
    },
    /// A condition does not hold.
    Condition {
        /// The operator as written.
        operator: String,
        /// The key.
        key: String,
        /// The values of the policy.
        expected: Vec<String>,
        /// The values of the request; nothing if the key is absent.
        found: Option<Vec<String>>,
    },
    /// The statement is about other providers.
    Principal {
        /// The provider the token came through.
        found: String,
        /// What the statement lists.
        expected: Vec<String>,
    },
}

impl TrustPolicy {
    /// Evaluates the policy for a request.
    pub fn evaluate(&self, context: &Context) -> Evaluation {
        let actions = context
            .actions
            .iter()
            .map(|action| self.evaluate_action(*action, context))
            .collect();
        Evaluation { actions }
    }

    fn evaluate_action(&self, action: Action, context: &Context) -> ActionFinding {
        let statements: Vec<StatementFinding> = self
            .statements
            .iter()
            .enumerate()
            .map(|(index, statement)| statement.finding(index + 1, action, context))
            .collect();
        let applying = |effect: Effect| {
            statements
                .iter()
                .find(|finding| finding.effect == effect && finding.mismatches.is_empty())
        };
        let decision = match (applying(Effect::Deny), applying(Effect::Allow)) {
            (Some(finding), _) => Decision::Denied(finding.number),
            (None, Some(finding)) => Decision::Allowed(finding.number),
            (None, None) => Decision::NotAllowed,
        };
        ActionFinding {
            action,
            decision,
            statements,
        }
    }
}

impl Statement {
    fn finding(&self, number: usize, action: Action, context: &Context) -> StatementFinding {
        let mut mismatches = Vec::new();
        if !self.providers.contains(&context.provider_arn) {
            let (found, expected) = (context.provider_arn.clone(), self.providers.clone());
            mismatches.push(Mismatch::Principal { found, expected });
        }
        if !self.actions.contains(&action) {
            mismatches.push(Mismatch::Action {
                found: action,
                expected: self.actions.clone(),
            });
        }
        mismatches.extend(
            self.conditions
                .iter()
                .filter_map(|condition| condition.mismatch(context)),
        );
        StatementFinding {
            number,
            sid: self.sid.clone(),
            effect: self.effect,
            mismatches,
        }
    }
}

impl Evaluation {
    /// Tells whether every needed action is allowed.
    pub fn is_allowed(&self) -> bool {
        self.actions
            .iter()
            .all(|finding| matches!(finding.decision, Decision::Allowed(_)))
    }

    /// Returns the cloud's answer if the policy says no; its detail holds all reasons.
    ///
    /// # Errors
    /// `AccessDenied`. Source: clouds.md 1.3.
    pub fn into_result(self) -> Result<(), Refusal> {
        if self.is_allowed() {
            Ok(())
        } else {
            Err(Refusal::not_authorized().because(self.to_string()))
        }
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.actions.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{} is ", finding.action.name())?;
            match finding.decision {
                Decision::Allowed(number) => write!(f, "allowed by statement {number}")?,
                Decision::Denied(number) => write!(f, "denied by statement {number}")?,
                Decision::NotAllowed => {
                    f.write_str("not allowed")?;
                    for statement in finding
                        .statements
                        .iter()
                        .filter(|statement| statement.effect == Effect::Allow)
                    {
                        write!(f, ": {statement}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for StatementFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement {}", self.number)?;
        if let Some(sid) = &self.sid {
            write!(f, " ({sid})")?;
        }
        for mismatch in &self.mismatches {
            write!(f, ", {mismatch}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action { found, expected } => {
                let expected: Vec<&str> = expected.iter().map(|action| action.name()).collect();
                write!(
                    f,
                    "needs `{}`, the statement lists `{}`",
                    found.name(),
                    expected.join("`, `")
                )
            }
            Self::Condition {
                operator,
                key,
                expected,
                found,
            } => {
                let found = found
                    .as_ref()
                    .map_or_else(|| "absent".to_owned(), |found| format!("`{}`", found.join("`, `")));
                write!(f, "`{key}` is {found}, {operator} expects `{}`", expected.join("`, `"))
            }
            Self::Principal { found, expected } => {
                write!(
                    f,
                    "the provider is `{found}`, the statement names `{}`",
                    expected.join("`, `")
                )
            }
        }
    }
}
