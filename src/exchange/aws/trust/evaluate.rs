//! Evaluates a trust policy and says why.
//!
//! An explicit Deny wins, no Allow is a no. Every statement's mismatches are kept, because `cambio explain` prints them.

use std::{collections::BTreeMap, fmt};

use super::{Action, Effect, Key, Principal, Refusal, Statement, TrustPolicy};

/// What a request brings to the trust policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    principal: Principal,
    actions: Vec<Action>,
    keys: BTreeMap<Key, Vec<String>>,
}

impl Context {
    /// Returns the context of a request by `principal` that needs all of `actions`.
    pub fn new(
        principal: Principal,
        actions: impl IntoIterator<Item = Action>,
        keys: impl IntoIterator<Item = (Key, Vec<String>)>,
    ) -> Self {
        Self {
            principal,
            actions: actions.into_iter().collect(),
            keys: keys.into_iter().collect(),
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
    /// The statement is about other principals.
    Principal {
        /// The provider the token came through, or the service.
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
        if !self.principals.contains(&context.principal) {
            mismatches.push(Mismatch::Principal {
                found: context.principal.to_string(),
                expected: self.principals.iter().map(ToString::to_string).collect(),
            });
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
                    "the principal is `{found}`, the statement names `{}`",
                    expected.join("`, `")
                )
            }
        }
    }
}
