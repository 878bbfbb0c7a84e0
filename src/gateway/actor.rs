//! The actor beside the subject of a request: step 1 for whoever acts (RFC 8693 section 1.1).
//!
//! It must never let a request go on without the actor that it names.

use std::time::SystemTime;

use super::{Request, Rules};
use crate::attest::{AttestRefusal, Attestation};

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
