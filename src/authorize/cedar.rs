//! The adapter to Cedar: the schema, a grant's conditions as a policy, and a workload as an entity.
//!
//! User values enter only through Cedar's typed constructors; policy text is never put together.

use std::{collections::BTreeSet, sync::Arc};

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId, PolicySet, Request,
    RestrictedExpression, Schema, ValidationMode, ValidationWarning, Validator, pst,
};

use crate::{
    authorize::{Basis, Wants},
    identify::{Condition, Conditions, Workload},
    spiffe::SpiffeId,
};

/// The entity types, the action and the schema of one policy generation.
#[derive(Debug)]
pub(super) struct Language {
    validator: Validator,
    workload: EntityTypeName,
    entry: EntityTypeName,
    attestor: EntityTypeName,
    relying_party: EntityTypeName,
    action: EntityUid,
    /// For each of what may be wanted, on each basis, where nobody acts for the workload.
    contexts: [Context; 4],
    /// The question that grants are asked. Their policies look at attributes only, so one serves for all.
    nameless: Request,
    nobody: EntityUid,
}

/// A few policies that are always evaluated together.
#[derive(Debug)]
pub(super) struct Slice {
    policies: PolicySet,
    /// The attributes that some policy looks at; no other has to be handed over.
    attributes: Box<[String]>,
}

/// What Cedar said of a slice.
#[derive(Debug)]
pub(super) struct Answer {
    /// The policies that decided: all satisfied permits, or all satisfied forbids if there is one.
    pub(super) reasons: Vec<PolicyId>,
    /// The first policy that could not be evaluated; Cedar itself would skip it.
    pub(super) error: Option<String>,
}

/// Something does not fit Cedar or the schema; the text is Cedar's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct CedarRefused(String);

impl CedarRefused {
    /// Something that was compiled is not there; it cannot happen, and denies if it does.
    pub(super) fn lost() -> Self {
        Self("a compiled policy is missing".to_owned())
    }

    /// Keeps what Cedar said.
    pub(super) fn of<T: std::fmt::Display>(refused: T) -> Self {
        Self(refused.to_string())
    }
}

impl Language {
    /// Makes the schema for workloads that may have `attributes`.
    pub(super) fn new(attributes: &BTreeSet<&str>) -> Result<Self, CedarRefused> {
        let action_type = entity_type("Action")?;
        let action = EntityUid::from_type_name_and_id(action_type, EntityId::new(EXCHANGE));
        let workload = entity_type(WORKLOAD)?;
        let nobody = uid(&workload, "");
        let nothing = uid(&entity_type(RELYING_PARTY)?, "");
        let nameless = Request::new(nobody.clone(), action.clone(), nothing, Context::empty(), None);
        Ok(Self {
            validator: Validator::new(schema(attributes)?),
            nameless: nameless.map_err(CedarRefused::of)?,
            nobody,
            workload,
            entry: entity_type(ENTRY)?,
            attestor: entity_type(ATTESTOR)?,
            relying_party: entity_type(RELYING_PARTY)?,
            action,
            contexts: [
                context(Wants::Credential, Basis::Presented, None)?,
                context(Wants::Credential, Basis::Resumed, None)?,
                context(Wants::Svid, Basis::Presented, None)?,
                context(Wants::Svid, Basis::Resumed, None)?,
            ],
        })
    }

    /// Refuses policies that do not fit the schema in Cedar's strict mode, or that can never apply: that is what it makes of
    /// an attribute which the schema does not have.
    pub(super) fn validate(&self, policies: &PolicySet) -> Result<(), CedarRefused> {
        let result = self.validator.validate(policies, ValidationMode::Strict);
        let impossible = |warning: &&ValidationWarning| matches!(warning, ValidationWarning::ImpossiblePolicy(_));
        let errors = result.validation_errors().map(CedarRefused::of);
        let warnings = result.validation_warnings().filter(impossible).map(CedarRefused::of);
        errors.chain(warnings).next().map_or(Ok(()), Err)
    }

    /// Refuses also whatever else Cedar warns of, such as letters that look like others.
    pub(super) fn validate_without_warnings(&self, policies: &PolicySet) -> Result<(), CedarRefused> {
        let result = self.validator.validate(policies, ValidationMode::Strict);
        let errors = result.validation_errors().map(CedarRefused::of);
        let warnings = result.validation_warnings().map(CedarRefused::of);
        errors.chain(warnings).next().map_or(Ok(()), Err)
    }

    /// Returns a relying party as Cedar knows it.
    pub(super) fn resource(&self, relying_party: &str) -> EntityUid {
        uid(&self.relying_party, relying_party)
    }

