//! What an entry says of evidence, permission and SVID.
//!
//! Never the evidence, the SVID or a credential itself: only ids and digests.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bound;

/// What an entry says of the evidence.
#[derive(Clone, Debug, Serialize)]
pub struct EvidenceFacts {
    /// The attestor.
    pub attestor: String,
    /// The issuer.
    pub issuer: String,
    /// The issuer's name for the workload.
    pub subject: String,
    /// SHA-256 of the token.
    pub sha256: String,
    /// The canonical attributes.
    pub attributes: BTreeMap<String, String>,
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

impl EvidenceFacts {
    pub(super) fn bound(&mut self) {
        for field in [
            &mut self.attestor,
            &mut self.issuer,
            &mut self.subject,
            &mut self.sha256,
        ] {
            bound(field);
        }
        self.attributes.values_mut().for_each(bound);
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
