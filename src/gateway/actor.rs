//! The actor beside the subject of a request: steps 1 and 2 for whoever acts (RFC 8693 section 1.1).
//!
//! It must never let a request go on without the actor that it names.

use std::time::SystemTime;

use super::{Request, Rules};
use crate::{
    attest::{AttestRefusal, Attestation},
    identify::{Registry, Unidentified, Workload},
};

/// Step 1: the evidence of the actor, if there is one.
pub(super) async fn attest(
    rules: &Rules,
    request: &Request,
    now: SystemTime,
) -> Result<Option<Attestation>, AttestRefusal> {
    let Some(evidence) = &request.actor else {
        return Ok(None);
    };
    match super::attest(rules, evidence, now).await {
        Ok(attestation) => Ok(Some(attestation)),
        Err(refusal) => Err(AttestRefusal::Actor(Box::new(refusal))),
    }
}

/// Step 2: the entries name the subject, and the actor beside it.
pub(super) fn identify(
    registry: &Registry,
    subject: Attestation,
    actor: Option<Attestation>,
) -> Result<Workload, Unidentified> {
    let subject = registry.identify(subject)?;
    match actor {
        None => Ok(subject),
        Some(actor) => subject.acted_for_by(registry.identify(actor)?),
    }
}
