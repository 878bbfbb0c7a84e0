//! Attests instances of Google Compute Engine by the identity tokens of their metadata server.
//!
//! It must never take a token that does not say which instance asked for it: everybody at Google has the same issuer.

mod claims;
mod settings;
#[cfg(feature = "dev")]
pub mod sim;

use std::{future::Future, pin::Pin, sync::Arc, time::SystemTime};

use self::{
    claims::Rules,
    settings::{ALGORITHMS, Settings},
};
use super::{
    AttestRefusal, Attestation, Attestor, AttestorContext, AttestorName, Builtin, Evidence, Findings, Freshness,
    Misconfigured, Pins, Verdict, conclude, issuer_keys::Keys, signed_token,
};
use crate::jose::Unverified;

/// The kind `gcp_instance`.
pub const BUILTIN: Builtin = Builtin {
    kind: KIND,
    manual: include_str!("manual.md"),
    sample: include_str!("sample.toml"),
    form: super::form::of_a_compact_jws,
    configure,
    #[cfg(feature = "dev")]
    sim: Some(sim::SEED),
};

const KIND: &str = "gcp_instance";

fn configure(context: AttestorContext, table: toml::Table) -> Result<Arc<dyn Attestor>, Misconfigured> {
    Ok(Arc::new(GcpInstanceAttestor::configure(context, table)?))
}

/// Judges the tokens of instances in configured projects.
#[derive(Debug)]
struct GcpInstanceAttestor {
    name: AttestorName,
    rules: Rules,
    keys: Keys,
    pins: Pins,
}

impl GcpInstanceAttestor {
    fn configure(context: AttestorContext, table: toml::Table) -> Result<Self, Misconfigured> {
        let checked = Settings::parse(table)?.check(&context)?;
        Ok(Self {
            name: context.name,
            rules: checked.rules,
            keys: checked.keys,
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
        let findings = Findings {
            attestor: &self.name,
            issuer: self.rules.issuer.clone(),
            subject: accepted.subject,
            token_id: accepted.token_id,
            signing_input_sha256: unverified.signing_input_sha256(),
            attributes: accepted.attributes,
            freshness: Freshness::Fresh,
            expires: accepted.expires,
            stands_until: accepted.stands_until,
            // The metadata server hands the same token to every process of the instance again.
            use_rule: None,
        };
        Ok(conclude(&verified, evidence, findings).delegated(delegation))
    }
}

impl Attestor for GcpInstanceAttestor {
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
