//! What a verified identity token must say before it attests an instance.
//!
//! It must never be asked about claims whose signature was not checked, and never take an e-mail address that Google
//! does not call verified.

use std::time::{Duration, SystemTime};

use crate::{
    attest::{
        AttestRefusal, Attributes, Pins,
        token_claims::{
            Moments, refuse_expired, refuse_other_audience, refuse_other_issuer, refuse_other_kind, refused,
            refused_at, token_id, wrong,
        },
    },
    jose::{ClaimRefused, Claims, Object},
};

/// The rules of one attestor.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) issuer: String,
    pub(super) audience: String,
    /// Numbers of the projects whose instances are believed.
    pub(super) projects: Vec<u64>,
    pub(super) max_instance_age: Option<Duration>,
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
    /// Judges verified claims; `typ` is that of the header which the same signature covers.
    pub(super) fn accept(
        &self,
        claims: &Claims,
        typ: Option<&str>,
        now: SystemTime,
    ) -> Result<Accepted, AttestRefusal> {
        refuse_other_kind(typ)?;
        refuse_other_issuer(claims, &self.issuer)?;
        let moments = Moments::read(claims)?;
        moments.refuse_early(now)?;
        refuse_other_audience(claims, &self.audience)?;
        let token_id = token_id(claims)?;
        let subject = account_id(claims)?;
        let attributes = self.facts(claims, subject, now)?;
        refuse_expired(moments.expires, now)?;
        Ok(Accepted {
            subject: subject.to_owned(),
            token_id,
            attributes,
            expires: moments.expires,
            stands_until: moments.expires.min(now + MAX_STANDING),
        })
    }

    fn facts(&self, claims: &Claims, subject: &str, now: SystemTime) -> Result<Attributes, AttestRefusal> {
        let instance = instance(claims)?;
        let project = number(instance, "project_number", AT_PROJECT_NUMBER)?;
        if !self.projects.contains(&project) {
            let expected = "a project of the attestor's `projects`";
            return Err(wrong(AT_PROJECT_NUMBER, &project.to_string(), expected));
        }
        if let Some(max) = self.max_instance_age {
            refuse_old_instance(instance, max, now)?;
        }
        let id = named(instance, "instance_id", AT_INSTANCE_ID, (is_id, "digits"))?;
        let name = named(
            instance,
            "instance_name",
            AT_INSTANCE_NAME,
            (is_name, "an instance's name"),
        )?;
        let zone = named(instance, "zone", AT_ZONE, (is_name, "a zone's name"))?;
        let project_id = named(instance, "project_id", AT_PROJECT_ID, (is_project_id, "a project's id"))?;
        let mut attributes = Attributes::default();
        attributes.insert(PROJECT_NUMBER, project.to_string())?;
        attributes.insert(PROJECT_ID, project_id)?;
        attributes.insert(ZONE, zone)?;
        attributes.insert(INSTANCE_ID, id)?;
        attributes.insert(INSTANCE_NAME, name)?;
        attributes.insert(SERVICE_ACCOUNT_ID, subject)?;
        if let Some(email) = verified_email(claims)? {
            attributes.insert(SERVICE_ACCOUNT, email)?;
        }
        Ok(attributes)
    }
}

/// Reads the service account's own number, which is never given again.
fn account_id(claims: &Claims) -> Result<&str, AttestRefusal> {
    let found = claims.required_text("sub").map_err(refused)?;
    let is = is_id(found);
    is.then_some(found)
        .ok_or_else(|| wrong("sub", found, "the unique id of a service account, digits"))
}

/// Reads what only the metadata server of Compute Engine says, and only where it is asked to.
fn instance(claims: &Claims) -> Result<Object<'_>, AttestRefusal> {
    let google = claims.object("google").map_err(refused)?;
    let found = match google {
        None => None,
        Some(google) => google
            .object("compute_engine")
            .map_err(|why| refused_at(AT_INSTANCE, why))?,
    };
    found.ok_or_else(|| AttestRefusal::Claim {
        claim: AT_INSTANCE.to_owned(),
        found: "missing".to_owned(),
        expected: "the instance, which the metadata server names with `format=full`; tokens of GKE and Cloud Run have \
                   none"
            .to_owned(),
    })
}

fn number(object: Object<'_>, member: &'static str, path: &str) -> Result<u64, AttestRefusal> {
    let found = object.whole_number(member).map_err(|why| refused_at(path, why))?;
    found.ok_or_else(|| refused_at(path, ClaimRefused::Missing { name: member }))
}

