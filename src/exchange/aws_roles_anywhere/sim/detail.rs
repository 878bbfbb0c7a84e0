//! What the control plane shows of the objects that stand in the account.
//!
//! Source: clouds.md 2.1 and 2.2 [D botocore rolesanywhere 2018-05-10]. Moments are RFC 3339.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Crl, Profile, TrustAnchor};
use crate::{clock, exchange::aws_roles_anywhere::rules::limits};

/// Shows a trust anchor with the two notifications that every trust anchor has by default; threshold and author are `[M]`.
pub(super) fn of_anchor(anchor: &TrustAnchor) -> Value {
    let notification = |event: &str| {
        json!({ "enabled": true, "event": event, "threshold": 45, "channel": "ALL",
                "configuredBy": "rolesanywhere.amazonaws.com" })
    };
    json!({
        "trustAnchorId": anchor.id,
        "trustAnchorArn": anchor.arn,
        "name": anchor.name,
        "source": { "sourceType": "CERTIFICATE_BUNDLE", "sourceData": { "x509CertificateData": anchor.pem } },
        "enabled": anchor.enabled,
        "createdAt": clock::rfc3339(anchor.created),
        "updatedAt": clock::rfc3339(anchor.updated),
        "notificationSettings": [
            notification("CA_CERTIFICATE_EXPIRY"),
            notification("END_ENTITY_CERTIFICATE_EXPIRY"),
        ],
    })
}

/// Shows a profile.
pub(super) fn of_profile(profile: &Profile) -> Value {
    let mappings: Vec<Value> = profile
        .mappings
        .rules()
        .map(|(field, rules)| {
            let rules: Vec<Value> = rules.iter().map(|rule| json!({ "specifier": rule })).collect();
            json!({ "certificateField": field.name(), "mappingRules": rules })
        })
        .collect();
    json!({
        "profileId": profile.id,
        "profileArn": profile.arn,
        "name": profile.name,
        "requireInstanceProperties": profile.require_instance_properties,
        "enabled": profile.enabled,
        "sessionPolicy": profile.session_policy,
        "roleArns": profile.role_arns,
        "managedPolicyArns": profile.managed_policy_arns,
        "createdAt": clock::rfc3339(profile.created),
        "updatedAt": clock::rfc3339(profile.updated),
        "durationSeconds": profile.duration_seconds.unwrap_or(limits::DEFAULT_DURATION_SECONDS),
        "acceptRoleSessionName": profile.accept_role_session_name,
        "attributeMappings": mappings,
    })
}

/// Shows a revocation list.
pub(super) fn of_crl(crl: &Crl) -> Value {
    json!({
        "crlId": crl.id,
        "crlArn": crl.arn,
        "name": crl.name,
        "enabled": crl.enabled,
        "crlData": STANDARD.encode(&crl.der),
        "trustAnchorArn": crl.anchor_arn,
        "createdAt": clock::rfc3339(crl.created),
        "updatedAt": clock::rfc3339(crl.updated),
    })
}
