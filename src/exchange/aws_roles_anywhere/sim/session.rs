//! CreateSession, in the check order: request, signature, anchor and profile, certificate, path, role, trust policy, duration.
//!
//! The order is `[M]`.

use std::time::{Duration, SystemTime};

use axum::http::request::Parts;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{CreatedSession, Profile, RolesAnywhereSim, TrustAnchor, path, signature};
use crate::{
    clock,
    exchange::{
        aws::{
            arn, role_session,
            sim::credentials::{Issued, RoleSession, no_randomness, uuid},
        },
        aws_roles_anywhere::rules::{
            Code, Refusal,
            certificate::EndEntity,
            limits,
            resource::{Kind, ResourceArn},
            session,
        },
    },
    sim::sigv4,
};

/// The body; the ARNs may stand in the query as well [S RA-helper], else here [D RA-guide].
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Body {
    duration_seconds: Option<i64>,
    instance_properties: Option<Map<String, Value>>,
    profile_arn: Option<String>,
    role_arn: Option<String>,
    role_session_name: Option<String>,
    /// Deprecated and without effect [S RA-helper].
    session_name: Option<String>,
    trust_anchor_arn: Option<String>,
}

/// The request, after its shape was checked.
struct Asked {
    trust_anchor_arn: String,
    profile_arn: String,
    role_arn: String,
    session_name: Option<String>,
    seconds: Option<i64>,
    has_properties: bool,
    leaf: Vec<u8>,
    intermediates: Vec<Vec<u8>>,
}

/// Answers one request.
pub(super) fn answer(sim: &RolesAnywhereSim, parts: &Parts, body: &[u8]) -> Result<Value, Refusal> {
    let asked = Asked::read(parts, body)?;
    let now = sim.clock.now();
    signature::verify((parts, body), &asked.leaf, &sim.place.region, now)?;
    let (anchor, profile) = places(sim, &asked)?;
    let certificate = trusted(sim, &asked, &anchor, now)?;
    if !profile.role_arns.contains(&asked.role_arn) {
        return Err(Refusal::cannot_assume(&asked.role_arn).because("the role is not in the profile"));
    }
    if asked.session_name.is_some() && !profile.accept_role_session_name {
        return Err(Refusal::session_name_not_accepted());
    }
    if profile.require_instance_properties && !asked.has_properties {
        return Err(Refusal::unverified(
            Code::AccessDenied,
            "Instance properties are required",
        ));
    }
    issue(sim, (asked, anchor, profile), &certificate, now)
}

impl Asked {
    fn read(parts: &Parts, body: &[u8]) -> Result<Self, Refusal> {
        let body: Body = match body {
            [] => Body::default(),
            filled => serde_json::from_slice(filled).map_err(|why| Refusal::malformed(format!("the body: {why}")))?,
        };
        let query: Vec<(String, String)> =
            url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let either = |name: &str, in_body: Option<String>| {
            let mut in_query = query
                .iter()
                .filter(|(found, _)| found == name)
                .map(|(_, value)| value.clone());
            match (in_query.next(), in_query.next(), in_body) {
                (Some(arn), None, None) | (None, None, Some(arn)) => Ok(arn),
                (Some(arn), None, Some(same)) if arn == same => Ok(arn),
                (None, None, None) => Err(Refusal::constraint(
                    &format!("Value null at '{name}'"),
                    "Member must not be null",
                )),
                (_, _, _) => Err(Refusal::malformed(format!("`{name}` stands twice"))),
            }
        };
        if let Some(name) = &body.role_session_name {
            limits::session_name(name)?;
        }
        body.duration_seconds.map_or(Ok(()), limits::duration)?;
        let header = |name: &str| sigv4::header(&parts.headers, name);
        let leaf = header("x-amz-x509").ok_or_else(|| Refusal::malformed("there is no X-Amz-X509 header"))?;
        let chain = header("x-amz-x509-chain");
        let intermediates: Vec<Vec<u8>> = chain
            .iter()
            .flat_map(|chain| chain.split(','))
            .map(decode)
            .collect::<Result<_, _>>()?;
        if intermediates.len() > limits::CHAIN_DEPTH {
            return Err(Refusal::malformed(format!(
                "the chain has {} certificates, expected at most {}",
                intermediates.len(),
                limits::CHAIN_DEPTH
            )));
        }
        Ok(Self {
            trust_anchor_arn: either("trustAnchorArn", body.trust_anchor_arn)?,
            profile_arn: either("profileArn", body.profile_arn)?,
            role_arn: either("roleArn", body.role_arn)?,
            session_name: body.role_session_name,
            seconds: body.duration_seconds,
            has_properties: body
                .instance_properties
                .is_some_and(|properties| !properties.is_empty()),
            leaf: decode(&leaf)?,
            intermediates,
        })
    }
}

fn decode(text: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD
        .decode(text.trim())
        .map_err(|why| Refusal::malformed(format!("a certificate is not base64: {why}")))
}

