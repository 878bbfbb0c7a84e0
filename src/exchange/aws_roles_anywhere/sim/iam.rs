//! What the account has of IAM and STS: roles as Terraform makes them, and GetCallerIdentity for credentials issued here.
//!
//! Roles hold no permissions, and an operation that is not here is refused.

use std::time::Duration;

use axum::http::request::Parts;

use super::{Role, RolesAnywhereSim};
use crate::{
    clock,
    exchange::aws::{
        Code, Refusal,
        sim::{form::Form, identity, xml::Xml},
        trust::TrustPolicy,
    },
};

/// The namespace of IAM's answers [D botocore iam].
const IAM: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// Answers one request in the Query protocol.
pub(super) fn answer(sim: &RolesAnywhereSim, parts: &Parts, body: &[u8], request_id: &str) -> Result<String, Refusal> {
    let form = Form::parse(body)?;
    let issued = |id: &str| sim.issued(id);
    let now = sim.clock.now();
    match (form.get("Action"), form.get("Version")) {
        (Some("GetCallerIdentity"), Some("2011-06-15")) => {
            let result = identity::answer(issued, now, (parts, body))?;
            Ok(Xml::answer("GetCallerIdentity", &result, request_id))
        }
        (Some(action), Some("2010-05-08")) => {
            let caller = identity::caller("iam", issued, now, (parts, body))?;
            if caller.access_key_id != sim.administrator.access_key_id {
                let text = format!(
                    "User: {} is not authorized to perform: iam:{action}",
                    caller.assumed_role_arn
                );
                return Err(Refusal::unverified(Code::AccessDenied, text));
            }
            let result = iam(sim, action, &form)?;
            Ok(Xml::answer_in(IAM, (action, &result), request_id))
        }
        (action, version) => Err(unknown(action, version)),
    }
}

fn iam(sim: &RolesAnywhereSim, action: &str, form: &Form) -> Result<Vec<Xml>, Refusal> {
    let name = required(form, "RoleName")?;
    let path = form.get("Path").unwrap_or("/");
    let arn = format!("arn:aws:iam::{}:role{path}{name}", sim.place.account);
    match action {
        "CreateRole" => {
            let seconds = form.integer("MaxSessionDuration")?.unwrap_or(3600);
            let longest = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            sim.create_role(&arn, required(form, "AssumeRolePolicyDocument")?, longest)?;
            if let Some(role) = sim.lock().roles.get_mut(&arn) {
                form.get("Description")
                    .unwrap_or_default()
                    .clone_into(&mut role.description);
            }
            described(sim, &arn, name)
        }
        "GetRole" => described(sim, &arn, name),
        "UpdateAssumeRolePolicy" => {
            let policy = required(form, "PolicyDocument")?;
            let trust = TrustPolicy::parse(policy)?;
            change(sim, (&arn, name), |role| {
                role.trust = trust;
                policy.clone_into(&mut role.policy);
            })
        }
        "UpdateRole" => {
            let seconds = form.integer("MaxSessionDuration")?;
            let longest = seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map(Duration::from_secs);
            change(sim, (&arn, name), |role| {
                role.max_session_duration = longest.unwrap_or(role.max_session_duration);
            })
        }
        "DeleteRole" => match sim.lock().roles.remove(&arn) {
            Some(_role) => Ok(Vec::new()),
            None => Err(missing(name)),
        },
        "ListRolePolicies" => listed(sim, (&arn, name), "PolicyNames"),
        "ListAttachedRolePolicies" => listed(sim, (&arn, name), "AttachedPolicies"),
        "ListInstanceProfilesForRole" => listed(sim, (&arn, name), "InstanceProfiles"),
        "ListRoleTags" => listed(sim, (&arn, name), "Tags"),
        other => Err(unknown(Some(other), Some("2010-05-08"))),
    }
}

fn change(
    sim: &RolesAnywhereSim,
    (arn, name): (&str, &str),
    change: impl FnOnce(&mut Role),
) -> Result<Vec<Xml>, Refusal> {
    let mut state = sim.lock();
    change(state.roles.get_mut(arn).ok_or_else(|| missing(name))?);
    Ok(Vec::new())
}

/// Lists nothing: roles hold no policies, profiles or tags here.
fn listed(sim: &RolesAnywhereSim, (arn, name): (&str, &str), what: &str) -> Result<Vec<Xml>, Refusal> {
    if !sim.lock().roles.contains_key(arn) {
        return Err(missing(name));
    }
    Ok(vec![Xml::parent(what, &[]), Xml::text("IsTruncated", "false")])
}

fn described(sim: &RolesAnywhereSim, arn: &str, name: &str) -> Result<Vec<Xml>, Refusal> {
    let state = sim.lock();
    let role = state.roles.get(arn).ok_or_else(|| missing(name))?;
    let path = arn
        .split_once(":role")
        .and_then(|(_, rest)| rest.strip_suffix(name))
        .unwrap_or("/");
    let policy: String = url::form_urlencoded::byte_serialize(role.policy.as_bytes()).collect();
    let members = [
        Xml::text("Path", path),
        Xml::text("RoleName", name),
        Xml::text("RoleId", &role.id),
        Xml::text("Arn", arn),
        Xml::text("CreateDate", &clock::rfc3339(role.created)),
        // As IAM does, percent-encoded; a space is %20 there [D RFC 3986 in the API reference].
        Xml::text("AssumeRolePolicyDocument", &policy.replace('+', "%20")),
        Xml::text("Description", &role.description),
        Xml::text("MaxSessionDuration", &role.max_session_duration.as_secs().to_string()),
    ];
    Ok(vec![Xml::parent("Role", &members)])
}

fn required<'a>(form: &'a Form, name: &str) -> Result<&'a str, Refusal> {
    form.get(name).ok_or_else(|| {
        let text = format!(
            "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
        );
        Refusal::known(Code::ValidationError, text)
    })
}

fn missing(name: &str) -> Refusal {
    Refusal::unverified(
        Code::NoSuchEntity,
        format!("The role with name {name} cannot be found."),
    )
}

fn unknown(action: Option<&str>, version: Option<&str>) -> Refusal {
    let text = format!(
        "Could not find operation {} for version {}",
        action.unwrap_or("null"),
        version.unwrap_or("null")
    );
    Refusal::unverified(Code::InvalidAction, text)
}
