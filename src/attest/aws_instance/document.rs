//! What a verified identity document must say before it attests an instance.
//!
//! It must never be asked about bytes whose signature was not checked, and never believe a document of another region
//! than its signer's.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use crate::{
    attest::{
        AttestRefusal, Attributes, Pins,
        token_claims::{refuse_early, refused, wrong},
    },
    clock::{parse_rfc3339, unix_seconds},
    jose::Claims,
};

/// The rules of one attestor.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) accounts: BTreeSet<String>,
    /// How long after its start an instance may be attested.
    pub(super) max_age: Duration,
    pub(super) session_max: Duration,
}

/// What the rules found in order.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) instance_id: String,
    pub(super) region: String,
    pub(super) attributes: Attributes,
    pub(super) expires: SystemTime,
    started: SystemTime,
}

impl Accepted {
    /// Returns what stands for this start of this instance.
    pub(super) fn use_id(&self) -> String {
        format!("{} {}", self.instance_id, unix_seconds(self.started))
    }
}

impl Rules {
    /// Judges the signed bytes; `regions` are those that the signer's certificate is configured for.
    pub(super) fn accept(&self, content: &[u8], regions: &[&str], now: SystemTime) -> Result<Accepted, AttestRefusal> {
        let claims = Claims::parse(content).map_err(|why| AttestRefusal::Claim {
            claim: "document".to_owned(),
            found: why.to_string(),
            expected: "a strict JSON object".to_owned(),
        })?;
        let text = |name: &'static str| claims.required_text(name).map_err(refused);
        let region = text("region")?;
        if !regions.contains(&region) {
            let expected = format!("`{}`, whose certificate signed it", regions.join("` or `"));
            return Err(wrong("region", region, &expected));
        }
        let account = text("accountId")?;
        if !self.accounts.contains(account) {
            return Err(wrong("accountId", account, "one of `accounts`"));
        }
        let instance_id = text("instanceId")?;
        if !is_id(instance_id, "i-") {
            return Err(wrong("instanceId", instance_id, "`i-` and 8 or 17 hex digits"));
        }
        let started = self.started(text("pendingTime")?, now)?;
        Ok(Accepted {
            instance_id: instance_id.to_owned(),
            region: region.to_owned(),
            attributes: facts(&claims)?,
            expires: started + self.max_age,
            started,
        })
    }

    /// Refuses a document of an instance that started long ago: anybody may have read it since (T-47).
    fn started(&self, text: &str, now: SystemTime) -> Result<SystemTime, AttestRefusal> {
        let started = parse_rfc3339(text).filter(|_| text.ends_with('Z'));
        let started = started.ok_or_else(|| wrong("pendingTime", text, "a moment such as `2026-01-16T14:40:00Z`"))?;
        refuse_early(started, now)?;
        let age = now.duration_since(started).unwrap_or_default();
        if age > self.max_age {
            let max = self.max_age;
            return Err(AttestRefusal::TooOld { age, max });
        }
        Ok(started)
    }
}

fn facts(claims: &Claims) -> Result<Attributes, AttestRefusal> {
    let mut attributes = Attributes::default();
    for (attribute, member) in MEMBERS {
        let value = claims.required_text(member).map_err(refused)?;
        attributes.insert(attribute, value)?;
    }
    let image = attributes.get(IMAGE_ID).unwrap_or_default();
    if !is_id(image, "ami-") {
        return Err(wrong("imageId", image, "`ami-` and 8 or 17 hex digits"));
    }
    let (zone, region) = (attributes.get(ZONE), attributes.get(REGION));
    match (zone, region) {
        (Some(zone), Some(region)) if zone.starts_with(region) => Ok(attributes),
        (zone, _) => Err(wrong(
            "availabilityZone",
            zone.unwrap_or_default(),
            "a zone of the document's region",
        )),
    }
}

/// Tells whether this is the id of a resource: 8 hex digits, and 17 since 2016.
fn is_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    matches!(digits.len(), 8 | 17)
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

// No name is a dotted-path prefix of another.
const ACCOUNT: &str = "aws.account";
const ARCHITECTURE: &str = "aws.architecture";
const ZONE: &str = "aws.availability_zone";
const IMAGE_ID: &str = "aws.image_id";
const INSTANCE_ID: &str = "aws.instance_id";
const INSTANCE_TYPE: &str = "aws.instance_type";
const REGION: &str = "aws.region";

/// The members of the document that are attributes.
const MEMBERS: [(&str, &str); 7] = [
    (ACCOUNT, "accountId"),
    (ARCHITECTURE, "architecture"),
    (ZONE, "availabilityZone"),
    (IMAGE_ID, "imageId"),
    (INSTANCE_ID, "instanceId"),
    (INSTANCE_TYPE, "instanceType"),
    (REGION, "region"),
];

/// What the attestor may give.
pub(super) const ATTRIBUTES: &[&str] = &[
    ACCOUNT,
    ARCHITECTURE,
    ZONE,
    IMAGE_ID,
    INSTANCE_ID,
    INSTANCE_TYPE,
    REGION,
];

/// AWS gives none of them to anything else again.
pub(super) const IMMUTABLE: &[&str] = &[ACCOUNT, IMAGE_ID, INSTANCE_ID, REGION];

/// Returns what entries must pin where there are several accounts; one account alone is pinned by the attestor itself.
pub(super) fn pins(accounts: &BTreeSet<String>) -> Option<Pins> {
    let pins = Pins {
        everybody: "every instance of all of the attestor's accounts",
        ids: vec![vec![ACCOUNT], vec![IMAGE_ID], vec![INSTANCE_ID]],
        names: Vec::new(),
        strangers: None,
    };
    (accounts.len() > 1).then_some(pins)
}
