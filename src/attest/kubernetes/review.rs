//! Asks a cluster's API server whether a token still counts: it knows deleted pods and accounts, the keys do not.
//!
//! It must never ask without naming our audience, never remember an answer, and never take silence for one (T-68).

use serde_json::json;

use super::{
    answer::{self, API_VERSION, AnswerRefused, KIND},
    claims::Named,
    credential::{CredentialFile, CredentialRefused},
};
use crate::{
    attest::AttestRefusal,
    fetch::{FetchFailed, Origin},
    secret::Secret,
};

/// One cluster's API server, and with what it is asked.
#[derive(Debug)]
pub(super) struct Reviewer {
    pub(super) cluster: String,
    pub(super) audience: String,
    pub(super) origin: Origin,
    /// Where reviews are created.
    pub(super) url: String,
    pub(super) credential: CredentialFile,
}

impl Reviewer {
    /// Confirms that a token, which was verified, still counts and names whom it named here.
    ///
    /// # Errors
    /// Refuses what the API server does not confirm, and everything while it cannot be asked.
    pub(super) async fn confirm(&self, token: &Secret, named: &Named) -> Result<(), AttestRefusal> {
        let confirmed = self
            .ask(token, named)
            .await
            .map_err(|failed| self.unavailable(failed))?;
        confirmed.map_err(|reason| AttestRefusal::ReviewRefused { reason })
    }

    async fn ask(&self, token: &Secret, named: &Named) -> Result<Result<(), String>, ReviewFailed> {
        let credential = self.credential.read().await.map_err(ReviewFailed::Credential)?;
        let question = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "spec": { "token": token.expose(), "audiences": [self.audience] },
        });
        let answered = self.origin.post(&self.url, &credential, question.to_string()).await;
        let answer = answered.map_err(ReviewFailed::Fetch)?;
        answer::judge(&answer.bytes, &self.audience, named).map_err(ReviewFailed::Answer)
    }

    fn unavailable(&self, failed: ReviewFailed) -> AttestRefusal {
        AttestRefusal::ReviewUnavailable {
            cluster: self.cluster.clone(),
            source: Box::new(failed),
        }
    }
}

/// No review could be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewFailed {
    /// The API server answered something else.
    #[error("the answer is no review")]
    Answer(#[source] AnswerRefused),
    /// The gateway has no credential for the API server.
    #[error("the reviewer has no token")]
    Credential(#[source] CredentialRefused),
    /// The API server could not be asked, or it refused the reviewer: 401 and 403 mean our own credential.
    #[error("the API server could not be asked")]
    Fetch(#[source] FetchFailed),
}
