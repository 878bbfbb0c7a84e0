//! Attests pods by their projected service-account tokens; one attestor a cluster.
//!
//! It must never show a token to an API server before its signature was checked here, never take one that the API
//! server itself would take, and never name a pod by what only the caller says.

mod answer;
mod claims;
mod credential;
mod issuer;
mod review;
mod settings;
#[cfg(feature = "dev")]
pub mod sim;
mod subject;

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

pub use answer::AnswerRefused;
pub use credential::CredentialRefused;
pub use review::ReviewFailed;

use self::{
    claims::Rules,
    review::Reviewer,
    settings::{ALGORITHMS, Settings},
};
use super::{
    AttestRefusal, Attestation, Attestor, AttestorContext, AttestorName, Builtin, Evidence, Findings, Freshness,
    Misconfigured, Pins, Verdict, conclude, issuer_keys::Keys, signed_token,
};
use crate::jose::Unverified;

/// The kind `kubernetes`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    form: super::form::of_a_compact_jws,
    configure,
    #[cfg(feature = "dev")]
    sim: Some(sim::SEED),
};

const KIND: &str = "kubernetes";

fn configure(context: AttestorContext, table: toml::Table) -> Result<Arc<dyn Attestor>, Misconfigured> {
    Ok(Arc::new(KubernetesAttestor::configure(context, table)?))
}

/// Judges the service-account tokens of one cluster.
#[derive(Debug)]
struct KubernetesAttestor {
    name: AttestorName,
    rules: Rules,
    keys: Keys,
    reviewer: Option<Reviewer>,
    pins: Pins,
}

impl KubernetesAttestor {
    fn configure(context: AttestorContext, table: toml::Table) -> Result<Self, Misconfigured> {
        let checked = Settings::parse(table)?.check(&context)?;
        Ok(Self {
            name: context.name,
            rules: checked.rules,
            keys: checked.keys,
            reviewer: checked.reviewer,
            pins: claims::pins(),
        })
    }

    async fn verdict(&self, evidence: &Evidence, now: SystemTime) -> Verdict {
        let unverified = match signed_token::read(evidence, KIND) {
            Ok(unverified) => unverified,
            Err(verdict) => return verdict,
        };
        if unverified.issuer_unverified() != Some(self.rules.issuer.as_str()) {
            return Verdict::NotMine;
        }
        // Clusters that were set up alike have one issuer, such as `https://kubernetes.default.svc.cluster.local`, and
        // only their keys tell them apart.
        if self.keys.exclude(unverified.kid(), unverified.algorithm()) {
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
        let (verified, delegation) = signed_token::verified(unverified, &self.keys, ALGORITHMS, now).await?;
        let accepted = self.rules.accept(verified.get(), unverified.typ(), now)?;
        // Last, so that nobody can make us ask with a token that would be refused anyway.
        if let Some(reviewer) = &self.reviewer {
            reviewer.confirm(evidence.token_unverified(), &accepted.named).await?;
        }
        let findings = Findings {
            attestor: &self.name,
            issuer: self.rules.issuer.clone(),
            subject: accepted.named.subject,
            token_id: accepted.token_id,
            signing_input_sha256: unverified.signing_input_sha256(),
            attributes: accepted.attributes,
            freshness: Freshness::Fresh,
            expires: accepted.expires,
            stands_until: accepted.stands_until,
            // The kubelet hands the same token to every process of the pod again.
            use_rule: None,
        };
        Ok(conclude(&verified, evidence, findings).delegated(delegation))
    }
}

impl Attestor for KubernetesAttestor {
    fn name(&self) -> &AttestorName {
        &self.name
    }

    fn attributes(&self) -> &[&'static str] {
        claims::ATTRIBUTES
    }

    fn immutable(&self) -> &[&'static str] {
        claims::IMMUTABLE
    }

    fn pins(&self) -> Option<&Pins> {
        Some(&self.pins)
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
#[cfg(feature = "dev")]
mod tests;