    /// Asks grants' policies, which look at nothing but the workload's attributes.
    pub(super) fn ask_grants(&self, slice: &Slice, workload: &Workload) -> Result<Answer, CedarRefused> {
        if slice.attributes.is_empty() {
            return slice.answer(&self.nameless, None);
        }
        let principal = Entity::new_with_tags(self.nobody.clone(), slice.present(workload), [], []);
        slice.answer(&self.nameless, Some(principal.map_err(CedarRefused::of)?))
    }

    /// Asks raw policies, which may look at everything.
    pub(super) fn ask_raw(&self, slice: &Slice, question: Question<'_>) -> Result<Answer, CedarRefused> {
        let workload = question.workload;
        let principal = uid(&self.workload, workload.spiffe_id().as_str());
        let parents = [
            uid(&self.entry, workload.entry().as_str()),
            uid(&self.attestor, workload.attestation().attestor().as_str()),
        ];
        let entity = Entity::new_with_tags(principal.clone(), slice.present(workload), parents, []);
        let resource = question.resource.clone();
        let context = match workload.actors().first() {
            None => self.context(question.wants, question.basis).clone(),
            Some(actor) => context(question.wants, question.basis, Some(actor))?,
        };
        let request = Request::new(principal, self.action.clone(), resource, context, None);
        slice.answer(
            &request.map_err(CedarRefused::of)?,
            Some(entity.map_err(CedarRefused::of)?),
        )
    }

    fn context(&self, wants: Wants, basis: Basis) -> &Context {
        let [presented, resumed, svid_presented, svid_resumed] = &self.contexts;
        match (wants, basis) {
            (Wants::Credential, Basis::Presented) => presented,
            (Wants::Credential, Basis::Resumed) => resumed,
            (Wants::Svid, Basis::Presented) => svid_presented,
            (Wants::Svid, Basis::Resumed) => svid_resumed,
        }
    }
}

fn context(wants: Wants, basis: Basis, actor: Option<&SpiffeId>) -> Result<Context, CedarRefused> {
    let mut members = vec![
        ("wants".to_owned(), string(wants_text(wants))),
        ("basis".to_owned(), string(basis_text(basis))),
    ];
    members.extend(actor.map(|actor| ("actor".to_owned(), string(actor.as_str()))));
    Context::from_pairs(members).map_err(CedarRefused::of)
}

/// All that a raw policy may look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) workload: &'a Workload,
    pub(super) resource: &'a EntityUid,
    pub(super) wants: Wants,
    pub(super) basis: Basis,
}

