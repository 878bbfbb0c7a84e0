//! What a verified token of a managed identity must say before it attests a machine.
//!
//! It must never be asked about claims whose signature was not checked, and never read a name that a user may change,
//! such as `email`, `upn` or `preferred_username` (T-48).

use std::time::{Duration, SystemTime};

use super::{
    managed_identity::{Tenant, Version},
    resource::{Kind, Resource, is_guid},
};
use crate::{
    attest::{
        AttestRefusal, Attributes, Pins,
        token_claims::{
            Moments, refuse_expired, refuse_other_audience, refuse_other_issuer, refuse_other_kind, refused, token_id,
            wrong,
        },
    },
    jose::Claims,
};

/// The rules of one attestor.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) audience: String,
}

/// What the rules found in order.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) subject: String,
    pub(super) token_id: Option<String>,
    pub(super) attributes: Attributes,
    pub(super) expires: SystemTime,
    pub(super) stands_until: SystemTime,
}

impl Rules {
    /// Judges verified claims of a tenant's issuer; `typ` is that of the header which the same signature covers.
    pub(super) fn accept(
        &self,
        claims: &Claims,
        typ: Option<&str>,
        (tenant, version): (&Tenant, Version),
        now: SystemTime,
    ) -> Result<Accepted, AttestRefusal> {
        refuse_other_kind(typ)?;
        refuse_other_issuer(claims, tenant.issuer(version))?;
        let moments = Moments::read_within(claims, MAX_LIFE)?;
        moments.refuse_early(now)?;
        refuse_other_audience(claims, &self.audience)?;
        let token_id = token_id(claims)?;
        refuse_other_tenant(claims, tenant)?;
        let principal = principal(claims)?;
        let attributes = facts(claims, (tenant, version), principal)?;
        refuse_expired(moments.expires, now)?;
        Ok(Accepted {
            subject: principal.to_owned(),
            token_id,
            attributes,
            expires: moments.expires,
            // Never longer than the token, though that lives a day.
            stands_until: moments.expires.min(now + MAX_STANDING),
        })
    }
}

/// An issuer speaks for its own tenant alone.
fn refuse_other_tenant(claims: &Claims, tenant: &Tenant) -> Result<(), AttestRefusal> {
    let found = claims.required_text("tid").map_err(refused)?;
    if found == tenant.id {
        return Ok(());
    }
    Err(wrong("tid", found, &format!("`{}`, as `iss` says", tenant.id)))
}

/// Reads the identity's own id; in a user's token `sub` is another.
fn principal(claims: &Claims) -> Result<&str, AttestRefusal> {
    if let Some(other) = claims.text("idtyp").map_err(refused)?.filter(|found| *found != "app") {
        return Err(wrong("idtyp", other, "`app`, or nothing"));
    }
    let principal = guid(claims, "oid")?;
    let subject = claims.required_text("sub").map_err(refused)?;
    if subject != principal {
        return Err(wrong(
            "sub",
            subject,
            "the same as `oid`, as for every managed identity",
        ));
    }
    Ok(principal)
}

fn facts(claims: &Claims, (tenant, version): (&Tenant, Version), principal: &str) -> Result<Attributes, AttestRefusal> {
    let client = match version {
        Version::One => guid(claims, "appid")?,
        Version::Two => guid(claims, "azp")?,
    };
    let resource = resource(claims)?;
    let mut attributes = Attributes::default();
    attributes.insert(TENANT_ID, tenant.id.as_str())?;
    attributes.insert(PRINCIPAL_ID, principal)?;
    attributes.insert(CLIENT_ID, client)?;
    attributes.insert(SUBSCRIPTION_ID, resource.subscription)?;
    attributes.insert(RESOURCE_GROUP, resource.group)?;
    attributes.insert(RESOURCE_ID, resource.id)?;
    let name = match resource.kind {
        Kind::UserAssignedIdentity => IDENTITY_NAME,
        Kind::VirtualMachine => VM_NAME,
    };
    attributes.insert(name, resource.name)?;
    Ok(attributes)
}

/// Reads which resource the identity is of; nobody but a managed identity has one.
fn resource(claims: &Claims) -> Result<Resource, AttestRefusal> {
    let Some(found) = claims.text("xms_mirid").map_err(refused)? else {
        return Err(AttestRefusal::Claim {
            claim: "xms_mirid".to_owned(),
            found: "missing".to_owned(),
            expected: "the resource of a managed identity; users and applications with a secret have none".to_owned(),
        });
    };
    Resource::parse(found).ok_or_else(|| wrong("xms_mirid", found, EXPECTED_RESOURCE))
}

fn guid<'c>(claims: &'c Claims, name: &'static str) -> Result<&'c str, AttestRefusal> {
    let found = claims.required_text(name).map_err(refused)?;
    let is = is_guid(found);
    is.then_some(found)
        .ok_or_else(|| wrong(name, found, "a GUID in lower case"))
}

/// Returns what entries must pin: an identity, or a machine by its whole name. A group or a subscription is everybody in it.
pub(super) fn pins() -> Pins {
    Pins {
        everybody: "every managed identity of the attestor's tenants",
        ids: vec![
            vec![PRINCIPAL_ID],
            vec![CLIENT_ID],
            vec![RESOURCE_ID],
            vec![VM_ID],
            vec![SUBSCRIPTION_ID, RESOURCE_GROUP, VM_NAME],
            vec![SUBSCRIPTION_ID, RESOURCE_GROUP, IDENTITY_NAME],
        ],
        names: vec![RESOURCE_GROUP, VM_NAME, IDENTITY_NAME],
        strangers: None,
    }
}

const EXPECTED_RESOURCE: &str = "`/subscriptions/<id>/resourceGroups/<name>/providers/Microsoft.Compute/virtualMachines/\
     <name>`, or with `Microsoft.ManagedIdentity/userAssignedIdentities`";

// No name is a dotted-path prefix of another.
const CLIENT_ID: &str = "azure.client_id";
const IDENTITY_NAME: &str = "azure.identity_name";
const PRINCIPAL_ID: &str = "azure.principal_id";
const RESOURCE_GROUP: &str = "azure.resource_group";
const RESOURCE_ID: &str = "azure.resource_id";
pub(super) const SUBSCRIPTION_ID: &str = "azure.subscription_id";
const TENANT_ID: &str = "azure.tenant_id";
/// Of attested documents; tokens do not have it.
pub(super) const VM_ID: &str = "azure.vm_id";
const VM_NAME: &str = "azure.vm_name";

/// What the attestor may give.
pub(super) const ATTRIBUTES: &[&str] = &[
    CLIENT_ID,
    IDENTITY_NAME,
    PRINCIPAL_ID,
    RESOURCE_GROUP,
    RESOURCE_ID,
    SUBSCRIPTION_ID,
    TENANT_ID,
    VM_ID,
    VM_NAME,
];

/// GUIDs are never given again; names are, and with them a resource's id.
pub(super) const IMMUTABLE: &[&str] = &[CLIENT_ID, PRINCIPAL_ID, SUBSCRIPTION_ID, TENANT_ID, VM_ID];

/// LIMITS.md: an attestation stands 1 h, and for Azure never longer than the token.
const MAX_STANDING: Duration = Duration::from_hours(1);

/// Tokens of managed identities live 24 h, and Entra dates them five minutes back `[M]`; others live less.
const MAX_LIFE: Duration = Duration::from_hours(25);
