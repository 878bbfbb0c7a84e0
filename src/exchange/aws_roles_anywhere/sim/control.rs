//! The control plane: what Terraform and the AWS CLI call to create, read, change and delete what stands in the account.
//!
//! Only the administrator's signature is let in. An operation that is not here is refused, never ignored.

use std::collections::BTreeMap;

use axum::http::{StatusCode, request::Parts};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    NewCrl, NewProfile, NewTrustAnchor, RolesAnywhereSim,
    anchor::{Change, Enabled},
    detail, not_found,
};
use crate::exchange::{
    aws::sim::identity,
    aws_roles_anywhere::rules::{
        Code, Refusal, limits,
        mapping::{Field, Mappings},
        resource::Kind,
    },
};

type Answer = Result<(StatusCode, Value), Refusal>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tag {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Source {
    source_type: Option<String>,
    source_data: Option<SourceData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SourceData {
    x509_certificate_data: Option<String>,
}

/// The members of all requests about trust anchors, profiles and lists; an update leaves out what it leaves as it is.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Body {
    name: Option<String>,
    source: Option<Source>,
    enabled: Option<bool>,
    tags: Vec<Tag>,
    role_arns: Option<Vec<String>>,
    duration_seconds: Option<i64>,
    accept_role_session_name: Option<bool>,
    require_instance_properties: Option<bool>,
    session_policy: Option<String>,
    managed_policy_arns: Option<Vec<String>>,
    crl_data: Option<String>,
    trust_anchor_arn: Option<String>,
    resource_arn: Option<String>,
    tag_keys: Vec<String>,
    certificate_field: Option<String>,
    mapping_rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    specifier: String,
}

/// Answers one signed request.
pub(super) fn answer(sim: &RolesAnywhereSim, parts: &Parts, body: &[u8]) -> Answer {
    let caller = identity::caller("rolesanywhere", |id| sim.issued(id), sim.clock.now(), (parts, body))
        .map_err(|why| Refusal::unverified(Code::AccessDenied, why.message).because(why.detail.unwrap_or_default()))?;
    if caller.access_key_id != sim.administrator.access_key_id {
        return Err(Refusal::unverified(
            Code::AccessDenied,
            format!(
                "User: {} is not authorized to perform this operation",
                caller.assumed_role_arn
            ),
        ));
    }
    let body: Body = match body {
        [] => Body::default(),
        filled => serde_json::from_slice(filled).map_err(|why| Refusal::malformed(format!("the body: {why}")))?,
    };
    let path: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
    let ok = |value: Value| Ok((StatusCode::OK, value));
    let created = |value: Value| Ok((StatusCode::CREATED, value));
    match (parts.method.as_str(), path.as_slice()) {
        ("POST", ["trustanchors"]) => created(json!({ "trustAnchor": create_anchor(sim, body)? })),
        ("GET", ["trustanchors"]) => ok(json!({ "trustAnchors": sim.all_anchors() })),
        ("GET", ["trustanchor", id]) => ok(json!({ "trustAnchor": sim.anchor(id)? })),
        ("PATCH", ["trustanchor", id]) => ok(json!({ "trustAnchor": update_anchor(sim, id, body)? })),
        ("POST", ["profiles"]) => created(json!({ "profile": create_profile(sim, body)? })),
        ("GET", ["profiles"]) => ok(json!({ "profiles": sim.all_profiles() })),
        ("GET", ["profile", id]) => ok(json!({ "profile": sim.profile(id)? })),
        ("PATCH", ["profile", id]) => ok(json!({ "profile": update_profile(sim, id, body)? })),
        ("PUT", ["profiles", id, "mappings"]) => ok(json!({ "profile": put_mapping(sim, id, body)? })),
        ("DELETE", ["profiles", id, "mappings"]) => ok(json!({ "profile": delete_mapping(sim, id, parts)? })),
        ("POST", ["crls"]) => created(json!({ "crl": import_crl(sim, body)? })),
        ("GET", ["crls"]) => ok(json!({ "crls": sim.all_crls() })),
        ("GET", ["crl", id]) => ok(json!({ "crl": sim.crl(id)? })),
        ("PATCH", ["crl", id]) => ok(json!({ "crl": update_crl(sim, id, body)? })),
        ("DELETE", [kind @ ("crl" | "profile" | "trustanchor"), id]) => ok(delete(sim, kind, id)?),
        (
            "POST",
            [
                kind @ ("crl" | "profile" | "trustanchor"),
                id,
                switch @ ("enable" | "disable"),
            ],
        ) => ok(enable(sim, (kind, id), switch)?),
        ("POST", ["TagResource"]) => created(tag(sim, body)?),
        ("POST", ["UntagResource"]) => ok(untag(sim, body)?),
        ("GET", ["ListTagsForResource"]) => ok(json!({ "tags": sim.tags(&query(parts, "resourceArn")?) })),
        (method, _) => Err(Refusal::unverified(
            Code::ResourceNotFound,
            format!("{method} {} is not supported by this simulator", parts.uri.path()),
        )),
    }
}

fn query(parts: &Parts, name: &str) -> Result<String, Refusal> {
    let query = parts.uri.query().unwrap_or_default();
    let found = url::form_urlencoded::parse(query.as_bytes()).find(|(found, _)| found == name);
    found.map(|(_, value)| value.into_owned()).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Refusal {
    Refusal::constraint(&format!("Value null at '{name}'"), "Member must not be null")
}

fn bundle(source: Option<Source>) -> Result<Option<String>, Refusal> {
    let Some(source) = source else { return Ok(None) };
    match source.source_type.as_deref() {
        Some("CERTIFICATE_BUNDLE") => {}
        found => {
            return Err(Refusal::malformed(format!(
                "the source is {found:?}; this simulator supports `CERTIFICATE_BUNDLE`"
            )));
        }
    }
    let data = source.source_data.and_then(|data| data.x509_certificate_data);
    data.map(Some).ok_or_else(|| missing("x509CertificateData"))
}

fn create_anchor(sim: &RolesAnywhereSim, body: Body) -> Result<Value, Refusal> {
    let tags = checked_tags(&body.tags)?;
    let arn = sim.create_trust_anchor(NewTrustAnchor {
        name: body.name.ok_or_else(|| missing("name"))?,
        bundle: bundle(body.source)?.ok_or_else(|| missing("source"))?,
        enabled: body.enabled.unwrap_or(true), // The console and Terraform say so; the API's own default is [M].
    })?;
    sim.lock().tags.insert(arn.clone(), tags);
    sim.anchor(last(&arn))
}

fn update_anchor(sim: &RolesAnywhereSim, id: &str, body: Body) -> Result<Value, Refusal> {
    if let Some(pem) = bundle(body.source)? {
        sim.replace_bundle(id, &pem)?;
    }
    let change = Change {
        name: body.name,
        enabled: None,
    };
    sim.change(Kind::TrustAnchor, id, change)?;
    sim.anchor(id)
}

fn create_profile(sim: &RolesAnywhereSim, body: Body) -> Result<Value, Refusal> {
    let tags = checked_tags(&body.tags)?;
    let arn = sim.create_profile(NewProfile {
        name: body.name.ok_or_else(|| missing("name"))?,
        role_arns: body.role_arns.ok_or_else(|| missing("roleArns"))?,
        duration_seconds: body.duration_seconds,
        accept_role_session_name: body.accept_role_session_name.unwrap_or(false),
        require_instance_properties: body.require_instance_properties.unwrap_or(false),
        session_policy: body.session_policy,
        managed_policy_arns: body.managed_policy_arns.unwrap_or_default(),
        enabled: body.enabled.unwrap_or(true),
    })?;
    sim.lock().tags.insert(arn.clone(), tags);
    sim.profile(last(&arn))
}

fn update_profile(sim: &RolesAnywhereSim, id: &str, body: Body) -> Result<Value, Refusal> {
    let Some(before) = sim.lock().profiles.get(id).cloned() else {
        return Err(not_found("Profile", id));
    };
    let after = NewProfile {
        name: body.name.unwrap_or(before.name),
        role_arns: body.role_arns.unwrap_or(before.role_arns),
        duration_seconds: body.duration_seconds.or(before.duration_seconds),
        accept_role_session_name: body.accept_role_session_name.unwrap_or(before.accept_role_session_name),
        require_instance_properties: before.require_instance_properties,
        session_policy: body.session_policy.or(before.session_policy),
        managed_policy_arns: body.managed_policy_arns.unwrap_or(before.managed_policy_arns),
        enabled: before.enabled,
    };
    sim.check_profile(&after)?;
    let now = sim.clock.now();
    if let Some(profile) = sim.lock().profiles.get_mut(id) {
        profile.name = after.name;
        profile.role_arns = after.role_arns;
        profile.duration_seconds = after.duration_seconds;
        profile.accept_role_session_name = after.accept_role_session_name;
        profile.session_policy = after.session_policy;
        profile.managed_policy_arns = after.managed_policy_arns;
        profile.updated = now;
    }
    sim.profile(id)
}

fn put_mapping(sim: &RolesAnywhereSim, id: &str, body: Body) -> Result<Value, Refusal> {
    let field = Field::parse(&body.certificate_field.unwrap_or_default())?;
    let rules = body.mapping_rules.into_iter().map(|rule| rule.specifier).collect();
    sim.map(id, |mappings| mappings.put(field, rules))?;
    sim.profile(id)
}

fn delete_mapping(sim: &RolesAnywhereSim, id: &str, parts: &Parts) -> Result<Value, Refusal> {
    let field = Field::parse(&query(parts, "certificateField")?)?;
    let pairs = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let specifiers: Vec<String> = pairs
        .filter(|(name, _)| name == "specifiers")
        .map(|(_, value)| value.into_owned())
        .collect();
    sim.map(id, |mappings| {
        mappings.delete(field, &specifiers);
        Ok(())
    })?;
    sim.profile(id)
}

fn import_crl(sim: &RolesAnywhereSim, body: Body) -> Result<Value, Refusal> {
    let tags = checked_tags(&body.tags)?;
    let arn = sim.import_crl(NewCrl {
        name: body.name.ok_or_else(|| missing("name"))?,
        list: blob(body.crl_data)?.ok_or_else(|| missing("crlData"))?,
        trust_anchor_arn: body.trust_anchor_arn.ok_or_else(|| missing("trustAnchorArn"))?,
        enabled: body.enabled.unwrap_or(true),
    })?;
    sim.lock().tags.insert(arn.clone(), tags);
    sim.crl(last(&arn))
}

fn update_crl(sim: &RolesAnywhereSim, id: &str, body: Body) -> Result<Value, Refusal> {
    if let Some(data) = blob(body.crl_data)? {
        sim.update_crl(id, &data)?;
    }
    let change = Change {
        name: body.name,
        enabled: None,
    };
    sim.change(Kind::Crl, id, change)?;
    sim.crl(id)
}

fn blob(text: Option<String>) -> Result<Option<Vec<u8>>, Refusal> {
    let decoded = text.map(|text| STANDARD.decode(text));
    decoded
        .transpose()
        .map_err(|why| Refusal::malformed(format!("crlData is not base64: {why}")))
}

fn delete(sim: &RolesAnywhereSim, kind: &str, id: &str) -> Result<Value, Refusal> {
    let (name, shown) = shown(sim, kind, id)?;
    let mut state = sim.lock();
    let arn = match kind {
        "crl" => state.crls.remove(id).map(|one| one.arn),
        "profile" => state.profiles.remove(id).map(|one| one.arn),
        _ => state.anchors.remove(id).map(|one| one.arn),
    };
    state.tags.remove(&arn.unwrap_or_default());
    Ok(json!({ name: shown }))
}

fn enable(sim: &RolesAnywhereSim, (kind, id): (&str, &str), switch: &str) -> Result<Value, Refusal> {
    let enabled = if switch == "enable" {
        Enabled::Active
    } else {
        Enabled::Disabled
    };
    match kind {
        "crl" => {
            let change = Change {
                enabled: Some(enabled == Enabled::Active),
                ..Change::default()
            };
            sim.change(Kind::Crl, id, change)?;
        }
        "profile" => sim.enable_profile(id, enabled)?,
        _ => sim.enable_trust_anchor(id, enabled)?,
    }
    let (name, shown) = shown(sim, kind, id)?;
    Ok(json!({ name: shown }))
}

fn shown(sim: &RolesAnywhereSim, kind: &str, id: &str) -> Result<(&'static str, Value), Refusal> {
    Ok(match kind {
        "crl" => ("crl", sim.crl(id)?),
        "profile" => ("profile", sim.profile(id)?),
        _ => ("trustAnchor", sim.anchor(id)?),
    })
}

fn tag(sim: &RolesAnywhereSim, body: Body) -> Result<Value, Refusal> {
    let tags = checked_tags(&body.tags)?;
    let arn = body.resource_arn.ok_or_else(|| missing("resourceArn"))?;
    let mut state = sim.lock();
    let standing = state.tags.get_mut(&arn).ok_or_else(|| not_found("Resource", &arn))?;
    standing.extend(tags);
    if standing.len() > limits::TAGS {
        return Err(Refusal::unverified(Code::TooManyTags, "Too many tags"));
    }
    Ok(json!({}))
}

fn untag(sim: &RolesAnywhereSim, body: Body) -> Result<Value, Refusal> {
    let arn = body.resource_arn.ok_or_else(|| missing("resourceArn"))?;
    let mut state = sim.lock();
    let standing = state.tags.get_mut(&arn).ok_or_else(|| not_found("Resource", &arn))?;
    standing.retain(|key, _| !body.tag_keys.contains(key));
    Ok(json!({}))
}

fn checked_tags(tags: &[Tag]) -> Result<BTreeMap<String, String>, Refusal> {
    limits::length("tags", tags.len(), &(0..=limits::TAGS))?;
    Ok(tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect())
}

fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

impl RolesAnywhereSim {
    fn anchor(&self, id: &str) -> Result<Value, Refusal> {
        let state = self.lock();
        let found = state.anchors.get(id).ok_or_else(|| not_found("TrustAnchor", id))?;
        Ok(detail::of_anchor(found))
    }

    fn all_anchors(&self) -> Vec<Value> {
        self.lock().anchors.values().map(detail::of_anchor).collect()
    }

    fn profile(&self, id: &str) -> Result<Value, Refusal> {
        let state = self.lock();
        let found = state.profiles.get(id).ok_or_else(|| not_found("Profile", id))?;
        Ok(detail::of_profile(found))
    }

    fn all_profiles(&self) -> Vec<Value> {
        self.lock().profiles.values().map(detail::of_profile).collect()
    }

    fn crl(&self, id: &str) -> Result<Value, Refusal> {
        let state = self.lock();
        let found = state.crls.get(id).ok_or_else(|| not_found("Crl", id))?;
        Ok(detail::of_crl(found))
    }

    fn all_crls(&self) -> Vec<Value> {
        self.lock().crls.values().map(detail::of_crl).collect()
    }

    fn tags(&self, arn: &str) -> Vec<Value> {
        let state = self.lock();
        let tags = state.tags.get(arn).into_iter().flatten();
        tags.map(|(key, value)| json!({ "key": key, "value": value })).collect()
    }

    fn map(&self, id: &str, change: impl FnOnce(&mut Mappings) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let mut state = self.lock();
        let profile = state.profiles.get_mut(id).ok_or_else(|| not_found("Profile", id))?;
        change(&mut profile.mappings)
    }
}
