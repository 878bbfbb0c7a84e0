//! Step 1: whose evidence it is, and what the trail tells of evidence that does not stand.
//!
//! It must never tell in the trail what no signature vouches for.

use std::{net::IpAddr, time::SystemTime};

use super::{Answer, Gateway, Rules};
use crate::{
    attest::{
        AttestRefusal, Attestation, AttestorName, Evidence, ExchangeId, Freshness, Possession, Verdict, unclaimed,
        verify_client_certificate,
    },
    audit::{Draft, EntryKind},
    identify::Workload,
    store::Binding,
};

/// Step 1: the first attestor that does not say `NotMine` decides.
pub(super) async fn attest(rules: &Rules, evidence: &Evidence, now: SystemTime) -> Result<Attestation, Unattested> {
    for attestor in &rules.attestors {
        match attestor.judge(evidence, now).await {
            Verdict::Attested(attestation) => {
                refuse_fallen_certificate(rules, evidence, &attestation, now)?;
                return Ok(*attestation);
            }
            Verdict::NotMine => {}
            Verdict::Refused(refusal) => {
                let by = Some(attestor.name().clone());
                return Err(Unattested { refusal, by });
            }
        }
    }
    Err(unclaimed::refusal(evidence).into())
}

/// Evidence that does not stand.
pub(super) struct Unattested {
    pub(super) refusal: AttestRefusal,
    /// The attestor whose evidence it is; `None` where it is nobody's, or no attestor refused it.
    pub(super) by: Option<AttestorName>,
}

impl From<AttestRefusal> for Unattested {
    fn from(refusal: AttestRefusal) -> Self {
        Self { refusal, by: None }
    }
}

impl Unattested {
    /// Tells in an entry whose evidence it is.
    pub(super) fn told_in(self, draft: Draft, evidence: &Evidence) -> (Draft, AttestRefusal) {
        let draft = match &self.by {
            Some(attestor) => draft.about_refused(attestor, evidence),
            None => draft,
        };
        (draft, self.refusal)
    }

    /// Tells in an entry whose evidence it is that somebody presented to act for another.
    pub(super) fn told_beside(self, draft: Draft, actor: Option<&Evidence>) -> (Draft, AttestRefusal) {
        let draft = match (&self.by, actor) {
            (Some(attestor), Some(evidence)) => draft.about_refused_actor(attestor, evidence),
            (None, _) | (_, None) => draft,
        };
        (draft, self.refusal)
    }
}

/// Lets the certificate of a connection bind evidence only while it holds itself: a connection may outlive it (T-04).
fn refuse_fallen_certificate(
    rules: &Rules,
    evidence: &Evidence,
    attestation: &Attestation,
    now: SystemTime,
) -> Result<(), AttestRefusal> {
    let (Possession::Certificate(certificate), Some(_ledger)) = (evidence.possession(), attestation.ledger()) else {
        return Ok(());
    };
    let reason = match verify_client_certificate(&rules.attestors, certificate, now) {
        None => "no configured attestor takes the client certificate of the connection".to_owned(),
        Some(Ok(_svid)) => return Ok(()),
        Some(Err(refused)) => format!("the client certificate of the connection holds no more: {refused}"),
    };
    Err(AttestRefusal::Unverifiable { reason })
}

impl Gateway {
    /// Attests evidence, also expired evidence that was used before.
    pub(super) async fn attested(
        &self,
        rules: &Rules,
        evidence: &Evidence,
        now: SystemTime,
    ) -> Result<Attestation, Unattested> {
        let attestation = attest(rules, evidence, now).await?;
        self.resumed(attestation, now).await
    }

    /// Lets expired evidence stand only as a resume: bound to a key at its first use, and within its standing.
    async fn resumed(&self, attestation: Attestation, now: SystemTime) -> Result<Attestation, Unattested> {
        let Some(ledger) = attestation
            .ledger()
            .filter(|_| attestation.freshness() == Freshness::Expired)
        else {
            return Ok(attestation);
        };
        let row = self
            .store
            .ledger_row(ledger.key)
            .await
            .map_err(|source| AttestRefusal::LedgerUnavailable { source })?;
        let refusal = match row {
            None => AttestRefusal::ResumeUnknown,
            Some(row) if row.binding == Binding::Bearer || row.binding != ledger.binding => AttestRefusal::Stolen,
            Some(row) if row.stands_until <= now => AttestRefusal::SessionOver,
            Some(row) => return Ok(attestation.standing_until(row.stands_until)),
        };
        let by = Some(attestation.attestor().clone());
        Err(Unattested { refusal, by })
    }

    /// Refuses a workload whose evidence was used, and stands no more.
    pub(super) async fn session_over(&self, id: &ExchangeId, source: Option<IpAddr>, workload: &Workload) -> Answer {
        let draft = Draft::new(EntryKind::Denial, id).from_address(source).of(workload);
        self.unattested(id, (draft, AttestRefusal::SessionOver)).await
    }

    /// Records a refusal of evidence whose signature held; anything less proves nothing and is only counted.
    pub(super) async fn unattested(&self, id: &ExchangeId, (draft, refusal): (Draft, AttestRefusal)) -> Answer {
        if !refusal.is_proven() {
            return Answer::failed(Some(id), refusal);
        }
        self.deny(id, draft, refusal.into()).await
    }
}
