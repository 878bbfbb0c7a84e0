//! The entries of the trail: what they hold, and that they never hold a secret.
//!
//! Every text field is cut to 512 bytes with control and bidi characters escaped (LIMITS.md; TM-36).

mod facts;
mod kind;

pub use facts::{ActorFacts, EvidenceFacts, GatewayFacts, PermissionFacts, SvidFacts};
pub use kind::EntryKind;

use std::{borrow::Cow, time::SystemTime};

use serde::{Serialize, Serializer};

use crate::{
    attest::{AttestRefusal, Attestation, AttestorName, Evidence, ExchangeId},
    authorize::Permission,
    clock,
    secret::Digest,
    store::TrailRow,
};

/// An entry before the trail gives it its place in the chain.
///
/// Built with the methods that take what a step proved, so that no field is filled by hand twice.
#[derive(Clone, Debug, Serialize)]
pub struct Draft {
    /// What it is about.
    pub kind: EntryKind,
    /// The request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub exchange_id: String,
    /// Where the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,
    /// What was attested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceFacts>,
    /// The workload's SPIFFE ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// Who acts for the workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<ActorFacts>,
    /// The registration entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The relying party.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relying_party: Option<String>,
    /// What was permitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<PermissionFacts>,
    /// What was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub svid: Option<SvidFacts>,
    /// Which gateway began or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayFacts>,
    /// The refusal's stable code, for a denial or a failed outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Everything known about it; the caller may have learned less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When the credential handed out ends, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_expires: Option<String>,
    /// The exchange that fetched a held credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched_by: Option<String>,
    /// The digests that this entry makes releasable.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "in_hex")]
    pub opens: Vec<Digest>,
}

impl Draft {
    /// Begins an entry about a request.
    pub fn new(kind: EntryKind, exchange_id: &ExchangeId) -> Self {
        Self {
            exchange_id: exchange_id.as_str().to_owned(),
            ..Self::empty(kind)
        }
    }

    /// Begins an entry about the gateway itself.
    pub fn change(detail: &str) -> Self {
        Self {
            detail: Some(text(detail)),
            ..Self::empty(EntryKind::Change)
        }
    }

    /// Begins the entry that a gateway serves from now on.
    pub fn started(gateway: GatewayFacts) -> Self {
        Self {
            gateway: Some(gateway),
            ..Self::empty(EntryKind::Start)
        }
    }

    /// Begins the entry that a gateway ends in order; one that was killed leaves none.
    pub fn stopped(gateway: GatewayFacts) -> Self {
        Self {
            gateway: Some(gateway),
            ..Self::empty(EntryKind::Stop)
        }
    }

    fn empty(kind: EntryKind) -> Self {
        Self {
            kind,
            exchange_id: String::new(),
            source_address: None,
            evidence: None,
            spiffe_id: None,
            actor: None,
            entry: None,
            relying_party: None,
            permission: None,
            svid: None,
            gateway: None,
            code: None,
            detail: None,
            credential_expires: None,
            fetched_by: None,
            opens: Vec::new(),
        }
    }

    /// Adds where the request came from.
    #[must_use]
    pub fn from_address(mut self, address: Option<std::net::IpAddr>) -> Self {
        self.source_address = address.map(|address| address.to_string());
        self
    }

    /// Adds what was attested.
    #[must_use]
    pub fn about(mut self, attestation: &Attestation) -> Self {
        self.evidence = Some(EvidenceFacts::of(attestation));
        self
    }

    /// Adds what refused evidence says; only where the refusal is proven, which means that its signature held.
    #[must_use]
    pub fn about_refused(mut self, attestor: &AttestorName, evidence: &Evidence) -> Self {
        self.evidence = Some(EvidenceFacts::refused(attestor, evidence));
        self
    }

    /// Does the same for the evidence of whoever would have acted.
    #[must_use]
    pub fn about_refused_actor(mut self, attestor: &AttestorName, evidence: &Evidence) -> Self {
        let facts = self.actor.get_or_insert_default();
        facts.evidence = Some(EvidenceFacts::refused(attestor, evidence));
        self
    }

    /// Adds the workload.
    #[must_use]
    pub fn of(mut self, workload: &crate::identify::Workload) -> Self {
        self.spiffe_id = Some(workload.spiffe_id().as_str().to_owned());
        self.entry = Some(workload.entry().to_string());
        self.actor = ActorFacts::of(workload);
        self.about(workload.attestation())
    }

    /// Adds what was attested of an actor that cannot act for the workload.
    #[must_use]
    pub fn not_acted_for_by(mut self, actor: &Attestation) -> Self {
        let facts = self.actor.get_or_insert_default();
        facts.evidence = Some(EvidenceFacts::of(actor));
        self
    }

    /// Adds the relying party.
    #[must_use]
    pub fn at(mut self, relying_party: &str) -> Self {
        self.relying_party = Some(text(relying_party));
        self
    }

    /// Adds workload, relying party and rule of a permission.
    #[must_use]
    pub fn permitted(self, permission: &Permission) -> Self {
        let mut draft = self.of(permission.workload()).at(permission.relying_party().as_str());
        draft.permission = Some(PermissionFacts {
            rule: permission.rule().iter().map(ToString::to_string).collect(),
            policy_generation: permission.policy_generation(),
            lifetime_seconds: permission.lifetime().as_secs(),
            lifetime_note: match permission.lifetime_note() {
                crate::authorize::LifetimeNote::ExceedsStanding => Some("lifetime.exceeds_standing"),
                crate::authorize::LifetimeNote::Raised => Some("lifetime.raised"),
                crate::authorize::LifetimeNote::Within => None,
            },
        });
        draft
    }

