//! What an attested document must say.
//!
//! It must never be asked about bytes whose signature was not checked, and never take one with another nonce: the
//! metadata service may answer with one that it signed before.

use std::time::SystemTime;

use crate::{
    attest::{
        AttestRefusal,
        token_claims::{refuse_early, refuse_expired, refused, refused_at, wrong},
    },
    clock::parse_rfc3339,
    jose::{ClaimRefused, Claims, ClaimsRefused},
};

/// The machine that a document is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) vm_id: String,
    pub(super) subscription_id: String,
}

impl Document {
    /// Reads the signed bytes.
    pub(super) fn read(content: &[u8], nonce: &str, now: SystemTime) -> Result<Self, AttestRefusal> {
        let claims = Claims::parse(content).map_err(|why| AttestRefusal::Claim {
            claim: "document".to_owned(),
            found: DocumentRefused(why).to_string(),
            expected: "a strict JSON object".to_owned(),
        })?;
        let found = claims.required_text("nonce").map_err(refused)?;
        if found != nonce {
            return Err(wrong("nonce", found, "the one that is made of the challenge"));
        }
        let stamp = claims.object("timeStamp").map_err(refused)?;
        let stamp = stamp.ok_or_else(|| refused_at("timeStamp", ClaimRefused::Missing { name: "timeStamp" }))?;
        let date = |member: &'static str| {
            let text = stamp.required_text(member).map_err(refused)?;
            moment(text).ok_or_else(|| wrong(member, text, "a moment such as `01/16/26 14:40:00 -0000`"))
        };
        refuse_early(date("createdOn")?, now)?;
        refuse_expired(date("expiresOn")?, now)?;
        let id = |member: &'static str| {
            let text = claims.required_text(member).map_err(refused)?.to_ascii_lowercase();
            let is = is_uuid(&text);
            is.then_some(text.clone()).ok_or_else(|| wrong(member, &text, "a UUID"))
        };
        Ok(Self {
            vm_id: id("vmId")?,
            subscription_id: id("subscriptionId")?,
        })
    }
}

/// The signed bytes are no strict JSON.
#[derive(Debug, thiserror::Error)]
#[error("the document is no strict JSON object")]
pub struct DocumentRefused(#[source] ClaimsRefused);

/// Reads `01/16/26 14:40:00 -0000`: month, day and year of this century, in UTC.
fn moment(text: &str) -> Option<SystemTime> {
    let (date, time) = text.strip_suffix(" -0000")?.split_once(' ')?;
    let parts: Vec<&str> = date.split('/').collect();
    let [month, day, year] = parts.as_slice() else {
        return None;
    };
    let two = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if ![month, day, year].into_iter().all(two) {
        return None;
    }
    parse_rfc3339(&format!("20{year}-{month}-{day}T{time}Z"))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _other => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}
