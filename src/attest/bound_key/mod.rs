//! Attests a machine by a key that it registered once with a join token, and that it replaces from time to time.
//!
//! It must never take a key that another took the place of, nor one that nobody replaced for too long; and it must never
//! keep a key but in the commit of the entry about it.

mod claims;
pub mod evidence;
mod registration;
mod settings;

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use self::{
    claims::Rules,
    settings::{Checked, KEY, REGISTRATION, Settings},
};
use super::{
    AttestRefusal, Attestation, Attestor, AttestorContext, AttestorName, Builtin, Delegation, Evidence, Findings,
    Freshness, Misconfigured, OwnStore, Verdict, conclude,
    joining::{Described, Joins, KeepsKeys, Labels, MachineName},
    token_claims::refuse_algorithm,
};
use crate::{
    clock::from_unix_seconds,
    jose::{Algorithm, MAX_TOKEN_BYTES, PublicKey, Unverified},
    secret::Digest,
    store::{BoundKeyRow, BoundKeyState, UseRule},
};

/// The kind `bound_key`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    form: super::form::of_a_compact_jws,
    configure,
    #[cfg(feature = "dev")]
    sim: None,
};

const KIND: &str = "bound_key";

fn configure(context: AttestorContext, table: toml::Table) -> Result<Arc<dyn Attestor>, Misconfigured> {
    Ok(Arc::new(BoundKeyAttestor::configure(context, table)?))
}

/// Judges machines by their keys.
#[derive(Debug)]
struct BoundKeyAttestor {
    name: AttestorName,
    store: OwnStore,
    rules: Rules,
    checked: Checked,
    joins: Joins,
}

impl BoundKeyAttestor {
    fn configure(context: AttestorContext, table: toml::Table) -> Result<Self, Misconfigured> {
        let checked = Settings::parse(table)?.check()?;
        Ok(Self {
            rules: Rules {
                issuer: evidence::issuer(context.name.as_str()),
                audience: context.issuer,
            },
            name: context.name,
            store: context.store,
            joins: Joins {
                labels: checked.attributes.labels(),
            },
            checked,
        })
    }

