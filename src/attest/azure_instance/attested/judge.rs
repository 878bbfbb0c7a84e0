//! Machines of configured subscriptions, by attested documents.
//!
//! It must never take a machine of a subscription that is not listed: Azure signs for all of its customers.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use super::{AttestedDocuments, is_announced};
use crate::{
    attest::{
        AttestRefusal, Attestation, AttestorName, Attributes, Challenges, Evidence, Findings, Freshness, Verdict,
        azure_instance::{
            KIND,
            claims::{SUBSCRIPTION_ID, VM_ID},
        },
        conclude,
        token_claims::wrong,
    },
    store::UseRule,
};

/// Judges attested documents.
#[derive(Debug)]
pub struct AttestedMachines {
    /// What verifies them.
    pub documents: AttestedDocuments,
    /// Tells our challenges from others.
    pub challenges: Challenges,
    /// The subscriptions whose machines are believed, UUIDs in lower case.
    pub subscriptions: BTreeSet<String>,
    /// How long an attestation stands.
    pub session_max: Duration,
}

impl AttestedMachines {
    /// Judges evidence; whatever does not say that it is an attested document is somebody else's.
    pub fn verdict(&self, attestor: &AttestorName, evidence: &Evidence, now: SystemTime) -> Verdict {
        if evidence.kind().is_some_and(|kind| kind != KIND) || !is_announced(evidence.token_unverified()) {
            return Verdict::NotMine;
        }
        match self.attest(attestor, evidence, now) {
            Ok(attestation) => Verdict::Attested(Box::new(attestation)),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    fn attest(
        &self,
        attestor: &AttestorName,
        evidence: &Evidence,
        now: SystemTime,
    ) -> Result<Attestation, AttestRefusal> {
        let attested = self
            .documents
            .confirm(evidence.token_unverified(), &self.challenges, now)?;
        if !self.subscriptions.contains(attested.subscription_id()) {
            let found = attested.subscription_id();
            return Err(wrong("subscriptionId", found, "one of `subscriptions`"));
        }
        let mut attributes = Attributes::default();
        attributes.insert(SUBSCRIPTION_ID, attested.subscription_id())?;
        attributes.insert(VM_ID, attested.vm_id())?;
        let challenge = attested.challenge();
        let findings = Findings {
            attestor,
            issuer: self.documents.cloud.signer().to_owned(),
            subject: attested.vm_id().to_owned(),
            token_id: Some(challenge.as_str().to_owned()),
            signing_input_sha256: attested.proof().covered_sha256(),
            attributes,
            freshness: Freshness::Fresh,
            expires: challenge.expires(),
            stands_until: now + self.session_max,
            use_rule: Some(UseRule::Once),
        };
        Ok(conclude(attested.proof(), evidence, findings))
    }
}
