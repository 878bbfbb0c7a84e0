//! What an entry says of evidence, permission and SVID.
//!
//! Never the evidence, the SVID or a credential itself: only ids and digests.

use serde::{Serialize, Serializer};

use super::{bound, shown, text};
use crate::{
    attest::{Attestation, AttestorName, Attributes, Evidence},
    identify::Workload,
    jose::Unverified,
};

/// What an entry says of the evidence.
#[derive(Clone, Debug, Serialize)]
pub struct EvidenceFacts {
    /// The attestor.
    pub attestor: String,
    /// The issuer; absent where evidence was refused that is no token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// The issuer's name for the workload; absent with the issuer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// SHA-256 of the token.
    pub sha256: String,
    /// The canonical attributes, cut and escaped as they are written; absent where the evidence was refused.
    #[serde(skip_serializing_if = "Attributes::is_empty", serialize_with = "written")]
    pub attributes: Attributes,
}

/// What an entry says of the gateway itself; its chain is the entry's `writer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatewayFacts {
    /// The program's version.
    pub version: String,
    /// The generation of the policy that is in force.
    pub policy_generation: u64,
    /// The on-disk format of the store.
    pub store_format: String,
}

/// What an entry says of a permission.
#[derive(Clone, Debug, Serialize)]
pub struct PermissionFacts {
    /// The grants, the decisive one first.
    pub rule: Vec<String>,
    /// The policy's generation.
    pub policy_generation: u64,
    /// The permitted lifetime.
    pub lifetime_seconds: u64,
    /// `exceeds_standing` or `raised` where the lifetime is out of the ordinary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_note: Option<&'static str>,
}

/// What an entry says of an SVID.
#[derive(Clone, Debug, Serialize)]
pub struct SvidFacts {
    /// Its `jti`.
    pub id: String,
    /// SHA-256 of the token.
    pub sha256: String,
    /// The key that signed it.
    pub key_id: String,
    /// Its audience.
    pub audience: String,
    /// Its subject, where the relying party shapes one.
    pub subject: String,
    /// When it ends, RFC 3339.
    pub expires: String,
}

/// What an entry says of those who act for the workload.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ActorFacts {
    /// Their SPIFFE IDs, the current actor first; empty for one that has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spiffe_ids: Vec<String>,
    /// The current actor's registration entry, where it presented evidence with this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// That evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceFacts>,
}

impl ActorFacts {
    /// Takes whoever acts; `None` where the workload acts itself.
    pub(super) fn of(workload: &Workload) -> Option<Self> {
        Some(Self {
            entry: workload.actor().map(|actor| actor.entry().to_string()),
            evidence: workload.actor().map(|actor| EvidenceFacts::of(actor.attestation())),
            ..Self::acting(workload)?
        })
    }

    /// Takes the SPIFFE IDs alone, where an earlier entry of the exchange tells the rest.
    pub(super) fn acting(workload: &Workload) -> Option<Self> {
        let spiffe_ids: Vec<String> = workload.actors().iter().map(ToString::to_string).collect();
        (!spiffe_ids.is_empty()).then(|| Self {
            spiffe_ids,
            ..Self::default()
        })
    }

    pub(super) fn bound(&mut self) {
        self.spiffe_ids.iter_mut().chain(&mut self.entry).for_each(bound);
        if let Some(evidence) = &mut self.evidence {
            evidence.bound();
        }
    }
}

impl EvidenceFacts {
    /// Takes what was attested.
    pub(super) fn of(attestation: &Attestation) -> Self {
        Self {
            attestor: attestation.attestor().to_string(),
            issuer: text(attestation.issuer()),
            subject: text(attestation.subject()),
            sha256: attestation.evidence_sha256().to_string(),
            attributes: attestation.attributes().clone(),
        }
    }

    /// Takes what a token says whose signature held, though it was refused.
    pub(super) fn refused(attestor: &AttestorName, evidence: &Evidence) -> Self {
        let token = Unverified::parse(evidence.token_unverified().expose()).ok();
        let claim = |name| {
            let found = token
                .as_ref()
                .and_then(|token| token.claims_unverified().text(name).ok());
            text(found.flatten().unwrap_or_default())
        };
        Self {
            attestor: attestor.to_string(),
            issuer: claim("iss"),
            subject: claim("sub"),
            sha256: evidence.sha256().to_string(),
            attributes: Attributes::default(),
        }
    }

    pub(super) fn bound(&mut self) {
        for field in [
            &mut self.attestor,
            &mut self.issuer,
            &mut self.subject,
            &mut self.sha256,
        ] {
            bound(field);
        }
    }
}

impl GatewayFacts {
    pub(super) fn bound(&mut self) {
        for field in [&mut self.version, &mut self.store_format] {
            bound(field);
        }
    }
}

impl PermissionFacts {
    pub(super) fn bound(&mut self) {
        self.rule.iter_mut().for_each(bound);
    }
}

impl SvidFacts {
    pub(super) fn bound(&mut self) {
        for field in [
            &mut self.id,
            &mut self.sha256,
            &mut self.key_id,
            &mut self.audience,
            &mut self.subject,
            &mut self.expires,
        ] {
            bound(field);
        }
    }
}

fn written<S: Serializer>(attributes: &Attributes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(attributes.iter().map(|(name, value)| (name, shown(value))))
}