    /// Adds workload and relying party of a permission whose rule an earlier entry of the exchange tells.
    #[must_use]
    pub fn by(mut self, permission: &Permission) -> Self {
        self.spiffe_id = Some(permission.workload().spiffe_id().as_str().to_owned());
        self.actor = ActorFacts::acting(permission.workload());
        self.at(permission.relying_party().as_str())
    }

    /// Adds what was signed.
    #[must_use]
    pub fn signed(mut self, svid: SvidFacts) -> Self {
        self.svid = Some(svid);
        self
    }

    /// Adds what happened, in words.
    #[must_use]
    pub fn noting(mut self, detail: &str) -> Self {
        self.detail = Some(text(detail));
        self
    }

    /// Adds a refusal.
    #[must_use]
    pub fn refused(mut self, code: &str, detail: &str) -> Self {
        self.code = Some(code.to_owned());
        self.detail = Some(text(detail));
        self
    }

    /// Adds when the released credential ends.
    #[must_use]
    pub fn until(mut self, expires: SystemTime) -> Self {
        self.credential_expires = Some(clock::rfc3339(expires));
        self
    }

    /// Adds which exchange fetched a held credential.
    #[must_use]
    pub fn fetched_by(mut self, exchange_id: &str) -> Self {
        self.fetched_by = Some(text(exchange_id));
        self
    }

    /// Names a digest that becomes releasable with this entry.
    #[must_use]
    pub fn opening(mut self, digest: Digest) -> Self {
        self.opens.push(digest);
        self
    }

    /// Begins the entry that closes an intent whose outcome was lost.
    pub(in crate::audit) fn lost(intent: &TrailRow) -> Self {
        Self {
            exchange_id: intent.exchange_id.clone(),
            spiffe_id: (!intent.spiffe_id.is_empty()).then(|| intent.spiffe_id.clone()),
            relying_party: Some(intent.relying_party.clone()),
            detail: Some(format!(
                "no outcome of intent {} of writer {}",
                intent.sequence, intent.writer
            )),
            ..Self::empty(EntryKind::Unknown)
        }
    }

    /// Cuts and escapes every text, whoever filled it in (TM-36).
    #[must_use]
    pub(in crate::audit) fn bounded(mut self) -> Self {
        bound(&mut self.exchange_id);
        let optional = [
            &mut self.source_address,
            &mut self.spiffe_id,
            &mut self.entry,
            &mut self.relying_party,
            &mut self.code,
            &mut self.detail,
            &mut self.credential_expires,
            &mut self.fetched_by,
        ];
        optional.into_iter().flatten().for_each(bound);
        if let Some(evidence) = &mut self.evidence {
            evidence.bound();
        }
        if let Some(actor) = &mut self.actor {
            actor.bound();
        }
        if let Some(permission) = &mut self.permission {
            permission.bound();
        }
        if let Some(svid) = &mut self.svid {
            svid.bound();
        }
        if let Some(gateway) = &mut self.gateway {
            gateway.bound();
        }
        self
    }

    /// Returns the denial that takes this entry's place where the ledger refuses the evidence.
    #[must_use]
    pub fn denied_by_ledger(mut self, refusal: &AttestRefusal) -> Self {
        self.kind = EntryKind::Denial;
        self.permission = None;
        self.svid = None;
        self.credential_expires = None;
        self.fetched_by = None;
        self.opens = vec![denial_digest(
            &self.exchange_id,
            self.relying_party.as_deref(),
            refusal.code(),
        )];
        self.refused(refusal.code(), &refusal.to_string())
    }
}

/// Returns the digest that stands for a denial in the trail.
pub fn denial_digest(exchange_id: &str, relying_party: Option<&str>, code: &str) -> Digest {
    let relying_party = relying_party.unwrap_or_default();
    Digest::of_parts(&[
        b"denial",
        exchange_id.as_bytes(),
        relying_party.as_bytes(),
        code.as_bytes(),
    ])
}

/// Cuts to 512 bytes and escapes control and bidi characters (LIMITS.md; TM-36).
pub fn text(raw: &str) -> String {
    shown(raw).into_owned()
}

/// Does what [`text`] does, and borrows what is fine as it is.
fn shown(raw: &str) -> Cow<'_, str> {
    if is_plain(raw) {
        return raw.into();
    }
    let mut out = String::with_capacity(raw.len().min(MAX_FIELD_BYTES));
    for character in raw.chars() {
        let before = out.len();
        if is_unsafe_to_show(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
        if out.len() > MAX_FIELD_BYTES {
            out.truncate(before);
            break;
        }
    }
    out.into()
}

fn bound(field: &mut String) {
    if !is_plain(field) {
        *field = text(field);
    }
}

fn in_hex<S: Serializer>(digests: &[Digest], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(digests.iter().map(ToString::to_string))
}

/// Tells whether [`text`] would leave `raw` as it is.
fn is_plain(raw: &str) -> bool {
    // Without a way out of the loop it is done many bytes at a time; there are 512 of them at most.
    let printable = |all: bool, byte: u8| all & matches!(byte, b' '..=b'~');
    raw.len() <= MAX_FIELD_BYTES && (raw.bytes().fold(true, printable) || !raw.chars().any(is_unsafe_to_show))
}

fn is_unsafe_to_show(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// LIMITS.md: an audit field has at most 512 bytes.
pub const MAX_FIELD_BYTES: usize = 512;

#[cfg(test)]
mod tests;