/// Returns the trust anchor and the profile, both enabled.
fn places(sim: &RolesAnywhereSim, asked: &Asked) -> Result<(TrustAnchor, Profile), Refusal> {
    let anchor_id = ResourceArn::parse(&asked.trust_anchor_arn, Kind::TrustAnchor)?.id;
    let profile_id = ResourceArn::parse(&asked.profile_arn, Kind::Profile)?.id;
    let state = sim.lock();
    let anchor = state
        .anchors
        .get(&anchor_id)
        .filter(|anchor| anchor.arn == asked.trust_anchor_arn);
    let anchor = anchor.ok_or_else(|| super::not_found("TrustAnchor", &asked.trust_anchor_arn))?;
    let profile = state
        .profiles
        .get(&profile_id)
        .filter(|profile| profile.arn == asked.profile_arn);
    let profile = profile.ok_or_else(|| super::not_found("Profile", &asked.profile_arn))?;
    for (what, enabled) in [("Trust anchor", anchor.enabled), ("Profile", profile.enabled)] {
        if !enabled {
            return Err(Refusal::unverified(Code::AccessDenied, format!("{what} is disabled")));
        }
    }
    Ok((anchor.clone(), profile.clone()))
}

/// Returns the certificate once it is proven to come from the trust anchor and to stand.
fn trusted(sim: &RolesAnywhereSim, asked: &Asked, anchor: &TrustAnchor, now: SystemTime) -> Result<EndEntity, Refusal> {
    let certificate = EndEntity::read(&asked.leaf)?;
    certificate.timely(now)?;
    let presented = path::Presented {
        leaf: &asked.leaf,
        intermediates: &asked.intermediates,
    };
    let found = path::find(&presented, &anchor.certificates, now)?;
    let state = sim.lock();
    let lists = state
        .crls
        .values()
        .filter(|list| list.enabled && list.anchor_arn == anchor.arn);
    for list in lists {
        path::not_revoked(&found, &list.der, now)?;
    }
    Ok(certificate)
}

fn issue(
    sim: &RolesAnywhereSim,
    (asked, anchor, profile): (Asked, TrustAnchor, Profile),
    certificate: &EndEntity,
    now: SystemTime,
) -> Result<Value, Refusal> {
    let role_arn = &asked.role_arn;
    let Some(role) = sim.lock().roles.get(role_arn).cloned() else {
        return Err(Refusal::cannot_assume(role_arn).because("the role does not exist"));
    };
    let parsed = arn::role_arn(role_arn)?;
    let source_identity = session::source_identity(certificate);
    let name = asked
        .session_name
        .unwrap_or_else(|| session::hex_serial(&certificate.serial));
    let tags = profile.mappings.tags(certificate);
    let place = ResourceArn::parse(&anchor.arn, Kind::TrustAnchor)?;
    let evaluation = role
        .trust
        .evaluate(&session::context((&anchor.arn, &place), &tags, &source_identity, &name));
    if !evaluation.is_allowed() {
        return Err(Refusal::cannot_assume(role_arn).because(evaluation.to_string()));
    }
    let role_maximum = i64::try_from(role.max_session_duration.as_secs()).unwrap_or(i64::MAX);
    let seconds = limits::session_seconds(profile.duration_seconds, asked.seconds, role_maximum)?;
    let policies: Vec<&str> = profile.session_policy.iter().map(String::as_str).collect();
    let packed = role_session::packed_percent(&policies, &tags)?;
    let lasting = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let assumed = RoleSession {
        role: &parsed,
        role_id: &role.id,
        name: &name,
        lasting,
    };
    let issued = Issued::draw(&*sim.random, assumed, now).map_err(no_randomness)?;
    let subject_arn = subject_arn(sim, certificate)?;
    let created = CreatedSession {
        role_arn: role_arn.clone(),
        session_name: name,
        source_identity,
        tags: tags.into_iter().collect(),
        duration: lasting,
        access_key_id: issued.access_key_id.clone(),
    };
    let answer = answered(&issued, &created, (packed, &subject_arn));
    sim.lock().issue(issued, created);
    Ok(answer)
}

fn answered(issued: &Issued, created: &CreatedSession, (packed, subject_arn): (usize, &str)) -> Value {
    json!({
        "credentialSet": [{
            "assumedRoleUser": { "arn": issued.assumed_role_arn, "assumedRoleId": issued.assumed_role_id },
            "credentials": {
                "accessKeyId": issued.access_key_id,
                "secretAccessKey": issued.secret_key.expose(),
                "sessionToken": issued.session_token.expose(),
                "expiration": clock::rfc3339(issued.expires_at),
            },
            "packedPolicySize": packed,
            "roleArn": created.role_arn,
            "sourceIdentity": created.source_identity,
        }],
        "subjectArn": subject_arn,
    })
}

/// The Subject resource's key is the certificate's subject [D RA-guide].
fn subject_arn(sim: &RolesAnywhereSim, certificate: &EndEntity) -> Result<String, Refusal> {
    let parts: Vec<String> = certificate
        .subject
        .0
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let fresh = uuid(&*sim.random).map_err(no_randomness)?;
    let mut state = sim.lock();
    if state.subjects.len() >= super::REMEMBERED {
        state.subjects.clear();
    }
    let id = state.subjects.entry(parts.join(",")).or_insert(fresh);
    Ok(sim.place.arn("subject", id))
}