impl Slice {
    /// Makes a slice whose policies look at no other attribute than `attributes`.
    pub(super) fn new(policies: PolicySet, attributes: BTreeSet<&str>) -> Self {
        Self {
            policies,
            attributes: attributes.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Returns what the workload has of the attributes that matter.
    fn present(&self, workload: &Workload) -> impl Iterator<Item = (String, RestrictedExpression)> {
        let attributes = workload.attestation().attributes();
        self.attributes
            .iter()
            .filter_map(|name| Some((name.clone(), string(attributes.get(name)?))))
    }

    fn answer(&self, request: &Request, principal: Option<Entity>) -> Result<Answer, CedarRefused> {
        // Adding to none is a third faster than `from_entities`, which looks for cycles from scratch.
        let entities = Entities::empty()
            .add_entities(principal, None)
            .map_err(CedarRefused::of)?;
        let response = Authorizer::new().is_authorized(request, &self.policies, &entities);
        Ok(Answer {
            reasons: response.diagnostics().reason().cloned().collect(),
            error: response.diagnostics().errors().next().map(ToString::to_string),
        })
    }
}

/// Returns the policy that permits an exchange to whoever meets `conditions`.
///
/// Entry and relying party are not in its scope: the index picks policies by exactly these two, and so all grants with the
/// same conditions share one policy.
pub(super) fn permit(id: &str, conditions: &Conditions) -> Result<cedar_policy::Policy, CedarRefused> {
    let refused = CedarRefused::of::<pst::PstConstructionError>;
    let action = pst::EntityUID {
        ty: pst::EntityType(pst::Name::unqualified("Action").map_err(refused)?),
        eid: EXCHANGE.into(),
    };
    let clauses = conditions
        .iter()
        .map(|(attribute, condition)| pst::Clause::When(Arc::new(expression(attribute, condition))));
    let template = pst::Template::new(
        id,
        pst::Effect::Permit,
        pst::PrincipalConstraint::Any,
        pst::ActionConstraint::Eq(action),
        pst::ResourceConstraint::Any,
    )
    .try_with_clauses(clauses)
    .map_err(refused)?;
    let policy = pst::StaticPolicy::try_from(template).map_err(CedarRefused::of)?;
    cedar_policy::Policy::from_pst(policy.into()).map_err(refused)
}

/// `principal has "a" && principal["a"] == "x"`, or `["x", "y"].contains(principal["a"])`, or `!(principal has "a")`.
fn expression(attribute: &str, condition: &Condition) -> pst::Expr {
    let principal = Arc::new(pst::Expr::Var(pst::Var::Principal));
    let has = Arc::new(pst::Expr::HasAttr {
        expr: Arc::clone(&principal),
        attrs: (attribute.into(), Vec::new()).into(),
    });
    let literals = match condition {
        Condition::Absent => {
            return pst::Expr::UnaryOp {
                op: pst::UnaryOp::Not,
                expr: has,
            };
        }
        Condition::OneOf(literals) => literals,
    };
    let found = Arc::new(pst::Expr::GetAttr {
        expr: principal,
        attr: attribute.into(),
    });
    let mut expected: Vec<Arc<pst::Expr>> = literals
        .iter()
        .map(|value| Arc::new(pst::Expr::Literal(pst::Literal::String(value.into()))))
        .collect();
    let equal = match (expected.len(), expected.pop()) {
        (1, Some(only)) => binary(pst::BinaryOp::Eq, found, only),
        (_, last) => {
            expected.extend(last);
            binary(pst::BinaryOp::Contains, Arc::new(pst::Expr::Set(expected)), found)
        }
    };
    binary(pst::BinaryOp::And, has, Arc::new(equal))
}

fn binary(op: pst::BinaryOp, left: Arc<pst::Expr>, right: Arc<pst::Expr>) -> pst::Expr {
    pst::Expr::BinaryOp { op, left, right }
}

fn schema(attributes: &BTreeSet<&str>) -> Result<Schema, CedarRefused> {
    let text = serde_json::json!({ "type": "String" });
    let optional = serde_json::json!({ "type": "String", "required": false });
    let shape: serde_json::Map<String, serde_json::Value> = attributes
        .iter()
        .map(|name| ((*name).to_owned(), optional.clone()))
        .collect();
    let schema = serde_json::json!({ "": {
        "entityTypes": {
            ATTESTOR: {},
            ENTRY: {},
            RELYING_PARTY: {},
            WORKLOAD: {
                "memberOfTypes": [ATTESTOR, ENTRY],
                "shape": { "type": "Record", "attributes": shape },
            },
        },
        "actions": {
            EXCHANGE: { "appliesTo": {
                "principalTypes": [WORKLOAD],
                "resourceTypes": [RELYING_PARTY],
                "context": { "type": "Record", "attributes": { "actor": optional, "basis": text, "wants": text } },
            } },
        },
    } });
    Schema::from_json_value(schema).map_err(CedarRefused::of)
}

/// The entity types that raw policies may name.
pub(super) const WORKLOAD: &str = "Workload";
pub(super) const ENTRY: &str = "Entry";
pub(super) const ATTESTOR: &str = "Attestor";
pub(super) const RELYING_PARTY: &str = "RelyingParty";
/// What the context holds.
pub(super) const CONTEXT: [&str; 3] = ["actor", "basis", "wants"];
/// The one action.
const EXCHANGE: &str = "exchange";

/// What `context.wants` says.
fn wants_text(wants: Wants) -> &'static str {
    match wants {
        Wants::Credential => "credential",
        Wants::Svid => "svid",
    }
}

/// What `context.basis` says.
fn basis_text(basis: Basis) -> &'static str {
    match basis {
        Basis::Presented => "presented",
        Basis::Resumed => "resumed",
    }
}

fn entity_type(name: &str) -> Result<EntityTypeName, CedarRefused> {
    name.parse().map_err(CedarRefused::of::<cedar_policy::ParseErrors>)
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::sample::conditions;

    fn validated(stated: &[(&str, &[&str])]) -> Result<(), CedarRefused> {
        let language = Language::new(&BTreeSet::from(["ci.ref", "ci.event"])).unwrap();
        let policy = permit("p", &conditions(stated)).unwrap();
        language.validate(&PolicySet::from_policies([policy]).unwrap())
    }

    #[test]
    fn every_form_of_a_condition_fits_the_schema() {
        assert_eq!(validated(&[]), Ok(()));
        assert_eq!(validated(&[("ci.ref", &["a"]), ("ci.event", &["b", "c"])]), Ok(()));
        assert_eq!(validated(&[("ci.ref", &[])]), Ok(()));
    }

    #[test]
    fn a_condition_on_an_attribute_outside_of_the_schema_is_refused() {
        assert!(validated(&[("ci.refs", &["a"])]).is_err());
        assert!(validated(&[("ci.ref", &["a"]), ("ci.events", &["b", "c"])]).is_err());
    }

    #[test]
    fn a_grants_policy_is_what_a_person_would_write() {
        let stated = conditions(&[
            ("ci.environment", &[]),
            ("ci.event", &["a\"", "b"]),
            ("ci.ref", &["main"]),
        ]);

        let text = permit("p", &stated).unwrap().to_cedar().unwrap();

        insta::assert_snapshot!(text);
    }
}
