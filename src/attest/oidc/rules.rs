//! What a verified token must say before it attests anything.
//!
//! It must never be asked about claims whose signature was not checked, and never treat an error as an absent rule.

use std::time::SystemTime;

use super::{
    facts::{self, AllowedOwner, Mapping, OwnerRule},
    preset::{Event, Subject, TokenId, Use},
    view::{NamedParts, View},
};
use crate::{
    attest::{
        AttestRefusal, Attributes, Freshness,
        evidence::Possession,
        standing::Standing,
        token_claims::{
            MAX_TOKEN_ID_BYTES, Moments, refuse_other_audience, refuse_other_issuer, refuse_other_kind, refused,
        },
    },
    jose::{Claims, NumericDate, excerpt},
};

/// The rules of one configured attestor.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) issuer: String,
    pub(super) issuer_parts: NamedParts,
    pub(super) audience: String,
    pub(super) standing: Standing,
    pub(super) use_rule: Use,
    pub(super) token_id: TokenId,
    pub(super) job_ends: Option<String>,
    pub(super) subject: Option<Subject>,
    pub(super) owner: Option<OwnerRule>,
    pub(super) owners: Vec<AllowedOwner>,
    pub(super) event: Event,
    pub(super) events: Vec<String>,
    pub(super) mappings: Vec<Mapping>,
    pub(super) vendor: Option<String>,
}

/// What the rules found in order.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) subject: String,
    pub(super) token_id: Option<String>,
    pub(super) attributes: Attributes,
    pub(super) freshness: Freshness,
    pub(super) expires: SystemTime,
    pub(super) stands_until: SystemTime,
}

impl Rules {
    /// Judges verified claims; `typ` is that of the header which the same signature covers.
    pub(super) fn accept(
        &self,
        claims: &Claims,
        typ: Option<&str>,
        possession: &Possession,
        now: SystemTime,
    ) -> Result<Accepted, AttestRefusal> {
        refuse_other_kind(typ)?;
        refuse_other_issuer(claims, &self.issuer)?;
        let subject = subject(claims)?;
        let moments = Moments::read(claims)?;
        moments.refuse_early(now)?;
        refuse_other_audience(claims, &self.audience)?;
        let token_id = self.token_id(claims)?;
        let view = View::new(claims, &self.issuer_parts, self.subject.as_ref(), subject);
        if let Some(rule) = &self.subject {
            facts::refuse_other_subject(&view, subject, rule)?;
        }
        if let Some(owner) = &self.owner {
            facts::refuse_other_owners(&view, owner, &self.owners)?;
        }
        facts::refuse_events(&view, subject, &self.event, &self.events)?;
        let attributes = facts::attributes(&view, &self.mappings, self.vendor.as_deref())?;
        // Last, because only a token in which nothing else is wrong may be resumed.
        let freshness = self.standing.freshness(&moments, possession, now)?;
        let stands_until = self.stands_until(claims, &moments, now)?;
        Ok(Accepted {
            subject: subject.to_owned(),
            token_id,
            attributes,
            freshness,
            expires: moments.expires,
            stands_until,
        })
    }

    fn token_id(&self, claims: &Claims) -> Result<Option<String>, AttestRefusal> {
        let found = claims.text("jti").map_err(refused)?;
        match (found, self.token_id) {
            (None, TokenId::Optional) => Ok(None),
            (None, TokenId::Required) => Err(facts::missing("jti", "an id of 1 to 255 bytes")),
            (Some(id), TokenId::Optional | TokenId::Required) => {
                bounded("jti", id, MAX_TOKEN_ID_BYTES).map(|id| Some(id.to_owned()))
            }
        }
    }

    fn stands_until(&self, claims: &Claims, moments: &Moments, now: SystemTime) -> Result<SystemTime, AttestRefusal> {
        let mut until = self.standing.until(moments, now);
        if self.use_rule == Use::UntilExpiry {
            until = until.min(moments.expires);
        }
        let Some(name) = &self.job_ends else {
            return Ok(until);
        };
        let ends = date(claims, name)?.ok_or_else(|| facts::missing(name, "the moment at which the job ends"))?;
        if ends <= now {
            return Err(AttestRefusal::SessionOver);
        }
        Ok(until.min(ends))
    }
}

fn subject(claims: &Claims) -> Result<&str, AttestRefusal> {
    let subject = claims.required_text("sub").map_err(refused)?;
    bounded("sub", subject, MAX_SUBJECT_BYTES)
}

fn bounded<'t>(claim: &str, text: &'t str, max: usize) -> Result<&'t str, AttestRefusal> {
    if !text.is_empty() && text.len() <= max && !text.chars().any(char::is_control) {
        return Ok(text);
    }
    Err(AttestRefusal::Claim {
        claim: claim.to_owned(),
        found: format!("`{}` of {} bytes", excerpt(text), text.len()),
        expected: format!("1 to {max} bytes without control characters"),
    })
}

fn date(claims: &Claims, name: &str) -> Result<Option<SystemTime>, AttestRefusal> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    match NumericDate::from_value(value) {
        Ok(date) => Ok(Some(date.moment())),
        Err(refused) => Err(AttestRefusal::Claim {
            claim: name.to_owned(),
            found: refused.to_string(),
            expected: "a date".to_owned(),
        }),
    }
}

/// OpenID Connect allows 255; GitHub's can be longer, as they hold a branch name of up to 255 bytes.
const MAX_SUBJECT_BYTES: usize = 1024;