fn named<'c>(
    object: Object<'c>,
    member: &'static str,
    path: &str,
    (has_form, expected): (fn(&str) -> bool, &str),
) -> Result<&'c str, AttestRefusal> {
    let found = object.required_text(member).map_err(|why| refused_at(path, why))?;
    let has = has_form(found);
    has.then_some(found).ok_or_else(|| wrong(path, found, expected))
}

/// An address that Google does not call verified names nobody.
fn verified_email(claims: &Claims) -> Result<Option<&str>, AttestRefusal> {
    let verified = claims.boolean("email_verified").map_err(refused)?;
    let email = claims.text("email").map_err(refused)?;
    Ok(email.filter(|email| verified == Some(true) && !email.is_empty()))
}

fn refuse_old_instance(instance: Object<'_>, max: Duration, now: SystemTime) -> Result<(), AttestRefusal> {
    let refused = |why| refused_at(AT_CREATED, why);
    let created = instance.numeric_date("instance_creation_timestamp").map_err(refused)?;
    let created = created.ok_or_else(|| {
        refused(ClaimRefused::Missing {
            name: "instance_creation_timestamp",
        })
    })?;
    let age = now.duration_since(created.moment()).unwrap_or_default();
    if age <= max {
        return Ok(());
    }
    Err(AttestRefusal::Claim {
        claim: AT_CREATED.to_owned(),
        found: format!("{} s ago", age.as_secs()),
        expected: format!("at most {} s ago (`max_instance_age`)", max.as_secs()),
    })
}

/// Returns what entries must pin: a number of the workload's own, or its name in a numbered project. A project alone is
/// everybody in it, and a name alone passes to whoever takes it next (T-63, T-64).
pub(super) fn pins() -> Pins {
    Pins {
        everybody: "every instance of the attestor's projects",
        ids: vec![
            vec![SERVICE_ACCOUNT_ID],
            vec![INSTANCE_ID],
            vec![PROJECT_NUMBER, SERVICE_ACCOUNT],
            vec![PROJECT_NUMBER, INSTANCE_NAME],
        ],
        names: vec![PROJECT_ID, SERVICE_ACCOUNT, INSTANCE_NAME],
        strangers: None,
    }
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Instances and zones are called as RFC 1035 calls hosts.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(inner)
}

/// Old projects of a domain are called `example.com:project`.
fn is_project_id(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
    (1..=MAX_PROJECT_ID_BYTES).contains(&text.len()) && text.bytes().all(inner)
}

const AT_INSTANCE: &str = "google.compute_engine";
const AT_CREATED: &str = "google.compute_engine.instance_creation_timestamp";
const AT_INSTANCE_ID: &str = "google.compute_engine.instance_id";
const AT_INSTANCE_NAME: &str = "google.compute_engine.instance_name";
const AT_PROJECT_ID: &str = "google.compute_engine.project_id";
const AT_PROJECT_NUMBER: &str = "google.compute_engine.project_number";
const AT_ZONE: &str = "google.compute_engine.zone";

// No name is a dotted-path prefix of another.
const INSTANCE_ID: &str = "gcp.instance_id";
const INSTANCE_NAME: &str = "gcp.instance_name";
const PROJECT_ID: &str = "gcp.project_id";
const PROJECT_NUMBER: &str = "gcp.project_number";
const SERVICE_ACCOUNT: &str = "gcp.service_account";
const SERVICE_ACCOUNT_ID: &str = "gcp.service_account_id";
const ZONE: &str = "gcp.zone";

/// What the attestor may give.
pub(super) const ATTRIBUTES: &[&str] = &[
    INSTANCE_ID,
    INSTANCE_NAME,
    PROJECT_ID,
    PROJECT_NUMBER,
    SERVICE_ACCOUNT,
    SERVICE_ACCOUNT_ID,
    ZONE,
];

/// Numbers are never given again; names are, and a zone is a place.
pub(super) const IMMUTABLE: &[&str] = &[INSTANCE_ID, PROJECT_NUMBER, SERVICE_ACCOUNT_ID];

/// LIMITS.md: an attestation stands 1 h, and for instances of Google never longer than the token.
const MAX_STANDING: Duration = Duration::from_hours(1);

/// Ids of instances and service accounts have 16 to 21 digits; the rest is room.
const MAX_ID_DIGITS: usize = 32;

// Google Cloud, "Naming resources".
const MAX_NAME_BYTES: usize = 63;

/// A project's id has 30; the rest is for the domain of an old one.
const MAX_PROJECT_ID_BYTES: usize = 127;
