//! How a machine's first key is registered, and how a key takes the place of another.
//!
//! It must never let one key be replaced by two, nor one be registered for two machines.

use std::{sync::Arc, time::SystemTime};

use super::{BoundKeyAttestor, KEY, decoded};
use crate::{
    attest::{
        AttestRefusal, Attestation, Evidence, Findings, Freshness, conclude,
        joining::{self, JoinToken, KeepsKeys, Kept, KeyTerms, KnownToken, NewKey},
    },
    clock::unix_seconds,
    secret::Digest,
    store::{BoundKeyChange, BoundKeyRow, BoundKeyState, BoxFuture, LedgerUse, UseRule},
};

impl KeepsKeys for BoundKeyAttestor {
    fn register<'a>(
        &'a self,
        evidence: &'a Evidence,
        key: &'a NewKey,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Option<Kept>, AttestRefusal>> {
        Box::pin(self.first_key(evidence, key, now))
    }

    fn rotate<'a>(
        &'a self,
        attestation: Attestation,
        key: &'a NewKey,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Kept, AttestRefusal>> {
        Box::pin(self.next_key(attestation, key, now))
    }

    fn terms(&self, row: &BoundKeyRow) -> KeyTerms {
        KeyTerms {
            issuer: self.rules.issuer.clone(),
            audience: self.rules.audience.clone(),
            ends: self.ends(row),
        }
    }
}

impl BoundKeyAttestor {
    async fn first_key(
        &self,
        evidence: &Evidence,
        key: &NewKey,
        now: SystemTime,
    ) -> Result<Option<Kept>, AttestRefusal> {
        let Ok(token) = JoinToken::parse(evidence.token_unverified()) else {
            return Ok(None);
        };
        let Some(known) = KnownToken::look_up(&token, &self.name, &self.store).await? else {
            return Ok(None);
        };
        known.refuse_expired(now)?;
        let attributes = self.checked.attributes.facts(known.machine())?;
        self.refuse_known(key).await?;
        self.refuse_full().await?;
        let findings = Findings {
            attestor: &self.name,
            issuer: joining::issuer(&self.name),
            subject: known.machine().name.as_str().to_owned(),
            token_id: None,
            signing_input_sha256: token.sha256(),
            attributes,
            freshness: Freshness::Fresh,
            expires: known.expires(),
            stands_until: known.expires(),
            use_rule: Some(UseRule::Once),
        };
        let attestation = conclude(&known, evidence, findings);
        let row = BoundKeyRow {
            thumbprint: key.thumbprint(),
            jwk: key.jwk().to_owned(),
            // The token's own id: the trail then tells who made it, and what came of it.
            registration: known.id().to_owned(),
            generation: 1,
            attestor: self.name.to_string(),
            machine: known.machine().name.as_str().to_owned(),
            labels: known.machine().labels.to_json(),
            registered_seconds: unix_seconds(now),
            since_seconds: unix_seconds(now),
            state: BoundKeyState::Current,
        };
        let once = Digest::of_parts(&[b"bound key begins", row.thumbprint.as_bytes()]);
        let change = BoundKeyChange::Register(Box::new(row.clone()));
        kept(attestation, row, (once, change)).map(Some)
    }

    async fn next_key(&self, attestation: Attestation, key: &NewKey, now: SystemTime) -> Result<Kept, AttestRefusal> {
        let before = match attestation.attributes().get(KEY).and_then(decoded) {
            Some(thumbprint) => self.row(thumbprint).await?,
            None => None,
        };
        let before = before.ok_or_else(|| AttestRefusal::KeyRefused {
            reason: "the key whose place it would take is gone".to_owned(),
        })?;
        self.refuse_known(key).await?;
        let once = Digest::of_parts(&[b"bound key ends", before.thumbprint.as_bytes()]);
        let row = BoundKeyRow {
            thumbprint: key.thumbprint(),
            jwk: key.jwk().to_owned(),
            generation: before.generation + 1,
            since_seconds: unix_seconds(now),
            state: BoundKeyState::Current,
            ..before.clone()
        };
        let change = BoundKeyChange::Rotate {
            from: before.thumbprint,
            to: Box::new(row.clone()),
        };
        kept(attestation, row, (once, change))
    }

    async fn refuse_known(&self, key: &NewKey) -> Result<(), AttestRefusal> {
        match self.row(key.thumbprint()).await? {
            None => Ok(()),
            Some(_known) => Err(AttestRefusal::KeyRefused {
                reason: "it was registered before, expected a key that was never used".to_owned(),
            }),
        }
    }

    async fn refuse_full(&self) -> Result<(), AttestRefusal> {
        let unavailable = |source| AttestRefusal::LedgerUnavailable { source };
        let store = self.store.open().map_err(unavailable)?;
        let standing = store.bound_keys().await.map_err(unavailable)?.len();
        if standing < BoundKeyRow::MAX_REGISTRATIONS {
            return Ok(());
        }
        Err(AttestRefusal::KeyRefused {
            reason: format!("{standing} machines are registered, no more are taken"),
        })
    }
}

/// Puts together what a commit must hold: the one use of the evidence, and the change that comes with it.
///
/// Of several that come at once, each with evidence of its own, one alone begins or ends a key: the ledger knows `once` as
/// it knows a proof of possession. Whoever comes later meets the row.
fn kept(
    attestation: Attestation,
    row: BoundKeyRow,
    (once, change): (Digest, BoundKeyChange),
) -> Result<Kept, AttestRefusal> {
    let used = attestation.ledger().cloned().ok_or_else(|| AttestRefusal::KeyRefused {
        reason: "the evidence serves more than once".to_owned(),
    })?;
    let ledger = LedgerUse {
        proof: Some((once, used.remember_until)),
        keeps: Some(Arc::new(change)),
        ..used
    };
    Ok(Kept {
        attestation,
        ledger,
        row,
    })
}
