//! The actor beside the subject of a request: step 1 for whoever acts (RFC 8693 section 1.1).
//!
//! It must never let a request go on without the actor that it names.

use std::time::SystemTime;

use super::{
    Request, Rules,
    attested::{self, Unattested},
};
use crate::attest::{AttestRefusal, Attestation};

/// Step 1: the evidence of the actor, if there is one.
pub(super) async fn attest(
    rules: &Rules,
    request: &Request,
    now: SystemTime,
) -> Result<Option<Attestation>, Unattested> {
    let Some(evidence) = &request.actor else {
        return Ok(None);
    };
    match attested::attest(rules, evidence, now).await {
        Ok(attestation) => Ok(Some(attestation)),
        Err(Unattested { refusal, by }) => Err(Unattested {
            refusal: AttestRefusal::Actor(Box::new(refusal)),
            by,
        }),
    }
}