    async fn verdict(&self, evidence: &Evidence, now: SystemTime) -> Verdict {
        if evidence.kind().is_some_and(|kind| kind != KIND) {
            return Verdict::NotMine;
        }
        let token = evidence.token_unverified().expose();
        if token.len() > MAX_TOKEN_BYTES {
            return Verdict::Refused(AttestRefusal::Oversized {
                found_bytes: token.len(),
            });
        }
        let Ok(unverified) = Unverified::parse(token) else {
            return Verdict::NotMine; // no compact JWS: some other attestor's kind, or nobody's
        };
        let ours = unverified.issuer_unverified() == Some(self.rules.issuer.as_str());
        if !ours || unverified.typ() != Some(evidence::TYP) {
            return Verdict::NotMine;
        }
        match self.attest(evidence, &unverified, now).await {
            Ok(attestation) => Verdict::Attested(Box::new(attestation)),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    async fn attest(
        &self,
        evidence: &Evidence,
        unverified: &Unverified<'_>,
        now: SystemTime,
    ) -> Result<Attestation, AttestRefusal> {
        refuse_algorithm(unverified.algorithm(), &[Algorithm::Es256])?;
        let row = self.known(unverified.kid()).await?;
        let verified = unverified
            .verify(&public_key(&row)?)
            .map_err(|refused| AttestRefusal::Unverifiable {
                reason: refused.to_string(),
            })?;
        let delegation = Delegation::of_another(verified.get())?;
        let accepted = self.rules.accept(verified.get(), now)?;
        // Last, so that old evidence of a key proves nothing about who has it now.
        self.refuse_ended(&row, now)?;
        let machine = described(&row)?;
        let mut attributes = self.checked.attributes.facts(&machine)?;
        attributes.insert(KEY, encoded(&row.thumbprint))?;
        attributes.insert(REGISTRATION, row.registration.as_str())?;
        let findings = Findings {
            attestor: &self.name,
            issuer: self.rules.issuer.clone(),
            subject: row.machine,
            token_id: Some(accepted.token_id),
            signing_input_sha256: unverified.signing_input_sha256(),
            attributes,
            freshness: Freshness::Fresh,
            expires: accepted.expires,
            stands_until: now + self.checked.session_max,
            use_rule: Some(UseRule::Once),
        };
        Ok(conclude(&verified, evidence, findings).delegated(delegation))
    }

    /// Finds the key that a header names; which keys there are is nobody's to learn.
    async fn known(&self, kid: Option<&str>) -> Result<BoundKeyRow, AttestRefusal> {
        let unknown = || AttestRefusal::Unverifiable {
            reason: "the header names no key that a machine of this attestor registered".to_owned(),
        };
        let thumbprint = kid.and_then(decoded).ok_or_else(unknown)?;
        let row = self.row(thumbprint).await?;
        row.filter(|row| row.attestor == self.name.as_str()).ok_or_else(unknown)
    }

    async fn row(&self, thumbprint: Digest) -> Result<Option<BoundKeyRow>, AttestRefusal> {
        let unavailable = |source| AttestRefusal::LedgerUnavailable { source };
        let store = self.store.open().map_err(unavailable)?;
        store.bound_key(thumbprint).await.map_err(unavailable)
    }

    fn refuse_ended(&self, row: &BoundKeyRow, now: SystemTime) -> Result<(), AttestRefusal> {
        match row.state {
            BoundKeyState::Current => {}
            BoundKeyState::Locked => {
                return Err(AttestRefusal::KeyEnded {
                    reason: "its machine was locked, because a replaced key of it asked to be replaced again"
                        .to_owned(),
                });
            }
            BoundKeyState::Superseded => {
                return Err(AttestRefusal::KeySuperseded {
                    machine: row.machine.clone(),
                    registration: row.registration.clone(),
                });
            }
        }
        if now < self.ends(row) {
            return Ok(());
        }
        let days = self.checked.max_key_age.as_secs() / (24 * 60 * 60);
        Err(AttestRefusal::KeyEnded {
            reason: format!("it was not replaced within `max_key_age`, {days} days"),
        })
    }

    /// Returns when a key ends that is not replaced.
    fn ends(&self, row: &BoundKeyRow) -> SystemTime {
        let since = from_unix_seconds(row.since_seconds).unwrap_or(SystemTime::UNIX_EPOCH);
        since + self.checked.max_key_age
    }
}

fn public_key(row: &BoundKeyRow) -> Result<PublicKey, AttestRefusal> {
    let unreadable = |reason: String| AttestRefusal::Unverifiable {
        reason: format!("the store's key of machine `{}` cannot be read: {reason}", row.machine),
    };
    let jwk: serde_json::Map<_, _> = serde_json::from_str(&row.jwk).map_err(|why| unreadable(why.to_string()))?;
    let key = PublicKey::from_jwk(&jwk, &[Algorithm::Es256]).map_err(|why| unreadable(why.to_string()))?;
    if key.thumbprint().digest() == row.thumbprint {
        Ok(key)
    } else {
        Err(unreadable("it has another thumbprint than the row".to_owned()))
    }
}

fn described(row: &BoundKeyRow) -> Result<Described, AttestRefusal> {
    let unreadable = || AttestRefusal::Unverifiable {
        reason: format!("the store's row of machine `{}` cannot be read", row.registration),
    };
    Ok(Described {
        name: MachineName::parse(&row.machine).map_err(|_refused| unreadable())?,
        labels: Labels::from_json(&row.labels).ok_or_else(unreadable)?,
    })
}

/// Writes a thumbprint as RFC 7638 does.
fn encoded(thumbprint: &Digest) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(thumbprint.as_bytes())
}

fn decoded(kid: &str) -> Option<Digest> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(kid).ok()?;
    Some(Digest::from_bytes(bytes.try_into().ok()?))
}

impl Attestor for BoundKeyAttestor {
    fn name(&self) -> &AttestorName {
        &self.name
    }

    fn attributes(&self) -> &[&'static str] {
        self.checked.attributes.all()
    }

    /// Whoever makes a join token decides whom it names, each time anew: no third party passes a name on.
    fn immutable(&self) -> &[&'static str] {
        self.checked.attributes.all()
    }

    fn joins(&self) -> Option<&Joins> {
        Some(&self.joins)
    }

    fn keeps_keys(&self) -> Option<&dyn KeepsKeys> {
        Some(self)
    }

    fn judge<'a>(
        &'a self,
        evidence: &'a Evidence,
        now: SystemTime,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        Box::pin(self.verdict(evidence, now))
    }
}

#[cfg(test)]
mod tests;
